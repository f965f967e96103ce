namespace OrleansCache.Storage;

internal sealed unsafe partial class StoreShard
{
    /// <summary>Adds this shard's counters and gauges to a sum.</summary>
    public void AddStatistics(StoreStatistics total, bool perClass, uint nowUnixSeconds)
    {
        AddCounters(total);
        total.CurrItems += _itemCount;
        total.Bytes += _itemBytes;
        AddLedger(total);
        total.HashBytes += (long)_classes[_heap.IndexClass].PageCount * _arena.PageBytes;
        total.PageBytesUsed += (long)_heap.PageCount * _arena.PageBytes;
        if (!perClass)
            return;
        if (total.Classes.Length == 0)
            total.Classes = new SlabClassStatistics[_sizes.Count];
        for (int c = 0; c < _sizes.Count; c++)
            AddClass(ref total.Classes[c], c, nowUnixSeconds);
    }

    /// <summary>Sets the counters to 0; gauges, sequences, items and the ledger stay.</summary>
    public void ResetStatistics()
    {
        Counters = default;
        for (int c = 0; c < _sizes.Count; c++)
            _classes[c].Counters = default;
    }

    private int IndexBlockCount => (_classes[_heap.IndexClass].PageCount * _heap.ChunksPerPage(_heap.IndexClass)) - _classes[_heap.IndexClass].FreeCount;

    private void AddCounters(StoreStatistics total)
    {
        long getHits = 0, sets = 0, touchHits = 0;
        for (int c = 0; c < _sizes.Count; c++)
        {
            ref readonly SlabClassCounters counters = ref _classes[c].Counters;
            getHits += HitsOf(in counters);
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
            total.MovesToWarm += counters.MovesToMain;
            total.MovesWithinLru += counters.MovesWithinMain;
        }

        total.CmdGet += getHits + Counters.GetMisses;
        total.GetHits += getHits;
        total.GetMisses += Counters.GetMisses;
        total.GetExpired += Counters.GetExpired;
        total.GetFlushed += Counters.GetFlushed;
        total.CmdSet += sets;
        total.CmdTouch += touchHits + Counters.TouchMisses;
        total.TouchHits += touchHits;
        total.TouchMisses += Counters.TouchMisses;
        total.DeleteMisses += Counters.DeleteMisses;
        total.IncrMisses += Counters.IncrMisses;
        total.DecrMisses += Counters.DecrMisses;
        total.CasMisses += Counters.CasMisses;
        total.TotalItems += Counters.TotalItems;
        total.StoreTooLarge += Counters.StoreTooLarge;
        total.StoreNoMemory += Counters.StoreNoMemory;
        total.SlabReassignEvictions += Counters.SlabReassignEvictions;
        total.SlabsMoved += Counters.SlabsMoved;
        total.SlabReassignRescues += Counters.SlabReassignRescues;
        total.SlabReassignChunkRescues += Counters.SlabReassignChunkRescues;
        total.SlabReassignInlineReclaim += Counters.SlabReassignInlineReclaim;
    }

    private void AddLedger(StoreStatistics total)
    {
        total.ItemsStored += Ledger.Linked;
        total.ItemsWaiting += _detachedItemCount;
        total.LostReplaced += Ledger.Lost(LossCause.Replaced);
        total.LostDeleted += Ledger.Lost(LossCause.Deleted);
        total.LostExpired += Ledger.Lost(LossCause.Expired);
        total.LostEvicted += Ledger.Lost(LossCause.Evicted);
        total.LostPageMoved += Ledger.Lost(LossCause.PageMoved);
        total.LostMemoryLimit += Ledger.Lost(LossCause.MemoryLimit);
        total.LostFlushed += Ledger.Lost(LossCause.Flushed);
        total.LostClosed += Ledger.Lost(LossCause.Closed);
        total.GhostBytes += _ghosts.Bytes;
        total.GhostsMax += _ghosts.Capacity;
    }

