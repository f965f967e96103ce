using System.Text;

namespace OrleansCache.Ownership.Tests.Simulation;

internal enum SimulatedTraffic
{
    Control,
    Replication,

    /// <summary>Never repeated: the real transport does not, and what is in them may not be.</summary>
    Batches,
    Replies,
}

/// <summary>
/// A cluster of real agents, coordinators, replication, stores and gateways' channels in virtual time, over a network that loses, delays, repeats and
/// reorders, all from one seed.
/// <para>
/// Clients run through the gateways, each with one operation at a time, and what they see is judged key by key (<see cref="HistoryChecker"/>): every answer
/// must be that of one item on which all operations with a known outcome took effect once, and those that ended in an error or were never answered once or
/// not at all. Stale values are never tolerated, nor lost updates, nor items that come back.
/// </para>
/// <para>
/// Tolerated is only this.
/// An item may vanish when its partition is opened empty, and that may happen only when no complete copy of it can be left: some silo was lost (crashed, or
/// declared dead) at a moment at which no other that lives had one. With replicas 0 that takes one loss; with replicas 1 two, the second before the first was
/// repaired; with replicas 2 three, or two if the second hits the silo that is just taking over, because of several replicas only the equal ones stay beside
/// it. A silo that drains does not keep the last copy for an owner that is lost while nobody knows it.
/// Silos that are declared dead while they run may for a while (until they are evicted, or their lease is over) answer reads, and requests that change
/// nothing, from what they hold, and those answers are not judged. What they change counts as if it had got no answer if they had no complete copy elsewhere,
/// and is judged as any other otherwise.
/// A flush under way while silos are lost may take effect twice before its OK.
/// </para>
/// <para>
/// Checked besides: no partition is opened at two silos that the membership has not declared dead; all silos that it knows hash keys under one seed, and none
/// holds anything before it knows it.
/// </para>
/// Simulated silos have enough memory that nothing is evicted, clocks that agree, and items that do not expire.
/// </summary>
internal sealed partial class SimulatedCluster : IDisposable
{
    public const long StartUnixSeconds = 1_800_000_000;

    /// <summary>Two losses within this time may be too much for two replicas: see <see cref="OnDropping"/>.</summary>
    private const int RepairMilliseconds = 20_000;

    /// <summary>Between the last thing that a silo serves and its end, while it leaves the membership.</summary>
    private const int LeaveMilliseconds = 100;

    private readonly Random _random;
    private readonly PriorityQueue<Action, (long At, long Order)> _events = new();
    private readonly Dictionary<SiloId, SimulatedNode> _nodes = [];
    private readonly HashSet<SiloId> _declaredDead = [];
    private readonly long[] _servedEpochs;
    private readonly bool[] _mayBeLost;
    private List<SiloId> _active = [];
    private long _membershipVersion;
    private long _order;
    private int _generation;
    private int _seedsDrawn;

    /// <summary>Lost partitions that a silo has opened empty that was declared dead itself, until a member opens them.</summary>
    private readonly List<(int Partition, HistoryOperation Vanished)> _emptiedByDead = [];
    private readonly List<long> _lossTimes = [];
    private long _joinTime;
    private ulong _trace = 14695981039346656037;
    private readonly List<(int Partition, string What)>? _log = TestSeed.Given is null ? null : [];

    public SimulatedCluster(int seed, int partitions, int replicas = 0, int keys = 24, bool isAsynchronous = false, SimulatedFaults? faults = null)
    {
        Seed = seed;
        _random = new Random(seed);
        PartitionCount = partitions;
        Replicas = replicas;
        IsAsynchronous = isAsynchronous;
        Faults = faults ?? SimulatedFaults.None;
        Keys = [.. Enumerable.Range(0, keys).Select(static key => $"k{key}")];
        _histories = Keys.ToDictionary(static key => key, static _ => new List<HistoryOperation>());
        _servedEpochs = new long[partitions];
        _mayBeLost = new bool[partitions];
    }

    public int Seed { get; }

    /// <summary>Every second cluster's coordinators begin everything at once, as no real one does: more happens at a time then.</summary>
    public int Pace => Seed % 2 == 0 ? 0 : Coordinator.PaceMilliseconds;

