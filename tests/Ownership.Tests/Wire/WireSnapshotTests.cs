using System.Text;
using OrleansCache.Ownership.Replication;
using OrleansCache.Ownership.Routing;
using OrleansCache.Storage;

namespace OrleansCache.Ownership.Tests.Wire;

/// <summary>
/// The bytes of every wire version, kept in files: <c>VersionN/kind.hex</c> for what version N brought. They are read as what they were written from, and what
/// they were written from gives the same bytes: so no layout changes, and no value of an enumeration is added or renumbered, without a new version. Files of a
/// version that has been released are never changed.
/// </summary>
public sealed class WireSnapshotTests
{
    private const uint Now = 1_000;
    private static readonly SiloId A = SiloId.Create("127.0.0.1:11111", 7);
    private static readonly SiloId B = SiloId.Create("[::1]:11112", 9);
    private static readonly HashSeed Seed = new(0x0706050403020100, 0x0F0E0D0C0B0A0908);
    private static readonly KeyHasher Hasher = new(Seed);

    private static readonly PartitionTable Table =
        PartitionTable.Create(new PartitionTableVersion(5, 2), Seed, [A, default, B], [10, 0, 0x1_0000_000B], wireVersion: 1);

    private static readonly SiloList Silos = new(3, [new SiloEntry(A, "a|127.0.0.1|1|2"), new SiloEntry(B, "")]);

    private static readonly SyncRequest Request = new()
    {
        Term = 5, Sequence = 77, Coordinator = A, PartitionCount = 3, Replicas = 1, MembershipVersion = 4, NobodyTakesOver = true, GrantsLease = true,
        Flush = new FlushMark(9, 8, 4_000_000_000), Moves = new MoveSettings(6, true, null), Silos = Silos, Table = Table,
        Commands = [.. Enum.GetValues<CommandKind>().Select(static kind => new PartitionCommand(kind, (int)kind, 10, 0x1_0000_000D, 14, B))],
    };

    private static readonly SyncReply Reply = new()
    {
        Silo = B, Term = 5, Sequence = 77, TableVersion = new PartitionTableVersion(5, 2), HashSeed = Seed, Speaks = 1, TableWireVersion = 1,
        MemoryBytes = 64L << 30, PartitionCount = 3, Replicas = 2, MembershipVersion = 4, Draining = true, Flush = new FlushMark(9, 9, 0),
        Moves = new MoveSettings(6, false, 5_000_000_000), SilosVersion = 3, Gateway = "b|::1|2", EpochMax = 18, TableTermMax = 6,
        Kept = new KeptReport(Seed, 12, 3), Zone = "west",
        Partitions = [.. Enum.GetValues<PartitionPhase>().Select(static phase => new PartitionReport((int)phase, phase, 10, 13, 0x1_0000_0063))],
        Copies = [.. Enum.GetValues<CopyState>().Select(static state => new CopyReport((int)state, 9, A, state, true, 5_000_000_000, 6_000_000_000))],
    };

    private static readonly MovesOverview Moves = new()
    {
        IsPaused = true, LimitBytesPerSecond = 5_000_000_000, PartitionsToMove = 12, BytesLeft = 6_000_000_000, BytesPerSecond = 7_000_000_000,
        SecondsLeft = 99,
        Transfers =
        [
            .. Enum.GetValues<TransferReason>().Select(static reason => new PartitionTransfer(3, "a:1", "b:2", true, reason, default, 1, 2, 3, null)),
            .. Enum.GetValues<TransferStep>().Select(static step => new PartitionTransfer(4, "a:1", "b:2", false, default, step, 1, 5_000_000_000, 4, 5)),
        ],
        Aborted = [(7, 299)],
    };

    private static readonly ItemScanPage Page = new(
        [
            new ItemRecord([1, 2, 3], 7, uint.MaxValue, ulong.MaxValue, true, 3, 99, 0xFFFF_FFFF),
            new ItemRecord([0], 0, 1, 2, false, 1, 50, 0, IsBinaryKey: true),
        ],
        0x1_0000_0000, true);

    private static readonly (GroupKind Kind, int Partition, long Copy, long First, long Last, ulong Sequence, byte[] Effects)[] Groups =
    [
        (GroupKind.Effects, 200, (3L << 28) + 5, 1_000, 1_002, 177_000_000_000_000, [1, 2, 3]),
        (GroupKind.Reads, 200, (3L << 28) + 5, 0, 0, 0, [1, 107]),
        (GroupKind.Effects, 3, (3L << 28) + 2, 7, 7, 177_000_000_000_500, new byte[200]),
        (GroupKind.Begin | GroupKind.Scan | GroupKind.Complete, 70_000, 8L << 28, 0, long.MaxValue, ulong.MaxValue, [9]),
        (GroupKind.Retain, 0, 1, 1L << 40, 3, 0, []),
    ];

