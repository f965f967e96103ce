using System.Runtime.CompilerServices;

namespace OrleansCache.Storage;

/// <summary>
/// Turns 32-bit handles into addresses (the handle is the offset in the arena in granules), and knows where the parts of an item lie
/// (<see cref="ItemHeader"/> draws them): with a checksum if <paramref name="checksumBytes"/> is 4, without if it is 0.
/// </summary>
internal readonly unsafe struct HandleSpace(byte* start, int granuleShift, int pageShift, byte* classOfPage, int checksumBytes)
{
    private readonly byte* _start = start;
    private readonly byte* _classOfPage = classOfPage;
    private readonly int _granuleShift = granuleShift;
    private readonly int _pageShift = pageShift;
    private readonly int _fixedBytes = ItemHeader.Bytes + checksumBytes;

    /// <summary>Bytes of a page.</summary>
    public int PageBytes => 1 << _pageShift;

    /// <summary>Bytes of an item besides its key, its client flags and its value, unless it is chained.</summary>
    public int FixedBytes => _fixedBytes;

    public bool HasChecksums => _fixedBytes != ItemHeader.Bytes;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ItemHeader* At(uint handle) => (ItemHeader*)(_start + ((nuint)handle << _granuleShift));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ContinuationHeader* ContinuationAt(uint handle) => (ContinuationHeader*)(_start + ((nuint)handle << _granuleShift));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public uint HandleOf(void* address) => (uint)((nuint)((byte*)address - _start) >> _granuleShift);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public uint PageOf(uint handle) => handle >> (_pageShift - _granuleShift);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public byte* PageStart(uint page) => _start + ((nuint)page << _pageShift);

    /// <summary>The slab class of the chunk's page.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int ClassOf(uint handle) => _classOfPage[PageOf(handle)];

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ChainLink* LinkOf(ItemHeader* item) => (ChainLink*)((byte*)item + _fixedBytes + item->KeyLength);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public uint* ChecksumOf(ItemHeader* item) => (uint*)((byte*)item + ItemHeader.Bytes + item->KeyLength);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int ValueLength(ItemHeader* item) => item->IsChained ? LinkOf(item)->ValueLength : (int)(item->Word & ItemWord.LengthMask);

    /// <summary>Where the value begins, from the item's own beginning.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int ValueOffset(ItemHeader* item)
    {
        uint word = item->Word;
        return _fixedBytes + item->KeyLength + (int)((word >> 22) & 8) + (int)((word >> 24) & 4); // ItemWord.Chained and HasFlags, as bytes
    }

    /// <summary>The value, or its first run.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public byte* ValueOf(ItemHeader* item) => (byte*)item + ValueOffset(item);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public uint ClientFlags(ItemHeader* item) => (item->Word & ItemWord.HasFlags) == 0 ? 0 : *(uint*)(ValueOf(item) - ItemHeader.FlagsBytes);

    /// <summary>What memcached calls mem_requested: header, key, flags and value.</summary>
    public long RequestedBytes(ItemHeader* item) => ValueOffset(item) + (long)ValueLength(item);
}
