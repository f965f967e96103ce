using System.Diagnostics.CodeAnalysis;

namespace OrleansCache.Ownership;

/// <summary>What a silo holds of a partition. Travels between silos: never renumber, only append.</summary>
public enum PartitionPhase : byte
{
    None = 0,
    /// <summary>Granted, and on its way to being served.</summary>
    Opening = 1,
    /// <summary>Served here.</summary>
    Active = 2,
    /// <summary>
    /// Held, but not served: it becomes a replica (of the copy MoveEpoch) as soon as all its copies have everything, unless the coordinator says otherwise
    /// before.
    /// </summary>
    Sealed = 3,

    // 4 and 5 were phases of a move by a former version.

    /// <summary>
    /// Kept in this silo's memory file since before it was started; not served. Epoch: in which it was served here, 0 if it was not; MoveEpoch: the highest in
    /// which this silo knew it to be held by anybody.
    /// </summary>
    Kept = 6,

    /// <summary>A copy that is not complete yet: items arrive from the owner. Epoch: the copy's number.</summary>
    Copying = 7,

    /// <summary>A complete copy: whatever the owner has acknowledged is here. Epoch: the copy's number.</summary>
    Replica = 8,
}

/// <summary>How far a copy has come, as its owner sees it. Travels between silos: never renumber, only append.</summary>
public enum CopyState : byte
{
    None = 0,
    Copying = 1,

    /// <summary>Complete: the owner acknowledges nothing that the copy does not have.</summary>
    Synced = 2,

    /// <summary>The silo that should hold it has refused it. If it was complete, the owner goes on waiting for it until told to detach it.</summary>
    Failed = 3,
}

/// <summary>What the coordinator wants done with one partition. Travels between silos: never renumber, only append.</summary>
public enum CommandKind : byte
{
    None = 0,
    /// <summary>Own it in <see cref="PartitionCommand.Epoch"/>; empty unless it is active here already.</summary>
    Assign = 1,

    // 2 to 4 were steps of a move by a former version.

    /// <summary>It is not to be handed over: serve it again in Epoch.</summary>
    Unseal = 5,
    /// <summary>What you hold of it, in an epoch or as a copy of a number up to Epoch, is not wanted any more: delete it.</summary>
    Drop = 6,
    /// <summary>What you keep of it in your memory file, served in Epoch, is the newest there is: serve it in MoveEpoch.</summary>
    Restore = 7,
    /// <summary>You serve it in Epoch: keep a copy at Target, of number Copy.</summary>
    Attach = 8,
    /// <summary>You serve it in Epoch: the copy of number Copy is gone, do not wait for it.</summary>
    Detach = 9,
    /// <summary>You serve it in Epoch: stop, and become a replica of number Copy when all copies have everything.</summary>
    Yield = 10,
    /// <summary>You have the replica of number Epoch: serve it in MoveEpoch, with the copies that follow as Retain.</summary>
    Promote = 11,
    /// <summary>You serve it from now on in Epoch: Target has an equal replica, of number Copy. Keep it, from now on under number MoveEpoch.</summary>
    Retain = 12,
    /// <summary>You serve it in Epoch: read no items for the copy of number Copy for now.</summary>
    Rest = 13,
    /// <summary>You serve it in Epoch: go on with the copy of number Copy.</summary>
    Proceed = 14,
}

/// <summary>
/// One command. Every command names the epoch, or the number of the copy, that it is about, so that a late or repeated one finds nothing to do. Numbers of
/// copies come from the same sequence as epochs: a copy is of use as long as its number is higher than the epoch in which the partition is known to be served.
/// </summary>
public readonly record struct PartitionCommand(CommandKind Kind, int Partition, long Epoch, long MoveEpoch, long Copy, SiloId Target)
{
    public static PartitionCommand Assign(int partition, long epoch) => new(CommandKind.Assign, partition, epoch, 0, 0, default);

    public static PartitionCommand Unseal(int partition, long epoch) => new(CommandKind.Unseal, partition, epoch, 0, 0, default);

    public static PartitionCommand Restore(int partition, long epoch, long newEpoch) => new(CommandKind.Restore, partition, epoch, newEpoch, 0, default);

    public static PartitionCommand Drop(int partition, long epoch) => new(CommandKind.Drop, partition, epoch, 0, 0, default);

    public static PartitionCommand Attach(int partition, long epoch, long copy, SiloId target) => new(CommandKind.Attach, partition, epoch, 0, copy, target);

    public static PartitionCommand Detach(int partition, long epoch, long copy) => new(CommandKind.Detach, partition, epoch, 0, copy, default);

    public static PartitionCommand Yield(int partition, long epoch, long copy) => new(CommandKind.Yield, partition, epoch, 0, copy, default);

    public static PartitionCommand Promote(int partition, long copy, long newEpoch) => new(CommandKind.Promote, partition, copy, newEpoch, 0, default);

    public static PartitionCommand Retain(int partition, long epoch, long copy, long newCopy, SiloId target) =>
        new(CommandKind.Retain, partition, epoch, newCopy, copy, target);

    public static PartitionCommand Rest(int partition, long epoch, long copy) => new(CommandKind.Rest, partition, epoch, 0, copy, default);

    public static PartitionCommand Proceed(int partition, long epoch, long copy) => new(CommandKind.Proceed, partition, epoch, 0, copy, default);
}

