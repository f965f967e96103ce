using OrleansCache.Ownership.Routing;

namespace OrleansCache.Ownership.Tests.Simulation;

// The gateway of a simulated silo, and what executes other gateways' batches.
internal sealed partial class SimulatedNode : ITableCache, IBatchTransport, ICompletionQueue
{
    private readonly FreezeDetector _freeze;
    private readonly BatchServer _batches;
    private const int HopsMax = 3;

    private readonly Queue<LoopWorkItem> _posted = new();
    private bool _turnIsDue;

    public PartitionTable Table { get; private set; }

    /// <summary>Its gateway goes by the first table that it has got, whatever comes later.</summary>
    public bool KeepsItsTable { get; set; }

    /// <summary>The way of this silo's clients; null before a table is known.</summary>
    public RouterChannel? Channel { get; private set; }

    PartitionTable ITableCache.Current => Table;

    SiloId ITableCache.LocalSilo => Id;

    public event Action<PartitionTable>? Changed;

    /// <summary>Executes the client's request, or sends it on its way.</summary>
    public void Execute(in CacheRequest request, ReplySink sink)
    {
        if (!Channel!.TryExecute(in request, _cluster.NowSeconds, sink))
            Channel.Send(in request, sink);
        Channel.Flush();
    }

    /// <summary>As the detector's thread.</summary>
    public void Beat() => _freeze.Beat();

    /// <summary>It has heard that it was declared dead: it serves nothing any more.</summary>
    public void Evict() => _freeze.Evict();

    void ITableCache.RequestRefresh()
    {
        if (!Agent.Coordinator.IsNone && _cluster.Now - _refreshedAt >= 50)
        {
            _refreshedAt = _cluster.Now;
            ((ISiloAgentEnvironment)this).Nudge(Agent.Coordinator);
        }
    }

    private long _refreshedAt;

    void ICompletionQueue.Post(LoopWorkItem work)
    {
        // A continuation on another thread would make a run depend on more than its seed.
        Assert.Equal(_cluster.ThreadId, Environment.CurrentManagedThreadId);
        _posted.Enqueue(work);
        if (_turnIsDue)
            return;
        _turnIsDue = true;
        _cluster.At(0, Turn);
    }

    ValueTask<BatchReply> IBatchTransport.SendAsync(BatchTarget target, int lane, BatchRequest request, CancellationToken cancellationToken)
    {
        byte[] wire = request.Payload.Span.ToArray();
        return Ask(target, (node, answer) => node.ExecuteBatch(wire, this, answer));
    }

    ValueTask<BatchReply> IBatchTransport.CollectAsync(BatchTarget target, long ticket, CancellationToken cancellationToken) =>
        Ask(target, (node, answer) => node.Collect(ticket, this, answer));

    private ValueTask<BatchReply> Ask(BatchTarget to, Action<SimulatedNode, TaskCompletionSource<BatchReply>> what)
    {
        var answer = new TaskCompletionSource<BatchReply>();
        SiloId target = to.Silo;
        if (to.Partition is { } partition)
        {
            _cluster.PartitionsAsked++;
            AskPartition(partition, hops: 0, this, answer, node => what(node, answer));
        }
        else if (!_members.Contains(target))
            _cluster.At(0, () => answer.TrySetException(new BatchNotExecutedException("unknown silo")));
        else
        {
            // The connection to a process that is gone breaks.
            if (!_cluster.IsRunning(target) || _cluster.IsLossy())
                _cluster.At(_cluster.Delay(1, 200), () => answer.TrySetException(new InvalidOperationException("connection lost")));
            _cluster.Send(this, target, SimulatedTraffic.Batches, node => what(node, answer));
        }

        return new ValueTask<BatchReply>(answer.Task);
    }

    ValueTask<ItemScanPage?> IBatchTransport.ScanAsync(SiloId target, PartitionId partition, ulong position, CancellationToken cancellationToken) =>
        ValueTask.FromResult<ItemScanPage?>(null);

    ValueTask IBatchTransport.FlushAllAsync(uint atUnixSeconds, CancellationToken cancellationToken) => ValueTask.CompletedTask;

    private void Adopt(PartitionTable table)
    {
        if (!IsRunning || table.Version < Table.Version || (KeepsItsTable && Channel is not null))
            return;
        Table = table;
        if (Channel is null)
        {
            var router = new ClusterRouter(_cluster.PartitionCount, Partitions, this, this, _time) { Freeze = _freeze, Replicator = _replicator };
            Channel = router.OpenChannel(this);
        }

        Changed?.Invoke(table);
    }

    private void Turn()
    {
        _turnIsDue = false;
        if (!IsRunning)
            return;
        while (_posted.TryDequeue(out LoopWorkItem? work))
            work.Execute();
        Channel!.Flush();
    }

    /// <summary>As the grain's directory: each silo on the way sends on what it does not serve, by its own table.</summary>
    private void AskPartition(PartitionId partition, int hops, SimulatedNode asker, TaskCompletionSource<BatchReply> answer, Action<SimulatedNode> what)
    {
        SiloId owner = Table.OwnerOf(partition);
        if (owner == Id || !_members.Contains(owner))
            owner = _members.Contains(Agent.Coordinator) ? Agent.Coordinator : default;
        if (Agent.IsGranted(partition.Value, out _))
            _cluster.At(0, () => what(this));
        else if (owner.IsNone || owner == Id || hops == HopsMax)
            _cluster.Send(this, asker.Id, SimulatedTraffic.Replies, _ => answer.TrySetException(new BatchNotExecutedException("nobody serves it")));
        else
            _cluster.Send(this, owner, SimulatedTraffic.Batches, node => node.AskPartition(partition, hops + 1, asker, answer, what));
    }

    private void ExecuteBatch(byte[] wire, SimulatedNode asker, TaskCompletionSource<BatchReply> answer)
    {
        PooledBytes reply = _batches.Execute(wire, out List<UnacknowledgedResult>? unacknowledged);
        _cluster.NoteExecuted(this, wire, reply.Span);
        if (unacknowledged is null)
            Answer(asker, answer, reply);
        else
            _batches.Hold(reply, unacknowledged, part => Answer(asker, answer, part));
    }

    private void Collect(long ticket, SimulatedNode asker, TaskCompletionSource<BatchReply> answer)
    {
        if (!_batches.TryCollect(ticket, reply => Answer(asker, answer, reply)))
            _cluster.Send(this, asker.Id, SimulatedTraffic.Replies, _ => answer.TrySetException(new InvalidOperationException("unknown ticket")));
    }

    private void Answer(SimulatedNode asker, TaskCompletionSource<BatchReply> answer, PooledBytes reply)
    {
        if (!IsRunning)
            return;
        PartitionTableVersion version = Table.Version;
        _cluster.Send(this, asker.Id, SimulatedTraffic.Replies, _ => answer.TrySetResult(new BatchReply(reply, version.Term, version.Number)));
    }
}