    /// <summary>Every kind of message, and the versions that brought a layout of it.</summary>
    public static TheoryData<int, string> Snapshots => new()
    {
        { 1, "sync-request" }, { 1, "sync-reply" }, { 1, "table" }, { 1, "silos" }, { 1, "batch" }, { 1, "batch-reply" }, { 1, "moves" }, { 1, "scan" },
        { 1, "replication" }, { 1, "replication-reply" }, { 1, "effects" }, { 2, "replication" },
    };

    [Theory]
    [MemberData(nameof(Snapshots))]
    public void TheBytesAreThoseOfTheSnapshot(int version, string kind)
    {
        byte[] written = Write(version, kind);
        Assert.True(File.Exists(PathOf(version, kind)), $"There is no {PathOf(version, kind)}; it would be\n{Lines(written)}");
        byte[] kept = Read(version, kind);
        Assert.True(written.AsSpan().SequenceEqual(kept), $"version {version} of {kind} is written otherwise than it was:\n{Lines(written)}");
        if (kind != "effects") // what is within replication
            Assert.Equal(version, kept[0]);
    }

    [Theory]
    [MemberData(nameof(Snapshots))]
    public void TheSnapshotIsReadAsWhatItWasWrittenFrom(int version, string kind)
    {
        byte[] kept = Read(version, kind);
        switch (kind)
        {
            case "sync-request":
                Assert.True(SyncRequest.TryDecode(kept, out SyncRequest? request));
                Assert.Equal(Request with { Silos = null, Table = null, Commands = [] }, request with { Silos = null, Table = null, Commands = [] });
                Assert.Equal(Request.Commands, request.Commands);
                Assert.Equal(Silos.Silos, request.Silos!.Silos);
                Assert.Equal(Table.Encode(), request.Table!.Encode());
                break;
            case "sync-reply":
                Assert.True(SyncReply.TryDecode(kept, out SyncReply? reply));
                Assert.Equal(Reply with { Partitions = [], Copies = [] }, reply with { Partitions = [], Copies = [] });
                Assert.Equal(Reply.Partitions, reply.Partitions);
                Assert.Equal(Reply.Copies, reply.Copies);
                break;
            case "table":
                Assert.True(PartitionTable.TryDecode(kept, out PartitionTable? table));
                Assert.Equal((Table.Version, Seed, (byte)1, 3), (table.Version, table.HashSeed, table.WireVersion, table.PartitionCount));
                Assert.Equal([A, default, B], Enumerable.Range(0, 3).Select(partition => table.OwnerOf(new PartitionId(partition))));
                Assert.Equal(Table.Epochs.ToArray(), table.Epochs.ToArray());
                break;
            case "silos":
                Assert.True(SiloList.TryDecode(kept, out SiloList? silos));
                Assert.Equal(3, silos.Version);
                Assert.Equal(Silos.Silos, silos.Silos);
                break;
            case "moves":
                Assert.True(MovesFormat.TryDecode(kept, out MovesOverview? moves));
                Assert.Equal(Moves with { Transfers = [], Aborted = [] }, moves with { Transfers = [], Aborted = [] });
                Assert.Equal(Moves.Transfers, moves.Transfers);
                Assert.Equal(Moves.Aborted, moves.Aborted);
                break;
            case "scan":
                ItemScanPage page = ScanFormat.Decode(kept)!;
                Assert.Equal((Page.NextPosition, Page.IsLast, 2), (page.NextPosition, page.IsLast, page.Items.Count));
                Assert.Equal(Page.Items.Select(static item => Convert.ToHexString(item.Key)), page.Items.Select(static item => Convert.ToHexString(item.Key)));
                Assert.Equal(Page.Items.Select(static item => item with { Key = [] }), page.Items.Select(static item => item with { Key = [] }));
                break;
            case "replication":
                AssertGroups(kept);
                break;
            case "replication-reply":
                List<(int Partition, long Copy)> refused = [];
                Assert.True(ReplicationFormat.TryReadReply(kept, out MessageStatus status, out long number, refused));
                Assert.Equal((MessageStatus.Ok, 6L), (status, number));
                Assert.Equal([(3, 40L), (4, 41L)], refused);
                break;
            case "effects":
                AssertEffects(kept);
                break;
            default:
                // Their readers give what points into the bytes: written once more, it is the same.
                Assert.Equal(kept, kind == "batch" ? WriteAgainBatch(kept) : WriteAgainReply(kept));
                break;
        }
    }

