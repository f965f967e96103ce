using System.Buffers;
using System.Text;

namespace OrleansCache.Storage.Tests;

/// <summary>Reading through all items in steps while they change.</summary>
public class ScanTests
{
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public void WhatIsThereAllTheTimeIsToldWhileTheIndexGrowsAndItemsComeAndGo(int round)
    {
        int seed = TestSeed.Next() + round;
        var random = new Random(seed);
        using var store = new StoreHarness(new StoreOptions { PartitionCount = 1, MemoryBytes = 64 * 1024 * 1024, Seed = (ulong)seed });
        var staying = new HashSet<string>();
        for (int i = random.Next(1, 3000); i > 0; i--)
        {
            string key = $"stay{random.Next()}";
            store.Set(key, "v");
            staying.Add(key);
        }

        var told = new Dictionary<string, int>();
        int passing = 0;
        ItemScanPage page;
        ulong position = 0;
        do
        {
            page = store.Store.Scan(position, store.Now);
            Assert.True(page.IsLast || page.NextPosition > position, $"seed {seed}: the position stands still");
            position = page.NextPosition;
            foreach (ItemRecord item in page.Items)
            {
                string key = Encoding.Latin1.GetString(item.Key);
                told[key] = told.GetValueOrDefault(key) + 1;
            }

            // Ten times as many come as there were, so the index splits everywhere; some go again, and staying ones are read, overwritten and moved to other
            // chunks.
            for (int i = passing < 30_000 ? random.Next(4000) : 0; i > 0; i--)
                store.Set($"pass{passing++}", "w");
            for (int i = random.Next(500); i > 0; i--)
                store.Delete($"pass{random.Next(passing + 1)}");
            foreach (string key in staying.Where(_ => random.Next(20) == 0).ToArray())
                store.Set(key, new string('x', random.Next(300)));
        }
        while (!page.IsLast);
        store.CheckIntegrity();
        Assert.Equal(0, store.Statistics().Evictions);
        Assert.Empty(staying.Where(key => !told.ContainsKey(key)).Select(key => $"seed {seed}: {key} was not told"));
        Assert.Empty(staying.Where(key => told[key] != 1).Select(key => $"seed {seed}: {key} was told {told[key]} times"));
    }

    [Fact]
    public void AScanGoesOnInAnotherStoreWithAnIndexOfAnotherSize()
    {
        int seed = TestSeed.Next();
        var random = new Random(seed);
        using var large = new StoreHarness(new StoreOptions { PartitionCount = 1, MemoryBytes = 64 * 1024 * 1024 });
        using var small = new StoreHarness(new StoreOptions { PartitionCount = 1, MemoryBytes = 1024 * 1024 });
        Assert.NotEqual(large.Arena.PageBytes, small.Arena.PageBytes);

        // Deletions leave the first store an index that is far larger than its items need.
        for (int i = 0; i < 60_000; i++)
            large.Set($"k{i}", "");
        for (int i = 0; i < 60_000; i++)
        {
            if (i % 40 != 0)
                large.Delete($"k{i}");
        }

        var block = new ArrayBufferWriter<byte>();
        var cursor = default(ExportCursor);
        while (large.Store.Export(ref cursor, block, int.MaxValue, large.Now))
        {
        }

        Assert.Equal(ImportStatus.Ok, small.Store.Import(block.WrittenSpan, small.Now, out int imported));
        Assert.Equal(1500, imported);
        var told = new List<string>();
        ItemScanPage page;
        ulong position = 0;
        do
        {
            page = (random.Next(2) == 0 ? large : small).Store.Scan(position, large.Now);
            position = page.NextPosition;
            told.AddRange(page.Items.Select(item => Encoding.Latin1.GetString(item.Key)));
        }
        while (!page.IsLast);
        Assert.True(told.Distinct().Count() == 1500, $"seed {seed}: {told.Distinct().Count()} of 1500 were told");
        Assert.True(told.Count == 1500, $"seed {seed}: {told.Count} were told, some twice");
    }

    [Fact]
    public void ARecordTellsAllButTheValueAndLeavesOutWhatHasExpired()
    {
        using var store = new StoreHarness();
        store.Set("gone", "x", expiresAt: StoreHarness.Start + 1);
        store.Set("a b", "value", flags: 7, expiresAt: StoreHarness.Start + 100);
        store.Now += 5;
        Assert.Equal("value", store.Get("a b"));
        store.Set("big", StoreHarness.Bytes(100_000));
        ItemScanPage page = store.Store.Scan(0, store.Now);
        Assert.True(page.IsLast);
        Assert.Equal(2, page.Items.Count);
        ItemRecord small = page.Items.Single(item => item.Key.AsSpan().SequenceEqual("a b"u8));
        Assert.Equal((StoreHarness.Start + 100, store.Now, true, 7u), (small.ExpiresAt, small.LastAccess, small.IsFetched, small.ClientFlags));
        Assert.Equal(2ul, small.Cas);
        Assert.Equal(1, store.Store.Reclaim(store.Now, int.MaxValue));
        SlabClassStatistics[] classes = store.Statistics(perClass: true).Classes;
        Assert.Equal(small.Bytes, classes[small.ClassId - 1].MemRequested);
        ItemRecord big = page.Items.Single(item => item.Key.AsSpan().SequenceEqual("big"u8));
        Assert.False(big.IsFetched);
        Assert.Equal(big.Bytes, classes[big.ClassId - 1].MemRequested);
    }

    [Fact]
    public void AScheduledFlushThatIsDueComesFirst()
    {
        using var store = new StoreHarness();
        store.Set("a", "x");
        store.Store.FlushAll(StoreHarness.Start + 10, store.Now);
        Assert.Single(store.Store.Scan(0, StoreHarness.Start + 9).Items);
        ItemScanPage page = store.Store.Scan(0, StoreHarness.Start + 10);
        Assert.Empty(page.Items);
        Assert.True(page.IsLast);
    }

    [Fact]
    public async Task TheRouterScansEveryPartition()
    {
        using var router = new LocalRouter(new StoreOptions { PartitionCount = 16, MemoryBytes = 16 * 1024 * 1024, HashSeed = StoreHarness.HashSeed });
        var sink = new RecordingSink();
        for (int i = 0; i < 10_000; i++)
            Assert.True(router.TryExecute(StoreHarness.Request(CacheOperation.Set, $"key{i}"), router.NowUnixSeconds, sink));
        var told = new HashSet<string>();
        for (int partition = 0; partition < router.PartitionCount; partition++)
        {
            ItemScanPage page;
            ulong position = 0;
            do
            {
                page = await router.ScanAsync(new PartitionId(partition), position, CancellationToken.None);
                Assert.InRange(page.Items.Count, 0, 2 * Limits.ScanItemsPerPage);
                position = page.NextPosition;
                foreach (ItemRecord item in page.Items)
                    Assert.True(told.Add(Encoding.Latin1.GetString(item.Key)));
            }
            while (!page.IsLast);
        }

        Assert.Equal(10_000, told.Count);
    }
}
