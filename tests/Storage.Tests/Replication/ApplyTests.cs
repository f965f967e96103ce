using System.Buffers;
using Xunit.Abstractions;

namespace OrleansCache.Storage.Tests.Replication;

/// <summary>What a replica accepts and what it does with it.</summary>
public sealed class ApplyTests(ITestOutputHelper output) : IDisposable
{
    private readonly ReplicatedPair _pair = new(new Random(1));

    public void Dispose()
    {
        _pair.CheckIntegrity();
        _pair.Dispose();
    }

    private Partition Owner => _pair.Owner;
    private Partition Replica => _pair.Replica;
    private ListEffectLog Log => _pair.Log;

    [Fact]
    public void OnlyAReplicaOfThisEpochApplies()
    {
        Set("a", "1");
        byte[] block = Log.Block(1, 1);
        Assert.True(Replica.IsReplica);
        Assert.Equal(ApplyStatus.Refused, Replica.Apply(ReplicatedPair.Epoch - 1, 1, 1, 1, block, _pair.Now));
        Assert.Equal(ApplyStatus.Refused, Replica.Apply(ReplicatedPair.Epoch + 1, 1, 1, 1, block, _pair.Now));
        Assert.Equal(ApplyStatus.Refused, Owner.Apply(ReplicatedPair.Epoch, 1, 1, 1, block, _pair.Now));
        Owner.Seal();
        Assert.Equal(ApplyStatus.Refused, Owner.Apply(ReplicatedPair.Epoch, 1, 1, 1, block, _pair.Now));
        Assert.Equal(0, Replica.ItemCount);
        Assert.Equal(ApplyStatus.Ok, Replica.Apply(ReplicatedPair.Epoch, 1, 1, 1, block, _pair.Now));
        Assert.True(Replica.Activate(ReplicatedPair.Epoch + 1));
        Assert.Equal(1, Replica.LogPosition);
        Assert.Equal(ApplyStatus.Refused, Replica.Apply(ReplicatedPair.Epoch + 1, 1, 1, 1, block, _pair.Now));
        _pair.ReplicaSet.Close(Replica.Id);
        Assert.Equal(ApplyStatus.Refused, Replica.Apply(ReplicatedPair.Epoch + 1, 1, 1, 1, block, _pair.Now));
        Assert.Throws<ArgumentException>(() => _pair.ReplicaSet.Open(Replica.Id, 1, PartitionState.Active, isReplica: true));
        while (_pair.ReplicaSet.DrainSlice(64))
        {
        }
    }

    [Fact]
    public void BlocksFollowEachOtherAndRepeatsAreHarmless()
    {
        for (int i = 1; i <= 6; i++)
            Set("a", $"{i}");
        Assert.Equal(ApplyStatus.OutOfOrder, _pair.Ship(2, 3));
        Assert.Equal(ApplyStatus.Ok, _pair.Ship(1, 3));
        Assert.Equal(ApplyStatus.Ok, _pair.Ship(1, 3));
        Assert.Equal(ApplyStatus.Ok, _pair.Ship(2, 2));
        Assert.Equal(ApplyStatus.OutOfOrder, _pair.Ship(3, 4));
        Assert.Equal(ApplyStatus.OutOfOrder, _pair.Ship(5, 6));
        Assert.Equal(3, Replica.LogPosition);
        Assert.Equal(ApplyStatus.Ok, _pair.Ship(4, 6));
        Assert.Equal(ApplyStatus.Malformed, Replica.Apply(ReplicatedPair.Epoch, 7, 6, 9, [], _pair.Now));
        Assert.Equal(ApplyStatus.Malformed, Replica.Apply(ReplicatedPair.Epoch, -1, 7, 9, [], _pair.Now));
        Assert.Equal(6ul, Replica.LastCas);
        Assert.Equal("6", TakeOverAndRead("a"));
    }

