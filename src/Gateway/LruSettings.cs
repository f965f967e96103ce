namespace OrleansCache.Gateway;

/// <summary>
/// What memcached lets an operator tune of its LRU, its crawler and its page mover, with its defaults: the values that `stats settings` shows and that the commands `lru`,
/// `lru_crawler` and `slabs automove` change. This server's store tunes itself, so most of them are kept and shown, no more; docs/options.md says which.
/// </summary>
public sealed record LruSettings
{
    public bool CrawlerEnabled { get; init; } = true;

    public int CrawlerSleepMicroseconds { get; init; } = 100;

    /// <summary>0: no limit.</summary>
    public uint CrawlerItemsMax { get; init; }

    public bool MaintainerEnabled { get; init; } = true;

    /// <summary>`lru mode segmented`, or flat.</summary>
    public bool IsSegmented { get; init; } = true;

    public int HotPercent { get; init; } = 20;

    public int WarmPercent { get; init; } = 40;

    public double HotAgeFactor { get; init; } = 0.2;

    public double WarmAgeFactor { get; init; } = 2.0;

    public bool TemporaryEnabled { get; init; }

    public int TemporaryTtlSeconds { get; init; } = 61;

    public bool SlabReassign { get; init; } = true;

    /// <summary>0, 1 or 2.</summary>
    public int SlabAutomove { get; init; } = 1;

    public double SlabAutomoveRatio { get; init; } = 0.8;

    public int SlabAutomoveWindow { get; init; } = 10;

    public double SlabAutomoveFreeRatio { get; init; } = 0.01;

    public int SlabChunkBytesMax { get; init; } = 512 * 1024;

    public int HashPowerAtStart { get; init; }

    public int TailRepairSeconds { get; init; }
}