    private static long HitsOf(in SlabClassCounters counters)
    {
        long sum = 0;
        foreach (long hits in counters.GetHits)
            sum += hits;
        return sum;
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
        total.Items += slab.Queues.Count;
        total.ItemsHot += slab.Queues.Small.Count;
        total.ItemsWarm += slab.Queues.Main.Count;
        total.ItemsTemp += slab.Queues.Temp.Count;
        total.ItemsHotMax += slab.Queues.SmallCountMax(_arena.Eviction.SmallPercent);
        total.AgeSecondsHot = Math.Max(total.AgeSecondsHot, AgeOf(slab.Queues.Small.Tail, now));
        total.AgeSecondsWarm = Math.Max(total.AgeSecondsWarm, AgeOf(slab.Queues.Main.Tail, now));
        total.AgeSeconds = Math.Max(Math.Max(total.AgeSeconds, AgeOf(slab.Queues.Temp.Tail, now)), Math.Max(total.AgeSecondsHot, total.AgeSecondsWarm));
        total.GetHits += HitsOf(in counters);
        total.HitsHot += counters.GetHits[(int)QueueId.Small];
        total.HitsWarm += counters.GetHits[(int)QueueId.Main];
        total.HitsTemp += counters.GetHits[(int)QueueId.Temp];
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
        total.MovesToWarm += counters.MovesToMain;
        total.MovesWithinLru += counters.MovesWithinMain;
    }

    private uint AgeOf(uint handle, uint now) => handle == 0 ? 0 : _space.At(handle)->AgeSeconds(now);

    /// <summary>About what a line of `stats cachedump` holds besides the key.</summary>
    private const int ClassLineBytes = 24;

    /// <summary>More than fit into the lines of one answer; the lock is held meanwhile.</summary>
    private const int ClassItemsSeenMax = 64 * 1024;

    /// <summary>
    /// Adds a class's items, from the newest of each queue on, but for those with binary keys, until the list has so many, so many bytes of lines would be
    /// written, or <see cref="ClassItemsSeenMax"/> have been looked at.
    /// </summary>
    public void ReadClass(int classIndex, List<ClassItem> items, int itemsMax, ref int lineBytesLeft)
    {
        int seen = 0;
        ReadQueue(_classes[classIndex].Queues.Main.Head, items, itemsMax, ref seen, ref lineBytesLeft);
        ReadQueue(_classes[classIndex].Queues.Small.Head, items, itemsMax, ref seen, ref lineBytesLeft);
        ReadQueue(_classes[classIndex].Queues.Temp.Head, items, itemsMax, ref seen, ref lineBytesLeft);
    }

    private void ReadQueue(uint handle, List<ClassItem> items, int itemsMax, ref int seen, ref int lineBytesLeft)
    {
        for (; handle != 0 && items.Count < itemsMax && seen < ClassItemsSeenMax && lineBytesLeft >= 0; handle = _space.At(handle)->Next)
        {
            seen++;
            ItemHeader* item = _space.At(handle);
            if (item->Has(ItemWord.BinaryKey))
                continue; // such a key may not fit into a line
            lineBytesLeft -= item->KeyLength + ClassLineBytes;
            if (lineBytesLeft < 0)
                return;
            items.Add(new ClassItem(ItemHeader.KeySpan(item).ToArray(), _space.ValueLength(item), item->ExpiresAt));
        }
    }

    /// <summary>Moves a page of one class to another, or to the arena if <paramref name="to"/> is negative. False if no page can be had.</summary>
    public bool TryReassignPage(int from, int to, uint now)
    {
        if (Pins.HasReleased)
            FreeReleased();
        if (_noEviction && _classes[from].FreeCount < _heap.ChunksPerPage(from))
            return false;
        uint page = _mover.EmptyPageOf(from, now);
        if (page == 0)
            return false;
        AdoptReassigned(page, to);
        return true;
    }

    /// <summary>Gives a page that belongs to nobody to a class, or to the arena if <paramref name="to"/> is negative.</summary>
    public void AdoptReassigned(uint page, int to)
    {
        Counters.SlabsMoved++;
        if (to < 0)
        {
            _arena.Give(page);
            return;
        }

        // Nothing lies on it yet: of such pages a shard keeps one, for whichever class wants it first.
        _heap.Adopt(page, to);
        _heap.KeepSpare(page);
    }
}
