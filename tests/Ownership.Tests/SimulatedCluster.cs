using OrleansCache.Storage;

namespace OrleansCache.Ownership.Tests;

/// <summary>
/// A cluster of agents and coordinators in virtual time over a network that loses, delays, repeats and reorders, all from one seed.
/// <para>
/// Checked after every event: no partition is served by two silos that the membership has not declared dead; what a served partition holds is exactly what
/// clients stored in it and did not delete, unless its silo, or the one that it was moving to, was lost, and never what they deleted.
/// </para>
/// <para>
/// All silos that the membership knows hash keys under one seed, and none holds anything before it knows it.
/// </para>
/// <para>
/// One client flushes everything now and then, as <see cref="FlushAttempt"/> does it over this network, and waits for the OK: what was stored before it asked
/// is then deleted, what is stored after the OK stays; what is stored in between may be either. A flush at a given time deletes what was stored until then, and
/// nothing before.
/// </para>
/// </summary>
internal sealed class SimulatedCluster
{
    private readonly Random _random;
    private readonly int _partitions;
    private readonly PriorityQueue<Action, (long At, long Order)> _events = new();
    private readonly Dictionary<SiloId, Node> _nodes = [];
    private readonly HashSet<SiloId> _declaredDead = [];
    private readonly HashSet<int>[] _stored;
    private readonly HashSet<int>[] _deleted;
    private readonly HashSet<int>[] _maybe;
    private readonly SiloId[] _targets;
    private List<SiloId> _active = [];
    private long _membershipVersion;
    private long _order;
    private int _generation;
    private int _nextItem;
    private int _seedsDrawn;
    private FlushClient? _flush;
    private uint _scheduledAt;

    public SimulatedCluster(int seed, int partitions)
    {
        Seed = seed;
        _random = new Random(seed);
        _partitions = partitions;
        _stored = NewSets();
        _deleted = NewSets();
        _maybe = NewSets();
        _targets = new SiloId[partitions];
    }

    public int Seed { get; }

    public long Now { get; private set; }

    /// <summary>How bad the network is: 0 not at all.</summary>
    public double Loss { get; set; }

    public int ItemsStored => _nextItem;

    /// <summary>How many times a coordinator has drawn a seed for the key hash: once in each life of the cluster, if the network is good.</summary>
    public int SeedsDrawn => _seedsDrawn;

    /// <summary>Flushes that have got their OK.</summary>
    public int FlushesDone { get; private set; }

    public bool IsFlushing => _flush is not null;

    private uint NowSeconds => (uint)(Now / 1000) + 1;

    public long MovesCommitted { get; private set; }

    public long MovesFailed { get; private set; }

    public int Alive => _active.Count;

    /// <summary>Silos that asked to be emptied and are gone.</summary>
    public int Left { get; private set; }

    public IEnumerable<Node> Nodes => _nodes.Values;

    /// <summary>Partitions whose former items came back with a silo's memory file.</summary>
    public int PartitionsRestored { get; private set; }

    /// <summary>The items that must be in a partition.</summary>
    public IReadOnlySet<int> Stored(int partition) => _stored[partition];

    public Node Join(long memoryBytes = 64, Node? former = null)
    {
        SiloId id = SiloId.Create($"10.0.0.{_random.Next(1, 250)}:11111", ++_generation);
        Node node = new(this, id, _partitions, memoryBytes, former);
        _nodes.Add(id, node);
        _active = [.. _active, id];
        TellMembership();
        Every(250, node, () => node.Tick());
        return node;
    }

    /// <summary>The silo stops at once, and is declared dead after a while.</summary>
    public void Crash()
    {
        if (_active.Count > 0)
            Crash(_nodes[_active[_random.Next(_active.Count)]]);
    }

    public void Crash(Node node)
    {
        node.IsRunning = false;
        node.StoppedAt = Now;
        LoseItemsOf(node);
        At(_random.Next(1_500, 4_000), () => Remove(node.Id));
    }

