namespace OrleansCache.Membership.Tests.Simulation;

/// <summary>How rough a simulation is; drawn from its seed.</summary>
internal sealed record Weather
{
    public double Lost { get; init; }

    public double Repeated { get; init; }

    public double Late { get; init; }

    public double FileLost { get; init; }

    public double ChangeSeeds { get; init; }

    /// <summary>Of the changes, those that put one seed in another's place: the old and the new majority may have nobody in common.</summary>
    public double Replace { get; init; }

    /// <summary>Mean milliseconds between two events of the kind.</summary>
    public int CrashEvery { get; init; }

    public int SplitEvery { get; init; }

    /// <summary>For mistakes that show only when changes of the seed set are interrupted.</summary>
    public static readonly Weather Changing = new()
    {
        Lost = 0.15, Repeated = 0.05, Late = 0.05, FileLost = 0, ChangeSeeds = 0.7, Replace = 0.7, CrashEvery = 1000, SplitEvery = 200,
    };

    public static Weather Draw(Random random) => random.Next(4) == 0 ? Changing : new Weather
    {
        Lost = random.Next(3) == 0 ? 0 : random.NextDouble() * 0.15,
        Repeated = random.NextDouble() * 0.1,
        Late = random.NextDouble() * 0.05,
        FileLost = random.Next(3) == 0 ? 0.25 : 0.03,
        ChangeSeeds = random.Next(3) == 0 ? 0.5 : 0.15,
        Replace = random.NextDouble() * 0.6,
        CrashEvery = random.Next(300, 4000),
        SplitEvery = random.Next(300, 4000),
    };
}

/// <summary>Mistakes of whoever hosts the state machines.</summary>
internal enum HostMistake
{
    None,

    /// <summary>A seed answers before its disk has taken what it promises.</summary>
    AnswersBeforeTheDisk,

    /// <summary>A seed that has lost its file goes on under its old identity.</summary>
    KeepsItsIdentity,
}

/// <summary>
/// A register in one thread under a seed: virtual time, seeds that crash with and without their files, disks that fail, a network that loses, delays,
/// repeats, reorders and splits, clients whose clocks differ and that crash, and changes of the seed set by any of them. Messages pass through the codec.
/// </summary>
internal sealed class SimulatedRegister
{
    private const string Cluster = "simulated";
    private const int NodesMax = 6;
    private static readonly RunTimes Times = new(Operation: 2000, Round: 300, Grace: 30, Backoff: 10);

    private readonly Random _random;
    private readonly RegisterFaults _faults;
    private readonly HostMistake _mistake;
    private readonly PriorityQueue<Action, (long At, long Order)> _events = new();
    private readonly List<Node> _nodes = [];
    private readonly List<Client> _clients = [];
    private readonly HashSet<(Client, Node)> _split = [];
    private readonly long _stopAt;
    private Weather _weather;
    private long _now;
    private long _order;
    private long _guids;

    public SimulatedRegister(int seed, RegisterFaults faults = RegisterFaults.None, HostMistake mistake = HostMistake.None, Weather? weather = null)
    {
        _mistake = mistake;
        Seed = seed;
        _random = new Random(seed);
        _faults = faults;
        _weather = weather ?? Weather.Draw(_random);
        _stopAt = _random.Next(4_000, 15_000);
        for (int i = 0; i < NodesMax; i++)
            _nodes.Add(new Node(this, i));
        Node founder = _nodes[0];
        RegisterValue founding = RegisterValue.Founding(Cluster, founder.Id, 1);
        var ballot = new Ballot(1, founder.Identity);
        founder.State = new AcceptorState(ballot, ballot, founding);
        Witness.Accepted(founder.Identity, ballot, founding);
        int clients = _random.Next(2, 5);
        for (int i = 0; i < clients; i++)
            _clients.Add(new Client(this));
    }

    public int Seed { get; }

    public RegisterHistory History { get; } = new();

    public DecisionWitness Witness { get; } = new();

    public int SeedsCount => Witness.Newest!.Seeds.Count;

    /// <summary>Whether the end had a majority that could answer, so that liveness was checked.</summary>
    public bool CameBack { get; private set; }

    private bool Stopped => _now >= _stopAt;

