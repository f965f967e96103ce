using System.Text;
using OrleansCache.Ownership.Replication;
using OrleansCache.Ownership.Tests.Simulation;
using OrleansCache.Storage;

namespace OrleansCache.Ownership.Tests.Replication;

/// <summary>A receiver takes each message of a stream once and in order, and refuses what its agent or its gates refuse.</summary>
public sealed class ReplicaReceiverTests : IDisposable, IReplicaHost
{
    private static readonly KeyHasher Hasher = new(new HashSeed(1, 1));
    private static readonly SiloId Source = SiloId.Create("127.0.0.1:1", 1);
    private readonly PartitionSet _owner = NewSet();
    private readonly PartitionSet _replicas = NewSet();
    private readonly ReplicaReceiver _receiver;
    private readonly List<string> _told = [];
    private bool _isMember = true;
    private bool _isWanted = true;

    public ReplicaReceiverTests()
    {
        _receiver = new ReplicaReceiver(_replicas, this, new ManualTime());
        _owner.Open(new PartitionId(0), 10);
    }

    [Fact]
    public void ACopyIsMadeByAScanAndFollowsTheLog()
    {
        Store("k", "v1");
        AssertTaken(Send(1, Scan(GroupKind.Begin | GroupKind.Complete)));
        Assert.Equal(["begin 0 11", "complete 0 11"], _told);
        AssertTaken(Send(2, Put("k", "v2", 1)));
        Assert.Equal(1, Replica.LogPosition);
        Replica.Fence(12);
        Assert.True(Replica.Activate(12));
        Assert.Equal("v2", Read("k"));
    }

    [Fact]
    public void ARepeatedMessageIsAnsweredAndNotTakenAgain()
    {
        byte[] first = Send(1, Scan(GroupKind.Begin | GroupKind.Complete));
        Assert.Equal(first, Send(1, Scan(GroupKind.Begin | GroupKind.Complete)));
        Assert.Single(_told, "begin 0 11");
    }

    [Fact]
    public void AMessageThatIsMissingOrComesTooLateIsOutOfStep()
    {
        AssertTaken(Send(1, Scan(GroupKind.Begin | GroupKind.Complete)));
        Assert.Equal(MessageStatus.OutOfStep, StatusOf(Send(3, Put("k", "v", 1))));
        AssertTaken(Send(2, Put("k", "v", 1)));
        Assert.Equal(MessageStatus.OutOfStep, StatusOf(Send(1, Put("k", "old", 1))));
        Assert.Equal(1, Replica.LogPosition);
    }

    [Fact]
    public void ANewStreamBeginsAtOneAndEndsTheFormer()
    {
        AssertTaken(Send(1, Scan(GroupKind.Begin | GroupKind.Complete)));
        Assert.Equal(MessageStatus.OutOfStep, StatusOf(Send(2, Put("k", "v", 1), stream: 6)));
        AssertTaken(Send(1, Put("k", "v", 1), stream: 6));
        Assert.Equal(MessageStatus.OutOfStep, StatusOf(Send(2, Put("k", "v", 2))));
    }

    [Fact]
    public void WhoIsNoMemberIsNotListenedToAndMayTryAgain()
    {
        _isMember = false;
        Assert.Equal(MessageStatus.NotMember, StatusOf(Send(1, Scan(GroupKind.Begin | GroupKind.Complete))));
        Assert.Empty(_told);
        _isMember = true;
        AssertTaken(Send(1, Scan(GroupKind.Begin | GroupKind.Complete)));
    }

    [Fact]
    public void GroupsOfCopiesThatAreNotHereAreRefusedByName()
    {
        _isWanted = false;
        Assert.Equal([(0, 11L)], RefusedBy(Send(1, Scan(GroupKind.Begin | GroupKind.Complete))));
        Assert.Equal([(0, 11L)], RefusedBy(Send(2, Put("k", "v", 1))));
        _isWanted = true;
        AssertTaken(Send(3, Scan(GroupKind.Begin | GroupKind.Complete)));
        Assert.Equal([(0, 12L)], RefusedBy(Send(4, Put("k", "v", 1) with { Copy = 12 })));
        Assert.Equal([(0, 11L)], RefusedBy(Send(5, Put("k", "v", 2)))); // 1 is missing
        Assert.Equal([(7, 11L)], RefusedBy(Send(6, Put("k", "v", 1) with { Partition = 7 })));
        Assert.Equal([(int.MaxValue, 11L)], RefusedBy(Send(7, Put("k", "v", 1) with { Partition = -1 })));
        Assert.Equal([(0, 11L)], RefusedBy(Send(8, Put("k", "v", 1) with { Effects = [99] })));
        Assert.Equal(0, Replica.LogPosition);
        AssertTaken(Send(9, Put("k", "v", 1)));
    }