/// <summary>
/// One partition as a silo holds it. MoveEpoch: of a sealed one, the number of the replica that it becomes; of one in a memory file, the highest epoch known.
/// Position: of a replica, how much of the owner's log it has.
/// </summary>
public readonly record struct PartitionReport(int Partition, PartitionPhase Phase, long Epoch, long MoveEpoch = 0, long Position = 0);

/// <summary>
/// A copy that this silo, as the owner, keeps at another. While it is being made: whether it rests, the bytes of items that it has taken, and those that the
/// partition has.
/// </summary>
public readonly record struct CopyReport(
    int Partition, long Copy, SiloId Target, CopyState State, bool IsResting = false, long BytesDone = 0, long BytesTotal = 0);

/// <summary>
/// The coordinator's only message to a silo: its newest table if the silo's is older, and what is to be done. The answer says what the silo then holds.
/// At most one is outstanding per silo, and silos ignore all but the highest (Term, Sequence): so an answer reflects every earlier command.
/// A silo that has not answered yet is written to in the oldest version (<see cref="WireVersion"/>), and answers in that of the request.
/// </summary>
public sealed record SyncRequest
{
    /// <summary>The first byte on the wire.</summary>
    public const byte Layout = 1;

    public required long Term { get; init; }

    public required long Sequence { get; init; }

    public required SiloId Coordinator { get; init; }

    /// <summary>The cluster's partition count, which no silo may differ from.</summary>
    public required int PartitionCount { get; init; }

    /// <summary>How many copies the cluster keeps of each partition beside the owner's, which no silo may differ about.</summary>
    public int Replicas { get; init; }

    /// <summary>The membership that the coordinator acts on; a silo that knows only an older one reads it again.</summary>
    public long MembershipVersion { get; init; }

    /// <summary>The coordinator is not cut off: who gets this may serve on for a while.</summary>
    public bool GrantsLease { get; init; }

    /// <summary>Tells a draining silo that no other can take its partitions, so that waiting is in vain.</summary>
    public bool NobodyTakesOver { get; init; }

    /// <summary>The newest flush_all, which the silo carries out before the commands.</summary>
    public FlushMark Flush { get; init; }

    /// <summary>What the operator has said about moves.</summary>
    public MoveSettings Moves { get; init; }

    /// <summary>The newest list of silos, if the silo's is older.</summary>
    public SiloList? Silos { get; init; }

    public PartitionTable? Table { get; init; }

    public IReadOnlyList<PartitionCommand> Commands { get; init; } = [];

    public byte[] Encode()
    {
        MessageWriter writer = new();
        writer.Byte(Layout);
        writer.Int64(Term);
        writer.Int64(Sequence);
        writer.Text(Coordinator.Text);
        writer.Int32(PartitionCount);
        writer.Int32(Replicas);
        writer.Int64(MembershipVersion);
        writer.Byte((byte)((NobodyTakesOver ? 1 : 0) | (GrantsLease ? 2 : 0)));
        Flush.Write(writer);
        Moves.Write(writer);
        writer.Bytes(Silos is null ? [] : Silos.Encode());
        writer.Bytes(Table is null ? [] : Table.Encode());
        writer.Int32(Commands.Count);
        foreach (PartitionCommand command in Commands)
        {
            writer.Byte((byte)command.Kind);
            writer.Int32(command.Partition);
            writer.Int64(command.Epoch);
            writer.Int64(command.MoveEpoch);
            writer.Int64(command.Copy);
            writer.Text(command.Target.Text);
        }

        return writer.ToArray();
    }