    public void Run()
    {
        Every(_weather.CrashEvery, CrashSome);
        Every(_weather.SplitEvery, SplitSome);
        Every(3_000, BreakSomeDisk);
        Every(2_500, () => _clients[_random.Next(_clients.Count)].Crash());
        foreach (Client client in _clients)
            client.Start();
        RunUntil(_stopAt);

        // The weather clears, and everybody who still has a file is there.
        _weather = new Weather();
        _split.Clear();
        foreach (Node node in _nodes)
        {
            node.DiskFails = false;
            node.Start(withFile: true);
        }

        RunUntil(_stopAt + 3_000);
        CheckThatItComesBack();
        History.CheckAll();
    }

    private void CheckThatItComesBack()
    {
        var answering = _nodes.Select(static node => node.Identity).ToHashSet();
        IEnumerable<RegisterValue> standing = _nodes.Where(node => node.State.Accepted >= Witness.NewestBallot).Select(static node => node.State.Value!)
            .Append(Witness.Newest!);
        if (!standing.All(value => value.Sets.ToArray().All(set => set.Count(seed => answering.Contains(seed.Identity)) >= set.Majority)))
            return;
        CameBack = true;
        foreach (Client client in _clients)
        {
            client.KnowAll();
            for (int attempt = 1; ; attempt++)
            {
                RegisterOutcome read = Finish(client, RegisterIntent.Read, History.Begin(IntentKind.Read));
                if (read.Kind != OutcomeKind.Done)
                    throw new StandstillException($"a majority answers, but a read does not succeed: {read.Reason} {string.Join("; ", read.Missing)}");
                Operation write = History.Begin(IntentKind.Write, read.Value!.Version);
                RegisterOutcome wrote = Finish(client, new RegisterIntent(IntentKind.Write, read.Value.Version, write.Content()), write);
                if (wrote.Kind == OutcomeKind.Done)
                    break;
                // Somebody who was slow may just have finished a change.
                if (attempt == 3 || wrote.Kind != OutcomeKind.Conflict)
                {
                    throw new StandstillException(
                        $"a majority answers, but a write does not succeed: {wrote.Kind} {wrote.Reason} {string.Join("; ", wrote.Missing)}");
                }
            }
        }
    }

    private RegisterOutcome Finish(Client client, RegisterIntent intent, Operation operation)
    {
        RegisterOutcome? outcome = null;
        client.Begin(intent, operation, done => outcome = done);
        RunUntil(_now + 60_000, () => outcome is not null);
        return outcome!;
    }

    private void RunUntil(long end, Func<bool>? enough = null)
    {
        while (_events.TryPeek(out _, out (long At, long Order) next) && next.At <= end && enough?.Invoke() != true)
        {
            _now = next.At;
            _events.Dequeue()();
        }

        if (enough is null)
            _now = end;
    }

    private void At(long time, Action action) => _events.Enqueue(action, (Math.Max(time, _now), _order++));

    private void After(long milliseconds, Action action) => At(_now + milliseconds, action);

    private void Every(int mean, Action action) => After(1 + _random.Next(2 * mean), () =>
    {
        if (Stopped)
            return;
        action();
        Every(mean, action);
    });

    private Guid NextGuid()
    {
        Span<byte> bytes = stackalloc byte[16];
        _random.NextBytes(bytes);
        BitConverter.TryWriteBytes(bytes[8..], ++_guids);
        return new Guid(bytes);
    }

    private bool Chance(double probability) => _random.NextDouble() < probability;

    private long Delay() => Chance(_weather.Late) ? _random.Next(50, 2_500) : _random.Next(1, 8);

    private void CrashSome()
    {
        // Sometimes several at once.
        do
        {
            Node node = _nodes[_random.Next(_nodes.Count)];
            node.Crash();
            bool withFile = !Chance(_weather.FileLost);
            After(Chance(0.2) ? _random.Next(1, 30) : _random.Next(30, 3_000), () => node.Start(withFile));
        }
        while (Chance(0.2));
    }

    private void SplitSome()
    {
        if (Chance(0.4))
        {
            _split.Clear();
            return;
        }

        foreach (Client client in _clients)
        {
            foreach (Node node in _nodes)
            {
                if (Chance(0.35))
                    _split.Add((client, node));
            }
        }

        After(_random.Next(100, 4_000), _split.Clear);
    }

    private void BreakSomeDisk()
    {
        Node node = _nodes[_random.Next(_nodes.Count)];
        node.DiskFails = true;
        After(_random.Next(50, 2_000), () => node.DiskFails = false);
    }

