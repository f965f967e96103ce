using System.Text;
using OrleansCache.Ownership.Replication;
using OrleansCache.Ownership.Routing;
using OrleansCache.Ownership.Tests.Simulation;
using OrleansCache.Storage;

namespace OrleansCache.Ownership.Tests.Replication;

/// <summary>Copies that rest, and copies that are slowed down: their scan waits, what is logged does not, and in the end they have everything.</summary>
public sealed class HeldBackCopyTests : IDisposable, IReplicationHost, IReplicaTransport
{
    private const int ItemCount = 40;
    private const int ValueBytes = 1_000;
    private const long Copy = 11;
    private static readonly KeyHasher Hasher = new(new HashSeed(1, 1));
    private static readonly SiloId Here = SiloId.Create("127.0.0.1:1", 1);
    private static readonly SiloId There = SiloId.Create("127.0.0.1:2", 2);
    private readonly ManualTime _time = new();
    private readonly PartitionSet _partitions = new(new StoreOptions { PartitionCount = 2, MemoryBytes = 4 << 20, ShardCount = 1 });
    private readonly Replicator _replicator;
    private readonly PriorityQueue<Action, (DateTimeOffset At, int Order)> _posted = new();
    private readonly List<GroupKind> _sent = [];
    private long _bytesSent;
    private int _order;
    private bool _isSynced;

    public HeldBackCopyTests()
    {
        _partitions.UseHashSeed(Hasher.Seed);
        for (int partition = 0; partition < 2; partition++)
            _partitions.Open(new PartitionId(partition), 10);
        for (int i = 0; i < ItemCount; i++)
            Store($"key{i}", 0);
        _replicator = new Replicator(Here, _partitions, this, this, _time) { ScanPartBytes = 2_000, ScanBytesMax = 4_000 };
    }

    [Fact]
    public void ACopyTakesAsLongAsTheLimitSays()
    {
        _replicator.LimitScans(10_000);
        _replicator.Attach(0, Copy, There);
        Pass(TimeSpan.FromSeconds(3));
        Assert.False(_isSynced);
        (long done, long total) = _replicator.ProgressOf(0, Copy);
        Assert.InRange(done, 29_000, 31_000 + 2_500);
        Assert.InRange(total, ItemCount * ValueBytes, ItemCount * (ValueBytes + 100));
        Pass(TimeSpan.FromSeconds(2));
        Assert.True(_isSynced);
    }

    [Fact]
    public void WhatIsLoggedIsNotHeldBack()
    {
        _replicator.LimitScans(1);
        _replicator.Attach(0, Copy, There);
        Pass(TimeSpan.FromMilliseconds(1));
        Assert.Equal([GroupKind.Scan | GroupKind.Begin], _sent);
        _sent.Clear();
        Store("key0", 1);
        Pass(TimeSpan.Zero);
        Assert.Equal([GroupKind.Effects], _sent);
        Assert.Equal(0, _replicator.ReadStatistics().PendingBytes);
    }

    /// <summary>Or it would send one empty message after the other.</summary>
    [Fact]
    public void ACopyThatWaitsSendsNothing()
    {
        _replicator.LimitScans(1);
        _replicator.Attach(0, Copy, There);
        _replicator.Attach(1, Copy + 1, There);
        Pass(TimeSpan.FromMilliseconds(1));
        long messages = _replicator.ReadStatistics().Messages;
        Pass(TimeSpan.FromMinutes(10));
        Assert.Equal(messages, _replicator.ReadStatistics().Messages);
    }

    [Fact]
    public void WhenTheLimitIsTakenAwayCopiesGoOnAtOnce()
    {
        _replicator.LimitScans(1);
        _replicator.Attach(0, Copy, There);
        Pass(TimeSpan.FromSeconds(1));
        _replicator.LimitScans(0);
        Pass(TimeSpan.Zero);
        Assert.True(_isSynced);
    }

    [Fact]
    public void AllCopiesShareTheLimit()
    {
        _replicator.LimitScans(10_000);
        _replicator.Attach(0, Copy, There);
        _replicator.Attach(0, Copy + 1, SiloId.Create("127.0.0.1:3", 3));
        Pass(TimeSpan.FromSeconds(3));
        long done = _replicator.ProgressOf(0, Copy).BytesDone + _replicator.ProgressOf(0, Copy + 1).BytesDone;
        Assert.InRange(done, 29_000, 31_000 + 5_000);
    }

