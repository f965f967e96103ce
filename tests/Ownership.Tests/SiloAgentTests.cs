using System.Globalization;

namespace OrleansCache.Ownership.Tests;

/// <summary>
/// What the simulation does not reach, or not for certain: a silo between two clusters, and commands and replication that come late, twice or from nobody.
/// </summary>
public sealed class SiloAgentTests : ISiloAgentEnvironment
{
    private const int Partitions = 4;
    private static readonly SiloId A = SiloId.Create("127.0.0.1:1", 1);
    private static readonly SiloId B = SiloId.Create("127.0.0.1:2", 2);
    private static readonly SiloId C = SiloId.Create("127.0.0.1:3", 3);
    private static readonly HashSeed Seed = new(1, 1);
    private readonly List<string> _calls = [];
    private readonly SiloAgent _agent;
    private long _sequence;
    private bool _isEqual = true;
    private bool _isDrained;
    private bool _servesAtOnce;
    private long _flushSeen;

    public SiloAgentTests() => _agent = new SiloAgent(A, Partitions, 64, this) { Replicas = 1 };

    [Fact]
    public void TheSeedIsKnownBeforeAnythingIsOpened()
    {
        SyncReply? reply = Sync(Seed, 1, [PartitionCommand.Assign(2, 5)]);
        Assert.Equal(["seed True", "activate 2 empty", "table"], _calls);
        Assert.Equal(Seed, reply!.HashSeed);

        _calls.Clear();
        Sync(Seed, 2, []);
        Assert.Equal(["table"], _calls);
    }

    [Fact]
    public void BeforeTheSeedIsKnownCopiesAreRefused()
    {
        _agent.OnMembership(1, [A, B]);
        Assert.False(_agent.HandleBegin(B, 0, 7));
        Sync(Seed, 1, []);
        Assert.True(_agent.HandleBegin(B, 0, 7));
    }

    [Fact]
    public void WhenTheClustersSeedIsAnotherTheSiloDropsEverythingAndStaysOut()
    {
        _agent.OnMembership(1, [A, B]);
        Sync(Seed, 1, [PartitionCommand.Assign(2, 5), PartitionCommand.Assign(3, 5)]);
        _agent.OnActivated(2, 5);
        _calls.Clear();

        SyncReply? reply = Sync(new HashSeed(2, 2), 2, [PartitionCommand.Assign(1, 6)]);
        Assert.Equal(["drop 2", "drop 3", "differs"], _calls);
        Assert.True(_agent.HashSeedDiffers);
        Assert.Equal((0, Seed), (reply!.Partitions.Count, reply.HashSeed));

        _calls.Clear();
        Sync(new HashSeed(2, 2), 3, [PartitionCommand.Assign(1, 6)]);
        Sync(null, 0, [PartitionCommand.Assign(1, 6)]);
        Assert.False(_agent.HandleBegin(B, 0, 7));
        Assert.Empty(_calls);
    }

    [Fact]
    public void CommandsOfAnOlderTermOrThatWereOvertakenDoNothing()
    {
        Sync(Seed, 1, []);
        _calls.Clear();
        Assert.Null(_agent.HandleSync(Request([PartitionCommand.Assign(1, 5)], sequence: 1), 0));
        Assert.Equal(1, _agent.HandleSync(Request([PartitionCommand.Assign(1, 5)], sequence: 99, term: 0), 0)!.Term);
        Assert.Empty(_calls);
    }

