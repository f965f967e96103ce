namespace OrleansCache.Storage;

/// <summary>Why an item is not in its store any more.</summary>
internal enum LossCause
{
    /// <summary>A newer value took its place.</summary>
    Replaced = 0,

    /// <summary>A client deleted it, or a store that was refused took it away.</summary>
    Deleted,

    /// <summary>Its time was over.</summary>
    Expired,

    /// <summary>It made room for another item of its class.</summary>
    Evicted,

    /// <summary>It lay on a page that went to another class, and found no room elsewhere.</summary>
    PageMoved,

    /// <summary>-m was made smaller, or what counts against it besides pages has grown.</summary>
    MemoryLimit,

    Flushed,

    /// <summary>Its partition was closed here (its items have moved, or are given up).</summary>
    Closed,
}

/// <summary>
/// What came into a shard and what became of it, never reset: items linked = items present + the sum of all losses. <see cref="StoreShard.CheckIntegrity"/>
/// proves it.
/// </summary>
internal struct ItemLedger
{
    private static readonly int CauseCount = Enum.GetValues<LossCause>().Length;

    private readonly long[] _lost;

    public ItemLedger() => _lost = new long[CauseCount];

    /// <summary>Items linked: stored by clients, taken over from other silos, or found in the memory file.</summary>
    public long Linked;

    public readonly void Lose(LossCause cause) => _lost[(int)cause]++;

    public readonly long Lost(LossCause cause) => _lost[(int)cause];

    public readonly long LostInAll
    {
        get
        {
            long sum = 0;
            foreach (long lost in _lost)
                sum += lost;
            return sum;
        }
    }
}
