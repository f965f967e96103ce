namespace OrleansCache.Storage;

/// <summary>
/// What a flush has removed from a partition, for get_flushed: memcached keeps flushed items until they are asked for, and counts that; here they are gone at
/// once, and of each only the 8 bits remain by which its hash bucket knew it. Taken from the index bucket by bucket, without a look at the items, so that a
/// flush stays quick. Every flushed item counts at most once, with the first request for its key. A request for a key that was never there is taken for a
/// flushed one with a probability of the bucket's items in 255, at most 3 in 100. Bounded: of a larger partition only the first buckets are remembered, and
/// what lies in their overflow is not.
/// </summary>
internal sealed class FlushedKeys
{
    /// <summary>Bytes of all partitions' memories together: enough for nearly three million items.</summary>
    private const int BytesMax = 4 * 1024 * 1024;

    /// <summary>Buckets of one partition that are remembered: the flush holds the lock while it reads them.</summary>
    private const int BucketsMax = 4096;

    private readonly HashIndex _shape;
    private readonly byte[] _tags;
    private int _left;

    private FlushedKeys(in HashIndex index, byte[] tags, int count)
    {
        _shape = index.WithoutPages();
        _tags = tags;
        _left = count;
    }

    /// <summary>Nothing is left to be asked for.</summary>
    public bool IsEmpty => _left == 0;

    /// <summary>Remembers what an index holds; null if that is nothing.</summary>
    public static FlushedKeys? Of(in HashIndex index, int partitionCount)
    {
        uint buckets = (uint)Math.Min(index.BucketCount, Math.Min(BucketsMax, BytesMax / partitionCount / HashIndex.SlotsPerBucket));
        if (index.ItemCount == 0 || buckets == 0)
            return null;
        byte[] tags = new byte[buckets * HashIndex.SlotsPerBucket];
        for (uint bucket = 0; bucket < buckets; bucket++)
            index.ReadTags(bucket, tags.AsSpan((int)bucket * HashIndex.SlotsPerBucket, HashIndex.SlotsPerBucket));
        return new FlushedKeys(in index, tags, tags.Length - tags.AsSpan().Count((byte)0));
    }

    /// <summary>Whether an item with this hash was flushed and has not been asked for since.</summary>
    public bool TryTake(ulong hash)
    {
        uint bucket = _shape.FindTag(hash, out byte tag);
        if (bucket >= (uint)_tags.Length / HashIndex.SlotsPerBucket)
            return false;
        Span<byte> slots = _tags.AsSpan((int)bucket * HashIndex.SlotsPerBucket, HashIndex.SlotsPerBucket);
        int slot = slots.IndexOf(tag);
        if (slot < 0)
            return false;
        slots[slot] = 0;
        _left--;
        return true;
    }
}
