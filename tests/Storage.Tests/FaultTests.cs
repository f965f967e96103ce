using System.Text;

namespace OrleansCache.Storage.Tests;

/// <summary>What goes wrong around a store: readers that never end, memory that is not there, more than fits.</summary>
public class FaultTests
{
    private const long MiB = 1024 * 1024;

    /// <summary>
    /// As many pins as are given, spread over everything, while all around them is evicted: no store fails, nothing pinned changes, and all memory
    /// comes back.
    /// </summary>
    [Theory]
    [InlineData(2_000)]
    [InlineData(17_000)]
    [InlineData(70_000)]
    public void ReadersThatHoldThousandsOfValuesStopNobody(int pinnedBytes)
    {
        int seed = TestSeed.Next();
        var random = new Random(seed);
        using var store = new StoreHarness(new StoreOptions { PartitionCount = 1, ShardCount = 1, MemoryBytes = 32 * MiB });
        var pins = new List<(PinnedValue Pin, int Number)>();
        for (int i = 0; i < 32 * MiB / pinnedBytes; i++)
        {
            Assert.Equal(CacheStatus.Ok, store.Set($"pinned{i}", StoreHarness.Bytes(pinnedBytes, i)));
            store.Reply.PinNext = i % 2 == 0;
            Assert.NotNull(store.Get($"pinned{i}"));
            if (i % 2 == 0 && store.Reply.DidPin)
                pins.Add((store.Reply.Pinned, i));
            store.Reply.PinNext = false;
        }

        Assert.True(store.Arena.PinnedBytes > 7 * MiB, $"only {store.Arena.PinnedBytes} bytes are pinned");
        byte[] value = StoreHarness.Bytes(100_000);
        for (int i = 0; i < 40_000; i++)
        {
            int length = random.Next(20) == 0 ? random.Next(value.Length) : random.Next(3000);
            CacheRequest request = StoreHarness.Request(CacheOperation.Set, Encoding.ASCII.GetBytes($"other{i}"), value.AsSpan(0, length));
            Assert.True(store.Run(in request) == CacheStatus.Ok, $"seed {seed}, item {i} of {length} bytes: {store.Reply.Status}");
        }

        store.CheckIntegrity();
        byte[] copy = new byte[pinnedBytes];
        foreach ((PinnedValue pin, int number) in pins)
        {
            pin.CopyTo(0, copy);
            Assert.True(copy.AsSpan().SequenceEqual(StoreHarness.Bytes(pinnedBytes, number)), $"seed {seed}: the pinned value {number} has changed");
            pin.Release();
        }

        Assert.Equal((0, 0), (store.Arena.PinnedBytes, store.Arena.Shards[0].Pins.Count));
    }

    /// <summary>One search for a page that may be emptied looks at a bounded number of them, however many readers there are.</summary>
    [Fact]
    public void AClassFullOfPinsIsLeftAloneSoon()
    {
        using var store = new StoreHarness(new StoreOptions { PartitionCount = 1, ShardCount = 1, MemoryBytes = 256 * MiB });
        var pins = new List<PinnedValue>();
        byte[] value = StoreHarness.Bytes(65_000);
        for (int i = 0; i < 900; i++)
        {
            store.Set($"k{i}", value);
            store.Reply.PinNext = true;
            store.Get($"k{i}");
            pins.Add(store.Reply.Pinned);
        }

        int classIndex = store.Arena.Space.ClassOf(store.Store.Index.Find(StoreHarness.Hash("k1"u8), "k1"u8));
        int asked = 0;
        Assert.Equal(0u, store.Arena.Shards[0].Heap.FindEmptiestPage(classIndex, _ => ++asked < 0));
        Assert.InRange(asked, 1, 300);
        pins.ForEach(static pin => pin.Release());
    }

