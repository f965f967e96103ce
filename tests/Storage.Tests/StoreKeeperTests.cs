using System.Text;

namespace OrleansCache.Storage.Tests;

/// <summary>Crawls, histograms, lists and page moves over a router's partitions.</summary>
public class StoreKeeperTests : IDisposable
{
    private readonly LocalRouter _router = new(new StoreOptions { PartitionCount = 8, MemoryBytes = 16 * 1024 * 1024, HashSeed = StoreHarness.HashSeed });
    private readonly RecordingSink _sink = new();

    private IStoreAdmin Admin => _router.Stores;

    private StoreStatistics Statistics => _router.ReadStatistics(perClass: true);

    [Fact]
    public async Task ACrawlFreesWhatHasExpiredAndCountsIt()
    {
        uint now = _router.NowUnixSeconds;
        for (int i = 0; i < 5000; i++)
            Set($"short{i}", 10, expiresAt: 1);
        for (int i = 0; i < 1000; i++)
            Set($"long{i}", 10, expiresAt: i % 2 == 0 ? 0 : now + 1000);
        Assert.Equal(6000, Statistics.CurrItems);
        await CrawlAsync(new CrawlRequest(null, 0, 0));
        StoreStatistics after = Statistics;
        Assert.Equal(1000, after.CurrItems);
        Assert.Equal((5000, 0), (after.CrawlerReclaimed, after.Reclaimed));
        Assert.InRange(after.CrawlerItemsChecked, 6000, 7000); // the background's slices may have looked at some, too
        Assert.Equal(5000, after.ExpiredUnfetched);
        Assert.True(after.CrawlerStarts >= 1);
        Assert.Equal(after.CrawlerReclaimed, after.Classes.Sum(static c => c.CrawlerReclaimed));
        _router.Partitions.CheckIntegrity();
    }

    [Fact]
    public void WhatExpiresAtTheEndsOfTheQueuesIsFreedWithinASecond()
    {
        var time = new ManualTime();
        using var router = new LocalRouter(new StoreOptions { PartitionCount = 8, MemoryBytes = 16 * 1024 * 1024, HashSeed = StoreHarness.HashSeed }, time);
        void Store(string key, int valueBytes, uint expiresAt)
        {
            CacheRequest request = StoreHarness.Request(CacheOperation.Set, key, new string('v', valueBytes));
            request.ExpiresAt = expiresAt;
            Assert.True(router.TryExecute(in request, router.NowUnixSeconds, _sink));
        }

        // Of three sizes, one of them chained; what lasts came later, so it does not stand before them.
        uint now = router.NowUnixSeconds;
        for (int i = 0; i < 3000; i++)
            Store($"short{i}", i % 100 == 0 ? 70_000 : i % 2 == 0 ? 10 : 1000, now + 2);
        for (int i = 0; i < 100; i++)
            Store($"long{i}", 10, now + 100);
        long pages = router.ReadStatistics(perClass: false).PageBytesUsed;

        time.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal((3100, 0), (router.ReadStatistics(perClass: false).CurrItems, router.ReadStatistics(perClass: false).CrawlerReclaimed));
        time.Advance(TimeSpan.FromSeconds(2));
        StoreStatistics after = router.ReadStatistics(perClass: true);
        Assert.Equal((100, 3000, 3000, 0), (after.CurrItems, after.CrawlerReclaimed, after.ExpiredUnfetched, after.Reclaimed));
        Assert.Equal(3000, after.LostExpired);

        // The same again finds room in what they have left.
        now = router.NowUnixSeconds;
        for (int i = 0; i < 3000; i++)
            Store($"again{i}", i % 100 == 0 ? 70_000 : i % 2 == 0 ? 10 : 1000, now + 2);
        Assert.InRange(router.ReadStatistics(perClass: false).PageBytesUsed, 1, pages);
        router.Partitions.CheckIntegrity();
    }

