using System.Text;
using OrleansCache.Ownership.Replication;
using OrleansCache.Ownership.Routing;
using OrleansCache.Storage;

namespace OrleansCache.Ownership.Tests.Routing;

/// <summary>A silo that serves two partitions whose copies are in two other silos.</summary>
public sealed class BatchServerTests : IReplicaTransport, IReplicationHost, IDisposable
{
    private const int Partitions = 3;
    private static readonly SiloId s_self = SiloId.Create("127.0.0.1:1", 1);
    private static readonly SiloId[] s_replicas = [SiloId.Create("127.0.0.1:2", 1), SiloId.Create("127.0.0.1:3", 1)];

    private readonly ManualTime _time = new();
    private readonly PartitionSet _partitions = new(new StoreOptions { PartitionCount = Partitions, MemoryBytes = 8 << 20, ShardCount = 1 });
    private readonly KeyHasher _hasher = new(new HashSeed(1, 1));
    private readonly Replicator _replicator;
    private readonly BatchServer _server;
    private readonly Dictionary<SiloId, Queue<IReplicaCall>> _calls = s_replicas.ToDictionary(static silo => silo, static _ => new Queue<IReplicaCall>());
    private readonly Dictionary<SiloId, long> _numbers = s_replicas.ToDictionary(static silo => silo, static _ => 0L);
    private readonly List<string[]> _answers = [];
    private readonly List<long> _tickets = [];

    public BatchServerTests()
    {
        _partitions.UseHashSeed(_hasher.Seed);
        _replicator = new Replicator(s_self, _partitions, this, this, _time);
        _server = new BatchServer(new BatchExecutor(_partitions, _time), _replicator, _time);
        for (int partition = 0; partition < Partitions; partition++)
            _partitions.Open(new PartitionId(partition), 1);
        for (int partition = 0; partition < s_replicas.Length; partition++)
            _replicator.Attach(partition, 7 + partition, s_replicas[partition]);
        _replicator.Flush();
        Acknowledge(0);
        Acknowledge(1);
    }

    public void Dispose()
    {
        _server.Dispose();
        _replicator.Dispose();
        _partitions.Dispose();
    }

    [Fact]
    public void WhatNeedsNoCopyIsAnsweredAtOnce()
    {
        Execute(Set(2));
        Assert.Equal(["Ok"], Assert.Single(_answers));
        Assert.Equal(0, _server.HeldCount);
    }

    [Fact]
    public void AReplyLeavesAsAWholeWhenAllCopiesHaveIt()
    {
        Execute(Set(0), Set(1), Set(2));
        Assert.Empty(_answers);
        Acknowledge(1);
        Assert.Empty(_answers);
        Acknowledge(0);
        Assert.Equal(["Ok", "Ok", "Ok"], Assert.Single(_answers));
        Assert.Equal(0, Assert.Single(_tickets));
        Assert.Equal(0, _server.HeldCount);
    }

    [Fact]
    public void WhatTakesLongIsLeftOutAndCollectedWhenItIsThere()
    {
        Execute(Set(0), Set(1), Set(2), Set(0));
        Acknowledge(1);
        _time.Advance(BatchServer.ReplyPatience);
        Assert.Equal(["Pending", "Ok", "Ok", "Pending"], Assert.Single(_answers));
        Assert.Equal(1, _server.HeldCount);

        Assert.True(Collect());
        Assert.Single(_answers);
        Acknowledge(0);
        Assert.Equal(["Ok", "Ok"], _answers[1]);
        Assert.Equal(0, _tickets[1]);
        Assert.Equal(0, _server.HeldCount);
    }

    [Fact]
    public void WhatHasComeBeforeItIsCollectedIsThere()
    {
        Execute(Set(0));
        _time.Advance(BatchServer.ReplyPatience);
        Acknowledge(0);
        Assert.Single(_answers);
        Assert.True(Collect());
        Assert.Equal(["Ok"], _answers[1]);
    }

    [Fact]
    public void WhoCollectsGetsWhatThereIsAndIsToldWhenThereIsNothing()
    {
        Execute(Set(0), Set(1));
        _time.Advance(BatchServer.ReplyPatience);
        Assert.Equal(["Pending", "Pending"], _answers[0]);
        Assert.True(Collect());
        _time.Advance(BatchServer.CollectPatience);
        Assert.Equal(["Pending", "Pending"], _answers[1]);
        Assert.True(Collect());
        Acknowledge(1);
        _time.Advance(TimeSpan.FromMilliseconds(5));
        Assert.Equal(["Pending", "Ok"], _answers[2]);
        Assert.True(Collect());
        Acknowledge(0);
        Assert.Equal(["Ok"], _answers[3]);
    }

    /// <summary>Such a read shows what could still be lost.</summary>
    [Fact]
    public void AReadOfWhatIsNotAcknowledgedIsLeftOutAsWell()
    {
        Execute(Set(0), Get(0), Get(1));
        _time.Advance(BatchServer.ReplyPatience);
        Assert.Equal(["Pending", "Pending", "NotFound"], _answers[0]);
        Assert.True(Collect());
        Acknowledge(0);
        Assert.Equal(["Ok", "Ok=value"], _answers[1]);
    }

