using System.Globalization;
using System.Text;

namespace OrleansCache.Storage.Tests;

/// <summary>Every item that was ever stored is present, waits to be freed, or was lost for a cause that is counted.</summary>
public sealed class ItemLedgerTests
{
    private const uint Start = 1_800_000_000;

    [Fact]
    public void OfThreeThousandValuesOfAllSizesEachIsPresentOrCountedAsEvicted()
    {
        const int Values = 3000;
        int seed = TestSeed.Next();
        var random = new Random(seed);
        using var world = new World(64 << 20, partitions: 256);
        byte[] value = StoreHarness.Bytes(900 * 1024, seed);
        for (int i = 0; i < Values; i++)
        {
            // As many of each order of magnitude: 10 B to 900 KB.
            int bytes = (int)(10 * Math.Pow(90 * 1024, random.NextDouble()));
            Assert.True(world.Run(CacheOperation.Set, Key(i), value.AsSpan(0, bytes)) == CacheStatus.Ok, $"value {i} of {bytes} bytes, seed {seed}");
        }

        StoreStatistics statistics = world.Statistics;
        int found = Enumerable.Range(0, Values).Count(i => world.IsPresent(Key(i)));
        Assert.True(statistics.Evictions > 0, $"seed {seed}");
        Assert.Equal((Values, found), (statistics.ItemsStored, statistics.CurrItems));
        Assert.Equal(Values - found, statistics.LostEvicted + statistics.LostPageMoved);
        Assert.Equal(statistics.Evictions, statistics.LostEvicted + statistics.LostPageMoved);
        Assert.Equal(Values - found, LostInAll(statistics));
        world.Partitions.CheckIntegrityAtRest();
    }

    [Fact]
    public void WhateverHappensStoredIsPresentAndWaitingAndLost()
    {
        const int Steps = 60_000;
        const int StepsPerCheck = 5000;
        int seed = TestSeed.Next();
        var random = new Random(seed);
        using var world = new World(16 << 20, partitions: 8);
        byte[] value = StoreHarness.Bytes(200 * 1024, seed);
        long stored = 0, replaced = 0, deleted = 0;
        for (int step = 1; step <= Steps; step++)
        {
            byte[] key = Key(random.Next(4000));
            ReadOnlySpan<byte> some = value.AsSpan(0, (int)(10 * Math.Pow(20 * 1024, random.NextDouble())));
            bool wasPresent = world.IsPresent(key);
            switch (random.Next(1000))
            {
                case < 500:
                    uint expiresAt = random.Next(3) == 0 ? world.Now + (uint)random.Next(1, 60) : 0;
                    Count(world.Run(CacheOperation.Set, key, some, expiresAt));
                    break;
                case < 600:
                    Count(world.Run(CacheOperation.Append, key, some[..Math.Min(some.Length, 300)]));
                    break;
                case < 700:
                    if (world.Run(CacheOperation.Delete, key) == CacheStatus.Ok)
                        deleted++;
                    break;
                case < 980:
                    world.Run(CacheOperation.Get, key);
                    break;
                case < 990:
                    world.Now += (uint)random.Next(30);
                    world.Partitions.ReclaimSlice(world.Now, 10, 64);
                    break;
                case < 994:
                    world.Partitions.DrainSlice(random.Next(64));
                    break;
                case < 996:
                    world.Partitions.FlushAll(0, world.Now);
                    break;
                case < 998:
                    Assert.True(world.Partitions.Arena.TrySetMemoryLimit(random.Next(8, 17) << 20));
                    world.Partitions.ShrinkSlice(world.Now, random.Next(100));
                    break;
                default:
                    var id = new PartitionId(random.Next(world.Partitions.PartitionCount));
                    world.Partitions.Close(id, world.Now);
                    world.Partitions.Open(id, step);
                    break;
            }

            if (step % StepsPerCheck == 0)
                Check(step);

            void Count(CacheStatus status)
            {
                if (status != CacheStatus.Ok)
                    return;
                stored++;
                replaced += wasPresent ? 1 : 0;
            }
        }

        StoreStatistics lost = world.Statistics;
        Assert.True(lost.LostMemoryLimit > 0 && lost.LostFlushed > 0 && lost.LostClosed > 0 && lost.LostExpired > 0, $"seed {seed}");
        while (world.Partitions.DrainSlice(64))
        {
        }

        Check(Steps);
        Assert.Equal(0, world.Statistics.ItemsWaiting);

        void Check(int step)
        {
            string where = string.Create(CultureInfo.InvariantCulture, $"after {step} steps, seed {seed}");
            StoreStatistics statistics = world.Statistics;
            long accounted = statistics.CurrItems + statistics.ItemsWaiting + LostInAll(statistics);
            Assert.True(statistics.ItemsStored == stored, $"{stored} stored, {statistics.ItemsStored} counted {where}");
            Assert.True(statistics.ItemsStored == accounted, $"{statistics.ItemsStored} stored, {accounted} accounted for {where}");
            Assert.True(statistics.LostReplaced == replaced, $"{replaced} replaced, {statistics.LostReplaced} counted {where}");
            Assert.True(statistics.LostDeleted == deleted, $"{deleted} deleted, {statistics.LostDeleted} counted {where}");
            long evicted = statistics.LostEvicted + statistics.LostPageMoved + statistics.LostMemoryLimit;
            Assert.True(statistics.Evictions == evicted, $"{statistics.Evictions} evictions, {evicted} by cause {where}");
            world.Partitions.CheckIntegrity();
        }
    }

