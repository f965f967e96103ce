using OrleansCache.Gateway.Buffers;
using OrleansCache.Gateway.Metering;
using OrleansCache.Gateway.Sessions.Binary;
using OrleansCache.Gateway.Sessions.Text;
using OrleansCache.Gateway.Stats;
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

    private readonly RouterChannel _channel;
    private readonly RoomWaiters _room;
    private uint _turns;
    private IncomingValue? _freeValue;
    private PendingReply? _freePending;
    private int _freePendingCount;

    public LoopContext(GatewayShared shared, ICompletionQueue queue)
    {
        Shared = shared;
        Queue = queue;
        _channel = shared.Router.OpenChannel(queue);
        Meter = shared.Options.MeterCommands ? new CommandMeter() : null;
        Channel = Meter is null ? _channel : new MeteredChannel(_channel, Meter);
        Chunks.BytesMax = shared.Options.BufferBytesMax;
        Readings = new LoopReadings(Chunks) { Meter = Meter };
        _room = new RoomWaiters(this);
        Limits = new TextLimits(shared.Options.ItemBytesMax, shared.Options.FlushEnabled);
    }

    public GatewayShared Shared { get; }
    public ICompletionQueue Queue { get; }
    public RouterChannel Channel { get; }

    /// <summary>See <see cref="RouterChannel.Hasher"/>.</summary>
    public KeyHasher Hasher => _channel.Hasher;

    /// <summary>Measures commands; null: nobody wants to know.</summary>
    public CommandMeter? Meter { get; }

    public TextLimits Limits { get; }
    public ChunkPool Chunks { get; } = new();
    public LoopReadings Readings { get; }
    public ref GatewayCounters Counters => ref Readings.Counters;
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
        Meter?.BeginTurn();
        NowUnixSeconds = (uint)Shared.TimeProvider.GetUtcNow().ToUnixTimeSeconds();
        if (_turns++ % OthersTurns == 0 || Chunks.OthersBytes > Chunks.BytesMax / 4)
            Chunks.OthersBytes = Shared.BufferBytesOfOthers(Readings);
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

/// <summary>What others may read of one loop. Written by the loop alone, read by anyone.</summary>
internal sealed class LoopReadings(ChunkPool chunks)
{
    /// <summary>The loop's buffers: gauges.</summary>
    public ChunkPool Chunks { get; } = chunks;

    /// <summary>Null: commands are not measured.</summary>
    public CommandMeter? Meter { get; init; }

    /// <summary>The loop's thread as /proc names it, such as 12/task/34; null where there is none.</summary>
    public string? ThreadName { get; set; }

    public GatewayCounters Counters;
}