    [Fact]
    public void AfterTheTimeOutItIsSaidThatNobodyKnows()
    {
        Execute(Set(0));
        _time.Advance(BatchServer.ReplyPatience);
        for (TimeSpan waited = BatchServer.ReplyPatience; waited < BatchServer.AcknowledgementTimeout; waited += BatchServer.CollectPatience)
        {
            Assert.Equal(["Pending"], _answers[^1]);
            Assert.True(Collect());
            _time.Advance(BatchServer.CollectPatience);
        }

        Assert.Equal(["Unacknowledged"], _answers[^1]);
        Assert.Equal(0, _server.HeldCount);
    }

    [Fact]
    public void WhatIsNotServedHereAnyMoreIsSaidAtOnce()
    {
        Execute(Set(0), Set(2));
        _replicator.End(0);
        Assert.Equal(["Unacknowledged", "Ok"], Assert.Single(_answers));
    }

    [Fact]
    public void WhatNobodyCollectsIsForgotten()
    {
        Execute(Set(0));
        _time.Advance(BatchServer.ReplyPatience);
        _time.Advance(BatchServer.AcknowledgementTimeout + TimeSpan.FromSeconds(5));
        Assert.Equal(0, _server.HeldCount);
        Assert.False(Collect());
    }

    [Fact]
    public void ATicketIsForOneAtATime()
    {
        Execute(Set(0));
        _time.Advance(BatchServer.ReplyPatience);
        Assert.True(Collect());
        Assert.False(Collect());
        Assert.False(_server.TryCollect(_tickets[0] + 1, static _ => { }));
    }

    /// <summary>A partition may have moved between its batch and the collecting, and every silo keeps replies.</summary>
    [Fact]
    public void ATicketOfAnotherSiloIsNotKnown()
    {
        using BatchServerTests other = new();
        foreach (BatchServerTests silo in (BatchServerTests[])[this, other])
        {
            silo.Execute(Set(0));
            silo._time.Advance(BatchServer.ReplyPatience);
        }

        Assert.False(other._server.TryCollect(_tickets[0], static _ => { }));
        Assert.True(Collect());
    }

    void IReplicaTransport.Send(SiloId target, PooledBytes message, IReplicaCall call) => _calls[target].Enqueue(call);

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
        if (delay == TimeSpan.Zero)
            action();
    }

    private void Acknowledge(int replica)
    {
        SiloId silo = s_replicas[replica];
        _calls[silo].Dequeue().OnReply(ReplicationFormat.WriteReply(MessageStatus.Ok, ++_numbers[silo], []));
    }

    private void Execute(params byte[][] operations)
    {
        var batch = new BatchWriter();
        foreach (byte[] operation in operations)
            batch.AppendEncoded(operation);
        PooledBytes reply = _server.Execute(batch.Complete(_hasher.Fingerprint).Span, out List<UnacknowledgedResult>? unacknowledged);
        if (unacknowledged is null)
            Note(reply);
        else
            _server.Hold(reply, unacknowledged, Note);
    }

    private bool Collect() => _server.TryCollect(_tickets[^1], Note);

    private void Note(PooledBytes reply)
    {
        var reader = new ReplyReader(reply.Span);
        List<string> results = [];
        while (reader.TryRead(out byte status, out CacheReply result))
        {
            byte[] value = new byte[result.Value.HasBytes ? result.Value.Length : 0];
            if (value.Length > 0)
                result.Value.CopyTo(value);
            results.Add(status switch
            {
                BatchFormat.StatusPending => "Pending",
                BatchFormat.StatusUnacknowledged => "Unacknowledged",
                _ => $"{result.Status}{(value.Length > 0 ? "=" : "")}{Encoding.ASCII.GetString(value)}",
            });
        }

        Assert.Equal(results.Contains("Pending"), reader.Ticket != 0);
        _answers.Add([.. results]);
        _tickets.Add(reader.Ticket);
        reply.Release();
    }

    private byte[] Set(int partition) => Encode(CacheOperation.Set, partition, RequestFlags.None, "value"u8);

    private byte[] Get(int partition) => Encode(CacheOperation.Get, partition, RequestFlags.ReturnValue, []);

    private byte[] Encode(CacheOperation operation, int partition, RequestFlags flags, ReadOnlySpan<byte> value)
    {
        byte[] key = Enumerable.Range(0, 100).Select(static i => Encoding.ASCII.GetBytes($"key{i}"))
            .First(key => PartitionId.OfHash(_hasher.Compute(key), Partitions).Value == partition);
        var writer = new BatchWriter();
        var request = new CacheRequest { Operation = operation, Flags = flags, Key = key, KeyHash = _hasher.Compute(key), Value = value };
        return writer.OperationAt(writer.Append(in request)).ToArray();
    }
}
