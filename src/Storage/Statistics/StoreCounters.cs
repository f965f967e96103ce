namespace OrleansCache.Storage;

/// <summary>Counters of a shard that belong to no slab class, in memcached's meanings.</summary>
internal struct StoreCounters
{
    public long GetMisses, GetExpired, GetFlushed, TouchMisses, DeleteMisses, IncrMisses, DecrMisses, CasMisses;
    public long TotalItems, StoreTooLarge, StoreNoMemory, SlabReassignEvictions, SlabsMoved;
    public long SlabReassignRescues, SlabReassignChunkRescues, SlabReassignInlineReclaim;
}
