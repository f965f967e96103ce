namespace OrleansCache.Storage;

/// <summary>Which items a crawl still has to look at. Used by one crawl.</summary>
internal sealed class CrawlBudget
{
    private readonly long[] _left;

    public CrawlBudget(CrawlRequest request, int classCount)
    {
        _left = new long[classCount];
        for (int c = 0; c < classCount; c++)
        {
            bool isWanted = request.Classes is not { } classes || (c + 1 < classes.Count && classes[c + 1]);
            _left[c] = !isWanted ? 0 : request.ItemsMaxPerClass == 0 ? long.MaxValue : request.ItemsMaxPerClass;
        }
    }

    /// <summary>Items looked at so far.</summary>
    public long Taken { get; private set; }

    /// <summary>No class has anything left.</summary>
    public bool IsSpent => !_left.AsSpan().ContainsAnyExcept(0);

    /// <summary>Whether an item of this class is to be looked at.</summary>
    public bool TryTake(int classIndex)
    {
        if (_left[classIndex] == 0)
            return false;
        _left[classIndex]--;
        Taken++;
        return true;
    }
}
