using System.Runtime.CompilerServices;

namespace OrleansCache.Storage;

/// <summary>One slab class in one shard: its free chunks, its pages, its items' queues and its counters. Guarded by the shard's lock.</summary>
internal struct SlabClass
{
    public uint FreeHead;
    public int FreeCount;

    /// <summary>First of the class's pages; linked through <see cref="PageInfo"/>.</summary>
    public uint PageHead;
    public int PageCount;

    public ClassQueues Queues;

    /// <summary>Items that asked for a chunk while the class had no page.</summary>
    public int Demand;

    /// <summary>Evictions until the class compares the age of its items with that of others again.</summary>
    public int AgeCheckIn;

    /// <summary>Bytes that the items headed in this class asked for.</summary>
    public long RequestedBytes;

    /// <summary>Hits and stores, never reset: how much the class is used.</summary>
    public long Uses;

    public SlabClassCounters Counters;
}

/// <summary>The counters of <see cref="SlabClassStatistics"/>, in memcached's meanings.</summary>
internal struct SlabClassCounters
{
    /// <summary>By <see cref="QueueId"/>.</summary>
    public CounterPerQueue GetHits;

    public long CmdSet, DeleteHits, IncrHits, DecrHits, CasHits, CasBadValue, TouchHits;
    public long Evicted, EvictedNonzero, OutOfMemory, Reclaimed, ExpiredUnfetched, EvictedUnfetched, EvictedActive;
    public long CrawlerReclaimed, CrawlerItemsChecked, LruTailReflocked, MovesToMain, MovesWithinMain;
    public uint EvictedTimeSeconds;
}

/// <summary>A counter for each <see cref="QueueId"/>.</summary>
[InlineArray(3)]
internal struct CounterPerQueue
{
    private long _first;
}
