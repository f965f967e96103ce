namespace OrleansCache;

/// <summary>What an operator may change of a store's eviction and page moves while it runs: where `lru` and `slabs automove` end up.</summary>
public readonly record struct StoreTuning
{
    public const int SmallPercentDefault = 5;

    public StoreTuning()
    {
    }

    /// <summary>
    /// The share of a class that new items may hold until they have been read, in percent. A class gives them more where that brings hits, never less.
    /// </summary>
    public int SmallPercent { get; init; } = SmallPercentDefault;

    /// <summary>Items with a time to live up to this are evicted first; 0: none are.</summary>
    public uint TempTtlSeconds { get; init; }

    /// <summary>One queue for each class, in which a read gives a second chance, instead of one for new items and one for proven items.</summary>
    public bool IsFlat { get; init; }

    /// <summary>Pages move to the classes that gain most hits from them. If not, they move only to classes that have none.</summary>
    public bool MovesPages { get; init; } = true;
}
