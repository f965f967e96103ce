using OrleansCache.Grains.Routing;
using OrleansCache.Storage;

namespace OrleansCache.Grains.Tests.Routing;

public sealed class BatchExecutorTests
{
    private static readonly KeyHasher Ours = new(new HashSeed(1, 1));
    private static readonly KeyHasher Theirs = new(new HashSeed(2, 2));

    [Fact]
    public void ABatchOfAnotherSeedIsRefusedAsAWhole()
    {
        using PartitionSet partitions = new(new StoreOptions { PartitionCount = 4, MemoryBytes = 4 << 20 });
        BatchExecutor executor = new(partitions, TimeProvider.System);
        Assert.All(Execute(executor, Ours), status => Assert.Equal(BatchFormat.StatusNotOwner, status));

        partitions.UseHashSeed(Ours.Seed);
        for (int partition = 0; partition < 4; partition++)
            partitions.Open(new PartitionId(partition), 1);
        Assert.All(Execute(executor, Theirs), status => Assert.Equal(BatchFormat.StatusNotOwner, status));
        Assert.Equal(0, Enumerable.Range(0, 4).Sum(partition => partitions.TryGet(new PartitionId(partition))!.ItemCount));

        Assert.All(Execute(executor, Ours), status => Assert.Equal((byte)CacheStatus.Ok, status));
        partitions.CheckIntegrityAtRest();
    }

    private static byte[] Execute(BatchExecutor executor, KeyHasher hasher)
    {
        var batch = new BatchWriter();
        for (int i = 0; i < 100; i++)
        {
            byte[] key = [(byte)'k', (byte)i];
            batch.Append(new CacheRequest { Operation = CacheOperation.Set, Key = key, KeyHash = hasher.Compute(key), Value = "v"u8 });
        }

        var reader = new ReplyReader(executor.Execute(batch.Complete(hasher.Fingerprint)).Span);
        List<byte> statuses = [];
        while (reader.TryRead(out byte status, out _))
            statuses.Add(status);
        Assert.Equal(100, statuses.Count);
        return [.. statuses];
    }
}
