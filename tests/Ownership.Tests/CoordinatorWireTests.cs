namespace OrleansCache.Ownership.Tests;

/// <summary>
/// Which wire version the silos agree on, and who is given partitions meanwhile: whatever of it is done too early has a silo get what it cannot read.
/// </summary>
public sealed class CoordinatorWireTests : ICoordinatorEnvironment
{
    private const int Partitions = 8;
    private static readonly SiloId A = SiloId.Create("127.0.0.1:1", 1);
    private static readonly SiloId B = SiloId.Create("127.0.0.1:2", 2);
    private static readonly SiloId C = SiloId.Create("127.0.0.1:3", 3);
    private static readonly HashSeed Seed = new(1, 1);
    private readonly Dictionary<SiloId, SyncRequest> _asked = [];
    private readonly Dictionary<SiloId, PartitionTable> _known = [];
    private readonly List<int> _agreed = [];
    private Coordinator _coordinator;
    private long _now;

    public CoordinatorWireTests() => _coordinator = new Coordinator(A, Partitions, this, 1) { Pace = 0 };

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void TheFirstTableHasWhatAllSpeakAtOnce(byte speaks)
    {
        _coordinator.OnMembership(1, [A, B], _now);
        Answer(A, 1, 2);
        Answer(B, 1, speaks);
        Assert.Equal(speaks, _coordinator.Table.WireVersion);
        Assert.Empty(_agreed);
    }

    [Fact]
    public void ASiloThatSpeaksLessLowersItAndGetsNothingBeforeAllHaveATableThatSaysSo()
    {
        Found(2, A, B);
        _coordinator.OnMembership(2, [A, B, C], _now);
        Answer(C, 2, speaks: 1);
        Assert.Equal(1, _coordinator.Table.WireVersion);
        Assert.Equal([1], _agreed);

        PartitionTable former = _known[B];
        for (int round = 0; round < 3; round++)
        {
            Answer(A, 2, 2);
            Answer(B, 2, 2, knows: former); // what it was sent was lost on its way
            Answer(C, 2, 1);
        }

        Assert.Equal((0, 0), (_coordinator.MovesUnderWay, CountOfCopiesAt(C)));
        Assert.Equal((1, 1), (_known[A].WireVersion, _known[C].WireVersion));

        Answer(B, 2, 2);
        Assert.True(_coordinator.MovesUnderWay > 0);
        Answer(A, 2, 2);
        Answer(B, 2, 2);
        Assert.True(CountOfCopiesAt(C) > 0);
    }

    /// <summary>What has been sent may arrive, as long as the silo has not answered to something later.</summary>
    [Fact]
    public void ATableThatIsOnItsWayCountsAsKnown()
    {
        Found(1, A, B);
        _coordinator.OnMembership(2, [A, B], _now);
        Answer(A, 2, 2);
        PartitionTable former = _known[B];
        Answer(B, 3, 2, knows: former); // it hears of the next membership earlier than the coordinator
        Assert.Equal(2, _coordinator.Table.WireVersion);
        Assert.Equal((1, 2), (former.WireVersion, _asked[B].Table!.WireVersion));

        _coordinator.OnMembership(3, [A, B, C], _now);
        for (int round = 0; round < 2; round++)
        {
            Answer(C, 3, speaks: 1);
            Answer(A, 3, 2);
        }

        Assert.Equal(1, _coordinator.Table.WireVersion);
        Assert.Equal((1, 1), (_known[A].WireVersion, _known[C].WireVersion));
        Assert.Equal(0, _coordinator.MovesUnderWay);

        // The first answer is to what is on its way since before, the second to the table that says less.
        Answer(B, 3, 2);
        Assert.Equal((2, 0), (_known[B].WireVersion, _coordinator.MovesUnderWay));
        Answer(B, 3, 2);
        Assert.True(_coordinator.MovesUnderWay > 0);
    }

    [Fact]
    public void ItRisesWhenTheLastThatSpeaksLessIsGoneAndAllKnowThat()
    {
        Found(1, A, B);
        _coordinator.OnMembership(2, [A, B, C], _now);
        Answer(C, 2, 1);
        Answer(A, 2, 2);
        Answer(B, 2, 2);
        Assert.Equal(1, _coordinator.Table.WireVersion);

        _coordinator.OnMembership(3, [A, B], _now);
        Answer(A, 3, 2);
        Answer(B, 2, 2);
        Answer(A, 3, 2);
        Assert.Equal(1, _coordinator.Table.WireVersion);
        Assert.Empty(_agreed);

        Answer(B, 3, 2);
        Assert.Equal(2, _coordinator.Table.WireVersion);
        Assert.Equal([2], _agreed);
    }

    [Fact]
    public void ASiloThatHasNotAnsweredYetMayLowerItAndDoesNotLetItRise()
    {
        Found(1, A, B);
        _coordinator.OnMembership(2, [A, B, C], _now);
        Answer(A, 2, 2);
        Answer(B, 2, 2);
        Answer(A, 2, 2);
        Assert.Equal(1, _coordinator.Table.WireVersion);
        Answer(C, 2, 2);
        Assert.Equal(2, _coordinator.Table.WireVersion);
    }

