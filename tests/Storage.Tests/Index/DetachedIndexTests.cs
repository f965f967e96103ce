using System.Text;

namespace OrleansCache.Storage.Tests.Index;

public class DetachedIndexTests
{
    /// <summary>A flush frees chunks; the same keys may come to lie in the very same ones, and be flushed again before the first flush is through.</summary>
    [Fact]
    public unsafe void KeysThatAreFlushedAgainFromTheSameChunksAreTakenForTheNewOnes()
    {
        using var store = new StoreHarness(new StoreOptions { PartitionCount = 1, MemoryBytes = 16 << 20 });
        StoreShard shard = store.Arena.Shards[0];
        byte[] value = StoreHarness.Bytes(100);
        for (int i = 0; i < 4000; i++)
            store.Set($"key{i}", value);
        var chunks = new List<(string Key, uint Handle)>();
        var handles = new List<uint>();
        for (uint bucket = 0; bucket < store.Store.Index.BucketCount; bucket++)
            store.Store.Index.ReadBucket(bucket, handles);
        foreach (uint handle in handles)
            chunks.Add((Encoding.Latin1.GetString(ItemHeader.KeySpan(store.Arena.Space.At(handle))), handle));

        store.Store.FlushAll(0, store.Now);
        while (shard.Ledger.Lost(LossCause.Flushed) < 3000)
            Assert.True(shard.DrainDetached(8));
        int freed = (int)shard.Ledger.Lost(LossCause.Flushed);

        // What was freed last is taken first, so each key finds its old chunk.
        for (int i = freed - 1; i >= freed - 2000; i--)
        {
            store.Set(chunks[i].Key, value);
            Assert.Equal(chunks[i].Handle,
                store.Store.Index.Find(StoreHarness.Hash(Encoding.Latin1.GetBytes(chunks[i].Key)), Encoding.Latin1.GetBytes(chunks[i].Key)));
        }

        store.Store.FlushAll(0, store.Now);
        Assert.True(shard.HasDetached);
        int classIndex = store.Arena.Space.ClassOf(chunks[0].Handle);
        for (int i = 0; i < 10; i++)
        {
            store.CheckIntegrity();
            uint page = shard.Mover.EmptyPageOf(classIndex, store.Now);
            Assert.NotEqual(0u, page);
            store.Arena.Give(page);
        }

        store.CheckIntegrity();
        store.Settle();
        store.CheckIntegrity();
        Assert.Equal(6000, shard.Ledger.Lost(LossCause.Flushed));
        Assert.Equal(store.Arena.PageCount, store.Arena.FreePageCount);
    }

    [Fact]
    public void AFlushHoldsTheLockForABoundedNumberOfItems()
    {
        using var store = new StoreHarness(new StoreOptions { PartitionCount = 1, MemoryBytes = 64 << 20 });
        StoreShard shard = store.Arena.Shards[0];
        for (int i = 0; i < 200_000; i++)
            store.Set($"key{i}", "value");
        store.Store.FlushAll(0, store.Now);
        Assert.Equal((0, 0), (store.Store.ItemCount, store.Store.ItemBytes));
        Assert.Null(store.Get("key1"));
        Assert.InRange(shard.Ledger.Lost(LossCause.Flushed), 1, 64 * 16);
        long before = shard.Ledger.Lost(LossCause.Flushed);
        while (shard.DrainDetached(64))
        {
            Assert.InRange(shard.Ledger.Lost(LossCause.Flushed) - before, 0, 64 * 16);
            before = shard.Ledger.Lost(LossCause.Flushed);
        }

        Assert.Equal(200_000, shard.Ledger.Lost(LossCause.Flushed));
        Assert.Equal(store.Arena.PageCount, store.Arena.FreePageCount);
        Assert.Equal(CacheStatus.Ok, store.Set("key1", "again"));
    }

    [Fact]
    public void EvictionsAndPageMovesMayMeetWhatWasFlushedAndClosed()
    {
        int seed = TestSeed.Next();
        var random = new Random(seed);
        using var set = new PartitionSet(new StoreOptions { PartitionCount = 4, ShardCount = 1, MemoryBytes = 8 << 20, HashSeed = StoreHarness.HashSeed });
        for (int i = 0; i < 4; i++)
            set.Open(new PartitionId(i), 1);
        StoreShard shard = set.Arena.Shards[0];
        var sink = new RecordingSink();
        var pins = new Queue<PinnedValue>();
        for (int i = 0; i < 60_000; i++)
        {
            CacheRequest request = StoreHarness.Request(CacheOperation.Set, Encoding.ASCII.GetBytes($"key{random.Next(20_000)}"),
                StoreHarness.Bytes(SizeOf(random)));
            Partition? partition = set.TryGet(PartitionId.OfHash(request.KeyHash, 4));
            partition?.TryExecute(in request, StoreHarness.Start, sink);
            switch (random.Next(1000))
            {
                case < 10:
                    request.Operation = CacheOperation.Get;
                    request.Flags = RequestFlags.ReturnValue;
                    sink.PinNext = true;
                    if (partition?.TryExecute(in request, StoreHarness.Start, sink) == true && sink.Status == CacheStatus.Ok && sink.DidPin)
                        pins.Enqueue(sink.Pinned);
                    sink.PinNext = false;
                    break;
                case < 20 when pins.Count > 0:
                    pins.Dequeue().Release();
                    break;
                case 20:
                    set.FlushAll(0, StoreHarness.Start);
                    break;
                case < 24:
                    partition?.FlushAll(0, StoreHarness.Start);
                    break;
                case < 26:
                    set.Close(new PartitionId(random.Next(4)));
                    break;
                case < 40:
                    var id = new PartitionId(random.Next(4));
                    if (set.TryGet(id) is null)
                        set.Open(id, 1);
                    break;
                case < 60:
                    uint page = shard.Mover.EmptyPageOf(random.Next(set.Arena.Classes.Count), StoreHarness.Start);
                    if (page != 0)
                        set.Arena.Give(page);
                    break;
                case < 70:
                    shard.DrainDetached(random.Next(20));
                    break;
                case < 100:
                    shard.TryEvict(random.Next(set.Arena.Classes.Count), StoreHarness.Start);
                    break;
                default:
                    break;
            }

            if (i % 2000 == 0)
                Checked(set.CheckIntegrity, seed, i);
        }

        while (pins.TryDequeue(out PinnedValue pin))
            pin.Release();
        for (int i = 0; i < 4; i++)
            set.Close(new PartitionId(i));
        while (set.DrainSlice(64))
        {
        }

        Checked(set.CheckIntegrityAtRest, seed, -1);
        Assert.Equal(set.Arena.PageCount, set.Arena.FreePageCount);

        static int SizeOf(Random random) => random.Next(100) == 0 ? random.Next(100_000) : random.Next(10) == 0 ? random.Next(5000) : random.Next(300);
    }

    private static void Checked(Action check, int seed, int step)
    {
        try
        {
            check();
        }
        catch (InvalidOperationException e)
        {
            Assert.Fail($"seed {seed}, step {step}: {e.Message}");
        }
    }
}