    [Fact]
    public void AfterTheFenceNothingIsTaken()
    {
        AssertTaken(Send(1, Scan(GroupKind.Begin | GroupKind.Complete)));
        Replica.Fence(12);
        Assert.Equal([(0, 11L)], RefusedBy(Send(2, Put("k", "v", 1))));
        Replica.Activate(12);
        Assert.Equal([(0, 11L)], RefusedBy(Send(3, Put("k", "v", 1))));
        Assert.Null(Read("k"));
    }

    [Fact]
    public void ARetainedReplicaIsTheAgentsBusiness()
    {
        AssertTaken(Send(1, new Group(GroupKind.Retain, 0, 15, 11, 3, [])));
        Assert.Equal(["retain 0 11 as 15 at 3"], _told);
    }

    [Fact]
    public void WhatIsNoMessageThrowsAndChangesNothing()
    {
        Assert.Throws<InvalidDataException>(() => _receiver.Handle([]));
        byte[] message = Message(1, Scan(GroupKind.Begin | GroupKind.Complete), 5);
        Assert.Throws<InvalidDataException>(() => _receiver.Handle(message.AsSpan(0, message.Length - 1)));
        AssertTaken(Send(1, Scan(GroupKind.Begin | GroupKind.Complete)));
    }

    [Fact]
    public void BothLayoutsAreTakenInOneStream()
    {
        AssertTaken(_receiver.Handle(Message(1, Scan(GroupKind.Begin | GroupKind.Complete), 5, ReplicationFormat.Fixed)));
        AssertTaken(_receiver.Handle(Message(2, Put("k", "v1", 1), 5, ReplicationFormat.Compact)));
        AssertTaken(_receiver.Handle(Message(3, Put("k", "v2", 2), 5, ReplicationFormat.Fixed)));
        Assert.Equal(2, Replica.LogPosition);
        Assert.Equal([(-1, 11L)], RefusedBy(_receiver.Handle(Message(4, Put("k", "v", 3) with { Partition = -1 }, 5, ReplicationFormat.Fixed))));
    }

    [Fact]
    public void ASiloThatSpeaksTheOlderVersionRefusesTheNewerOneInWords()
    {
        var older = new ReplicaReceiver(_replicas, this, new ManualTime()) { Speaks = 1 };
        Group scan = Scan(GroupKind.Begin | GroupKind.Complete);
        InvalidDataException refusal = Assert.Throws<InvalidDataException>(() => older.Handle(Message(1, scan, 5)));
        Assert.Equal("A replication message of wire version 2; this silo speaks 1 at most.", refusal.Message);
        Assert.Empty(_told);
        AssertTaken(older.Handle(Message(1, scan, 5, ReplicationFormat.Fixed)));
    }

    /// <summary>Whatever is damaged: it is refused as a whole, or named, or applied as what it has become; and the replica goes on.</summary>
    [Theory]
    [InlineData(ReplicationFormat.Fixed)]
    [InlineData(ReplicationFormat.Compact)]
    public void DamagedMessagesAreRefusedWithInvalidDataAndNothingElse(byte layout)
    {
        int seed = TestSeed.Next();
        var random = new Random(seed);
        AssertTaken(_receiver.Handle(Message(1, Scan(GroupKind.Begin | GroupKind.Complete), 5, layout)));
        int refused = 0;
        for (int round = 1; round < 5_000; round++)
        {
            byte[] damaged = Message(1, Put("k", "v", Replica.LogPosition + 1), 5 + round, layout);
            for (int change = random.Next(1, 4); change > 0; change--)
                damaged[random.Next(17, damaged.Length)] = (byte)random.Next(256);
            try
            {
                StatusOf(_receiver.Handle(damaged.AsSpan(0, random.Next(3) == 0 ? random.Next(damaged.Length) : damaged.Length)));
            }
            catch (InvalidDataException)
            {
                refused++;
            }

            AssertTaken(_receiver.Handle(Message(1, Put("k", "v", Replica.LogPosition + 1), 100_000 + round, layout)));
            _receiver.Forget(silo => true);
        }

        Assert.True(refused > 500, $"seed {seed}: {refused} refused");
    }

