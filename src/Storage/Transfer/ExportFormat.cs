namespace OrleansCache.Storage;

/// <summary>
/// The form in which items leave a store. Blocks, one after the other, little endian:
/// <code>
///  block: 0 version(1) | 1 sequence(8) | 9 scheduled flush, 0 = none(4) | items | 0(1)
///  item:  0 key length, 1 to 250(1) | 1 marks(1) | 2 client flags(4) | 6 expires at(4) | 10 last access(4) | 14 CAS(8) | 22 value length(4) | 26 key | value
/// </code>
/// Silos of different versions exchange it: a change takes a new version number.
/// </summary>
internal static class ExportFormat
{
    public const byte Version = 2;
    public const int BlockHeaderBytes = 13;
    public const int ItemHeaderBytes = 26;

    /// <summary>The bits of an item's word that <see cref="WordOf"/> may set.</summary>
    public const uint WordMask =
        ItemWord.FrequencyMask | ItemWord.Stale | ItemWord.TokenSent | ItemWord.Fetched | ItemWord.BinaryKey | ItemWord.ExplicitCas;

    public static void WriteBlockHeader(Span<byte> destination, ulong sequence, uint scheduledFlush)
    {
        var writer = new WireWriter(destination);
        writer.Byte(Version);
        writer.UInt64(sequence);
        writer.UInt32(scheduledFlush);
    }

    public static unsafe void WriteItemHeader(Span<byte> destination, in HandleSpace space, ItemHeader* item, uint now)
    {
        var writer = new WireWriter(destination);
        writer.Byte((byte)item->KeyLength);
        writer.Byte((byte)MarksOf(item));
        writer.UInt32(space.ClientFlags(item));
        writer.UInt32(item->ExpiresAt);
        writer.UInt32(item->LastAccess(now));
        writer.UInt64(item->Cas);
        writer.Int32(space.ValueLength(item));
        writer.Bytes(ItemHeader.KeySpan(item));
    }

    /// <summary>The bits of an item's word that these marks stand for.</summary>
    public static uint WordOf(ItemMarks marks)
    {
        uint word = ((uint)(marks & ItemMarks.Frequency) >> 4) << ItemWord.FrequencyShift;
        word |= (marks & ItemMarks.Stale) != 0 ? ItemWord.Stale : 0;
        word |= (marks & ItemMarks.TokenSent) != 0 ? ItemWord.TokenSent : 0;
        word |= (marks & ItemMarks.Fetched) != 0 ? ItemWord.Fetched : 0;
        word |= (marks & ItemMarks.BinaryKey) != 0 ? ItemWord.BinaryKey : 0;
        return word | ((marks & ItemMarks.ExplicitCas) != 0 ? ItemWord.ExplicitCas : 0);
    }

    /// <summary>The marks of an item as they travel.</summary>
    public static unsafe ItemMarks MarksOf(ItemHeader* item)
    {
        ItemMarks marks = (ItemMarks)(item->Frequency << 4);
        marks |= item->Has(ItemWord.Stale) ? ItemMarks.Stale : 0;
        marks |= item->Has(ItemWord.TokenSent) ? ItemMarks.TokenSent : 0;
        marks |= item->Has(ItemWord.Fetched) ? ItemMarks.Fetched : 0;
        marks |= item->Has(ItemWord.BinaryKey) ? ItemMarks.BinaryKey : 0;
        marks |= item->Has(ItemWord.ExplicitCas) ? ItemMarks.ExplicitCas : 0;
        return marks | (item->Queue == QueueId.Main ? ItemMarks.Main : 0);
    }

    /// <summary>Reads blocks item by item. Every bound is checked here, so that nothing unchecked reaches a store.</summary>
    public ref struct Reader(ReadOnlySpan<byte> input)
    {
        private WireReader _wire = new(input);
        private bool _inBlock;

        public bool IsMalformed { get; private set; }
        public ulong Sequence { get; private set; }
        public uint ScheduledFlush { get; private set; }

        public ExportedItem Item { get; private set; }

        /// <summary>Reads the next item; false at the end, and where the input is malformed.</summary>
        public bool Read()
        {
            while (true)
            {
                if (!_inBlock)
                {
                    if (_wire.Remaining == 0)
                        return false;
                    byte version = _wire.Byte();
                    ulong sequence = _wire.UInt64();
                    uint scheduledFlush = _wire.UInt32();
                    if (_wire.Failed || version != Version)
                        return Fail();
                    Sequence = Math.Max(Sequence, sequence);
                    ScheduledFlush = scheduledFlush;
                    _inBlock = true;
                }

                int keyBytes = _wire.Byte();
                if (_wire.Failed)
                    return Fail();
                if (keyBytes != 0)
                {
                    Item = ExportedItem.Read(ref _wire, keyBytes);
                    return !_wire.Failed || Fail();
                }

                _inBlock = false;
            }
        }

        private bool Fail()
        {
            IsMalformed = true;
            return false;
        }
    }
}

/// <summary>What is known about an item, besides its numbers, as it travels: never renumber.</summary>
[Flags]
internal enum ItemMarks : byte
{
    None = 0,
    Stale = 1 << 0,
    TokenSent = 1 << 1,
    Fetched = 1 << 2,
    BinaryKey = 1 << 3,

    /// <summary>Two bits: reads counted.</summary>
    Frequency = 3 << 4,

    /// <summary>It stood in the main queue.</summary>
    Main = 1 << 6,
    ExplicitCas = 1 << 7,
}
