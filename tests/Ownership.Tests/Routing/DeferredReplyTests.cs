using System.Text;
using OrleansCache.Ownership.Replication;
using OrleansCache.Ownership.Routing;
using OrleansCache.Storage;

namespace OrleansCache.Ownership.Tests.Routing;

/// <summary>A silo with a partition of its own that has one replica elsewhere, and a partition without an owner.</summary>
public sealed class DeferredReplyTests : IReplicaTransport, IReplicationHost, IDisposable
{
    private const int Partitions = 2;
    private const long Copy = 7;

    private readonly ManualTime _time = new();
    private readonly HandLoop _loop = new();
    private readonly FakeCluster _cluster = new(Partitions) { LocalSilo = FakeCluster.A };
    private readonly ClusterRouterOptions _options = new();
    private readonly PartitionSet _partitions = new(new StoreOptions { PartitionCount = Partitions, MemoryBytes = 8 << 20, ShardCount = 1 });
    private readonly Replicator _replicator;
    private readonly RouterChannel _channel;
    private readonly Queue<IReplicaCall> _calls = [];
    private readonly string _replicated;
    private readonly string _homeless;
    private long _number;

    public DeferredReplyTests()
    {
        _cluster.SetOwner(0, FakeCluster.A);
        _cluster.PublishTable();
        _partitions.UseHashSeed(_cluster.Current.HashSeed);
        _partitions.Open(new PartitionId(0), 1);
        _replicator = new Replicator(FakeCluster.A, _partitions, this, this, _time);
        _channel = new ClusterRouter(Partitions, _partitions, _cluster, _cluster, _time, _options) { Replicator = _replicator }.OpenChannel(_loop);
        _replicated = Enumerable.Range(0, 100).Select(static i => $"key{i}").First(key => PartitionOf(key) == 0);
        _homeless = Enumerable.Range(0, 100).Select(static i => $"key{i}").First(key => PartitionOf(key) == 1);
        _replicator.Attach(0, Copy, FakeCluster.B);
        _replicator.Flush();
        Acknowledge();
    }

    public void Dispose()
    {
        _replicator.Dispose();
        _partitions.Dispose();
    }

    [Fact]
    public void AReplyLeavesWhenTheReplicaHasIt()
    {
        RecordingSink write = Send(_replicated);
        _channel.Flush();
        _loop.RunPosted();
        Assert.Equal(0, write.Calls);

        Acknowledge();
        _loop.RunPosted();
        Assert.Equal((1, CacheStatus.Ok), (write.Calls, write.Status));
    }

    [Fact]
    public void AReplyWhoseReplicaDoesNotAnswerEndsInAClearErrorWithinTheTimeout()
    {
        RecordingSink write = Send(_replicated);
        _channel.Flush();
        for (TimeSpan waited = TimeSpan.Zero; waited <= _options.RequestTimeout; waited += TimeSpan.FromMilliseconds(250))
        {
            Assert.Equal(0, write.Calls);
            _time.Advance(TimeSpan.FromMilliseconds(250));
            _loop.RunPosted();
        }

        Assert.Equal((1, CacheStatus.Unavailable), (write.Calls, write.Status));
        Assert.Contains("replica", write.Reason, StringComparison.Ordinal);
    }

    /// <summary>What waits for a replica is looked at rarely, what waits for an owner often, by one timer; a loop that is held up comes to it late.</summary>
    [Fact]
    public void ATimerThatFiresAgainBeforeTheLoopComesToItIsQueuedOnce()
    {
        Send(_replicated);
        _channel.Flush();
        _time.Advance(TimeSpan.FromMilliseconds(250));
        RecordingSink held = Send(_homeless);
        _channel.Flush();
        _time.Advance(_options.RetryInterval);
        _loop.RunPosted();

        _cluster.SetOwner(1, FakeCluster.B);
        _cluster.PublishTable();
        _time.Advance(_options.RetryInterval);
        _loop.RunPosted();
        Assert.True(_cluster.Answer());
        _loop.RunOne();
        Assert.Equal((1, CacheStatus.Ok), (held.Calls, held.Status));
    }

    void IReplicaTransport.Send(SiloId target, PooledBytes message, IReplicaCall call) => _calls.Enqueue(call);

    void IReplicationHost.OnCopySynced(int partition, long copy)
    {
    }

    void IReplicationHost.OnCopyFailed(int partition, long copy)
    {
    }

    void IReplicationHost.OnRetained(int partition, long copy)
    {
    }

    void IReplicationHost.OnDrained(int partition)
    {
    }

    void IReplicationHost.Post(TimeSpan delay, Action action)
    {
    }

    private void Acknowledge() => _calls.Dequeue().OnReply(ReplicationFormat.WriteReply(MessageStatus.Ok, ++_number, []));

    private int PartitionOf(string key) => PartitionId.OfHash(_channel.Hasher.Compute(Encoding.ASCII.GetBytes(key)), Partitions).Value;

    private RecordingSink Send(string key)
    {
        var sink = new RecordingSink(key);
        byte[] bytes = Encoding.ASCII.GetBytes(key);
        _channel.Send(
            new CacheRequest { Operation = CacheOperation.Set, Key = bytes, KeyHash = _channel.Hasher.Compute(bytes), Value = "value"u8 }, sink);
        return sink;
    }
}
