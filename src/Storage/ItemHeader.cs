using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace OrleansCache.Storage;

/// <summary>What a chunk holds. Zero is what fresh memory holds.</summary>
internal enum ChunkKind : byte
{
    /// <summary>On its class's free list (LruPrev and LruNext are the list's links).</summary>
    Free = 0,

    /// <summary>An item that the index and an LRU list hold; with <see cref="ItemMarks.Chained"/> the head of a chain.</summary>
    Item = 1,

    /// <summary>A later chunk of a chain; see <see cref="ContinuationHeader"/>.</summary>
    Continuation = 2,

    /// <summary>An item that is being filled and is not linked yet.</summary>
    Building = 3,

    /// <summary>An item that is unlinked, but pinned: its last pin frees it.</summary>
    Orphan = 4,
}

/// <summary>What is known about an item, besides its numbers. Exported with the item: never renumber, only append.</summary>
[Flags]
internal enum ItemMarks : byte
{
    None = 0,

    /// <summary>Invalidated by md I.</summary>
    Stale = 1 << 0,

    /// <summary>Some client holds the win token.</summary>
    TokenSent = 1 << 1,

    /// <summary>Read at least once since it was stored.</summary>
    Fetched = 1 << 2,

    /// <summary>Read since it last stood at the head of its LRU list: the tail gives it a second chance.</summary>
    Referenced = 1 << 3,

    /// <summary>The value goes on in continuation chunks. Never exported.</summary>
    Chained = 1 << 4,

    /// <summary>Stored with its key in base64 (ms b).</summary>
    BinaryKey = 1 << 5,
}

/// <summary>
/// The head of every item, in native memory; little endian like the machine.
/// <code>
///  0        4        8        12   13    14    15     16           24        28         32          36          40    44         44+k
///  +--------+--------+--------+----+-----+-----+------+------------+---------+----------+-----------+-----------+-----+----------+--------
///  |HashNext|LruPrev |LruNext |Kind|Class|Marks|KeyLen| CAS        |ExpiresAt|LastAccess|ClientFlags|ValueLength|Pins | key      | value
///  +--------+--------+--------+----+-----+-----+------+------------+---------+----------+-----------+-----------+-----+----------+--------
/// </code>
/// A chained item's first chunk ends in the handle of the next chunk (its last 4 bytes).
/// Links are handles (offset in the arena over the granule); 0 is none. Prev leads towards the hot end.
/// </summary>
[StructLayout(LayoutKind.Sequential, Pack = 4)]
internal unsafe struct ItemHeader
{
    public const int Bytes = 44;

    /// <summary>Bit of <see cref="Pins"/>: the item is unlinked, so whoever releases the last pin hands it back.</summary>
    public const uint OrphanBit = 0x8000_0000;

    public uint HashNext;
    public uint LruPrev;
    public uint LruNext;
    public ChunkKind Kind;
    public byte ClassIndex;
    public ItemMarks Marks;
    public byte KeyLength;
    public ulong Cas;
    public uint ExpiresAt;
    public uint LastAccess;
    public uint ClientFlags;
    public int ValueLength;
    public uint Pins;

    /// <summary>What memcached calls mem_requested: header, key and value.</summary>
    public readonly long RequestedBytes => Bytes + KeyLength + (long)ValueLength;

    public readonly bool IsChained => (Marks & ItemMarks.Chained) != 0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static byte* KeyOf(ItemHeader* item) => (byte*)item + Bytes;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static byte* ValueOf(ItemHeader* item) => (byte*)item + Bytes + item->KeyLength;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ReadOnlySpan<byte> KeySpan(ItemHeader* item) => new(KeyOf(item), item->KeyLength);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool KeyEquals(ItemHeader* item, ReadOnlySpan<byte> key) =>
        item->KeyLength == key.Length && new ReadOnlySpan<byte>(KeyOf(item), key.Length).SequenceEqual(key);
}

/// <summary>
/// The head of a later chunk of a chained item. Kind lies where <see cref="ItemHeader"/> has it.
/// <code>
///  0        4        8          12   13    14     16
///  +--------+--------+----------+----+-----+------+------------------
///  |Next    |Head    |UsedBytes |Kind|Class|unused| value goes on
///  +--------+--------+----------+----+-----+------+------------------
/// </code>
/// </summary>
[StructLayout(LayoutKind.Sequential, Pack = 4)]
internal struct ContinuationHeader
{
    public const int Bytes = 16;

    public uint Next;
    public uint Head;
    public int UsedBytes;
    public ChunkKind Kind;
    public byte ClassIndex;
    private readonly ushort _unused;
}
