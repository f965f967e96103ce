using OrleansCache.Gateway.Buffers;

namespace OrleansCache.Gateway.Sessions;

/// <summary>
/// What has arrived of a connection and cannot be worked on yet: the beginning of a command, a data block that is not whole, input that waits until the
/// session may go on, and how much is still to be thrown away. Buffers come from the loop's pool and go back as soon as they are empty. Part of the session
/// rather than an object of its own, because every command looks at it.
/// </summary>
internal unsafe struct SessionInput
{
    /// <summary>A command line, or the header, extras and key of a packet, that has not ended yet.</summary>
    public NativeBuffer? Head { get; set; }

    /// <summary>Input that waits until the session may go on; parsed from <see cref="BacklogStart"/>.</summary>
    public NativeBuffer? Backlog { get; private set; }

    public int BacklogStart { get; private set; }

    /// <summary>A data block that has not fully arrived.</summary>
    public IncomingValue? Value { get; set; }

    /// <summary>Bytes of a refused data block that are still to come.</summary>
    public long SwallowBytes { get; set; }

    /// <summary>The connection closes behind the refused block.</summary>
    public bool ClosesAfterSwallow { get; set; }

    /// <summary>A data block is arriving, wanted or not.</summary>
    public readonly bool IsInBlock => Value is not null || SwallowBytes > 0;

    /// <summary>A command has begun and not ended.</summary>
    public readonly bool IsIncomplete => Head is not null || Value is not null;

    /// <summary>Begins to collect a head.</summary>
    public void KeepHead(LoopContext loop, byte* input, int length)
    {
        Head = loop.Chunks.RentBuffer(Math.Max(256, length));
        Head.Append(input, length);
    }

    /// <summary>Keeps input that has to wait.</summary>
    public void KeepBacklog(LoopContext loop, byte* input, int length)
    {
        NativeBuffer backlog = loop.Chunks.RentBuffer(length);
        backlog.Append(input, length);
        SetBacklog(backlog, 0);
    }

    public void SetBacklog(NativeBuffer backlog, int start)
    {
        Backlog = backlog;
        BacklogStart = start;
    }

    /// <summary>Takes the backlog out, to be worked on: put back what is left of it, or return the buffer.</summary>
    public NativeBuffer TakeBacklog()
    {
        NativeBuffer backlog = Backlog!;
        Backlog = null;
        return backlog;
    }

    public void Release(LoopContext loop)
    {
        if (Head is { } head)
            loop.Chunks.ReturnBuffer(head);
        if (Backlog is { } backlog)
            loop.Chunks.ReturnBuffer(backlog);
        if (Value is { } value)
            loop.ReturnValue(value);
        Head = null;
        Backlog = null;
        Value = null;
        SwallowBytes = 0;
        ClosesAfterSwallow = false;
    }
}
