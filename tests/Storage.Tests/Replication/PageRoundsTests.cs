using System.Text;

namespace OrleansCache.Storage.Tests.Replication;

/// <summary>
/// All memory belongs to a shard that is busy when another one needs its first page: the request, or the block, lets its lock go, waits, and comes back.
/// What it then does must have happened once.
/// </summary>
public sealed class PageRoundsTests : IDisposable
{
    private const uint Now = StoreHarness.Start;
    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(2);

    private readonly PartitionSet _set = new(new StoreOptions
    {
        PartitionCount = 2, ShardCount = 2, MemoryBytes = 512 * 1024, HashSeed = StoreHarness.HashSeed,
    });

    private readonly RecordingSink _sink = new();
    private readonly ListEffectLog _log = new();

    public void Dispose()
    {
        _set.CheckIntegrityAtRest();
        _set.Dispose();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void ARequestThatWaitedForPagesIsLoggedOnce(bool isLogged)
    {
        Partition owner = _set.Open(new PartitionId(0), 1);
        owner.Effects = _log;
        bool done = false, wasLogged = true;
        WhileTheOtherShardIsBusy(() =>
        {
            CacheRequest request = StoreHarness.Request(CacheOperation.Set, KeyOf(0), new byte[100]);
            done = isLogged ? owner.TryExecuteLogged(in request, Now, _sink, out wasLogged) : owner.TryExecute(in request, Now, _sink);
        });
        Assert.True(done && wasLogged);
        Assert.Equal((1, CacheStatus.Ok), (_sink.Calls, _sink.Status));
        Assert.Equal([EffectKind.Put], _log.KindsFrom(0));
        if (!isLogged)
            Assert.True(_log.Questions > 1, "the log was not asked again, though others may have written to it meanwhile");
    }

    [Fact]
    public void WhatTheLogForbidsMeanwhileIsNotDone()
    {
        Partition owner = _set.Open(new PartitionId(0), 1);
        owner.Effects = _log;
        bool done = true;
        WhileTheOtherShardIsBusy(
            () =>
            {
                CacheRequest request = StoreHarness.Request(CacheOperation.Set, KeyOf(0), new byte[100]);
                done = owner.TryExecute(in request, Now, _sink);
            },
            () => _log.AnswersNow = false);
        Assert.False(done);
        Assert.Equal((0, 0, 0), (_sink.Calls, _log.Entries.Count, owner.ItemCount));
    }

    [Fact]
    public void ABlockThatWaitedForPagesIsAppliedAsAWhole()
    {
        byte[] block = BlockOfPuts(KeyOf(0), 20);
        Partition replica = _set.Open(new PartitionId(0), 1, PartitionState.Sealed, isReplica: true);
        var status = ApplyStatus.Refused;
        WhileTheOtherShardIsBusy(() => status = replica.Apply(1, 1, 21, 30, block, Now));
        Assert.Equal((ApplyStatus.Ok, 21, 20), (status, replica.LogPosition, replica.ItemCount));
    }

    [Fact]
    public void ABlockWhoseReplicaHasTakenOverMeanwhileIsRefused()
    {
        byte[] block = BlockOfPuts(KeyOf(0), 20);
        Partition replica = _set.Open(new PartitionId(0), 1, PartitionState.Sealed, isReplica: true);
        var status = ApplyStatus.Ok;
        WhileTheOtherShardIsBusy(() => status = replica.Apply(1, 1, 21, 30, block, Now), () => replica.Activate(2));
        Assert.Equal((ApplyStatus.Refused, 0), (status, replica.LogPosition));
    }

    /// <summary>Gives the other shard all memory and keeps it busy with a request until the call waits for it; does something else then, and lets go.</summary>
    private void WhileTheOtherShardIsBusy(Action call, Action? meanwhile = null)
    {
        Partition other = _set.Open(new PartitionId(1), 1);
        byte[] busyKey = KeyOf(1);
        for (int i = 0; _set.Arena.FreePageCount > 0; i++)
            Assert.True(i < 10_000 && Set(other, KeyOf(1, i + 1)), "the memory does not fill");
        Assert.True(Set(other, busyKey));
        using var holding = new ManualResetEventSlim();
        using var release = new ManualResetEventSlim();
        var holder = new Thread(() =>
        {
            CacheRequest request = StoreHarness.Request(CacheOperation.Get, busyKey);
            other.TryExecute(in request, Now, new HoldingSink(holding, release));
        });
        holder.Start();
        Exception? failure = null;
        var caller = new Thread(() =>
        {
            try
            {
                call();
            }
            catch (Exception exception)
            {
                failure = exception;
            }
        });
        try
        {
            Assert.True(holding.Wait(s_patience));
            caller.Start();
            bool waits = SpinWait.SpinUntil(() => (caller.ThreadState & ThreadState.WaitSleepJoin) != 0, s_patience);
            Assert.True(waits, "the call does not wait for the other shard");
            meanwhile?.Invoke();
        }
        finally
        {
            release.Set();
            holder.Join();
        }

        Assert.True(caller.Join(s_patience));
        Assert.Null(failure);
    }

    private static bool Set(Partition partition, byte[] key)
    {
        CacheRequest request = StoreHarness.Request(CacheOperation.Set, key, new byte[1000]);
        return partition.TryExecute(in request, Now, new RecordingSink());
    }

    /// <summary>Removes a key and puts so many, as the owner in another silo would.</summary>
    private static byte[] BlockOfPuts(byte[] prefix, int count)
    {
        using var set = new PartitionSet(new StoreOptions { PartitionCount = 2, HashSeed = StoreHarness.HashSeed });
        var log = new ListEffectLog();
        var sink = new RecordingSink();
        Partition owner = set.Open(new PartitionId(0), 1);
        owner.Effects = log;
        CacheRequest request = StoreHarness.Request(CacheOperation.Delete, prefix);
        Assert.True(owner.TryExecute(in request, Now, sink));
        for (int i = 0; i < count; i++)
        {
            request = StoreHarness.Request(CacheOperation.Set, KeyOf(0, i + 1), new byte[100]);
            Assert.True(owner.TryExecute(in request, Now, sink));
        }

        return log.Block(1, log.Position);
    }

    /// <summary>The number-th key of a partition.</summary>
    private static byte[] KeyOf(int partition, int number = 0)
    {
        for (int i = 0; ; i++)
        {
            byte[] key = Encoding.ASCII.GetBytes($"key{number}-{i}");
            if (PartitionId.OfHash(StoreHarness.Hash(key), 2).Value == partition)
                return key;
        }
    }

    /// <summary>Holds the shard's lock, in which it is called, until it is let go.</summary>
    private sealed class HoldingSink(ManualResetEventSlim holding, ManualResetEventSlim release) : ReplySink
    {
        public override void OnReply(in CacheReply reply)
        {
            holding.Set();
            release.Wait(s_patience);
        }
    }
}
