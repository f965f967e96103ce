namespace OrleansCache.Storage;

/// <summary>
/// The chunk sizes of an arena, the same for all partitions, and how items of every size are laid into chunks.
/// Algorithm: from the smallest chunk (-n) on each size is at most the former times a fifth of the growth factor's step (-f 1.25: 1.05), and divides the
/// page without a rest. An item up to <see cref="SingleChunkBytesMax"/>, or one whose chunk it fills but for a twentieth, lies in one chunk. Any other is a
/// chain: the largest chunk that it fills, and the rest of its value in further chunks by the same rule. So slack stays below 6% whatever the size.
/// Goal: a 32 byte key with a 100 byte value fills its chunk. Non-goal: memcached's exact sizes (its headers differ).
/// </summary>
internal sealed class SlabClasses
{
    /// <summary>Up to here a second chunk would cost a read more than the slack is worth.</summary>
    public const int SingleChunkBytesMax = 2048;

    /// <summary>An item may leave one in so many parts of its chunk empty before it is split.</summary>
    private const int SlackParts = 20;

    private readonly int[] _chunkBytes;
    private readonly byte[] _classOfGranules;

    public SlabClasses(int chunkBytesMin, double growthFactor, int granuleBytes, int pageBytes, int fixedBytes = ItemHeader.Bytes)
    {
        PageBytes = pageBytes;
        SplitBytesMax = pageBytes / 2;
        var sizes = new List<int>();
        double factor = 1 + ((Math.Max(growthFactor, 1.05) - 1) / 5);
        int bytes = RoundUp(Math.Clamp(fixedBytes + chunkBytesMin, fixedBytes + ItemHeader.FlagsBytes, SplitBytesMax), granuleBytes);
        int count = PageBytes / bytes;
        while (count > 2 && sizes.Count < Limits.SlabClassesMax - 2)
        {
            int size = PageBytes / count / granuleBytes * granuleBytes;
            if (sizes.Count == 0 || size > sizes[^1])
                sizes.Add(size);

            // At least one chunk fewer to a page, and no larger step than the factor's if the page allows it.
            count = Math.Min(count - 1, (int)Math.Ceiling(PageBytes / (size * factor)));
        }

        if (sizes.Count == 0 || sizes[^1] != SplitBytesMax)
            sizes.Add(SplitBytesMax);
        sizes.Add(PageBytes);
        _chunkBytes = [.. sizes];
        _classOfGranules = new byte[(SplitBytesMax / PageArena.GranuleBytesMin) + 1];
        for (int granules = 0, c = 0; granules < _classOfGranules.Length; granules++)
        {
            while (_chunkBytes[c] < granules * PageArena.GranuleBytesMin)
                c++;
            _classOfGranules[granules] = (byte)c;
        }
    }

    public int PageBytes { get; }

    /// <summary>Half a page: larger items are chains whatever their size.</summary>
    public int SplitBytesMax { get; }

    public int Count => _chunkBytes.Length;

    /// <summary>The class whose chunk is a whole page.</summary>
    public int PageClass => _chunkBytes.Length - 1;

    public int ChunkBytes(int classIndex) => _chunkBytes[classIndex];

    public int ChunksPerPage(int classIndex) => PageBytes / _chunkBytes[classIndex];

    /// <summary>The class with the smallest chunk of at least this many bytes, at most <see cref="SplitBytesMax"/>.</summary>
    public int ClassOf(int bytes) => _classOfGranules[(bytes + PageArena.GranuleBytesMin - 1) / PageArena.GranuleBytesMin];

    /// <summary>The class of an item of this size if it lies in one chunk, -1 if it is a chain.</summary>
    public int SingleClassOf(long itemBytes)
    {
        if (itemBytes > SplitBytesMax)
            return -1;
        int c = ClassOf((int)itemBytes);
        return IsBestInOneChunk((int)itemBytes, c) ? c : -1;
    }

    /// <summary>The class of a chain's first chunk, which the item fills.</summary>
    public int HeadClass(long chainedItemBytes) => LargestFilledBy(chainedItemBytes);

    /// <summary>The class of a chain's next chunk when this many bytes of the value are left.</summary>
    public int ContinuationClass(int bytesLeft)
    {
        long bytes = bytesLeft + (long)ContinuationHeader.Bytes;
        if (bytes > SplitBytesMax)
            return LargestFilledBy(bytes);
        int c = ClassOf((int)bytes);
        return IsBestInOneChunk((int)bytes, c) ? c : LargestFilledBy(bytes);
    }

    /// <summary>Pages that an item of this size takes at most.</summary>
    public long PagesMax(long itemBytes) => (itemBytes / (PageBytes - ContinuationHeader.Bytes)) + 4;

    /// <summary>Small enough, or with little slack; or the next smaller chunk would hold less than half of it.</summary>
    private bool IsBestInOneChunk(int bytes, int c) => bytes <= SingleChunkBytesMax
        || (_chunkBytes[c] - bytes) * SlackParts <= _chunkBytes[c]
        || c == 0
        || _chunkBytes[c - 1] * 2 < bytes;

    private int LargestFilledBy(long bytes)
    {
        if (bytes >= PageBytes)
            return PageClass;
        if (bytes >= SplitBytesMax)
            return PageClass - 1;
        int c = ClassOf((int)bytes);
        return _chunkBytes[c] == bytes || c == 0 ? c : c - 1;
    }

    private static int RoundUp(int value, int unit) => (value + unit - 1) / unit * unit;
}