    public static bool TryDecode(ReadOnlySpan<byte> wire, [NotNullWhen(true)] out SyncRequest? request)
    {
        WireReader reader = new(wire);
        request = null;
        if (reader.Byte() != Layout)
            return false;
        long term = reader.Int64();
        long sequence = reader.Int64();
        SiloId coordinator = reader.Silo();
        int partitionCount = reader.Int32();
        int replicas = reader.Int32();
        long membership = reader.Int64();
        byte marks = reader.Byte();
        FlushMark flush = FlushMark.Read(ref reader);
        MoveSettings moves = MoveSettings.Read(ref reader);
        ReadOnlySpan<byte> silosWire = reader.Bytes();
        SiloList? silos = null;
        if (silosWire.Length > 0 && !SiloList.TryDecode(silosWire, out silos))
            return false;
        ReadOnlySpan<byte> tableWire = reader.Bytes();
        PartitionTable? table = null;
        if (tableWire.Length > 0 && !PartitionTable.TryDecode(tableWire, out table))
            return false;
        int count = reader.Int32();
        if (count < 0 || count > reader.Remaining)
            return false;
        PartitionCommand[] commands = new PartitionCommand[count];
        for (int i = 0; i < count; i++)
            commands[i] = new PartitionCommand((CommandKind)reader.Byte(), reader.Int32(), reader.Int64(), reader.Int64(), reader.Int64(), reader.Silo());
        if (reader.Failed || reader.Remaining != 0)
            return false;
        request = new SyncRequest
        {
            Term = term, Sequence = sequence, Coordinator = coordinator, PartitionCount = partitionCount, Replicas = replicas,
            MembershipVersion = membership, NobodyTakesOver = (marks & 1) != 0, GrantsLease = (marks & 2) != 0,
            Flush = flush, Moves = moves, Silos = silos, Table = table, Commands = commands,
        };
        return true;
    }
}

/// <summary>A silo's answer: everything that it holds, after the commands.</summary>
public sealed record SyncReply
{
    private const byte Layout = 1;

    public required SiloId Silo { get; init; }

    /// <summary>The highest term that the silo has seen; higher than the request's = the request was refused.</summary>
    public required long Term { get; init; }

    public required long Sequence { get; init; }

    public required PartitionTableVersion TableVersion { get; init; }

    /// <summary>The seed of the table that the silo knows, under which everything that it holds is stored; none before it has a table.</summary>
    public HashSeed HashSeed { get; init; }

    /// <summary>The newest wire version that the silo speaks.</summary>
    public byte Speaks { get; init; } = WireVersion.Oldest;

    /// <summary>What the silo writes by the table that it knows.</summary>
    public byte TableWireVersion { get; init; } = WireVersion.Oldest;

    /// <summary>The silo's -m: its share of the partitions follows it.</summary>
    public required long MemoryBytes { get; init; }

    public required int PartitionCount { get; init; }

    /// <summary>--replicas of the silo.</summary>
    public int Replicas { get; init; }

    /// <summary>The newest membership that the silo knows. A silo that appeared later is unknown to it, and calls to it would fail.</summary>
    public long MembershipVersion { get; init; }

    /// <summary>The silo is about to stop and wants to be emptied.</summary>
    public bool Draining { get; init; }

    /// <summary>The newest flush_all that the silo has carried out, on everything that it holds.</summary>
    public FlushMark Flush { get; init; }

    /// <summary>The newest of what the silo has been told about moves.</summary>
    public MoveSettings Moves { get; init; }

    /// <summary>Version of the list of silos that the silo knows.</summary>
    public int SilosVersion { get; init; }

    /// <summary>Where clients reach the silo's gateway, as in <see cref="SiloEntry"/>; empty if they do not.</summary>
    public string Gateway { get; init; } = "";

    /// <summary>The highest epoch in which this silo knows any partition to be, or to have been, held by anybody.</summary>
    public long EpochMax { get; init; }

    /// <summary>The highest term of a partition table that this silo knows, also from a former life.</summary>
    public long TableTermMax { get; init; }

    /// <summary>What a memory file has brought along, until the cluster has decided about it.</summary>
    public KeptReport Kept { get; init; } = KeptReport.None;

    /// <summary>--zone: copies of one partition are kept in different ones, where that is possible; empty for none.</summary>
    public string Zone { get; init; } = "";

    public IReadOnlyList<PartitionReport> Partitions { get; init; } = [];

    /// <summary>The copies that this silo keeps elsewhere of what it serves, in ascending order of the partition.</summary>
    public IReadOnlyList<CopyReport> Copies { get; init; } = [];

