namespace OrleansCache.Ownership.Tests;

/// <summary>What becomes of the partitions of a lost owner, and how copies go, step by step: what each silo is told, given what all have answered.</summary>
public sealed class CoordinatorElectionTests : ICoordinatorEnvironment
{
    private const int Replicas = 2;
    private static readonly SiloId A = SiloId.Create("127.0.0.1:1", 1);
    private static readonly SiloId B = SiloId.Create("127.0.0.1:2", 2);
    private static readonly SiloId C = SiloId.Create("127.0.0.1:3", 3);
    private static readonly SiloId D = SiloId.Create("127.0.0.1:4", 4);
    private static readonly HashSeed Seed = new(1, 1);
    private readonly Dictionary<SiloId, SyncRequest> _asked = [];
    private readonly Dictionary<SiloId, (PartitionReport[] Held, CopyReport[] Copies)> _state = [];
    private readonly List<(CoordinatorEvent What, SiloId Silo)> _events = [];
    private readonly Coordinator _coordinator;
    private long _membership;
    private long _now;

    /// <summary>One partition: C serves it in epoch 10, A and B have complete copies, D has nothing.</summary>
    public CoordinatorElectionTests()
    {
        _coordinator = new Coordinator(A, 1, this, Replicas) { Pace = 0 };
        Holds(A, [new PartitionReport(0, PartitionPhase.Replica, 11, Position: 5)]);
        Holds(B, [new PartitionReport(0, PartitionPhase.Replica, 12, Position: 5)]);
        Holds(C, [new PartitionReport(0, PartitionPhase.Active, 10)], [new CopyReport(0, 11, A, CopyState.Synced), new CopyReport(0, 12, B, CopyState.Synced)]);
        Holds(D, []);
        Members(A, B, C, D);
        AnswerAll();
        AnswerAll();
        Assert.True(_coordinator.Recovered);
        Assert.Equal(C, _coordinator.Table.OwnerOf(new PartitionId(0)));
        Assert.Empty(CommandsTo(A).Concat(CommandsTo(B)).Concat(CommandsTo(C)).Concat(CommandsTo(D)));
    }

    [Fact]
    public void EqualReplicasStayWithTheOneThatIsPromotedUnderNumbersAboveItsEpoch()
    {
        Lose(C);
        AnswerAll();
        PartitionCommand[] commands = [.. CommandsTo(A).Concat(CommandsTo(B))];
        Assert.Equal([CommandKind.Promote, CommandKind.Retain], commands.Select(static command => command.Kind));
        SiloId winner = CommandsTo(A).Any() ? A : B;
        PartitionCommand promote = commands[0], retain = commands[1];
        Assert.True(promote.MoveEpoch > 12 && retain.MoveEpoch > promote.MoveEpoch);
        Assert.Equal((promote.MoveEpoch, winner == A ? 12 : 11, winner == A ? B : A), (retain.Epoch, retain.Copy, retain.Target));

        CopyReport kept = new(0, retain.MoveEpoch, retain.Target, CopyState.Synced);
        Holds(winner, [new PartitionReport(0, PartitionPhase.Active, promote.MoveEpoch)], [kept]);
        Holds(retain.Target, [new PartitionReport(0, PartitionPhase.Replica, retain.MoveEpoch, Position: 5)]);
        AnswerAll();
        Assert.Equal((winner, promote.MoveEpoch), (_coordinator.Table.OwnerOf(new PartitionId(0)), _coordinator.Table.EpochOf(new PartitionId(0))));
        Assert.Contains((CoordinatorEvent.Promoted, winner), _events);

        // And the third copy is made again; the owner of this test never says that it has begun, so it is told again when the former try is off.
        for (int answers = 0; answers < 24 && CommandsTo(winner).Count == 0; answers++)
            Answer(_members[answers % _members.Length]);
        Assert.Equal((CommandKind.Attach, D), CommandsTo(winner).Select(static command => (command.Kind, command.Target)).Single());
    }

    [Fact]
    public void NobodyIsElectedBeforeAllConcernedHaveAnsweredInTheMembershipWithoutTheOwner()
    {
        Lose(C);
        for (int round = 0; round < 4; round++)
        {
            Answer(A);
            Answer(B, membership: 1);
        }

        Assert.Empty(CommandsTo(A).Concat(CommandsTo(B)));
        AnswerAll();
        Assert.NotEmpty(CommandsTo(A).Concat(CommandsTo(B)));
    }