    public int PartitionCount { get; }

    public int Replicas { get; }

    public bool IsAsynchronous { get; }

    public SimulatedFaults Faults { get; }

    public int ThreadId { get; } = Environment.CurrentManagedThreadId;

    /// <summary>Milliseconds since the beginning.</summary>
    public long Now { get; private set; }

    public uint NowSeconds => (uint)(StartUnixSeconds + (Now / 1000));

    /// <summary>Everything that has happened, in one number: the same for the same seed.</summary>
    public ulong Trace => _trace;

    /// <summary>How many times a coordinator has drawn a seed for the key hash: once in each life of the cluster, if the network is good.</summary>
    public int SeedsDrawn => _seedsDrawn;

    public long MovesCommitted { get; private set; }

    /// <summary>Batches that went to a partition instead of to a silo.</summary>
    public long PartitionsAsked { get; set; }

    public long MovesFailed { get; private set; }

    public long MovesAborted { get; private set; }

    /// <summary>Partitions that went on from a replica after their owner was lost.</summary>
    public long Promotions { get; private set; }

    /// <summary>Partitions that had been served before and were opened empty.</summary>
    public int OpenedEmpty { get; private set; }

    /// <summary>Partitions whose former items came back with a silo's memory file.</summary>
    public int PartitionsRestored { get; private set; }

    /// <summary>By wire version: messages of replication that were taken.</summary>
    public long[] ReplicationMessages { get; } = new long[WireVersion.Newest + 1];

    /// <summary>How many times the silos have agreed on another wire version.</summary>
    public int WireVersionChanges { get; private set; }

    public int Alive => _active.Count;

    /// <summary>Silos that asked to be emptied and are gone.</summary>
    public int Left { get; private set; }

    public IEnumerable<SimulatedNode> Nodes => _nodes.Values;

    /// <summary>Those that run and are members.</summary>
    public IEnumerable<SimulatedNode> Members => _nodes.Values.Where(IsCounted);

    public SimulatedNode Leader => Members.First(static node => node.Coordinator.Leads);

    public SimulatedNode Join(long weight = 64, SimulatedNode? former = null, string zone = "", byte speaks = WireVersion.Newest)
    {
        SiloId id = SiloId.Create($"10.0.0.{_random.Next(1, 250)}:11111", ++_generation);
        SimulatedNode node = new(this, id, weight, zone, speaks, former) { IsOrphan = new bool[PartitionCount] };
        _nodes.Add(id, node);
        _joinTime = Now;
        Log(-1, id, $"joins, speaks {speaks}");
        _active = [.. _active, id];
        TellMembership();
        Every(250, node, node.Tick);
        Every(100, node, node.Beat);
        return node;
    }

    /// <summary>The figures of moves begin anew.</summary>
    public void ForgetMoves() => (MovesCommitted, MovesFailed, MovesAborted) = (0, 0, 0);

    /// <summary>An operator says something about moves, if there is a coordinator that listens.</summary>
    public void Order(MoveOrder order)
    {
        if (Members.FirstOrDefault(static node => node.Coordinator is { Leads: true, Recovered: true }) is not { } leader)
            return;
        Log(-1, leader.Id, $"is told {order}");
        leader.Coordinator.Order(order, Now);
    }

    /// <summary>A silo of the seed's choice stops at once, and is declared dead after a while.</summary>
    public void Crash()
    {
        if (_active.Count > 0)
            Crash(_nodes[_active[_random.Next(_active.Count)]]);
    }

    public void Crash(SimulatedNode node)
    {
        Log(-1, node.Id, "crashes");
        node.Stop();
        NoteLoss();
        EndOperationsAt(node);
        At(_random.Next(1_500, 4_000), () => Remove(node.Id));
    }

    /// <summary>All silos stop at once. From then on no membership knows them, and what they held is where their memory files say.</summary>
    public void CrashAll()
    {
        foreach (SimulatedNode node in _nodes.Values.Where(static node => node.IsRunning).ToArray())
        {
            node.Stop();
            Declare(node);
            EndOperationsAt(node);
        }

        _active = [];
        NoteLoss();
        TellMembership();
    }

