namespace OrleansCache.Storage;

/// <summary>
/// How cold an item is, comparable between classes and partitions: the seconds since its last use, and, where those say little, the changes that its
/// partition has seen since it was stored. (Keys are spread by hash, so partitions change about equally often.)
/// </summary>
internal readonly record struct Coldness(uint AgeSeconds, ulong AgeMutations)
{
    /// <summary>Much colder in seconds: by this and by a quarter.</summary>
    private const uint GapSecondsMin = 2;

    /// <summary>Much colder in changes: by this and by half.</summary>
    private const ulong GapMutationsMin = 16;

    public bool IsMuchColderThan(in Coldness other) => IsMuchOlder(other.AgeSeconds)
        || (!other.IsMuchOlder(AgeSeconds) && AgeMutations > other.AgeMutations + (other.AgeMutations / 2) + GapMutationsMin);

    public bool IsColderThan(in Coldness other) => IsMuchOlder(other.AgeSeconds)
        || (!other.IsMuchOlder(AgeSeconds) && AgeMutations > other.AgeMutations);

    private bool IsMuchOlder(uint thanSeconds) => AgeSeconds >= thanSeconds + GapSecondsMin && AgeSeconds > thanSeconds + (thanSeconds / 4);
}