    /// <summary>All silos stop at once. From then on no membership knows them, and what they held is where their memory files say.</summary>
    public void CrashAll()
    {
        foreach (Node node in _nodes.Values.Where(node => node.IsRunning).ToArray())
        {
            node.IsRunning = false;
            node.StoppedAt = Now;
            _declaredDead.Add(node.Id);
        }

        for (int partition = 0; partition < _partitions; partition++)
        {
            _maybe[partition].UnionWith(_stored[partition]);
            _stored[partition].Clear();
            _targets[partition] = default;
        }

        _active = [];
        TellMembership();
    }

    /// <summary>The silo is taken for dead while it still runs and talks; it ends only when it hears of it.</summary>
    public void Suspect()
    {
        if (_active.Count < 2)
            return;
        Node node = _nodes[_active[_random.Next(_active.Count)]];
        LoseItemsOf(node);
        Remove(node.Id);
        At(_random.Next(100, 6_000), () =>
        {
            if (node.IsRunning)
                node.StoppedAt = Now;
            node.IsRunning = false;
        });
    }

    /// <summary>The silo asks to be emptied, and leaves when it is.</summary>
    public void Drain()
    {
        if (_active.Count == 0)
            return;
        Node node = _nodes[_active[_random.Next(_active.Count)]];
        node.Agent.BeginDraining();
        Every(50, node, () =>
        {
            if (node.Agent.HeldCount == 0 || node.Agent.NobodyTakesOver)
            {
                node.IsRunning = false;
                node.StoppedAt = Now;
                Left++;
                LoseItemsOf(node);
                Remove(node.Id);
            }
        });
    }

    /// <summary>A client flushes everything, now (0) or in some seconds. One at a time.</summary>
    public void FlushAll(uint delaySeconds)
    {
        if (_flush is not null)
            return;
        FireSchedule();
        _flush = new FlushClient(this, delaySeconds == 0 ? 0 : NowSeconds + delaySeconds, _scheduledAt);
        _scheduledAt = 0;
        _flush.Ask();
    }

    /// <summary>A client stores, deletes, or reads where the partition is served.</summary>
    public void Use()
    {
        FireSchedule();
        int partition = _random.Next(_partitions);
        Node? node = _nodes.Values.FirstOrDefault(candidate => IsCounted(candidate) && candidate.Serves(partition));
        if (node is null)
            return;
        HashSet<int> items = node.Items(partition);
        if (_random.Next(4) == 0 && items.Count > 0)
        {
            int item = items.ElementAt(_random.Next(items.Count));
            items.Remove(item);
            _stored[partition].Remove(item);
            _maybe[partition].Remove(item);
            _deleted[partition].Add(item);
        }
        else
        {
            items.Add(++_nextItem);
            _stored[partition].Add(_nextItem);
        }
    }

    /// <summary>As often as told, with a little time now and then.</summary>
    public void Use(int times)
    {
        for (int i = 0; i < times; i++)
        {
            Use();
            if (i % 10 == 0)
                Run(1);
        }
    }

    /// <summary>Goes on until everything is where it belongs; fails if that takes more than a minute.</summary>
    public void Settle()
    {
        for (int i = 0; i < 300 && WhatIsNotSettled() is not null; i++)
            Run(200);
        Assert.True(WhatIsNotSettled() is null, $"seed {Seed}, {Now} ms: {WhatIsNotSettled()}");
    }

    public void Run(long milliseconds)
    {
        long end = Now + milliseconds;
        while (_events.TryPeek(out _, out (long At, long Order) next) && next.At <= end)
        {
            Action action = _events.Dequeue();
            Now = next.At;
            action();
            Check();
        }

        Now = end;
    }

    /// <summary>Every partition is served by its table's owner, everyone knows that table, shares are even, nothing is left over.</summary>
    public string? WhatIsNotSettled()
    {
        Node[] nodes = [.. _active.Select(id => _nodes[id])];
        PartitionTable table = nodes[0].Agent.Table;
        long weights = nodes.Sum(node => node.MemoryBytes);
        foreach (Node node in nodes)
        {
            if (node.Agent.Table.Version != table.Version)
                return $"{node.Id} has table {node.Agent.Table.Version}, {nodes[0].Id} has {table.Version}";
            int owned = table.CountOf(node.Id);
            double share = (double)_partitions * node.MemoryBytes / weights;
            if (Math.Abs(owned - share) >= 1.0001)
                return $"{node.Id} owns {owned} of a share of {share}; {string.Join(", ", nodes.Select(Describe))}";
            if (node.Agent.HeldCount != owned)
                return $"{node.Id} holds {node.Agent.HeldCount} and owns {owned}";
            for (int partition = 0; partition < _partitions; partition++)
            {
                if (table.OwnerOf(new PartitionId(partition)) == node.Id && !node.Serves(partition))
                    return $"{node.Id} owns {partition} and does not serve it: {node.Agent.PhaseOf(partition)}";
            }
        }

        return table.AssignedCount == _partitions ? null : "not every partition has an owner";
    }

