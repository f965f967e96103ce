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
///  message: 0 layout(1) | 1 stream(8) | 9 number(8) | 17 length of the sender's name(2) | 19 name | groups
///  reply:   0 layout(1) = 1 | 1 status(1) | 2 number(8) | 10 refused groups(4) | each: partition(4), copy(8)
///
///  group of layout 1: 0 kind(1) | 1 partition(4) | 5 copy(8) | 13 first(8) | 21 last(8) | 29 sequence of the store(8) | 37 bytes of effects(4) | 41 effects
///  group of layout 2: 0 kind(1) | 1 bytes of each of the following, 4 bits each, from the lowest on(3)
///                     | 4 partition | copy(D) | first | last less first(S) | sequence of the store(D) | bytes of effects | effects
/// </code>
/// S: a number that may be below zero, doubled, and its complement if it is; D: the same for the difference to the group before, or to 0 in the first one. So
/// each message is read by itself. Numbers take the bytes that they need, 0 to 8; more may be written. Of <see cref="GroupKind.Reads"/> the positions are 0
/// and the sequence means nothing. The number rises by one with each message of a stream; a stream is one life of one pair of silos, so its first message is 1.
/// </summary>
internal static class ReplicationFormat
{
    /// <summary>Groups begin with fixed headers.</summary>
    public const byte Fixed = 1;

    /// <summary>Groups begin with headers that are as long as their numbers need.</summary>
    public const byte Compact = WireVersion.CompactReplication;

    public const int FixedHeaderBytes = 41;
    private const byte ReplyLayout = 1;
    private const int NameBytesMax = 512;

    /// <summary>In which layout the silos that have agreed on this version write.</summary>
    public static byte LayoutOf(int wireVersion) => wireVersion >= WireVersion.CompactReplication ? Compact : Fixed;

    public static byte[] WriteReply(MessageStatus status, long number, IReadOnlyList<(int Partition, long Copy)> refused)
    {
        byte[] reply = new byte[14 + (refused.Count * 12)];
        var writer = new WireWriter(reply);
        writer.Byte(ReplyLayout);
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
        byte layout = reader.Byte();
        status = (MessageStatus)reader.Byte();
        number = reader.Int64();
        int count = reader.Int32();
        if (reader.Failed || layout != ReplyLayout || count < 0 || count > reader.Remaining)
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
            Layout = _wire.Byte();
            Stream = _wire.Int64();
            Number = _wire.Int64();
            int length = _wire.UInt16();
            ReadOnlySpan<byte> name = _wire.Bytes(Math.Min(length, NameBytesMax));
            bool isNamed = SiloId.TryParse(Encoding.UTF8.GetString(name), out SiloId source);
            IsMalformed = _wire.Failed || Layout is not (Fixed or Compact) || !isNamed;
            Source = source;
        }

        /// <summary>The wire version that brought the layout of this message.</summary>
        public byte Layout { get; }

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
            if (Layout == Compact)
                ReadCompact();
            else
                ReadFixed();
            return !IsMalformed;
        }

        private void ReadFixed()
        {
            WireReader wire = _wire;
            Kind = (GroupKind)wire.Byte();
            Partition = wire.Int32();
            Copy = wire.Int64();
            First = wire.Int64();
            Last = wire.Int64();
            Sequence = wire.UInt64();
            Effects = wire.Bytes(wire.Int32());
            IsMalformed = wire.Failed;
            _wire = wire;
        }

        private void ReadCompact()
        {
            WireReader wire = _wire;
            uint header = wire.UInt32();
            Kind = (GroupKind)(byte)header;
            ulong partition = wire.UInt64(LengthOf(header, 0));
            Copy += Signed(wire.UInt64(LengthOf(header, 1)));
            First = (long)wire.UInt64(LengthOf(header, 2));
            Last = First + Signed(wire.UInt64(LengthOf(header, 3)));
            Sequence += (ulong)Signed(wire.UInt64(LengthOf(header, 4)));
            ulong bytes = wire.UInt64(LengthOf(header, 5));
            Partition = (int)Math.Min(partition, int.MaxValue);
            Effects = wire.Bytes((int)Math.Min(bytes, int.MaxValue));
            IsMalformed = wire.Failed;
            _wire = wire;
        }

        private static int LengthOf(uint header, int field) => (int)(header >> (8 + (4 * field))) & 15;

        private static long Signed(ulong value) => (long)(value >> 1) ^ -(long)(value & 1);
    }
}