    /// <summary>A snapshot that no test reads would say nothing, and a version without one nothing at all.</summary>
    [Fact]
    public void EverySnapshotIsReadAndEveryVersionHasSome()
    {
        string[] tested = [.. Snapshots.Select(static row => PathOf((int)row[0], (string)row[1])).Order(StringComparer.Ordinal)];
        Assert.Equal(tested, Directory.EnumerateFiles(Folder, "*.hex", SearchOption.AllDirectories).Order(StringComparer.Ordinal));
        for (int version = WireVersion.Oldest; version <= WireVersion.Newest; version++)
            Assert.Contains(Snapshots, row => (int)row[0] == version);
    }

    /// <summary>What receivers do, by values that are on the wire outside of enumerations with a snapshot.</summary>
    [Fact]
    public void ValuesOnTheWireAreWhatTheyWere()
    {
        Assert.Equal([0, 1, 2, 4, 8, 16], Enum.GetValues<GroupKind>().Select(static kind => (int)kind));
        Assert.Equal([0, 1, 2, 3], Enum.GetValues<MessageStatus>().Select(static status => (int)status));
        Assert.Equal((0xFF, 0xFE, 0xFD, 0xFC),
            ((int)BatchFormat.StatusNotOwner, (int)BatchFormat.StatusDeferred, (int)BatchFormat.StatusPending, (int)BatchFormat.StatusUnacknowledged));
    }

    private static string Folder { get; } = Path.Combine(AppContext.BaseDirectory, "Wire");

    private static string PathOf(int version, string kind) => Path.Combine(Folder, $"Version{version}", kind + ".hex");

    private static byte[] Read(int version, string kind) => Convert.FromHexString(string.Concat(File.ReadAllLines(PathOf(version, kind))));

    private static string Lines(byte[] bytes) => string.Join('\n', bytes.Chunk(64).Select(Convert.ToHexString));

    private static byte[] Write(int version, string kind) => kind switch
    {
        "sync-request" => Request.Encode(),
        "sync-reply" => Reply.Encode(),
        "table" => Table.Encode(),
        "silos" => Silos.Encode(),
        "moves" => MovesFormat.Encode(Moves),
        "scan" => ScanFormat.Encode(Page),
        "replication" => WriteGroups(ReplicationFormat.LayoutOf(version)),
        "replication-reply" => ReplicationFormat.WriteReply(MessageStatus.Ok, 6, [(3, 40), (4, 41)]),
        "effects" => WriteEffects(),
        "batch" => WriteBatch(),
        _ => WriteBatchReply(),
    };

    // ---- batches ----

    private static byte[] WriteBatch()
    {
        var writer = new BatchWriter();
        foreach (CacheOperation operation in Enum.GetValues<CacheOperation>())
            Append(operation, RequestFlags.None);
        foreach (RequestFlags flag in Enum.GetValues<RequestFlags>())
            Append(CacheOperation.Set, flag);
        return writer.Complete(0x0102030405060708).Span.ToArray();

        void Append(CacheOperation operation, RequestFlags flags)
        {
            var request = new CacheRequest
            {
                Operation = operation, Flags = flags, ClientFlags = 0xFFFF_FFFE, KeyHash = 0x0123_4567_89AB_CDEF, Key = "key"u8, Value = "value"u8,
                ExpiresAt = 4_000_000_000, CreateExpiresAt = 3_000_000_000, RecacheBefore = 30, CompareCas = 1, NewCas = 2, Delta = 3, InitialValue = 4,
            };
            writer.Append(in request);
        }
    }

    private static byte[] WriteAgainBatch(byte[] batch)
    {
        var reader = new BatchReader(batch);
        var writer = new BatchWriter();
        while (reader.TryRead(out CacheRequest request))
            writer.Append(in request);
        return writer.Complete(reader.HashFingerprint).Span.ToArray();
    }

    private static byte[] WriteBatchReply()
    {
        var writer = new ReplyWriter();
        foreach (CacheStatus status in Enum.GetValues<CacheStatus>())
        {
            foreach (ItemFlags flags in Enum.GetValues<ItemFlags>())
            {
                writer.OnReply(new CacheReply
                {
                    Status = status, ItemFlags = flags, SlabClass = 6, ClientFlags = 7, ExpiresAt = 8, LastAccess = 9, Cas = 10, Number = (ulong)flags,
                    Value = new ValueView("value"u8),
                });
            }
        }

        writer.OnReply(new CacheReply { Status = CacheStatus.Ok, Value = ValueView.OfLength(12_345) });
        writer.WriteStatus(BatchFormat.StatusPending);
        return writer.TakeReply(ticket: 11).Span.ToArray();
    }