    [Fact]
    public void OnlyMembersReplicateAndACompleteCopyIsNotReplaced()
    {
        Sync(Seed, 1, []);
        Assert.False(_agent.HandleBegin(B, 0, 7));
        _agent.OnMembership(1, [A, B, C]);
        _calls.Clear();
        Assert.True(_agent.HandleBegin(B, 0, 7));
        Assert.True(_agent.HandleBegin(B, 0, 7)); // the message is repeated by another stream
        Assert.True(_agent.HandleBegin(C, 0, 8)); // a newer one takes the place of what is not complete
        Assert.False(_agent.HandleBegin(B, 0, 7));
        _agent.HandleComplete(B, 0, 7);
        Assert.Equal(PartitionPhase.Copying, _agent.PhaseOf(0));
        _agent.HandleComplete(C, 0, 8);
        Assert.Equal(PartitionPhase.Replica, _agent.PhaseOf(0));
        Assert.False(_agent.HandleBegin(B, 0, 9));
        Assert.Equal(["copy 0 as 7", "drop 0", "copy 0 as 8"], _calls.Where(static call => call != "nudge"));

        _agent.OnMembership(2, [A, B]);
        Assert.False(_agent.HandleRetain(C, 0, 8, 10, 0));
        Assert.True(_agent.HandleRetain(B, 0, 8, 10, 0));
        Assert.True(_agent.HandleRetain(B, 0, 8, 10, 0));
        Assert.False(_agent.HandleBegin(B, -1, 7) || _agent.HandleBegin(B, Partitions, 7) || _agent.HandleRetain(B, Partitions, 7, 8, 0));
    }

    [Fact]
    public void ACopyOfAFormerEpochIsRefused()
    {
        _agent.OnMembership(1, [A, B]);
        Sync(Seed, 1, [], epochs: [20, 0, 0, 0]);
        Assert.False(_agent.HandleBegin(B, 0, 20));
        Assert.True(_agent.HandleBegin(B, 0, 21));
    }

    [Fact]
    public void WhatIsPromotedIsServedWhenTheOtherReplicaHasItsNewNumber()
    {
        Replica(0, 7);
        PartitionCommand[] commands = [PartitionCommand.Promote(0, 7, 10), PartitionCommand.Retain(0, 10, 6, 11, C)];
        Sync(null, 0, commands);
        Assert.Equal(["fence 0 in 10", "retain 0 as 11"], _calls);
        Sync(null, 0, commands);
        Assert.Equal(["fence 0 in 10", "retain 0 as 11"], _calls);
        Assert.False(_agent.MayOpen(0));
        _agent.OnRetained(0, 11);
        Assert.Equal("activate 0", _calls[^1]);
        Assert.True(_agent.MayOpen(0));
        _agent.OnActivated(0, 10);
        SyncReply reply = Sync(null, 0, [])!;
        Assert.Equal([new PartitionReport(0, PartitionPhase.Active, 10)], reply.Partitions);
        Assert.Equal([new CopyReport(0, 11, C, CopyState.Synced)], reply.Copies);
    }

    [Fact]
    public void AfterAMoveTheTargetServesAtOnceBecauseItsSourceCountsAlready()
    {
        Replica(0, 7);
        _servesAtOnce = true;
        SyncReply reply = Sync(
            null, 0, [PartitionCommand.Promote(0, 7, 10), PartitionCommand.Retain(0, 10, 6, 12, C), PartitionCommand.Retain(0, 10, 11, 11, B)])!;
        Assert.Equal(["fence 0 in 10", "retain 0 as 12", "retain 0 as 11", "activate 0"], _calls);
        Assert.Equal([new PartitionReport(0, PartitionPhase.Active, 10)], reply.Partitions);
        Assert.Equal([new CopyReport(0, 12, C, CopyState.Synced), new CopyReport(0, 11, B, CopyState.Synced)], reply.Copies);
        _agent.OnRetained(0, 12);
        Assert.Equal(PartitionPhase.Active, _agent.PhaseOf(0));
    }

