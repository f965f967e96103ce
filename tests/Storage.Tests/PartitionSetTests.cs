namespace OrleansCache.Storage.Tests;

public class PartitionSetTests
{
    private static readonly StoreOptions Options = new() { PartitionCount = 4, MemoryBytes = 8 * 1024 * 1024, HashSeed = StoreHarness.HashSeed };

    [Fact]
    public void CountersOfClosedPartitionsStayInTheSums()
    {
        using var set = new PartitionSet(Options);
        for (int i = 0; i < 4; i++)
            set.Open(new PartitionId(i), 1);
        var sink = new RecordingSink();
        for (int i = 0; i < 1000; i++)
        {
            CacheRequest request = StoreHarness.Request(CacheOperation.Set, $"key{i}", "v");
            set.TryGet(PartitionId.OfHash(request.KeyHash, 4))!.TryExecute(in request, StoreHarness.Start, sink);
        }

        set.FlushAll(StoreHarness.Start + 1000, StoreHarness.Start);
        for (int i = 0; i < 4; i++)
            Assert.True(set.Close(new PartitionId(i)));
        Assert.False(set.Close(new PartitionId(0)));
        StoreStatistics statistics = set.ReadStatistics(StoreHarness.Start, true);
        Assert.Equal((1000, 1000, 0, 0, 1), (statistics.CmdSet, statistics.TotalItems, statistics.CurrItems, statistics.PageBytesUsed, statistics.CmdFlush));
        set.ResetStatistics();
        Assert.Equal(0, set.ReadStatistics(StoreHarness.Start, false).CmdSet);
    }

    [Fact]
    public void PartitionsOpenUnderOneSeedOnly()
    {
        using var set = new PartitionSet(Options with { HashSeed = default });
        Assert.Null(set.Hasher);
        Assert.Throws<InvalidOperationException>(() => set.Open(new PartitionId(0), 1));
        set.UseHashSeed(new HashSeed(1, 1));
        set.UseHashSeed(StoreHarness.HashSeed);
        set.Open(new PartitionId(0), 1);
        set.UseHashSeed(StoreHarness.HashSeed);
        Assert.Throws<InvalidOperationException>(() => set.UseHashSeed(new HashSeed(1, 1)));
        Assert.Equal(StoreHarness.HashSeed, set.Hasher!.Seed);
    }

    [Fact]
    public void ASingleNodeDrawsItsSeed()
    {
        using var one = new LocalRouter(Options with { HashSeed = default });
        using var other = new LocalRouter(Options with { HashSeed = default });
        Assert.NotEqual(one.Hasher.Seed, other.Hasher.Seed);
        Assert.Same(one.Hasher, one.OpenChannel(new ManualLoop()).Hasher);
    }

    [Theory]
    [InlineData(10)]
    [InlineData(300_000)]
    public void ARoundOfReclaimingFreesEveryExpiredItemHoweverManyThereAre(int count)
    {
        using var set = new PartitionSet(new StoreOptions { PartitionCount = 1, MemoryBytes = 64 * 1024 * 1024, HashSeed = StoreHarness.HashSeed });
        Partition partition = set.Open(new PartitionId(0), 1);
        var sink = new RecordingSink();
        for (int i = 0; i < count; i++)
        {
            CacheRequest request = StoreHarness.Request(CacheOperation.Set, $"key{i}", "v");
            request.ExpiresAt = StoreHarness.Start + 10;
            partition.TryExecute(in request, StoreHarness.Start, sink);
        }

        Assert.Equal(count, partition.ItemCount);
        long reclaimed = 0;
        for (int slice = 0; slice < 60; slice++)
            reclaimed += set.ReclaimSlice(StoreHarness.Start + 11, slices: 60, bucketsMax: 64);
        Assert.Equal(count, reclaimed);
        Assert.Equal(0, partition.ItemCount);
        set.CheckIntegrityAtRest();
    }

    [Fact]
    public void AClosedPartitionAnswersNobody()
    {
        using var set = new PartitionSet(Options);
        Partition partition = set.Open(new PartitionId(1), 7);
        Assert.Equal(7, partition.Epoch);
        Assert.Throws<InvalidOperationException>(() => set.Open(new PartitionId(1), 8));
        set.Close(new PartitionId(1));
        CacheRequest request = StoreHarness.Request(CacheOperation.Get, "k");
        Assert.False(partition.TryExecute(in request, StoreHarness.Start, new RecordingSink()));
        Assert.False(partition.Unseal());
        Assert.Equal(PartitionState.Gone, partition.State);
        Assert.Equal(ImportStatus.Gone, partition.Import(default, StoreHarness.Start, out _));
        Assert.Null(set.TryGet(new PartitionId(1)));
    }

    [Fact]
    public void TheLocalRoutersChannelExecutesEverythingAtOnce()
    {
        using var router = new LocalRouter(Options);
        RouterChannel channel = router.OpenChannel(new ManualLoop());
        var sink = new RecordingSink();
        CacheRequest set = StoreHarness.Request(CacheOperation.Set, "k", "v");
        Assert.True(channel.TryExecute(in set, StoreHarness.Start, sink));
        CacheRequest get = StoreHarness.Request(CacheOperation.Get, "k");
        get.Flags = RequestFlags.ReturnValue;
        Assert.True(channel.TryExecute(in get, StoreHarness.Start, sink));
        Assert.Equal((2, "v"), (sink.Calls, sink.Text));
    }

    private sealed class ManualLoop : ICompletionQueue
    {
        public void Post(LoopWorkItem work) => Assert.Fail("nothing needs the loop");
    }
}