    [Fact]
    public void TheMostAdvancedWinsAndTheOtherIsDroppedBefore()
    {
        Holds(B, [new PartitionReport(0, PartitionPhase.Replica, 12, Position: 6)]);
        Lose(C);
        AnswerAll();
        Assert.Equal([PartitionCommand.Drop(0, 11)], CommandsTo(A));
        Assert.Empty(CommandsTo(B));
        AnswerAll();
        Assert.Empty(CommandsTo(B));

        Holds(A, []);
        AnswerAll();
        Assert.Equal((CommandKind.Promote, 12L), CommandsTo(B).Select(static command => (command.Kind, command.Epoch)).Single());
    }

    [Fact]
    public void ACopyThatIsNotCompleteIsDroppedAndNeverPromoted()
    {
        Holds(A, [new PartitionReport(0, PartitionPhase.Copying, 11)]);
        Holds(B, [new PartitionReport(0, PartitionPhase.Replica, 9, Position: 50)]); // of a former epoch
        Lose(C);
        AnswerAll();
        AnswerAll();
        SiloId owner = _coordinator.Table.OwnerOf(new PartitionId(0));
        Assert.False(owner.IsNone);
        Assert.Contains((CoordinatorEvent.Reassigned, owner), _events);
        Assert.Contains(CommandsTo(owner), command => command.Kind == CommandKind.Assign && command.Epoch > 12);
        Assert.DoesNotContain(_events, static told => told.What == CoordinatorEvent.Promoted);
    }

    [Fact]
    public void WhenTheWinnerIsLostTooTheOtherTakesOver()
    {
        Lose(C);
        AnswerAll();
        SiloId winner = CommandsTo(A).Any() ? A : B;
        if (winner == A)
        {
            // The coordinator itself: somebody else's business.
            return;
        }

        Lose(B);
        AnswerAll();
        Assert.Equal((CommandKind.Promote, 11L), CommandsTo(A).Select(static command => (command.Kind, command.Epoch)).Single());
    }

    [Fact]
    public void ACopyTooManyIsDroppedWhereItIsBeforeTheOwnerIsToldToDetachIt()
    {
        Holds(D, [new PartitionReport(0, PartitionPhase.Replica, 13, Position: 5)]);
        CopyReport[] copies = [.. _state[C].Copies, new CopyReport(0, 13, D, CopyState.Synced)];
        Holds(C, _state[C].Held, copies);
        Restart();
        (SiloId silo, PartitionCommand drop) = Assert.Single(Told(CommandKind.Drop));
        Assert.Empty(Told(CommandKind.Detach));
        AnswerAll();
        Assert.Empty(Told(CommandKind.Detach));

        Holds(silo, []);
        AnswerAll();
        Assert.Equal([(C, PartitionCommand.Detach(0, 10, drop.Epoch))], Told(CommandKind.Detach));
    }

    [Fact]
    public void ACompleteCopyThatHasFailedIsDroppedDetachedAndMadeAgainElsewhere()
    {
        Holds(C, _state[C].Held, [new CopyReport(0, 11, A, CopyState.Failed), new CopyReport(0, 12, B, CopyState.Synced)]);
        AnswerAll();
        Assert.Equal([(A, PartitionCommand.Drop(0, 11))], Told(CommandKind.Drop));
        Assert.Empty(Told(CommandKind.Detach));
        Holds(A, []);
        AnswerAll();
        Assert.Equal([(C, PartitionCommand.Detach(0, 10, 11))], Told(CommandKind.Detach));
        for (int i = 0; i < 5; i++)
            AnswerAll();
        Assert.Equal([C], Told(CommandKind.Attach).Select(static told => told.Silo).Distinct());
    }

