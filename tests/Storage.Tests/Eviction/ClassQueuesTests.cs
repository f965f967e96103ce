namespace OrleansCache.Storage.Tests.Eviction;

public class ClassQueuesTests
{
    [Fact]
    public void UnreadItemsGoInTheOrderInWhichTheyCame()
    {
        using var bench = new QueueBench();
        uint[] items = [.. Enumerable.Range(0, 10).Select(_ => bench.Add())];
        foreach (uint item in items)
            Assert.Equal(item, bench.Evict());
        Assert.Equal(0u, bench.Evict());
    }

    [Fact]
    public void AnItemReadWhileItWasNewMovesToTheMainQueueAndHasToProveItselfAnew()
    {
        using var bench = new QueueBench();
        uint read = bench.Add();
        uint unread = bench.Add();
        uint newest = bench.Add();
        bench.Read(read, 3);
        Assert.Equal(unread, bench.Evict());
        Assert.Equal((QueueId.Main, 0), (bench.QueueOf(read), bench.FrequencyOf(read)));
        Assert.Equal(1, bench.Counters.MovesToMain);

        // One new item is the small queue's share here.
        Assert.Equal(read, bench.Evict());
        Assert.Equal(newest, bench.Evict());
    }

    [Fact]
    public void EachReadOfAMainItemIsGoodForOneMoreRound()
    {
        using var bench = new QueueBench();
        uint twice = bench.Add(QueueId.Main);
        uint once = bench.Add(QueueId.Main);
        uint never = bench.Add(QueueId.Main);
        bench.Read(twice, 2);
        bench.Read(once);
        Assert.Equal(never, bench.Evict());
        Assert.Equal((1, 0), (bench.FrequencyOf(twice), bench.FrequencyOf(once)));
        Assert.Equal(once, bench.Evict());
        Assert.Equal(twice, bench.Evict());
    }

    [Theory]
    [InlineData(5)]
    [InlineData(40)]
    public void TheSmallQueueKeepsItsShare(int percent)
    {
        using var bench = new QueueBench();
        bench.Settings.SmallPercent = percent;
        for (int i = 0; i < 100; i++)
        {
            bench.Add(QueueId.Main);
            bench.Add();
        }

        // As long as the small queue holds more than its share it pays alone; then both shrink together.
        for (int i = 0; i < 50; i++)
            Assert.Equal(bench.Queues.Small.Count * 100 > bench.Queues.Count * percent ? QueueId.Small : QueueId.Main, bench.QueueOf(bench.Evict()));
        for (int i = 0; i < 100; i++)
            bench.Evict();
        Assert.InRange(bench.Queues.Small.Count, (bench.Queues.Count * percent / 100) - 1, (bench.Queues.Count * percent / 100) + 1);
    }

    [Fact]
    public void ItemsWithAShortTimeToLiveGoFirst()
    {
        using var bench = new QueueBench();
        bench.Add();
        uint temp = bench.Add(QueueId.Temp, QueueBench.Now + 10);
        bench.Read(temp, 3);
        Assert.Equal(temp, bench.Evict());
        Assert.Equal(QueueId.Small, bench.QueueOf(bench.Evict()));
    }

    [Theory]
    [InlineData((int)QueueId.Small)]
    [InlineData((int)QueueId.Main)]
    [InlineData((int)QueueId.Temp)]
    public void WhatHasExpiredGoesEvenWhereNothingMayBeEvicted(int queue)
    {
        using var bench = new QueueBench();
        uint expired = bench.Add((QueueId)queue, QueueBench.Now);
        bench.Read(expired, 3);
        Assert.Equal(expired, bench.FindVictim(out bool isExpired, mayEvict: false));
        Assert.True(isExpired);
        bench.Remove(expired);
        uint live = bench.Add((QueueId)queue, QueueBench.Now + 1);
        Assert.Equal(0u, bench.FindVictim(out isExpired, mayEvict: false));
        Assert.False(isExpired);
        Assert.Equal(live, bench.FindVictim(out isExpired));
        Assert.False(isExpired);
    }

