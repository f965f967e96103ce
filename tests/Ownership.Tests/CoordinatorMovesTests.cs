namespace OrleansCache.Ownership.Tests;

/// <summary>What an operator says about moves, step by step: what each silo is told, given what all have answered. The silos do as they are told.</summary>
public sealed class CoordinatorMovesTests : ICoordinatorEnvironment
{
    private const int Partitions = 8;
    private static readonly SiloId A = SiloId.Create("127.0.0.1:1", 1);
    private static readonly SiloId B = SiloId.Create("127.0.0.1:2", 2);
    private static readonly SiloId C = SiloId.Create("127.0.0.1:3", 3);
    private static readonly HashSeed Seed = new(1, 1);
    private readonly Dictionary<SiloId, SyncRequest> _asked = [];
    private readonly Dictionary<SiloId, List<PartitionCommand>> _told = [];
    private readonly SortedDictionary<int, CopyReport> _copies = [];
    private readonly Dictionary<SiloId, MoveSettings> _known = [];
    private readonly HashSet<SiloId> _draining = [];
    private readonly HashSet<SiloId> _silent = [];
    private readonly Coordinator _coordinator;
    private SiloId[] _members = [];
    private long _membership;
    private long _now;
    private int _progress;

    /// <summary>Silo A serves everything, and nothing is under way.</summary>
    public CoordinatorMovesTests()
    {
        _coordinator = new Coordinator(A, Partitions, this) { MoveLimitAtStart = 77, Pace = 0 };
        Members(A);
        Round(3);
        Assert.Equal(Partitions, _coordinator.Table.CountOf(A));
        Assert.Equal(MovesOverview.Nothing.Transfers, Overview.Transfers);
        Assert.Equal((0, 0L, 77L, false), (Overview.PartitionsToMove, Overview.SecondsLeft, Overview.LimitBytesPerSecond, Overview.IsPaused));
    }

    [Fact]
    public void WhilePausedNothingMovesForBalanceAndThenEverythingDoes()
    {
        Assert.Null(_coordinator.Order(new MoveOrder(MoveOrderKind.Pause), _now));
        Members(A, B);
        Round(5);
        Assert.Equal(0, _coordinator.MovesUnderWay);
        Assert.Equal((true, 4, null, 0), (Overview.IsPaused, Overview.PartitionsToMove, Overview.SecondsLeft, Overview.Transfers.Count));

        Assert.Null(_coordinator.Order(new MoveOrder(MoveOrderKind.Resume), _now));
        Round(1);
        Assert.Equal(4, _coordinator.MovesUnderWay);
        Assert.All(Overview.Transfers, static transfer => Assert.Equal(
            ("127.0.0.1:1", "127.0.0.1:2", true, TransferReason.Balance), (transfer.From, transfer.To, transfer.IsMove, transfer.Reason)));
    }

    [Fact]
    public void CopiesUnderWayRestAndGoOn()
    {
        MovesBegin();
        _coordinator.Order(new MoveOrder(MoveOrderKind.Pause), _now);
        Round(2);
        Assert.Equal(4, Told(A, CommandKind.Rest).Count());
        Assert.All(Overview.Transfers, static transfer => Assert.Equal((TransferStep.Resting, null), (transfer.Step, transfer.SecondsLeft)));
        Round(3);
        Assert.Equal(4, Told(A, CommandKind.Rest).Count());

        // Even one that was complete by then is not handed over.
        int completed = CompleteFirst();
        Round(3);
        Assert.Empty(Told(A, CommandKind.Yield));

        _coordinator.Order(new MoveOrder(MoveOrderKind.Resume), _now);
        Round(2);
        Assert.Equal(3, Told(A, CommandKind.Proceed).Count());
        Assert.Equal([completed], Told(A, CommandKind.Yield).Select(static command => command.Partition).Distinct());
    }

    [Fact]
    public void WhatLeavesASiloThatDrainsGoesOnWhilePaused()
    {
        MovesBegin();
        _coordinator.Order(new MoveOrder(MoveOrderKind.Pause), _now);
        Round(2);
        _draining.Add(A);
        Round(3);
        Assert.Equal(4, Told(A, CommandKind.Proceed).Count());
        Assert.All(Overview.Transfers, static transfer => Assert.Equal(
            (TransferReason.Drain, TransferStep.Copying), (transfer.Reason, transfer.Step)));
        Assert.Equal(Partitions, Overview.PartitionsToMove);
        Assert.Contains("drains", _coordinator.Order(new MoveOrder(MoveOrderKind.Abort, Overview.Transfers[0].Partition), _now), StringComparison.Ordinal);
    }

