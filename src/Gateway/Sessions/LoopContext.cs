using OrleansCache.Gateway.Buffers;
using OrleansCache.Gateway.Sessions.Binary;
using OrleansCache.Gateway.Sessions.Text;
using OrleansCache.Protocol.Binary;
using OrleansCache.Protocol.Meta;
using OrleansCache.Protocol.Text;

namespace OrleansCache.Gateway.Sessions;

/// <summary>
/// What the sessions of one I/O loop share: the way to the partitions, the clock of the turn, buffers, counters and the reusable sinks.
/// Touched only on the loop's thread, but for the counters, which anyone may read.
/// </summary>
internal sealed class LoopContext : IDisposable
{
    private const int FreePendingMax = 8192;

    // Every so many turns the other loops are asked what they hold.
    private const uint OthersTurns = 16;

    private readonly RoomWaiters _room;
    private uint _turns;
    private IncomingValue? _freeValue;
    private PendingReply? _freePending;
    private int _freePendingCount;

    public LoopContext(GatewayShared shared, ICompletionQueue queue)
    {
        Shared = shared;
        Queue = queue;
        Channel = shared.Router.OpenChannel(queue);
        Chunks.BytesMax = shared.Options.BufferBytesMax;
        Counters = new LoopCounters(Chunks);
        _room = new RoomWaiters(this);
        Limits = new TextLimits(shared.Options.ItemBytesMax, shared.Options.FlushEnabled);
    }

    public GatewayShared Shared { get; }
    public ICompletionQueue Queue { get; }
    public RouterChannel Channel { get; }

    /// <summary>See <see cref="RouterChannel.Hasher"/>.</summary>
    public KeyHasher Hasher => Channel.Hasher;
    public TextLimits Limits { get; }
    public ChunkPool Chunks { get; } = new();
    public LoopCounters Counters { get; }
    public GetSink GetSink { get; } = new();
    public ResultSink ResultSink { get; } = new();
    public BinarySink BinarySink { get; } = new();
    public SilentSink SilentSink { get; } = new();
    public MetaSink MetaSink { get; } = new();

    /// <summary>Where a key that came in base64 is decoded to, for as long as its command is worked on.</summary>
    public byte[] BinaryKey { get; } = new byte[OrleansCache.Limits.KeyBytesMax];

    /// <summary>Read once per turn.</summary>
    public uint NowUnixSeconds { get; private set; }

    /// <summary>Starts a turn.</summary>
    public void ReadClock()
    {
        NowUnixSeconds = (uint)Shared.TimeProvider.GetUtcNow().ToUnixTimeSeconds();
        if (_turns++ % OthersTurns == 0 || Chunks.OthersBytes > Chunks.BytesMax / 4)
            Chunks.OthersBytes = Shared.BufferBytesOfOthers(Counters);
    }

    /// <summary>The session is given another chance soon.</summary>
    public void WaitForRoom(Session session) => _room.Add(session);

    public PendingReply RentPending()
    {
        PendingReply? pending = _freePending;
        if (pending is null)
            return new PendingReply(this);
        _freePending = pending.Next;
        _freePendingCount--;
        pending.Next = null;
        return pending;
    }

    public void ReturnPending(PendingReply pending)
    {
        pending.Reset();
        if (_freePendingCount >= FreePendingMax)
            return;
        pending.Next = _freePending;
        _freePending = pending;
        _freePendingCount++;
    }

    public IncomingValue RentValue(in TextCommand command)
    {
        IncomingValue value = TakeValue();
        value.Begin(Chunks, command);
        return value;
    }

    public IncomingValue RentValue(in BinaryCommand command)
    {
        IncomingValue value = TakeValue();
        value.Begin(Chunks, command);
        return value;
    }

    public IncomingValue RentValue(in MetaCommand command, in CacheRequest request, in MetaReplyForm form)
    {
        IncomingValue value = _freeValue ?? new IncomingValue();
        _freeValue = value.NextFree;
        value.NextFree = null;
        value.Begin(Chunks, command, request, form);
        return value;
    }

    public void ReturnValue(IncomingValue value)
    {
        value.End(Chunks);
        value.NextFree = _freeValue;
        _freeValue = value;
    }

    public void Dispose()
    {
        _room.Dispose();
        Chunks.Dispose();
    }

    private IncomingValue TakeValue()
    {
        IncomingValue value = _freeValue ?? new IncomingValue();
        _freeValue = value.NextFree;
        value.NextFree = null;
        return value;
    }
}

/// <summary>Counters of one loop. Written by the loop alone, read by anyone.</summary>
internal sealed class LoopCounters(ChunkPool chunks)
{
    /// <summary>The loop's buffers: gauges.</summary>
    public ChunkPool Chunks { get; } = chunks;

    /// <summary>Replies and requests that were refused because the buffers of all connections held as much as they may.</summary>
    public long RepliesRefused;
    public long ReadBuffersRefused;
    public long BytesRead;
    public long BytesWritten;
    public long Yields;
    public long Operations;
    public long Flushes;

    /// <summary>me commands: what memcached counts as cmd_meta.</summary>
    public long MetaDebugs;
    public long Unavailable;

    /// <summary>Text and meta commands whose value was too large to be taken. Like memcached, without those of the binary protocol.</summary>
    public long StoresTooLarge;
    public long IdleKicks;

    /// <summary>Attempts to authenticate, and those that failed.</summary>
    public long AuthCommands;
    public long AuthErrors;

    /// <summary>
    /// Datagrams received; those that were no request, or one too many, or ended in the middle of one; replies refused for their size; reply datagrams that
    /// could not be sent.
    /// </summary>
    public long Datagrams;
    public long DatagramsDropped;
    public long DatagramsRefused;
    public long DatagramsUnsent;
}