    [Fact]
    public void PartsOfACopyAreTakenWhereTheyWereRead()
    {
        for (int i = 0; i < 100; i++)
            Set($"key{i}", new string('x', 100));
        var cursor = default(ExportCursor);
        byte[] first = Part(ref cursor), second = Part(ref cursor);
        Assert.Equal(ApplyStatus.OutOfOrder, Copy(second, 100));
        Assert.Equal(ApplyStatus.Ok, Copy(first, 100));
        Assert.Equal(100, Replica.LogPosition);
        Assert.Equal(ApplyStatus.OutOfOrder, Copy(second, 99));
        Assert.Equal(ApplyStatus.OutOfOrder, Copy(second, 101));
        Assert.Equal(ApplyStatus.Ok, Copy(second, 100));
        long items = Replica.ItemCount;
        Assert.True(items is > 0 and < 100);
        Assert.Equal(ApplyStatus.Ok, Copy(second, 100));
        Assert.Equal(items, Replica.ItemCount);

        ApplyStatus Copy(byte[] part, long position) => Replica.Apply(ReplicatedPair.Epoch, 0, position, Owner.LastCas, part, _pair.Now);

        byte[] Part(ref ExportCursor at)
        {
            var part = new ArrayBufferWriter<byte>();
            Assert.True(Owner.ExportEffects(ref at, part, 1000, _pair.Now));
            Assert.Equal(100, at.LogPosition);
            return part.WrittenSpan.ToArray();
        }
    }

    [Fact]
    public void AnOwnerMayBecomeAReplicaAndKeepsItsItems()
    {
        Set("a", "1");
        Set("b", "1");
        _pair.ShipRest();
        Assert.False(Owner.BecomeReplica(ReplicatedPair.Epoch + 1, 2));
        Owner.Seal();
        Assert.True(Owner.BecomeReplica(ReplicatedPair.Epoch + 1, 2));
        Assert.Equal((true, 2, ReplicatedPair.Epoch + 1), (Owner.IsReplica, Owner.LogPosition, Owner.Epoch));
        Assert.Null(Owner.Effects);
        Assert.Equal(2, Owner.ItemCount);

        Replica.Activate(ReplicatedPair.Epoch + 1);
        var log = new ListEffectLog();
        Replica.Effects = log;
        CacheRequest request = StoreHarness.Request(CacheOperation.Set, "a", "2");
        Assert.True(Replica.TryExecute(in request, _pair.Now, _pair.Sink));
        Assert.Equal(ApplyStatus.Ok, Owner.Apply(ReplicatedPair.Epoch + 1, 3, 3, Replica.LastCas, log.Block(1, 1), _pair.Now));
        Owner.Activate(ReplicatedPair.Epoch + 2);
        Assert.Equal("2", Read(Owner, "a"));
        Assert.Equal("1", Read(Owner, "b"));
    }

    [Fact]
    public void AScheduledFlushFiresAtTheOwnerAndNotAtTheReplica()
    {
        Set("a", "1");
        Owner.FlushAll(_pair.Now + 10, _pair.Now, 3);
        _pair.ShipRest();
        _pair.Now += 20;
        Replica.Reclaim(_pair.Now, 100);
        var cursor = default(ExportCursor);
        Replica.ExportEffects(ref cursor, new ArrayBufferWriter<byte>(), 1000, _pair.Now);
        Assert.Equal((1, 3), (Replica.ItemCount, Replica.FlushNumber));
        Set("b", "1"); // fires it
        Assert.Equal(ApplyStatus.Ok, _pair.Ship(3, 3));
        Assert.Equal(0, Replica.ItemCount);
        _pair.ShipRest();
        Assert.Null(TakeOverAndRead("a"));
        Assert.Equal("1", Read(Replica, "b"));
    }

    [Fact]
    public void AScheduledFlushThatTheOwnerDidNotLiveToFireIsFiredByItsSuccessor()
    {
        Set("a", "1");
        Owner.FlushAll(_pair.Now + 10, _pair.Now, 3);
        _pair.ShipRest();
        _pair.Now += 5;
        Assert.Equal("1", TakeOverAndRead("a"));
        _pair.Now += 5;
        Assert.Null(Read(Replica, "a"));
    }

