using System.Text;
using OrleansCache.Ownership.Routing;
using OrleansCache.Storage;

namespace OrleansCache.Ownership.Tests.Routing;

public sealed class BatchExecutorTests
{
    private static readonly KeyHasher Ours = new(new HashSeed(1, 1));
    private static readonly KeyHasher Theirs = new(new HashSeed(2, 2));

    [Fact]
    public void ABatchOfAnotherSeedIsRefusedAsAWhole()
    {
        using PartitionSet partitions = new(new StoreOptions { PartitionCount = 4, MemoryBytes = 4 << 20 });
        BatchExecutor executor = new(partitions, TimeProvider.System);
        Assert.All(ExecuteAll(executor, Ours), status => Assert.Equal(BatchFormat.StatusNotOwner, status));

        partitions.UseHashSeed(Ours.Seed);
        for (int partition = 0; partition < 4; partition++)
            partitions.Open(new PartitionId(partition), 1);
        Assert.All(ExecuteAll(executor, Theirs), status => Assert.Equal(BatchFormat.StatusNotOwner, status));
        Assert.Equal(0, Enumerable.Range(0, 4).Sum(partition => partitions.TryGet(new PartitionId(partition))!.ItemCount));

        Assert.All(ExecuteAll(executor, Ours), status => Assert.Equal((byte)CacheStatus.Ok, status));
        partitions.CheckIntegrityAtRest();
    }

    [Fact]
    public void APartitionThatWasRefusedIsRefusedToTheEndOfTheBatch()
    {
        using var partitions = new PartitionSet(new StoreOptions { PartitionCount = 2, MemoryBytes = 8 << 20 });
        partitions.UseHashSeed(Ours.Seed);
        partitions.Open(new PartitionId(0), 1);
        partitions.Open(new PartitionId(1), 1);
        int operation = 0;
        var executor = new BatchExecutor(partitions, new ManualTime())
        {
            // Closed for the second operation only.
            BeforeOperation = () =>
            {
                if (++operation == 2)
                    partitions.TryGet(new PartitionId(0))!.Seal();
                else
                    partitions.TryGet(new PartitionId(0))!.Unseal();
            },
        };
        string zero = KeyOf(0);
        Assert.Equal(
            [(byte)CacheStatus.Ok, BatchFormat.StatusNotOwner, (byte)CacheStatus.Ok, BatchFormat.StatusNotOwner],
            Execute(executor, zero, zero, KeyOf(1), zero));
        Assert.Equal([(byte)CacheStatus.Ok], Execute(executor, zero));
    }

    [Fact]
    public async Task AGateThatOpensAndClosesMeanwhileLeavesNoHoleInABatch()
    {
        using var partitions = new PartitionSet(new StoreOptions { PartitionCount = 1, MemoryBytes = 8 << 20 });
        partitions.UseHashSeed(Ours.Seed);
        Partition partition = partitions.Open(new PartitionId(0), 1);
        using var stop = new CancellationTokenSource();
        Task gatekeeper = Task.Run(
            () =>
            {
                while (!stop.IsCancellationRequested)
                {
                    partition.Seal();
                    Thread.SpinWait(20);
                    partition.Unseal();
                    Thread.SpinWait(20);
                }
            },
            CancellationToken.None);
        var executor = new BatchExecutor(partitions, TimeProvider.System);
        string[] keys = [.. Enumerable.Repeat("k", 500)];
        int refusedLater = 0;
        try
        {
            for (DateTime end = DateTime.UtcNow.AddSeconds(20); refusedLater < 20 && DateTime.UtcNow < end;)
            {
                List<byte> statuses = Execute(executor, keys);
                int refused = statuses.IndexOf(BatchFormat.StatusNotOwner);
                if (refused < 0)
                    continue;
                refusedLater += refused > 0 ? 1 : 0;
                Assert.All(statuses[refused..], status => Assert.Equal(BatchFormat.StatusNotOwner, status));
            }
        }
        finally
        {
            await stop.CancelAsync();
            await gatekeeper;
        }

        Assert.True(refusedLater > 0, "no gate closed within a batch: this run has shown nothing");
    }

    private static byte[] ExecuteAll(BatchExecutor executor, KeyHasher hasher)
    {
        var batch = new BatchWriter();
        for (int i = 0; i < 100; i++)
        {
            byte[] key = [(byte)'k', (byte)i];
            batch.Append(new CacheRequest { Operation = CacheOperation.Set, Key = key, KeyHash = hasher.Compute(key), Value = "v"u8 });
        }

        var reader = new ReplyReader(executor.Execute(batch.Complete(hasher.Fingerprint).Span).Span);
        List<byte> statuses = [];
        while (reader.TryRead(out byte status, out _))
            statuses.Add(status);
        Assert.Equal(100, statuses.Count);
        return [.. statuses];
    }

    private static string KeyOf(int partition) =>
        Enumerable.Range(0, 1000).Select(i => $"k{i}").First(key => PartitionId.OfHash(Ours.Compute(Encoding.ASCII.GetBytes(key)), 2).Value == partition);

    private static List<byte> Execute(BatchExecutor executor, params string[] keys)
    {
        var writer = new BatchWriter();
        foreach (string key in keys)
        {
            byte[] bytes = Encoding.ASCII.GetBytes(key);
            writer.Append(new CacheRequest { Operation = CacheOperation.Set, Key = bytes, KeyHash = Ours.Compute(bytes), Value = "v"u8 });
        }

        var reader = new ReplyReader(executor.Execute(writer.Complete(Ours.Fingerprint).Span).Span);
        List<byte> statuses = [];
        while (reader.TryRead(out byte status, out _))
            statuses.Add(status);
        return statuses;
    }
}
