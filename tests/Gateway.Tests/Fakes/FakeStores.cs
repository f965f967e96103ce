namespace OrleansCache.Gateway.Tests.Fakes;

/// <summary>Answers what the test says and remembers what it was asked.</summary>
public sealed class FakeStores : IStoreAdmin
{
    public int ClassCount { get; set; } = 30;
    public bool CrawlerEnabled { get; set; } = true;
    public StoreTuning Tuning { get; set; } = new();
    public bool IsCrawling { get; set; }
    public CrawlRequest? Crawl { get; private set; }
    public (int Class, int ItemsMax)? Read { get; private set; }
    public List<ClassItem> Items { get; } = [];
    public PageMoveStatus MoveStatus { get; set; }
    public (int Source, int Target)? Move { get; private set; }
    public TaskCompletionSource<IReadOnlyList<KeyValuePair<int, long>>> Sizes { get; } = new();

    public bool TryStartCrawl(CrawlRequest request)
    {
        Crawl = request;
        return !IsCrawling;
    }

    public IReadOnlyList<ClassItem> ReadClass(int classId, int itemsMax, int lineBytesMax)
    {
        Read = (classId, itemsMax);
        return Items;
    }

    public Task<IReadOnlyList<KeyValuePair<int, long>>> ReadSizesAsync(CancellationToken cancellationToken) => Sizes.Task;

    public PageMoveStatus MovePage(int sourceClass, int targetClass)
    {
        Move = (sourceClass, targetClass);
        return MoveStatus;
    }
}
