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
    /// <summary>Held, but not served: its items are being sent to another silo, or wait for the coordinator's word.</summary>
    Sealed = 3,
    /// <summary>Items arrive from the owner; not served.</summary>
    Importing = 4,
    /// <summary>All items are here; not served until the coordinator says so.</summary>
    Imported = 5,
    /// <summary>
    /// Kept in this silo's memory file since before it was started; not served. Epoch: in which it was served here, 0 if it was not; MoveEpoch: the highest in
    /// which this silo knew it to be held by anybody.
    /// </summary>
    Kept = 6,
}

/// <summary>How far a sealed partition's sending has come. Travels between silos: never renumber, only append.</summary>
public enum SendState : byte
{
    None = 0,
    Streaming = 1,
    /// <summary>The target has acknowledged everything.</summary>
    Done = 2,
    /// <summary>The target refused, or made no progress for too long.</summary>
    Failed = 3,
}

/// <summary>What the coordinator wants done with one partition. Travels between silos: never renumber, only append.</summary>
public enum CommandKind : byte
{
    None = 0,
    /// <summary>Own it in <see cref="PartitionCommand.Epoch"/>; empty unless it is active here already.</summary>
    Assign = 1,
    /// <summary>You hold it in Epoch: seal it and stream it to Target, which is to own it in MoveEpoch.</summary>
    Send = 2,
    /// <summary>Everything that was imported for MoveEpoch is now yours: serve it in that epoch.</summary>
    Activate = 3,
    /// <summary>Forget what was imported for epochs up to MoveEpoch, and accept no more of it.</summary>
    Discard = 4,
    /// <summary>The move is off: serve it again in Epoch.</summary>
    Unseal = 5,
    /// <summary>Somebody else owns it in a higher epoch than yours, which is at most Epoch: delete it.</summary>
    Drop = 6,
    /// <summary>What you keep of it in your memory file, served in Epoch, is the newest there is: serve it in MoveEpoch.</summary>
    Restore = 7,
}

/// <summary>One command. Every command names the epoch that it is about, so that a late or repeated one finds nothing to do.</summary>
public readonly record struct PartitionCommand(CommandKind Kind, int Partition, long Epoch, long MoveEpoch, SiloId Target)
{
    public static PartitionCommand Assign(int partition, long epoch) => new(CommandKind.Assign, partition, epoch, 0, default);

    public static PartitionCommand Send(int partition, long epoch, long moveEpoch, SiloId target) => new(CommandKind.Send, partition, epoch, moveEpoch, target);

    public static PartitionCommand Activate(int partition, long moveEpoch) => new(CommandKind.Activate, partition, 0, moveEpoch, default);

    public static PartitionCommand Discard(int partition, long moveEpoch) => new(CommandKind.Discard, partition, 0, moveEpoch, default);

    public static PartitionCommand Unseal(int partition, long epoch) => new(CommandKind.Unseal, partition, epoch, 0, default);

    public static PartitionCommand Restore(int partition, long epoch, long newEpoch) => new(CommandKind.Restore, partition, epoch, newEpoch, default);

    public static PartitionCommand Drop(int partition, long epoch) => new(CommandKind.Drop, partition, epoch, 0, default);
}

/// <summary>One partition as a silo holds it. MoveEpoch and Send are about a sealed partition on its way to somebody else.</summary>
public readonly record struct PartitionReport(int Partition, PartitionPhase Phase, long Epoch, long MoveEpoch, SendState Send);

/// <summary>
/// The coordinator's only message to a silo: its newest table if the silo's is older, and what is to be done. The answer says what the silo then holds.
/// At most one is outstanding per silo, and silos ignore all but the highest (Term, Sequence): so an answer reflects every earlier command.
/// </summary>
public sealed record SyncRequest
{
    /// <summary>The first byte on the wire; version 1 had none.</summary>
    private const byte WireFormat = 2;

    public required long Term { get; init; }

    public required long Sequence { get; init; }

    public required SiloId Coordinator { get; init; }

    /// <summary>The cluster's partition count, which no silo may differ from.</summary>
    public required int PartitionCount { get; init; }

    /// <summary>The membership that the coordinator acts on; a silo that knows only an older one reads it again.</summary>
    public long MembershipVersion { get; init; }

    /// <summary>Tells a draining silo that no other can take its partitions, so that waiting is in vain.</summary>
    public bool NobodyTakesOver { get; init; }

    /// <summary>The newest flush_all, which the silo carries out before the commands.</summary>
    public FlushMark Flush { get; init; }

    /// <summary>The newest list of silos, if the silo's is older.</summary>
    public SiloList? Silos { get; init; }

