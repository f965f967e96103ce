using OrleansCache.Ownership.Replication;
using OrleansCache.Ownership.Routing;
using OrleansCache.Storage;

namespace OrleansCache.Ownership.Tests.Simulation;

/// <summary>
/// One silo of a <see cref="SimulatedCluster"/>: its agent, its coordinator, its replication and its stores, all of them the real ones, put together as the
/// runtime of a real silo does it. Its gateway is in SimulatedNode.Routing.cs.
/// </summary>
internal sealed partial class SimulatedNode : ISiloAgentEnvironment, ICoordinatorEnvironment, IReplicationHost, IReplicaHost, IReplicaTransport, IDisposable
{
    private const long MemoryBytes = 8 << 20;

    private readonly SimulatedCluster _cluster;

    /// <summary>What its memory file would say if it stopped now.</summary>
    private readonly MemoryFileContent _file;
    private readonly VirtualTime _time;
    private readonly Replicator _replicator;
    private readonly ReplicaReceiver _receiver;
    private HashSet<SiloId> _members = [];
    private long _membershipVersion = -1;

    /// <param name="cluster">The cluster.</param>
    /// <param name="id">The silo.</param>
    /// <param name="weight">What it says its memory is; it decides about its share.</param>
    /// <param name="zone">--zone.</param>
    /// <param name="speaks">The newest wire version that it speaks.</param>
    /// <param name="former">The life before of this silo, whose memory file it is started with.</param>
    public SimulatedNode(SimulatedCluster cluster, SiloId id, long weight, string zone, byte speaks, SimulatedNode? former)
    {
        _cluster = cluster;
        Id = id;
        Weight = weight;
        _time = new VirtualTime(cluster);
        int partitions = cluster.PartitionCount;
        Partitions = new PartitionSet(new StoreOptions { PartitionCount = partitions, MemoryBytes = MemoryBytes, ShardCount = 1 });
        Agent = new SiloAgent(id, partitions, weight, this) { Zone = zone, Replicas = cluster.Replicas, Speaks = speaks };
        Coordinator = new Coordinator(id, partitions, this, cluster.Replicas)
        {
            ElectsByOldReports = cluster.Faults.ElectsByOldReports, CountsTooEarly = cluster.Faults.CountsTooEarly, Pace = cluster.Pace,
        };
        _replicator = new Replicator(id, Partitions, this, this, _time, cluster.IsAsynchronous) { ScanPartBytes = 200, ScanBytesMax = 600 };
        _receiver = new ReplicaReceiver(Partitions, this, _time) { Speaks = speaks };
        _freeze = new FreezeDetector(_time, static _ => { });
        _freeze.StartWithoutThread();
        _batches = new BatchServer(new BatchExecutor(Partitions, _time, _freeze), _replicator, _time);
        Table = Agent.Table;
        _file = new MemoryFileContent(partitions);
        if (former is not null)
            TakeOver(former);
    }

    public SiloId Id { get; }

    public long Weight { get; }

    public bool IsRunning { get; private set; } = true;

    public long StoppedAt { get; private set; }

    /// <summary>When the membership declared it dead.</summary>
    public long DeclaredAt { get; set; } = long.MaxValue;

    /// <summary>Its memory file has become another's.</summary>
    public bool HasSuccessor { get; private set; }

    /// <summary>What keys are hashed under here; none before it is known.</summary>
    public HashSeed HashSeed => Partitions.Hasher?.Seed ?? default;

    public PartitionSet Partitions { get; }

    public SiloAgent Agent { get; }

    public Coordinator Coordinator { get; }

    /// <summary>By partition: when this silo was declared dead, nobody else had a complete copy. What it does to it is lost.</summary>
    public bool[] IsOrphan { get; init; } = [];

    /// <summary>The partition's gate is open.</summary>
    public bool Serves(int partition) => Partitions.TryGet(new PartitionId(partition))?.State == PartitionState.Active;

    /// <summary>Whether everything that was acknowledged of the partition is here, if its newest owner served it in this epoch.</summary>
    public bool HasAll(int partition, long servedEpoch)
    {
        if (Partitions.TryGet(new PartitionId(partition)) is not { } gate)
            return false;
        return Agent.PhaseOf(partition) switch
        {
            PartitionPhase.Active or PartitionPhase.Sealed or PartitionPhase.Opening => gate.Epoch >= servedEpoch,
            PartitionPhase.Replica => gate.Epoch > servedEpoch,
            _ => false,
        };
    }

