namespace OrleansCache.Storage;

/// <summary>
/// What <see cref="StoreKeeper"/> does in one store, each step short: passes over the items in the order of <see cref="Scan"/>, the lists of a class,
/// moves of pages.
/// </summary>
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
                if (budget.TryTake(_space.ClassOf(handle)))
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
                if (start < position && HashIndex.ScanOrderOf(_arena.HashOf(item)) < position)
                    continue;
                int size = (int)Math.Min((_space.RequestedBytes(item) + Limits.SizeStepBytes - 1) / Limits.SizeStepBytes * Limits.SizeStepBytes, int.MaxValue);
                counts[size] = counts.GetValueOrDefault(size) + 1;
            }

            position = end;
        }

        return _index.BucketCount == 0 ? uint.MaxValue + 1ul : position;
    }

    /// <summary>An item that a pass has come to: freed, if it has expired.</summary>
    private bool TryReclaim(uint handle, uint now)
    {
        ItemHeader* item = _space.At(handle);
        ref SlabClassCounters counters = ref _classes[_space.ClassOf(handle)].Counters;
        counters.CrawlerItemsChecked++;
        if (!Expiry.IsExpired(item->ExpiresAt, now))
            return false;
        StoreShard.CountCrawled(item, ref counters);
        Unlink(_arena.HashOf(item), handle, LossCause.Expired);
        return true;
    }
}
