
namespace OrleansCache.Storage.Tests;

public class MemoryTests
{
    private const long MiB = 1024 * 1024;

    [Theory]
    [InlineData(64, 0.75)]
    [InlineData(128, 0.75)]
    [InlineData(256, 0.8)]
    public void FillingThreeTimesWithMixedSizesUsesTheMemoryAndKeepsTheNewestItems(int mebibytes, double fillMin)
    {
        int seed = TestSeed.Next();
        var random = new Random(seed);
        using var set = OpenAll(new StoreOptions { MemoryBytes = mebibytes * MiB, PartitionCount = 256 });
        var sink = new RecordingSink();
        byte[] value = StoreHarness.Bytes((int)MiB);
        int count = 0;
        for (long stored = 0; stored < 3 * mebibytes * MiB; count++)
        {
            int length = DecadeLength(random);
            Assert.True(CacheStatus.Ok == Set(set, sink, $"key{count}", value.AsSpan(0, length)),
                $"seed {seed}, item {count} of {length} bytes: {sink.Status}");
            stored += length;
        }

        set.CheckIntegrityAtRest();
        StoreStatistics statistics = set.ReadStatistics(StoreHarness.Start, perClass: false);
        Assert.True(statistics.Bytes > fillMin * mebibytes * MiB, $"seed {seed}: only {statistics.Bytes} bytes are in use");
        Assert.Equal(0, statistics.StoreNoMemory);
        int missing = 0;
        for (int i = count - 2000; i < count; i++)
            missing += Get(set, sink, $"key{i}") == CacheStatus.Ok ? 0 : 1;
        // Two values of several hundred KB in a row may meet in one partition, in a cache of 64 MiB.
        Assert.True(missing <= 2, $"seed {seed}: {missing} of the newest 2000 items are gone");
    }

    [Fact]
    public void APageThatIsTakenAwayLeavesItsItemsBehind()
    {
        using var store = new StoreHarness(new StoreOptions { MemoryBytes = 256 * 1024, PartitionCount = 1 });
        Assert.Equal(4096, store.Arena.PageBytes);
        int count = 0;
        while (store.Statistics().Evictions == 0)
            store.Set($"small{count++}", new string('s', 20));
        // Every second one goes, so that each page is half full and none is empty: another size needs pages, and nothing has to die for them.
        for (int i = 0; i < count; i += 2)
            store.Delete($"small{i}");
        long before = store.Store.ItemCount;
        for (int i = 0; i < 20; i++)
            Assert.Equal(CacheStatus.Ok, store.Set($"large{i}", new string('l', 2500)));
        Assert.Equal(before + 20, store.Store.ItemCount);
        Assert.True(store.Statistics().SlabsMoved > 10);
    }

    [Fact]
    public void WithoutEvictionFreeChunksOfOneSizeBecomeMemoryForAnother()
    {
        using var store = new StoreHarness(new StoreOptions { MemoryBytes = 256 * 1024, PartitionCount = 1, NoEviction = true });
        int count = 0;
        while (store.Set($"small{count}", new string('s', 20)) == CacheStatus.Ok)
            count++;
        for (int i = 0; i < count; i += 2)
            store.Delete($"small{i}");
        for (int i = 0; i < 20; i++)
            Assert.Equal(CacheStatus.Ok, store.Set($"large{i}", new string('l', 2500)));
        for (int i = 1; i < count; i += 2)
            Assert.NotNull(store.Get($"small{i}"));
    }

