using System.Buffers.Binary;
using System.Security.Cryptography;

namespace OrleansCache.Fuzz.Stores;

/// <summary>
/// Keys with one and the same hash. Whoever knows the seed can build them: where the first half of a 16-byte key equals the first secret of
/// <see cref="KeyHasher"/>, the product that takes in the other half is 0. It is how the secrets come from the seed that is written down there.
/// </summary>
internal static class CollidingKeys
{
    /// <summary>The number-th of them under a seed.</summary>
    public static byte[] Key(int number, HashSeed seed)
    {
        byte[] key = new byte[16];
        BinaryPrimitives.WriteUInt64LittleEndian(key, SecretOf(seed));
        BinaryPrimitives.WriteInt64LittleEndian(key.AsSpan(8), number);
        return key;
    }

    private static ulong SecretOf(HashSeed seed)
    {
        byte[] input = [.. "orleanscache key hash 2"u8, .. new byte[HashSeed.Bytes]];
        seed.Write(input.AsSpan(^HashSeed.Bytes..));
        return BinaryPrimitives.ReadUInt64LittleEndian(SHA512.HashData(input).AsSpan(8));
    }
}
