using Microsoft.Extensions.Logging;
using OrleansCache.Grains.Hosting.Links;
using OrleansCache.Ownership;
using OrleansCache.Ownership.Links;
using OrleansCache.Ownership.Replication;
using OrleansCache.Ownership.Routing;
using OrleansCache.Storage;

namespace OrleansCache.Grains.Hosting;

/// <summary>
/// One silo's ownership at work: runs its <see cref="SiloAgent"/> and its <see cref="Coordinator"/>, with Orleans for a transport, the membership for a source
/// of events, a timer for a clock and the <see cref="Storage.PartitionSet"/> for the partitions.
/// <para>
/// One lock serialises the two state machines. Under it only calls are begun (never awaited) and gates changed. Requests and the messages of replication do not
/// pass through here: they take gates from the partition set and read <see cref="Current"/>.
/// </para>
/// </summary>
internal sealed partial class OwnershipRuntime
    : ITableCache, ISiloAgentEnvironment, ICoordinatorEnvironment, IReplicationHost, IReplicaHost, ILinkTarget, IAsyncDisposable
{
    private const int NudgeIdle = 0;
    private const int NudgeUnderWay = 1;
    private const int NudgeAgain = 2;

    private static readonly TimeSpan TickInterval = TimeSpan.FromMilliseconds(250);

    private const int GreetingsMax = 4;

    private static readonly TimeSpan GreetingInterval = TimeSpan.FromMilliseconds(50);

    private static readonly TimeSpan ConfirmTimeout = TimeSpan.FromSeconds(1);

    private readonly Lock _lock = new();
    private readonly SiloAgent _agent;
    private readonly Coordinator _coordinator;
    private readonly PartitionSet _partitions;
    private readonly BatchServer _batches;
    private readonly Replicator _replicator;
    private readonly ReplicaReceiver _receiver;
    private readonly IGrainFactory _grains;
    private readonly SiloGrains _silos;
    private readonly SiloLinks _links;
    private readonly IClusterMembershipService _membership;
    private readonly TimeProvider _time;
    private readonly FreezeDetector _freeze;
    private readonly ILogger _logger;
    private readonly CancellationTokenSource _stop = new();

    /// <summary>When the coordinator wants to go on.</summary>
    private readonly ITimer _wake;
    private readonly IGrainContext?[] _contexts;
    private readonly Lock _tableLock = new();
    private readonly TaskCompletionSource<string> _failure = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile PartitionTable _table;
    private long _refreshedAt;
    private int _nudge;
    private int _membershipRefreshing;
    private int _membershipConfirming;
    private bool _isLeaseOver;
    private bool _isLeaving;
    private int _foreignFormat;
    private Task _loops = Task.CompletedTask;
    private bool _disposed;

    public OwnershipRuntime(
        ILocalSiloDetails localSilo,
        PartitionSet partitions,
        BatchExecutor executor,
        ReplicationOptions replication,
        IGrainFactory grains,
        IClusterMembershipService membership,
        TimeProvider time,
        FreezeDetector freeze,
        ILoggerFactory loggers,
        SiloLinks links)
    {
        LocalSilo = SiloId.Parse(localSilo.SiloAddress.ToParsableString());
        _partitions = partitions;
        partitions.Events.Silo = localSilo.SiloAddress.Endpoint.ToString();
        _grains = grains;
        _silos = new SiloGrains(grains);
        _links = links;
        _membership = membership;
        _time = time;
        _freeze = freeze;
        _logger = loggers.CreateLogger<OwnershipRuntime>();
        _journalLogger = loggers.CreateLogger(ClusterNode.JournalCategory);
        _journal = new OwnershipJournal(LocalSilo);
        _contexts = new IGrainContext?[partitions.PartitionCount];
        _table = PartitionTable.Unassigned(partitions.PartitionCount);
        _replicator = new Replicator(LocalSilo, partitions, new GrainReplicaTransport(_silos, links), this, time, replication.IsAsynchronous);
        _batches = new BatchServer(executor, _replicator, time);
        _receiver = new ReplicaReceiver(partitions, this, time) { Speaks = replication.WireVersionMax };
        _agent = new SiloAgent(LocalSilo, partitions.PartitionCount, partitions.Options.MemoryBytes, this)
        {
            Zone = replication.Zone,
            Speaks = replication.WireVersionMax,
            Replicas = replication.Replicas,
        };
        _coordinator = new Coordinator(LocalSilo, partitions.PartitionCount, this, replication.Replicas)
        {
            MoveLimitAtStart = replication.MoveLimitBytesPerSecond,
        };
        _wake = time.CreateTimer(static state => ((OwnershipRuntime)state!).Wake(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        _moveLimitAtStart = _moveLimit = replication.MoveLimitBytesPerSecond;
        ApplyMoveLimit();
        if (partitions.Kept is { } kept)
            _agent.Keep(kept, NowUnixSeconds - (long)kept.LastSeen, NowMilliseconds);
    }

    public event Action<PartitionTable>? Changed;

    public PartitionTable Current => _table;

    public SiloId LocalSilo { get; }

    /// <summary>The coordinator that was obeyed last; none before the first.</summary>
    public SiloId Coordinator => _agent.Coordinator;

    /// <summary>Keeps the copies of this silo's partitions.</summary>
    public Replicator Replicator => _replicator;

    /// <summary>Ends, with the reason, if this silo cannot be part of the cluster any more.</summary>
    public Task<string> Failure => _failure.Task;

    private long NowMilliseconds => (long)_time.GetElapsedTime(0).TotalMilliseconds;

    private uint NowUnixSeconds => (uint)_time.GetUtcNow().ToUnixTimeSeconds();

    /// <summary>Starts the timer and follows the membership. The silo must be active.</summary>
    public void Start()
    {
        using AsyncFlowControl flow = ExecutionContext.SuppressFlow();
        _loops = Task.WhenAll(Task.Run(TickLoopAsync), Task.Run(MembershipLoopAsync));
    }

    /// <summary>What this silo says of itself, for start, stop and tests.</summary>
    public NodeState ReadState()
    {
        lock (_lock)
        {
            return new NodeState
            {
                Held = _agent.HeldCount,
                HeldReplies = _batches.HeldCount,
                Served = _agent.ServedCount,
                Replicas = _agent.ReplicaCount,
                Copies = _agent.CopyCount,
                IncompleteCopies = _agent.IncompleteCopyCount,
                UnacknowledgedPartitions = _replicator.CountUnacknowledged(),
                CopyBytes = _replicator.ReadStatistics().CopyBytes,
                NobodyTakesOver = _agent.NobodyTakesOver,
                ForeignPartitionCount = _agent.ForeignPartitionCount,
                ForeignReplicas = _agent.ForeignReplicas,
                ForeignFormat = Volatile.Read(ref _foreignFormat),
                Coordinates = _coordinator.Leads,
                MovesCommitted = _coordinator.MovesCommitted,
                MovesFailed = _coordinator.MovesFailed,
                MovesAborted = _coordinator.MovesAborted,
                MovesUnderWay = _coordinator.MovesUnderWay,
                Term = _agent.Term,
                Restored = _agent.RestoredCount,
            };
        }
    }

    /// <summary>Asks the coordinator to empty this silo, and, if it is about to end, without being slowed down.</summary>
    public void BeginDraining(bool isStopping = false)
    {
        lock (_lock)
        {
            _isStopping |= isStopping;
            ApplyMoveLimit();
            _agent.BeginDraining();
        }
    }

    /// <summary>
    /// Serves nothing any more. What others have not taken over by now is gone, unless <paramref name="keepInFile"/>: then it stays in the memory file, if
    /// there is one. Only for a silo whose partitions nobody takes over.
    /// </summary>
    public void CloseAllGates(bool keepInFile)
    {
        lock (_lock)
        {
            _isLeaving = true;
            _agent.Leave();
            if (keepInFile)
            {
                Array.Clear(_contexts);
                _partitions.Abandon();
                return;
            }

            for (int partition = 0; partition < _contexts.Length; partition++)
            {
                _contexts[partition] = null;
                _replicator.End(partition);
                _partitions.Close(new PartitionId(partition), NowUnixSeconds);
            }
        }
    }

    /// <summary>Ends the loops. What is still held is closed with the partition set.</summary>
    public async ValueTask DisposeAsync()
    {
        // The host disposes of it once more.
        if (_disposed)
            return;
        _disposed = true;
        await _stop.CancelAsync();
        await _loops;
        await _wake.DisposeAsync();
        _batches.Dispose();
        _replicator.Dispose();
        _stop.Dispose();
    }

    public bool IsGranted(int partition)
    {
        lock (_lock)
        {
            return _agent.IsGranted(partition, out _);
        }
    }

    // The grains.

    public byte[]? HandleSync(ReadOnlyMemory<byte> wire)
    {
        if (!SyncRequest.TryDecode(wire.Span, out SyncRequest? request))
        {
            if (wire.Length > 0 && wire.Span[0] != SyncRequest.Layout)
                Volatile.Write(ref _foreignFormat, wire.Span[0]);
            throw new InvalidDataException("No SyncRequest.");
        }

        lock (_lock)
        {
            SyncReply? reply = Obey(request);
            return reply?.Encode();
        }
    }

    /// <summary>Under the lock.</summary>
    private SyncReply? Obey(SyncRequest request)
    {
        SiloList before = _agent.Silos;
        SyncReply? reply = _agent.HandleSync(request, NowMilliseconds);
        if (!ReferenceEquals(_agent.Silos, before))
            GreetNewcomers(before, _agent.Silos);
        _partitions.NoteSiloCount(_agent.Silos.Silos.Count);
        if (reply?.Term == request.Term)
            _freeze.OnRound(request.Term, request.Sequence, request.GrantsLease);
        return reply;
    }

    public void HandleNudge(SiloId silo)
    {
        lock (_lock)
        {
            _coordinator.OnNudge(silo, NowMilliseconds);
        }
    }

    /// <summary>The activation of the partition's grain is there: serve it, if the agent was told to.</summary>
    public void OpenGate(int partition, IGrainContext context)
    {
        lock (_lock)
        {
            if ((uint)partition >= (uint)_contexts.Length || !_agent.IsGranted(partition, out long epoch))
                throw new SiloUnknownException($"Partition {partition} is not served by {LocalSilo}.");
            bool isOpening = _agent.PhaseOf(partition) == PartitionPhase.Opening;

            // Somebody else may ask for the activation, while what was promoted waits for the replicas that it keeps.
            if (isOpening && !_agent.MayOpen(partition))
                throw new SiloUnknownException($"Partition {partition} is not served by {LocalSilo} yet.");
            _contexts[partition] = context;
            if (!isOpening)
                return;
            Serve(partition, _partitions.TryGet(new PartitionId(partition)), epoch);
            _agent.OnActivated(partition, epoch);
        }
    }

    /// <summary>The activation is going: if that was nobody's order, what it served is gone.</summary>
    public void CloseGate(int partition, IGrainContext context)
    {
        lock (_lock)
        {
            if ((uint)partition >= (uint)_contexts.Length || !ReferenceEquals(_contexts[partition], context))
                return;
            _contexts[partition] = null;
            if (!_isLeaving && _agent.PhaseOf(partition) is PartitionPhase.Active or PartitionPhase.Sealed)
            {
                _replicator.End(partition);
                _partitions.Close(new PartitionId(partition), NowUnixSeconds);
                LogPartitionLost(_logger, partition);
                _agent.OnLost(partition);
            }
        }
    }

    // ITableCache.

    public void RequestRefresh()
    {
        long now = NowMilliseconds;
        long before = Volatile.Read(ref _refreshedAt);
        if (now - before < 50 || Interlocked.CompareExchange(ref _refreshedAt, now, before) != before)
            return;
        SiloId coordinator = _agent.Coordinator;
        if (!coordinator.IsNone)
            Nudge(coordinator);
    }

    // ISiloAgentEnvironment. All under the lock.

    bool ISiloAgentEnvironment.Activate(int partition, long epoch, bool keepItems)
    {
        Partition? gate = _partitions.TryGet(new PartitionId(partition));

        // What is held is served at once, because clients wait for it. The grain is one more way to it, and follows.
        bool isServed = keepItems && gate is not null;
        if (isServed)
            Serve(partition, gate, epoch);
        else if (gate is not null && gate.Epoch != epoch)
            _partitions.Close(new PartitionId(partition), NowUnixSeconds);

        // Off the lock and out of the calling grain: a local call may run inline.
        _ = Task.Run(() => ActivateAsync(partition));
        return isServed;
    }

    private void Serve(int partition, Partition? held, long epoch)
    {
        if (held is not null)
            held.Activate(epoch);
        else
            _partitions.Open(new PartitionId(partition), epoch, sequence: PartitionSet.SequenceAt(_time.GetUtcNow()));
        _journal.OnOpened(partition, held?.ItemBytes, _agent.IsMember, NowMilliseconds);
    }

    void ISiloAgentEnvironment.Nudge(SiloId coordinator) => Nudge(coordinator);

    void ISiloAgentEnvironment.RefreshMembership(long version) => _ = RefreshMembershipAsync(version);

    void ISiloAgentEnvironment.UseHashSeed(HashSeed seed) => _partitions.UseHashSeed(seed);

    void ISiloAgentEnvironment.OnHashSeedDiffers()
    {
        LogHashSeedDiffers(_logger);
        _failure.TrySetResult("the cluster hashes keys under another seed than this silo's items; start it again, empty");
    }

    void ISiloAgentEnvironment.OnTable(PartitionTable table)
    {
        _journal.OnTable(_table, table, NowMilliseconds);
        _table = table;
        _replicator.WireVersion = Math.Min(table.WireVersion, _agent.Speaks);
        _partitions.NoteTable(table.Version.Term, table.Epochs);
        using AsyncFlowControl flow = ExecutionContext.SuppressFlow();
        ThreadPool.UnsafeQueueUserWorkItem(static state => state.PublishChanged(), this, preferLocal: false);
    }

    // ICoordinatorEnvironment. All under the lock.

    void ICoordinatorEnvironment.SendSync(SiloId target, SyncRequest request) =>
        _ = target == LocalSilo ? Task.Run(() => SyncSelf(request)) : SendSyncAsync(target, request);

    void ICoordinatorEnvironment.WakeAt(long milliseconds) =>
        _wake.Change(TimeSpan.FromMilliseconds(Math.Max(1, milliseconds - NowMilliseconds)), Timeout.InfiniteTimeSpan);

    HashSeed ICoordinatorEnvironment.DrawHashSeed() => HashSeed.Random();

    PartitionTable ICoordinatorEnvironment.KnownTable => _agent.Table;

    void ICoordinatorEnvironment.OnEvent(CoordinatorEvent what, int partition, SiloId silo) => LogCoordinator(_logger, what, partition, silo);

    // The calls. Begun under the lock, so that they leave in the order of the decisions; they never end with an exception, because what was lost is sent again.

    private async Task ActivateAsync(int partition)
    {
        try
        {
            await _grains.GetGrain<IPartitionGrain>(partition).ActivateAsync();
        }
        catch (Exception exception)
        {
            LogCallFailed(_logger, exception, "activate", LocalSilo);
        }
    }

    private async Task SendSyncAsync(SiloId target, SyncRequest request)
    {
        try
        {
            ControlMessage? answer = await _silos.Of(target)
                .SyncAsync(new ControlMessage(request.Encode())).ConfigureAwait(false);
            if (answer is null || !SyncReply.TryDecode(answer.Payload.Span, out SyncReply? reply))
                return;
            lock (_lock)
            {
                _coordinator.OnReply(reply, NowMilliseconds);
            }
        }
        catch (Exception exception)
        {
            LogCallFailed(_logger, exception, "sync", target);
        }
    }

    private void SyncSelf(SyncRequest request)
    {
        lock (_lock)
        {
            SyncReply? reply = Obey(request);
            if (reply is not null)
                _coordinator.OnReply(reply, NowMilliseconds);
        }
    }

    /// <summary>
    /// Sends an empty batch to each silo that is new here, so that the connection is there, and what takes them has been compiled, before anything in them has
    /// clients who wait. The coordinator gives a newcomer the time for it (<see cref="Ownership.Coordinator.SettleMilliseconds"/>).
    /// </summary>
    private void GreetNewcomers(SiloList before, SiloList now)
    {
        foreach (SiloEntry entry in now.Silos)
        {
            if (entry.Silo != LocalSilo && !before.Contains(entry.Silo))
                _ = Task.Run(() => GreetAsync(entry.Silo));
        }
    }

    /// <summary>A few times, because the membership that Orleans knows here may be older than the list.</summary>
    private async Task GreetAsync(SiloId silo)
    {
        for (int attempt = 0; attempt < GreetingsMax && !_stop.IsCancellationRequested; attempt++)
        {
            try
            {
                _links.Prepare(silo);
                PooledBytes nothing = new BatchWriter().Complete(_partitions.Hasher?.Fingerprint ?? 0);
                IBatchGrain grain = _grains.GetGrain<IBatchGrain>($"{silo.Text}/0");
                BatchReplyMessage reply = await grain.ExecuteAsync(new BatchRequestMessage(nothing)).ConfigureAwait(false);
                reply.Payload.Release();
                return;
            }
            catch (Exception exception)
            {
                LogCallFailed(_logger, exception, "greet", silo);
            }

            await Task.Delay(GreetingInterval, _time).ConfigureAwait(false);
        }
    }

    private void Nudge(SiloId coordinator)
    {
        if (Interlocked.Exchange(ref _nudge, NudgeAgain) == NudgeIdle)
            _ = NudgeAsync(coordinator);
    }

    /// <summary>
    /// One at a time: those that are wanted meanwhile are one more after it. They are rounds of a hand-over, for which clients wait: so none is put off.
    /// </summary>
    private async Task NudgeAsync(SiloId coordinator)
    {
        do
        {
            // Off the lock, under which the first one was wanted.
            await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
            Volatile.Write(ref _nudge, NudgeUnderWay);
            try
            {
                if (coordinator == LocalSilo)
                    HandleNudge(LocalSilo);
                else
                    await _silos.Of(coordinator).NudgeAsync(LocalSilo.Text).ConfigureAwait(false);
            }
            catch (Exception exception)
            {
                LogCallFailed(_logger, exception, "nudge", coordinator);
            }

            if (_agent.Coordinator is { IsNone: false } newest)
                coordinator = newest;
        }
        while (Interlocked.CompareExchange(ref _nudge, NudgeIdle, NudgeUnderWay) == NudgeAgain && !_stop.IsCancellationRequested);
    }

    private void PublishChanged()
    {
        lock (_tableLock)
        {
            Changed?.Invoke(_table);
        }
    }

    private async Task TickLoopAsync()
    {
        using PeriodicTimer timer = new(TickInterval, _time);
        try
        {
            while (await timer.WaitForNextTickAsync(_stop.Token).ConfigureAwait(false))
            {
                JournalEntry[] entries;
                bool asksMembership;
                lock (_lock)
                {
                    long now = NowMilliseconds;
                    _coordinator.Tick(now);
                    entries = ReadJournal(now);
                    asksMembership = _coordinator.Leads && !_coordinator.GrantsLeases(now + (long)TickInterval.TotalMilliseconds);
                }

                if (asksMembership)
                    _ = ConfirmMembershipAsync();
                TellLease();
                _replicator.Tick();
                Tell(entries);
            }
        }
        catch (OperationCanceledException)
        {
        }
        catch (Exception exception)
        {
            LogLoopEnded(_logger, exception);
            Environment.FailFast("The ownership runtime contradicts itself.", exception);
        }
    }

    private void Wake()
    {
        try
        {
            lock (_lock)
            {
                _coordinator.Tick(NowMilliseconds);
            }
        }
        catch (Exception exception)
        {
            LogLoopEnded(_logger, exception);
            Environment.FailFast("The ownership runtime contradicts itself.", exception);
        }
    }

    private async Task RefreshMembershipAsync(long version)
    {
        if (Interlocked.Exchange(ref _membershipRefreshing, 1) != 0)
            return;
        try
        {
            await _membership.Refresh(new MembershipVersion(version));
        }
        catch (Exception)
        {
            // The membership's own rounds go on, and the next request of the coordinator asks again.
        }
        finally
        {
            Volatile.Write(ref _membershipRefreshing, 0);
        }
    }

    private async Task MembershipLoopAsync()
    {
        try
        {
            await foreach (ClusterMembershipSnapshot snapshot in _membership.MembershipUpdates.WithCancellation(_stop.Token).ConfigureAwait(false))
            {
                List<SiloId> active = [];
                HashSet<SiloId> dead = [];
                foreach ((SiloAddress address, ClusterMember member) in snapshot.Members)
                {
                    if (member.Status == SiloStatus.Active)
                        active.Add(SiloId.Parse(address.ToParsableString()));
                    else if (member.Status == SiloStatus.Dead)
                        dead.Add(SiloId.Parse(address.ToParsableString()));
                }

                lock (_lock)
                {
                    _agent.OnMembership(snapshot.Version.Value, active);
                    _coordinator.OnMembership(snapshot.Version.Value, active, NowMilliseconds);
                    _replicator.EndStreams(silo => !active.Contains(silo));
                }

                _receiver.Forget(silo => !active.Contains(silo));

                // One that is leaving still answers.
                _links.End(dead);
            }
        }
        catch (OperationCanceledException)
        {
        }
        catch (Exception exception)
        {
            LogLoopEnded(_logger, exception);
            Environment.FailFast("The ownership runtime contradicts itself.", exception);
        }
    }
}

/// <summary>A snapshot of what a node does for ownership.</summary>
public sealed record NodeState
{
    /// <summary>Partitions held in any phase.</summary>
    public int Held { get; init; }

    /// <summary>Replies to other silos of which something is still to be collected.</summary>
    public int HeldReplies { get; init; }

    /// <summary>Partitions served.</summary>
    public int Served { get; init; }

    /// <summary>Complete copies held of what others serve.</summary>
    public int Replicas { get; init; }

    /// <summary>Copies that others hold, or are to hold, of what is served here.</summary>
    public int Copies { get; init; }

    /// <summary>Those of them that are not complete.</summary>
    public int IncompleteCopies { get; init; }

    /// <summary>Partitions of which something has been written that not all complete copies have.</summary>
    public int UnacknowledgedPartitions { get; init; }

    /// <summary>Bytes of items that copies elsewhere have been made of so far.</summary>
    public long CopyBytes { get; init; }

    /// <summary>No other silo can take this one's partitions over.</summary>
    public bool NobodyTakesOver { get; init; }

    /// <summary>The cluster's partition count if it is not ours, else 0.</summary>
    public int ForeignPartitionCount { get; init; }

    /// <summary>The format of the coordinator's messages, if it is not the one of this version, else 0.</summary>
    public int ForeignFormat { get; init; }

    /// <summary>The cluster's number of replicas if it is not ours, else null.</summary>
    public int? ForeignReplicas { get; init; }

    /// <summary>Whether this silo's coordinator is the one that acts; the moves are what it has done since it started.</summary>
    public bool Coordinates { get; init; }

    public long MovesCommitted { get; init; }

    public long MovesFailed { get; init; }

    public long MovesAborted { get; init; }

    public int MovesUnderWay { get; init; }

    public long Term { get; init; }

    /// <summary>Partitions that this silo serves again from its memory file, or has served.</summary>
    public int Restored { get; init; }
}
