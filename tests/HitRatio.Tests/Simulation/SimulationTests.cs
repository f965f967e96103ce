using OrleansCache.HitRatio.Simulation;
using OrleansCache.HitRatio.Traces;

namespace OrleansCache.HitRatio.Tests.Simulation;

public sealed class SimulationTests
{
    public static TheoryData<string> AllPolicies => [.. Policies.All];

    [Theory]
    [MemberData(nameof(AllPolicies))]
    public void NoPolicyStoresMoreThanItsCapacityOrHitsWhatItHasNotSeen(string policy)
    {
        for (ulong seed = 1; seed <= 20; seed++)
        {
            (int[] requests, int[] itemBytes) = RandomTrace(seed, requestCount: 5000, keyCount: 300, itemBytesMax: 400);
            const int CapacityBytes = 10_000;
            ICacheSimulation cache = Policies.Create(policy, requests, itemBytes, CapacityBytes);
            var seen = new HashSet<int>();
            for (int position = 0; position < requests.Length; position++)
            {
                bool isHit = cache.Access(position, requests[position]);
                if (seen.Add(requests[position]) && isHit)
                    Assert.Fail($"seed {seed}: a hit before the first set");
                if (cache.Bytes is < 0 or > CapacityBytes)
                    Assert.Fail($"seed {seed}: {cache.Bytes} bytes");
            }
        }
    }

    [Theory]
    [MemberData(nameof(AllPolicies))]
    public void AnItemThatIsLargerThanTheCacheIsNotStoredAndDisplacesNothing(string policy)
    {
        int[] requests = [0, 1, 0, 1];
        ICacheSimulation cache = Policies.Create(policy, requests, itemBytes: [10, 101], capacityBytes: 100);
        Assert.Equal([false, false, true, false], Run(cache, requests));
    }

    [Fact]
    public void LruHitsLikeANaiveList()
    {
        for (ulong seed = 1; seed <= 20; seed++)
        {
            (int[] requests, int[] itemBytes) = RandomTrace(seed, requestCount: 2000, keyCount: 100, itemBytesMax: 50);
            var list = new List<int>();
            var expected = new List<bool>();
            foreach (int key in requests)
            {
                bool isHit = list.Remove(key);
                while (list.Sum(other => itemBytes[other]) + itemBytes[key] > 800)
                    list.RemoveAt(0);
                list.Add(key);
                expected.Add(isHit);
            }

            Assert.Equal(expected, Run(new LruSimulation(itemBytes, 800), requests));
        }
    }

    [Fact]
    public void WithItemsOfOneSizeBeladyHitsAsOftenAsTheBestOfAllChoices()
    {
        for (ulong seed = 1; seed <= 50; seed++)
        {
            (int[] requests, int[] itemBytes) = RandomTrace(seed, requestCount: 14, keyCount: 5, itemBytesMax: 1);
            int hits = Run(new BeladySimulation(requests, itemBytes, 2), requests).Count(isHit => isHit);
            Assert.True(MostHits(requests, 0, 0, slotsMax: 2) == hits, $"seed {seed}");
        }
    }

    [Theory]
    [MemberData(nameof(AllPolicies))]
    public void WithItemsOfOneSizeNoPolicyHitsMoreOftenThanBelady(string policy)
    {
        for (ulong seed = 1; seed <= 20; seed++)
        {
            (int[] requests, int[] itemBytes) = RandomTrace(seed, requestCount: 3000, keyCount: 200, itemBytesMax: 1);
            int ideal = Run(new BeladySimulation(requests, itemBytes, 40), requests).Count(isHit => isHit);
            int hits = Run(Policies.Create(policy, requests, itemBytes, 40), requests).Count(isHit => isHit);
            Assert.True(hits <= ideal, $"seed {seed}: {hits} against {ideal}");
        }
    }

