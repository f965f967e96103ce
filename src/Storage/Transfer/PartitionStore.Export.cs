using System.Buffers;

namespace OrleansCache.Storage;

/// <summary>
/// Items out and in, in steps. An export walks the items in the order of <see cref="Scan"/>, which depends on the keys alone, so a cursor is a position and
/// keeps nothing between the steps. What is stored while an export runs may or may not be in it.
/// </summary>
public sealed unsafe partial class PartitionStore
{
    /// <summary>
    /// Writes one block with the next items, until about <paramref name="bytesMax"/> bytes (it may be empty although more follow). Returns false when the end
    /// is reached.
    /// </summary>
    public bool Export(ref ExportCursor cursor, IBufferWriter<byte> output, int bytesMax, uint nowUnixSeconds)
    {
        ArgumentNullException.ThrowIfNull(output);
        SettleBeforePass(nowUnixSeconds);
        ExportFormat.WriteBlockHeader(output.GetSpan(ExportFormat.BlockHeaderBytes), _sequence, ScheduledFlushUnixSeconds);
        output.Advance(ExportFormat.BlockHeaderBytes);
        bool more = ExportItems(ref cursor, output, bytesMax - ExportFormat.BlockHeaderBytes - 1L, asEffects: false, nowUnixSeconds);
        output.GetSpan(1)[0] = 0;
        output.Advance(1);
        return more;
    }

    /// <summary>
    /// Writes the next items, one at least, until so many bytes, or until enough buckets were looked at. Returns false when the end is reached.
    /// </summary>
    private bool ExportItems(ref ExportCursor cursor, IBufferWriter<byte> output, long bytesMax, bool asEffects, uint now)
    {
        long written = 0;
        var bucketItems = new List<(uint Order, uint Handle)>();
        var handles = new List<uint>();
        ulong position = cursor.Position;
        bool isFull = false;
        for (int buckets = 0; !isFull && position <= uint.MaxValue && _index.BucketCount != 0 && buckets < ScanBucketsMax; buckets++)
        {
            uint bucket = _index.FindScanInterval((uint)position, out _, out ulong end);
            handles.Clear();
            bucketItems.Clear();
            _index.ReadBucket(bucket, handles);
            foreach (uint handle in handles)
                bucketItems.Add((HashIndex.ScanOrderOf(_arena.HashOf(_space.At(handle))), handle));
            bucketItems.Sort();
            foreach ((uint order, uint handle) in bucketItems)
            {
                ItemHeader* item = _space.At(handle);
                if (order < position || Expiry.IsExpired(item->ExpiresAt, now))
                    continue;
                long bytes = (asEffects ? EffectFormat.KindBytes : 0) + ExportFormat.ItemHeaderBytes + item->KeyLength + (long)_space.ValueLength(item);

                // Two items of one place (a matter of chance in four thousand million) go out together.
                if (written + bytes > bytesMax && written > 0 && order != cursor.LastOrder)
                {
                    position = order;
                    isFull = true;
                    break;
                }

                if (asEffects)
                    WritePut(handle, item, output, now);
                else
                    WriteItem(handle, item, output, now);
                written += bytes;
                cursor.ItemCount++;
                cursor.LastOrder = order;
            }

            if (!isFull)
                position = end;
        }

        cursor.Position = position;
        return position <= uint.MaxValue && _index.BucketCount != 0;
    }

    /// <summary>
    /// Takes whole blocks. Items keep what is known of their reads; one that is here with the same or a higher CAS stays as it is.
    /// The sequence goes on from the higher of the two; a scheduled flush is taken over.
    /// </summary>
    public ImportStatus Import(ReadOnlySpan<byte> input, uint nowUnixSeconds, out int itemCount) =>
        Import(input, nowUnixSeconds, waitForPages: false, out itemCount);