    /// <summary>The silo is taken for dead while it still runs and talks; it is told within two seconds, and ends within six.</summary>
    public void Suspect()
    {
        if (_active.Count >= 2)
            Suspect(_nodes[_active[_random.Next(_active.Count)]]);
    }

    public void Suspect(SimulatedNode node, bool isTold = true)
    {
        Log(-1, node.Id, "is suspected");
        for (int partition = 0; partition < PartitionCount; partition++)
            node.IsOrphan[partition] = !_nodes.Values.Any(other => other != node && IsCounted(other) && other.HasAll(partition, _servedEpochs[partition]));
        Remove(node.Id);
        NoteLoss();
        int evictedAfter = _random.Next(100, 2_000);
        if (isTold)
            At(evictedAfter, node.Evict);
        At(isTold ? evictedAfter + _random.Next(100, 4_000) : 15_000, () =>
        {
            node.Stop();
            EndOperationsAt(node);
        });
    }

    /// <summary>A silo of the seed's choice asks to be emptied, and leaves when it is.</summary>
    public void Drain()
    {
        if (_active.Count > 0)
            Drain(_nodes[_active[_random.Next(_active.Count)]]);
    }

    public void Drain(SimulatedNode node)
    {
        Log(-1, node.Id, "drains");
        node.Agent.BeginDraining();
        LeaveWhenDone(node, LeaveMilliseconds);
    }

    /// <summary>All silos are told to stop at moments of the seed's choice, and end at moments of the seed's choice after they have stopped to serve.</summary>
    public void StopAll(int millisecondsMax)
    {
        foreach (SimulatedNode node in Members.ToArray())
        {
            At(_random.Next(millisecondsMax), node.Agent.BeginDraining);
            LeaveWhenDone(node, _random.Next(millisecondsMax));
        }

        for (int i = 0; i < 600 && Members.Any(); i++)
            Run(100);
        Assert.False(Members.Any(), $"seed {Seed}: not all end");
    }

    /// <summary>A silo that has nothing to do any more serves nothing, and still says so while it leaves the membership.</summary>
    private void LeaveWhenDone(SimulatedNode node, int milliseconds) => Every(50, node, () =>
    {
        if (node.HasLeft || !IsCounted(node) || !node.Agent.Draining || !node.MayLeave)
            return;
        Log(-1, node.Id, $"leaves, holds {node.Agent.HeldCount}");
        node.Leave();
        At(milliseconds, () =>
        {
            if (!IsCounted(node))
                return;
            node.Stop();
            Left++;
            NoteLoss();
            EndOperationsAt(node);
            Remove(node.Id);
        });
    });

    /// <summary>Goes on until everything is where it belongs; fails if that takes more than two minutes.</summary>
    public void Settle()
    {
        for (int i = 0; i < 600 && WhatIsNotSettled() is not null; i++)
            Run(200);
        Assert.True(WhatIsNotSettled() is null, $"seed {Seed}, {Now} ms: {WhatIsNotSettled()}\n  {string.Join("\n  ", Members.Select(Describe))}");
    }

    public void Run(long milliseconds)
    {
        // Continuations run where they are caused.
        SynchronizationContext? context = SynchronizationContext.Current;
        SynchronizationContext.SetSynchronizationContext(null);
        long end = Now + milliseconds;
        try
        {
            while (_events.TryPeek(out _, out (long At, long Order) next) && next.At <= end)
            {
                Action action = _events.Dequeue();
                Now = next.At;
                _trace = (_trace ^ (ulong)next.At ^ ((ulong)next.Order << 32)) * 1099511628211;
                action();
                AfterEvent?.Invoke();
            }
        }
        catch (Exception exception)
        {
            throw new InvalidOperationException($"seed {Seed}, {Now} ms: {exception.Message}", exception);
        }
        finally
        {
            SynchronizationContext.SetSynchronizationContext(context);
        }

        Now = end;
        CheckSeeds();
    }