    private string Describe(Node node)
    {
        IEnumerable<string> held = Enumerable.Range(0, _partitions).Where(partition => node.Agent.PhaseOf(partition) != PartitionPhase.None)
            .GroupBy(partition => node.Agent.PhaseOf(partition)).Select(phase => $"{phase.Key} {phase.Count()}");
        string leads = node.Coordinator.Leads ? $" leads, {node.Coordinator.MovesUnderWay} moves" : "";
        return $"{node.Id}: {string.Join(" ", held)}{(node.Agent.Draining ? " draining" : "")}{leads}"
            + (node.IsRunning ? "" : " dead");
    }

    internal void Count(CoordinatorEvent what)
    {
        MovesCommitted += what == CoordinatorEvent.MoveCommitted ? 1 : 0;
        MovesFailed += what == CoordinatorEvent.MoveFailed ? 1 : 0;
    }

    /// <summary>Carries a message to a silo over the bad network.</summary>
    internal void Send(SiloId target, Action<Node> deliver)
    {
        if (_random.NextDouble() < Loss)
            return;
        int copies = _random.NextDouble() < Loss ? 2 : 1;
        for (int copy = 0; copy < copies; copy++)
        {
            int delay = _random.NextDouble() < Loss ? _random.Next(1, 8_000) : _random.Next(1, 15);
            At(delay, () =>
            {
                if (_nodes.TryGetValue(target, out Node? node) && node.IsRunning)
                    deliver(node);
            });
        }
    }

    internal void At(long delay, Action action) => _events.Enqueue(action, (Now + delay, ++_order));

    internal bool IsLossy() => _random.NextDouble() < Loss;

    internal int Delay(int from, int to) => _random.Next(from, to);

    private void Every(int milliseconds, Node node, Action action)
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

    private void Remove(SiloId id)
    {
        if (!_active.Contains(id))
            return;
        _declaredDead.Add(id);
        _active = [.. _active.Where(silo => silo != id)];
        TellMembership();
    }

    private void TellMembership()
    {
        long version = ++_membershipVersion;
        List<SiloId> active = _active;
        foreach (Node node in _nodes.Values)
            At(_random.Next(1, 400), () => node.OnMembership(version, active));
    }

    /// <summary>What a lost silo held may be gone; if it was sealed and everything is elsewhere already, it may also live on.</summary>
    private void LoseItemsOf(Node node)
    {
        for (int partition = 0; partition < _partitions; partition++)
        {
            if (node.Agent.PhaseOf(partition) == PartitionPhase.None)
                continue;
            if (_nodes.Values.Any(other => other != node && IsCounted(other) && other.Serves(partition)))
                continue;
            _maybe[partition].UnionWith(_stored[partition]);
            _stored[partition].Clear();
        }
    }

    /// <summary>The time of the flush that clients were promised has come: whatever was stored until now is deleted.</summary>
    private void FireSchedule()
    {
        if (_scheduledAt == 0)
            return;
        if (!_nodes.Values.Any(node => IsCounted(node) && node.Agent.FlushMark.AtUnixSeconds == _scheduledAt))
        {
            // Every silo that knew of it is lost, and with them all items.
            _scheduledAt = 0;
            return;
        }

        if (NowSeconds < _scheduledAt)
            return;
        _scheduledAt = 0;
        for (int partition = 0; partition < _partitions; partition++)
            DeleteAll(partition, _stored[partition].Concat(_maybe[partition]));
    }