    [Fact]
    public void ItemsThatMoveKeepTheirBytesAndPinnedOnesStay()
    {
        int seed = TestSeed.Next();
        var random = new Random(seed);
        using var store = new StoreHarness(new StoreOptions { MemoryBytes = 512 * 1024, PartitionCount = 1 });
        var pins = new Queue<(PinnedValue Value, byte Mark)>();
        byte[] copy = new byte[20_000];
        for (int i = 0; i < 20_000; i++)
        {
            int number = random.Next(3000);
            byte mark = (byte)(number * 31);
            int scale = i / 2000 % 2 == 0 ? 300 : 12_000;
            if (random.Next(4) != 0)
            {
                byte[] value = new byte[random.Next(50) == 0 ? random.Next(20_000) : random.Next(scale)];
                value.AsSpan().Fill(mark);
                Assert.True(CacheStatus.Ok == store.Set($"key{number}", value), $"seed {seed}, operation {i}");
            }
            else if (random.Next(3) == 0)
            {
                store.Delete($"key{number}");
            }
            else
            {
                store.Reply.PinNext = pins.Count < 3;
                if (store.Get($"key{number}") is not null)
                {
                    Assert.True(store.Reply.Value.IndexOfAnyExcept(mark) < 0, $"seed {seed}, operation {i}: another key's value");
                    if (store.Reply.DidPin)
                        pins.Enqueue((store.Reply.Pinned, mark));
                }

                store.Reply.PinNext = false;
            }

            if (i % 7 == 0 && pins.TryDequeue(out (PinnedValue Value, byte Mark) pin))
            {
                pin.Value.CopyTo(0, copy.AsSpan(0, pin.Value.Length));
                Assert.True(copy.AsSpan(0, pin.Value.Length).IndexOfAnyExcept(pin.Mark) < 0, $"seed {seed}, operation {i}: a pinned value has changed");
                pin.Value.Release();
            }

            if (i % 200 == 0)
                store.CheckIntegrity();
        }

        while (pins.TryDequeue(out (PinnedValue Value, byte Mark) pin))
            pin.Value.Release();
        Assert.True(store.Statistics().SlabsMoved > 100, $"seed {seed}: nothing has moved");
    }

    [Fact]
    public void FillingThreeTimesWithSizesSpreadEvenlyNeverFailsAndStaysWithinTheArena()
    {
        int seed = TestSeed.Next();
        var random = new Random(seed);
        using var set = OpenAll(new StoreOptions { MemoryBytes = 64 * MiB, PartitionCount = 256 });
        var sink = new RecordingSink();
        byte[] value = StoreHarness.Bytes((int)MiB);
        long stored = 0;
        for (int i = 0; stored < 3 * 64 * MiB; i++)
        {
            int length = MixedLength(random);
            Assert.True(CacheStatus.Ok == Set(set, sink, $"key{i}", value.AsSpan(0, length)), $"seed {seed}, item {i} of {length} bytes: {sink.Status}");
            stored += length;
        }

        set.CheckIntegrityAtRest();
        StoreStatistics statistics = set.ReadStatistics(StoreHarness.Start, perClass: false);
        Assert.True(statistics.Evictions + statistics.SlabReassignEvictions > 0);
        Assert.True(statistics.PageBytesUsed + statistics.PageBytesFree <= 64 * MiB);
        Assert.True(statistics.Bytes > 40 * MiB, $"seed {seed}: only {statistics.Bytes} bytes are in use");
        Assert.Equal(0, statistics.StoreNoMemory);
    }

    [Fact]
    public void ALargeItemFitsWhenAllPartitionsAreFullOfSmallOnes()
    {
        using var set = OpenAll(new StoreOptions { MemoryBytes = 64 * MiB, PartitionCount = 256 });
        var sink = new RecordingSink();
        byte[] small = StoreHarness.Bytes(100);
        for (int i = 0; i < 500_000; i++)
            Set(set, sink, $"small{i}", small);
        Assert.Equal(0, set.Arena.FreePageCount);
        byte[] large = StoreHarness.Bytes((int)MiB - 1000);
        for (int i = 0; i < 20; i++)
        {
            Assert.Equal(CacheStatus.Ok, Set(set, sink, $"large{i}", large));
            Assert.Equal(CacheStatus.Ok, Get(set, sink, $"large{i}"));
            Assert.True(sink.Value.SequenceEqual(large));
        }

        set.CheckIntegrityAtRest();
        Assert.True(set.ReadStatistics(StoreHarness.Start, false).CurrItems > 100_000);
    }