    /// <summary>What happened to a partition, or to a silo; kept when a seed is run again (ORLEANSCACHE_TEST_SEED), for the message of a failure.</summary>
    internal void Log(int partition, SiloId silo, string what)
    {
        if (_log is not null)
            _log.Add((partition, $"{Now,7} {silo}: {(partition < 0 ? "" : $"{partition} ")}{what}"));
    }

    internal string LogOf(params int[] partitions) => _log is null
        ? "" : "\n" + string.Join("\n", _log.Where(line => line.Partition < 0 || partitions.Contains(line.Partition)).Select(static line => line.What));

    /// <summary>For tests that do something at a certain moment.</summary>
    public Action? AfterEvent { get; set; }

    /// <summary>
    /// Every partition is served by its table's owner, everyone knows that table, shares are even, all have their copies and the owners know them, nothing is
    /// left over.
    /// </summary>
    public string? WhatIsNotSettled()
    {
        SimulatedNode[] nodes = [.. _active.Select(id => _nodes[id])];
        PartitionTable table = nodes[0].Agent.Table;
        long weights = nodes.Sum(node => node.Weight);
        int copiesWanted = Math.Min(Replicas, nodes.Length - 1);
        foreach (SimulatedNode node in nodes)
        {
            if (node.Agent.Table.Version != table.Version)
                return $"{node.Id} has table {node.Agent.Table.Version}, {nodes[0].Id} has {table.Version}";
            int owned = table.CountOf(node.Id);
            double share = (double)PartitionCount * node.Weight / weights;
            if (Math.Abs(owned - share) >= 1.0001)
                return $"{node.Id} owns {owned} of a share of {share}";
            if (node.Agent.HeldCount != owned + node.Agent.ReplicaCount)
                return $"{node.Id} holds {node.Agent.HeldCount}, owns {owned} and has {node.Agent.ReplicaCount} replicas";
        }

        for (int partition = 0; partition < PartitionCount; partition++)
        {
            SiloId owner = table.OwnerOf(new PartitionId(partition));
            if (owner.IsNone || !_nodes[owner].Serves(partition) || _nodes[owner].Agent.PhaseOf(partition) != PartitionPhase.Active)
                return $"{partition} has the owner {owner}, which does not serve it";
            int copies = nodes.Count(node => node.Id != owner && node.HasAll(partition, _servedEpochs[partition]));
            int others = nodes.Count(node => node.Id != owner && node.Partitions.TryGet(new PartitionId(partition)) is not null);
            if (copies != copiesWanted || others != copies)
                return $"{partition} has {copies} copies, and {others - copies} that are not complete";
        }

        return Members.Any(static node => node.Coordinator.MovesUnderWay > 0) ? "moves are under way" : null;
    }

    /// <summary>What a partition holds where it is served: key = value.</summary>
    public HashSet<string> Stored(int partition) =>
        [.. Members.FirstOrDefault(node => node.Serves(partition))?.Items(partition).Select(static item => $"{item.Key}={item.Value}") ?? []];

    /// <summary>How many replicas each member holds.</summary>
    public IEnumerable<int> ReplicaCounts() => Members.Select(static node => node.Agent.ReplicaCount);

    public string Describe(SimulatedNode node)
    {
        IEnumerable<string> held = Enumerable.Range(0, PartitionCount).Where(partition => node.Agent.PhaseOf(partition) != PartitionPhase.None)
            .Select(partition => $"{partition}:{node.Agent.PhaseOf(partition)}@{node.Partitions.TryGet(new PartitionId(partition))?.Epoch}");
        string leads = node.Coordinator.Leads ? $" leads, {node.Coordinator.MovesUnderWay} moves" : "";
        return $"{node.Id}: {string.Join(" ", held)}{(node.Agent.Draining ? " draining" : "")}{leads}{(node.IsRunning ? "" : " dead")}";
    }

    public void Dispose()
    {
        foreach (SimulatedNode node in _nodes.Values)
            node.Dispose();
    }

    internal bool IsCounted(SimulatedNode node) => node.IsRunning && !_declaredDead.Contains(node.Id);

