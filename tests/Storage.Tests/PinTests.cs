namespace OrleansCache.Storage.Tests;

public class PinTests
{
    [Theory]
    [InlineData(100)]
    [InlineData(20_000)]
    [InlineData(500_000)]
    public void APinnedValueStaysWhatItWasWhileItsItemIsDeletedOverwrittenCountedAndFlushed(int length)
    {
        using var store = new StoreHarness();
        byte[] value = StoreHarness.Bytes(length);
        Action[] changes =
        [
            () => store.Delete("k"),
            () => store.Set("k", StoreHarness.Bytes(length, 2)),
            () => store.Store2(CacheOperation.Append, "k", "more"),
            () => store.Store.FlushAll(0, store.Now),
            () => store.Store.Clear(),
        ];
        foreach (Action change in changes)
        {
            store.Set("k", value);
            PinnedValue pinned = Pin(store, "k");
            change();
            for (int i = 0; i < 50; i++)
                store.Set($"other{i}", StoreHarness.Bytes(length, i + 10));
            AssertHolds(pinned, value);
            store.CheckIntegrity();
            pinned.Release();
            store.CheckIntegrity();
            Assert.Equal(0, store.Arena.PinnedBytes);
            store.Store.Clear();
            Assert.Equal(store.Arena.PageCount, store.Arena.FreePageCount);
        }
    }

    [Fact]
    public void ACounterThatIsPinnedIsNotChangedInPlace()
    {
        using var store = new StoreHarness();
        store.Set("k", "10");
        PinnedValue pinned = Pin(store, "k");
        Assert.Equal(CacheStatus.Ok, store.Increment("k", 5));
        AssertHolds(pinned, "10"u8);
        Assert.Equal("15", store.Get("k"));
        pinned.Release();
    }

    [Fact]
    public void PinnedItemsAreNotEvictedAndTheirMemoryComesBack()
    {
        using var store = new StoreHarness(new StoreOptions { PartitionCount = 1, MemoryBytes = 4 * 1024 * 1024 });
        byte[] value = StoreHarness.Bytes(100_000);
        store.Set("pinned", value);
        PinnedValue pinned = Pin(store, "pinned");
        for (int i = 0; i < 20_000; i++)
            Assert.Equal(CacheStatus.Ok, store.Set($"k{i}", new string('x', i % 3000)));
        AssertHolds(pinned, value);
        store.Delete("pinned");
        store.CheckIntegrity();
        AssertHolds(pinned, value);
        pinned.Release();
        store.Get("k1");
        store.CheckIntegrity();
    }

    [Fact]
    public void PinsHoldAtMostAQuarterOfTheArena()
    {
        using var store = new StoreHarness(new StoreOptions { PartitionCount = 1, MemoryBytes = 8 * 1024 * 1024 });
        var pins = new List<PinnedValue>();
        for (int i = 0; i < 40; i++)
        {
            store.Set($"k{i}", new byte[100_000]);
            store.Reply.PinNext = true;
            store.Get($"k{i}");
            if (store.Reply.DidPin)
                pins.Add(store.Reply.Pinned);
        }

        Assert.InRange(pins.Count, 10, 20);
        Assert.InRange(store.Arena.PinnedBytes, 1_000_000, 2 * 1024 * 1024);
        pins.ForEach(p => p.Release());
        Assert.Equal(0, store.Arena.PinnedBytes);
        store.Reply.PinNext = true;
        store.Get("k39");
        Assert.True(store.Reply.DidPin);
        store.Reply.Pinned.Release();
    }

    [Fact]
    public void TwoPinsOfOneItemAreReleasedApart()
    {
        using var store = new StoreHarness();
        byte[] value = StoreHarness.Bytes(30_000);
        store.Set("k", value);
        PinnedValue first = Pin(store, "k");
        PinnedValue second = Pin(store, "k");
        store.Delete("k");
        first.Release();
        store.CheckIntegrity();
        AssertHolds(second, value);
        second.Release();
        store.CheckIntegrity();
        Assert.Equal(0, store.Arena.PinnedBytes);
    }

    [Fact]
    public void APartitionClosedUnderAPinGivesThePagesBackWithItsRelease()
    {
        using var set = new PartitionSet(new StoreOptions { PartitionCount = 1, MemoryBytes = 4 * 1024 * 1024, HashSeed = StoreHarness.HashSeed });
        Partition partition = set.Open(new PartitionId(0), 1);
        var sink = new RecordingSink();
        byte[] value = StoreHarness.Bytes(50_000);
        CacheRequest request = StoreHarness.Request(CacheOperation.Set, "k"u8, value);
        partition.TryExecute(in request, StoreHarness.Start, sink);
        request = StoreHarness.Request(CacheOperation.Get, "k"u8);
        request.Flags = RequestFlags.ReturnValue;
        sink.PinNext = true;
        partition.TryExecute(in request, StoreHarness.Start, sink);
        PinnedValue pinned = sink.Pinned;
        Assert.True(set.Close(new PartitionId(0)));
        Assert.True(set.Arena.FreePageCount < set.Arena.PageCount);
        AssertHolds(pinned, value);
        pinned.Release();
        Assert.Equal(set.Arena.PageCount, set.Arena.FreePageCount);
    }

    private static PinnedValue Pin(StoreHarness store, string key)
    {
        store.Reply.PinNext = true;
        Assert.NotNull(store.Get(key));
        Assert.True(store.Reply.DidPin);
        return store.Reply.Pinned;
    }

    private static unsafe void AssertHolds(PinnedValue pinned, ReadOnlySpan<byte> value)
    {
        Assert.Equal(value.Length, pinned.Length);
        byte[] copy = new byte[value.Length];
        pinned.CopyTo(0, copy);
        Assert.True(copy.AsSpan().SequenceEqual(value));
        byte[] walked = new byte[value.Length];
        for (int offset = 0; offset < pinned.Length;)
        {
            byte* run = pinned.GetRun(offset, out int runBytes);
            Assert.InRange(runBytes, 1, pinned.Length - offset);
            new ReadOnlySpan<byte>(run, runBytes).CopyTo(walked.AsSpan(offset));
            offset += runBytes;
        }

        Assert.True(walked.AsSpan().SequenceEqual(value));
        walked.AsSpan().Clear();
        var cursor = default(ValueCursor);
        for (int offset = 0; offset < pinned.Length;)
        {
            // Each run in two halves: the second begins inside of the run that the cursor knows.
            byte* run = pinned.GetRun(offset, ref cursor, out int runBytes);
            int half = (runBytes + 1) / 2;
            new ReadOnlySpan<byte>(run, half).CopyTo(walked.AsSpan(offset));
            offset += half;
        }

        Assert.True(walked.AsSpan().SequenceEqual(value));
        Assert.True(new ReadOnlySpan<byte>(pinned.GetRun(0, ref cursor, out int first), first).SequenceEqual(value[..first]));
        int middle = value.Length / 3;
        copy = new byte[Math.Min(100, value.Length - middle)];
        pinned.CopyTo(middle, copy);
        Assert.True(copy.AsSpan().SequenceEqual(value.Slice(middle, copy.Length)));
    }
}