    [Fact]
    public void ACopyRestsBeforeItHasBegunOrAmidItsScanAndThenGetsEverything()
    {
        _replicator.Attach(0, Copy, There);
        _replicator.Rest(0, Copy, isResting: true);
        Pass(TimeSpan.FromMinutes(1));
        Assert.Empty(_sent);
        Store("key1", 1);
        Pass(TimeSpan.Zero);
        Assert.Empty(_sent); // it will be in the scan

        _replicator.LimitScans(10_000);
        _replicator.Rest(0, Copy, isResting: false);
        Pass(TimeSpan.FromSeconds(1));
        _replicator.Rest(0, Copy, isResting: true);
        _replicator.LimitScans(0);
        long done = _replicator.ProgressOf(0, Copy).BytesDone;
        Assert.InRange(done, 5_000, 15_000);
        Store("key2", 1);
        Pass(TimeSpan.FromMinutes(1));
        Assert.Equal((done, false), (_replicator.ProgressOf(0, Copy).BytesDone, _isSynced));
        Assert.Equal(GroupKind.Effects, _sent[^1]);

        _replicator.Rest(0, Copy, isResting: false);
        Pass(TimeSpan.Zero);
        Assert.True(_isSynced);
        Assert.Equal((0, 0), (_replicator.ProgressOf(0, 99).BytesDone, _replicator.ProgressOf(1, Copy).BytesTotal));
    }

    [Fact]
    public void ACopyThatIsDetachedWhileItWaitsIsForgotten()
    {
        _replicator.LimitScans(10_000);
        _replicator.Attach(0, Copy, There);
        Pass(TimeSpan.FromMilliseconds(100));
        _replicator.Detach(0, Copy);
        long bytes = _bytesSent;
        Pass(TimeSpan.FromMinutes(1));
        Assert.Equal((bytes, false), (_bytesSent, _isSynced));
    }

    public void Dispose()
    {
        _replicator.Dispose();
        _partitions.Dispose();
    }

    void IReplicationHost.OnCopySynced(int partition, long copy) => _isSynced = true;

    void IReplicationHost.OnCopyFailed(int partition, long copy) => Assert.Fail($"copy {copy} has failed");

    void IReplicationHost.OnRetained(int partition, long copy)
    {
    }

    void IReplicationHost.OnDrained(int partition)
    {
    }

    void IReplicationHost.Post(TimeSpan delay, Action action) => _posted.Enqueue(action, (_time.GetUtcNow() + delay, ++_order));

    void IReplicaTransport.Send(SiloId target, PooledBytes message, IReplicaCall call)
    {
        var reader = new ReplicationFormat.Reader(message.Span.ToArray());
        while (reader.Read())
        {
            _sent.Add(reader.Kind);
            _bytesSent += reader.Effects.Length;
        }

        byte[] reply = ReplicationFormat.WriteReply(MessageStatus.Ok, reader.Number, []);
        ((IReplicationHost)this).Post(TimeSpan.FromMilliseconds(0), () => call.OnReply(reply));
    }

    private void Pass(TimeSpan duration)
    {
        _replicator.Flush();
        DateTimeOffset end = _time.GetUtcNow() + duration;
        for (int steps = 0; _posted.TryPeek(out _, out (DateTimeOffset At, int Order) next) && next.At <= end; steps++)
        {
            Assert.True(steps < 10_000, "it goes on for ever");
            if (next.At > _time.GetUtcNow())
                _time.Advance(next.At - _time.GetUtcNow());
            _posted.Dequeue()();
        }

        _time.Advance(end - _time.GetUtcNow());
    }

    private void Store(string key, int version)
    {
        byte[] bytes = Encoding.ASCII.GetBytes(key);
        byte[] value = new byte[ValueBytes];
        Array.Fill(value, (byte)version);
        var request = new CacheRequest { Operation = CacheOperation.Set, Key = bytes, KeyHash = Hasher.Compute(bytes), Value = value };
        Assert.True(_partitions.TryGet(new PartitionId(0))!.TryExecute(in request, 1, new SimulatedClient.ValueSink()));
    }
}
