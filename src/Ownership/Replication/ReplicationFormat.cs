using System.Text;

namespace OrleansCache.Ownership.Replication;

/// <summary>What a group of a message is about. Travels between silos: never renumber, only append.</summary>
[Flags]
internal enum GroupKind : byte
{
    /// <summary>Effects of the owner's log, from First to Last.</summary>
    Effects = 0,

    /// <summary>The copy begins: whoever gets this makes an empty one.</summary>
    Begin = 1,

    /// <summary>The effects are a part of a scan, read at position Last; First is 0.</summary>
    Scan = 2,

    /// <summary>With what is in this group the copy is complete.</summary>
    Complete = 4,

    /// <summary>A replica of number First that has the log up to Last is to be kept as this copy; no effects.</summary>
    Retain = 8,

    /// <summary>Keys that were read, in place of effects; all positions are 0. For the replica's eviction only.</summary>
    Reads = 16,
}

/// <summary>What the receiver says of a message. Travels between silos: never renumber, only append.</summary>
internal enum MessageStatus : byte
{
    None = 0,

    /// <summary>Every group has been applied, but for those that are named as refused.</summary>
    Ok = 1,

    /// <summary>The receiver does not count the sender as a member, or not yet: nothing was done, it may be sent again.</summary>
    NotMember = 2,

    /// <summary>A message before this one has not arrived: nothing was done, and the copies are lost.</summary>
    OutOfStep = 3,
}

/// <summary>
/// The wire form of what an owner's silo sends to a replica's. Little endian.
/// <code>
///  message: 0 version(1) | 1 stream(8) | 9 number(8) | 17 length of the sender's name(2) | 19 name | groups
///  group:   0 kind(1) | 1 partition(4) | 5 copy(8) | 13 first(8) | 21 last(8) | 29 sequence of the store(8) | 37 bytes of effects(4) | 41 effects
///  reply:   0 version(1) | 1 status(1) | 2 number(8) | 10 refused groups(4) | each: partition(4), copy(8)
/// </code>
/// The number rises by one with each message of a stream; a stream is one life of one pair of silos, so its first message is 1.
/// </summary>
internal static class ReplicationFormat
{
    public const byte Version = 2;
    public const int GroupHeaderBytes = 41;
    private const int NameBytesMax = 512;

    public static void BeginMessage(GrowingBuffer output, long stream, long number, SiloId source)
    {
        int length = Encoding.UTF8.GetByteCount(source.Text);
        var writer = new WireWriter(output.Take(19 + length));
        writer.Byte(Version);
        writer.Int64(stream);
        writer.Int64(number);
        writer.UInt16((ushort)length);
        Encoding.UTF8.GetBytes(source.Text, writer.Take(length));
    }

    public static void WriteGroup(Span<byte> target, GroupKind kind, int partition, long copy, long first, long last, ulong sequence, int bytes)
    {
        var writer = new WireWriter(target);
        writer.Byte((byte)kind);
        writer.Int32(partition);
        writer.Int64(copy);
        writer.Int64(first);
        writer.Int64(last);
        writer.UInt64(sequence);
        writer.Int32(bytes);
    }

    public static byte[] WriteReply(MessageStatus status, long number, IReadOnlyList<(int Partition, long Copy)> refused)
    {
        byte[] reply = new byte[14 + (refused.Count * 12)];
        var writer = new WireWriter(reply);
        writer.Byte(Version);
        writer.Byte((byte)status);
        writer.Int64(number);
        writer.Int32(refused.Count);
        foreach ((int partition, long copy) in refused)
        {
            writer.Int32(partition);
            writer.Int64(copy);
        }

        return reply;
    }

    /// <summary>False for anything that is not one whole reply.</summary>
    public static bool TryReadReply(ReadOnlySpan<byte> wire, out MessageStatus status, out long number, List<(int Partition, long Copy)> refused)
    {
        var reader = new WireReader(wire);
        byte version = reader.Byte();
        status = (MessageStatus)reader.Byte();
        number = reader.Int64();
        int count = reader.Int32();
        if (reader.Failed || version != Version || count < 0 || count > reader.Remaining)
            return false;
        for (int i = 0; i < count; i++)
            refused.Add((reader.Int32(), reader.Int64()));
        return !reader.Failed && reader.Remaining == 0;
    }

    /// <summary>Reads a message group by group. <see cref="IsMalformed"/> after the last one says whether it was whole.</summary>
    public ref struct Reader
    {
        private WireReader _wire;

        public Reader(ReadOnlySpan<byte> message)
        {
            _wire = new WireReader(message);
            byte version = _wire.Byte();
            Stream = _wire.Int64();
            Number = _wire.Int64();
            int length = _wire.UInt16();
            ReadOnlySpan<byte> name = _wire.Bytes(Math.Min(length, NameBytesMax));
            bool isNamed = SiloId.TryParse(Encoding.UTF8.GetString(name), out SiloId source);
            IsMalformed = _wire.Failed || version != Version || !isNamed;
            Source = source;
        }

        public bool IsMalformed { get; private set; }
        public long Stream { get; }
        public long Number { get; }
        public SiloId Source { get; }

        public GroupKind Kind { get; private set; }
        public int Partition { get; private set; }
        public long Copy { get; private set; }
        public long First { get; private set; }
        public long Last { get; private set; }
        public ulong Sequence { get; private set; }
        public ReadOnlySpan<byte> Effects { get; private set; }

        public bool Read()
        {
            if (IsMalformed || _wire.Remaining == 0)
                return false;
            Kind = (GroupKind)_wire.Byte();
            Partition = _wire.Int32();
            Copy = _wire.Int64();
            First = _wire.Int64();
            Last = _wire.Int64();
            Sequence = _wire.UInt64();
            Effects = _wire.Bytes(_wire.Int32());
            IsMalformed = _wire.Failed;
            return !IsMalformed;
        }
    }
}
