namespace OrleansCache.Ownership.Tests;

/// <summary>When a coordinator begins what moves partitions: not at once, because clients' requests need the same processors and connections.</summary>
public sealed class CoordinatorPaceTests : ICoordinatorEnvironment
{
    private const int Partitions = 8;
    private static readonly SiloId A = SiloId.Create("127.0.0.1:1", 1);
    private static readonly SiloId B = SiloId.Create("127.0.0.1:2", 2);
    private static readonly HashSeed Seed = new(1, 1);
    private readonly Dictionary<SiloId, SyncRequest> _asked = [];
    private readonly HashSet<SiloId> _isAsked = [];
    private readonly Coordinator _coordinator;
    private long _now = 1_000_000;
    private long _wakeAt;
    private SiloId _draining;

    /// <summary>Silo A serves everything.</summary>
    public CoordinatorPaceTests()
    {
        _coordinator = new Coordinator(A, Partitions, this);
        _coordinator.OnMembership(1, [A], _now);
        AnswerAll();
        Wake();
        Assert.Equal(Partitions, _coordinator.Table.CountOf(A));
    }

    [Fact]
    public void ASiloThatJoinsGetsNothingForAMomentAndThenWithoutFurtherNews()
    {
        Join();
        long joined = _now;
        while (_now < joined + Coordinator.SettleMilliseconds)
        {
            Assert.Equal(0, _coordinator.MovesUnderWay);
            Wake();
        }

        Assert.Equal((joined + Coordinator.SettleMilliseconds, Coordinator.CopiesUnderWayMax), (_now, _coordinator.MovesUnderWay));
    }

    /// <summary>It may have been a member for long, and the partitions of a silo that is lost with the coordinator cannot wait.</summary>
    [Fact]
    public void ASiloThatANewCoordinatorFindsIsNotNewToIt()
    {
        var next = new Coordinator(B, Partitions, this);
        next.OnMembership(2, [A, B], _now);
        next.OnMembership(3, [B], _now);
        Answer(next, B, membership: 3);
        Answer(next, B, membership: 3);
        _now = _wakeAt;
        next.Tick(_now);
        Assert.Equal(Partitions, next.Table.CountOf(B));
    }

    [Fact]
    public void WhatIsBegunWaitsForTheNextRound()
    {
        Join();
        while (_coordinator.MovesUnderWay == 0)
            Wake();
        long planned = _now;
        Assert.Equal(0, Attached);

        _now++;
        _coordinator.OnNudge(A, _now);
        AnswerAll();
        Assert.Equal(0, Attached);
        Assert.Equal(planned + Coordinator.PaceMilliseconds, _wakeAt);
        Wake();
        Assert.Equal(4, Attached);
    }

    [Theory]
    [InlineData(60, 120)]
    [InlineData(2_000, Coordinator.PaceMillisecondsMax)]
    public void WhereSilosAnswerSlowlyRoundsAreFewer(int answerMilliseconds, int pace)
    {
        Join();
        while (_coordinator.MovesUnderWay == 0)
            Wake();
        long planned = _now;
        _coordinator.OnNudge(A, _now);
        _now += answerMilliseconds;
        AnswerAll(rounds: 1);
        if (answerMilliseconds > pace)
            planned = _now;
        _now++;
        _coordinator.Tick(_now);
        Assert.Equal(planned + pace, _wakeAt);
    }

    [Fact]
    public void ASiloThatLeavesIsNotHeldUpByOneThatAnswersSlowly()
    {
        Join();
        while (_coordinator.MovesUnderWay == 0)
            Wake();
        _draining = B;
        _coordinator.OnNudge(B, _now);
        AnswerAll();
        _coordinator.OnNudge(A, _now);
        _now += 2_000;
        AnswerAll(rounds: 1);
        long planned = _now;
        _now++;
        _coordinator.Tick(_now);
        Assert.Equal(planned + Coordinator.PaceMilliseconds, _wakeAt);
    }

    void ICoordinatorEnvironment.SendSync(SiloId target, SyncRequest request)
    {
        _asked[target] = request;
        _isAsked.Add(target);
        Attached += request.Commands.Count(static command => command.Kind == CommandKind.Attach);
    }

    void ICoordinatorEnvironment.WakeAt(long milliseconds) => _wakeAt = milliseconds;

    void ICoordinatorEnvironment.OnEvent(CoordinatorEvent what, int partition, SiloId silo)
    {
    }

    void ICoordinatorEnvironment.OnProgress()
    {
    }

    HashSeed ICoordinatorEnvironment.DrawHashSeed() => Seed;

    PartitionTable ICoordinatorEnvironment.KnownTable => PartitionTable.Unassigned(Partitions);

    /// <summary>Copies that silos were told to begin.</summary>
    private int Attached { get; set; }

    private void Join()
    {
        _coordinator.OnMembership(2, [A, B], _now);
        AnswerAll();
    }

    /// <summary>Time passes until the coordinator wants to go on; the silos answer at once.</summary>
    private void Wake()
    {
        Assert.True(_wakeAt > _now, "the coordinator does not want to be woken");
        _now = _wakeAt;
        _coordinator.Tick(_now);
        AnswerAll();
    }

    private void AnswerAll(int rounds = 20)
    {
        for (int round = 0; round < rounds; round++)
        {
            SiloId[] silos = [.. _isAsked];
            _isAsked.Clear();
            foreach (SiloId silo in silos)
                Answer(_coordinator, silo, membership: 2);
        }
    }

    /// <summary>The silo says that it serves what the table says.</summary>
    private void Answer(Coordinator coordinator, SiloId silo, long membership)
    {
        SyncRequest request = _asked[silo];
        List<PartitionReport> held = [];
        for (int partition = 0; partition < Partitions && coordinator.Recovered; partition++)
        {
            var id = new PartitionId(partition);
            if (coordinator.Table.OwnerOf(id) == silo)
                held.Add(new PartitionReport(partition, PartitionPhase.Active, coordinator.Table.EpochOf(id)));
        }

        coordinator.OnReply(
            new SyncReply
            {
                Silo = silo, Term = request.Term, Sequence = request.Sequence, TableVersion = coordinator.Table.Version,
                HashSeed = coordinator.Recovered ? Seed : default, MemoryBytes = 64, PartitionCount = Partitions, MembershipVersion = membership,
                Partitions = held, Draining = silo == _draining,
            },
            _now);
    }
}
