using System.Text;
using OrleansCache.Ownership.Replication;
using OrleansCache.Ownership.Routing;
using OrleansCache.Storage;

namespace OrleansCache.Ownership.Rehearsing;

/// <summary>A silo of a <see cref="Rehearsal"/>: put together as a real one, with the stage for everything that is not of this room.</summary>
internal sealed class RehearsedSilo : ISiloAgentEnvironment, ICoordinatorEnvironment, IReplicationHost, IReplicaHost, IReplicaTransport, IBatchTransport,
    ITableCache, ICompletionQueue, IDisposable
{
    private readonly RehearsalStage _stage;
    private readonly PartitionSet _partitions;
    private readonly Replicator _replicator;
    private readonly ReplicaReceiver _receiver;
    private readonly BatchServer _batches;
    private readonly IgnoringSink _sink = new();
    private PartitionTable _table;
    private ITimer? _wake;

    public RehearsedSilo(RehearsalStage stage, SiloId id)
    {
        _stage = stage;
        Id = id;
        _partitions = new PartitionSet(new StoreOptions { PartitionCount = Rehearsal.PartitionCount, MemoryBytes = 2 << 20, ShardCount = 1 });
        _replicator = new Replicator(id, _partitions, this, this, stage);
        _receiver = new ReplicaReceiver(_partitions, this, stage);
        _batches = new BatchServer(new BatchExecutor(_partitions, stage), _replicator, stage);
        Agent = new SiloAgent(id, Rehearsal.PartitionCount, _partitions.Options.MemoryBytes, this) { Replicas = 1 };
        Coordinator = new Coordinator(id, Rehearsal.PartitionCount, this, replicas: 1);
        _table = Agent.Table;
    }

    public SiloId Id { get; }

    public SiloAgent Agent { get; }

    public Coordinator Coordinator { get; }

    /// <summary>Null before a table is known.</summary>
    public RouterChannel? Channel { get; private set; }

    PartitionTable ITableCache.Current => _table;

    SiloId ITableCache.LocalSilo => Id;

    public event Action<PartitionTable>? Changed;

    public void Tick()
    {
        Coordinator.OnMembershipConfirmed(_stage.Now);
        Coordinator.Tick(_stage.Now);
        _replicator.Tick();
    }

    /// <summary>As a client of this silo's gateway; nobody looks at the reply.</summary>
    public void Execute(CacheOperation operation, int key, ReadOnlySpan<byte> value)
    {
        byte[] name = Encoding.ASCII.GetBytes($"rehearsal:{key}");
        CacheRequest request = new()
        {
            Operation = operation, Key = name, KeyHash = Channel!.Hasher.Compute(name), Value = value, Delta = 1,
            Flags = RequestFlags.ReturnValue,
        };
        if (!Channel.TryExecute(in request, _stage.NowUnixSeconds, _sink))
            Channel.Send(in request, _sink);
    }

    public void Dispose()
    {
        _batches.Dispose();
        _replicator.Dispose();
        _partitions.Dispose();
    }

    private Partition? Gate(int partition) => _partitions.TryGet(new PartitionId(partition));

    // ---- ITableCache, ICompletionQueue ----

    void ITableCache.RequestRefresh()
    {
        if (!Agent.Coordinator.IsNone)
            ((ISiloAgentEnvironment)this).Nudge(Agent.Coordinator);
    }

    void ICompletionQueue.Post(LoopWorkItem work) => _stage.Post(() =>
    {
        work.Execute();
        Channel?.Flush();
    });

    // ---- ISiloAgentEnvironment ----

    bool ISiloAgentEnvironment.Activate(int partition, long epoch, bool keepItems)
    {
        if (keepItems && Gate(partition) is { } held)
            held.Activate(epoch);
        else if (Gate(partition) is null)
            _partitions.Open(new PartitionId(partition), epoch);
        return true;
    }

    void ISiloAgentEnvironment.Seal(int partition) => Gate(partition)?.Seal();

    bool ISiloAgentEnvironment.AwaitDrain(int partition) => _replicator.AwaitDrain(partition);

    void ISiloAgentEnvironment.Unseal(int partition)
    {
        _replicator.Resume(partition);
        Gate(partition)?.Unseal();
    }

    void ISiloAgentEnvironment.Renew(int partition, long epoch) => Gate(partition)?.Renew(epoch);

    void ISiloAgentEnvironment.Drop(int partition)
    {
        _replicator.End(partition);
        _partitions.Close(new PartitionId(partition), _stage.NowUnixSeconds);
    }

    void ISiloAgentEnvironment.BeginCopy(int partition, long copy) =>
        _partitions.Open(new PartitionId(partition), copy, PartitionState.Sealed, isReplica: true);

    void ISiloAgentEnvironment.BecomeReplica(int partition, long copy) => Gate(partition)?.BecomeReplica(copy, _replicator.End(partition));

    void ISiloAgentEnvironment.Fence(int partition, long epoch) => Gate(partition)?.Fence(epoch);

    bool ISiloAgentEnvironment.Rename(int partition, long newCopy, long position) => Gate(partition)?.Rename(newCopy, position) == true;

    long ISiloAgentEnvironment.PositionOf(int partition) => Gate(partition)?.LogPosition ?? 0;

    void ISiloAgentEnvironment.Attach(int partition, long copy, SiloId target) => _replicator.Attach(partition, copy, target);

    void ISiloAgentEnvironment.Retain(int partition, long copy, long newCopy, SiloId target) => _replicator.Retain(partition, copy, newCopy, target);

    void ISiloAgentEnvironment.Detach(int partition, long copy) => _replicator.Detach(partition, copy);

    void ISiloAgentEnvironment.Rest(int partition, long copy, bool isResting) => _replicator.Rest(partition, copy, isResting);

    (long BytesDone, long BytesTotal) ISiloAgentEnvironment.ProgressOf(int partition, long copy) => _replicator.ProgressOf(partition, copy);

    void ISiloAgentEnvironment.LimitCopies(long? bytesPerSecond) => _replicator.LimitScans(bytesPerSecond ?? 0);

    void ISiloAgentEnvironment.Flush(int partition, uint atUnixSeconds, long number) => Gate(partition)?.FlushAll(atUnixSeconds, _stage.NowUnixSeconds, number);

    void ISiloAgentEnvironment.NoteFlush(int partition, uint atUnixSeconds, long number) => Gate(partition)?.NoteFlush(atUnixSeconds, number);

    long ISiloAgentEnvironment.FlushNumberOf(int partition) => Gate(partition)?.FlushNumber ?? 0;

    void ISiloAgentEnvironment.Nudge(SiloId coordinator) => _stage.Post(() => _stage.Find(coordinator).Coordinator.OnNudge(Id, _stage.Now));

    void ISiloAgentEnvironment.UseHashSeed(HashSeed seed) => _partitions.UseHashSeed(seed);

    void ISiloAgentEnvironment.OnHashSeedDiffers()
    {
    }

    void ISiloAgentEnvironment.OnTable(PartitionTable table)
    {
        _table = table;
        _replicator.WireVersion = Math.Min(table.WireVersion, Agent.Speaks);
        Channel ??= new ClusterRouter(Rehearsal.PartitionCount, _partitions, this, this, _stage) { Replicator = _replicator }.OpenChannel(this);
        Changed?.Invoke(table);
    }

    void ISiloAgentEnvironment.RefreshMembership(long version)
    {
    }

    // ---- ICoordinatorEnvironment ----

    PartitionTable ICoordinatorEnvironment.KnownTable => Agent.Table;

    HashSeed ICoordinatorEnvironment.DrawHashSeed() => HashSeed.Random();

    void ICoordinatorEnvironment.SendSync(SiloId target, SyncRequest request)
    {
        byte[] wire = request.Encode();
        _stage.Post(() =>
        {
            if (SyncRequest.TryDecode(wire, out SyncRequest? received) && _stage.Find(target).Agent.HandleSync(received, _stage.Now)?.Encode() is { } reply)
            {
                _stage.Post(() =>
                {
                    if (SyncReply.TryDecode(reply, out SyncReply? answer))
                        Coordinator.OnReply(answer, _stage.Now);
                });
            }
        });
    }

    void ICoordinatorEnvironment.WakeAt(long milliseconds)
    {
        _wake ??= _stage.CreateTimer(_ => Coordinator.Tick(_stage.Now), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        _wake.Change(TimeSpan.FromMilliseconds(milliseconds - _stage.Now), Timeout.InfiniteTimeSpan);
    }

    void ICoordinatorEnvironment.OnEvent(CoordinatorEvent what, int partition, SiloId silo)
    {
    }

    void ICoordinatorEnvironment.OnProgress()
    {
    }

    // ---- replication ----

    void IReplicaTransport.Send(SiloId target, PooledBytes message, IReplicaCall call)
    {
        byte[] wire = message.Span.ToArray();
        _stage.Post(() =>
        {
            byte[] reply = _stage.Find(target)._receiver.Handle(wire);
            _stage.Post(() => call.OnReply(reply));
        });
    }

    void IReplicationHost.OnCopySynced(int partition, long copy) => Agent.OnCopySynced(partition, copy);

    void IReplicationHost.OnCopyFailed(int partition, long copy) => Agent.OnCopyFailed(partition, copy);

    void IReplicationHost.OnRetained(int partition, long copy) => Agent.OnRetained(partition, copy);

    void IReplicationHost.OnDrained(int partition) => Agent.OnDrained(partition);

    void IReplicationHost.Post(TimeSpan delay, Action action) => _stage.At(_stage.Now + (long)delay.TotalMilliseconds, action);

    bool IReplicaHost.IsMember(SiloId source) => Agent.IsMember(source);

    bool IReplicaHost.HandleBegin(SiloId source, int partition, long copy) => Agent.HandleBegin(source, partition, copy);

    void IReplicaHost.HandleComplete(SiloId source, int partition, long copy) => Agent.HandleComplete(source, partition, copy);

    bool IReplicaHost.HandleRetain(SiloId source, int partition, long copy, long newCopy, long position) =>
        Agent.HandleRetain(source, partition, copy, newCopy, position);

    // ---- batches ----

    ValueTask<BatchReply> IBatchTransport.SendAsync(BatchTarget target, int lane, BatchRequest request, CancellationToken cancellationToken)
    {
        byte[] wire = request.Payload.Span.ToArray();
        return Ask(target, (silo, answer) =>
        {
            PooledBytes reply = silo._batches.Execute(wire, out List<UnacknowledgedResult>? unacknowledged);
            if (unacknowledged is null)
                silo.Answer(answer, reply);
            else
                silo._batches.Hold(reply, unacknowledged, part => silo.Answer(answer, part));
        });
    }

    ValueTask<BatchReply> IBatchTransport.CollectAsync(BatchTarget target, long ticket, CancellationToken cancellationToken) => Ask(target, (silo, answer) =>
    {
        if (!silo._batches.TryCollect(ticket, reply => silo.Answer(answer, reply)))
            answer.TrySetException(new InvalidOperationException("unknown ticket"));
    });

    private ValueTask<BatchReply> Ask(BatchTarget target, Action<RehearsedSilo, TaskCompletionSource<BatchReply>> what)
    {
        TaskCompletionSource<BatchReply> answer = new();
        _stage.Post(() =>
        {
            if (target.Silo.IsNone)
                answer.TrySetException(new BatchNotExecutedException());
            else
                what(_stage.Find(target.Silo), answer);
        });
        return new ValueTask<BatchReply>(answer.Task);
    }

    private void Answer(TaskCompletionSource<BatchReply> answer, PooledBytes reply) =>
        _stage.Post(() => answer.TrySetResult(new BatchReply(reply, _table.Version.Term, _table.Version.Number)));

    ValueTask<ItemScanPage?> IBatchTransport.ScanAsync(SiloId target, PartitionId partition, ulong position, CancellationToken cancellationToken) =>
        ValueTask.FromResult<ItemScanPage?>(null);

    ValueTask IBatchTransport.FlushAllAsync(uint atUnixSeconds, CancellationToken cancellationToken) => ValueTask.CompletedTask;

    private sealed class IgnoringSink : ReplySink
    {
        public override void OnReply(in CacheReply reply)
        {
        }
    }
}