    /// <summary>A shard that is asked for a page frees a bounded number of flushed items first.</summary>
    [Fact]
    public void APageIsGivenSoonAlsoBehindALargeFlush()
    {
        using var set = new PartitionSet(new StoreOptions { PartitionCount = 16, ShardCount = 1, MemoryBytes = 64 * MiB, HashSeed = StoreHarness.HashSeed });
        for (int i = 0; i < 16; i++)
            set.Open(new PartitionId(i), 1);
        var sink = new RecordingSink();
        for (int i = 0; i < 250_000; i++)
        {
            CacheRequest request = StoreHarness.Request(CacheOperation.Set, $"key{i}", "a value that is not long");
            set.TryGet(PartitionId.OfHash(request.KeyHash, 16))!.TryExecute(in request, StoreHarness.Start, sink);
        }

        set.FlushAll(0, StoreHarness.Start);
        StoreShard shard = set.Arena.Shards[0];
        for (int i = 0; i < 20; i++)
        {
            long before = shard.Ledger.LostInAll;
            if (shard.TryGivePage(StoreHarness.Start, out uint page))
                set.Arena.Give(page);
            Assert.InRange(shard.Ledger.LostInAll - before, 0, 4000);
        }

        set.CheckIntegrity();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void AnItemLargerThanTheMemoryIsRefusedAndTheRestStays(bool noEviction)
    {
        using var store = new StoreHarness(new StoreOptions { PartitionCount = 1, MemoryBytes = 400_000, ItemBytesMax = 64 << 20, NoEviction = noEviction });
        for (int i = 0; i < 100; i++)
            store.Set($"k{i}", StoreHarness.Bytes(500));
        foreach (int length in (int[])[390_000, 400_000, 500_000, 3_000_000])
        {
            CacheRequest request = StoreHarness.Request(CacheOperation.Set, "large"u8, new byte[length]);
            Assert.Equal(CacheStatus.OutOfMemory, store.Run(in request));
            Assert.Null(store.Get("large"));
        }

        for (int i = 0; i < 100; i++)
            Assert.NotNull(store.Get($"k{i}"));
        Assert.Equal(CacheStatus.Ok, store.Set("k", "v"));
    }

    [Fact]
    public void AnArenaThatTheSystemDoesNotGiveIsRefusedWithAMessage()
    {
        if (!OperatingSystem.IsLinux())
            return;

        // More than there are addresses for.
        var exception = Assert.ThrowsAny<Exception>(() =>
            new PageArena(new StoreOptions { MemoryBytes = 1L << 47, PartitionCount = 1, HashSeed = StoreHarness.HashSeed }));
        Assert.True(exception is InsufficientMemoryException or OutOfMemoryException or ArgumentOutOfRangeException, exception.ToString());
    }

    /// <summary>The clock is set back by years and on again: what is there stays, what has a time keeps it, and nothing throws.</summary>
    [Fact]
    public void TheClockMayGoAnywhere()
    {
        using var store = new StoreHarness();
        store.Set("forever", "v");
        store.Set("short", "v", expiresAt: store.Now + 10);
        foreach (uint now in (uint[])[StoreHarness.Start, 1, StoreHarness.Start - 1, 0, 2, StoreHarness.Start + 9])
        {
            store.Now = now;
            Assert.NotNull(store.Get("forever"));
            Assert.NotNull(store.Get("short"));
            store.Store.Reclaim(now, 1000);
            Assert.Equal(CacheStatus.Ok, store.Set($"new{now}", "v"));
        }

        store.Now = StoreHarness.Start + 10;
        Assert.Null(store.Get("short"));
        store.Now = uint.MaxValue - 1;
        Assert.NotNull(store.Get("forever"));
        store.CheckIntegrity();
    }

    /// <summary>Thousands of keys with one hash: slow for whoever can build them, wrong for nobody.</summary>
    [Fact]
    public void KeysOfOneHashAreStoredFlushedAndEvictedLikeOthers()
    {
        using var store = new StoreHarness(new StoreOptions { PartitionCount = 1, ShardCount = 1, MemoryBytes = 1 * MiB });
        for (int round = 0; round < 3; round++)
        {
            for (int i = 0; i < 3000; i++)
            {
                CacheRequest request = StoreHarness.Request(CacheOperation.Set,
                    OrleansCache.Fuzz.Stores.CollidingKeys.Key(i, StoreHarness.HashSeed), StoreHarness.Bytes(200));
                Assert.Equal(CacheStatus.Ok, store.Run(in request));
            }

            store.CheckIntegrity();
            Assert.InRange(store.Store.ItemCount, 1000, 3000);
            store.Store.Reclaim(store.Now, 10_000);
            long before = store.Store.ItemCount;
            Assert.Equal(before, store.Store.Scan(0, store.Now).Items.Count);
            store.Store.FlushAll(0, store.Now);
            Assert.Equal(0, store.Store.ItemCount);
            while (store.Arena.Shards[0].DrainDetached(64))
                store.CheckIntegrity();
            Assert.Equal(store.Arena.PageCount, store.Arena.FreePageCount);
        }
    }
}
