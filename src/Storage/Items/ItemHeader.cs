using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace OrleansCache.Storage;

/// <summary>What a chunk holds. Zero is what fresh memory holds.</summary>
internal enum ChunkKind : byte
{
    /// <summary>On its class's free list (Prev and Next are the list's links).</summary>
    Free = 0,

    /// <summary>An item that an index and an eviction queue hold; with <see cref="ItemWord.Chained"/> the head of a chain.</summary>
    Item = 1,

    /// <summary>A later chunk of a chain; see <see cref="ContinuationHeader"/>.</summary>
    Continuation = 2,

    /// <summary>An item that is being filled and is not linked yet.</summary>
    Building = 3,

    /// <summary>An item that is unlinked, but pinned: its last pin frees it.</summary>
    Orphan = 4,
}

/// <summary>
/// The bits of <see cref="ItemHeader.Word"/>:
/// <code>
///  0                 18       21    22        23      24        25      26       27          28        30      32
///  +-----------------+--------+-----+---------+-------+---------+-------+--------+-----------+---------+-------+
///  | inline length   | Kind   |Stale|TokenSent|Fetched|BinaryKey|Chained|HasFlags|ExplicitCas|Frequency|Queue  |
///  +-----------------+--------+-----+---------+-------+---------+-------+--------+-----------+---------+-------+
/// </code>
/// The inline length is the value's of an item in one chunk, and the bytes used of a continuation.
/// </summary>
internal static class ItemWord
{
    public const uint LengthMask = (1u << 18) - 1;
    public const int KindShift = 18;
    public const uint KindMask = 7u << KindShift;

    /// <summary>Invalidated by md I.</summary>
    public const uint Stale = 1u << 21;

    /// <summary>Some client holds the win token.</summary>
    public const uint TokenSent = 1u << 22;

    /// <summary>Read at least once since it was stored.</summary>
    public const uint Fetched = 1u << 23;

    /// <summary>Stored with its key in base64 (ms b).</summary>
    public const uint BinaryKey = 1u << 24;

    /// <summary>The value goes on in continuation chunks.</summary>
    public const uint Chained = 1u << 25;

    /// <summary>The client's flags are not 0, and lie before the value.</summary>
    public const uint HasFlags = 1u << 26;

    /// <summary>The CAS was given by a client, so it says nothing about when the item was stored.</summary>
    public const uint ExplicitCas = 1u << 27;

    /// <summary>Reads since the item entered its queue or last escaped eviction, at most 3.</summary>
    public const int FrequencyShift = 28;
    public const uint FrequencyOne = 1u << FrequencyShift;
    public const uint FrequencyMask = 3u << FrequencyShift;

    /// <summary>Which queue of its class holds the item: <see cref="QueueId"/>.</summary>
    public const int QueueShift = 30;
    public const uint QueueMask = 3u << QueueShift;
}

/// <summary>
/// The head of every item, in native memory; little endian like the machine.
/// <code>
///  0        4        8        12           15     16          20           28    28+k
///  +--------+--------+--------+------------+------+-----------+------------+-----+----------+-------+-------+-------
///  |Prev    |Next    |Word    |Access:24   |KeyLen|ExpiresAt  | CAS        | key | checksum | chain | flags | value
///  +--------+--------+--------+------------+------+-----------+------------+-----+----------+-------+-------+-------
/// </code>
/// Checksum (4 bytes): only in an arena that a file backs. Chain (8 bytes: value length, next chunk): only with <see cref="ItemWord.Chained"/>.
/// Flags (4 bytes): only with <see cref="ItemWord.HasFlags"/>. Links are handles (offset in the arena over the granule); 0 is none. Prev leads towards the
/// newest item of the queue. Access is the low 24 bits of the Unix second of the last use, which are unambiguous for half a year.
/// </summary>
[StructLayout(LayoutKind.Sequential, Pack = 4)]
internal unsafe struct ItemHeader
{
    public const int Bytes = 28;
    public const int ChainBytes = 8;
    public const int FlagsBytes = 4;

    private const uint AccessMask = 0x00FF_FFFF;

    /// <summary>An access that lies so far back lies ahead instead: the clock has been set back.</summary>
    private const uint AccessAheadSeconds = 1 << 20;

    public uint Prev;
    public uint Next;
    public uint Word;
    private uint _accessAndKeyLength;
    public uint ExpiresAt;
    public ulong Cas;

    public ChunkKind Kind
    {
        readonly get => (ChunkKind)((Word >> ItemWord.KindShift) & 7);
        set => Word = (Word & ~ItemWord.KindMask) | ((uint)value << ItemWord.KindShift);
    }

    public readonly int KeyLength => (int)(_accessAndKeyLength >> 24);

    public readonly bool IsChained => (Word & ItemWord.Chained) != 0;

    public readonly int Frequency => (int)((Word & ItemWord.FrequencyMask) >> ItemWord.FrequencyShift);

    public readonly QueueId Queue => (QueueId)(Word >> ItemWord.QueueShift);

    public readonly bool Has(uint bit) => (Word & bit) != 0;

    public void SetKeyLengthAndAccess(int keyBytes, uint now) => _accessAndKeyLength = ((uint)keyBytes << 24) | (now & AccessMask);

    /// <summary>Notes a use; writes only if that changes anything, so that lines that are read often stay clean.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void SetAccess(uint now)
    {
        uint value = (_accessAndKeyLength & ~AccessMask) | (now & AccessMask);
        if (value != _accessAndKeyLength)
            _accessAndKeyLength = value;
    }

    /// <summary>Seconds since the last use, up to half a year; 0 if that lies ahead.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly uint AgeSeconds(uint now)
    {
        uint age = (now - _accessAndKeyLength) & AccessMask;
        return age > AccessMask - AccessAheadSeconds ? 0 : age;
    }

    /// <summary>Unix second of the last use.</summary>
    public readonly uint LastAccess(uint now) => now - AgeSeconds(now);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static byte* KeyOf(ItemHeader* item) => (byte*)item + Bytes;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ReadOnlySpan<byte> KeySpan(ItemHeader* item) => new(KeyOf(item), item->KeyLength);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool KeyEquals(ItemHeader* item, ReadOnlySpan<byte> key) =>
        item->KeyLength == key.Length && new ReadOnlySpan<byte>(KeyOf(item), key.Length).SequenceEqual(key);
}

/// <summary>
/// The head of a later chunk of a chained item. Word lies where <see cref="ItemHeader"/> has it.
/// <code>
///  0        4        8        12
///  +--------+--------+--------+------------------
///  |Next    |Head    |Word    | value goes on
///  +--------+--------+--------+------------------
/// </code>
/// </summary>
[StructLayout(LayoutKind.Sequential, Pack = 4)]
internal struct ContinuationHeader
{
    public const int Bytes = 12;

    public uint Next;
    public uint Head;
    public uint Word;

    public readonly int UsedBytes => (int)(Word & ItemWord.LengthMask);

    public void SetUsedBytes(int bytes) => Word = ((uint)ChunkKind.Continuation << ItemWord.KindShift) | (uint)bytes;
}

/// <summary>The value's length and the next chunk of a chained item's head, behind its key.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 4)]
internal struct ChainLink
{
    public int ValueLength;
    public uint Next;
}
