using System.Buffers.Binary;
using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace OrleansCache;

/// <summary>
/// The 64-bit hash of a key under a <see cref="HashSeed"/>. It chooses the partition that holds a key (by its low bits) and the
/// bucket of that partition's index (by its high bits), so all processes of a cluster hash under one seed and by one algorithm;
/// test vectors pin it.
/// <para>
/// Algorithm: 128-bit multiply and fold over 16-byte stripes (the construction of wyhash), little endian on every machine. Every
/// factor of every multiplication is xor-ed with a secret word, or with a state that depends on one. The secrets are the first
/// 32 bytes of SHA-512("orleanscache key hash 2", seed); the next 8 are the <see cref="Fingerprint"/>.
/// </para>
/// <para>
/// Goal: a client that does not know the seed cannot aim keys at one partition or bucket, whatever it knows of the source; keys
/// that collide under one seed do not under another (docs/decisions/0014-keyed-hash.md). Non-goal: a MAC. An observer of hashes,
/// or the order of the keys in dumps of the keyspace, learns something of the secrets.
/// </para>
/// </summary>
public sealed class KeyHasher
{
    private readonly ulong _initial;
    private readonly ulong _secret1;
    private readonly ulong _secret2;
    private readonly ulong _secret3;

    public KeyHasher(HashSeed seed)
    {
        if (seed.IsNone)
            throw new ArgumentException("Keys are hashed under a seed, and this one is none.", nameof(seed));
        Seed = seed;
        ReadOnlySpan<byte> domain = "orleanscache key hash 2"u8;
        Span<byte> input = stackalloc byte[domain.Length + HashSeed.Bytes];
        domain.CopyTo(input);
        seed.Write(input[domain.Length..]);
        Span<byte> derived = stackalloc byte[SHA512.HashSizeInBytes];
        SHA512.HashData(input, derived);
        _initial = BinaryPrimitives.ReadUInt64LittleEndian(derived);
        _secret1 = BinaryPrimitives.ReadUInt64LittleEndian(derived[8..]);
        _secret2 = BinaryPrimitives.ReadUInt64LittleEndian(derived[16..]);
        _secret3 = BinaryPrimitives.ReadUInt64LittleEndian(derived[24..]);
        Fingerprint = BinaryPrimitives.ReadUInt64LittleEndian(derived[32..]);
    }

    public HashSeed Seed { get; }

    /// <summary>
    /// Names the seed without telling it: requests between processes carry it, so that no hash is taken for one of another seed.
    /// </summary>
    public ulong Fingerprint { get; }

    /// <summary>Hashes a key of any length.</summary>
    public ulong Compute(ReadOnlySpan<byte> key)
    {
        ref byte start = ref MemoryMarshal.GetReference(key);
        int length = key.Length;
        ulong state = _initial;
        ulong a, b;
        if (length <= 16)
        {
            if (length >= 8)
            {
                a = Read64(ref start, 0, length);
                b = Read64(ref start, length - 8, length);
            }
            else if (length >= 4)
            {
                a = Read32(ref start, 0, length);
                b = Read32(ref start, length - 4, length);
            }
            else if (length > 0)
            {
                a = ((ulong)start << 16) | ((ulong)Unsafe.Add(ref start, length >> 1) << 8) | Unsafe.Add(ref start, length - 1);
                b = 0;
            }
            else
            {
                a = b = 0;
            }
        }
        else
        {
            int at = 0;
            do
            {
                state = Mix(Read64(ref start, at, length) ^ _secret1, Read64(ref start, at + 8, length) ^ state);
                at += 16;
            }
            while (length - at > 16);

            a = Read64(ref start, length - 16, length);
            b = Read64(ref start, length - 8, length);
        }

        return Mix(_secret3 ^ (ulong)length, Mix(a ^ _secret1, b ^ state) ^ _secret2);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Mix(ulong a, ulong b)
    {
        ulong high = Math.BigMul(a, b, out ulong low);
        return high ^ low;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Read64(ref byte start, int at, int length)
    {
        Debug.Assert(at >= 0 && at + 8 <= length);
        ulong value = Unsafe.ReadUnaligned<ulong>(ref Unsafe.Add(ref start, at));
        return BitConverter.IsLittleEndian ? value : BinaryPrimitives.ReverseEndianness(value);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint Read32(ref byte start, int at, int length)
    {
        Debug.Assert(at >= 0 && at + 4 <= length);
        uint value = Unsafe.ReadUnaligned<uint>(ref Unsafe.Add(ref start, at));
        return BitConverter.IsLittleEndian ? value : BinaryPrimitives.ReverseEndianness(value);
    }
}