    [Fact]
    public void WithoutTheCrawlerNothingIsFreedBesideRequests()
    {
        var time = new ManualTime();
        using var router = new LocalRouter(new StoreOptions { PartitionCount = 1, MemoryBytes = 4 * 1024 * 1024, HashSeed = StoreHarness.HashSeed }, time);
        router.Stores.CrawlerEnabled = false;
        CacheRequest request = StoreHarness.Request(CacheOperation.Set, "k", "v");
        request.ExpiresAt = router.NowUnixSeconds + 1;
        Assert.True(router.TryExecute(in request, router.NowUnixSeconds, _sink));
        time.Advance(TimeSpan.FromSeconds(5));
        Assert.Equal(1, router.ReadStatistics(perClass: false).CurrItems);
        router.Stores.CrawlerEnabled = true;
        time.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal(0, router.ReadStatistics(perClass: false).CurrItems);
    }

    [Fact]
    public void AReplicaKeepsWhatHasExpiredAMinuteLongerAtTheEndsOfTheQueuesToo()
    {
        using var set = new PartitionSet(new StoreOptions { PartitionCount = 1, MemoryBytes = 4 * 1024 * 1024, HashSeed = StoreHarness.HashSeed });
        Partition partition = set.Open(new PartitionId(0), 1);
        CacheRequest request = StoreHarness.Request(CacheOperation.Set, "k", "v");
        request.ExpiresAt = StoreHarness.Start + 10;
        Assert.True(partition.TryExecute(in request, StoreHarness.Start, _sink));
        partition.Store.IsReplica = true;
        Assert.Equal(0, set.ReclaimTails(StoreHarness.Start + 69, 100));
        Assert.Equal(1, set.ReclaimTails(StoreHarness.Start + 70, 100));
    }

    [Fact]
    public async Task ACrawlLooksAtItsClassesAndAtNoMoreItemsThanItMay()
    {
        Admin.CrawlerEnabled = false; // no background slices
        for (int i = 0; i < 100; i++)
        {
            Set($"small{i}", 10, expiresAt: 1);
            Set($"large{i}", 1000, expiresAt: 1);
        }

        int large = Statistics.Classes.Last(static c => c.Items > 0).ClassId;
        var only = new bool[large + 1];
        only[large] = true;
        await CrawlAsync(new CrawlRequest(only, 30, 0));
        StoreStatistics after = Statistics;
        Assert.Equal((70, 30, 30), (after.Classes[large - 1].Items, after.Classes[large - 1].CrawlerReclaimed, after.CrawlerItemsChecked));
        Assert.Equal(170, after.CurrItems);
        await CrawlAsync(new CrawlRequest(only, 0, SleepMicroseconds: 20_000));
        Assert.Equal(100, Statistics.CurrItems);
    }

    [Fact]
    public async Task SizesCountEveryItemOnceInStepsRoundedUp()
    {
        long header = HeaderBytes();
        for (int i = 0; i < 3000; i++)
            Set($"k{i:D5}", i % 300);
        IReadOnlyList<KeyValuePair<int, long>> sizes = await Admin.ReadSizesAsync(CancellationToken.None);
        var expected = Enumerable.Range(0, 3000).GroupBy(i => (int)((header + 6 + (i % 300) + 31) / 32 * 32))
            .ToDictionary(static g => g.Key, static g => g.LongCount());
        Assert.Equal(expected.OrderBy(static e => e.Key), sizes);
    }

    [Fact]
    public void AClassIsReadFromItsHotEnd()
    {
        using var one = new LocalRouter(new StoreOptions { PartitionCount = 1, MemoryBytes = 4 * 1024 * 1024, HashSeed = StoreHarness.HashSeed });
        for (int i = 0; i < 100; i++)
            Assert.True(one.TryExecute(StoreHarness.Request(CacheOperation.Set, $"k{i}", "12345"), one.NowUnixSeconds, _sink));
        IReadOnlyList<ClassItem> items = one.Stores.ReadClass(1, 3, 1000);
        Assert.Equal(["k99", "k98", "k97"], items.Select(static item => Encoding.Latin1.GetString(item.Key)));
        Assert.All(items, static item => Assert.Equal((5, 0u), (item.ValueBytes, item.ExpiresAt)));
        Assert.Equal(100, one.Stores.ReadClass(1, int.MaxValue, 100_000).Count);
        Assert.InRange(one.Stores.ReadClass(1, int.MaxValue, 1000).Count, 10, 50);
        Assert.Empty(one.Stores.ReadClass(0, 10, 1000));
        Assert.Empty(one.Stores.ReadClass(2, 10, 1000));
    }

