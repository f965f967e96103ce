namespace OrleansCache;

/// <summary>
/// The administration of the stores of one process, beside requests: what `stats cachedump`, `stats sizes`, `lru_crawler` and `slabs` need. Callable from any
/// thread. What takes long runs elsewhere, in short turns under each partition's lock.
/// </summary>
public interface IStoreAdmin
{
    /// <summary>Slab classes are numbered from 1 to this; 0 in a process without stores.</summary>
    int ClassCount { get; }

    /// <summary>Whether expired items are looked for without being asked.</summary>
    bool CrawlerEnabled { get; set; }

    /// <summary>In force at once, for all stores of the process.</summary>
    StoreTuning Tuning { get; set; }

    /// <summary>
    /// Begins a pass over all items that frees those that have expired; false if one is under way. Stops at <see cref="CrawlRequest.ItemsMaxPerClass"/>.
    /// </summary>
    bool TryStartCrawl(CrawlRequest request);

    /// <summary>
    /// Items of one class, in each partition from the one used last to the one used first, until there are enough of them. Those that have expired are among
    /// them.
    /// </summary>
    IReadOnlyList<ClassItem> ReadClass(int classId, int itemsMax, int lineBytesMax);

    /// <summary>How many items there are of each size: key, value and header, in steps of <see cref="Limits.SizeStepBytes"/>, rounded up; ascending.</summary>
    Task<IReadOnlyList<KeyValuePair<int, long>>> ReadSizesAsync(CancellationToken cancellationToken);

    /// <summary>Moves a page from one slab class to another. Class 0 is the memory that no class holds, source -1 any class that has a page to spare.</summary>
    PageMoveStatus MovePage(int sourceClass, int targetClass);
}

/// <summary>What to crawl.</summary>
/// <param name="Classes">True at the number of each class that is to be looked at; null: all.</param>
/// <param name="ItemsMaxPerClass">Items of one class to look at; 0: all.</param>
/// <param name="SleepMicroseconds">Pause after each thousand items.</param>
public sealed record CrawlRequest(IReadOnlyList<bool>? Classes, uint ItemsMaxPerClass, int SleepMicroseconds);

/// <summary>An item as `stats cachedump` shows it.</summary>
/// <param name="Key">A copy.</param>
/// <param name="ValueBytes">Length of the value.</param>
/// <param name="ExpiresAt">Unix seconds, 0 = never.</param>
public readonly record struct ClassItem(byte[] Key, int ValueBytes, uint ExpiresAt);

/// <summary>How a move of a page ended.</summary>
public enum PageMoveStatus
{
    Moved = 0,

    /// <summary>There is no such class.</summary>
    BadClass,

    /// <summary>The source has fewer than two pages, or (where nothing may be evicted) no page whose items have room elsewhere.</summary>
    NoSpare,

    SameClass,

    /// <summary>Every page of the source holds something that is being used at this moment.</summary>
    Busy,
}

/// <summary>The administration of a process without stores.</summary>
public sealed class NoStores : IStoreAdmin
{
    public static NoStores Instance { get; } = new();

    public int ClassCount => 0;

    public bool CrawlerEnabled { get; set; } = true;

    public StoreTuning Tuning { get; set; } = new();

    public bool TryStartCrawl(CrawlRequest request) => true;

    public IReadOnlyList<ClassItem> ReadClass(int classId, int itemsMax, int lineBytesMax) => [];

    public Task<IReadOnlyList<KeyValuePair<int, long>>> ReadSizesAsync(CancellationToken cancellationToken) =>
        Task.FromResult<IReadOnlyList<KeyValuePair<int, long>>>([]);

    public PageMoveStatus MovePage(int sourceClass, int targetClass) => PageMoveStatus.BadClass;
}
