namespace OrleansCache.Storage;

/// <summary>What <see cref="StoreKeeper"/> does in one store, each step short: passes over the items in the order of <see cref="Scan"/>, the lists of a class, moves of pages.</summary>
public sealed unsafe partial class PartitionStore
{
    /// <summary>Buckets of one step of a pass, of about 8 items.</summary>
    private const int PassBucketsMax = 64;

    /// <summary>
    /// Looks at some buckets' items for expired ones and frees those. Returns where to go on; above <see cref="uint.MaxValue"/> the pass is at its end.
    /// </summary>
    internal ulong Crawl(ulong position, CrawlBudget budget, uint now)
    {
        SettleBeforePass(now);
        var handles = new List<uint>();
        for (int i = 0; i < PassBucketsMax && position <= uint.MaxValue && _index.BucketCount != 0; i++)
        {
            handles.Clear();
            _index.ReadBucket(_index.FindScanInterval((uint)position, out _, out position), handles);
            foreach (uint handle in handles)
            {
                if (budget.TryTake(_space.At(handle)->ClassIndex))
                    TryReclaim(handle, now);
            }
        }

        return _index.BucketCount == 0 ? uint.MaxValue + 1ul : position;
    }

    /// <summary>Counts some buckets' items by their size, in steps, rounded up. Returns as <see cref="Crawl"/>.</summary>
    internal ulong CountSizes(ulong position, Dictionary<int, long> counts, uint now)
    {
        SettleBeforePass(now);
        var handles = new List<uint>();
        for (int i = 0; i < PassBucketsMax && position <= uint.MaxValue && _index.BucketCount != 0; i++)
        {
            handles.Clear();
            _index.ReadBucket(_index.FindScanInterval((uint)position, out uint start, out ulong end), handles);
            foreach (uint handle in handles)
            {
                ItemHeader* item = _space.At(handle);
                if (start < position && HashIndex.ScanOrderOf(_arena.Hasher.Compute(ItemHeader.KeySpan(item))) < position)
                    continue;
                int size = (int)Math.Min((item->RequestedBytes + Limits.SizeStepBytes - 1) / Limits.SizeStepBytes * Limits.SizeStepBytes, int.MaxValue);
                counts[size] = counts.GetValueOrDefault(size) + 1;
            }

            position = end;
        }

        return _index.BucketCount == 0 ? uint.MaxValue + 1ul : position;
    }

    /// <summary>More than fit into the lines of one answer; the lock is held meanwhile.</summary>
    private const int ClassItemsSeenMax = 64 * 1024;

    /// <summary>
    /// Adds a class's items, from the hot end of its list on, but for those with binary keys, until the list has so many, so many bytes of lines would be written, or
    /// <see cref="ClassItemsSeenMax"/> have been looked at.
    /// </summary>
    internal void ReadClass(int classIndex, List<ClassItem> items, int itemsMax, ref int lineBytesLeft)
    {
        int seen = 0;
        for (uint handle = _classes[classIndex].Lru.Head; handle != 0 && items.Count < itemsMax && seen < ClassItemsSeenMax; handle = _space.At(handle)->LruNext)
        {
            seen++;
            ItemHeader* item = _space.At(handle);
            if ((item->Marks & ItemMarks.BinaryKey) != 0)
                continue; // such a key may not fit into a line
            lineBytesLeft -= item->KeyLength + ClassLineBytes;
            if (lineBytesLeft < 0)
                return;
            items.Add(new ClassItem(ItemHeader.KeySpan(item).ToArray(), item->ValueLength, item->ExpiresAt));
        }
    }

    internal int PageCountOf(int classIndex) => _classes[classIndex].PageCount;

    /// <summary>Moves a page of one class to another, or to the arena if <paramref name="to"/> is negative. False if no page can be had.</summary>
    internal bool TryReassignPage(int from, int to, uint now)
    {
        if (_released != 0)
            FreeReleased();
        if (_noEviction && _classes[from].FreeCount < _sizes.ChunksPerPage(from))
            return false;
        uint page = EmptyPageOf(from, now);
        if (page == 0)
            return false;
        AdoptReassigned(page, to);
        return true;
    }

    /// <summary>Gives a page that belongs to nobody to a class, or to the arena if <paramref name="to"/> is negative.</summary>
    internal void AdoptReassigned(uint page, int to)
    {
        if (to >= 0)
        {
            AdoptMoved(page, to);

            // Nothing lies on it yet: of such pages a store keeps one, for whichever class wants it first.
            ReleaseSpare();
            _sparePage = page;
            return;
        }

        _counters.SlabsMoved++;
        _arena.Give(page);
    }

    /// <summary>About what a line of `stats cachedump` holds besides the key.</summary>
    private const int ClassLineBytes = 24;

    private void SettleBeforePass(uint now)
    {
        if (now >= _flushAt)
            FireScheduledFlush();
        if (_released != 0)
            FreeReleased();
    }

    /// <summary>An item that a pass has come to: freed, if it has expired.</summary>
    private bool TryReclaim(uint handle, uint now)
    {
        ItemHeader* item = _space.At(handle);
        ref SlabClassCounters counters = ref _classes[item->ClassIndex].Counters;
        counters.CrawlerItemsChecked++;
        if (!Expiry.IsExpired(item->ExpiresAt, now))
            return false;
        counters.CrawlerReclaimed++;
        if ((item->Marks & ItemMarks.Fetched) == 0)
            counters.ExpiredUnfetched++;
        Unlink(handle);
        return true;
    }
}
