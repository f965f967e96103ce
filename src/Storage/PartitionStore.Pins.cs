namespace OrleansCache.Storage;

/// <summary>
/// Pins keep an item's chunks as they are while someone sends them, without the partition's lock.
/// An item that is unlinked while pinned becomes an orphan (a bit beside the count of its pins); whoever takes the last pin off puts it on a list, from which
/// the next call under the lock frees it. After <see cref="Dispose"/> nobody comes under the lock any more: then a lock of its own serialises the freeing.
/// </summary>
public sealed unsafe partial class PartitionStore
{
    private readonly Lock _closedLock = new();
    private volatile bool _closed;
    private uint _released;
    private int _pinnedItems;

    /// <summary>Takes all memory away. Items that are still pinned keep theirs until they are released.</summary>
    public void Dispose()
    {
        if (_closed)
            return;
        Clear();
        ReturnGranted();
        lock (_closedLock)
        {
            _closed = true;
        }

        FreeReleasedAfterClose();
    }

    /// <inheritdoc/>
    protected override bool TryPin(uint handle)
    {
        ItemHeader* item = _space.At(handle);
        if (Volatile.Read(ref item->Pins) == 0)
        {
            if (!_arena.TryAddPinned(item->RequestedBytes))
                return false;
            Interlocked.Increment(ref _pinnedItems);
            Interlocked.Increment(ref item->Pins);
            return true;
        }

        // Pinned already, but that pin may be taken off at this moment: then this one is the first again.
        if ((Interlocked.Increment(ref item->Pins) & ~ItemHeader.OrphanBit) == 1)
        {
            Interlocked.Increment(ref _pinnedItems);
            _arena.AddPinned(item->RequestedBytes);
        }

        return true;
    }

    /// <inheritdoc/>
    protected override void Unpin(uint handle)
    {
        ItemHeader* item = _space.At(handle);
        long bytes = item->RequestedBytes;
        uint left = Interlocked.Decrement(ref item->Pins);
        if ((left & ~ItemHeader.OrphanBit) != 0)
            return;
        _arena.RemovePinned(bytes);
        if (left == ItemHeader.OrphanBit)
            PushReleased(handle);
        Interlocked.Decrement(ref _pinnedItems);
        if (_closed)
            FreeReleasedAfterClose();
    }

    /// <inheritdoc/>
    protected override void CopyTo(uint handle, int offset, Span<byte> destination)
    {
        int length = _space.At(handle)->ValueLength;
        var cursor = default(ValueCursor);
        while (destination.Length > 0 && offset < length)
        {
            byte* run = GetRun(handle, offset, ref cursor, out int runBytes);
            int count = Math.Min(runBytes, destination.Length);
            new ReadOnlySpan<byte>(run, count).CopyTo(destination);
            destination = destination[count..];
            offset += count;
        }
    }

    /// <inheritdoc/>
    protected override byte* GetRun(uint handle, int offset, out int length)
    {
        var cursor = default(ValueCursor);
        return GetRun(handle, offset, ref cursor, out length);
    }

    /// <inheritdoc/>
    protected override byte* GetRun(uint handle, int offset, ref ValueCursor cursor, out int length)
    {
        ItemHeader* item = _space.At(handle);
        if (!item->IsChained)
        {
            length = Math.Max(0, item->ValueLength - offset);
            return ItemHeader.ValueOf(item) + offset;
        }

        if (cursor.RunOffset > offset)
            cursor = default;
        while (true)
        {
            ContinuationHeader* chunk = cursor.Run == 0 ? null : _space.ContinuationAt(cursor.Run);
            byte* run = chunk is null ? ItemHeader.ValueOf(item) : (byte*)chunk + ContinuationHeader.Bytes;
            int runBytes = chunk is null ? Chain.HeadValueBytes(item, _sizes) : chunk->UsedBytes;
            uint next = chunk is null ? Chain.Next(item, _sizes) : chunk->Next;
            int inside = offset - cursor.RunOffset;
            if (inside < runBytes || next == 0)
            {
                length = Math.Max(0, runBytes - inside);
                return run + inside;
            }

            cursor.Run = next;
            cursor.RunOffset += runBytes;
        }
    }

    /// <summary>Marks a pinned item that is unlinked; false if its last pin went at this moment, so that the caller frees it.</summary>
    private static bool BecomesOrphan(ItemHeader* item)
    {
        // Nobody follows the item's kind without the lock, and the releasing side looks at the bit only.
        item->Kind = ChunkKind.Orphan;
        item->LruNext = 0;
        return Interlocked.Or(ref item->Pins, ItemHeader.OrphanBit) != 0;
    }

    private void PushReleased(uint handle)
    {
        ItemHeader* item = _space.At(handle);
        uint head = Volatile.Read(ref _released);
        while (true)
        {
            item->LruNext = head;
            uint seen = Interlocked.CompareExchange(ref _released, handle, head);
            if (seen == head)
                return;
            head = seen;
        }
    }

    /// <summary>The whole list is taken at once, so no handle can come back to its head in between.</summary>
    private void FreeReleased()
    {
        uint handle = Interlocked.Exchange(ref _released, 0);
        while (handle != 0)
        {
            uint next = _space.At(handle)->LruNext;
            FreeChunks(handle);
            handle = next;
        }
    }

    private void FreeReleasedAfterClose()
    {
        lock (_closedLock)
        {
            FreeReleased();
            ReleaseSpare();
        }
    }
}