    /// <summary>What a partition that is served here holds: key and value.</summary>
    public SortedDictionary<string, string> Items(int partition)
    {
        var items = new SortedDictionary<string, string>(StringComparer.Ordinal);
        foreach (string key in _cluster.Keys)
        {
            if (_cluster.PartitionOf(key, Partitions.Hasher!) == partition && _cluster.ReadDirectly(this, key) is { } value)
                items.Add(key, value);
        }

        return items;
    }

    public void Stop()
    {
        if (!IsRunning)
            return;
        IsRunning = false;
        StoppedAt = _cluster.Now;
        _replicator.Dispose();
    }

    /// <summary>As a real one that drains: it has handed everything over, and nobody has to fetch anything; or nobody takes anything.</summary>
    public bool MayLeave => (Agent.HeldCount == 0 && _batches.HeldCount == 0) || Agent.NobodyTakesOver;

    /// <summary>It serves nothing any more, and goes on talking until it ends.</summary>
    public bool HasLeft { get; private set; }

    public void Leave()
    {
        HasLeft = true;
        Agent.Leave();
        for (int partition = 0; partition < _cluster.PartitionCount; partition++)
        {
            _replicator.End(partition);
            Partitions.TryGet(new PartitionId(partition))?.Seal();
        }
    }

    public void Dispose()
    {
        Stop();
        _replicator.Dispose();
        _freeze.Dispose();
        Partitions.Dispose();
    }

    public void Tick()
    {
        if (Agent.Table.AssignedCount == Agent.Table.PartitionCount)
            _file.LastSeen = _cluster.NowSeconds;
        // A coordinator in the membership that it knows is in touch with the store, here.
        if (_cluster.IsCounted(this))
            Coordinator.OnMembershipConfirmed(_cluster.Now);
        Coordinator.Tick(_cluster.Now);
        _replicator.Tick();
    }

    public void OnMembership(long version, List<SiloId> active)
    {
        if (!IsRunning || !active.Contains(Id))
            return;
        bool isNewer = version > _membershipVersion;
        Agent.OnMembership(version, active);
        Coordinator.OnMembership(version, active, _cluster.Now);
        if (!isNewer)
            return;
        _membershipVersion = version;
        _members = [.. active];
        _replicator.EndStreams(silo => !_members.Contains(silo));
        _receiver.Forget(silo => !_members.Contains(silo));
    }

    /// <summary>By partition and copy, the effects that were sent last; for <see cref="SimulatedFaults.AppliesTwice"/>.</summary>
    public Dictionary<(int Partition, long Copy), byte[]> LastEffects { get; } = [];

    /// <summary>Its memory file is that of a former life: what that one served lies here, sealed.</summary>
    private void TakeOver(SimulatedNode former)
    {
        former.HasSuccessor = true;
        if (former._file.LastSeen == 0)
            return;
        former._file.Epochs.CopyTo(_file.Epochs, 0);
        former._file.KnownEpochs.CopyTo(_file.KnownEpochs, 0);
        (_file.Seed, _file.LastSeen, _file.SiloCount, _file.TableTerm) =
            (former._file.Seed, former._file.LastSeen, former._file.SiloCount, former._file.TableTerm);
        var kept = new MemoryFileContent(_cluster.PartitionCount)
        {
            Seed = _file.Seed, LastSeen = _file.LastSeen, SiloCount = _file.SiloCount, TableTerm = _file.TableTerm,
        };
        _file.Epochs.CopyTo(kept.Epochs, 0);
        _file.KnownEpochs.CopyTo(kept.KnownEpochs, 0);
        Partitions.UseHashSeed(_file.Seed);
        for (int partition = 0; partition < _file.Epochs.Length; partition++)
        {
            if (_file.Epochs[partition] == 0)
                continue;
            var id = new PartitionId(partition);
            Partition here = Partitions.Open(id, _file.Epochs[partition], PartitionState.Sealed);
            ExportCursor cursor = default;
            for (bool more = true; more;)
            {
                System.Buffers.ArrayBufferWriter<byte> items = new(64 * 1024);
                more = former.Partitions.TryGet(id)!.Export(ref cursor, items, 64 * 1024, _cluster.NowSeconds);
                Assert.Equal(ImportStatus.Ok, items.WrittenCount == 0 ? ImportStatus.Ok : here.Import(items.WrittenSpan, _cluster.NowSeconds, out _));
            }
        }

        Agent.Keep(kept, _cluster.NowSeconds - kept.LastSeen, _cluster.Now);
    }