    [Fact]
    public void WhatIsGivenUpIsDroppedThenDetachedAndNotBegunAgainForSomeMinutes()
    {
        MovesBegin();
        int partition = Overview.Transfers[1].Partition;
        long copy = _copies[partition].Copy;
        Assert.Null(_coordinator.Order(new MoveOrder(MoveOrderKind.Abort, partition), _now));
        Round(1);
        Assert.Equal(3, _coordinator.MovesUnderWay);
        Round(4);
        Assert.Equal([PartitionCommand.Drop(partition, copy)], Told(B, CommandKind.Drop).Distinct());
        Assert.Equal([copy], Told(A, CommandKind.Detach).Select(static command => command.Copy).Distinct());
        Assert.False(_copies.ContainsKey(partition));
        Assert.Equal(partition, Assert.Single(Overview.Aborted).Partition);
        Assert.Equal((4, 1L), (Overview.PartitionsToMove, _coordinator.MovesAborted));
        Assert.Equal($"partition {partition} does not move", _coordinator.Order(new MoveOrder(MoveOrderKind.Abort, partition), _now));

        _now += Coordinator.AbortMilliseconds - 20_000;
        Round(2);
        Assert.Equal(3, _coordinator.MovesUnderWay);
        _now += 20_000;
        Round(2);
        Assert.Equal(4, _coordinator.MovesUnderWay);
        Assert.Empty(Overview.Aborted);
    }

    [Fact]
    public void AllAreGivenUpAtOnceAndBeginAgainWhenTheOperatorSaysSo()
    {
        MovesBegin();
        Assert.Null(_coordinator.Order(new MoveOrder(MoveOrderKind.Abort, MoveOrder.All), _now));
        Round(5);
        Assert.Equal((0, 4L, 4), (_coordinator.MovesUnderWay, _coordinator.MovesAborted, Overview.Aborted.Count));
        _coordinator.Order(new MoveOrder(MoveOrderKind.Resume), _now);
        Round(2);
        Assert.Equal((4, 0), (_coordinator.MovesUnderWay, Overview.Aborted.Count));
        Assert.Null(_coordinator.Order(new MoveOrder(MoveOrderKind.Abort, MoveOrder.All), _now));
    }

    [Fact]
    public void OrdersThatMakeNoSenseAreRefused()
    {
        Assert.Equal("there are partitions 0 to 7", _coordinator.Order(new MoveOrder(MoveOrderKind.Abort, 8), _now));
        Assert.Equal("there are partitions 0 to 7", _coordinator.Order(new MoveOrder(MoveOrderKind.Abort, -2), _now));
        Assert.Equal("partition 3 does not move", _coordinator.Order(new MoveOrder(MoveOrderKind.Abort, 3), _now));
        Assert.NotNull(_coordinator.Order(new MoveOrder(MoveOrderKind.Limit, -1), _now));
        Assert.NotNull(_coordinator.Order(new MoveOrder((MoveOrderKind)99), _now));
        Assert.Equal(default, _coordinator.MoveSettings);
    }

    [Fact]
    public void AnOrderIsNumberedTravelsToAllAndIsSettledWhenAllHaveHeard()
    {
        Members(A, B);
        Round(3);
        _silent.Add(B);
        int before = _progress;
        _coordinator.Order(new MoveOrder(MoveOrderKind.Limit, 5_000), _now);
        Round(2);
        MoveSettings limited = _coordinator.MoveSettings;
        Assert.Equal((false, 5_000L), (limited.IsPaused, limited.LimitBytesPerSecond));
        Assert.Equal((limited, B, before), (_asked[A].Moves, _coordinator.MoveSettingsAwaited, _progress));
        _silent.Clear();
        Round(2);
        Assert.True(_coordinator.MoveSettingsAwaited.IsNone && _progress > before);
        _coordinator.Order(new MoveOrder(MoveOrderKind.Pause), _now);
        Assert.True(_coordinator.MoveSettings.Number > limited.Number);
        Assert.Equal((true, 5_000L), (_coordinator.MoveSettings.IsPaused, _coordinator.MoveSettings.LimitBytesPerSecond));
    }

    [Fact]
    public void ANewCoordinatorGoesOnFromTheHighestNumber()
    {
        Members(A, B, C);
        Round(3);
        _known[B] = new MoveSettings(long.MaxValue / 4, true, 9);
        _known[C] = new MoveSettings(12, false, 10);
        _coordinator.OnMembership(++_membership, [B, C], _now);
        Members(A, B, C);
        Round(3);
        Assert.True(_coordinator.Recovered);
        Assert.Equal(_known[B], _coordinator.MoveSettings);
        Assert.Equal((9L, true), (Overview.LimitBytesPerSecond, Overview.IsPaused));
        Assert.Equal(_known[B], _known[C]);
        _coordinator.Order(new MoveOrder(MoveOrderKind.Resume), _now);
        Assert.Equal((long.MaxValue / 4) + 1, _coordinator.MoveSettings.Number);
    }

