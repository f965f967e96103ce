using System.Buffers;

namespace OrleansCache.Storage;

/// <summary>
/// Items out and in, in steps. An export walks each class's list from the cold end to the hot one; its place is an item, and an item that leaves the list
/// moves the place on, so that the steps need not be one critical section. What is stored while an export runs may or may not be in it.
/// </summary>
public sealed unsafe partial class PartitionStore
{
    private int _exportId;
    private int _exportClass;
    private uint _exportNext;

    /// <summary>
    /// Writes one block with the next items, until about <paramref name="bytesMax"/> bytes (at least one item, if there is one). Returns false when the end is reached.
    /// </summary>
    public bool Export(ref ExportCursor cursor, IBufferWriter<byte> output, int bytesMax, uint nowUnixSeconds)
    {
        ArgumentNullException.ThrowIfNull(output);
        if (cursor.ExportId == 0 || cursor.ExportId != _exportId)
        {
            _exportId = _exportId == int.MaxValue ? 1 : _exportId + 1;
            _exportClass = Math.Clamp(cursor.ClassIndex, 0, _classes.Length - 1);
            _exportNext = _classes[_exportClass].Lru.Tail;
            cursor.ExportId = _exportId;
        }

        ExportFormat.WriteBlockHeader(output.GetSpan(ExportFormat.BlockHeaderBytes), _sequence, ScheduledFlushUnixSeconds);
        output.Advance(ExportFormat.BlockHeaderBytes);
        long written = ExportFormat.BlockHeaderBytes + 1;
        bool more = true;
        while (true)
        {
            if (_exportNext == 0)
            {
                if (_exportClass == _classes.Length - 1)
                {
                    more = false;
                    break;
                }

                _exportNext = _classes[++_exportClass].Lru.Tail;
                continue;
            }

            uint handle = _exportNext;
            ItemHeader* item = _space.At(handle);
            if (!Expiry.IsExpired(item->ExpiresAt, nowUnixSeconds))
            {
                long bytes = ExportFormat.ItemHeaderBytes + item->KeyLength + (long)item->ValueLength;
                if (written + bytes > bytesMax && written > ExportFormat.BlockHeaderBytes + 1)
                    break;
                WriteItem(handle, item, output);
                written += bytes;
                cursor.ItemCount++;
            }

            _exportNext = item->LruPrev;
        }

        cursor.ClassIndex = _exportClass;
        output.GetSpan(1)[0] = 0;
        output.Advance(1);
        return more;
    }

    /// <summary>
    /// Takes whole blocks. Items become the hottest of their class in the order in which they come; one that is here with the same or a higher CAS stays as it is.
    /// The sequence goes on from the higher of the two; a scheduled flush is taken over.
    /// </summary>
    public ImportStatus Import(ReadOnlySpan<byte> input, uint nowUnixSeconds, out int itemCount) =>
        Import(input, nowUnixSeconds, waitForPages: false, out itemCount);

    /// <summary>As the other; with <paramref name="waitForPages"/>, stops at an item for which <see cref="PagesWanted"/> pages would help. Importing all again is harmless.</summary>
    internal ImportStatus Import(ReadOnlySpan<byte> input, uint now, bool waitForPages, out int itemCount)
    {
        itemCount = 0;
        PagesWanted = 0;
        if (_released != 0)
            FreeReleased();
        var check = new ExportFormat.Reader(input);
        while (check.Read())
        {
            if (PartitionId.OfHash(_arena.Hasher.Compute(check.Key), _arena.Options.PartitionCount) != Id)
                return ImportStatus.Malformed;
        }

        if (check.IsMalformed)
            return ImportStatus.Malformed;
        _waitForPages = waitForPages;
        ImportStatus status = ImportStatus.Ok;
        var reader = new ExportFormat.Reader(input);
        while (reader.Read())
        {
            if (Expiry.IsExpired(reader.ExpiresAt, now))
                continue;
            if (ImportItem(in reader, now))
                itemCount++;
            else if (PagesWanted != 0)
                return ImportStatus.OutOfMemory;
            else
                status = ImportStatus.OutOfMemory;
        }

        _sequence = Math.Max(_sequence, reader.Sequence);
        if (reader.ScheduledFlush != 0)
            _flushAt = reader.ScheduledFlush;
        return status;
    }

    private bool ImportItem(in ExportFormat.Reader source, uint now)
    {
        ulong hash = _arena.Hasher.Compute(source.Key);
        uint old = _index.Find(hash, source.Key);
        if (old != 0)
        {
            if (_space.At(old)->Cas >= source.Cas && !Expiry.IsExpired(_space.At(old)->ExpiresAt, now))
                return true;
            Unlink(old);
        }

        if (!TryAllocate(source.Key.Length, source.Value.Length, now, out uint handle))
            return false;
        ItemHeader* item = _space.At(handle);
        item->Marks |= source.Marks;
        item->ClientFlags = source.ClientFlags;
        item->ExpiresAt = source.ExpiresAt;
        source.Key.CopyTo(new Span<byte>(ItemHeader.KeyOf(item), source.Key.Length));
        var writer = new ValueWriter(in _space, _sizes, handle);
        writer.Write(source.Value);
        Link(handle, hash, source.Cas, now);
        item->LastAccess = source.LastAccess;
        _counters.TotalItems--; // it was counted where it was stored
        return true;
    }

    private void WriteItem(uint handle, ItemHeader* item, IBufferWriter<byte> output)
    {
        int headBytes = ExportFormat.ItemHeaderBytes + item->KeyLength;
        ExportFormat.WriteItemHeader(output.GetSpan(headBytes), item);
        output.Advance(headBytes);
        var cursor = default(ValueCursor);
        for (int offset = 0; offset < item->ValueLength;)
        {
            byte* run = GetRun(handle, offset, ref cursor, out int runBytes);
            output.Write(new ReadOnlySpan<byte>(run, runBytes));
            offset += runBytes;
        }
    }
}
