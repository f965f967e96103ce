namespace OrleansCache.Storage;

/// <summary>
/// The chunk sizes of an arena, the same for all partitions.
/// Algorithm: from the smallest chunk (-n) on each size is the former times the growth factor (-f); up to <see cref="FineBytesMax"/> sizes grow by a quarter
/// of that (by half with small pages, where a page in part empty costs more than slack), because there a chunk's slack weighs most per item. Each size is then widened to what the page divides into, so that no page has an unused rest
/// of a chunk's size. The largest two are half a page and a page; the page-sized ones serve chains only.
/// Goal: a 32 byte key with a 100 byte value fills its chunk. Non-goal: memcached's exact sizes (its headers differ).
/// </summary>
internal sealed class SlabClasses
{
    /// <summary>Up to here sizes are spaced more finely.</summary>
    public const int FineBytesMax = 256;

    private const int SmallPageBytesMax = 8192;

    private readonly int[] _chunkBytes;
    private readonly byte[] _classOfGranules;

    public SlabClasses(int chunkBytesMin, double growthFactor, int granuleBytes, int pageBytes)
    {
        PageBytes = pageBytes;
        ContiguousBytesMax = pageBytes / 2;
        var sizes = new List<int>();
        double factor = Math.Max(growthFactor, 1.0625);
        double fineFactor = 1 + ((factor - 1) / (pageBytes <= SmallPageBytesMax ? 2 : 4));
        int bytes = RoundUp(Math.Clamp(ItemHeader.Bytes + chunkBytesMin, ItemHeader.Bytes + 4, ContiguousBytesMax), granuleBytes);
        while (bytes < ContiguousBytesMax)
        {
            int widened = PageBytes / (PageBytes / bytes) / granuleBytes * granuleBytes;
            sizes.Add(widened);
            bytes = Math.Max(RoundUp((int)(widened * (widened < FineBytesMax ? fineFactor : factor)), granuleBytes), widened + granuleBytes);
        }

        if (sizes.Count == 0 || sizes[^1] != ContiguousBytesMax)
            sizes.Add(ContiguousBytesMax);
        sizes.Add(PageBytes);
        _chunkBytes = [.. sizes];
        _classOfGranules = new byte[(ContiguousBytesMax / PageArena.GranuleBytesMin) + 1];
        for (int granules = 0, c = 0; granules < _classOfGranules.Length; granules++)
        {
            while (_chunkBytes[c] < granules * PageArena.GranuleBytesMin)
                c++;
            _classOfGranules[granules] = (byte)c;
        }
    }

    public int PageBytes { get; }

    /// <summary>Items of up to this many bytes with their header lie in one chunk, half a page; larger ones are chains.</summary>
    public int ContiguousBytesMax { get; }

    public int Count => _chunkBytes.Length;

    /// <summary>The class whose chunk is a whole page.</summary>
    public int PageClass => _chunkBytes.Length - 1;

    /// <summary>The class whose chunk is half a page.</summary>
    public int HalfPageClass => _chunkBytes.Length - 2;

    public int ChunkBytes(int classIndex) => _chunkBytes[classIndex];

    public int ChunksPerPage(int classIndex) => PageBytes / _chunkBytes[classIndex];

    /// <summary>The class with the smallest chunk of at least this many bytes, at most <see cref="ContiguousBytesMax"/>.</summary>
    public int ClassOf(int bytes) => _classOfGranules[(bytes + PageArena.GranuleBytesMin - 1) / PageArena.GranuleBytesMin];

    private static int RoundUp(int value, int unit) => (value + unit - 1) / unit * unit;
}
