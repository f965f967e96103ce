namespace OrleansCache.Storage;

/// <summary>
/// The index of a partition that was flushed or closed: nobody finds its items any more, and a shard frees them in turns
/// (<see cref="StoreShard.DrainDetached"/>). Until then eviction and moves of pages may meet them, so it can still be asked and changed.
/// </summary>
internal sealed class DetachedIndex(PartitionId id, HashIndex index, LossCause cause)
{
    // A field: the index is a struct that changes.
    private HashIndex _index = index;

    public PartitionId Id { get; } = id;

    /// <summary>What its items count as.</summary>
    public LossCause Cause { get; } = cause;

    /// <summary>The bucket to free next.</summary>
    public uint NextBucket { get; set; }

    public ref HashIndex Index => ref _index;

    /// <summary>
    /// Whether an item of this partition still waits here. What stands in a bucket that has been freed does not count: its chunk may belong to another item by
    /// now, and that item may be one of the same key in an index that was detached later.
    /// </summary>
    public bool Holds(PartitionId partition, ulong hash, uint handle) =>
        partition == Id && _index.FindTag(hash, out _) >= NextBucket && _index.Contains(hash, handle);
}
