using System.Text;

namespace OrleansCache.Storage.Tests.Slabs;

public sealed class PageMoverTests : IDisposable
{
    private readonly StoreHarness _store = new(new StoreOptions { PartitionCount = 1, ShardCount = 1, MemoryBytes = 4 << 20 });

    private StoreShard Shard => _store.Arena.Shards[0];

    public void Dispose() => _store.Dispose();

    [Fact]
    public void WhatLiesOnAPageMovesToOtherPagesAndKeepsItsBytes()
    {
        int seed = TestSeed.Next();
        var random = new Random(seed);
        var values = new Dictionary<string, byte[]>();
        for (int i = 0; i < 300; i++)
        {
            byte[] value = StoreHarness.Bytes(random.Next(3) == 0 ? random.Next(30_000) : random.Next(2000), seed + i);
            values[$"key{i}"] = value;
            Assert.Equal(CacheStatus.Ok, _store.Set($"key{i}", value));
        }

        // Half of them go, so that the rest find room.
        foreach (string key in values.Keys.Where((_, i) => i % 2 == 0).ToArray())
        {
            _store.Delete(key);
            values.Remove(key);
        }

        int moved = 0;
        for (int round = 0; round < 3; round++)
        {
            for (int c = 0; c < _store.Arena.Classes.Count; c++)
            {
                if (Shard.Classes[c].FreeCount < Shard.Heap.ChunksPerPage(c) || TakePage(c) == 0)
                    continue;
                moved++;
                _store.CheckIntegrity();
            }
        }

        Assert.True(moved > 10, $"seed {seed}: only {moved} pages");
        Assert.Equal(0, Shard.Ledger.Lost(LossCause.Evicted) + Shard.Ledger.Lost(LossCause.PageMoved));
        foreach ((string key, byte[] value) in values)
        {
            Assert.NotNull(_store.Get(key));
            Assert.True(_store.Reply.Value.SequenceEqual(value), $"seed {seed}: {key} has other bytes");
        }

        Assert.True(_store.Statistics().SlabReassignChunkRescues > 0, $"seed {seed}: no chain was met");
        Assert.True(_store.Statistics().SlabReassignRescues > 0);
    }

    [Fact]
    public void WhereThereIsNoRoomTheClassEvictsWhatWouldHaveGoneNext()
    {
        int classIndex = Fill(1000, out int count);

        // The page with the newest item: who has to go is the oldest nevertheless.
        long evicted = Shard.Ledger.Lost(LossCause.Evicted);
        Assert.NotEqual(0u, TakePage(classIndex));
        int gone = (int)(Shard.Ledger.Lost(LossCause.Evicted) - evicted);
        Assert.InRange(gone, 1, Shard.Heap.ChunksPerPage(classIndex) * 2);
        Assert.Equal(0, Shard.Ledger.Lost(LossCause.PageMoved));
        for (int i = count - 500; i < count; i++)
            Assert.NotNull(_store.Get($"key{i}"));
    }

    [Fact]
    public void ExpiredItemsAreNotMoved()
    {
        CacheRequest request;
        for (int i = 0; i < 1000; i++)
        {
            request = StoreHarness.Request(CacheOperation.Set, Encoding.ASCII.GetBytes($"key{i}"), StoreHarness.Bytes(900));
            request.ExpiresAt = _store.Now + 10;
            _store.Run(in request);
        }

        int classIndex = ClassOf("key1");
        _store.Now += 10;
        int chunks = Shard.Heap.ChunksPerPage(classIndex);
        Assert.NotEqual(0u, TakePage(classIndex));
        Assert.InRange(Shard.Ledger.Lost(LossCause.Expired), 1, chunks);
        Assert.Equal(Shard.Ledger.Lost(LossCause.Expired), _store.Statistics().SlabReassignInlineReclaim);
        Assert.Equal(0, _store.Statistics().SlabReassignRescues);
    }