    internal bool IsRunning(SiloId silo) => _nodes.TryGetValue(silo, out SimulatedNode? node) && node.IsRunning;

    internal HashSeed DrawHashSeed() => new((ulong)++_seedsDrawn, 0);

    internal int PartitionOf(string key, KeyHasher hasher) => PartitionId.OfHash(hasher.Compute(Encoding.ASCII.GetBytes(key)), PartitionCount).Value;

    internal void Count(SiloId coordinator, CoordinatorEvent what, int partition, SiloId silo)
    {
        bool isOfAPartition = what is not (CoordinatorEvent.TookOver or CoordinatorEvent.SteppedDown or CoordinatorEvent.WireVersionAgreed);
        Log(isOfAPartition ? partition : -1, coordinator, $"{what} {(isOfAPartition ? "" : $"{partition} ")}{silo}");
        MovesCommitted += what == CoordinatorEvent.MoveCommitted ? 1 : 0;
        MovesFailed += what == CoordinatorEvent.MoveFailed ? 1 : 0;
        MovesAborted += what == CoordinatorEvent.MoveAborted ? 1 : 0;
        WireVersionChanges += what == CoordinatorEvent.WireVersionAgreed ? 1 : 0;
        Promotions += what == CoordinatorEvent.Promoted ? 1 : 0;
    }

    internal void CountReplication(byte wireVersion) => ReplicationMessages[wireVersion]++;

    /// <summary>A silo is about to open a partition's gate.</summary>
    internal void OnOpening(SimulatedNode opener, int partition, long epoch, bool isEmpty, bool isRestored)
    {
        if (!IsCounted(opener))
        {
            // What was lost may come back as nothing: it may yet make a copy at a member, who opens that one when this silo is gone.
            if (isEmpty && _servedEpochs[partition] != 0 && _mayBeLost[partition])
            {
                foreach (string key in Keys.Where(key => PartitionOf(key, opener.Partitions.Hasher!) == partition))
                    _emptiedByDead.Add((partition, VanishPerhaps(key)));
            }

            return;
        }

        foreach ((int _, HistoryOperation vanished) in _emptiedByDead.Where(emptied => emptied.Partition == partition))
            vanished.Ended = NextStamp();
        _emptiedByDead.RemoveAll(emptied => emptied.Partition == partition);
        foreach (SimulatedNode node in _nodes.Values)
        {
            if (node != opener && IsCounted(node) && node.Serves(partition))
                Assert.Fail($"seed {Seed}, {Now} ms: {opener.Id} opens partition {partition} in {epoch} while {node.Id} serves it{LogOf(partition)}");
        }

        Log(partition, opener.Id, $"opens in {epoch}{(isEmpty ? " empty" : "")}");
        PartitionsRestored += isRestored ? 1 : 0;
        if (isEmpty && _servedEpochs[partition] != 0)
        {
            OpenedEmpty++;
            Assert.True(_mayBeLost[partition],
                $"seed {Seed}, {Now} ms: partition {partition} opens empty at {opener.Id} though there was a copy of it{LogOf(partition)}");
            foreach (string key in Keys.Where(key => PartitionOf(key, opener.Partitions.Hasher!) == partition))
                Vanish(key);
        }

        _servedEpochs[partition] = Math.Max(_servedEpochs[partition], epoch);
        _mayBeLost[partition] = false;
    }

    internal void At(long delay, Action action) => _events.Enqueue(action, (Now + delay, ++_order));

    internal int Delay(int from, int to) => _random.Next(from, to);

    private void Every(int milliseconds, SimulatedNode node, Action action)
    {
        void Again()
        {
            if (!node.IsRunning)
                return;
            action();
            At(milliseconds, Again);
        }

        At(milliseconds, Again);
    }

    private void Declare(SimulatedNode node)
    {
        if (_declaredDead.Add(node.Id))
            node.DeclaredAt = Now;
    }

    private void Remove(SiloId id)
    {
        if (!_active.Contains(id))
            return;
        Declare(_nodes[id]);
        _active = [.. _active.Where(silo => silo != id)];
        TellMembership();
    }