    public byte[] Encode()
    {
        MessageWriter writer = new();
        writer.Byte(Layout);
        writer.Text(Silo.Text);
        writer.Int64(Term);
        writer.Int64(Sequence);
        writer.Int64(TableVersion.Term);
        writer.Int64(TableVersion.Number);
        writer.Seed(HashSeed);
        writer.Byte(Speaks);
        writer.Byte(TableWireVersion);
        writer.Int64(MemoryBytes);
        writer.Int32(PartitionCount);
        writer.Int32(Replicas);
        writer.Int64(MembershipVersion);
        writer.Byte(Draining ? (byte)1 : (byte)0);
        Flush.Write(writer);
        Moves.Write(writer);
        writer.Int32(SilosVersion);
        writer.Text(Gateway);
        writer.Int64(EpochMax);
        writer.Int64(TableTermMax);
        writer.Seed(Kept.Seed);
        writer.Int32(Kept.AgeSeconds);
        writer.Int32(Kept.SiloCount);
        writer.Text(Zone);
        writer.Int32(Partitions.Count);
        foreach (PartitionReport report in Partitions)
        {
            writer.Int32(report.Partition);
            writer.Byte((byte)report.Phase);
            writer.Int64(report.Epoch);
            writer.Int64(report.MoveEpoch);
            writer.Int64(report.Position);
        }

        writer.Int32(Copies.Count);
        foreach (CopyReport copy in Copies)
        {
            writer.Int32(copy.Partition);
            writer.Int64(copy.Copy);
            writer.Text(copy.Target.Text);
            writer.Byte((byte)copy.State);
            writer.Byte(copy.IsResting ? (byte)1 : (byte)0);
            writer.Int64(copy.BytesDone);
            writer.Int64(copy.BytesTotal);
        }

        return writer.ToArray();
    }

    public static bool TryDecode(ReadOnlySpan<byte> wire, [NotNullWhen(true)] out SyncReply? reply)
    {
        WireReader reader = new(wire);
        reply = null;
        if (reader.Byte() != Layout)
            return false;
        SiloId silo = reader.Silo();
        long term = reader.Int64();
        long sequence = reader.Int64();
        PartitionTableVersion version = new(reader.Int64(), reader.Int64());
        HashSeed hashSeed = reader.Seed();
        byte speaks = reader.Byte();
        byte tableWireVersion = reader.Byte();
        long memory = reader.Int64();
        int partitionCount = reader.Int32();
        int replicas = reader.Int32();
        long membership = reader.Int64();
        bool draining = reader.Byte() != 0;
        FlushMark flush = FlushMark.Read(ref reader);
        MoveSettings moves = MoveSettings.Read(ref reader);
        int silosVersion = reader.Int32();
        string gateway = reader.String();
        long epochMax = reader.Int64();
        long tableTermMax = reader.Int64();
        KeptReport kept = new(reader.Seed(), reader.Int32(), reader.Int32());
        string zone = reader.String();
        int count = reader.Int32();
        if (count < 0 || count > reader.Remaining)
            return false;
        PartitionReport[] partitions = new PartitionReport[count];
        for (int i = 0; i < count; i++)
            partitions[i] = new PartitionReport(reader.Int32(), (PartitionPhase)reader.Byte(), reader.Int64(), reader.Int64(), reader.Int64());
        int copyCount = reader.Int32();
        if (copyCount < 0 || copyCount > reader.Remaining)
            return false;
        CopyReport[] copies = new CopyReport[copyCount];
        for (int i = 0; i < copyCount; i++)
        {
            copies[i] = new CopyReport(
                reader.Int32(), reader.Int64(), reader.Silo(), (CopyState)reader.Byte(), reader.Byte() != 0, reader.Int64(), reader.Int64());
        }

        if (reader.Failed || reader.Remaining != 0)
            return false;
        reply = new SyncReply
        {
            Silo = silo, Term = term, Sequence = sequence, TableVersion = version, HashSeed = hashSeed, MemoryBytes = memory, PartitionCount = partitionCount,
            MembershipVersion = membership, Draining = draining, Speaks = speaks, TableWireVersion = tableWireVersion,
            Flush = flush, Moves = moves, SilosVersion = silosVersion, Gateway = gateway, Partitions = partitions,
            Replicas = replicas, EpochMax = epochMax, TableTermMax = tableTermMax, Kept = kept, Zone = zone, Copies = copies,
        };
        return true;
    }
}

/// <summary>A memory file, as a silo reports it that was started with one.</summary>
/// <param name="Seed">What its items are hashed under; none if it cannot be used.</param>
/// <param name="AgeSeconds">For how long nothing of it has been served; -1: there is none, or a new one.</param>
/// <param name="SiloCount">How many silos the cluster had.</param>
public readonly record struct KeptReport(HashSeed Seed, int AgeSeconds, int SiloCount)
{
    public static KeptReport None { get; } = new(default, -1, 0);
}