    private Partition? Gate(int partition) => Partitions.TryGet(new PartitionId(partition));

    // ---- ISiloAgentEnvironment ----

    void ISiloAgentEnvironment.UseHashSeed(HashSeed seed)
    {
        if (_file.Seed != seed)
        {
            Array.Clear(_file.KnownEpochs);
            _file.TableTerm = 0;
        }

        _file.Seed = seed;
        Partitions.UseHashSeed(seed);
    }

    void ISiloAgentEnvironment.OnHashSeedDiffers()
    {
    }

    bool ISiloAgentEnvironment.Activate(int partition, long epoch, bool keepItems)
    {
        if (keepItems && Gate(partition) is not null)
        {
            Serve(partition, epoch);
            return true;
        }

        if (Gate(partition) is { } stale && stale.Epoch != epoch)
            Close(partition);

        // As the activation of a grain: it comes later, or fails.
        if (_cluster.IsLossy())
            return false;
        _cluster.At(_cluster.Delay(1, 30), () =>
        {
            if (!IsRunning || !Agent.MayOpen(partition))
                return;
            Agent.IsGranted(partition, out long granted);
            Serve(partition, granted);
            Agent.OnActivated(partition, granted);
        });
        return false;
    }

    private void Serve(int partition, long epoch)
    {
        bool isEmpty = Gate(partition) is null;
        _cluster.OnOpening(this, partition, epoch, isEmpty, isRestored: _file.Epochs[partition] != 0 && !isEmpty);
        if (!HasLeft)
            _file.Epochs[partition] = epoch;
        if (Gate(partition) is { } gate)
            gate.Activate(epoch);
        else
            Partitions.Open(new PartitionId(partition), epoch, sequence: PartitionSet.SequenceAt(_time.GetUtcNow()));
    }

    void ISiloAgentEnvironment.Seal(int partition)
    {
        _cluster.Log(partition, Id, "seals");
        if (!_cluster.Faults.HasTwoOwners)
            Gate(partition)?.Seal();
    }

    bool ISiloAgentEnvironment.AwaitDrain(int partition) => _replicator.AwaitDrain(partition);

    void ISiloAgentEnvironment.Unseal(int partition)
    {
        Agent.IsGranted(partition, out _file.Epochs[partition]);
        _replicator.Resume(partition);
        _cluster.OnOpening(this, partition, _file.Epochs[partition], isEmpty: false, isRestored: false);
        Gate(partition)?.Unseal();
    }

    void ISiloAgentEnvironment.Renew(int partition, long epoch)
    {
        _file.Epochs[partition] = epoch;
        Gate(partition)?.Renew(epoch);
    }

    void ISiloAgentEnvironment.Drop(int partition)
    {
        _cluster.Log(partition, Id, "drops");
        _cluster.OnDropping(this, partition);
        _file.Epochs[partition] = 0;
        _replicator.End(partition);
        Close(partition);
    }

    void ISiloAgentEnvironment.BeginCopy(int partition, long copy)
    {
        _cluster.Log(partition, Id, $"begins copy {copy}");
        _file.Epochs[partition] = 0;
        Partitions.Open(new PartitionId(partition), copy, PartitionState.Sealed, isReplica: true);
    }

    void ISiloAgentEnvironment.BecomeReplica(int partition, long copy)
    {
        _cluster.Log(partition, Id, $"becomes replica {copy}");
        _file.Epochs[partition] = 0;
        long position = _replicator.End(partition);
        Gate(partition)?.BecomeReplica(copy, position);
    }

