using System.Buffers.Binary;

namespace OrleansCache;

/// <summary>
/// Walks bytes that another process has written: little endian, without padding. Never throws: a read past the end gives zeros and sets
/// <see cref="Failed"/>, so a format reads all its fields and asks once. Every format between silos is read by this type and written by
/// <see cref="WireWriter"/>.
/// </summary>
public ref struct WireReader(ReadOnlySpan<byte> wire)
{
    private ReadOnlySpan<byte> _rest = wire;

    /// <summary>Something was read that is not there.</summary>
    public bool Failed { get; private set; }

    /// <summary>What has not been read yet.</summary>
    public readonly ReadOnlySpan<byte> Rest => _rest;

    public readonly int Remaining => _rest.Length;

    public byte Byte() => Bytes(1) is { Length: 1 } bytes ? bytes[0] : (byte)0;

    public ushort UInt16() => Bytes(2) is { Length: 2 } bytes ? BinaryPrimitives.ReadUInt16LittleEndian(bytes) : (ushort)0;

    public int Int32() => Bytes(4) is { Length: 4 } bytes ? BinaryPrimitives.ReadInt32LittleEndian(bytes) : 0;

    public uint UInt32() => Bytes(4) is { Length: 4 } bytes ? BinaryPrimitives.ReadUInt32LittleEndian(bytes) : 0;

    public long Int64() => Bytes(8) is { Length: 8 } bytes ? BinaryPrimitives.ReadInt64LittleEndian(bytes) : 0;

    public ulong UInt64() => Bytes(8) is { Length: 8 } bytes ? BinaryPrimitives.ReadUInt64LittleEndian(bytes) : 0;

    public HashSeed Seed() => Bytes(HashSeed.Bytes) is { Length: HashSeed.Bytes } bytes ? HashSeed.Read(bytes) : default;

    /// <summary>The next bytes, in place; none of them if there are fewer.</summary>
    public ReadOnlySpan<byte> Bytes(int count)
    {
        if ((uint)count > (uint)_rest.Length)
            return Fail();
        ReadOnlySpan<byte> taken = _rest[..count];
        _rest = _rest[count..];
        return taken;
    }

    /// <summary>What is read means nothing.</summary>
    public ReadOnlySpan<byte> Fail()
    {
        Failed = true;
        _rest = default;
        return default;
    }
}
