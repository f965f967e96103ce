using System.Globalization;
using System.Text;

namespace OrleansCache.Storage.Tests;

/// <summary>What `lru` and `slabs automove` do to the stores of a process.</summary>
public sealed class StoreTuningTests : IDisposable
{
    private const int ValueBytes = 1000;

    private readonly LocalRouter _router =
        new(new StoreOptions { PartitionCount = 8, MemoryBytes = 8 * 1024 * 1024, ShardCount = 1, HashSeed = StoreHarness.HashSeed });
    private readonly RecordingSink _sink = new();
    private readonly byte[] _value = StoreHarness.Bytes(8 * 1024);

    private IStoreAdmin Admin => _router.Stores;

    [Fact]
    public void WhatIsSetIsRead()
    {
        Assert.Equal(new StoreTuning(), Admin.Tuning);
        var tuning = new StoreTuning { SmallPercent = 30, TempTtlSeconds = 61, IsFlat = true, MovesPages = false };
        Admin.Tuning = tuning;
        Assert.Equal(tuning, Admin.Tuning);
    }

    [Theory]
    [InlineData(0u, false)]
    [InlineData(60u, true)]
    public void ItemsWithAShortTimeToLiveGoFirst(uint tempTtlSeconds, bool othersStay)
    {
        const int Lasting = 2000;
        Admin.Tuning = new StoreTuning { TempTtlSeconds = tempTtlSeconds };
        for (int i = 0; i < Lasting; i++)
            Set($"lasting{i}", ValueBytes);
        for (int i = 0; i < 20_000; i++)
            Set($"passing{i}", ValueBytes, _router.NowUnixSeconds + 50);

        int kept = Enumerable.Range(0, Lasting).Count(i => Get($"lasting{i}"));
        SlabClassStatistics slab = Class();
        Assert.Equal(othersStay ? Lasting : 0, kept);
        Assert.Equal(othersStay ? slab.Items - Lasting : 0, slab.ItemsTemp);
        Assert.Equal(slab.Items, slab.ItemsHot + slab.ItemsWarm + slab.ItemsTemp);
        _router.Partitions.CheckIntegrity();
    }

    [Fact]
    public void AnItemWithALongerTimeToLiveThanTempTtlIsLikeOthers()
    {
        Admin.Tuning = new StoreTuning { TempTtlSeconds = 60 };
        Set("long", ValueBytes, _router.NowUnixSeconds + 1000);
        Set("short", ValueBytes, _router.NowUnixSeconds + 30);
        Assert.Equal((1, 1), (Class().ItemsHot, Class().ItemsTemp));

        // A new value with another time to live changes the queue.
        Set("short", ValueBytes, _router.NowUnixSeconds + 1000);
        Assert.Equal((2, 0), (Class().ItemsHot, Class().ItemsTemp));
    }

    [Fact]
    public void FlatHasOneQueue()
    {
        Admin.Tuning = new StoreTuning { IsFlat = true };
        for (int i = 0; i < 10_000; i++)
            Set($"key{i}", ValueBytes);
        Assert.Equal((0, Class().Items), (Class().ItemsHot, Class().ItemsWarm));

        Admin.Tuning = new StoreTuning();
        Set("new", ValueBytes);
        Assert.Equal(1, Class().ItemsHot);
        _router.Partitions.CheckIntegrity();
    }

    [Theory]
    [InlineData(5)]
    [InlineData(40)]
    public void TheSmallQueueHoldsTheShareThatItIsGiven(int percent)
    {
        Admin.Tuning = new StoreTuning { SmallPercent = percent };

        // What is read twice proves itself and fills the main queue; then come items that nobody reads.
        for (int i = 0; i < 20_000; i++)
        {
            Set($"proven{i}", ValueBytes);
            Get($"proven{i}");
            Get($"proven{i}");
        }

        for (int i = 0; i < 20_000; i++)
            Set($"new{i}", ValueBytes);
        SlabClassStatistics slab = Class();
        Assert.InRange(slab.ItemsHot, slab.Items * percent / 100 * 9 / 10, slab.Items * percent / 100 * 11 / 10);
        Assert.InRange(slab.ItemsHot, 1, slab.ItemsHotMax + 1);
        _router.Partitions.CheckIntegrity();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void PagesMoveToAnotherSizeOnlyIfTheyMay(bool movesPages)
    {
        Admin.Tuning = new StoreTuning { MovesPages = movesPages };
        for (int i = 0; i < 4000; i++)
            Set($"large{i}", 4000);

        // The cache-aside way of a client: what is missing is stored again.
        for (int round = 0; round < 20; round++)
        {
            for (int i = 0; i < 5000; i++)
            {
                if (!Get($"small{i}"))
                    Set($"small{i}", 100);
            }
        }

        long pages = _router.ReadStatistics(perClass: true).Classes.Where(static c => c.ChunkBytes < 500).Sum(static c => c.TotalPages);
        if (movesPages)
            Assert.InRange(pages, 10, 1000);
        else
            Assert.InRange(pages, 1, 4);
        _router.Partitions.CheckIntegrity();
    }

    [Fact]
    public void HitsAreCountedByTheQueueThatHeldTheItem()
    {
        Admin.Tuning = new StoreTuning { TempTtlSeconds = 60 };
        Set("new", ValueBytes);
        Set("temp", ValueBytes, _router.NowUnixSeconds + 50);
        Admin.Tuning = new StoreTuning { IsFlat = true };
        Set("main", ValueBytes);
        foreach (string key in (string[])["new", "temp", "temp", "main", "main", "main", "missing"])
            Get(key);
        SlabClassStatistics slab = Class();
        Assert.Equal((1, 3, 2, 6), (slab.HitsHot, slab.HitsWarm, slab.HitsTemp, slab.GetHits));
    }

    public void Dispose() => _router.Dispose();

    /// <summary>The class of the values of this test.</summary>
    private SlabClassStatistics Class() => _router.ReadStatistics(perClass: true).Classes.Single(static c => c.Items > 0);

    private void Set(string key, int valueBytes, uint expiresAt = 0)
    {
        CacheRequest request = StoreHarness.Request(CacheOperation.Set, Encoding.ASCII.GetBytes(key), _value.AsSpan(0, valueBytes));
        request.ExpiresAt = expiresAt;
        Assert.True(Run(in request) == CacheStatus.Ok, string.Create(CultureInfo.InvariantCulture, $"{key} of {valueBytes} bytes"));
    }

    private bool Get(string key)
    {
        CacheRequest request = StoreHarness.Request(CacheOperation.Get, Encoding.ASCII.GetBytes(key));
        return Run(in request) == CacheStatus.Ok;
    }

    private CacheStatus Run(in CacheRequest request)
    {
        Assert.True(_router.Partitions.TryGet(PartitionId.OfHash(request.KeyHash, _router.PartitionCount))!.TryExecute(in request, _router.NowUnixSeconds,
            _sink));
        return _sink.Status;
    }
}
