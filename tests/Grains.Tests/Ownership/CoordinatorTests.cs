using OrleansCache.Grains.Ownership;

namespace OrleansCache.Grains.Tests.Ownership;

public sealed class CoordinatorTests : ICoordinatorEnvironment
{
    private const int Partitions = 8;
    private static readonly SiloId A = SiloId.Create("127.0.0.1:1", 1);
    private static readonly SiloId B = SiloId.Create("127.0.0.1:2", 2);
    private readonly Dictionary<SiloId, SyncRequest> _asked = [];
    private long _now;

    [Fact]
    public void ANewSiloGetsNothingBeforeEverySiloSeesItInItsMembership()
    {
        var coordinator = new Coordinator(A, Partitions, this);
        coordinator.OnMembership(1, [A], _now);
        Answer(coordinator, A, membership: 1, held: []);
        PartitionReport[] all = [.. Enumerable.Range(0, Partitions).Select(p => new PartitionReport(p, PartitionPhase.Active, coordinator.Table.EpochOf(new PartitionId(p)), 0, SendState.None))];
        Assert.Equal(Partitions, coordinator.Table.CountOf(A));
        Answer(coordinator, A, membership: 1, held: all);

        coordinator.OnMembership(2, [A, B], _now);
        Answer(coordinator, A, membership: 1, held: all);
        Answer(coordinator, B, membership: 2, held: []);
        Answer(coordinator, A, membership: 1, held: all);
        Assert.Equal(0, coordinator.MovesUnderWay);
        Assert.Equal(2, _asked[A].MembershipVersion);

        Answer(coordinator, A, membership: 2, held: all);
        Assert.Equal(1, coordinator.MovesUnderWay);
    }

    void ICoordinatorEnvironment.SendSync(SiloId target, SyncRequest request) => _asked[target] = request;

    void ICoordinatorEnvironment.OnEvent(CoordinatorEvent what, int partition, SiloId silo)
    {
    }

    void ICoordinatorEnvironment.OnFlushProgress()
    {
    }

    private void Answer(Coordinator coordinator, SiloId silo, long membership, PartitionReport[] held)
    {
        _now += Coordinator.SyncMilliseconds;
        coordinator.Tick(_now);
        SyncRequest request = _asked[silo];
        coordinator.OnReply(
            new SyncReply
            {
                Silo = silo, Term = request.Term, Sequence = request.Sequence, TableVersion = default, MemoryBytes = 64, PartitionCount = Partitions,
                MembershipVersion = membership, Partitions = held,
            },
            _now);
    }
}