    [Fact]
    public void AMoveMakesACopyThenTheOwnerYieldsAndTheTargetIsPromoted()
    {
        (SiloId target, PartitionCommand yield) = MoveUntilItYields();
        Assert.Empty(Told(CommandKind.Promote));
        Holds(C, [new PartitionReport(0, PartitionPhase.Replica, yield.Copy, Position: 5)], [], isDraining: true);

        // Clients wait: nobody is asked once more but the target, when it is told.
        Answer(C);
        Answer(target);
        (SiloId promoted, PartitionCommand promote) = Assert.Single(Told(CommandKind.Promote));
        Assert.Equal(target, promoted);
        Assert.InRange(promote.MoveEpoch, promote.Epoch + 1, yield.Copy - 1);
        List<(SiloId Silo, PartitionCommand Command)> retained = Told(CommandKind.Retain);
        Assert.Equal(_members.Where(silo => silo != target && _state[silo].Held.Length > 0), retained.Select(static told => told.Command.Target).Order());
        Assert.All(retained, told => Assert.True(told.Command.MoveEpoch > promote.MoveEpoch));

        // What the source has become counts already, so the target need not wait before it serves.
        PartitionCommand source = retained.Single(static told => told.Command.Target == C).Command;
        Assert.Equal((yield.Copy, yield.Copy), (source.Copy, source.MoveEpoch));

        // The other replica gets its new number while the target serves.
        PartitionCommand other = retained.Single(static told => told.Command.Target != C).Command;
        Assert.True(other.MoveEpoch > yield.Copy);
        CopyReport[] copies = [new(0, yield.Copy, C, CopyState.Synced), new(0, other.MoveEpoch, other.Target, CopyState.Synced)];
        Holds(target, [new PartitionReport(0, PartitionPhase.Active, promote.MoveEpoch)], copies);
        Answer(target);
        PartitionCommand attach = CommandsTo(target).Single(static command => command.Kind == CommandKind.Attach);
        Holds(target, _state[target].Held, [.. copies, new CopyReport(0, attach.Copy, attach.Target, CopyState.Synced)]);
        Holds(attach.Target, [new PartitionReport(0, PartitionPhase.Replica, attach.Copy, Position: 5)]);
        AnswerAll();
        Assert.Empty(Told(CommandKind.Drop));

        // Only then it counts, and the source, which leaves, is not needed any more.
        Holds(other.Target, [new PartitionReport(0, PartitionPhase.Replica, other.MoveEpoch, Position: 5)]);
        AnswerAll();
        Assert.Equal(C, Assert.Single(Told(CommandKind.Drop)).Silo);

        // Another number means nothing.
        Holds(other.Target, [new PartitionReport(0, PartitionPhase.Replica, promote.MoveEpoch, Position: 5)]);
        AnswerAll();
        Assert.Contains(Told(CommandKind.Drop), told => told.Silo == other.Target);
    }

    /// <summary>It may have gone on without that silo's copy, which must not be promoted then, and this coordinator does not know yet whose that is.</summary>
    [Fact]
    public void AnOwnerThatYieldsAndKnowsOfALossIsNoProofThatTheTargetHasEverything()
    {
        (SiloId target, PartitionCommand yield) = MoveUntilItYields();
        Holds(C, [new PartitionReport(0, PartitionPhase.Replica, yield.Copy, Position: 6)], [], isDraining: true);
        foreach (SiloId other in _members.Where(silo => silo != C && silo != target && _state[silo].Held.Length > 0))
            Holds(other, [_state[other].Held[0] with { Position = 6 }]);
        Answer(C, _membership + 1);
        Answer(target);
        Assert.Empty(Told(CommandKind.Promote));

        // Asked once more, the target says that it lacks something.
        AnswerAll();
        Assert.Empty(Told(CommandKind.Promote));
        Assert.Equal(CommandKind.Drop, Assert.Single(CommandsTo(target)).Kind);
    }

    private (SiloId Target, PartitionCommand Yield) MoveUntilItYields()
    {
        Holds(C, _state[C].Held, _state[C].Copies, isDraining: true);
        AnswerAll();
        AnswerAll();
        SiloId target = _events.Last(static told => told.What == CoordinatorEvent.MoveStarted).Silo;
        Assert.NotEqual(C, target);
        if (target == D)
        {
            PartitionCommand attach = CommandsTo(C).Single(command => command.Kind == CommandKind.Attach && command.Target == D);
            Holds(C, _state[C].Held, [.. _state[C].Copies, new CopyReport(0, attach.Copy, D, CopyState.Synced)], isDraining: true);
            Holds(D, [new PartitionReport(0, PartitionPhase.Replica, attach.Copy, Position: 5)]);
            AnswerAll();
        }

        PartitionCommand yield = CommandsTo(C).Single(static command => command.Kind == CommandKind.Yield);
        Holds(C, [new PartitionReport(0, PartitionPhase.Sealed, 10, yield.Copy)], _state[C].Copies, isDraining: true);
        AnswerAll();
        return (target, yield);
    }