    private void TellMembership()
    {
        long version = ++_membershipVersion;
        List<SiloId> active = _active;
        Log(-1, default, $"membership {version}: {string.Join(" ", active)}");
        foreach (SimulatedNode node in _nodes.Values.Where(static node => node.IsRunning))
            At(_random.Next(1, 400), () => node.OnMembership(version, active));
    }

    /// <summary>
    /// A silo is about to delete what it holds of a partition, because it was told to. One that leaves may be the last that has it, if the owner was lost
    /// without anybody knowing; and so may one whose copy was less advanced than that of the silo that was to take over, and was lost then.
    /// </summary>
    internal void OnDropping(SimulatedNode node, int partition)
    {
        if (!IsCounted(node) || _nodes.Values.Any(other => other != node && IsCounted(other) && other.HasAll(partition, _servedEpochs[partition])))
            return;
        bool mayBeLost = node.Agent.Draining || _lossTimes.Count(at => at > Now - RepairMilliseconds) >= 2;
        _mayBeLost[partition] |= mayBeLost;
        if (!mayBeLost && Replicas > 0)
            return;

        // The coordinator has handed it to a silo that was declared dead meanwhile. What that one does to it is lost, as if it had been the only one before.
        foreach (SimulatedNode dead in _nodes.Values.Where(other => other.IsRunning && !IsCounted(other)))
            dead.IsOrphan[partition] = true;
    }

    /// <summary>
    /// While nobody is lost, a replica that would be promoted is dropped only where another one would be: otherwise the next loss takes the partition along.
    /// </summary>
    internal void CheckThatReplicasStay(SimulatedNode node, IEnumerable<int> counted)
    {
        // One that has just joined is given nothing before all know it; what a silo that leaves has goes nowhere then.
        if (Replicas == 0 || !IsCounted(node) || _lossTimes.Exists(at => at > Now - RepairMilliseconds) || _joinTime > Now - RepairMilliseconds
            || Members.Count(static member => !member.Agent.Draining) < 3)
            return;
        foreach (int partition in counted)
        {
            if (node.Agent.PhaseOf(partition) == PartitionPhase.None && !Members.Any(other => IsReplicated(other, partition)))
                Assert.Fail($"seed {Seed}, {Now} ms: {node.Id} drops the last replica of {partition} that counts{LogOf(partition)}");
        }
    }

    /// <summary>Whether the node has a replica that would be promoted if the owner were lost.</summary>
    internal bool IsReplicated(SimulatedNode node, int partition) =>
        node.Agent.PhaseOf(partition) == PartitionPhase.Replica && node.HasAll(partition, _servedEpochs[partition]);

    /// <summary>A silo has just been lost: what nobody else has may be gone. Without replicas, what others have is about to be deleted anyway.</summary>
    private void NoteLoss()
    {
        _lossTimes.Add(Now);
        for (int partition = 0; partition < PartitionCount; partition++)
            _mayBeLost[partition] |= Replicas == 0 || !_nodes.Values.Any(node => IsCounted(node) && node.HasAll(partition, _servedEpochs[partition]));

        // One that has just joined may be all that is left, and has heard of nothing: the cluster begins anew, and draws a seed again.
        if (!_nodes.Values.Any(node => IsCounted(node) && !node.HashSeed.IsNone))
            _scheduled?.Forget();
    }

    /// <summary>Whoever knows a seed of the key hash knows the same one, and whoever holds anything knows it.</summary>
    private void CheckSeeds()
    {
        SimulatedNode? first = null;
        foreach (SimulatedNode node in Members)
        {
            Assert.False(node.Agent.HashSeedDiffers, $"seed {Seed}, {Now} ms: {node.Id} has another hash seed than the cluster");
            Assert.True(node.Agent.HeldCount == 0 || !node.HashSeed.IsNone, $"seed {Seed}, {Now} ms: {node.Id} holds something and knows no hash seed");
            if (node.Agent.Table.HashSeed.IsNone)
                continue;
            first ??= node;
            Assert.True(node.HashSeed == first.HashSeed, $"seed {Seed}, {Now} ms: {node.Id} and {first.Id} hash keys differently");
        }
    }
}