    private void DeleteAll(int partition, IEnumerable<int> items)
    {
        int[] deleted = [.. items];
        _deleted[partition].UnionWith(deleted);
        _stored[partition].ExceptWith(deleted);
        _maybe[partition].ExceptWith(deleted);
    }

    private void OnFlushed(FlushClient flush)
    {
        _flush = null;
        FlushesDone++;
        if (flush.At > NowSeconds)
            _scheduledAt = flush.At;
        for (int partition = 0; partition < _partitions; partition++)
        {
            if (flush.At <= NowSeconds)
                DeleteAll(partition, flush.StoredBefore[partition]);
            if (flush.MayHaveFlushed)
            {
                _maybe[partition].UnionWith(_stored[partition]);
                _stored[partition].Clear();
            }
        }
    }

    /// <summary>Whoever knows a seed of the key hash knows the same one, and whoever holds anything knows it.</summary>
    private void CheckSeeds()
    {
        Node? first = null;
        foreach (Node node in _nodes.Values)
        {
            if (!IsCounted(node))
                continue;
            Assert.False(node.Agent.HashSeedDiffers, $"seed {Seed}, {Now} ms: {node.Id} has another hash seed than the cluster");
            Assert.True(node.Agent.HeldCount == 0 || !node.HashSeed.IsNone, $"seed {Seed}, {Now} ms: {node.Id} holds something and knows no hash seed");
            if (node.HashSeed.IsNone)
                continue;
            first ??= node;
            Assert.True(node.HashSeed == first.HashSeed, $"seed {Seed}, {Now} ms: {node.Id} and {first.Id} hash keys differently");
        }
    }

    private bool IsCounted(Node node) => node.IsRunning && !_declaredDead.Contains(node.Id);

    private void Check()
    {
        FireSchedule();
        CheckSeeds();
        for (int partition = 0; partition < _partitions; partition++)
        {
            Node? server = null;
            foreach (Node node in _nodes.Values)
            {
                if (!IsCounted(node) || !node.Serves(partition))
                    continue;
                Assert.True(server is null, $"seed {Seed}, {Now} ms: {server?.Id} and {node.Id} both serve partition {partition}");
                server = node;
            }

            if (server is null)
                continue;
            HashSet<int> items = server.Items(partition);
            if (!_targets[partition].IsNone && !IsCounted(_nodes[_targets[partition]]))
            {
                // Its last target was lost, perhaps after it had served the partition: then the source's items were rightly given up.
                _deleted[partition].UnionWith(_stored[partition].Except(items));
                _stored[partition].IntersectWith(items);
            }

            // While a flush is under way, what is gone was flushed, and stays so.
            if (_flush is { MayHaveFlushed: true })
                DeleteAll(partition, _stored[partition].Except(items));

            Assert.True(_stored[partition].IsSubsetOf(items), $"seed {Seed}, {Now} ms: partition {partition} at {server.Id} has lost items");
            Assert.False(items.Overlaps(_deleted[partition]), $"seed {Seed}, {Now} ms: partition {partition} at {server.Id} has items that were deleted");
            if (items.Count != _stored[partition].Count)
                Assert.True(items.All(item => _stored[partition].Contains(item) || _maybe[partition].Contains(item)),
                    $"seed {Seed}, {Now} ms: foreign items in {partition}");

            // What a lost silo's partition came back with is decided as soon as somebody serves it.
            if (_maybe[partition].Count > 0)
            {
                foreach (int item in _maybe[partition])
                    (items.Contains(item) ? _stored : _deleted)[partition].Add(item);
                _maybe[partition].Clear();
            }
        }
    }

    private HashSet<int>[] NewSets() => [.. Enumerable.Range(0, _partitions).Select(_ => new HashSet<int>())];

    /// <summary>A gateway with one flush_all: asks whom a silo of its choice takes for the coordinator, again and again, until it has its answer.</summary>
    private sealed class FlushClient
    {
        private readonly SimulatedCluster _cluster;
        private readonly FlushAttempt _attempt;
        private readonly uint _formerAt;
        private int _question;

