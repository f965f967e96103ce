using System.Buffers.Binary;
using System.Runtime.CompilerServices;

namespace OrleansCache;

/// <summary>
/// The 64-bit hash of a key. Part of the contract between processes and versions: it decides which partition holds a key, so it must never change;
/// test vectors pin it. Algorithm: 128-bit multiply and fold over 16-byte stripes (the construction of wyhash), little endian on every machine.
/// The low bits choose the partition, the high bits the bucket inside it.
/// Non-goal: resistance against an adversary who chooses keys to collide.
/// </summary>
public static class KeyHash
{
    private const ulong Secret0 = 0xA0761D6478BD642F;
    private const ulong Secret1 = 0xE7037ED1A0B428DB;
    private const ulong Secret2 = 0x8EBC6AF09C88C6E3;

    /// <summary>Hashes a key of any length.</summary>
    public static ulong Compute(ReadOnlySpan<byte> key)
    {
        ulong seed = Secret0;
        ulong a, b;
        int length = key.Length;
        if (length <= 16)
        {
            if (length >= 8)
            {
                a = Read64(key);
                b = Read64(key[(length - 8)..]);
            }
            else if (length >= 4)
            {
                a = Read32(key);
                b = Read32(key[(length - 4)..]);
            }
            else if (length > 0)
            {
                a = ((ulong)key[0] << 16) | ((ulong)key[length >> 1] << 8) | key[length - 1];
                b = 0;
            }
            else
            {
                a = b = 0;
            }
        }
        else
        {
            ReadOnlySpan<byte> rest = key;
            while (rest.Length > 16)
            {
                seed = Mix(Read64(rest) ^ Secret1, Read64(rest[8..]) ^ seed);
                rest = rest[16..];
            }

            a = Read64(key[(length - 16)..]);
            b = Read64(key[(length - 8)..]);
        }

        return Mix(Secret1 ^ (ulong)length, Mix(a ^ Secret1, b ^ seed) ^ Secret2);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Mix(ulong a, ulong b)
    {
        ulong high = Math.BigMul(a, b, out ulong low);
        return high ^ low;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Read64(ReadOnlySpan<byte> source) => BinaryPrimitives.ReadUInt64LittleEndian(source);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Read32(ReadOnlySpan<byte> source) => BinaryPrimitives.ReadUInt32LittleEndian(source);
}