    [Fact]
    public void AFlushThatReachesTheReplicaOnAnotherWayDoesNothing()
    {
        Set("a", "1");
        _pair.ShipRest();
        Assert.True(Replica.FlushAll(0, _pair.Now, 9));
        Replica.RescheduleFlush(_pair.Now, 9);
        Assert.Equal((1, 0), (Replica.ItemCount, Replica.FlushNumber));
        Assert.Equal("1", TakeOverAndRead("a"));
    }

    [Fact]
    public void AReplicaFreesWhatHasExpiredButNotBeforeATouchCanHaveArrived()
    {
        CacheRequest request = StoreHarness.Request(CacheOperation.Set, "a", "1");
        request.ExpiresAt = _pair.Now + 10;
        Assert.True(Owner.TryExecute(in request, _pair.Now, _pair.Sink));
        request = StoreHarness.Request(CacheOperation.Set, "b", "1");
        request.ExpiresAt = _pair.Now + 10;
        Assert.True(Owner.TryExecute(in request, _pair.Now, _pair.Sink));
        Assert.Equal(ApplyStatus.Ok, _pair.Ship(1, 1));
        request = StoreHarness.Request(CacheOperation.Touch, "a");
        request.ExpiresAt = _pair.Now + 1000;
        Assert.True(Owner.TryExecute(in request, _pair.Now + 9, _pair.Sink));

        // The replica's clock goes before.
        uint ahead = _pair.Now + 30;
        Assert.Equal(0, Replica.Reclaim(ahead, 1000));
        Assert.Equal(ApplyStatus.Ok, Replica.Apply(ReplicatedPair.Epoch, 2, 3, Owner.LastCas, Log.Block(2, 3), ahead));
        Assert.Equal(2, Replica.ItemCount);
        Assert.Equal(1, Replica.Reclaim(ahead + 60, 1000));
        Assert.Equal(1, Replica.ItemCount);
        Assert.Equal("1", TakeOverAndRead("a"));
    }

    [Fact]
    public void EveryCutIsRefusedAndChangesNothing()
    {
        byte[] block = EveryKind(out int[] ends);
        for (int length = 1; length < block.Length; length++)
        {
            if (ends.Contains(length))
                continue; // fewer effects, but whole ones
            Assert.Equal(ApplyStatus.Malformed, Replica.Apply(ReplicatedPair.Epoch, 1, 9, 99, block.AsSpan(0, length), _pair.Now));
        }

        Assert.Equal((0, 0, 0ul, 0), (Replica.ItemCount, Replica.LogPosition, Replica.LastCas, Replica.FlushNumber));
    }

    [Fact]
    public void ChangedBytesNeverCorruptAReplica()
    {
        int seed = TestSeed.Next(output);
        var random = new Random(seed);
        byte[] block = EveryKind(out _);
        int applied = 0;
        for (int i = 0; i < 4000; i++)
        {
            byte[] changed = [.. block];
            for (int change = random.Next(1, 4); change > 0; change--)
                changed[random.Next(changed.Length)] = (byte)random.Next(256);
            var before = (Replica.LogPosition, Replica.ItemCount, Replica.ItemBytes, Replica.LastCas, Replica.FlushNumber);
            long at = Replica.LogPosition + 1;
            ApplyStatus status = Replica.Apply(ReplicatedPair.Epoch, at, at, 1, changed, _pair.Now);
            if (status == ApplyStatus.Malformed)
                Assert.Equal(before, (Replica.LogPosition, Replica.ItemCount, Replica.ItemBytes, Replica.LastCas, Replica.FlushNumber));
            else
                Assert.True(status == ApplyStatus.Ok && ++applied > 0, $"seed {seed}, round {i}: {status}");
        }

        Assert.True(applied > 0);
        _pair.ReplicaSet.CheckIntegrity();
    }