    void ISiloAgentEnvironment.Fence(int partition, long epoch)
    {
        _cluster.Log(partition, Id, $"is fenced in {epoch}, has {Gate(partition)?.LogPosition}");
        Gate(partition)?.Fence(epoch);
    }

    bool ISiloAgentEnvironment.Rename(int partition, long newCopy, long position)
    {
        _cluster.Log(partition, Id, $"renames to {newCopy} at {position}, has {Gate(partition)?.LogPosition}");
        return Gate(partition)?.Rename(newCopy, position) == true;
    }

    long ISiloAgentEnvironment.PositionOf(int partition) => Gate(partition)?.LogPosition ?? 0;

    void ISiloAgentEnvironment.Attach(int partition, long copy, SiloId target)
    {
        _cluster.Log(partition, Id, $"attaches {copy} at {target}");
        _replicator.Attach(partition, copy, target);
        if (_cluster.Faults.DetachesWithoutDrop)
            _cluster.At(_cluster.Delay(200, 2_000), () => _replicator.Detach(partition, copy));
    }

    void ISiloAgentEnvironment.Retain(int partition, long copy, long newCopy, SiloId target)
    {
        _cluster.Log(partition, Id, $"retains {copy} as {newCopy} at {target}");
        _replicator.Retain(partition, copy, newCopy, target);
    }

    void ISiloAgentEnvironment.Detach(int partition, long copy)
    {
        _cluster.Log(partition, Id, $"detaches {copy}");
        _replicator.Detach(partition, copy);
    }

    void ISiloAgentEnvironment.Rest(int partition, long copy, bool isResting)
    {
        _cluster.Log(partition, Id, $"{(isResting ? "rests" : "proceeds with")} {copy}");
        _replicator.Rest(partition, copy, isResting);
    }

    (long BytesDone, long BytesTotal) ISiloAgentEnvironment.ProgressOf(int partition, long copy) => _replicator.ProgressOf(partition, copy);

    void ISiloAgentEnvironment.LimitCopies(long? bytesPerSecond) => _replicator.LimitScans(bytesPerSecond ?? 0);

    void ISiloAgentEnvironment.Flush(int partition, uint atUnixSeconds, long number)
    {
        _cluster.Log(partition, Id, $"flushes {number} at {atUnixSeconds}");
        Gate(partition)?.FlushAll(atUnixSeconds, _cluster.NowSeconds, number);
    }

    void ISiloAgentEnvironment.NoteFlush(int partition, uint atUnixSeconds, long number)
    {
        _cluster.Log(partition, Id, $"notes flush {number} at {atUnixSeconds}");
        Gate(partition)?.NoteFlush(atUnixSeconds, number);
    }

    long ISiloAgentEnvironment.FlushNumberOf(int partition) => Gate(partition)?.FlushNumber ?? 0;

    void ISiloAgentEnvironment.Nudge(SiloId coordinator) =>
        _cluster.Send(this, coordinator, SimulatedTraffic.Control, node => node.Coordinator.OnNudge(Id, _cluster.Now));

    /// <summary>Every node hears of every version by itself, only late.</summary>
    void ISiloAgentEnvironment.RefreshMembership(long version)
    {
    }

    void ISiloAgentEnvironment.OnTable(PartitionTable table)
    {
        _file.TableTerm = table.Version.Term;
        for (int partition = 0; partition < _file.KnownEpochs.Length; partition++)
            _file.KnownEpochs[partition] = Math.Max(_file.KnownEpochs[partition], table.Epochs[partition]);
        _replicator.WireVersion = _cluster.Faults.WritesTooEarly ? Agent.Speaks : Math.Min(table.WireVersion, Agent.Speaks);
        _cluster.At(0, () => Adopt(table));
    }

    private void Close(int partition) => Partitions.Close(new PartitionId(partition), _cluster.NowSeconds);

    // ---- ICoordinatorEnvironment ----

    HashSeed ICoordinatorEnvironment.DrawHashSeed() => _cluster.DrawHashSeed();

    void ICoordinatorEnvironment.OnProgress()
    {
    }

    void ICoordinatorEnvironment.WakeAt(long milliseconds)
    {
        if (_wakeAt == milliseconds)
            return;
        _wakeAt = milliseconds;
        _cluster.At(milliseconds - _cluster.Now, () =>
        {
            if (IsRunning && _wakeAt == milliseconds)
                Coordinator.Tick(_cluster.Now);
        });
    }