    [Theory]
    [InlineData(100, 5000)]
    [InlineData(5000, 100)]
    [InlineData(100, 300_000)]
    [InlineData(300_000, 50)]
    [InlineData(1000, 10_000)]
    public void WhenTheSizesShiftMemoryFollows(int first, int second)
    {
        using var set = OpenAll(new StoreOptions { MemoryBytes = 8 * MiB, PartitionCount = 4 });
        var sink = new RecordingSink();
        uint now = StoreHarness.Start;
        for (int i = 0; i < 20 * MiB / first; i++)
            Assert.Equal(CacheStatus.Ok, Set(set, sink, $"first{i}", new byte[first], now));
        for (int i = 0; i < 40 * MiB / second; i++)
        {
            if (i % (MiB / second + 1) == 0)
                now += 5;
            Assert.Equal(CacheStatus.Ok, Set(set, sink, $"second{i}", new byte[second], now));
        }

        set.CheckIntegrityAtRest();
        int kept = 0;
        int wanted = (int)(4 * MiB / second);
        int last = (int)(40 * MiB / second);
        for (int i = last - wanted; i < last; i++)
            kept += Get(set, sink, $"second{i}", now) == CacheStatus.Ok ? 1 : 0;
        Assert.True(kept > wanted * 0.8, $"{kept} of the last {wanted} items of {second} bytes are there");
    }

    [Fact]
    public void AnIdlePartitionGivesToOneThatOpensLate()
    {
        var options = new StoreOptions { MemoryBytes = 8 * MiB, PartitionCount = 2, ShardCount = 2, HashSeed = StoreHarness.HashSeed };
        using var set = new PartitionSet(options);
        set.Open(new PartitionId(0), 1);
        var sink = new RecordingSink();
        for (int i = 0; i < 200_000; i++)
            Set(set, sink, $"key{i}", new byte[100], onlyPartition: 0);
        Assert.Equal(0, set.Arena.FreePageCount);
        Partition late = set.Open(new PartitionId(1), 1);
        uint now = StoreHarness.Start;
        for (int i = 0; i < 400_000; i++)
        {
            now += i % 1000 == 0 ? 5u : 0;
            Set(set, sink, $"key{i}", new byte[100], now, onlyPartition: 1);
        }

        StoreShard shard = late.Store.Shard;
        Assert.True(shard.Heap.PageCount > set.Arena.PageCount / 2, $"{shard.Heap.PageCount} of {set.Arena.PageCount} pages");
        set.CheckIntegrityAtRest();
    }

    [Fact]
    public void WithoutEvictionAFullStoreSaysSo()
    {
        using var store = new StoreHarness(new StoreOptions { MemoryBytes = 2 * MiB, PartitionCount = 1, NoEviction = true });
        int stored = 0;
        while (store.Set($"key{stored}", new string('x', 100)) == CacheStatus.Ok)
            stored++;
        Assert.Equal(CacheStatus.OutOfMemory, store.Reply.Status);
        Assert.True(stored > 8000);
        Assert.Equal(stored, store.Store.ItemCount);
        Assert.Equal(0, store.Statistics().Evictions);
        Assert.Equal(CacheStatus.Ok, store.Set("key5", new string('y', 100)));
        Assert.Equal(CacheStatus.OutOfMemory, store.Set("key6", new string('y', 5000)));
        Assert.Null(store.Get("key6"));
        Assert.Equal(2, store.Statistics().StoreNoMemory);
    }

    [Fact]
    public void AnItemBeyondThreeQuartersOfTheArenaIsRefusedWithoutEvictingTheRest()
    {
        using var store = new StoreHarness(new StoreOptions { MemoryBytes = 4 * MiB, PartitionCount = 1, ItemBytesMax = 8 * (int)MiB });
        store.Set("small", "v");
        Assert.Equal(CacheStatus.OutOfMemory, store.Set("large", new byte[7 * MiB / 2]));
        Assert.Equal("v", store.Get("small"));
        Assert.Equal(CacheStatus.Ok, store.Set("large", new byte[2 * MiB]));
        Assert.Equal(CacheStatus.Ok, store.Set("large", new byte[2 * MiB]));
    }