    private static byte[] WriteAgainReply(byte[] batchReply)
    {
        var reader = new ReplyReader(batchReply);
        var writer = new ReplyWriter();
        while (reader.TryRead(out byte wireStatus, out CacheReply reply))
        {
            if (wireStatus >= BatchFormat.StatusFirst)
                writer.WriteStatus(wireStatus);
            else
                writer.OnReply(in reply);
        }

        return writer.TakeReply(reader.Ticket).Span.ToArray();
    }

    // ---- replication ----

    private static byte[] WriteGroups(byte layout)
    {
        var writer = new ReplicationWriter();
        writer.Begin(layout, 5, 6, A);
        foreach ((GroupKind kind, int partition, long copy, long first, long last, ulong sequence, byte[] effects) in Groups)
        {
            if ((kind & GroupKind.Scan) == 0)
            {
                writer.WriteGroup(kind, partition, copy, first, last, sequence, effects);
                continue;
            }

            writer.BeginScan(partition, copy, last, sequence).Write(effects);
            writer.EndScan(kind);
        }

        return writer.Buffer[..writer.Length];
    }

    private static void AssertGroups(byte[] message)
    {
        var reader = new ReplicationFormat.Reader(message);
        Assert.Equal((5L, 6L, A), (reader.Stream, reader.Number, reader.Source));
        foreach ((GroupKind kind, int partition, long copy, long first, long last, ulong sequence, byte[] effects) in Groups)
        {
            Assert.True(reader.Read());
            Assert.Equal((kind, partition, copy, first, last), (reader.Kind, reader.Partition, reader.Copy, reader.First, reader.Last));
            Assert.Equal(effects, reader.Effects.ToArray());
            if (kind != GroupKind.Reads)
                Assert.Equal(sequence, reader.Sequence);
        }

        Assert.False(reader.Read() || reader.IsMalformed);
    }

    /// <summary>Everything that an owner tells of what its requests have done: a scan of its items, and then effects of each kind.</summary>
    private static byte[] WriteEffects()
    {
        using PartitionSet owner = NewSet();
        Partition partition = owner.Open(new PartitionId(0), 10, sequence: 1_000);
        Execute(partition, CacheOperation.Set, "a", "one");
        var log = new CapturingLog();
        ExportCursor cursor = default;
        Assert.False(partition.ExportEffects(ref cursor, log.Output, 1 << 20, Now));
        partition.Effects = log;
        partition.FlushAll(Now + 500, Now, 33);
        Execute(partition, CacheOperation.Set, "b", "two");
        Execute(partition, CacheOperation.Set, "c", "three");
        Execute(partition, CacheOperation.Touch, "b", "");
        Execute(partition, CacheOperation.Delete, "c", "");
        return log.Output.Written.ToArray();
    }

    private static void AssertEffects(byte[] effects)
    {
        using PartitionSet replicas = NewSet();
        Partition replica = replicas.Open(new PartitionId(0), 11, PartitionState.Sealed, isReplica: true);
        Assert.Equal(ApplyStatus.Ok, replica.Apply(11, 0, 0, 2_000, effects, Now));
        replica.Fence(12);
        Assert.True(replica.Activate(12));
        Assert.Equal(("one", "two", null), (Execute(replica, CacheOperation.Get, "a", ""), Execute(replica, CacheOperation.Get, "b", ""),
            Execute(replica, CacheOperation.Get, "c", "")));
        Assert.Equal(33, replica.FlushNumber);
    }

    private static PartitionSet NewSet()
    {
        var set = new PartitionSet(new StoreOptions { PartitionCount = 1, MemoryBytes = 4 << 20, ShardCount = 1 });
        set.UseHashSeed(Seed);
        return set;
    }

    private static string? Execute(Partition partition, CacheOperation operation, string key, string value)
    {
        byte[] bytes = Encoding.ASCII.GetBytes(key);
        var sink = new Simulation.SimulatedClient.ValueSink();
        var request = new CacheRequest
        {
            Operation = operation, Flags = operation == CacheOperation.Get ? RequestFlags.ReturnValue : RequestFlags.None, Key = bytes,
            KeyHash = Hasher.Compute(bytes), ExpiresAt = Now + 900, ClientFlags = 5, Value = Encoding.ASCII.GetBytes(value),
        };
        Assert.True(partition.TryExecute(in request, Now, sink));
        return sink.Value;
    }

    private sealed class CapturingLog : EffectLog
    {
        public GrowingBuffer Output { get; } = new();

        public override bool MayAnswerNow(in CacheRequest request) => true;

        public override System.Buffers.IBufferWriter<byte> Begin() => Output;

        public override void Commit(ulong keyHash)
        {
        }

        public override void CommitFlush()
        {
        }
    }
}
