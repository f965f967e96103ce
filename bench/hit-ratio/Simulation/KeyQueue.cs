namespace OrleansCache.HitRatio.Simulation;

/// <summary>The links of doubly linked lists over the keys of a trace. A key is in one list at a time at most.</summary>
public sealed class KeyLinks(int keyCount)
{
    public const int None = -1;

    internal int[] Newer { get; } = new int[keyCount];

    internal int[] Older { get; } = new int[keyCount];
}

/// <summary>One list of keys, newest to oldest, with the sum of their bytes.</summary>
public sealed class KeyQueue(KeyLinks links, int[] itemBytes)
{
    public int Newest { get; private set; } = KeyLinks.None;

    public int Oldest { get; private set; } = KeyLinks.None;

    public int Count { get; private set; }

    public long Bytes { get; private set; }

    /// <summary>The key that is next newer than this one, or <see cref="KeyLinks.None"/>.</summary>
    public int NewerThan(int key) => links.Newer[key];

    public void Add(int key)
    {
        links.Newer[key] = KeyLinks.None;
        links.Older[key] = Newest;
        if (Newest != KeyLinks.None)
            links.Newer[Newest] = key;
        else
            Oldest = key;
        Newest = key;
        Count++;
        Bytes += itemBytes[key];
    }

    public void Remove(int key)
    {
        int newer = links.Newer[key];
        int older = links.Older[key];
        if (newer != KeyLinks.None)
            links.Older[newer] = older;
        else
            Newest = older;
        if (older != KeyLinks.None)
            links.Newer[older] = newer;
        else
            Oldest = newer;
        Count--;
        Bytes -= itemBytes[key];
    }

    public int RemoveOldest()
    {
        int key = Oldest;
        Remove(key);
        return key;
    }
}
