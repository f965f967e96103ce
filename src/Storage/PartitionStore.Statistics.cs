using System.Runtime.CompilerServices;

namespace OrleansCache.Storage;

public sealed unsafe partial class PartitionStore
{
    private FlushedKeys? _flushed;

    /// <summary>Adds this store's counters and gauges to a sum.</summary>
    public void AddStatistics(StoreStatistics total, bool perClass, uint nowUnixSeconds)
    {
        ArgumentNullException.ThrowIfNull(total);
        AddCounters(total);
        total.CurrItems += _itemCount;
        total.Bytes += _itemBytes;
        total.HashBytes += (long)_index.PageCount * _arena.PageBytes;
        total.PageBytesUsed += (long)_pageCount * _arena.PageBytes;
        if (!perClass)
            return;
        if (total.Classes.Length == 0)
            total.Classes = new SlabClassStatistics[_classes.Length];
        for (int c = 0; c < _classes.Length; c++)
            AddClass(ref total.Classes[c], c, nowUnixSeconds);
    }

    /// <summary>Sets the counters to 0; gauges, sequence and items stay.</summary>
    public void ResetStatistics()
    {
        _counters = default;
        for (int c = 0; c < _classes.Length; c++)
            _classes[c].Counters = default;
    }

    internal void AddCounters(StoreStatistics total)
    {
        long getHits = 0, sets = 0, touchHits = 0;
        for (int c = 0; c < _classes.Length; c++)
        {
            ref readonly SlabClassCounters counters = ref _classes[c].Counters;
            getHits += counters.GetHits;
            sets += counters.CmdSet;
            touchHits += counters.TouchHits;
            total.DeleteHits += counters.DeleteHits;
            total.IncrHits += counters.IncrHits;
            total.DecrHits += counters.DecrHits;
            total.CasHits += counters.CasHits;
            total.CasBadValue += counters.CasBadValue;
            total.Evictions += counters.Evicted;
            total.Reclaimed += counters.Reclaimed;
            total.ExpiredUnfetched += counters.ExpiredUnfetched;
            total.EvictedUnfetched += counters.EvictedUnfetched;
            total.EvictedActive += counters.EvictedActive;
            total.CrawlerReclaimed += counters.CrawlerReclaimed;
            total.CrawlerItemsChecked += counters.CrawlerItemsChecked;
            total.LruTailReflocked += counters.LruTailReflocked;
            total.MovesWithinLru += counters.MovesWithinLru;
        }

        total.CmdGet += getHits + _counters.GetMisses;
        total.GetHits += getHits;
        total.GetMisses += _counters.GetMisses;
        total.GetExpired += _counters.GetExpired;
        total.GetFlushed += _counters.GetFlushed;
        total.CmdSet += sets;
        total.CmdTouch += touchHits + _counters.TouchMisses;
        total.TouchHits += touchHits;
        total.TouchMisses += _counters.TouchMisses;
        total.DeleteMisses += _counters.DeleteMisses;
        total.IncrMisses += _counters.IncrMisses;
        total.DecrMisses += _counters.DecrMisses;
        total.CasMisses += _counters.CasMisses;
        total.TotalItems += _counters.TotalItems;
        total.StoreTooLarge += _counters.StoreTooLarge;
        total.StoreNoMemory += _counters.StoreNoMemory;
        total.SlabReassignEvictions += _counters.SlabReassignEvictions;
        total.SlabsMoved += _counters.SlabsMoved;
        total.SlabReassignRescues += _counters.SlabReassignRescues;
        total.SlabReassignChunkRescues += _counters.SlabReassignChunkRescues;
        total.SlabReassignInlineReclaim += _counters.SlabReassignInlineReclaim;
    }

    /// <summary>A key is not here: was it flushed? Returns 0, no item.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private uint CountFlushed(ulong keyHash)
    {
        if (_flushed!.TryTake(keyHash))
        {
            _counters.GetFlushed++;
            if (_flushed.IsEmpty)
                _flushed = null;
        }

        return 0;
    }

    private void FlushNow()
    {
        _flushed = FlushedKeys.Of(in _index, _arena.Options.PartitionCount) ?? _flushed;
        Clear();
    }

    private void AddClass(ref SlabClassStatistics total, int classIndex, uint now)
    {
        ref readonly SlabClass slab = ref _classes[classIndex];
        ref readonly SlabClassCounters counters = ref slab.Counters;
        total.ClassId = classIndex + 1;
        total.ChunkBytes = _sizes.ChunkBytes(classIndex);
        total.ChunksPerPage = _sizes.ChunksPerPage(classIndex);
        total.TotalPages += slab.PageCount;
        total.FreeChunks += slab.FreeCount;
        total.UsedChunks += ((long)slab.PageCount * total.ChunksPerPage) - slab.FreeCount;
        total.MemRequested += slab.RequestedBytes;
        total.Items += slab.Lru.Count;
        if (slab.Lru.Tail != 0)
            total.AgeSeconds = Math.Max(total.AgeSeconds, Age(_space.At(slab.Lru.Tail)->LastAccess, now));
        total.GetHits += counters.GetHits;
        total.CmdSet += counters.CmdSet;
        total.DeleteHits += counters.DeleteHits;
        total.IncrHits += counters.IncrHits;
        total.DecrHits += counters.DecrHits;
        total.CasHits += counters.CasHits;
        total.CasBadValue += counters.CasBadValue;
        total.TouchHits += counters.TouchHits;
        total.Evicted += counters.Evicted;
        total.EvictedNonzero += counters.EvictedNonzero;
        total.EvictedTimeSeconds = Math.Max(total.EvictedTimeSeconds, counters.EvictedTimeSeconds);
        total.OutOfMemory += counters.OutOfMemory;
        total.Reclaimed += counters.Reclaimed;
        total.ExpiredUnfetched += counters.ExpiredUnfetched;
        total.EvictedUnfetched += counters.EvictedUnfetched;
        total.EvictedActive += counters.EvictedActive;
        total.CrawlerReclaimed += counters.CrawlerReclaimed;
        total.CrawlerItemsChecked += counters.CrawlerItemsChecked;
        total.LruTailReflocked += counters.LruTailReflocked;
        total.MovesWithinLru += counters.MovesWithinLru;
    }
}