    /// <summary>A process that may be a seed.</summary>
    private sealed class Node(SimulatedRegister world, int number)
    {
        private readonly SeedAddress _address = new($"node{number}", 11111);
        private bool _up = true;
        private int _incarnation;
        private long _freeAt;
        private AcceptorState? _saving;
        private AcceptorState _before = AcceptorState.Blank;

        public Guid Identity { get; private set; } = world.NextGuid();

        public SeedId Id => new(_address, Identity);

        public AcceptorState State { get; set; } = AcceptorState.Blank;

        public bool DiskFails { get; set; }

        public void Crash()
        {
            if (!_up)
                return;
            _up = false;
            _incarnation++;
            // Whether what was on its way to the disk has reached it, nobody has been told.
            if (_saving is { } saving && world.Chance(0.5))
                Keep(saving);
            _saving = null;
            if (world._mistake == HostMistake.AnswersBeforeTheDisk)
                State = _before;
        }

        public void Start(bool withFile)
        {
            if (_up)
                return;
            _up = true;
            _freeAt = 0;
            if (withFile)
            {
                AcceptorState? read = SeedCodec.ReadRecord(SeedCodec.Write(State));
                State = read ?? throw new ViolationException("a record cannot be read again");
                return;
            }

            if (world._mistake != HostMistake.KeepsItsIdentity)
                Identity = world.NextGuid();
            State = _before = AcceptorState.Blank;
        }

        /// <param name="answer">Called with the answer; null: nobody listens there.</param>
        public void Receive(byte[] message, Action<byte[]?> answer)
        {
            if (!_up)
            {
                answer(null);
                return;
            }

            SeedRequest request = SeedCodec.ReadRequest(message) ?? throw new ViolationException("a request cannot be read");
            if (request.Kind != SeedRequestKind.Read && _saving is not null)
            {
                int incarnation = _incarnation;
                world.At(_freeAt, () =>
                {
                    if (incarnation == _incarnation)
                        Receive(message, answer);
                });
                return;
            }

            (SeedReply reply, AcceptorState? next) = Acceptor.Handle(State, Identity, request, world._faults);
            if (next is null)
            {
                answer(SeedCodec.Write(reply));
            }
            else if (DiskFails)
            {
                answer(SeedCodec.Write(reply with { Kind = SeedReplyKind.Cannot, Value = null, ValueIsKnown = false, Reason = "no space" }));
            }
            else
            {
                int incarnation = _incarnation;
                _saving = next;
                _freeAt = world._now + world._random.Next(1, 6);
                world.At(_freeAt, () =>
                {
                    if (incarnation != _incarnation)
                        return;
                    _saving = null;
                    Keep(next);
                    answer(SeedCodec.Write(reply));
                });
            }
        }

        private void Keep(AcceptorState next)
        {
            bool isNew = next.Accepted != State.Accepted;
            _before = State;
            State = next;
            if (isNew)
                world.Witness.Accepted(Identity, next.Accepted, next.Value!);
        }
    }

    /// <summary>A member that reads, writes and changes the seed set, one of each at a time.</summary>
    private sealed class Client
    {
        private readonly SimulatedRegister _world;
        private readonly double _rate;
        private readonly long _offset;
        private ProposerMemory _memory;
        private int _incarnation;
        private long _version;
        private SeedSet? _seeds;

        public Client(SimulatedRegister world)
        {
            _world = world;
            _rate = 0.5 + world._random.NextDouble();
            _offset = world._random.Next(1_000_000);
            _memory = NewMemory();
        }

        private long Clock => _offset + (long)(_world._now * _rate);

        public void Start()
        {
            ReadLoop();
            ChangeLoop();
        }

        public void Crash()
        {
            _incarnation++;
            _memory = NewMemory();
            Start();
        }

        public void KnowAll() => _memory.Given = [.. _world._nodes.Select(static node => node.Id.Address)];

