using System.Text;
using Xunit.Abstractions;

namespace OrleansCache.Storage.Tests.Replication;

/// <summary>
/// An owner and a replica in two silos with too little memory, whose other partitions take each other's pages meanwhile: requests and blocks have to come back
/// with pages that they have collected. Each effect is logged once, and the replica holds nothing older than its owner.
/// </summary>
public sealed class ReplicaConcurrencyTests(ITestOutputHelper output)
{
    private const int Partitions = 4;
    private const int Keys = 300;
    private const int Steps = 15_000;
    private const uint Now = StoreHarness.Start;

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public void PagesThatAreFetchedFromOthersChangeNothing(int round) => Soak.Run(output, round, Run);

    private static void Run(int seed)
    {
        using PartitionSet owners = Open(seed), replicas = Open(seed + 1);
        var log = new ListEffectLog();
        Partition owner = owners.TryGet(new PartitionId(0))!;
        owner.Effects = log;
        replicas.Close(owner.Id);
        Partition replica = replicas.Open(owner.Id, 1, PartitionState.Sealed, isReplica: true);
        bool stop = false;
        var noise = new List<Thread>();
        foreach (PartitionSet set in (PartitionSet[])[owners, replicas])
        {
            int number = noise.Count;
            noise.Add(new Thread(() => MakeNoise(set, new Random(seed + number), () => Volatile.Read(ref stop))));
        }

        noise.ForEach(static thread => thread.Start());
        try
        {
            Drive(new Random(seed), owner, replica, log);
        }
        finally
        {
            Volatile.Write(ref stop, true);
            noise.ForEach(static thread => thread.Join());
        }

        owners.CheckIntegrityAtRest();
        replicas.CheckIntegrityAtRest();
    }

    private static void Drive(Random random, Partition owner, Partition replica, ListEffectLog log)
    {
        var sink = new RecordingSink();
        var keys = new List<byte[]>();
        for (int i = 0; keys.Count < Keys; i++)
        {
            byte[] key = Encoding.ASCII.GetBytes($"key{i}");
            if (PartitionId.OfHash(StoreHarness.Hash(key), Partitions) == owner.Id)
                keys.Add(key);
        }

        int changes = 0;
        var newest = new Dictionary<int, ulong>();
        for (int step = 0; step < Steps; step++)
        {
            int key = random.Next(Keys);
            bool deletes = random.Next(5) == 0;
            byte[] value = new byte[deletes ? 0 : random.Next(10) == 0 ? random.Next(60_000) : random.Next(2000)];
            CacheRequest request = StoreHarness.Request(deletes ? CacheOperation.Delete : CacheOperation.Set, keys[key], value);
            Assert.True(owner.TryExecuteLogged(in request, Now, sink, out bool isLogged));
            Assert.True(isLogged);
            changes++;
            newest[key] = !deletes && sink.Status == CacheStatus.Ok ? sink.Cas : 0;
            if (random.Next(20) == 0)
                Ship();
        }

        Ship();
        Assert.Equal(changes, log.Entries.Count);
        Assert.True(replica.Activate(2));
        foreach ((int key, ulong cas) in newest)
        {
            CacheRequest request = StoreHarness.Request(CacheOperation.Get, keys[key]);
            Assert.True(replica.TryExecute(in request, Now, sink));
            if (sink.Status == CacheStatus.Ok)
                Assert.Equal(cas, sink.Cas);
        }

        void Ship()
        {
            long first = replica.LogPosition + 1;
            if (first <= log.Position)
                Assert.Equal(ApplyStatus.Ok, replica.Apply(1, first, log.Position, owner.LastCas, log.Block(first, log.Position), Now));
        }
    }

    /// <summary>Other partitions of the silo, with values of all sizes.</summary>
    private static void MakeNoise(PartitionSet set, Random random, Func<bool> stops)
    {
        var sink = new RecordingSink();
        byte[] value = new byte[100_000];
        while (!stops())
        {
            byte[] key = Encoding.ASCII.GetBytes($"noise{random.Next(3000)}");
            CacheRequest request = StoreHarness.Request(
                CacheOperation.Set, key, value.AsSpan(0, random.Next(4) == 0 ? random.Next(100_000) : random.Next(1000)));
            var id = PartitionId.OfHash(request.KeyHash, Partitions);
            if (id.Value != 0)
                set.TryGet(id)!.TryExecute(in request, Now, sink);
        }
    }

    private static PartitionSet Open(int seed)
    {
        var set = new PartitionSet(new StoreOptions
        {
            PartitionCount = Partitions, ShardCount = Partitions, MemoryBytes = 3 << 20, HashSeed = StoreHarness.HashSeed, Seed = (ulong)seed,
        });
        for (int i = 0; i < Partitions; i++)
            set.Open(new PartitionId(i), 1);
        return set;
    }
}
