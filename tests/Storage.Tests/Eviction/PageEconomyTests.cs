namespace OrleansCache.Storage.Tests.Eviction;

public sealed unsafe class PageEconomyTests : IDisposable
{
    private readonly PageArena _arena = new(new StoreOptions { PartitionCount = 2, ShardCount = 2, MemoryBytes = 64 << 20, HashSeed = StoreHarness.HashSeed });

    private PageEconomy Economy => _arena.Economy;

    public void Dispose() => _arena.Dispose();

    [Fact]
    public void WhoComesBackIsCreditedAndTheClassOfSomePagePays()
    {
        Give(shard: 0, classIndex: 3, pages: 10);
        Economy.Credit(7);
        Assert.Equal((PageEconomy.CreditBytes, -PageEconomy.CreditBytes), (Economy.CreditOf(7), Economy.CreditOf(3)));

        // Where the only pages are its own, nobody gains.
        Economy.Credit(3);
        Assert.Equal(-PageEconomy.CreditBytes, Economy.CreditOf(3));
    }

    [Fact]
    public void WithoutPagesNobodyPaysAndNobodyGains()
    {
        Economy.Credit(7);
        Assert.Equal(0, Economy.CreditOf(7));
    }

    [Fact]
    public void PayersAreDrawnByTheirPages()
    {
        Give(0, 3, 30);
        Give(1, 4, 10);
        for (int i = 0; i < 200; i++)
        {
            Economy.Credit(7);
            Assert.Equal(0, Economy.CreditOf(3) + Economy.CreditOf(4) + Economy.CreditOf(7));
        }

        double share = (double)Economy.CreditOf(3) / (Economy.CreditOf(3) + Economy.CreditOf(4));
        Assert.InRange(share, 0.6, 0.9);
    }

    [Fact]
    public void APageMayBeTakenForAWholePagesCreditAndIsPaidFor()
    {
        Give(0, 3, 10);
        int credits = 0;
        for (; !Economy.MayTake(7); credits++)
            Economy.Credit(7);
        Assert.Equal(_arena.PageBytes / PageEconomy.CreditBytes, credits);
        Economy.Settle(fromClass: 3, toClass: 7);
        Assert.False(Economy.MayTake(7));
        Assert.Equal((0, 0), (Economy.CreditOf(3), Economy.CreditOf(7)));
    }

    [Fact]
    public void ThePastIsWorthAFewPagesAtTheMost()
    {
        Give(0, 3, 10);
        for (int i = 0; i < 100_000; i++)
            Economy.Credit(7);
        Assert.InRange(Economy.CreditOf(7), 8L * _arena.PageBytes, 16L * _arena.PageBytes);
        Assert.InRange(Economy.CreditOf(3), -16L * _arena.PageBytes, -8L * _arena.PageBytes);
        for (int i = 0; i < 100; i++)
            Economy.Settle(7, 3);
        Assert.InRange(Economy.CreditOf(7), 8L * _arena.PageBytes, 16L * _arena.PageBytes);
    }

    [Fact]
    public void SwitchedOffItNotesNothingAndMovesNothing()
    {
        Give(0, 3, 10);
        for (int i = 0; i < 1000; i++)
            Economy.Credit(7);
        Assert.True(Economy.MayTake(7));
        Economy.IsEnabled = false;
        Assert.False(Economy.MayTake(7));
        Assert.False(Economy.HasIdle);
        long credit = Economy.CreditOf(7);
        Economy.Credit(7);
        Assert.Equal(credit, Economy.CreditOf(7));
        Economy.IsEnabled = true;
        Assert.True(Economy.MayTake(7));
    }