        public FlushClient(SimulatedCluster cluster, uint at, uint formerAt)
        {
            _cluster = cluster;
            _formerAt = formerAt;
            _attempt = new FlushAttempt(at);
            At = at;
            StoredBefore = [.. Enumerable.Range(0, cluster._partitions)
                .Select(partition => cluster._stored[partition].Concat(cluster._maybe[partition]).ToArray())];
        }

        public uint At { get; }

        /// <summary>By partition: what was there when the client asked.</summary>
        public int[][] StoredBefore { get; }

        /// <summary>Whether anything may be gone by now: by this flush, or by the one that was to come and that this one replaces.</summary>
        public bool MayHaveFlushed => At <= _cluster.NowSeconds || (_formerAt != 0 && _formerAt <= _cluster.NowSeconds);

        public void Ask()
        {
            if (_cluster._flush != this)
                return;
            int question = ++_question;
            Node[] silos = [.. _cluster._nodes.Values.Where(_cluster.IsCounted)];
            long expected = _attempt.ExpectedNumber;
            SiloId coordinator = silos.Length == 0 ? default : silos[_cluster._random.Next(silos.Length)].Agent.Coordinator;
            if (!coordinator.IsNone)
            {
                _cluster.Send(coordinator, node =>
                {
                    node.Coordinator.TryFlush(expected, At, _cluster.NowSeconds, _cluster.Now);
                    if (!node.Coordinator.Leads || !node.Coordinator.Recovered)
                        return;
                    FlushProgress progress = node.Coordinator.FlushProgress;
                    if (!_cluster.IsLossy())
                        _cluster.At(_cluster.Delay(1, 15), () => OnAnswer(question, progress));
                });
            }

            _cluster.At(200, () =>
            {
                if (question == _question)
                    Ask();
            });
        }

        private void OnAnswer(int question, FlushProgress progress)
        {
            if (question != _question || _cluster._flush != this)
                return;
            if (_attempt.OnReport(progress.Mark.Number, progress.Mark.Cut, progress.Mark.AtUnixSeconds, progress.SettledNumber))
                _cluster.OnFlushed(this);
            else
                _cluster.At(_attempt.IsUnderWay ? 10 : 0, Ask);
            _question++;
        }
    }

    /// <summary>One silo: its agent, its coordinator, and partitions that are sets of numbers.</summary>
    internal sealed class Node : ISiloAgentEnvironment, ICoordinatorEnvironment
    {
        private const int ItemsPerChunk = 5;
        private readonly SimulatedCluster _cluster;
        private readonly HashSet<int>?[] _items;
        private readonly bool[] _open;
        private readonly Queue<int>?[] _exports;
        private readonly uint[] _flushAt;

        /// <summary>What its memory file would say if it stopped now.</summary>
        private readonly MemoryFileContent _file;

        /// <param name="former">The life before of this silo, whose memory file it is started with.</param>
        public Node(SimulatedCluster cluster, SiloId id, int partitions, long memoryBytes, Node? former)
        {
            _cluster = cluster;
            Id = id;
            MemoryBytes = memoryBytes;
            _items = new HashSet<int>?[partitions];
            _open = new bool[partitions];
            _exports = new Queue<int>?[partitions];
            _flushAt = new uint[partitions];
            Agent = new SiloAgent(id, partitions, memoryBytes, this);
            Coordinator = new Coordinator(id, partitions, this);
            _file = new MemoryFileContent(partitions);
            if (former is null)
                return;
            former.HasSuccessor = true;
            if (former._file.LastSeen == 0)
                return;
            former._file.Epochs.CopyTo(_file.Epochs, 0);
            former._file.KnownEpochs.CopyTo(_file.KnownEpochs, 0);
            (_file.Seed, _file.LastSeen, _file.SiloCount, _file.TableTerm) =
                (former._file.Seed, former._file.LastSeen, former._file.SiloCount, former._file.TableTerm);
            for (int partition = 0; partition < partitions; partition++)
            {
                if (_file.Epochs[partition] == 0)
                    continue;
                _items[partition] = [.. former._items[partition]!];
                _flushAt[partition] = former._flushAt[partition];
            }

            var kept = new MemoryFileContent(partitions)
            {
                Seed = _file.Seed, LastSeen = _file.LastSeen, SiloCount = _file.SiloCount, TableTerm = _file.TableTerm,
            };
            _file.Epochs.CopyTo(kept.Epochs, 0);
            _file.KnownEpochs.CopyTo(kept.KnownEpochs, 0);
            Agent.Keep(kept, cluster.NowSeconds - kept.LastSeen, cluster.Now);
        }

