namespace OrleansCache.Gateway.Buffers;

/// <summary>
/// A piece of unsent output: either bytes in native memory that the <see cref="ChunkPool"/> owns, or a pinned value that lies in the store.
/// <code>
/// bytes:  Data ... Start ======== End ... Capacity      Start..End waits to be sent
/// pin:    Start = bytes of the value already sent, End = the value's length
/// </code>
/// </summary>
internal sealed unsafe class OutputChunk
{
    public byte* Data;
    public int Capacity;
    public int Start;
    public int End;
    public OutputChunk? Next;

    /// <summary>Valid if <see cref="IsPin"/>.</summary>
    public PinnedValue Pin;
    public bool IsPin;

    /// <summary>Where in the pinned value Start was found last.</summary>
    public ValueCursor Cursor;
}