    [Theory]
    [InlineData((int)QueueId.Small)]
    [InlineData((int)QueueId.Main)]
    [InlineData((int)QueueId.Temp)]
    public void ASearchEndsSoonWhereEverythingIsPinned(int queue)
    {
        using var bench = new QueueBench();
        uint[] items = [.. Enumerable.Range(0, 1000).Select(_ => bench.Add((QueueId)queue))];
        foreach (uint item in items)
            bench.Pins.Pin(item);
        Assert.Equal(0u, bench.FindVictim(out _));
        Assert.InRange(bench.Counters.LruTailReflocked, 1, 128);
        foreach (uint item in items)
            bench.Pins.Unpin(item);
        for (int i = 0; i < 1000; i++)
            Assert.NotEqual(0u, bench.Evict());
        Assert.Equal(0, bench.Queues.Count);
    }

    [Theory]
    [InlineData((int)QueueId.Small)]
    [InlineData((int)QueueId.Main)]
    [InlineData((int)QueueId.Temp)]
    public void AFewPinnedItemsHideNoneOfTheOthers(int queue)
    {
        using var bench = new QueueBench();
        uint[] pinned = [.. Enumerable.Range(0, 3).Select(_ => bench.Add((QueueId)queue))];
        foreach (uint item in pinned)
            bench.Pins.Pin(item);
        for (int i = 0; i < 200; i++)
            bench.Add((QueueId)(i % 3));
        for (int i = 0; i < 200; i++)
        {
            uint victim = bench.Evict();
            Assert.True(victim != 0 && !pinned.Contains(victim), $"victim {i} is {victim}");
        }

        Assert.Equal(0u, bench.Evict());
        bench.Pins.Unpin(pinned[1]);
        Assert.Equal(pinned[1], bench.Evict());
    }

    [Fact]
    public void TheItemThatAnOperationReadsFromIsNoVictim()
    {
        using var bench = new QueueBench();
        foreach (QueueId queue in Enum.GetValues<QueueId>())
        {
            uint guarded = bench.Add(queue);
            Assert.Equal(0u, bench.Evict(guarded));
            uint other = bench.Add(QueueId.Main);
            Assert.Equal(other, bench.Evict(guarded));
            Assert.Equal(guarded, bench.Evict());
        }
    }

    [Fact]
    public void ASearchEndsSoonWhereEverythingWasRead()
    {
        using var bench = new QueueBench();
        for (int i = 0; i < 2000; i++)
            bench.Read(bench.Add(i % 2 == 0 ? QueueId.Main : QueueId.Small), 3);
        long before = 0;
        for (int i = 0; i < 2000; i++)
        {
            Assert.NotEqual(0u, bench.Evict());
            long moves = bench.Counters.MovesToMain + bench.Counters.MovesWithinMain;
            Assert.InRange(moves - before, 0, 128);
            before = moves;
        }

        Assert.Equal(0, bench.Queues.Count);
    }

    [Fact]
    public void TheSmallQueueLearnsItsShareWithinBounds()
    {
        var queues = default(ClassQueues);
        for (int i = 0; i < 100; i++)
            queues.Learn(isFromMain: true, smallPercent: 5);
        Assert.Equal(0, queues.ShareChange);
        for (int i = 0; i < 100_000; i++)
            queues.Learn(isFromMain: false, smallPercent: 5);
        Assert.Equal(75 * 100, queues.ShareChange);
        int before = queues.ShareChange;
        queues.Learn(isFromMain: true, smallPercent: 5);
        Assert.True(queues.ShareChange < before);
        queues.Learn(isFromMain: true, smallPercent: 90);
        Assert.Equal(0, queues.ShareChange);
    }

    [Fact]
    public void AnItemThatMovesToAnotherQueueIsInThatOneOnly()
    {
        using var bench = new QueueBench();
        uint[] items = [.. Enumerable.Range(0, 5).Select(_ => bench.Add())];
        bench.Read(items[0]);
        bench.Read(items[2]);
        Assert.Equal(items[1], bench.Evict());
        Assert.Equal([items[0]], bench.Items(QueueId.Main));
        Assert.Equal([items[4], items[3], items[2]], bench.Items(QueueId.Small));
        bench.Remove(items[3]);
        Assert.Equal([items[4], items[2]], bench.Items(QueueId.Small));
        bench.Remove(items[4]);
        bench.Remove(items[2]);
        Assert.Empty(bench.Items(QueueId.Small));
    }

