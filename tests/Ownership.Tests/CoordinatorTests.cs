using OrleansCache.Ownership.Routing;

namespace OrleansCache.Ownership.Tests;

public sealed class CoordinatorTests : ICoordinatorEnvironment
{
    private const int Partitions = 8;
    private static readonly SiloId A = SiloId.Create("127.0.0.1:1", 1);
    private static readonly SiloId B = SiloId.Create("127.0.0.1:2", 2);
    private static readonly SiloId C = SiloId.Create("127.0.0.1:3", 3);
    private static readonly HashSeed Drawn = new(1, 1);
    private static readonly HashSeed Known = new(2, 2);
    private static readonly HashSeed Other = new(3, 3);
    private readonly Dictionary<SiloId, SyncRequest> _asked = [];
    private readonly List<(CoordinatorEvent What, SiloId Silo)> _events = [];
    private int _draws;
    private long _now;

    [Fact]
    public void ANewSiloGetsNothingBeforeEverySiloSeesItInItsMembership()
    {
        var coordinator = new Coordinator(A, Partitions, this) { Pace = 0 };
        PartitionReport[] all = Found(coordinator);

        coordinator.OnMembership(2, [A, B], _now);
        Answer(coordinator, A, membership: 1, held: all, Drawn);
        Answer(coordinator, B, membership: 2, held: [], Drawn);
        Answer(coordinator, A, membership: 1, held: all, Drawn);
        Assert.Equal(0, coordinator.MovesUnderWay);
        Assert.Equal(2, _asked[A].MembershipVersion);

        Answer(coordinator, A, membership: 2, held: all, Drawn);
        Assert.Equal(Coordinator.CopiesUnderWayMax, coordinator.MovesUnderWay);
    }

    [Fact]
    public void ANewSiloGetsNothingBeforeItKnowsTheSeed()
    {
        var coordinator = new Coordinator(A, Partitions, this) { Pace = 0 };
        PartitionReport[] all = Found(coordinator);

        coordinator.OnMembership(2, [A, B], _now);
        Answer(coordinator, A, membership: 2, held: all, Drawn);
        Answer(coordinator, B, membership: 2, held: []);
        Answer(coordinator, A, membership: 2, held: all, Drawn);
        Assert.Equal(0, coordinator.MovesUnderWay);
        Assert.Equal(Drawn, _asked[B].Table!.HashSeed);

        Answer(coordinator, B, membership: 2, held: [], Drawn);
        Assert.Equal(Coordinator.CopiesUnderWayMax, coordinator.MovesUnderWay);
    }

    [Fact]
    public void TheFirstCoordinatorDrawsTheSeedAndALaterOneFindsItInAnyAnswer()
    {
        var coordinator = new Coordinator(A, Partitions, this) { Pace = 0 };
        Found(coordinator);
        Assert.Equal((1, Drawn), (_draws, coordinator.Table.HashSeed));

        var next = new Coordinator(B, Partitions, this) { Pace = 0 };
        next.OnMembership(3, [B, C], _now);
        Answer(next, B, membership: 3, held: []);
        Answer(next, C, membership: 3, held: [], Known);
        Assert.True(next.Recovered);
        Assert.Equal((1, Known), (_draws, next.Table.HashSeed));

        // Not even its own: what no silo knows any more is gone.
        coordinator.OnMembership(4, [], _now);
        coordinator.OnMembership(5, [A], _now);
        Answer(coordinator, A, membership: 5, held: [], Other);
        Assert.Equal((1, Other), (_draws, coordinator.Table.HashSeed));
    }