    public PartitionTable? Table { get; init; }

    public IReadOnlyList<PartitionCommand> Commands { get; init; } = [];

    public byte[] Encode()
    {
        MessageWriter writer = new();
        writer.Byte(WireFormat);
        writer.Int64(Term);
        writer.Int64(Sequence);
        writer.Text(Coordinator.Text);
        writer.Int32(PartitionCount);
        writer.Int64(MembershipVersion);
        writer.Byte(NobodyTakesOver ? (byte)1 : (byte)0);
        Flush.Write(writer);
        writer.Bytes(Silos is null ? [] : Silos.Encode());
        writer.Bytes(Table is null ? [] : Table.Encode());
        writer.Int32(Commands.Count);
        foreach (PartitionCommand command in Commands)
        {
            writer.Byte((byte)command.Kind);
            writer.Int32(command.Partition);
            writer.Int64(command.Epoch);
            writer.Int64(command.MoveEpoch);
            writer.Text(command.Target.Text);
        }

        return writer.ToArray();
    }

    public static bool TryDecode(ReadOnlySpan<byte> wire, [NotNullWhen(true)] out SyncRequest? request)
    {
        WireReader reader = new(wire);
        request = null;
        if (reader.Byte() != WireFormat)
            return false;
        long term = reader.Int64();
        long sequence = reader.Int64();
        SiloId coordinator = reader.Silo();
        int partitionCount = reader.Int32();
        long membership = reader.Int64();
        bool nobody = reader.Byte() != 0;
        FlushMark flush = FlushMark.Read(ref reader);
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
            commands[i] = new PartitionCommand((CommandKind)reader.Byte(), reader.Int32(), reader.Int64(), reader.Int64(), reader.Silo());
        if (reader.Failed || reader.Remaining != 0)
            return false;
        request = new SyncRequest
        {
            Term = term, Sequence = sequence, Coordinator = coordinator, PartitionCount = partitionCount, MembershipVersion = membership,
            NobodyTakesOver = nobody,
            Flush = flush, Silos = silos, Table = table, Commands = commands,
        };
        return true;
    }
}

/// <summary>A silo's answer: everything that it holds, after the commands.</summary>
public sealed record SyncReply
{
    /// <summary>The first byte on the wire; version 1 had none.</summary>
    private const byte WireFormat = 3;

    public required SiloId Silo { get; init; }

    /// <summary>The highest term that the silo has seen; higher than the request's = the request was refused.</summary>
    public required long Term { get; init; }

    public required long Sequence { get; init; }

    public required PartitionTableVersion TableVersion { get; init; }

    /// <summary>The seed of the table that the silo knows, under which everything that it holds is stored; none before it has a table.</summary>
    public HashSeed HashSeed { get; init; }

    /// <summary>The silo's -m: its share of the partitions follows it.</summary>
    public required long MemoryBytes { get; init; }

    public required int PartitionCount { get; init; }

    /// <summary>The newest membership that the silo knows. A silo that appeared later is unknown to it, and calls to it would fail.</summary>
    public long MembershipVersion { get; init; }

    /// <summary>The silo is about to stop and wants to be emptied.</summary>
    public bool Draining { get; init; }

    /// <summary>The newest flush_all that the silo has carried out, on everything that it holds.</summary>
    public FlushMark Flush { get; init; }

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

    public IReadOnlyList<PartitionReport> Partitions { get; init; } = [];

    public byte[] Encode()
    {
        MessageWriter writer = new();
        writer.Byte(WireFormat);
        writer.Text(Silo.Text);
        writer.Int64(Term);
        writer.Int64(Sequence);
        writer.Int64(TableVersion.Term);
        writer.Int64(TableVersion.Number);
        writer.Seed(HashSeed);
        writer.Int64(MemoryBytes);
        writer.Int32(PartitionCount);
        writer.Int64(MembershipVersion);
        writer.Byte(Draining ? (byte)1 : (byte)0);
        Flush.Write(writer);
        writer.Int32(SilosVersion);
        writer.Text(Gateway);
        writer.Int64(EpochMax);
        writer.Int64(TableTermMax);
        writer.Seed(Kept.Seed);
        writer.Int32(Kept.AgeSeconds);
        writer.Int32(Kept.SiloCount);
        writer.Int32(Partitions.Count);
        foreach (PartitionReport report in Partitions)
        {
            writer.Int32(report.Partition);
            writer.Byte((byte)report.Phase);
            writer.Int64(report.Epoch);
            writer.Int64(report.MoveEpoch);
            writer.Byte((byte)report.Send);
        }

        return writer.ToArray();
    }