        public long StoppedAt { get; set; }

        /// <summary>Its memory file has become another's.</summary>
        public bool HasSuccessor { get; private set; }

        public SiloId Id { get; }

        public long MemoryBytes { get; }

        public bool IsRunning { get; set; } = true;

        /// <summary>What keys would be hashed under here; none before it is known.</summary>
        public HashSeed HashSeed { get; private set; }

        public SiloAgent Agent { get; }

        public Coordinator Coordinator { get; }

        public bool Serves(int partition) => _open[partition];

        /// <summary>
        /// What a client finds in a partition that is served here: as in the store, a flush whose time has come is carried out by whoever comes next.
        /// </summary>
        public HashSet<int> Items(int partition)
        {
            Assert.True(_open[partition]);
            if (_flushAt[partition] != 0 && _cluster.NowSeconds >= _flushAt[partition])
                Clear(partition);
            return _items[partition]!;
        }

        public void Tick()
        {
            if (Agent.Table.PartitionCount != 0 && Agent.Table.AssignedCount == Agent.Table.PartitionCount)
                _file.LastSeen = _cluster.NowSeconds;
            Agent.Tick(_cluster.Now);
            Coordinator.Tick(_cluster.Now);
        }

        public void OnMembership(long version, List<SiloId> active)
        {
            if (IsRunning && active.Contains(Id))
            {
                Agent.OnMembership(version);
                Coordinator.OnMembership(version, active, _cluster.Now);
            }
        }

        void ISiloAgentEnvironment.UseHashSeed(HashSeed seed)
        {
            Assert.True(HashSeed.IsNone && (_file.Seed == seed || _items.All(items => items is null)));
            if (_file.Seed != seed)
            {
                Array.Clear(_file.KnownEpochs);
                _file.TableTerm = 0;
            }

            HashSeed = _file.Seed = seed;
        }

        void ISiloAgentEnvironment.OnHashSeedDiffers()
        {
        }

        HashSeed ICoordinatorEnvironment.DrawHashSeed() => new((ulong)++_cluster._seedsDrawn, 0);

        void ISiloAgentEnvironment.Activate(int partition, long epoch, bool keepItems)
        {
            Assert.False(HashSeed.IsNone);
            if (_cluster.IsLossy())
                return;
            _cluster.At(_cluster.Delay(1, 30), () =>
            {
                if (!IsRunning || Agent.PhaseOf(partition) != PartitionPhase.Opening)
                    return;
                if (keepItems && _items[partition] is { Count: > 0 } && _file.Epochs[partition] != 0)
                    _cluster.PartitionsRestored++;
                _items[partition] ??= [];
                _open[partition] = true;
                Agent.IsGranted(partition, out long granted);
                _file.Epochs[partition] = granted;
                Agent.OnActivated(partition, granted);
            });
        }

        void ISiloAgentEnvironment.Seal(int partition) => _open[partition] = false;

        void ISiloAgentEnvironment.Unseal(int partition)
        {
            _open[partition] = true;
            _cluster._targets[partition] = default;
            Agent.IsGranted(partition, out _file.Epochs[partition]);
        }

        void ISiloAgentEnvironment.Renew(int partition, long epoch) => _file.Epochs[partition] = epoch;

        void ISiloAgentEnvironment.Release(int partition) => _file.Epochs[partition] = 0;

        void ISiloAgentEnvironment.Drop(int partition)
        {
            _file.Epochs[partition] = 0;
            _open[partition] = false;
            _items[partition] = null;
            _flushAt[partition] = 0;
        }

        void ISiloAgentEnvironment.BeginImport(int partition, long epoch)
        {
            Assert.Null(_items[partition]);
            Assert.False(HashSeed.IsNone);
            _items[partition] = [];
        }