    /// <summary>The rules once more, with lists that may be slow.</summary>
    [Fact]
    public void VictimsAreThoseOfAPlainS3Fifo()
    {
        int seed = TestSeed.Next();
        var random = new Random(seed);
        using var bench = new QueueBench();
        var model = new PlainQueues();
        var free = new Stack<uint>();
        var present = new List<uint>();
        for (int i = 0; i < 50_000; i++)
        {
            switch (random.Next(10))
            {
                case < 4 when present.Count < 600:
                    var queue = (QueueId)(random.Next(20) == 0 ? 2 : random.Next(4) == 0 ? 1 : 0);
                    if (free.TryPop(out uint handle))
                        bench.Add(handle, queue);
                    else
                        handle = bench.Add(queue);
                    model.Add(handle, queue);
                    present.Add(handle);
                    break;
                case < 7 when present.Count > 0:
                    handle = present[random.Next(present.Count)];
                    bench.Read(handle);
                    model.Frequency[handle] = Math.Min(3, model.Frequency[handle] + 1);
                    break;
                case 7 when present.Count > 0:
                    handle = present[random.Next(present.Count)];
                    bench.Remove(handle);
                    model.Remove(handle);
                    present.Remove(handle);
                    free.Push(handle);
                    break;
                default:
                    uint expected = model.Evict(bench.Settings.SmallPercent);
                    handle = bench.Evict();
                    Assert.True(expected == handle, $"seed {seed}, step {i}: {handle} is the victim, not {expected}");
                    if (handle != 0)
                    {
                        present.Remove(handle);
                        free.Push(handle);
                    }

                    break;
            }
        }

        Assert.Equal(model.Small, bench.Items(QueueId.Small));
        Assert.Equal(model.Main, bench.Items(QueueId.Main));
        Assert.Equal(model.Temp, bench.Items(QueueId.Temp));
    }

    /// <summary>Also where values lie in several chunks, whose classes hold nothing but ends of values.</summary>
    [Theory]
    [InlineData(500, 500)]
    [InlineData(3000, 3000)]
    [InlineData(20_000, 20_000)]
    [InlineData(100_000, 100_000)]
    [InlineData(2100, 4000)]
    public void AScanOfTenTimesTheMemoryLeavesWhatIsReadAgainAndAgain(int valueBytesMin, int valueBytesMax)
    {
        const long MemoryBytes = 32 << 20;
        using var store = new StoreHarness(new StoreOptions { PartitionCount = 1, ShardCount = 1, MemoryBytes = MemoryBytes });
        int mean = (valueBytesMin + valueBytesMax) / 2;
        int workingSet = (int)(MemoryBytes / 4 / mean);
        byte[] value = StoreHarness.Bytes(valueBytesMax);
        int step = 0;
        for (int i = 0; i < workingSet; i++)
            Store($"work{i:D7}");
        for (int round = 0; round < 2; round++)
        {
            for (int i = 0; i < workingSet; i++)
                Assert.NotNull(store.Get($"work{i:D7}"));
        }

        for (int i = 0; i < 10 * MemoryBytes / mean; i++)
            Store($"scan{i:D7}");
        Assert.True(store.Statistics().Evictions > 8 * MemoryBytes / mean);
        int left = Enumerable.Range(0, workingSet).Count(i => store.Get($"work{i:D7}") is not null);
        Assert.InRange(left, workingSet * 97 / 100, workingSet);

        void Store(string key)
        {
            int length = valueBytesMin + (int)((step++ * 7919L) % (valueBytesMax - valueBytesMin + 1));
            CacheRequest request = StoreHarness.Request(CacheOperation.Set, System.Text.Encoding.ASCII.GetBytes(key), value.AsSpan(0, length));
            Assert.Equal(CacheStatus.Ok, store.Run(in request));
        }
    }

    /// <summary>A scan of items of another size, while the working set goes on being read, one read for ten of the scan's stores.</summary>
    [Theory]
    [InlineData(500, 700)]
    [InlineData(700, 500)]
    [InlineData(500, 20_000)]
    [InlineData(3000, 500)]
    public void AScanOfAnotherSizeLeavesWhatIsRead(int valueBytes, int scanBytes)
    {
        const long MemoryBytes = 32 << 20;
        int seed = TestSeed.Next();
        var random = new Random(seed);
        using var store = new StoreHarness(new StoreOptions { PartitionCount = 1, ShardCount = 1, MemoryBytes = MemoryBytes, Seed = (ulong)seed });
        byte[] value = StoreHarness.Bytes(valueBytes), scanned = StoreHarness.Bytes(scanBytes);
        int workingSet = (int)(MemoryBytes / 4 / valueBytes);
        int hits = 0, reads = 0;
        for (int i = 0; i < workingSet * 5; i++)
            Read();
        (hits, reads) = (0, 0);
        for (int i = 0; i < 10 * MemoryBytes / scanBytes; i++)
        {
            store.Set($"scan{i:D7}", scanned);
            for (int more = scanBytes / valueBytes; more >= 0; more--)
            {
                if (random.Next(10) == 0)
                    Read();
            }
        }

        Assert.True(hits > reads * 9 / 10, $"seed {seed}: {hits} hits of {reads} reads");

        void Read()
        {
            string key = $"work{random.Next(workingSet):D7}";
            reads++;
            if (store.Get(key) is null)
                store.Set(key, value);
            else
                hits++;
        }
    }

