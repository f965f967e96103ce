namespace OrleansCache.Storage;

/// <summary>Fills the value of a new item front to back, from chunk to chunk.</summary>
internal unsafe ref struct ValueWriter
{
    private readonly HandleSpace _space;
    private byte* _position;
    private int _room;
    private uint _next;

    public ValueWriter(in HandleSpace space, SlabClasses sizes, uint handle)
    {
        _space = space;
        ItemHeader* item = space.At(handle);
        _position = space.ValueOf(item);
        _room = item->IsChained ? ItemChain.HeadValueBytes(in space, sizes, handle) : space.ValueLength(item);
        _next = item->IsChained ? space.LinkOf(item)->Next : 0;
    }

    public void Write(ReadOnlySpan<byte> bytes)
    {
        while (bytes.Length > _room)
        {
            bytes[.._room].CopyTo(new Span<byte>(_position, _room));
            bytes = bytes[_room..];
            ContinuationHeader* chunk = _space.ContinuationAt(_next);
            _position = (byte*)chunk + ContinuationHeader.Bytes;
            _room = chunk->UsedBytes;
            _next = chunk->Next;
        }

        bytes.CopyTo(new Span<byte>(_position, _room));
        _position += bytes.Length;
        _room -= bytes.Length;
    }
}

/// <summary>The shape of a chained item: its first chunk is full, then come continuations; <see cref="SlabClasses"/> chooses their classes.</summary>
internal static unsafe class ItemChain
{
    /// <summary>Bytes of the value that lie in the first chunk.</summary>
    public static int HeadValueBytes(in HandleSpace space, SlabClasses sizes, uint head) =>
        sizes.ChunkBytes(space.ClassOf(head)) - space.ValueOffset(space.At(head));

    /// <summary>The contiguous run of the value that begins at <paramref name="offset"/>.</summary>
    public static byte* GetRun(in HandleSpace space, SlabClasses sizes, uint handle, int offset, ref ValueCursor cursor, out int length)
    {
        ItemHeader* item = space.At(handle);
        if (!item->IsChained)
        {
            length = Math.Max(0, space.ValueLength(item) - offset);
            return space.ValueOf(item) + offset;
        }

        if (cursor.RunOffset > offset)
            cursor = default;
        while (true)
        {
            ContinuationHeader* chunk = cursor.Run == 0 ? null : space.ContinuationAt(cursor.Run);
            byte* run = chunk is null ? space.ValueOf(item) : (byte*)chunk + ContinuationHeader.Bytes;
            int runBytes = chunk is null ? HeadValueBytes(in space, sizes, handle) : chunk->UsedBytes;
            uint next = chunk is null ? space.LinkOf(item)->Next : chunk->Next;
            int inside = offset - cursor.RunOffset;
            if (inside < runBytes || next == 0)
            {
                length = Math.Max(0, runBytes - inside);
                return run + inside;
            }

            cursor.Run = next;
            cursor.RunOffset += runBytes;
        }
    }

    /// <summary>Copies the value from <paramref name="offset"/> on, as much as fits.</summary>
    public static void CopyTo(in HandleSpace space, SlabClasses sizes, uint handle, int offset, Span<byte> destination)
    {
        int length = space.ValueLength(space.At(handle));
        var cursor = default(ValueCursor);
        while (destination.Length > 0 && offset < length)
        {
            byte* run = GetRun(in space, sizes, handle, offset, ref cursor, out int runBytes);
            int count = Math.Min(runBytes, destination.Length);
            new ReadOnlySpan<byte>(run, count).CopyTo(destination);
            destination = destination[count..];
            offset += count;
        }
    }
}