        bool ISiloAgentEnvironment.Import(int partition, ReadOnlySpan<byte> items)
        {
            Assert.False(_open[partition]);
            if (BitConverter.ToUInt32(items) is not 0 and uint flushAt)
                _flushAt[partition] = flushAt;
            for (int i = 4; i < items.Length; i += 4)
                _items[partition]!.Add(BitConverter.ToInt32(items[i..]));
            return true;
        }

        void ISiloAgentEnvironment.Flush(int partition, uint atUnixSeconds)
        {
            if (_items[partition] is null)
                return;
            if (_flushAt[partition] != 0 && _cluster.NowSeconds >= _flushAt[partition])
                Clear(partition);
            if (atUnixSeconds > _cluster.NowSeconds)
                _flushAt[partition] = atUnixSeconds;
            else
                Clear(partition);
        }

        void ISiloAgentEnvironment.RescheduleFlush(int partition, uint atUnixSeconds) => _flushAt[partition] = atUnixSeconds;

        void ISiloAgentEnvironment.ScheduleFlush(int partition, uint atUnixSeconds)
        {
            if (atUnixSeconds > _cluster.NowSeconds)
                _flushAt[partition] = atUnixSeconds;
        }

        void ICoordinatorEnvironment.OnFlushProgress()
        {
        }

        private void Clear(int partition)
        {
            _items[partition]!.Clear();
            _exports[partition]?.Clear();
            _flushAt[partition] = 0;
        }

        void ISiloAgentEnvironment.BeginExport(int partition)
        {
            Assert.False(_open[partition]);
            _exports[partition] = new Queue<int>(_items[partition]!);
        }

        ReadOnlyMemory<byte> ISiloAgentEnvironment.Export(int partition, out bool last)
        {
            List<byte> chunk = [.. BitConverter.GetBytes(_flushAt[partition])];
            while (chunk.Count <= ItemsPerChunk * 4 && _exports[partition]!.TryDequeue(out int item))
                chunk.AddRange(BitConverter.GetBytes(item));
            last = _exports[partition]!.Count == 0;
            return chunk.ToArray();
        }

        void ISiloAgentEnvironment.SendChunk(SiloId target, ImportChunk chunk)
        {
            byte[] wire = chunk.Encode();
            if (!_cluster._declaredDead.Contains(Id))
                _cluster._targets[chunk.Partition] = target;
            _cluster.Send(target, node =>
            {
                Assert.True(ImportChunk.TryDecode(wire, out ImportChunk? received));
                byte[] reply = node.Agent.HandleChunk(received).Encode();
                _cluster.Send(Id, self =>
                {
                    Assert.True(ImportReply.TryDecode(reply, out ImportReply answer));
                    self.Agent.OnImportReply(answer, _cluster.Now);
                });
            });
        }

        void ISiloAgentEnvironment.Nudge(SiloId coordinator) => _cluster.Send(coordinator, node => node.Coordinator.OnNudge(Id, _cluster.Now));

        /// <summary>Every node hears of every version by itself, only late.</summary>
        void ISiloAgentEnvironment.RefreshMembership(long version)
        {
        }

        void ISiloAgentEnvironment.OnTable(PartitionTable table)
        {
            _file.TableTerm = table.Version.Term;
            for (int partition = 0; partition < _file.KnownEpochs.Length; partition++)
                _file.KnownEpochs[partition] = Math.Max(_file.KnownEpochs[partition], table.Epochs[partition]);
        }

        void ICoordinatorEnvironment.SendSync(SiloId target, SyncRequest request)
        {
            byte[] wire = request.Encode();
            _cluster.Send(target, node =>
            {
                Assert.True(SyncRequest.TryDecode(wire, out SyncRequest? received));
                byte[]? reply = node.Agent.HandleSync(received, _cluster.Now)?.Encode();
                if (node.Agent.Silos.Silos.Count > 0)
                    node._file.SiloCount = node.Agent.Silos.Silos.Count;
                if (reply is null)
                    return;
                _cluster.Send(Id, self =>
                {
                    Assert.True(SyncReply.TryDecode(reply, out SyncReply? answer));
                    self.Coordinator.OnReply(answer, _cluster.Now);
                });
            });
        }

        void ICoordinatorEnvironment.OnEvent(CoordinatorEvent what, int partition, SiloId silo) => _cluster.Count(what);
    }
}
