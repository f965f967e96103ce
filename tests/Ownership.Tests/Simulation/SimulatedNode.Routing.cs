using OrleansCache.Ownership.Replication;
using OrleansCache.Ownership.Routing;

namespace OrleansCache.Ownership.Tests.Simulation;

// The gateway of a simulated silo, and what executes other gateways' batches.
internal sealed partial class SimulatedNode : ITableCache, IBatchTransport, ICompletionQueue, IAckListener
{
    /// <summary>As a real silo: longer than the replicas' silos may take to be declared dead, shorter than the asker waits.</summary>
    private const int AcknowledgementMillisecondsMax = 10_000;

    private readonly FreezeDetector _freeze;
    private readonly BatchExecutor _executor;
    private readonly Queue<LoopWorkItem> _posted = new();
    private readonly List<Unacknowledged> _unacknowledged = [];
    private bool _turnIsDue;

    public PartitionTable Table { get; private set; }

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

    ValueTask<BatchReply> IBatchTransport.SendAsync(SiloId target, int lane, BatchRequest request, CancellationToken cancellationToken)
    {
        var answer = new TaskCompletionSource<BatchReply>();
        byte[] wire = request.Payload.Span.ToArray();
        if (!_members.Contains(target))
            _cluster.At(0, () => answer.TrySetException(new BatchNotExecutedException("unknown silo")));
        else
        {
            // The connection to a process that is gone breaks.
            if (!_cluster.IsRunning(target) || _cluster.IsLossy())
                _cluster.At(_cluster.Delay(1, 200), () => answer.TrySetException(new InvalidOperationException("connection lost")));
            _cluster.Send(this, target, SimulatedTraffic.Batches, node => node.ExecuteBatch(wire, this, answer));
        }

        return new ValueTask<BatchReply>(answer.Task);
    }

    ValueTask<ItemScanPage?> IBatchTransport.ScanAsync(SiloId target, PartitionId partition, ulong position, CancellationToken cancellationToken) =>
        ValueTask.FromResult<ItemScanPage?>(null);

    ValueTask IBatchTransport.FlushAllAsync(uint atUnixSeconds, CancellationToken cancellationToken) => ValueTask.CompletedTask;

    /// <summary>Replies of batches leave when everything that they tell is acknowledged.</summary>
    void IAckListener.OnAcknowledged() => LookForAcknowledgements();

    private void Adopt(PartitionTable table)
    {
        if (!IsRunning || table.Version < Table.Version)
            return;
        Table = table;
        if (Channel is null)
        {
            _replicator.Register(this);
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

    private void ExecuteBatch(byte[] wire, SimulatedNode asker, TaskCompletionSource<BatchReply> answer)
    {
        PooledBytes reply = _executor.Execute(wire, out AcknowledgementWait? wait);
        _cluster.NoteExecuted(this, wire, reply.Span);
        _replicator.Flush();
        var entry = new Unacknowledged(wait, reply, asker, answer);
        if (wait is null)
        {
            Answer(entry, isAcknowledged: true);
            return;
        }

        _unacknowledged.Add(entry);
        LookForAcknowledgements();
        _cluster.At(AcknowledgementMillisecondsMax, () =>
        {
            if (_unacknowledged.Remove(entry))
                Answer(entry, isAcknowledged: false);
        });
    }

    /// <summary>What <see cref="Replicator.WaitAsync"/> does, without a continuation on another thread.</summary>
    private void LookForAcknowledgements()
    {
        for (int i = 0; i < _unacknowledged.Count;)
        {
            Unacknowledged entry = _unacknowledged[i];
            entry.Wait!.Look();
            if (!entry.Wait.Task.IsCompleted)
            {
                i++;
                continue;
            }

            _unacknowledged.RemoveAt(i);
            Answer(entry, entry.Wait.Task.Result);
        }
    }

    private void Answer(Unacknowledged entry, bool isAcknowledged)
    {
        if (!IsRunning)
            return;
        PartitionTableVersion version = Table.Version;
        _cluster.Send(this, entry.Asker.Id, SimulatedTraffic.Replies, _ =>
        {
            if (isAcknowledged)
                entry.Answer.TrySetResult(new BatchReply(entry.Reply, version.Term, version.Number));
            else
                entry.Answer.TrySetException(new InvalidOperationException("not acknowledged"));
        });
    }

    private sealed record Unacknowledged(AcknowledgementWait? Wait, PooledBytes Reply, SimulatedNode Asker, TaskCompletionSource<BatchReply> Answer);
}
