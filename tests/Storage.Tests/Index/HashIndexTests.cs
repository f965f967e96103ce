using OrleansCache.Fuzz.Stores;

namespace OrleansCache.Storage.Tests.Index;

public class HashIndexTests
{
    [Fact]
    public void AnEmptyIndexKnowsNothing()
    {
        using var bench = new IndexBench();
        Assert.Equal(0u, bench.Find(IndexBench.Key(1)));
        Assert.False(bench.Index.Remove(1, 8));
        Assert.False(bench.Index.Replace(1, 8, 16));
        Assert.False(bench.Index.Contains(1, 8));
        Assert.Equal((0u, 0L, 0), (bench.Index.BucketCount, bench.Index.ItemCount, bench.Index.BlockCount));
        bench.Index.PrefetchBucket(1);
        bench.Index.PrefetchItems(1);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(20)]
    [InlineData(400)]
    public void ItAgreesWithADictionary(int colliding)
    {
        int seed = TestSeed.Next();
        var random = new Random(seed);
        using var bench = new IndexBench();
        var model = new Dictionary<int, uint>();
        for (int i = 0; i < 120_000; i++)
        {
            // Grows, then shrinks, then grows again: emptied buckets and overflow lines are used anew.
            int number = random.Next(20_000);
            byte[] key = number < colliding ? CollidingKey(number) : IndexBench.Key(number);
            bool grows = i / 40_000 != 1;
            model.TryGetValue(number, out uint handle);
            Assert.True(bench.Find(key) == handle, $"seed {seed}, step {i}: found at {bench.Find(key)}, not {handle}");
            if (handle == 0 && random.Next(4) < (grows ? 4 : 1))
            {
                model[number] = bench.Add(key);
            }
            else if (handle != 0 && random.Next(3) == 0)
            {
                Assert.True(bench.Move(key, handle, out uint to), $"seed {seed}, step {i}");
                Assert.False(bench.Index.Contains(StoreHarness.Hash(key), handle));
                model[number] = to;
            }
            else if (handle != 0 && random.Next(4) < (grows ? 1 : 4))
            {
                Assert.True(bench.Remove(key, handle), $"seed {seed}, step {i}");
                Assert.False(bench.Remove(key, handle));
                model.Remove(number);
            }

            Assert.Equal(model.Count, bench.Index.ItemCount);
        }

        foreach ((int number, uint handle) in model)
            Assert.Equal(handle, bench.Find(number < colliding ? CollidingKey(number) : IndexBench.Key(number)));
        AssertEveryItemIsInOneBucket(bench, model.Values.Order(), seed);
    }

    [Fact]
    public void KeysOfOneHashAreToldApart()
    {
        using var bench = new IndexBench();
        Assert.Equal(StoreHarness.Hash(CollidingKey(1)), StoreHarness.Hash(CollidingKey(2)));
        uint[] handles = [.. Enumerable.Range(0, 1000).Select(i => bench.Add(CollidingKey(i)))];
        for (int i = 0; i < 1000; i++)
            Assert.Equal(handles[i], bench.Find(CollidingKey(i)));
        Assert.Equal(0u, bench.Find(CollidingKey(1000)));

        // From the middle outwards: every hole is filled from the last line.
        for (int i = 0; i < 500; i++)
        {
            Assert.True(bench.Remove(CollidingKey(500 + i), handles[500 + i]));
            Assert.True(bench.Remove(CollidingKey(499 - i), handles[499 - i]));
            if (i < 499)
                Assert.Equal(handles[498 - i], bench.Find(CollidingKey(498 - i)));
        }

        Assert.Equal(0, bench.Index.ItemCount);
        Assert.NotEqual(0u, bench.Add(CollidingKey(7)));
    }

    [Fact]
    public void ABucketHoldsAboutEightItems()
    {
        using var bench = new IndexBench();
        for (int i = 0; i < 50_000; i++)
        {
            bench.Add(IndexBench.Key(i));
            if (i > 1000)
                Assert.InRange((double)bench.Index.ItemCount / bench.Index.BucketCount, 7, 9);
        }

        // Lines and overflow lines: about 9 bytes an item.
        Assert.InRange((double)bench.Index.BlockCount * HashIndex.BlockBytes / bench.Index.ItemCount, 8, 9.5);
    }

    [Fact]
    public void TheScanOrderKeepsItsMeaningWhileTheIndexGrows()
    {
        int seed = TestSeed.Next();
        var random = new Random(seed);
        using var bench = new IndexBench();
        int count = 0;
        for (; count < 3000; count++)
            bench.Add(IndexBench.Key(count));
        var seen = new HashSet<uint>();
        var handles = new List<uint>();
        for (ulong position = 0; position <= uint.MaxValue;)
        {
            handles.Clear();
            bench.Index.ReadBucket(bench.Index.FindScanInterval((uint)position, out uint start, out ulong end), handles);
            Assert.True(start <= position && position < end, $"seed {seed}");
            seen.UnionWith(handles);
            position = end;
            for (int i = random.Next(40); i > 0; i--, count++)
                bench.Add(IndexBench.Key(count));
        }

        for (int i = 0; i < 3000; i++)
            Assert.True(seen.Contains(bench.Find(IndexBench.Key(i))), $"seed {seed}: item {i} was left out");
    }

    private static byte[] CollidingKey(int number) => CollidingKeys.Key(number, StoreHarness.HashSeed);

    private static void AssertEveryItemIsInOneBucket(IndexBench bench, IEnumerable<uint> expected, int seed)
    {
        var handles = new List<uint>();
        for (uint bucket = 0; bucket < bench.Index.BucketCount; bucket++)
            bench.Index.ReadBucket(bucket, handles);
        handles.Sort();
        Assert.True(handles.SequenceEqual(expected), $"seed {seed}: the buckets hold other items than the model");
    }
}