    [Fact]
    public void TheTargetOfAMoveWaitsUntilAsManyReplicasCountAsTheClusterWants()
    {
        var agent = new SiloAgent(A, Partitions, 64, this) { Replicas = 2 };
        agent.OnMembership(1, [A, B, C]);
        agent.HandleSync(Request([]) with { Replicas = 2, Table = PartitionTable.Create(new(1, 1), Seed, new SiloId[Partitions], new long[Partitions]) }, 0);
        Assert.True(agent.HandleBegin(B, 0, 7));
        agent.HandleComplete(B, 0, 7);
        _calls.Clear();
        _servesAtOnce = true;
        PartitionCommand[] commands = [PartitionCommand.Promote(0, 7, 10), PartitionCommand.Retain(0, 10, 6, 12, C), PartitionCommand.Retain(0, 10, 11, 11, B)];
        agent.HandleSync(Request(commands) with { Replicas = 2 }, 0);
        Assert.Equal(PartitionPhase.Opening, agent.PhaseOf(0));
        agent.OnRetained(0, 12);
        Assert.Equal(PartitionPhase.Active, agent.PhaseOf(0));
        Assert.Equal(["activate 0", "nudge"], _calls[^2..]);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void WhatIsPromotedDoesNotWaitForAReplicaThatIsRefusedOrLost(bool isLost)
    {
        Replica(0, 7);
        Sync(null, 0, [PartitionCommand.Promote(0, 7, 10), PartitionCommand.Retain(0, 10, 6, 11, C)]);
        if (isLost)
            _agent.OnMembership(2, [A, B]);
        else
            _agent.OnCopyFailed(0, 11);
        Assert.Contains("activate 0", _calls);
        Assert.Equal(isLost, _calls.Contains("detach 0 11"));
    }

    [Fact]
    public void APromotionCatchesUpWithTheFlushesThatTheOwnerHasNotShipped()
    {
        Replica(0, 7);
        _flushSeen = 4;
        _agent.HandleSync(Request([]) with { Flush = new FlushMark(6, 5, 0) }, 0);
        Assert.DoesNotContain("flush 0 at 0", _calls);
        PartitionCommand[] commands = [PartitionCommand.Promote(0, 7, 10), PartitionCommand.Retain(0, 10, 6, 11, C)];
        Sync(null, 0, commands);

        // The replica that stays goes through them with the log, or it would flush again, what is newer, when it is promoted.
        string[] expected = ["fence 0 in 10", "retain 0 as 11", "flush 0 at 0", "note 0 at 0"];
        Assert.Equal(expected, _calls.Where(static call => call != "nudge"));

        // One that is named only now has not, and does not stay.
        Sync(null, 0, [.. commands, PartitionCommand.Retain(0, 10, 5, 12, B)]);
        Assert.Equal(expected, _calls.Where(static call => call != "nudge"));
    }

    [Fact]
    public void WhatWasPromotedOnceCatchesUpAgainWhenItIsPromotedAgain()
    {
        Replica(0, 7);
        Sync(null, 0, [PartitionCommand.Promote(0, 7, 10)]);
        _agent.OnActivated(0, 10);
        _isDrained = true;
        Sync(null, 0, [PartitionCommand.Yield(0, 10, 12)]);
        _flushSeen = 4;
        _agent.HandleSync(Request([]) with { Flush = new FlushMark(6, 6, 0) }, 0);
        _calls.Clear();
        Sync(null, 0, [PartitionCommand.Promote(0, 12, 13)]);
        Assert.Equal(["fence 0 in 13", "flush 0 at 0", "note 0 at 0", "activate 0"], _calls.Where(static call => call != "nudge"));
    }

    [Fact]
    public void AnOwnerThatYieldsIsAReplicaWhenItsCopiesHaveEverything()
    {
        OwnerWithCopy();
        PartitionCommand[] yields = [PartitionCommand.Yield(0, 5, 7)];
        SyncReply reply = Sync(null, 0, yields)!;
        Assert.Equal([new PartitionReport(0, PartitionPhase.Sealed, 5, 7)], reply.Partitions);
        Sync(null, 0, yields);
        Assert.Equal(["seal 0"], _calls);

        // A flush may have come since somebody has seen that everything was acknowledged.
        _agent.OnDrained(0);
        Assert.Equal(PartitionPhase.Sealed, _agent.PhaseOf(0));
        _isDrained = true;
        _agent.OnDrained(0);
        _agent.OnDrained(0);
        Assert.Equal(["seal 0", "detach 0 6", "replica 0 as 7"], _calls.Where(static call => call != "nudge"));
        reply = Sync(null, 0, [PartitionCommand.Unseal(0, 5)])!;
        Assert.Equal((PartitionPhase.Replica, 7L, 0), (reply.Partitions[0].Phase, reply.Partitions[0].Epoch, reply.Copies.Count));
    }

    [Fact]
    public void AnOwnerWhoseCopiesHaveEverythingYieldsInItsAnswer()
    {
        OwnerWithCopy();
        _isDrained = true;
        SyncReply reply = Sync(null, 0, [PartitionCommand.Yield(0, 5, 7)])!;
        Assert.Equal(["seal 0", "detach 0 6", "replica 0 as 7"], _calls);
        Assert.Equal([new PartitionReport(0, PartitionPhase.Replica, 7, Position: 3)], reply.Partitions);
    }

    [Fact]
    public void AYieldThatIsTakenBackBeforeItsEndOpensTheGateAgain()
    {
        Sync(Seed, 1, [PartitionCommand.Assign(0, 5)]);
        _agent.OnActivated(0, 5);
        Sync(null, 0, [PartitionCommand.Yield(0, 5, 7)]);
        Sync(null, 0, [PartitionCommand.Unseal(0, 5)]);
        _isDrained = true;
        _agent.OnDrained(0);
        Assert.Equal(PartitionPhase.Active, _agent.PhaseOf(0));
        Assert.Equal("unseal 0", _calls.Last(static call => call != "nudge"));
    }

    [Fact]
    public void ACompleteCopyThatFailsIsWaitedForUntilTheCoordinatorDetachesIt()
    {
        OwnerWithCopy();
        _agent.OnCopyFailed(0, 6);
        Assert.Equal(CopyState.Failed, Sync(null, 0, [])!.Copies[0].State);
        Assert.DoesNotContain("detach 0 6", _calls);
        Assert.Empty(Sync(null, 0, [PartitionCommand.Detach(0, 5, 6)])!.Copies);
        Assert.Contains("detach 0 6", _calls);
    }

    [Fact]
    public void LateCommandsFindNothingToDo()
    {
        Replica(0, 7);
        Sync(null, 0,
        [
            PartitionCommand.Promote(0, 6, 10), PartitionCommand.Promote(0, 7, 7), PartitionCommand.Drop(0, 6), PartitionCommand.Unseal(0, 7),
            PartitionCommand.Yield(0, 7, 9), PartitionCommand.Attach(0, 7, 9, B), PartitionCommand.Detach(0, 7, 9), PartitionCommand.Retain(0, 7, 5, 9, B),
            PartitionCommand.Restore(0, 7, 9), PartitionCommand.Promote(Partitions, 7, 9), PartitionCommand.Assign(-1, 9), PartitionCommand.Assign(0, 7),
        ]);
        Assert.Empty(_calls);
        Assert.Equal(PartitionPhase.Replica, _agent.PhaseOf(0));
    }

    [Fact]
    public void AReplicaThatIsNotEqualIsNotRetained()
    {
        Replica(0, 7);
        _isEqual = false;
        Assert.False(_agent.HandleRetain(B, 0, 7, 9, 3));
        _isEqual = true;
        Assert.False(_agent.HandleRetain(B, 0, 6, 9, 3));
        Assert.False(_agent.HandleRetain(B, 0, 7, 7, 3) && _calls.Contains("rename 0"));
        Assert.True(_agent.HandleRetain(B, 0, 7, 9, 3));

        // Under the number that it has: then it counts already, and must be equal all the same.
        Assert.False(_agent.HandleRetain(B, 0, 9, 9, 2));
        Assert.True(_agent.HandleRetain(B, 0, 9, 9, 3));
    }

    [Fact]
    public void ACopyRestsAndProceedsAsItIsToldAndSaysHowFarItIs()
    {
        _agent.OnMembership(1, [A, B, C]);
        Sync(Seed, 1, [PartitionCommand.Assign(1, 5)]);
        _agent.OnActivated(1, 5);
        SyncReply? reply = Sync(null, 0, [PartitionCommand.Attach(1, 5, 7, B)]);
        Assert.Equal([new CopyReport(1, 7, B, CopyState.Copying, false, 70, 700)], reply!.Copies);
        _calls.Clear();

        reply = Sync(null, 0, [PartitionCommand.Rest(1, 5, 7), PartitionCommand.Rest(1, 5, 7), PartitionCommand.Rest(1, 5, 8), PartitionCommand.Rest(9, 5, 7)]);
        Assert.Equal(["rest 1 7"], _calls);
        Assert.Equal([new CopyReport(1, 7, B, CopyState.Copying, true, 70, 700)], reply!.Copies);

        Sync(null, 0, [PartitionCommand.Proceed(1, 5, 7), PartitionCommand.Proceed(1, 5, 7)]);
        Assert.Equal(["rest 1 7", "proceed 1 7"], _calls);
        _agent.OnCopySynced(1, 7);
        reply = Sync(null, 0, [PartitionCommand.Rest(1, 5, 7)]);
        Assert.Equal([new CopyReport(1, 7, B, CopyState.Synced)], reply!.Copies);
    }

    [Fact]
    public void OnlyNewerSettingsOfMovesCount()
    {
        Sync(Seed, 1, []);
        _calls.Clear();
        Assert.Equal(new MoveSettings(4, true, 1000), Settings(new MoveSettings(4, true, 1000)));
        Assert.Equal(new MoveSettings(4, true, 1000), Settings(new MoveSettings(4, false, 7)));
        Assert.Equal(new MoveSettings(4, true, 1000), Settings(default));
        Assert.Equal(new MoveSettings(5, true, null), Settings(new MoveSettings(5, true, null)));
        Assert.Equal(["limit 1000", "limit none"], _calls);

        MoveSettings Settings(MoveSettings moves) => _agent.HandleSync(Request([]) with { Moves = moves }, 0)!.Moves;
    }

    void ISiloAgentEnvironment.UseHashSeed(HashSeed seed) => _calls.Add($"seed {seed == Seed}");

    void ISiloAgentEnvironment.OnHashSeedDiffers() => _calls.Add("differs");

    bool ISiloAgentEnvironment.Activate(int partition, long epoch, bool keepItems)
    {
        _calls.Add($"activate {partition}{(keepItems ? "" : " empty")}");
        return _servesAtOnce;
    }

    void ISiloAgentEnvironment.Drop(int partition) => _calls.Add($"drop {partition}");

    void ISiloAgentEnvironment.OnTable(PartitionTable table) => _calls.Add("table");

    void ISiloAgentEnvironment.Seal(int partition) => _calls.Add($"seal {partition}");

    bool ISiloAgentEnvironment.AwaitDrain(int partition) => _isDrained;

    void ISiloAgentEnvironment.Unseal(int partition) => _calls.Add($"unseal {partition}");

    void ISiloAgentEnvironment.Renew(int partition, long epoch) => _calls.Add($"renew {partition}");

    void ISiloAgentEnvironment.BeginCopy(int partition, long copy) => _calls.Add($"copy {partition} as {copy}");

    void ISiloAgentEnvironment.BecomeReplica(int partition, long copy) => _calls.Add($"replica {partition} as {copy}");

    void ISiloAgentEnvironment.Fence(int partition, long epoch) => _calls.Add($"fence {partition} in {epoch}");

    bool ISiloAgentEnvironment.Rename(int partition, long newCopy, long position) => _isEqual;

    long ISiloAgentEnvironment.PositionOf(int partition) => 3;

    void ISiloAgentEnvironment.Attach(int partition, long copy, SiloId target) => _calls.Add($"attach {partition} {copy}");

    void ISiloAgentEnvironment.Retain(int partition, long copy, long newCopy, SiloId target) => _calls.Add($"retain {partition} as {newCopy}");

    void ISiloAgentEnvironment.Detach(int partition, long copy) => _calls.Add($"detach {partition} {copy}");

    void ISiloAgentEnvironment.Rest(int partition, long copy, bool isResting) => _calls.Add($"{(isResting ? "rest" : "proceed")} {partition} {copy}");

    (long BytesDone, long BytesTotal) ISiloAgentEnvironment.ProgressOf(int partition, long copy) => (copy * 10, copy * 100);

    void ISiloAgentEnvironment.LimitCopies(long? bytesPerSecond) => _calls.Add($"limit {bytesPerSecond?.ToString(CultureInfo.InvariantCulture) ?? "none"}");

    void ISiloAgentEnvironment.Flush(int partition, uint atUnixSeconds, long number) => _calls.Add($"flush {partition} at {atUnixSeconds}");

    void ISiloAgentEnvironment.NoteFlush(int partition, uint atUnixSeconds, long number) => _calls.Add($"note {partition} at {atUnixSeconds}");

    long ISiloAgentEnvironment.FlushNumberOf(int partition) => _flushSeen;

    void ISiloAgentEnvironment.Nudge(SiloId coordinator) => _calls.Add("nudge");

    void ISiloAgentEnvironment.RefreshMembership(long version)
    {
    }

    /// <summary>The coordinator relies on it: what the answer says is what is written from then on.</summary>
    [Fact]
    public void TheAnswerTellsWhatIsSpokenAndWhatIsWrittenByTheTable()
    {
        Assert.Equal((WireVersion.Newest, WireVersion.Oldest), Told(Sync(null, 0, [])));
        PartitionTable table = PartitionTable.Create(new PartitionTableVersion(1, 2), Seed, new SiloId[Partitions], new long[Partitions], wireVersion: 2);
        Assert.Equal((WireVersion.Newest, (byte)2), Told(_agent.HandleSync(Request([]) with { Table = table }, 0)));

        // An older table changes nothing, a newer one does.
        Assert.Equal((WireVersion.Newest, (byte)2), Told(Sync(Seed, 1, [])));
        Assert.Equal((WireVersion.Newest, (byte)1), Told(Sync(Seed, 3, [])));
        var older = new SiloAgent(A, Partitions, 64, this) { Speaks = 1 };
        Assert.Equal(((byte)1, (byte)1), Told(older.HandleSync(Request([]), 0)));

        static (byte, byte) Told(SyncReply? reply) => (reply!.Speaks, reply.TableWireVersion);
    }

    /// <summary>Partition 0 is served here in epoch 5, and B has copy 6, which is complete.</summary>
    private void OwnerWithCopy()
    {
        _agent.OnMembership(1, [A, B]);
        Sync(Seed, 1, [PartitionCommand.Assign(0, 5)]);
        _agent.OnActivated(0, 5);
        Sync(null, 0, [PartitionCommand.Attach(0, 5, 6, B)]);
        _agent.OnCopySynced(0, 6);
        _calls.Clear();
    }

    /// <summary>A complete copy is here.</summary>
    private void Replica(int partition, long copy)
    {
        _agent.OnMembership(1, [A, B, C]);
        Sync(Seed, 1, []);
        Assert.True(_agent.HandleBegin(B, partition, copy));
        _agent.HandleComplete(B, partition, copy);
        _calls.Clear();
    }

    private SyncReply? Sync(HashSeed? seed, long tableNumber, PartitionCommand[] commands, long[]? epochs = null) => _agent.HandleSync(
        Request(commands) with
        {
            Table = seed is { } known
                ? PartitionTable.Create(new PartitionTableVersion(1, tableNumber), known, new SiloId[Partitions], epochs ?? new long[Partitions]) : null,
        },
        0);

    private SyncRequest Request(PartitionCommand[] commands, long? sequence = null, long term = 1) => new()
    {
        Term = term, Sequence = sequence ?? ++_sequence, Coordinator = B, PartitionCount = Partitions, Replicas = 1, Commands = commands,
    };
}