    /// <summary>It cannot come to this. If it does, the smaller part of the items goes.</summary>
    [Fact]
    public void WhenSilosReportTwoSeedsTheOneOfMostPartitionsStaysAndTheOthersGetNothing()
    {
        var coordinator = new Coordinator(A, Partitions, this) { Pace = 0 };
        coordinator.OnMembership(1, [A, B, C], _now);
        Answer(coordinator, A, membership: 1, held: [Active(0, 1)], Other);
        Answer(coordinator, B, membership: 1, held: [Active(1, 1), Active(2, 1)], Known);
        Answer(coordinator, C, membership: 1, held: []);
        Assert.Equal((0, Known), (_draws, coordinator.Table.HashSeed));

        // What nobody serves may be somebody's copy: all are asked once more.
        for (int round = 0; round < 3; round++)
        {
            Answer(coordinator, A, membership: 1, held: [Active(0, 1)], Other);
            Answer(coordinator, B, membership: 1, held: [Active(1, 1), Active(2, 1)], Known);
            Answer(coordinator, C, membership: 1, held: []);
        }

        Assert.Equal((0, Partitions), (coordinator.Table.CountOf(A), coordinator.Table.CountOf(B)));

        Answer(coordinator, C, membership: 1, held: [], Known);
        Answer(coordinator, A, membership: 1, held: [Active(0, 1)], Other);
        Answer(coordinator, A, membership: 1, held: [], Other);
        Assert.Equal((0, Partitions), (coordinator.Table.CountOf(A), coordinator.Table.AssignedCount));
        Assert.Empty(_asked[A].Commands);
        Assert.Equal(Known, _asked[A].Table!.HashSeed);
        Assert.Single(_events, (CoordinatorEvent.HashSeedDiffers, A));
    }

    /// <summary>A coordinator that is cut off serves reads, like the silos that hear only it, until the last lease that it gave is over.</summary>
    [Fact]
    public void ContactWithMoreThanHalfOfTheSilosOrTheMembershipAllowsLeasesForTwoRounds()
    {
        var coordinator = new Coordinator(A, Partitions, this) { Pace = 0 };
        coordinator.OnMembership(1, [A, B, C], _now);
        Answer(coordinator, A, membership: 1, held: []);
        Assert.False(coordinator.GrantsLeases(_now));
        Answer(coordinator, B, membership: 1, held: []);
        Assert.True(coordinator.GrantsLeases(_now));
        Assert.False(coordinator.GrantsLeases(_now + Coordinator.ContactMilliseconds + 1));

        coordinator.OnMembershipConfirmed(_now + 5000);
        Assert.True(coordinator.GrantsLeases(_now + 5000 + Coordinator.ContactMilliseconds));
        Assert.False(coordinator.GrantsLeases(_now + 5000 + Coordinator.ContactMilliseconds + 1));

        // docs/decisions/0020.
        Assert.True(FreezeDetector.LeaseLength.TotalMilliseconds + Coordinator.ContactMilliseconds <= 6000);
    }

    void ICoordinatorEnvironment.SendSync(SiloId target, SyncRequest request) => _asked[target] = request;

    void ICoordinatorEnvironment.OnEvent(CoordinatorEvent what, int partition, SiloId silo) => _events.Add((what, silo));

    void ICoordinatorEnvironment.OnProgress()
    {
    }

    PartitionTable ICoordinatorEnvironment.KnownTable => PartitionTable.Unassigned(Partitions);

    void ICoordinatorEnvironment.WakeAt(long milliseconds)
    {
    }

    HashSeed ICoordinatorEnvironment.DrawHashSeed()
    {
        _draws++;
        return Drawn;
    }

    private static PartitionReport Active(int partition, long epoch) => new(partition, PartitionPhase.Active, epoch);

    /// <summary>A cluster of silo A alone; returns what A reports once it serves everything.</summary>
    private PartitionReport[] Found(Coordinator coordinator)
    {
        coordinator.OnMembership(1, [A], _now);
        Answer(coordinator, A, membership: 1, held: []);
        Assert.Empty(_asked[A].Commands);
        Answer(coordinator, A, membership: 1, held: [], Drawn);
        Assert.Equal(Partitions, coordinator.Table.CountOf(A));
        PartitionReport[] all =
            [.. Enumerable.Range(0, Partitions).Select(partition => Active(partition, coordinator.Table.EpochOf(new PartitionId(partition))))];
        Answer(coordinator, A, membership: 1, held: all, Drawn);
        return all;
    }

    private void Answer(Coordinator coordinator, SiloId silo, long membership, PartitionReport[] held, HashSeed seed = default)
    {
        _now += Coordinator.SyncMilliseconds;
        coordinator.Tick(_now);
        SyncRequest request = _asked[silo];
        coordinator.OnReply(
            new SyncReply
            {
                Silo = silo, Term = request.Term, Sequence = request.Sequence, TableVersion = default, HashSeed = seed, MemoryBytes = 64,
                PartitionCount = Partitions,
                MembershipVersion = membership, Partitions = held,
            },
            _now);
    }
}