        public void Begin(RegisterIntent intent, Operation operation, Action<RegisterOutcome> done)
        {
            int incarnation = _incarnation;
            var run = new RegisterRun(_memory, intent, Times, Clock, _world._faults);
            Step();

            void Step()
            {
                foreach (Outgoing outgoing in run.TakeOutgoing())
                    Send(outgoing);
                if (run.Outcome is { } outcome)
                {
                    _world.History.End(operation, outcome);
                    done(outcome);
                    return;
                }

                long due = run.DueAt;
                _world.At(_world._now + 1 + (long)Math.Max(0, (due - Clock) / _rate), () =>
                {
                    if (incarnation != _incarnation || run.Outcome is not null || run.DueAt != due)
                        return;
                    run.OnTimer(Clock);
                    Step();
                });
            }

            void Send(Outgoing outgoing)
            {
                Node node = _world._nodes.Single(node => node.Id.Address == outgoing.Address);
                byte[] message = SeedCodec.Write(outgoing.Request);
                int copies = _world.Chance(_world._weather.Repeated) ? 2 : 1;
                for (int i = 0; i < copies; i++)
                {
                    if (!IsLost(node))
                        _world.After(_world.Delay(), () => node.Receive(message, answer => Answered(node, outgoing, answer, incarnation)));
                }
            }

            void Answered(Node node, Outgoing outgoing, byte[]? answer, int asker)
            {
                if (IsLost(node))
                    return;
                _world.After(_world.Delay(), () =>
                {
                    if (asker != _incarnation || run.Outcome is not null)
                        return;
                    SeedReply? reply = answer is null ? null : SeedCodec.ReadReply(answer) ?? throw new ViolationException("a reply cannot be read");
                    run.OnReply(outgoing, reply, answer is null ? "refused" : null, Clock);
                    Step();
                });
            }
        }

        private bool IsLost(Node node) => _world.Chance(_world._weather.Lost) || _world._split.Contains((this, node));

        private ProposerMemory NewMemory() => new(_world.NextGuid(), _world.Chance(0.5) ? Cluster : "", new Random(_world._random.Next()))
        {
            Given = [.. _world._nodes.Select(static node => node.Id.Address).Where(_ => _world.Chance(0.8)).DefaultIfEmpty(_world._nodes[0].Id.Address)],
        };

        private void ReadLoop() => Loop(() => (RegisterIntent.Read, _world.History.Begin(IntentKind.Read)), ReadLoop);

        private void ChangeLoop() => Loop(Change, ChangeLoop);

        private (RegisterIntent Intent, Operation Operation) Change()
        {
            if (_seeds is { } seeds && _world.Chance(_world._weather.ChangeSeeds) && Draw(seeds) is { } change)
                return (new RegisterIntent(IntentKind.ChangeSeeds, _version, default, change), _world.History.Begin(IntentKind.ChangeSeeds, _version));
            Operation write = _world.History.Begin(IntentKind.Write, _version);
            return (new RegisterIntent(IntentKind.Write, _version, write.Content()), write);
        }

        /// <summary>Seeds that have lost their files are replaced first; otherwise the set is drawn to three or four, but goes anywhere.</summary>
        private SeedChange? Draw(SeedSet seeds)
        {
            List<Node> nodes = _world._nodes;
            foreach (SeedId seed in seeds)
            {
                Node there = nodes.Single(node => node.Id.Address == seed.Address);
                if (there.Identity != seed.Identity && _world.Chance(0.7))
                    return SeedChange.Replacing(seed.Identity, there.Id);
            }

            List<Node> others = [.. nodes.Where(node => !seeds.Any(seed => seed.Address == node.Id.Address))];
            SeedId leaving = seeds[_world._random.Next(seeds.Count)];
            if (others.Count != 0)
            {
                Node joining = others[_world._random.Next(others.Count)];
                if (_world.Chance(_world._weather.Replace))
                    return SeedChange.Replacing(leaving.Identity, joining.Id);
                if (seeds.Count < 3 || _world.Chance(0.5))
                    return SeedChange.Adding(joining.Id);
            }

            return seeds.Count > 1 ? SeedChange.Removing(leaving.Identity) : null;
        }

        private void Loop(Func<(RegisterIntent Intent, Operation Operation)> next, Action again)
        {
            int incarnation = _incarnation;
            _world.After(_world._random.Next(1, 150), () =>
            {
                if (incarnation != _incarnation || _world.Stopped)
                    return;
                (RegisterIntent intent, Operation operation) = next();
                Begin(intent, operation, outcome =>
                {
                    if (outcome.Value is { } value && (value.Version > _version || _seeds is null))
                    {
                        _version = value.Version;
                        _seeds = value.Seeds;
                    }

                    again();
                });
            });
        }
    }
}
