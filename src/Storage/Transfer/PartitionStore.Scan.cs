namespace OrleansCache.Storage;

/// <summary>
/// Reading through all items without keeping anything between the steps. The items' order is that of <see cref="HashIndex.FindScanInterval"/>: it depends on
/// the keys alone, so a position stays good while the index grows, while items come and go, and when the items have moved to another store, whose index may
/// have another size. A step looks at whole buckets. One that begins in the middle of a bucket (only another store's position does) leaves out what lies before
/// it. Goals: an item that is there all the time is told at least once (exactly once unless it is stored anew meanwhile); the lock is held for a bounded number
/// of buckets. Non-goal: a snapshot.
/// </summary>
public sealed unsafe partial class PartitionStore
{
    /// <summary>Buckets of one step: a step through an index that deletions have left nearly empty ends, too.</summary>
    private const int ScanBucketsMax = 1024;

    /// <summary>Tells the items from a position on; see <see cref="IPartitionRouter.ScanAsync"/>.</summary>
    public ItemScanPage Scan(ulong position, uint nowUnixSeconds)
    {
        SettleBeforePass(nowUnixSeconds);
        var items = new List<ItemRecord>();
        var handles = new List<uint>();
        if (_index.BucketCount == 0)
            return new ItemScanPage(items, 0, IsLast: true);
        for (int buckets = 0; position <= uint.MaxValue && items.Count < Limits.ScanItemsPerPage && buckets < ScanBucketsMax; buckets++)
        {
            uint bucket = _index.FindScanInterval((uint)position, out uint start, out ulong end);
            handles.Clear();
            _index.ReadBucket(bucket, handles);
            foreach (uint handle in handles)
            {
                ItemHeader* item = _space.At(handle);
                if (Expiry.IsExpired(item->ExpiresAt, nowUnixSeconds))
                    continue;
                if (start < position && HashIndex.ScanOrderOf(_arena.HashOf(item)) < position)
                    continue;
                items.Add(Describe(handle, nowUnixSeconds));
            }

            position = end;
        }

        return new ItemScanPage(items, position, IsLast: position > uint.MaxValue);
    }

    private ItemRecord Describe(uint handle, uint now)
    {
        ItemHeader* item = _space.At(handle);
        return new ItemRecord(
            ItemHeader.KeySpan(item).ToArray(),
            item->ExpiresAt,
            item->LastAccess(now),
            item->Cas,
            item->Has(ItemWord.Fetched),
            _space.ClassOf(handle) + 1,
            (int)Math.Min(_space.RequestedBytes(item), int.MaxValue),
            _space.ClientFlags(item),
            item->Has(ItemWord.BinaryKey));
    }
}