    [Fact]
    public void APageMovesFromOneClassToAnother()
    {
        for (int i = 0; i < 4000; i++)
            Set($"small{i}", 10);
        Set("large", 1000);
        StoreStatistics before = Statistics;
        int small = before.Classes.First(static c => c.Items > 0).ClassId;
        int large = before.Classes.Last(static c => c.Items > 0).ClassId;
        Assert.Equal(PageMoveStatus.Moved, Admin.MovePage(small, large));
        StoreStatistics after = Statistics;
        Assert.Equal(before.Classes[small - 1].TotalPages - 1, after.Classes[small - 1].TotalPages);
        Assert.Equal(before.Classes[large - 1].TotalPages + 1, after.Classes[large - 1].TotalPages);
        Assert.Equal(1, after.SlabsMoved);
        Assert.Equal(before.CurrItems, after.CurrItems + after.SlabReassignEvictions + after.Evictions);
        Assert.True(after.SlabReassignRescues > 0);

        Assert.Equal(PageMoveStatus.Moved, Admin.MovePage(-1, large));
        long pool = Statistics.PoolPages;
        Assert.Equal(PageMoveStatus.Moved, Admin.MovePage(small, 0));
        Assert.Equal(pool + 1, Statistics.PoolPages);
        Assert.Equal(PageMoveStatus.Moved, Admin.MovePage(0, small));
        Assert.Equal(PageMoveStatus.SameClass, Admin.MovePage(small, small));
        Assert.Equal(PageMoveStatus.BadClass, Admin.MovePage(small, Admin.ClassCount + 1));
        Assert.Equal(PageMoveStatus.BadClass, Admin.MovePage(-2, small));
        Assert.Equal(PageMoveStatus.NoSpare, Admin.MovePage(Admin.ClassCount, small));
        _router.Partitions.CheckIntegrity();
    }

    [Fact]
    public void WhereNothingMayBeEvictedAPageMovesOnlyIfItsItemsHaveRoom()
    {
        using var full = new LocalRouter(
            new StoreOptions { PartitionCount = 1, MemoryBytes = 1024 * 1024, NoEviction = true, HashSeed = StoreHarness.HashSeed });
        for (int i = 0; _sink.Status != CacheStatus.OutOfMemory; i++)
            full.TryExecute(StoreHarness.Request(CacheOperation.Set, $"k{i:D6}", "12345"), full.NowUnixSeconds, _sink);
        long items = full.ReadStatistics(perClass: false).CurrItems;
        Assert.Equal(PageMoveStatus.NoSpare, full.Stores.MovePage(1, 5));
        Assert.Equal(items, full.ReadStatistics(perClass: false).CurrItems);
    }

    [Fact]
    public void AProcessWithoutStoresAnswersEverythingWithNothing()
    {
        NoStores none = NoStores.Instance;
        Assert.Equal(PageMoveStatus.BadClass, none.MovePage(1, 2));
        Assert.Empty(none.ReadClass(1, 1, 1));
        Assert.True(none.TryStartCrawl(new CrawlRequest(null, 0, 0)));
    }

    private long HeaderBytes()
    {
        Set("probe", 1);
        long bytes = Statistics.Bytes - 6;
        CacheRequest request = StoreHarness.Request(CacheOperation.Delete, "probe");
        _router.TryExecute(in request, _router.NowUnixSeconds, _sink);
        return bytes;
    }

    private void Set(string key, int valueBytes, uint expiresAt = 0)
    {
        CacheRequest request = StoreHarness.Request(CacheOperation.Set, key, new string('v', valueBytes));
        request.ExpiresAt = expiresAt;
        Assert.True(_router.TryExecute(in request, _router.NowUnixSeconds, _sink));
        Assert.Equal(CacheStatus.Ok, _sink.Status);
    }

    private async Task CrawlAsync(CrawlRequest request)
    {
        Assert.True(Admin.TryStartCrawl(request));
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(10));
        while (Statistics.IsCrawling)
        {
            limit.Token.ThrowIfCancellationRequested();
            await Task.Yield();
        }
    }

    public void Dispose()
    {
        _router.Dispose();
        GC.SuppressFinalize(this);
    }
}
