namespace OrleansCache.Storage;

/// <summary>One slab class in one partition: its free chunks, its items by recency, its pages and its counters. Guarded by the partition's lock.</summary>
internal struct SlabClass
{
    public uint FreeHead;
    public int FreeCount;
    public ClassLru Lru;

    /// <summary>First of the class's pages; linked through <see cref="PageInfo"/>.</summary>
    public uint PageHead;
    public int PageCount;

    /// <summary>Chunks evicted since the class last asked whether older items lie elsewhere.</summary>
    public int EvictionsSinceMove;

    /// <summary>Bytes that the items headed in this class asked for.</summary>
    public long RequestedBytes;

    public SlabClassCounters Counters;
}

/// <summary>The counters of <see cref="SlabClassStatistics"/>, in memcached's meanings.</summary>
internal struct SlabClassCounters
{
    public long GetHits, CmdSet, DeleteHits, IncrHits, DecrHits, CasHits, CasBadValue, TouchHits;
    public long Evicted, EvictedNonzero, OutOfMemory, Reclaimed, ExpiredUnfetched, EvictedUnfetched, EvictedActive;
    public long CrawlerReclaimed, CrawlerItemsChecked, LruTailReflocked, MovesWithinLru;
    public uint EvictedTimeSeconds;
}
