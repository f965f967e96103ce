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
        _position = ItemHeader.ValueOf(item);
        _room = item->IsChained ? Chain.HeadValueBytes(item, sizes) : item->ValueLength;
        _next = item->IsChained ? Chain.Next(item, sizes) : 0;
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

/// <summary>The shape of a chained item: its first chunk, full but for the next chunk's handle in its last 4 bytes, then continuations.</summary>
internal static unsafe class Chain
{
    public const int LinkBytes = sizeof(uint);

    public static ref uint Next(ItemHeader* head, SlabClasses sizes) =>
        ref *(uint*)((byte*)head + sizes.ChunkBytes(head->ClassIndex) - LinkBytes);

    /// <summary>Bytes of the value that lie in the first chunk.</summary>
    public static int HeadValueBytes(ItemHeader* head, SlabClasses sizes) =>
        sizes.ChunkBytes(head->ClassIndex) - ItemHeader.Bytes - head->KeyLength - LinkBytes;

    /// <summary>The class of the next continuation when this many bytes of the value are left.</summary>
    public static int ContinuationClass(SlabClasses sizes, int bytesLeft)
    {
        if (bytesLeft >= sizes.PageBytes - ContinuationHeader.Bytes)
            return sizes.PageClass;
        return bytesLeft + ContinuationHeader.Bytes >= sizes.ContiguousBytesMax ? sizes.HalfPageClass : sizes.ClassOf(bytesLeft + ContinuationHeader.Bytes);
    }

    /// <summary>The class of the first chunk of an item of this size.</summary>
    public static int HeadClass(SlabClasses sizes, long itemBytes) =>
        itemBytes + LinkBytes >= sizes.PageBytes ? sizes.PageClass : sizes.HalfPageClass;

    /// <summary>Pages that an item of this size takes at most.</summary>
    public static long PagesMax(SlabClasses sizes, long itemBytes) => (itemBytes / (sizes.PageBytes - ContinuationHeader.Bytes)) + 3;
}