    [Fact]
    public void AResetOfTheCountersKeepsTheLedger()
    {
        using var world = new World(8 << 20, partitions: 1);
        world.Run(CacheOperation.Set, Key(1), "a"u8);
        world.Run(CacheOperation.Set, Key(1), "b"u8);
        world.Run(CacheOperation.Delete, Key(1));

        world.Partitions.ResetStatistics();

        StoreStatistics statistics = world.Statistics;
        Assert.Equal((0, 2, 1, 1), (statistics.TotalItems, statistics.ItemsStored, statistics.LostReplaced, statistics.LostDeleted));
    }

    private static byte[] Key(int number) => Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"key-{number}"));

    private static long LostInAll(StoreStatistics s) =>
        s.LostReplaced + s.LostDeleted + s.LostExpired + s.LostEvicted + s.LostPageMoved + s.LostMemoryLimit + s.LostFlushed + s.LostClosed;

    /// <summary>A set of open partitions and a clock.</summary>
    private sealed class World : IDisposable
    {
        private readonly Sink _sink = new();

        public World(long memoryBytes, int partitions)
        {
            var options = new StoreOptions { MemoryBytes = memoryBytes, PartitionCount = partitions, ShardCount = 1, HashSeed = StoreHarness.HashSeed };
            Partitions = new PartitionSet(options);
            for (int i = 0; i < partitions; i++)
                Partitions.Open(new PartitionId(i), 1);
        }

        public PartitionSet Partitions { get; }

        public uint Now { get; set; } = Start;

        public StoreStatistics Statistics => Partitions.ReadStatistics(Now, perClass: true);

        public CacheStatus Run(CacheOperation operation, byte[] key, ReadOnlySpan<byte> value = default, uint expiresAt = 0, RequestFlags flags = 0)
        {
            ulong hash = StoreHarness.Hash(key);
            var request = new CacheRequest { Operation = operation, Key = key, KeyHash = hash, Value = value, ExpiresAt = expiresAt, Flags = flags };
            Assert.True(Partitions.TryGet(PartitionId.OfHash(hash, Partitions.PartitionCount))!.TryExecute(request, Now, _sink));
            return _sink.Status;
        }

        /// <summary>Asks without leaving a trace.</summary>
        public bool IsPresent(byte[] key) => Run(CacheOperation.Get, key, flags: RequestFlags.Peek) == CacheStatus.Ok;

        public void Dispose() => Partitions.Dispose();

        private sealed class Sink : ReplySink
        {
            public CacheStatus Status { get; private set; }

            public override void OnReply(in CacheReply reply) => Status = reply.Status;
        }
    }
}