    /// <summary>Ten items of one byte; the small queue has one of them, so that a single scan cannot wash out what the main queue has.</summary>
    [Fact]
    public void S3FifoKeepsWhatWasHitTwiceThroughAScan()
    {
        int[] hot = [0, 1, 2, 0, 1, 2, 0, 1, 2];
        int[] scan = [.. Enumerable.Range(3, 50)];
        int[] requests = [.. hot, .. scan, 0, 1, 2];
        bool[] hits = Run(new S3FifoSimulation(SameSizes(53), 10), requests);
        Assert.Equal([true, true, true], hits[^3..]);
        Assert.Equal([false, false, false], Run(new LruSimulation(SameSizes(53), 10), requests)[^3..]);
    }

    [Fact]
    public void S3FifoTakesAKeyOfTheGhostQueueIntoTheMainQueue()
    {
        // 0 leaves the small queue unread, comes back as a ghost, and then outlives a scan that is longer than the cache.
        int[] requests = [.. Enumerable.Range(0, 11), 0, .. Enumerable.Range(11, 20), 0];
        bool[] hits = Run(new S3FifoSimulation(SameSizes(31), 10), requests);
        Assert.False(hits[11]);
        Assert.True(hits[^1]);
    }

    [Fact]
    public void SieveEvictsTheOldestItemThatWasNotVisited()
    {
        // 0 is visited; the hand passes it and evicts 1, later 2.
        int[] requests = [0, 1, 2, 0, 3, 4, 0, 1, 2];
        Assert.Equal([false, false, false, true, false, false, true, false, false], Run(new SieveSimulation(SameSizes(5), 3), requests));
    }

    [Fact]
    public void WTinyLfuDoesNotAdmitAKeyOfOneRequestInPlaceOfAPopularOne()
    {
        int[] popular = [.. Enumerable.Repeat(Enumerable.Range(0, 9), 5).SelectMany(keys => keys)];
        int[] requests = [.. popular, .. Enumerable.Range(9, 40), .. Enumerable.Range(0, 9)];
        bool[] hits = Run(new WTinyLfuSimulation([.. SameSizes(49).Select(_ => 100)], 1000), requests);
        Assert.All(hits[^9..], Assert.True);
    }

    private static int[] SameSizes(int keyCount) => [.. Enumerable.Repeat(1, keyCount)];

    private static bool[] Run(ICacheSimulation cache, int[] requests) => [.. requests.Select((key, position) => cache.Access(position, key))];

    /// <summary>Small key numbers come more often than large ones, so that there is something to keep.</summary>
    private static (int[] Requests, int[] ItemBytes) RandomTrace(ulong seed, int requestCount, int keyCount, int itemBytesMax)
    {
        var random = new SplitMix64(seed);
        int[] itemBytes = [.. Enumerable.Range(0, keyCount).Select(_ => 1 + (int)(random.Next() % (ulong)itemBytesMax))];
        int[] requests = [.. Enumerable.Range(0, requestCount).Select(_ => (int)(Math.Pow(random.NextDouble(), 2) * (keyCount - 1)))];
        return (requests, itemBytes);
    }

    /// <summary>Tries every choice: what to evict for a key that missed, or not to store it.</summary>
    private static int MostHits(int[] requests, int position, uint stored, int slotsMax)
    {
        if (position == requests.Length)
            return 0;
        uint key = 1u << requests[position];
        if ((stored & key) != 0)
            return 1 + MostHits(requests, position + 1, stored, slotsMax);
        int best = MostHits(requests, position + 1, stored, slotsMax);
        if (uint.PopCount(stored) < slotsMax)
            return Math.Max(best, MostHits(requests, position + 1, stored | key, slotsMax));
        for (uint victim = 1; victim != 0 && victim <= stored; victim <<= 1)
        {
            if ((stored & victim) != 0)
                best = Math.Max(best, MostHits(requests, position + 1, (stored & ~victim) | key, slotsMax));
        }

        return best;
    }
}
