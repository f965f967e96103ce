using System.Buffers;

namespace OrleansCache.Storage;

/// <summary>What an effect does to a replica. Values travel between silos: never renumber, only append.</summary>
internal enum EffectKind : byte
{
    None = 0,

    /// <summary>The key has this item.</summary>
    Put = 1,

    /// <summary>The key is absent.</summary>
    Remove = 2,

    /// <summary>The key's item keeps its value and has these numbers.</summary>
    Touch = 3,

    /// <summary>All keys are absent, or a flush is scheduled.</summary>
    Flush = 4,
}

/// <summary>
/// The form of effects on their way to replicas, one after the other, little endian. The container has the version: a change here is a change of its version.
/// <code>
///  put:    0 kind(1) | 1 item as in <see cref="ExportFormat"/>
///  remove: 0 kind(1) | 1 key length, 1 to 250(1) | 2 key
///  touch:  0 kind(1) | 1 key length, 1 to 250(1) | 2 key | 2+k marks(1) | 3+k expires at(4) | 7+k last access(4) | 11+k CAS(8)
///  flush:  0 kind(1) | 1 clears, 0 or 1(1) | 2 scheduled flush afterwards, 0 = none(4) | 6 number of the flush, 0 = unknown(8)
/// </code>
/// Beside them, keys that were read: key length, 1 to 250(1) | key.
/// </summary>
internal static class EffectFormat
{
    public const int KindBytes = 1;
    public const int FlushBytes = 14;
    private const int TouchFixedBytes = 19;

    public static void WriteRemove(IBufferWriter<byte> output, ReadOnlySpan<byte> key)
    {
        int bytes = 2 + key.Length;
        var writer = new WireWriter(output.GetSpan(bytes));
        writer.Byte((byte)EffectKind.Remove);
        writer.Byte((byte)key.Length);
        writer.Bytes(key);
        output.Advance(bytes);
    }

    public static unsafe void WriteTouch(IBufferWriter<byte> output, ItemHeader* item, uint now)
    {
        ReadOnlySpan<byte> key = ItemHeader.KeySpan(item);
        int bytes = TouchFixedBytes + key.Length;
        var writer = new WireWriter(output.GetSpan(bytes));
        writer.Byte((byte)EffectKind.Touch);
        writer.Byte((byte)key.Length);
        writer.Bytes(key);
        writer.Byte((byte)ExportFormat.MarksOf(item));
        writer.UInt32(item->ExpiresAt);
        writer.UInt32(item->LastAccess(now));
        writer.UInt64(item->Cas);
        output.Advance(bytes);
    }

    public static void WriteFlush(IBufferWriter<byte> output, bool clears, uint flushAtUnixSeconds, long number)
    {
        var writer = new WireWriter(output.GetSpan(FlushBytes));
        writer.Byte((byte)EffectKind.Flush);
        writer.Byte(clears ? (byte)1 : (byte)0);
        writer.UInt32(flushAtUnixSeconds);
        writer.Int64(number);
        output.Advance(FlushBytes);
    }

    /// <summary>Whether these effects are the first part of a copy.</summary>
    public static bool BeginsCopy(ReadOnlySpan<byte> effects) => effects is [(byte)EffectKind.Flush, 0, ..];

    /// <summary>Reads effects one by one. Every bound is checked here, so that nothing unchecked reaches a store.</summary>
    public ref struct Reader(ReadOnlySpan<byte> input)
    {
        private WireReader _wire = new(input);

        public bool IsMalformed { get; private set; }
        public EffectKind Kind { get; private set; }

        /// <summary>Of a put the whole item; of a touch its numbers, of a remove its key.</summary>
        public ExportedItem Item { get; private set; }

        /// <summary>Of a flush.</summary>
        public bool Clears { get; private set; }

        /// <summary>Of a flush: when the scheduled one fires; 0 = none.</summary>
        public uint FlushAt { get; private set; }

        /// <summary>Of a flush.</summary>
        public long FlushNumber { get; private set; }

        /// <summary>Reads the next effect; false at the end, and where the input is malformed.</summary>
        public bool Read()
        {
            if (_wire.Remaining == 0)
                return false;
            Kind = (EffectKind)_wire.Byte();
            switch (Kind)
            {
                case EffectKind.Put:
                    Item = ExportedItem.Read(ref _wire, _wire.Byte());
                    break;
                case EffectKind.Remove:
                    Item = new ExportedItem { Key = ReadKey() };
                    break;
                case EffectKind.Touch:
                    Item = new ExportedItem
                    {
                        Key = ReadKey(),
                        Marks = (ItemMarks)_wire.Byte(),
                        ExpiresAt = _wire.UInt32(),
                        LastAccess = _wire.UInt32(),
                        Cas = _wire.UInt64(),
                    };
                    break;
                case EffectKind.Flush:
                    byte clears = _wire.Byte();
                    FlushAt = _wire.UInt32();
                    FlushNumber = _wire.Int64();
                    if (clears > 1)
                        _wire.Fail();
                    Clears = clears == 1;
                    break;
                default:
                    _wire.Fail();
                    break;
            }

            IsMalformed = _wire.Failed;
            return !IsMalformed;
        }

        private ReadOnlySpan<byte> ReadKey()
        {
            int bytes = _wire.Byte();
            if (bytes is 0 or > Limits.KeyBytesMax)
                _wire.Fail();
            return _wire.Bytes(bytes);
        }
    }

    /// <summary>Reads keys one by one, to the end or to what is none.</summary>
    public ref struct KeyReader(ReadOnlySpan<byte> input)
    {
        private WireReader _wire = new(input);

        public ReadOnlySpan<byte> Key { get; private set; }

        public bool Read()
        {
            if (_wire.Remaining == 0)
                return false;
            int bytes = _wire.Byte();
            Key = _wire.Bytes(bytes);
            return bytes is > 0 and <= Limits.KeyBytesMax && !_wire.Failed;
        }
    }
}