    [Fact]
    public void APageOnWhichSomethingIsPinnedOrReadStays()
    {
        for (int i = 0; i < 20; i++)
            _store.Set($"key{i}", StoreHarness.Bytes(20_000, i));
        int classIndex = ClassOf("key0");
        var pins = new List<PinnedValue>();
        for (int i = 0; i < 20; i++)
        {
            _store.Reply.PinNext = true;
            _store.Get($"key{i}");
            pins.Add(_store.Reply.Pinned);
        }

        // Neither heads nor continuations can go while their readers hold on to them.
        for (int c = 0; c < _store.Arena.Classes.Count; c++)
            Assert.Equal(0u, TakePage(c));
        pins[7].Release();
        uint freed = _store.Store.Index.Find(StoreHarness.Hash("key7"u8), "key7"u8);
        Shard.Guarded = freed;
        for (int c = 0; c < _store.Arena.Classes.Count; c++)
            Assert.Equal(0u, TakePage(c, exceptShared: true));
        Shard.Guarded = 0;
        for (int i = 0; i < 20; i++)
        {
            if (i != 7)
                pins[i].Release();
        }

        Assert.NotEqual(0u, TakePage(classIndex));
        for (int i = 0; i < 20; i++)
        {
            if (_store.Get($"key{i}") is not null)
                Assert.True(_store.Reply.Value.SequenceEqual(StoreHarness.Bytes(20_000, i)));
        }
    }

    [Fact]
    public void AnOrphanKeepsItsPageUntilItIsReleased()
    {
        _store.Set("key", StoreHarness.Bytes(1000));
        int classIndex = ClassOf("key");
        _store.Reply.PinNext = true;
        _store.Get("key");
        PinnedValue pinned = _store.Reply.Pinned;
        _store.Delete("key");
        Assert.Equal(0u, TakePage(classIndex));
        Assert.Equal(1, Shard.Classes[classIndex].PageCount);
        pinned.Release();
        Assert.Equal(0, Shard.Classes[classIndex].PageCount);
    }

    [Fact]
    public void ASpareIsFoundWithoutADeathWhereAnotherClassHasRoom()
    {
        int classIndex = Fill(300, out int count);
        Assert.False(Shard.Mover.TrySparePage(_store.Now, out _));
        for (int i = 0; i < count; i += 2)
            _store.Delete($"key{i}");
        long items = _store.Store.ItemCount;
        int spared = 0;
        while (Shard.Mover.TrySparePage(_store.Now, out uint page))
        {
            _store.Arena.Give(page);
            spared++;
        }

        // Every page has holes; still nearly half of the pages come together.
        Assert.True(spared > Shard.Classes[classIndex].PageCount / 2);
        Assert.Equal(items, _store.Store.ItemCount);
        Assert.True(Shard.Classes[classIndex].FreeCount < Shard.Heap.ChunksPerPage(classIndex) * 2);
    }

    private int Fill(int valueBytes, out int count)
    {
        for (count = 0; _store.Statistics().Evictions == 0; count++)
            _store.Set($"key{count}", StoreHarness.Bytes(valueBytes));
        return ClassOf($"key{count - 1}");
    }

    private int ClassOf(string key)
    {
        byte[] bytes = Encoding.ASCII.GetBytes(key);
        return _store.Arena.Space.ClassOf(_store.Store.Index.Find(StoreHarness.Hash(bytes), bytes));
    }

    /// <summary>Empties a page of the class and gives it to the arena. With <paramref name="exceptShared"/> only pages of a single chunk count.</summary>
    private uint TakePage(int classIndex, bool exceptShared = false)
    {
        if (exceptShared && Shard.Heap.ChunksPerPage(classIndex) > 1)
            return 0;
        uint page = Shard.Mover.EmptyPageOf(classIndex, _store.Now);
        if (page != 0)
            _store.Arena.Give(page);
        return page;
    }
}