    [Fact]
    public void TheRateAndTheTimeLeftFollowFromWhatOwnersReport()
    {
        MovesBegin();
        Assert.Null(Overview.SecondsLeft);
        for (int round = 1; round <= 20; round++)
        {
            foreach (CopyReport copy in _copies.Values.ToArray())
                _copies[copy.Partition] = copy with { BytesDone = round * 1_000, BytesTotal = 100_000 };
            Round(1);
        }

        // All answer in turn, each after another tick.
        long expected = 1_000 * 1_000 / (2 * Coordinator.SyncMilliseconds);
        Assert.All(Overview.Transfers, transfer =>
        {
            Assert.InRange(transfer.BytesPerSecond, expected * 9 / 10, expected * 11 / 10);
            Assert.InRange(transfer.SecondsLeft!.Value, 80_000 / expected * 9 / 10, 80_000 / expected * 11 / 10);
            Assert.Equal((20_000, 100_000), (transfer.BytesDone, transfer.BytesTotal));
        });
        Assert.Equal(320_000, Overview.BytesLeft);
        Assert.InRange(Overview.BytesPerSecond, expected * 36 / 10, expected * 44 / 10);
        Assert.InRange(Overview.SecondsLeft!.Value, 80_000 / expected * 9 / 10, 80_000 / expected * 11 / 10);
    }

    void ICoordinatorEnvironment.SendSync(SiloId target, SyncRequest request)
    {
        _asked[target] = request;
        _told.TryAdd(target, []);
        _told[target].AddRange(request.Commands);
    }

    void ICoordinatorEnvironment.OnEvent(CoordinatorEvent what, int partition, SiloId silo)
    {
    }

    void ICoordinatorEnvironment.OnProgress() => _progress++;

    void ICoordinatorEnvironment.WakeAt(long milliseconds)
    {
    }

    HashSeed ICoordinatorEnvironment.DrawHashSeed() => Seed;

    PartitionTable ICoordinatorEnvironment.KnownTable => PartitionTable.Unassigned(Partitions);

    private MovesOverview Overview => _coordinator.ReadMoves(_now);

    private IEnumerable<PartitionCommand> Told(SiloId silo, CommandKind kind) => _told[silo].Where(command => command.Kind == kind);

    private void Members(params SiloId[] silos)
    {
        _members = silos;
        _coordinator.OnMembership(++_membership, silos, _now);
    }

    /// <summary>Silo B joins, and gets its share: the copies have been attached.</summary>
    private void MovesBegin()
    {
        Members(A, B);
        Round(4);
        Assert.Equal((4, 4), (_coordinator.MovesUnderWay, _copies.Count));
        _told.Clear();
    }

    /// <summary>The first copy has everything. Returns its partition.</summary>
    private int CompleteFirst()
    {
        CopyReport copy = _copies.Values.First();
        _copies[copy.Partition] = copy with { State = CopyState.Synced, IsResting = false };
        return copy.Partition;
    }

    /// <summary>All silos do what they were told last, and say so.</summary>
    private void Round(int rounds)
    {
        for (int round = 0; round < rounds; round++)
        {
            foreach (SiloId silo in _members)
            {
                _now += Coordinator.SyncMilliseconds;
                _coordinator.Tick(_now);
                if (!_silent.Contains(silo))
                    Answer(silo, _asked[silo]);
            }
        }
    }

    private void Answer(SiloId silo, SyncRequest request)
    {
        if (request.Moves.Number > _known.GetValueOrDefault(silo).Number)
            _known[silo] = request.Moves;
        foreach (PartitionCommand command in request.Commands)
        {
            switch (command.Kind)
            {
                case CommandKind.Attach:
                    _copies[command.Partition] = new CopyReport(command.Partition, command.Copy, command.Target, CopyState.Copying);
                    break;
                case CommandKind.Detach:
                    _copies.Remove(command.Partition);
                    break;
                case CommandKind.Rest or CommandKind.Proceed:
                    _copies[command.Partition] = _copies[command.Partition] with { IsResting = command.Kind == CommandKind.Rest };
                    break;
            }
        }

        List<PartitionReport> held = [];
        for (int partition = 0; partition < Partitions; partition++)
        {
            long epoch = _coordinator.Table.EpochOf(new PartitionId(partition));
            if (silo == A && epoch != 0)
                held.Add(new PartitionReport(partition, PartitionPhase.Active, epoch));
            else if (silo != A && _copies.TryGetValue(partition, out CopyReport copy) && copy.Target == silo && !IsDropped(silo, copy))
                held.Add(new PartitionReport(partition, copy.State == CopyState.Synced ? PartitionPhase.Replica : PartitionPhase.Copying, copy.Copy));
        }

        _coordinator.OnReply(
            new SyncReply
            {
                Silo = silo, Term = request.Term, Sequence = request.Sequence, TableVersion = default, HashSeed = Seed, MemoryBytes = 64,
                PartitionCount = Partitions, MembershipVersion = _membership, Partitions = held, Moves = _known.GetValueOrDefault(silo),
                Copies = silo == A ? [.. _copies.Values] : [], Draining = _draining.Contains(silo),
            },
            _now);
    }

    private bool IsDropped(SiloId silo, CopyReport copy) =>
        _told.TryGetValue(silo, out List<PartitionCommand>? told) && told.Contains(PartitionCommand.Drop(copy.Partition, copy.Copy));
}
