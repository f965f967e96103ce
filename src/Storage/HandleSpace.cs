using System.Runtime.CompilerServices;

namespace OrleansCache.Storage;

/// <summary>Turns 32-bit handles into addresses: the handle is the offset in the arena in granules.</summary>
internal readonly unsafe struct HandleSpace(byte* start, int granuleShift, int pageShift)
{
    private readonly byte* _start = start;
    private readonly int _granuleShift = granuleShift;
    private readonly int _pageShift = pageShift;

    /// <summary>Bytes of a page.</summary>
    public int PageBytes => 1 << _pageShift;

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
}
