using System.Numerics;
using System.Runtime.InteropServices;

namespace OrleansCache.Storage;

/// <summary>
/// The checksum of an item in an arena that a file backs: CRC-32C of key, CAS, client flags and value, xor a mix of the expiry, so that a touch changes it
/// without reading the value. Marks and counts of reads are not covered: whichever they are, the item is whole.
/// </summary>
internal static unsafe class ItemChecksum
{
    public static uint Compute(in HandleSpace space, SlabClasses sizes, uint handle)
    {
        ItemHeader* item = space.At(handle);
        uint crc = BitOperations.Crc32C(~0u, item->Cas);
        crc = BitOperations.Crc32C(crc, ((ulong)space.ClientFlags(item) << 32) | (uint)space.ValueLength(item));
        crc = Add(crc, ItemHeader.KeySpan(item));
        var cursor = default(ValueCursor);
        int length = space.ValueLength(item);
        for (int offset = 0; offset < length;)
        {
            byte* run = ItemChain.GetRun(in space, sizes, handle, offset, ref cursor, out int runBytes);
            crc = Add(crc, new ReadOnlySpan<byte>(run, runBytes));
            offset += runBytes;
        }

        return ~crc ^ Mix(item->ExpiresAt);
    }

    public static void Set(in HandleSpace space, SlabClasses sizes, uint handle) => *space.ChecksumOf(space.At(handle)) = Compute(in space, sizes, handle);

    /// <summary>The item is about to get another expiry.</summary>
    public static void ChangeExpiry(in HandleSpace space, ItemHeader* item, uint expiresAt) => *space.ChecksumOf(item) ^= Mix(item->ExpiresAt) ^ Mix(expiresAt);

    private static uint Mix(uint expiresAt) => BitOperations.RotateLeft(expiresAt * 0x9E37_79B1, 13);

    private static uint Add(uint crc, ReadOnlySpan<byte> bytes)
    {
        foreach (ulong word in MemoryMarshal.Cast<byte, ulong>(bytes))
            crc = BitOperations.Crc32C(crc, word);
        foreach (byte rest in bytes[(bytes.Length & ~7)..])
            crc = BitOperations.Crc32C(crc, rest);
        return crc;
    }
}
