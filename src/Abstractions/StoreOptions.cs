namespace OrleansCache;

/// <summary>What a silo's stores are made with; memcached's options in memcached's meanings.</summary>
public sealed record StoreOptions
{
    /// <summary>-m: bytes for items, index and headers together.</summary>
    public long MemoryBytes { get; init; } = 64L * 1024 * 1024;

    /// <summary>
    /// What cache_memlimit may raise <see cref="MemoryBytes"/> to while the process runs: so many addresses are reserved. Less than that means no more than
    /// that.
    /// </summary>
    public long MemoryBytesMax { get; init; }

    /// <summary>-I: memcached's limit for an item with headers.</summary>
    public int ItemBytesMax { get; init; } = Limits.ItemBytesDefault;

    /// <summary>-n: least bytes for key, value and flags in the smallest chunk.</summary>
    public int ChunkBytesMin { get; init; } = 48;

    /// <summary>-f: factor from one slab class to the next.</summary>
    public double GrowthFactor { get; init; } = 1.25;

    /// <summary>-e: the file that the memory lies in, so that a restart finds its items again; null: none.</summary>
    public string? MemoryFilePath { get; init; }

    /// <summary>
    /// Of a silo: a memory file whose items were last served longer ago is not used, because the cluster may have gone on without this silo. Null: a single
    /// node.
    /// </summary>
    public TimeSpan? MemoryFileAgeMax { get; init; }

    /// <summary>-M: refuse to store instead of evicting.</summary>
    public bool NoEviction { get; init; }

    /// <summary>-C: no CAS numbers; gets shows 0 and cas on a present key answers EXISTS, as in memcached.</summary>
    public bool NoCas { get; init; }

    /// <summary>--partitions.</summary>
    public int PartitionCount { get; init; } = Limits.PartitionsDefault;

    /// <summary>Parts of the memory with locks and eviction queues of their own; 0: as many as suit the memory and the cores.</summary>
    public int ShardCount { get; init; }

    /// <summary>
    /// Seed of the key hash. None: a single node draws one, a silo learns the cluster's before it opens its first partition.
    /// </summary>
    public HashSeed HashSeed { get; init; }

    /// <summary>Seed of everything else that is random in the stores.</summary>
    public ulong Seed { get; init; } = 1;
}