    /// <summary>
    /// As the other; with <paramref name="waitForPages"/>, stops at an item for which the shard's PagesWanted would help. Importing all again is harmless.
    /// </summary>
    internal ImportStatus Import(ReadOnlySpan<byte> input, uint now, bool waitForPages, out int itemCount)
    {
        itemCount = 0;
        _shard.Begin(waitForPages);
        var check = new ExportFormat.Reader(input);
        while (check.Read())
        {
            if (PartitionId.OfHash(_arena.Hasher.Compute(check.Item.Key), _arena.Options.PartitionCount) != Id)
                return ImportStatus.Malformed;
        }

        if (check.IsMalformed)
            return ImportStatus.Malformed;
        ImportStatus status = ImportStatus.Ok;
        var reader = new ExportFormat.Reader(input);
        while (reader.Read())
        {
            ExportedItem item = reader.Item;
            if (Expiry.IsExpired(item.ExpiresAt, now))
                continue;
            if (ImportItem(in item, now))
                itemCount++;
            else if (_shard.PagesWanted != 0)
                return ImportStatus.OutOfMemory;
            else
                status = ImportStatus.OutOfMemory;
        }

        SetSequence(Math.Max(_sequence, reader.Sequence));
        if (reader.ScheduledFlush != 0)
            SetFlushAt(reader.ScheduledFlush);
        return status;
    }

    private bool ImportItem(in ExportedItem source, uint now)
    {
        ulong hash = _arena.Hasher.Compute(source.Key);
        uint old = _index.Find(hash, source.Key);
        if (old != 0)
        {
            if (_space.At(old)->Cas >= source.Cas && !Expiry.IsExpired(_space.At(old)->ExpiresAt, now))
                return true;
            Unlink(hash, old, LossCause.Replaced);
        }

        return TryStoreExported(hash, in source, 0, now);
    }

    /// <summary>Stores an item with everything that is known of it, in place of the old one (0 if there is none); that stays if there is no memory.</summary>
    private bool TryStoreExported(ulong hash, in ExportedItem source, uint old, uint now)
    {
        _shard.Guarded = old;
        uint handle = 0;
        bool allocated = TryGrowIndex(now)
            && _shard.TryAllocate(source.Key.Length, source.ClientFlags, source.Value.Length, source.ExpiresAt, now, out handle);
        _shard.Guarded = 0;
        if (!allocated)
            return false;
        ItemHeader* item = _space.At(handle);
        item->Word |= ExportFormat.WordOf(source.Marks);
        item->Cas = source.Cas;
        item->SetAccess(source.LastAccess);
        source.Key.CopyTo(new Span<byte>(ItemHeader.KeyOf(item), source.Key.Length));
        var writer = new ValueWriter(in _space, _sizes, handle);
        writer.Write(source.Value);
        if (_hasChecksums)
            ItemChecksum.Set(in _space, _sizes, handle);
        if (old == 0)
        {
            _index.Insert(hash, handle);
        }
        else
        {
            _index.Replace(hash, old, handle);
            _shard.Unlink(this, old, LossCause.Replaced);
        }

        bool hasProvenItself = (source.Marks & ItemMarks.Main) != 0;
        _shard.Link(this, handle, _arena.Eviction.QueueOf(item->ExpiresAt, now, hasProvenItself));
        _shard.Counters.TotalItems--; // it was counted where it was stored
        return true;
    }

    private void WriteItem(uint handle, ItemHeader* item, IBufferWriter<byte> output, uint now)
    {
        int headBytes = ExportFormat.ItemHeaderBytes + item->KeyLength;
        ExportFormat.WriteItemHeader(output.GetSpan(headBytes), in _space, item, now);
        output.Advance(headBytes);
        var cursor = default(ValueCursor);
        int length = _space.ValueLength(item);
        for (int offset = 0; offset < length;)
        {
            byte* run = ItemChain.GetRun(in _space, _sizes, handle, offset, ref cursor, out int runBytes);
            output.Write(new ReadOnlySpan<byte>(run, runBytes));
            offset += runBytes;
        }
    }
}