    /// <summary>Otherwise the partition would be in nobody's memory file.</summary>
    [Fact]
    public void WhenAllLeaveTheyWaitForWhatIsBeingHandedOver()
    {
        foreach (SiloId silo in _members)
            Holds(silo, _state[silo].Held, _state[silo].Copies, isDraining: true);
        AnswerAll();
        Assert.All(_members, silo => Assert.True(_asked[silo].NobodyTakesOver));

        Holds(C, [new PartitionReport(0, PartitionPhase.Sealed, 10, 20)], _state[C].Copies, isDraining: true);
        AnswerAll();
        Assert.All(_members, silo => Assert.False(_asked[silo].NobodyTakesOver));
        Holds(C, [new PartitionReport(0, PartitionPhase.Replica, 20, Position: 5)], [], isDraining: true);
        AnswerAll();
        Assert.All(_members, silo => Assert.False(_asked[silo].NobodyTakesOver));

        (SiloId promoted, PartitionCommand promote) = Assert.Single(Told(CommandKind.Promote));
        Holds(promoted, [new PartitionReport(0, PartitionPhase.Active, promote.MoveEpoch)], isDraining: true);
        AnswerAll();
        Assert.All(_members, silo => Assert.True(_asked[silo].NobodyTakesOver));
    }

    void ICoordinatorEnvironment.SendSync(SiloId target, SyncRequest request) => _asked[target] = request;

    void ICoordinatorEnvironment.OnEvent(CoordinatorEvent what, int partition, SiloId silo) => _events.Add((what, silo));

    void ICoordinatorEnvironment.OnProgress()
    {
    }

    void ICoordinatorEnvironment.WakeAt(long milliseconds)
    {
    }

    HashSeed ICoordinatorEnvironment.DrawHashSeed() => Seed;

    PartitionTable ICoordinatorEnvironment.KnownTable => PartitionTable.Unassigned(1);

    private readonly HashSet<SiloId> _draining = [];
    private SiloId[] _members = [];

    private void Holds(SiloId silo, PartitionReport[] held, CopyReport[]? copies = null, bool isDraining = false)
    {
        _state[silo] = (held, copies ?? []);
        if (isDraining)
            _draining.Add(silo);
    }

    private void Members(params SiloId[] silos)
    {
        _members = silos;
        _coordinator.OnMembership(++_membership, silos, _now);
    }

    /// <summary>Another term of the same coordinator, which learns everything anew.</summary>
    private void Restart()
    {
        SiloId[] members = _members;
        _coordinator.OnMembership(++_membership, [B], _now);
        Members(members);
        AnswerAll();
        AnswerAll();
    }

    private void Lose(SiloId silo) => Members([.. _members.Where(member => member != silo)]);

    private IReadOnlyList<PartitionCommand> CommandsTo(SiloId silo) => _asked[silo].Commands;

    private List<(SiloId Silo, PartitionCommand Command)> Told(CommandKind kind) =>
        [.. _members.SelectMany(silo => CommandsTo(silo).Where(command => command.Kind == kind).Select(command => (silo, command)))];

    /// <summary>All silos answer what they were asked last, a few times: so what each is told now goes by what all have said.</summary>
    private void AnswerAll()
    {
        for (int round = 0; round < 4; round++)
        {
            foreach (SiloId silo in _members)
                Answer(silo);
        }
    }

    private void Answer(SiloId silo, long? membership = null)
    {
        _now += Coordinator.SyncMilliseconds;
        _coordinator.Tick(_now);
        SyncRequest request = _asked[silo];
        (PartitionReport[] held, CopyReport[] copies) = _state[silo];
        _coordinator.OnReply(
            new SyncReply
            {
                Silo = silo, Term = request.Term, Sequence = request.Sequence, TableVersion = default, HashSeed = Seed, MemoryBytes = 64,
                PartitionCount = 1, Replicas = Replicas, MembershipVersion = membership ?? _membership, Partitions = held, Copies = copies,
                Draining = _draining.Contains(silo),
            },
            _now);
    }
}
