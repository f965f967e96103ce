using System.Buffers.Binary;
using System.Security.Cryptography;

namespace OrleansCache;

/// <summary>
/// The secret of a <see cref="KeyHasher"/>: 128 random bits for the life of a cluster, or of the process on a single node.
/// A client that knows it can aim keys at one partition, so it is never logged or shown: <see cref="ToString"/> does not tell it.
/// Wire form: 16 bytes, the low half first, each half little endian.
/// </summary>
public readonly struct HashSeed(ulong low, ulong high) : IEquatable<HashSeed>
{
    public const int Bytes = 16;

    private readonly ulong _low = low;
    private readonly ulong _high = high;

    /// <summary>Not known yet: the default. All 128 bits 0 is no seed.</summary>
    public bool IsNone => (_low | _high) == 0;

    /// <summary>A seed from the system's random numbers.</summary>
    public static HashSeed Random()
    {
        Span<byte> bytes = stackalloc byte[Bytes];
        HashSeed seed;
        do
        {
            RandomNumberGenerator.Fill(bytes);
            seed = Read(bytes);
        }
        while (seed.IsNone);
        return seed;
    }

    /// <summary>Reads the wire form from the first 16 bytes.</summary>
    public static HashSeed Read(ReadOnlySpan<byte> source) =>
        new(BinaryPrimitives.ReadUInt64LittleEndian(source), BinaryPrimitives.ReadUInt64LittleEndian(source[8..]));

    /// <summary>Writes the wire form into the first 16 bytes.</summary>
    public void Write(Span<byte> target)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(target, _low);
        BinaryPrimitives.WriteUInt64LittleEndian(target[8..], _high);
    }

    public bool Equals(HashSeed other) => _low == other._low && _high == other._high;

    public override bool Equals(object? obj) => obj is HashSeed other && Equals(other);

    public override int GetHashCode() => HashCode.Combine(_low, _high);

    /// <summary>Says whether there is one, and no more: options and messages that contain it are logged.</summary>
    public override string ToString() => IsNone ? "none" : "secret";

    public static bool operator ==(HashSeed left, HashSeed right) => left.Equals(right);

    public static bool operator !=(HashSeed left, HashSeed right) => !left.Equals(right);
}