    [Fact]
    public void ACoordinatorThatSpeaksLessItselfDoesNotSayMore()
    {
        _coordinator.OnMembership(1, [A, B], _now);
        for (int round = 0; round < 3; round++)
        {
            Answer(A, 1, 1);
            Answer(B, 1, 2);
        }

        Assert.Equal(1, _coordinator.Table.WireVersion);
        Assert.Equal(Partitions, _coordinator.Table.AssignedCount);
    }

    /// <summary>It does not know the silo that its predecessor lost, and the others may not know yet that it is gone.</summary>
    [Fact]
    public void ANewCoordinatorGoesOnWithWhatTheSilosWriteAndRaisesItWhenAllKnowTheMembership()
    {
        _coordinator.OnMembership(1, [A, B, C], _now);
        PartitionReport[] held = [.. Enumerable.Range(0, Partitions).Select(static partition => new PartitionReport(partition, PartitionPhase.Active, 5))];
        PartitionTable former = PartitionTable.Create(
            new PartitionTableVersion(1, 1), Seed, [.. Enumerable.Repeat(A, Partitions)], [.. Enumerable.Repeat(5L, Partitions)]);
        Answer(A, 1, 2, former, held);
        Answer(B, 1, 2, former);
        Answer(C, 0, 2, former);
        Assert.True(_coordinator.Recovered);
        Assert.Equal(1, _coordinator.Table.WireVersion);
        Answer(A, 1, 2, held: held);
        Answer(B, 1, 2);
        Assert.Equal(1, _coordinator.Table.WireVersion);
        Answer(C, 1, 2);
        Assert.Equal(2, _coordinator.Table.WireVersion);
    }

    [Fact]
    public void ANewCoordinatorDoesNotSayMoreThanTheSilosSpeakThatHaveJoinedMeanwhile()
    {
        _coordinator.OnMembership(1, [A, B, C], _now);
        PartitionTable former = PartitionTable.Create(
            new PartitionTableVersion(1, 1), Seed, [.. Enumerable.Repeat(A, Partitions)], [.. Enumerable.Repeat(5L, Partitions)], wireVersion: 2);
        PartitionReport[] held = [.. Enumerable.Range(0, Partitions).Select(static partition => new PartitionReport(partition, PartitionPhase.Active, 5))];
        Answer(A, 1, 2, former, held);
        Answer(B, 1, 2, former);
        Answer(C, 1, 1);
        Assert.Equal(1, _coordinator.Table.WireVersion);
        Assert.Equal([1], _agreed);
        Answer(A, 1, 2, held: held);
        Answer(C, 1, 1);
        Answer(B, 1, 2, former);
        Answer(A, 1, 2, held: held);
        Answer(C, 1, 1);
        Assert.Equal(0, CountOfCopiesAt(C));
    }

    void ICoordinatorEnvironment.SendSync(SiloId target, SyncRequest request) => _asked[target] = request;

    void ICoordinatorEnvironment.OnEvent(CoordinatorEvent what, int partition, SiloId silo)
    {
        if (what == CoordinatorEvent.WireVersionAgreed)
            _agreed.Add(partition);
    }

    void ICoordinatorEnvironment.OnProgress()
    {
    }

    PartitionTable ICoordinatorEnvironment.KnownTable => PartitionTable.Unassigned(Partitions);

    void ICoordinatorEnvironment.WakeAt(long milliseconds)
    {
    }

    HashSeed ICoordinatorEnvironment.DrawHashSeed() => Seed;

    /// <summary>A cluster in which A serves everything, and which writes this version.</summary>
    private void Found(byte writes, params SiloId[] silos)
    {
        _coordinator.OnMembership(1, silos, _now);
        for (int round = 0; round < 2; round++)
        {
            foreach (SiloId silo in silos)
                Answer(silo, 1, writes);
        }

        Assert.Equal(writes, _coordinator.Table.WireVersion);
        _agreed.Clear();
    }

    private int CountOfCopiesAt(SiloId silo) => _asked.Values.SelectMany(static request => request.Commands)
        .Count(command => command.Kind == CommandKind.Attach && command.Target == silo);

    /// <summary>
    /// The silo answers what it was asked last, after it has taken the table and done what it was told; <paramref name="knows"/>: it knows only this table.
    /// </summary>
    private void Answer(SiloId silo, long membership, byte speaks, PartitionTable? knows = null, PartitionReport[]? held = null)
    {
        _now += Coordinator.SyncMilliseconds;
        _coordinator.Tick(_now);
        SyncRequest request = _asked[silo];
        if (knows is not null)
            _known[silo] = knows;
        else if (request.Table is { } sent)
            _known[silo] = sent;
        PartitionTable? table = _known.GetValueOrDefault(silo);
        held ??= table is null || _coordinator.Table.Version.Term == 0
            ? [] : [.. Enumerable.Range(0, Partitions).Where(partition => _coordinator.Table.OwnerOf(new PartitionId(partition)) == silo)
                .Select(partition => new PartitionReport(partition, PartitionPhase.Active, _coordinator.Table.EpochOf(new PartitionId(partition))))];
        _coordinator.OnReply(
            new SyncReply
            {
                Silo = silo, Term = request.Term, Sequence = request.Sequence, TableVersion = table?.Version ?? default, HashSeed = table?.HashSeed ?? default,
                Speaks = speaks, TableWireVersion = table?.WireVersion ?? WireVersion.Oldest, MemoryBytes = 64, PartitionCount = Partitions, Replicas = 1,
                MembershipVersion = membership, Partitions = held,
            },
            _now);
    }
}