    private long _wakeAt;

    PartitionTable ICoordinatorEnvironment.KnownTable => Agent.Table;

    void ICoordinatorEnvironment.SendSync(SiloId target, SyncRequest request)
    {
        byte[] wire = request.Encode();
        _cluster.Send(this, target, SimulatedTraffic.Control, node =>
        {
            Assert.True(SyncRequest.TryDecode(wire, out SyncRequest? received));
            int[] counted = [.. Enumerable.Range(0, _cluster.PartitionCount).Where(partition => _cluster.IsReplicated(node, partition))];
            SyncReply? given = node.Agent.HandleSync(received, _cluster.Now);
            _cluster.CheckThatReplicasStay(node, counted);
            if (given?.Term == received.Term)
                node._freeze.OnRound(received.Term, received.Sequence, received.GrantsLease);
            byte[]? reply = given?.Encode();
            if (node.Agent.Silos.Silos.Count > 0)
                node._file.SiloCount = node.Agent.Silos.Silos.Count;
            if (reply is null)
                return;
            _cluster.Send(node, Id, SimulatedTraffic.Control, self =>
            {
                Assert.True(SyncReply.TryDecode(reply, out SyncReply? answer));
                self.Coordinator.OnReply(answer, _cluster.Now);
            });
        });
    }

    void ICoordinatorEnvironment.OnEvent(CoordinatorEvent what, int partition, SiloId silo) => _cluster.Count(Id, what, partition, silo);

    // ---- replication ----

    void IReplicationHost.OnCopySynced(int partition, long copy)
    {
        _cluster.Log(partition, Id, $"has synced {copy}");
        Agent.OnCopySynced(partition, copy);
    }

    void IReplicationHost.OnCopyFailed(int partition, long copy)
    {
        _cluster.Log(partition, Id, $"has failed {copy}");
        Agent.OnCopyFailed(partition, copy);
    }

    void IReplicationHost.OnRetained(int partition, long copy)
    {
        _cluster.Log(partition, Id, $"has retained {copy}");
        Agent.OnRetained(partition, copy);
    }

    void IReplicationHost.OnDrained(int partition)
    {
        _cluster.Log(partition, Id, "is drained");
        Agent.OnDrained(partition);
    }

    void IReplicationHost.Post(TimeSpan delay, Action action) => _cluster.At((long)delay.TotalMilliseconds, () =>
    {
        if (IsRunning)
            action();
    });

    bool IReplicaHost.IsMember(SiloId source) => Agent.IsMember(source) || _cluster.Faults.HasNoFence;

    bool IReplicaHost.HandleBegin(SiloId source, int partition, long copy) => Agent.HandleBegin(source, partition, copy);

    void IReplicaHost.HandleComplete(SiloId source, int partition, long copy)
    {
        _cluster.Log(partition, Id, $"has all of copy {copy}");
        Agent.HandleComplete(source, partition, copy);
    }

    bool IReplicaHost.HandleRetain(SiloId source, int partition, long copy, long newCopy, long position) =>
        Agent.HandleRetain(source, partition, copy, newCopy, position);

    /// <summary>The call ends as the network decides: with the reply, with a failure (the message may have been taken), or not at all.</summary>
    void IReplicaTransport.Send(SiloId target, PooledBytes message, IReplicaCall call)
    {
        byte[] wire = message.Span.ToArray();
        _cluster.Faults.Tamper(this, wire, out wire);
        if (!_members.Contains(target) || _cluster.IsLossy())
            _cluster.At(_cluster.Delay(0, 20), call.OnFailure);
        _cluster.Send(this, target, SimulatedTraffic.Replication, node =>
        {
            // Throws, and ends the run, if this silo does not speak that version.
            byte[] reply = node._receiver.Handle(wire);
            _cluster.CountReplication(wire[0]);
            if (_cluster.Faults.HasNoFence)
                reply = SimulatedFaults.WithoutRefusals(reply);
            _cluster.Send(node, Id, SimulatedTraffic.Replication, _ => call.OnReply(reply));
        });
    }
}