    [Fact]
    public void ReadItemsOutliveUnreadOnes()
    {
        using var store = new StoreHarness(new StoreOptions { MemoryBytes = 2 * MiB, PartitionCount = 1 });
        for (int i = 0; i < 100; i++)
            store.Set($"hot{i}", new string('h', 100));
        for (int i = 0; i < 50_000; i++)
        {
            store.Set($"cold{i}", new string('c', 100));
            if (i % 10 == 0)
                store.Get($"hot{i / 10 % 100}");
        }

        int kept = Enumerable.Range(0, 100).Count(i => store.Get($"hot{i}") is not null);
        // A run of read items at the tail costs a few: an eviction spares a bounded number.
        Assert.True(kept >= 90, $"{kept} of 100 hot items are there");
    }

    [Fact]
    public void NothingIsAllocatedPerOperation()
    {
        using var set = OpenAll(new StoreOptions { MemoryBytes = 16 * MiB, PartitionCount = 16 });
        var sink = new CountingSink();
        byte[][] keys = [.. Enumerable.Range(0, 20_000).Select(i => System.Text.Encoding.ASCII.GetBytes($"key{i}"))];
        byte[] value = new byte[40_000];
        Mixed(set, sink, keys, value, 20_000);

        // The least of three: a collection on behalf of another test may charge this thread for what it has set aside; what the code allocates shows every
        // time.
        int calls = 20_000;
        long least = long.MaxValue;
        for (int attempt = 0; attempt < 3 && least > 0; attempt++, calls += 100_000)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            Mixed(set, sink, keys, value, 100_000);
            least = Math.Min(least, GC.GetAllocatedBytesForCurrentThread() - before);
        }

        Assert.Equal(0, least);
        Assert.Equal(calls, sink.Calls);