    [Fact]
    public void EffectsOfAnotherPartitionAreRefused()
    {
        using var set = new PartitionSet(new StoreOptions { PartitionCount = 4, HashSeed = StoreHarness.HashSeed });
        foreach (CacheOperation operation in (CacheOperation[])[CacheOperation.Set, CacheOperation.Touch, CacheOperation.Delete])
        {
            CacheRequest request = StoreHarness.Request(operation, "key", "value");
            int from = Log.Entries.Count + 1;
            Assert.True(Owner.TryExecute(in request, _pair.Now, _pair.Sink));
            var right = PartitionId.OfHash(request.KeyHash, 4);
            Partition wrong = set.Open(new PartitionId((right.Value + 1) % 4), 1, PartitionState.Sealed, isReplica: true);
            Assert.Equal(ApplyStatus.Malformed, wrong.Apply(1, 1, 1, 1, Log.Block(from, from), _pair.Now));
            Assert.Equal(0, wrong.LogPosition);
            set.Close(wrong.Id);
        }
    }

    [Fact]
    public void WhereThereIsNoMemoryTheOlderValueIsGone()
    {
        using var pair = new ReplicatedPair(new Random(1), null, new StoreOptions { MemoryBytes = 320 * 1024, NoEviction = true });
        Execute("a", new byte[100]);
        pair.ShipRest();
        for (int i = 0; i < 200; i++)
            Execute($"other{i}", new byte[3000]);
        pair.ShipRest();
        Assert.True(pair.Replica.ItemCount is > 1 and < 201);
        Execute("a", new byte[50_000]);
        pair.ShipRest();
        pair.Replica.Activate(ReplicatedPair.Epoch + 1);
        CacheRequest get = StoreHarness.Request(CacheOperation.Get, "a");
        Assert.True(pair.Replica.TryExecute(in get, pair.Now, pair.Sink));
        Assert.Equal(CacheStatus.NotFound, pair.Sink.Status);
        pair.CheckIntegrity();

        void Execute(string key, byte[] value)
        {
            CacheRequest request = StoreHarness.Request(CacheOperation.Set, System.Text.Encoding.ASCII.GetBytes(key), value);
            Assert.True(pair.Owner.TryExecute(in request, pair.Now, pair.Sink));
            Assert.Equal(CacheStatus.Ok, pair.Sink.Status);
        }
    }

    /// <summary>One effect of each kind or form, and where each ends.</summary>
    private byte[] EveryKind(out int[] ends)
    {
        Set("a", "value");
        Set("bb", new string('x', 300));
        CacheRequest request = StoreHarness.Request(CacheOperation.Touch, "a");
        Assert.True(Owner.TryExecute(in request, _pair.Now, _pair.Sink));
        request = StoreHarness.Request(CacheOperation.Delete, "bb");
        Assert.True(Owner.TryExecute(in request, _pair.Now, _pair.Sink));
        Owner.FlushAll(_pair.Now + 10, _pair.Now, 4);
        Set("c", "");
        Assert.Equal(
            [EffectKind.Put, EffectKind.Put, EffectKind.Touch, EffectKind.Remove, EffectKind.Flush, EffectKind.Put], Log.KindsFrom(0));
        int end = 0;
        ends = [.. Log.Entries.Select(entry => end += entry.Length)];
        return Log.Block(1, Log.Position);
    }

    private void Set(string key, string value)
    {
        CacheRequest request = StoreHarness.Request(CacheOperation.Set, key, value);
        Assert.True(Owner.TryExecute(in request, _pair.Now, _pair.Sink));
        Assert.Equal(CacheStatus.Ok, _pair.Sink.Status);
    }

    private string? TakeOverAndRead(string key)
    {
        Assert.True(Replica.Activate(ReplicatedPair.Epoch + 1));
        return Read(Replica, key);
    }

    private string? Read(Partition partition, string key)
    {
        CacheRequest request = StoreHarness.Request(CacheOperation.Get, key);
        request.Flags = RequestFlags.ReturnValue;
        Assert.True(partition.TryExecute(in request, _pair.Now, _pair.Sink));
        return _pair.Sink.Status == CacheStatus.Ok ? _pair.Sink.Text : null;
    }
}
