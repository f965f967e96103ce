using System.Text;
using OrleansCache.Ownership.Replication;
using OrleansCache.Ownership.Routing;
using OrleansCache.Storage;

namespace OrleansCache.Ownership.Tests.Replication;

/// <summary>
/// An owner's silo with room for everything, and a replica's silo with room for a third of it: what that one keeps depends on what is read at the owner.
/// </summary>
public sealed class ReadsTests : IReplicaTransport, IReplicationHost, IReplicaHost, IDisposable
{
    private const int Items = 12_000;
    private const int HotEvery = 10;
    private const long Copy = 7;
    private static readonly KeyHasher s_hasher = new(new HashSeed(1, 1));
    private static readonly SiloId s_owner = SiloId.Create("127.0.0.1:1", 1);
    private static readonly SiloId s_replica = SiloId.Create("127.0.0.1:2", 1);

    private readonly ManualTime _time = new();
    private readonly PartitionSet _owned = NewSet(megabytes: 16);
    private readonly PartitionSet _replicas = NewSet(megabytes: 1);
    private readonly ReplicaReceiver _receiver;
    private readonly Queue<(byte[] Message, IReplicaCall Call)> _messages = [];
    private Replicator? _replicator;

    public ReadsTests()
    {
        _receiver = new ReplicaReceiver(_replicas, this, _time);
        _owned.Open(new PartitionId(0), 1);
    }

    public void Dispose()
    {
        _replicator?.Dispose();
        _owned.Dispose();
        _replicas.Dispose();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void AReplicaThatIsShortOfMemoryKeepsWhatIsReadAtTheOwner(bool tellsReads)
    {
        Attach(tellsReads);
        for (int i = 0; i < Items; i++)
        {
            Execute(CacheOperation.Set, i);
            if (i % 50 != 0)
                continue;

            // Clients read the hot ones again and again.
            for (int hot = 0; hot <= i; hot += HotEvery)
                Execute(CacheOperation.Get, hot);
            _replicator!.Tick();
            Deliver();
        }

        _replicator!.Tick();
        Deliver();
        Partition replica = _replicas.TryGet(new PartitionId(0))!;
        replica.Fence(20);
        Assert.True(replica.Activate(20));
        Assert.True(replica.ItemCount < Items / 2, $"{replica.ItemCount} items: nothing had to be evicted");
        int kept = Enumerable.Range(0, Items / HotEvery).Count(i => Find(replica, i * HotEvery));
        if (tellsReads)
            Assert.True(kept > Items / HotEvery * 9 / 10, $"{kept} of {Items / HotEvery} hot items are left of {replica.ItemCount}");
        else
            Assert.True(kept < Items / HotEvery / 2, $"{kept} of {Items / HotEvery} hot items are left of {replica.ItemCount}");
    }

    /// <summary>A message for each read would cost more than the read.</summary>
    [Fact]
    public void ReadsAloneLeaveWithTheTickAndEachItemOnce()
    {
        Attach(tellsReads: true);
        Execute(CacheOperation.Set, 1);
        _replicator!.Flush();
        Deliver();
        for (int i = 0; i < 100; i++)
        {
            Execute(CacheOperation.Get, 1);
            _replicator.Flush();
        }

        Assert.Empty(_messages);
        _replicator.Tick();
        (byte[] message, _) = Assert.Single(_messages);
        var reader = new ReplicationFormat.Reader(message);
        Assert.True(reader.Read());
        Assert.Equal(GroupKind.Reads, reader.Kind);
        Assert.Equal("\u0004key1", Encoding.ASCII.GetString(reader.Effects));
        Assert.False(reader.Read());
        Deliver();
        _replicator.Tick();
        Assert.Empty(_messages);
    }

    /// <summary>Nobody waits for it: the owner may hand the partition over at once.</summary>
    [Fact]
    public void ReadsHoldUpNobody()
    {
        Attach(tellsReads: true);
        Execute(CacheOperation.Set, 1);
        _replicator!.Flush();
        Deliver();
        Execute(CacheOperation.Get, 1);
        Assert.Equal(0, _replicator.CountUnacknowledged());
        _owned.TryGet(new PartitionId(0))!.Seal();
        Assert.True(_replicator.AwaitDrain(0));
        Assert.Equal(0, _drained);
    }

    [Fact]
    public void WhatIsNotAcknowledgedIsDrainedLater()
    {
        Attach(tellsReads: true);
        Execute(CacheOperation.Set, 1);
        _replicator!.Flush();
        _owned.TryGet(new PartitionId(0))!.Seal();
        Assert.False(_replicator.AwaitDrain(0));
        Assert.Equal(0, _drained);
        Deliver();
        Assert.Equal(1, _drained);
    }

    private int _drained;

    void IReplicaTransport.Send(SiloId target, PooledBytes message, IReplicaCall call) => _messages.Enqueue((message.Span.ToArray(), call));

    void IReplicationHost.OnCopySynced(int partition, long copy)
    {
    }

    void IReplicationHost.OnCopyFailed(int partition, long copy) => throw new InvalidOperationException("The copy has failed.");

    void IReplicationHost.OnRetained(int partition, long copy)
    {
    }

    void IReplicationHost.OnDrained(int partition) => _drained++;

    void IReplicationHost.Post(TimeSpan delay, Action action)
    {
        if (delay == TimeSpan.Zero)
            action();
    }

    bool IReplicaHost.IsMember(SiloId source) => true;

    bool IReplicaHost.HandleBegin(SiloId source, int partition, long copy)
    {
        _replicas.Open(new PartitionId(partition), copy, PartitionState.Sealed, isReplica: true);
        return true;
    }

    void IReplicaHost.HandleComplete(SiloId source, int partition, long copy)
    {
    }

    bool IReplicaHost.HandleRetain(SiloId source, int partition, long copy, long newCopy, long position) => false;

    private void Attach(bool tellsReads)
    {
        _replicator = new Replicator(s_owner, _owned, this, this, _time) { TellsReads = tellsReads };
        _replicator.Attach(0, Copy, s_replica);
        _replicator.Flush();
        Deliver();
    }

    private void Deliver()
    {
        while (_messages.TryDequeue(out (byte[] Message, IReplicaCall Call) next))
            next.Call.OnReply(_receiver.Handle(next.Message));
    }

    private void Execute(CacheOperation operation, int item)
    {
        byte[] key = Key(item);
        CacheRequest request = new()
        {
            Operation = operation, Key = key, KeyHash = s_hasher.Compute(key), Value = operation == CacheOperation.Set ? new byte[200] : default,
        };
        Assert.True(_owned.TryGet(new PartitionId(0))!.TryExecuteLogged(in request, Now, new RecordingSink(""), out _));
    }

    private bool Find(Partition partition, int item)
    {
        byte[] key = Key(item);
        CacheRequest request = new() { Operation = CacheOperation.Get, Key = key, KeyHash = s_hasher.Compute(key) };
        var sink = new RecordingSink("");
        Assert.True(partition.TryExecute(in request, Now, sink));
        return sink.Status == CacheStatus.Ok;
    }

    private uint Now => (uint)_time.GetUtcNow().ToUnixTimeSeconds();

    private static byte[] Key(int item) => Encoding.ASCII.GetBytes($"key{item}");

    private static PartitionSet NewSet(int megabytes)
    {
        PartitionSet set = new(new StoreOptions { PartitionCount = 1, MemoryBytes = (long)megabytes << 20, ShardCount = 1 });
        set.UseHashSeed(s_hasher.Seed);
        return set;
    }
}
