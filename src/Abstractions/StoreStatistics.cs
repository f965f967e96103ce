namespace OrleansCache;

/// <summary>Counters and gauges of the stores of one process, with memcached's meanings. A snapshot, summed over partitions.</summary>
public sealed class StoreStatistics
{
    // Counters.
    public long CmdGet, CmdSet, CmdTouch, CmdFlush;
    public long GetHits, GetMisses, GetExpired, GetFlushed;
    public long DeleteHits, DeleteMisses;
    public long IncrHits, IncrMisses, DecrHits, DecrMisses;
    public long CasHits, CasMisses, CasBadValue;
    public long TouchHits, TouchMisses;
    public long TotalItems, Evictions, Reclaimed, ExpiredUnfetched, EvictedUnfetched, EvictedActive;
    public long StoreTooLarge, StoreNoMemory, SlabReassignEvictions, SlabsMoved;

    /// <summary>Items and later chunks of items that were moved out of a page that was taken away, and expired items that were found in one.</summary>
    public long SlabReassignRescues, SlabReassignChunkRescues, SlabReassignInlineReclaim;

    /// <summary>Expired items that were found by looking for them, and items looked at; passes begun; times that the background work woke.</summary>
    public long CrawlerReclaimed, CrawlerItemsChecked, CrawlerStarts, MaintainerWakes;

    /// <summary>Pinned items met at the cold end; items that moved on to the main queue because they were read, and that stayed in it.</summary>
    public long LruTailReflocked, MovesToWarm, MovesWithinLru;

    // What has become of all items that were ever stored here, by clients, by a move from another silo or by a restart. Never reset:
    // stored = present (CurrItems and ReplicaItems) + waiting + the sum of all lost.
    public long ItemsStored;

    /// <summary>Flushed, or of a partition that is closed: nobody finds them any more, and their memory is being freed.</summary>
    public long ItemsWaiting;

    /// <summary>
    /// By a newer value, or by a client's delete; their time was over; they made room for another item, a page for another class, or a limit that fell.
    /// </summary>
    public long LostReplaced, LostDeleted, LostExpired, LostEvicted, LostPageMoved, LostMemoryLimit;

    /// <summary>By flush_all; with a partition that was closed here (its items have moved, or are given up).</summary>
    public long LostFlushed, LostClosed;

    // Gauges.
    public long CurrItems, Bytes, LimitMaxBytes;

    /// <summary>Items of replicas of what other silos serve, and what they asked for; they are not among CurrItems, but take memory like others.</summary>
    public long ReplicaItems, ReplicaBytes;

    /// <summary>Bytes of the hash index, and the power of two of buckets in all.</summary>
    public long HashBytes;
    public int HashPowerLevel;

    /// <summary>Bytes of pages that partitions hold, and of pages never handed out or given back.</summary>
    public long PageBytesUsed, PageBytesFree;

    /// <summary>Pages that were given back and that nobody holds.</summary>
    public long PoolPages;

    /// <summary>Parts that the memory is divided into, each with eviction queues of its own, and the bytes of a page.</summary>
    public int ShardCount, PageBytes;

    /// <summary>What is remembered of evicted items: bytes taken, and for how many items there is room. Bytes of items that are just being sent.</summary>
    public long GhostBytes, GhostsMax, PinnedBytes;

    /// <summary>A pass that was asked for is under way.</summary>
    public bool IsCrawling;

    /// <summary>Pages and chunks by slab class, ascending by chunk size; empty unless asked for.</summary>
    public SlabClassStatistics[] Classes { get; set; } = [];
}

/// <summary>One slab class, summed over the partitions of a process.</summary>
public struct SlabClassStatistics
{
    /// <summary>1 is the smallest.</summary>
    public int ClassId;

    /// <summary>Bytes of one chunk, header included, and how many make a page.</summary>
    public int ChunkBytes, ChunksPerPage;
    public long TotalPages, UsedChunks, FreeChunks;

    /// <summary>Bytes that items asked for: key, value and header.</summary>
    public long MemRequested;
    public long Items;

    /// <summary>Items of the small, the main and the temp queue, which `stats items` calls hot, warm and temp.</summary>
    public long ItemsHot, ItemsWarm, ItemsTemp;

    /// <summary>Items that the small queue may hold before eviction takes from it.</summary>
    public long ItemsHotMax;

    /// <summary>
    /// What the class has earned by items that came back soon after they were evicted; with a page's worth it takes one from the class with the least.
    /// </summary>
    public long CreditBytes;

    /// <summary>Seconds since the last access of the oldest item, of all and of the small and the main queue.</summary>
    public long AgeSeconds, AgeSecondsHot, AgeSecondsWarm;
    public long GetHits, CmdSet, DeleteHits, IncrHits, DecrHits, CasHits, CasBadValue, TouchHits;

    /// <summary>Get hits by the queue that held the item.</summary>
    public long HitsHot, HitsWarm, HitsTemp;
    public long Evicted, EvictedNonzero, EvictedTimeSeconds, OutOfMemory, Reclaimed, ExpiredUnfetched, EvictedUnfetched, EvictedActive;
    public long CrawlerReclaimed, CrawlerItemsChecked, LruTailReflocked, MovesToWarm, MovesWithinLru;
}
