namespace OrleansCache.Gateway.Options;

/// <summary>
/// What memcached lets an operator tune of its LRU, its crawler and its page mover, with its defaults: the values that `stats settings` shows and that the
/// commands `lru`, `lru_crawler` and `slabs automove` change. <see cref="Tuning"/> is what reaches the stores; what has no counterpart there is kept and shown,
/// no more (docs/options.md).
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

    /// <summary>hot_lru_pct, the share of the small queue; null: the store's own.</summary>
    public int? HotPercent { get; init; }

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

    /// <summary>What the stores are told.</summary>
    public StoreTuning Tuning => new()
    {
        SmallPercent = HotPercent ?? StoreTuning.SmallPercentDefault,
        TempTtlSeconds = TemporaryEnabled ? (uint)Math.Max(0, TemporaryTtlSeconds) : 0,
        IsFlat = !IsSegmented,
        MovesPages = SlabReassign && SlabAutomove > 0,
    };
}