        static void Mixed(PartitionSet set, CountingSink sink, byte[][] keys, byte[] value, int count)
        {
            uint random = 1;
            for (int i = 0; i < count; i++)
            {
                random = (random * 1664525) + 1013904223;
                byte[] key = keys[(random >> 8) % (uint)keys.Length];
                var operation = (CacheOperation)(1 + (i % 10));
                int length = i % 97 == 0 ? 40_000 : i % 200;
                CacheRequest request = StoreHarness.Request(operation, key, operation is CacheOperation.Append or CacheOperation.Prepend
                    ? value.AsSpan(0, 10) : value.AsSpan(0, length));
                request.Flags = operation == CacheOperation.Get ? RequestFlags.ReturnValue : 0;
                request.Delta = 1;
                set.TryGet(PartitionId.OfHash(request.KeyHash, 16))!.TryExecute(in request, StoreHarness.Start + ((uint)i / 1000), sink);
            }
        }
    }

    [Fact]
    public async Task FourThreadsUnderTightMemoryLeaveEverythingWhole()
    {
        int seed = TestSeed.Next();
        using var set = OpenAll(new StoreOptions { MemoryBytes = 4 * MiB, PartitionCount = 8 });
        await Task.WhenAll(Enumerable.Range(0, 4).Select(t => Task.Run(() => Hammer(set, seed + t, 40_000))));
        set.CheckIntegrityAtRest();
        Assert.True(set.ReadStatistics(StoreHarness.Start, false).StoreNoMemory == 0, $"seed {seed}: out of memory");
    }

    [Fact]
    public async Task PartitionsThatOpenAndCloseUnderLoadGiveEverythingBack()
    {
        int seed = TestSeed.Next();
        using var set = OpenAll(new StoreOptions { MemoryBytes = 4 * MiB, PartitionCount = 8 });
        using var stop = new CancellationTokenSource();
        Task changes = Task.Run(() =>
        {
            var random = new Random(seed - 1);
            while (!stop.IsCancellationRequested)
            {
                var id = new PartitionId(random.Next(8));
                set.Close(id);
                Thread.Yield();
                set.Open(id, 2, random.Next(2) == 0 ? PartitionState.Active : PartitionState.Sealed).Unseal();
            }
        });
        await Task.WhenAll(Enumerable.Range(0, 3).Select(t => Task.Run(() => Hammer(set, seed + t, 15_000))));
        await stop.CancelAsync();
        await changes;
        set.CheckIntegrityAtRest();
        for (int i = 0; i < 8; i++)
            set.Close(new PartitionId(i));
        while (set.DrainSlice(64))
        {
        }

        Assert.True(set.Arena.PageCount == set.Arena.FreePageCount, $"seed {seed}: pages are missing");
    }

    /// <summary>Random operations; every value tells its key, so that a wrong one is seen; large values are pinned for a while.</summary>
    private static void Hammer(PartitionSet set, int seed, int operations)
    {
        var random = new Random(seed);
        var sink = new RecordingSink();
        var pins = new Queue<(PinnedValue Value, byte Expected)>();
        byte[] value = new byte[200_000];
        for (int i = 0; i < operations; i++)
        {
            int number = random.Next(5000);
            byte mark = (byte)(number * 31);
            if (random.Next(3) == 0)
            {
                int length = random.Next(50) == 0 ? random.Next(1, value.Length) : random.Next(1, 2000);
                value.AsSpan(0, length).Fill(mark);
                Set(set, sink, $"key{number}", value.AsSpan(0, length));
            }
            else if (random.Next(20) == 0)
            {
                Run(set, sink, StoreHarness.Request(CacheOperation.Delete, $"key{number}"), StoreHarness.Start);
            }
            else
            {
                sink.PinNext = pins.Count < 20;
                if (Get(set, sink, $"key{number}") == CacheStatus.Ok)
                {
                    Assert.True(sink.Value.IndexOfAnyExcept(mark) < 0, $"seed {seed}, operation {i}: another key's value");
                    if (sink.DidPin)
                        pins.Enqueue((sink.Pinned, mark));
                }

                sink.PinNext = false;
            }

            if (pins.Count > 10)
                Release(pins.Dequeue());
        }

        while (pins.Count > 0)
            Release(pins.Dequeue());

        void Release((PinnedValue Value, byte Expected) pin)
        {
            pin.Value.CopyTo(0, value.AsSpan(0, pin.Value.Length));
            Assert.True(value.AsSpan(0, pin.Value.Length).IndexOfAnyExcept(pin.Expected) < 0, $"seed {seed}: a pinned value has changed");
            pin.Value.Release();
        }
    }

    /// <summary>Each decade of sizes with the same number of bytes: few large ones, many small ones.</summary>
    private static int DecadeLength(Random random)
    {
        double draw = random.NextDouble() * 11_111;
        int low = draw < 1 ? 100_000 : draw < 11 ? 10_000 : draw < 111 ? 1000 : draw < 1111 ? 100 : 10;
        return random.Next(low, low * 10);
    }

    private static int MixedLength(Random random) => (int)Math.Exp((random.NextDouble() * (Math.Log(MiB - 500) - Math.Log(10))) + Math.Log(10));

    private static PartitionSet OpenAll(StoreOptions options)
    {
        var set = new PartitionSet(options with { HashSeed = StoreHarness.HashSeed });
        for (int i = 0; i < options.PartitionCount; i++)
            set.Open(new PartitionId(i), 1);
        return set;
    }

    private static CacheStatus Set(PartitionSet set, RecordingSink sink, string key, ReadOnlySpan<byte> value, uint now = StoreHarness.Start,
        int onlyPartition = -1)
    {
        Span<byte> bytes = stackalloc byte[32];
        int length = System.Text.Encoding.ASCII.GetBytes(key, bytes);
        return Run(set, sink, StoreHarness.Request(CacheOperation.Set, bytes[..length], value), now, onlyPartition);
    }

    private static CacheStatus Get(PartitionSet set, RecordingSink sink, string key, uint now = StoreHarness.Start)
    {
        CacheRequest request = StoreHarness.Request(CacheOperation.Get, key);
        request.Flags = RequestFlags.ReturnValue;
        return Run(set, sink, request, now);
    }

    private static CacheStatus Run(PartitionSet set, RecordingSink sink, in CacheRequest request, uint now, int onlyPartition = -1)
    {
        PartitionId id = PartitionId.OfHash(request.KeyHash, set.PartitionCount);
        if (onlyPartition >= 0 && id.Value != onlyPartition)
            return CacheStatus.None;
        return set.TryGet(id) is { } partition && partition.TryExecute(in request, now, sink) ? sink.Status : CacheStatus.Unavailable;
    }

    private sealed class CountingSink : ReplySink
    {
        public int Calls { get; private set; }

        public override void OnReply(in CacheReply reply) => Calls++;
    }
}