    [Fact]
    public void WhatComesBackSoonAfterItWasEvictedIsNotNewAnyMore()
    {
        using var store = new StoreHarness(new StoreOptions { PartitionCount = 1, MemoryBytes = 1 << 20 });
        byte[] value = StoreHarness.Bytes(500);
        int count = 0;
        while (store.Statistics().Evictions < 500)
            store.Set($"k{count++}", value);
        int gone = Enumerable.Range(0, count).First(i => store.Get($"k{i}", RequestFlags.Peek) is null);
        long before = store.Statistics(perClass: true).Classes.Sum(c => c.ItemsWarm);
        store.Set($"k{gone}", value);
        Assert.Equal(before + 1, store.Statistics(perClass: true).Classes.Sum(c => c.ItemsWarm));
        for (int i = 0; i < 3000; i++)
            store.Set($"other{i}", value);
        Assert.NotNull(store.Get($"k{gone}"));
    }

    [Fact]
    public void APinnedItemWithAShortTimeToLiveDoesNotCostOtherClassesTheirPages()
    {
        using var store = new StoreHarness(new StoreOptions { PartitionCount = 1, MemoryBytes = 4 << 20 });
        store.Arena.Eviction.TempTtlSeconds = 60;
        store.Arena.Economy.IsEnabled = false; // what pages are worth is another question
        CacheRequest request = StoreHarness.Request(CacheOperation.Set, "pinned"u8, StoreHarness.Bytes(1000));
        request.ExpiresAt = store.Now + 30;
        store.Run(in request);
        store.Reply.PinNext = true;
        store.Get("pinned");
        PinnedValue pinned = store.Reply.Pinned;
        for (int i = 0; i < 5000; i++)
            store.Set($"small{i}", StoreHarness.Bytes(200));
        while (store.Statistics().Evictions == 0)
            store.Set($"k{store.Store.ItemCount}", StoreHarness.Bytes(1000));
        for (int i = 0; i < 10_000; i++)
            store.Set($"more{i}", StoreHarness.Bytes(1000));
        long lost = store.Arena.Shards[0].Ledger.Lost(LossCause.PageMoved);
        long moved = store.Statistics().SlabsMoved;
        pinned.Release();
        Assert.Equal((0, 0), (lost, moved));
    }

    private sealed class PlainQueues
    {
        public List<uint> Small { get; } = [];
        public List<uint> Main { get; } = [];
        public List<uint> Temp { get; } = [];
        public Dictionary<uint, int> Frequency { get; } = [];

        public void Add(uint handle, QueueId queue)
        {
            (queue == QueueId.Small ? Small : queue == QueueId.Main ? Main : Temp).Insert(0, handle);
            Frequency[handle] = 0;
        }

        public void Remove(uint handle) => _ = Small.Remove(handle) || Main.Remove(handle) || Temp.Remove(handle);

        public uint Evict(int smallPercent)
        {
            if (Temp.Count > 0)
                return Take(Temp);
            for (int step = 1; ; step++)
            {
                if (Small.Count + Main.Count == 0)
                    return 0;
                long share = Math.Max(1, (Small.Count + Main.Count) * smallPercent / 100);
                List<uint> queue = Small.Count > 0 && (Small.Count > share || Main.Count == 0) ? Small : Main;
                uint handle = Take(queue);
                if (Frequency[handle] == 0 || step == 128)
                    return handle;
                Frequency[handle] = queue == Small ? 0 : Frequency[handle] - 1;
                Main.Insert(0, handle);
            }
        }

        private static uint Take(List<uint> queue)
        {
            uint handle = queue[^1];
            queue.RemoveAt(queue.Count - 1);
            return handle;
        }
    }
}