    [Fact]
    public void ASiloThatIsForgottenBeginsAnew()
    {
        AssertTaken(Send(1, Scan(GroupKind.Begin | GroupKind.Complete)));
        _receiver.Forget(silo => silo == Source);
        Assert.Equal(MessageStatus.OutOfStep, StatusOf(Send(2, Put("k", "v", 1))));
        AssertTaken(Send(1, Put("k", "v", 1)));
    }

    public void Dispose()
    {
        _owner.Dispose();
        _replicas.Dispose();
    }

    bool IReplicaHost.IsMember(SiloId source) => _isMember;

    bool IReplicaHost.HandleBegin(SiloId source, int partition, long copy)
    {
        if (!_isWanted)
            return false;
        _told.Add($"begin {partition} {copy}");
        if (_replicas.TryGet(new PartitionId(partition)) is null)
            _replicas.Open(new PartitionId(partition), copy, PartitionState.Sealed, isReplica: true);
        return true;
    }

    void IReplicaHost.HandleComplete(SiloId source, int partition, long copy) => _told.Add($"complete {partition} {copy}");

    bool IReplicaHost.HandleRetain(SiloId source, int partition, long copy, long newCopy, long position)
    {
        _told.Add($"retain {partition} {copy} as {newCopy} at {position}");
        return true;
    }

    private Partition Replica => _replicas.TryGet(new PartitionId(0))!;

    private static PartitionSet NewSet()
    {
        var set = new PartitionSet(new StoreOptions { PartitionCount = 1, MemoryBytes = 4 << 20, ShardCount = 1 });
        set.UseHashSeed(Hasher.Seed);
        return set;
    }

    private static void AssertTaken(byte[] reply)
    {
        Assert.Equal(MessageStatus.Ok, StatusOf(reply));
        Assert.Empty(RefusedBy(reply));
    }

    private static MessageStatus StatusOf(byte[] reply)
    {
        Assert.True(ReplicationFormat.TryReadReply(reply, out MessageStatus status, out _, []));
        return status;
    }

    private static List<(int Partition, long Copy)> RefusedBy(byte[] reply)
    {
        List<(int Partition, long Copy)> refused = [];
        Assert.True(ReplicationFormat.TryReadReply(reply, out MessageStatus status, out _, refused));
        Assert.Equal(MessageStatus.Ok, status);
        return refused;
    }

    private byte[] Send(long number, Group group, long stream = 5) => _receiver.Handle(Message(number, group, stream));

    private static byte[] Message(long number, Group group, long stream, byte layout = ReplicationFormat.Compact)
    {
        var output = new ReplicationWriter();
        output.Begin(layout, stream, number, Source);
        output.WriteGroup(group.Kind, group.Partition, group.Copy, group.First, group.Last, 1_000, group.Effects);
        return output.Buffer[..output.Length];
    }

    /// <summary>Everything that the owner has, in one part.</summary>
    private Group Scan(GroupKind kind)
    {
        var effects = new GrowingBuffer();
        ExportCursor cursor = default;
        Assert.False(_owner.TryGet(new PartitionId(0))!.ExportEffects(ref cursor, effects, 1 << 20, 1));
        return new Group(kind | GroupKind.Scan, 0, 11, 0, 0, effects.Written.ToArray());
    }

    /// <summary>The effect of storing a value, as a scan would write it, without the state of the flushes before it.</summary>
    private Group Put(string key, string value, long position)
    {
        Store(key, value);
        byte[] scan = Scan(GroupKind.Effects).Effects;
        return new Group(GroupKind.Effects, 0, 11, position, position, scan[14..]);
    }

    private void Store(string key, string value)
    {
        byte[] bytes = Encoding.ASCII.GetBytes(key);
        var request = new CacheRequest { Operation = CacheOperation.Set, Key = bytes, KeyHash = Hasher.Compute(bytes), Value = Encoding.ASCII.GetBytes(value) };
        Assert.True(_owner.TryGet(new PartitionId(0))!.TryExecute(in request, 1, new SimulatedClient.ValueSink()));
    }

    private string? Read(string key)
    {
        byte[] bytes = Encoding.ASCII.GetBytes(key);
        var sink = new SimulatedClient.ValueSink();
        var request = new CacheRequest { Operation = CacheOperation.Get, Flags = RequestFlags.ReturnValue, Key = bytes, KeyHash = Hasher.Compute(bytes) };
        Assert.True(Replica.TryExecute(in request, 1, sink));
        return sink.Value;
    }

    private sealed record Group(GroupKind Kind, int Partition, long Copy, long First, long Last, byte[] Effects);
}
