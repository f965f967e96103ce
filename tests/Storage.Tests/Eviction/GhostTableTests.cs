namespace OrleansCache.Storage.Tests.Eviction;

public class GhostTableTests
{
    [Fact]
    public void ATableWithoutRoomRemembersNothing()
    {
        using var ghosts = new GhostTable(1 << 20);
        ghosts.Add(1, 1, default);
        Assert.False(ghosts.TryTake(1, 1, out _));
        Assert.Equal((0, 0), (ghosts.Capacity, ghosts.Bytes));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(GhostTable.GrowthBytes - 1)]
    public void ATableThatMayNotBeOneStepLargeNeverGrows(long bytesMax)
    {
        using var ghosts = new GhostTable(bytesMax);
        Assert.False(ghosts.CanGrow);
    }

    [Fact]
    public void ATableThatIsClearedBeginsAnew()
    {
        using var ghosts = new GhostTable(1 << 20);
        ghosts.Grow();
        ghosts.Grow();
        ghosts.Add(1, 1, default);
        ghosts.Clear();
        Assert.Equal((0, 0, true), (ghosts.Capacity, ghosts.Bytes, ghosts.CanGrow));
        Assert.False(ghosts.TryTake(1, 1, out _));
        Assert.True(ghosts.Grow());
        Assert.False(ghosts.TryTake(1, 1, out _));
        ghosts.Add(1, 1, default);
        Assert.True(ghosts.TryTake(1, 1, out _));
    }

    [Fact]
    public void WhatWasEvictedIsKnownOnceWithItsQueueAndItsStamp()
    {
        using var ghosts = new GhostTable(1 << 20);
        ghosts.Grow();
        ghosts.Add(0x1234_5678_9ABC_DEF0, 7, new Ghost(IsFromMain: true, Stamp: 65_535));
        ghosts.Add(0x9ABC_DEF0_1234_5678, 7, new Ghost(IsFromMain: false, Stamp: 0));
        Assert.False(ghosts.TryTake(0x1234_5678_9ABC_DEF0, 8, out _)); // another size
        Assert.True(ghosts.TryTake(0x1234_5678_9ABC_DEF0, 7, out Ghost ghost));
        Assert.Equal(new Ghost(true, 65_535), ghost);
        Assert.False(ghosts.TryTake(0x1234_5678_9ABC_DEF0, 7, out _));
        Assert.True(ghosts.TryTake(0x9ABC_DEF0_1234_5678, 7, out ghost));
        Assert.Equal(new Ghost(false, 0), ghost);
    }

    [Fact]
    public void AFullBucketForgetsItsOldest()
    {
        using var ghosts = new GhostTable(1 << 20);
        ghosts.Grow();
        for (uint i = 0; i < 10; i++)
            ghosts.Add(HashOf(i), 0, new Ghost(false, (ushort)i));
        Assert.False(ghosts.TryTake(HashOf(0), 0, out _));
        Assert.False(ghosts.TryTake(HashOf(1), 0, out _));

        // What is taken out of the middle leaves no hole.
        Assert.True(ghosts.TryTake(HashOf(5), 0, out _));
        ghosts.Add(HashOf(10), 0, new Ghost(false, 10));
        foreach (uint i in (uint[])[2, 3, 4, 6, 7, 8, 9, 10])
        {
            Assert.True(ghosts.TryTake(HashOf(i), 0, out Ghost ghost), $"{i} is forgotten");
            Assert.Equal(i, ghost.Stamp);
        }

        // One bucket: the high half of the hash is the same.
        static ulong HashOf(uint i) => (5UL << 32) | (i * 0x1000_0001u);
    }

    [Fact]
    public void WhatIsKnownIsStillKnownWhenTheTableGrows()
    {
        int seed = TestSeed.Next();
        var random = new Random(seed);
        using var ghosts = new GhostTable(1 << 20);
        ghosts.Grow();
        ulong[] hashes = [.. Enumerable.Range(0, 500).Select(_ => (ulong)random.NextInt64())];
        foreach (ulong hash in hashes)
            ghosts.Add(hash, 3, default);
        long bytes = ghosts.Bytes;
        for (int i = 2; ghosts.CanGrow; i++)
        {
            Assert.True(ghosts.Grow());
            Assert.Equal(bytes * i, ghosts.Bytes);
            Assert.Equal(ghosts.Bytes / 4, ghosts.Capacity);
        }

        Assert.Equal(1 << 20, ghosts.Bytes);

        Assert.All(hashes, hash => Assert.True(ghosts.TryTake(hash, 3, out _), $"seed {seed}"));
    }

    [Fact]
    public void AFullTableSeldomKnowsWhatItHasNeverSeen()
    {
        int seed = TestSeed.Next();
        var random = new Random(seed);
        using var ghosts = new GhostTable(1 << 20);
        while (ghosts.CanGrow)
            ghosts.Grow();
        for (long i = 0; i < ghosts.Capacity * 2; i++)
            ghosts.Add((ulong)random.NextInt64() * 2654435761, random.Next(60), default);
        const int Asked = 500_000;
        int known = 0;
        for (int i = 0; i < Asked; i++)
            known += ghosts.TryTake(((ulong)random.NextInt64() * 40503) + 7, random.Next(60), out _) ? 1 : 0;

        // 8 entries of 15 bits: 1 in 4,096.
        Assert.True(known < Asked / 2000, $"seed {seed}: {known} of {Asked} were taken for ghosts");
    }
}
