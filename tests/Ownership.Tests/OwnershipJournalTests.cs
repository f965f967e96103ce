namespace OrleansCache.Ownership.Tests;

/// <summary>What an operator is told: few lines, with the right figures.</summary>
public sealed class OwnershipJournalTests
{
    private static readonly SiloId A = SiloId.Create("10.0.0.1:11111", 1);
    private static readonly SiloId B = SiloId.Create("10.0.0.2:11111", 2);
    private static readonly SiloId C = SiloId.Create("10.0.0.3:11111", 3);

    private static readonly HashSeed Seed = HashSeed.Random();

    private readonly OwnershipJournal _journal = new(A);

    [Fact]
    public void MovesThatFollowEachOtherAreOneEntry()
    {
        _journal.OnSilos(Silos(1, (A, "a"), (B, "b")));
        for (int partition = 0; partition < 3; partition++)
        {
            _journal.OnOpened(partition, 1000, AllAreMembers, 100 + (partition * 500));
        }

        Assert.Empty(_journal.Take(1100 + OwnershipJournal.QuietMilliseconds - 1));
        Assert.Equal([new JournalEntry(JournalKind.TakenOver, "", 2, 3, 3000, 1.0)], _journal.Take(1100 + OwnershipJournal.QuietMilliseconds));
        Assert.Empty(_journal.Take(10_000));
        Assert.Equal((3, 3000), _journal.TotalIn);
    }

    [Fact]
    public void TheEndOfTheSiloTellsWhatIsOpen()
    {
        _journal.OnSilos(Silos(1, (A, "a"), (B, "b")));
        _journal.OnHandedOver(300, 0);
        _journal.OnHandedOver(200, 200);

        Assert.Equal([new JournalEntry(JournalKind.HandedOver, "", 2, 2, 500, 0.2)], _journal.Take(201, isEnd: true));
    }

    [Fact]
    public void TheLongestPauseOfAHandOverIsToldFromTheSealToTheTableOfTheNewOwner()
    {
        _journal.OnSilos(Silos(1, (A, "a"), (B, "b")));
        PartitionTable before = Table(1, A, A, A);
        _journal.OnTable(PartitionTable.Unassigned(3), before, 0);
        _journal.OnSealed(0, 100);
        _journal.OnHandedOver(10, 105);
        _journal.OnSealed(1, 110);
        _journal.OnHandedOver(10, 120);

        // This one stays after all.
        _journal.OnSealed(2, 111);
        _journal.OnUnsealed(2);
        _journal.OnTable(before, Table(2, B, A, A), 130);
        _journal.OnTable(Table(2, B, A, A), Table(3, B, B, B), 135);
        Assert.Equal(30, Assert.Single(_journal.Take(200, isEnd: true)).LongestPauseMilliseconds);
        Assert.Equal((55, 30), _journal.Pauses);

        // The next burst begins anew, the silo's figures go on.
        _journal.OnTable(Table(3, B, B, B), Table(4, A, B, B), 1000);
        _journal.OnSealed(0, 2000);
        _journal.OnHandedOver(10, 2001);
        _journal.OnTable(Table(4, A, B, B), Table(5, B, B, B), 2010);
        Assert.Equal(10, Assert.Single(_journal.Take(3000, isEnd: true)).LongestPauseMilliseconds);
        Assert.Equal((65, 30), _journal.Pauses);
    }

    [Fact]
    public void APartitionThatComesFromALivingSiloWasTakenOverAndOneOfALostSiloWasPromoted()
    {
        _journal.OnSilos(Silos(1, (A, "a"), (B, "b"), (C, "c")));
        _journal.OnTable(PartitionTable.Unassigned(3), Table(1, B, C, C), 0);
        _journal.OnOpened(0, 10, silo => silo != C, 0);
        _journal.OnOpened(1, 20, silo => silo != C, 0);
        _journal.OnOpened(2, 30, silo => silo != C, 100);

        Assert.Equal(
            [new JournalEntry(JournalKind.TakenOver, "", 3, 1, 10, 0), new JournalEntry(JournalKind.Promoted, "", 3, 2, 50, 0.1)],
            _journal.Take(100, isEnd: true));
    }

    [Fact]
    public void JoinsLeavesAndLossesAreToldApart()
    {
        _journal.OnSilos(Silos(1, (A, "a"), (B, "b")));
        Assert.Empty(_journal.Take(0));

        _journal.OnSilos(Silos(2, (A, "a"), (B, "b"), (C, "c")));
        Assert.Equal([new JournalEntry(JournalKind.SiloJoined, "10.0.0.3:11111", 3, 0, 0, 0)], _journal.Take(0));

        _journal.OnSilos(Silos(3, (A, "a"), (B, ""), (C, "c")));
        _journal.OnSilos(Silos(4, (A, "a"), (C, "c")));
        Assert.Equal([new JournalEntry(JournalKind.SiloLeft, "10.0.0.2:11111", 2, 0, 0, 0)], _journal.Take(0));

        _journal.OnTable(Table(1, A, C, C), Table(2, A, A, A), 0);
        _journal.OnOpened(1, null, silo => silo != C, 0);
        _journal.OnOpened(2, null, silo => silo != C, 0);
        _journal.OnSilos(Silos(5, (A, "a")));
        Assert.Equal(
            [new JournalEntry(JournalKind.SiloLost, "10.0.0.3:11111", 1, 2, 0, 0), new JournalEntry(JournalKind.OpenedEmpty, "", 1, 2, 0, 0)],
            _journal.Take(OwnershipJournal.QuietMilliseconds));
    }

    [Fact]
    public void WhereAllAreToldToStopNoneIsLost()
    {
        _journal.OnSilos(Silos(1, (A, "a"), (B, "b")));
        _journal.OnSilos(Silos(2, (A, "a")), isLeaving: true);

        Assert.Equal(JournalKind.SiloLeft, Assert.Single(_journal.Take(0)).Kind);
    }

    [Fact]
    public void ANewClusterThatOpensItsPartitionsHasLostNothing()
    {
        _journal.OnTable(PartitionTable.Unassigned(3), Table(1, A, A, A), 0);
        for (int partition = 0; partition < 3; partition++)
            _journal.OnOpened(partition, null, AllAreMembers, 0);

        Assert.Empty(_journal.Take(10_000));
    }

    /// <summary>The first table is the state of things.</summary>
    [Fact]
    public void AnotherWireVersionIsALine()
    {
        _journal.OnSilos(Silos(1, (A, "a"), (B, "b")));
        PartitionTable first = PartitionTable.Create(new PartitionTableVersion(1, 1), Seed, [A, A, B], [1, 1, 1], wireVersion: 2);
        _journal.OnTable(PartitionTable.Unassigned(3), first, 0);
        Assert.Empty(_journal.Take(0));

        _journal.OnTable(first, Table(2, A, A, B), 0);
        Assert.Equal([new JournalEntry(JournalKind.WireVersionAgreed, "", 2, 0, 0, 0) { WireVersion = 1 }], _journal.Take(0));
        _journal.OnTable(Table(2, A, A, B), Table(3, A, B, B), 0);
        Assert.Empty(_journal.Take(0));
    }

    private static bool AllAreMembers(SiloId silo) => true;

    private static SiloList Silos(int version, params (SiloId Silo, string Gateway)[] silos) =>
        new(version, [.. silos.Select(silo => new SiloEntry(silo.Silo, silo.Gateway))]);

    private static PartitionTable Table(long number, params SiloId[] owners) =>
        PartitionTable.Create(new PartitionTableVersion(1, number), Seed, owners, [.. owners.Select(_ => 1L)]);
}