    public static bool TryDecode(ReadOnlySpan<byte> wire, [NotNullWhen(true)] out SyncReply? reply)
    {
        WireReader reader = new(wire);
        reply = null;
        if (reader.Byte() != WireFormat)
            return false;
        SiloId silo = reader.Silo();
        long term = reader.Int64();
        long sequence = reader.Int64();
        PartitionTableVersion version = new(reader.Int64(), reader.Int64());
        HashSeed hashSeed = reader.Seed();
        long memory = reader.Int64();
        int partitionCount = reader.Int32();
        long membership = reader.Int64();
        bool draining = reader.Byte() != 0;
        FlushMark flush = FlushMark.Read(ref reader);
        int silosVersion = reader.Int32();
        string gateway = reader.String();
        long epochMax = reader.Int64();
        long tableTermMax = reader.Int64();
        KeptReport kept = new(reader.Seed(), reader.Int32(), reader.Int32());
        int count = reader.Int32();
        if (count < 0 || count > reader.Remaining)
            return false;
        PartitionReport[] partitions = new PartitionReport[count];
        for (int i = 0; i < count; i++)
            partitions[i] = new PartitionReport(reader.Int32(), (PartitionPhase)reader.Byte(), reader.Int64(), reader.Int64(), (SendState)reader.Byte());
        if (reader.Failed || reader.Remaining != 0)
            return false;
        reply = new SyncReply
        {
            Silo = silo, Term = term, Sequence = sequence, TableVersion = version, HashSeed = hashSeed, MemoryBytes = memory, PartitionCount = partitionCount,
            MembershipVersion = membership, Draining = draining,
            Flush = flush, SilosVersion = silosVersion, Gateway = gateway, Partitions = partitions,
            EpochMax = epochMax, TableTermMax = tableTermMax, Kept = kept,
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

/// <summary>Items of a moving partition. Chunks are numbered from 0; the receiver takes them in order, each once, and acknowledges repeats.</summary>
public sealed record ImportChunk
{
    public required long Term { get; init; }

    public required SiloId Source { get; init; }

    public required int Partition { get; init; }

    public required long MoveEpoch { get; init; }

    public required int Number { get; init; }

    /// <summary>Nothing follows. The last chunk may be empty.</summary>
    public required bool Last { get; init; }

    /// <summary>The newest flush_all that the items had gone through when they were read.</summary>
    public FlushMark Flush { get; init; }

    public required ReadOnlyMemory<byte> Items { get; init; }

    public byte[] Encode()
    {
        MessageWriter writer = new(Items.Length + 128);
        writer.Int64(Term);
        writer.Text(Source.Text);
        writer.Int32(Partition);
        writer.Int64(MoveEpoch);
        writer.Int32(Number);
        writer.Byte(Last ? (byte)1 : (byte)0);
        Flush.Write(writer);
        writer.Bytes(Items.Span);
        return writer.ToArray();
    }

    /// <summary>Decodes without copying the items: they stay inside <paramref name="wire"/>.</summary>
    public static bool TryDecode(ReadOnlyMemory<byte> wire, [NotNullWhen(true)] out ImportChunk? chunk)
    {
        WireReader reader = new(wire.Span);
        chunk = null;
        long term = reader.Int64();
        SiloId source = reader.Silo();
        int partition = reader.Int32();
        long moveEpoch = reader.Int64();
        int number = reader.Int32();
        bool last = reader.Byte() != 0;
        FlushMark flush = FlushMark.Read(ref reader);
        int length = reader.Bytes().Length;
        if (reader.Failed || reader.Remaining != 0)
            return false;
        chunk = new ImportChunk
        {
            Term = term, Source = source, Partition = partition, MoveEpoch = moveEpoch, Number = number, Last = last, Flush = flush, Items = wire[^length..],
        };
        return true;
    }
}

/// <summary>The receiver's answer to one chunk: the number that it wants next, or that it wants none.</summary>
public readonly record struct ImportReply(int Partition, long MoveEpoch, int Number, bool Accepted, int NextNumber)
{
    public byte[] Encode()
    {
        MessageWriter writer = new(32);
        writer.Int32(Partition);
        writer.Int64(MoveEpoch);
        writer.Int32(Number);
        writer.Byte(Accepted ? (byte)1 : (byte)0);
        writer.Int32(NextNumber);
        return writer.ToArray();
    }

    public static bool TryDecode(ReadOnlySpan<byte> wire, out ImportReply reply)
    {
        WireReader reader = new(wire);
        reply = new ImportReply(reader.Int32(), reader.Int64(), reader.Int32(), reader.Byte() != 0, reader.Int32());
        return !reader.Failed && reader.Remaining == 0;
    }
}