    [Fact]
    public void AClassThatIsHardlyUsedIsIdleAtTheSecondReviewAndNotBefore()
    {
        Give(0, 3, 10);
        Give(1, 4, 10);
        _arena.Shards[0].Classes[3].Uses = 100_000;
        Review();
        Assert.False(Economy.HasIdle); // its pages may be new
        _arena.Shards[0].Classes[3].Uses += 100_000;
        Review();
        Assert.True(Economy.HasIdle);
        Assert.True(Economy.TryFindIdle(exceptShard: 0, exceptClass: 3, out int shard, out int classIndex));
        Assert.Equal((1, 4), (shard, classIndex));
        Assert.False(Economy.TryFindIdle(exceptShard: 1, exceptClass: 4, out _, out _));

        // Used again, it is idle no more.
        _arena.Shards[1].Classes[4].Uses += 100_000;
        Review();
        Assert.False(Economy.HasIdle);
    }

    [Fact]
    public void TheIdlestClassComesFirstAndEachKeepsItsLastPage()
    {
        Give(0, 3, 20);
        Give(0, 4, 5);
        Give(1, 5, 5);
        Give(1, 6, 1);
        for (int review = 0; review < 3; review++)
        {
            _arena.Shards[0].Classes[3].Uses += 1_000_000;
            _arena.Shards[0].Classes[4].Uses += 500;
            _arena.Shards[1].Classes[5].Uses += 50;
            Review();
        }

        Assert.True(Economy.TryFindIdle(0, 3, out int shard, out int classIndex));
        Assert.Equal((1, 5), (shard, classIndex));
        StoreShard owner = _arena.Shards[1];
        while (owner.Classes[5].PageCount > 1)
        {
            uint page = owner.Classes[5].PageHead;
            owner.Heap.Detach(page);
            _arena.Give(page);
        }

        Assert.True(Economy.TryFindIdle(0, 3, out shard, out classIndex));
        Assert.Equal((0, 4), (shard, classIndex));
    }

    [Fact]
    public void NothingIsAllocatedWhateverItHears()
    {
        Give(0, 3, 20);
        Give(1, 4, 20);
        Economy.Credit(7);
        Review();
        Review();
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 100; i++)
        {
            _arena.Shards[0].Classes[3].Uses += 1000;
            Economy.Credit(7);
            Economy.TryFindIdle(0, 3, out _, out _);
            Economy.Settle(3, 7);
            Review();
        }

        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    /// <summary>Traffic whose sizes shift: the memory follows, and steady traffic moves next to no pages.</summary>
    [Fact]
    public void PagesMoveWhenSizesShiftAndRestInSteadyTraffic()
    {
        int seed = TestSeed.Next();
        var random = new Random(seed);
        using var store = new StoreHarness(new StoreOptions { PartitionCount = 1, MemoryBytes = 32 << 20, Seed = (ulong)seed });
        byte[] value = StoreHarness.Bytes(2000);
        Traffic(150, 150_000);
        Traffic(1500, 80_000);
        StoreStatistics before = store.Statistics();
        Traffic(1500, 80_000);
        StoreStatistics after = store.Statistics();
        long moves = after.SlabsMoved - before.SlabsMoved;
        Assert.True(moves < (after.CmdSet - before.CmdSet) / 100, $"seed {seed}: {moves} page moves in {after.CmdSet - before.CmdSet} sets of steady traffic");

        // Nearly all of the memory is the new size's.
        SlabClassStatistics largest = store.Statistics(perClass: true).Classes.MaxBy(c => c.TotalPages);
        Assert.True(largest.ChunkBytes > 1500 && largest.TotalPages > store.Arena.PageCount * 8L / 10,
            $"seed {seed}: {largest.TotalPages} pages of {largest.ChunkBytes}");

        void Traffic(int valueBytes, int requests)
        {
            for (int i = 0; i < requests; i++)
            {
                string key = $"{valueBytes}-{(int)(60_000 * Math.Pow(random.NextDouble(), 2))}";
                if (store.Get(key) is null)
                    store.Set(key, value.AsSpan(0, valueBytes).ToArray());
            }
        }
    }

    private void Review() => Economy.AddStored(_arena.MemoryBytes, 0);

    private void Give(int shard, int classIndex, int pages)
    {
        for (int i = 0; i < pages; i++)
        {
            Assert.True(_arena.TryTake(out uint page));
            _arena.Shards[shard].Heap.Adopt(page, classIndex);
        }
    }
}
