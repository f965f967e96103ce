using System.Diagnostics;
using OrleansCache.Gateway.Buffers;
using OrleansCache.Gateway.Sessions;
using OrleansCache.Gateway.Stats;

namespace OrleansCache.Gateway.Datagrams;

/// <summary>What became of one datagram.</summary>
internal enum DatagramSend : byte
{
    Sent,

    /// <summary>The socket takes none now; <see cref="DatagramPort.SendUnsent"/> is called when it does.</summary>
    Full,

    /// <summary>Nobody will ever take it.</summary>
    Failed,
}

/// <summary>
/// memcached over UDP on one I/O loop, without I/O: datagrams go in by <see cref="Receive"/>, replies leave by <see cref="Send"/>.
/// <para>
/// Algorithm. Each datagram is a request of its own and runs through a session of its own; all that its commands answer is one message, cut into datagrams.
/// Where other silos have to answer first, the exchange waits and the loop goes on. A reply that the socket does not take waits in line.
/// </para>
/// <para>
/// Bounds. At most <see cref="Limits.DatagramRequestsPendingMax"/> exchanges at a time, running or waiting to be sent; a reply of at most
/// <see cref="Limits.DatagramReplyBytesMax"/>, beyond which one short datagram says so, because a sender's address can be forged and a reply be aimed at
/// somebody else. What is no request, or one too many, is dropped and counted.
/// </para>
/// Non-goals: requests of several datagrams (memcached has none), order between datagrams, delivery.
/// </summary>
internal abstract unsafe class DatagramPort : IDisposable
{
    private readonly WokenItem _wokenItem;
    private readonly TaskCompletionSource _drained = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly byte[] _scratch = GC.AllocateUninitializedArray<byte>(Limits.DatagramBytesMax, pinned: true);
    private readonly List<DatagramExchange> _all = [];
    private DatagramExchange? _free;
    private DatagramExchange? _wokenHead;
    private DatagramExchange? _unsentHead;
    private DatagramExchange? _unsentTail;
    private readonly DatagramAmplification _amplification = new();
    private int _busy;
    private bool _finishing;
    private bool _disposed;

    protected DatagramPort(LoopContext loop, string name)
    {
        Loop = loop;
        Info = new ConnectionInfo(() => name, () => name) { IsDatagram = true };
        _wokenItem = new WokenItem(this);
        loop.Shared.EnterPort(Info);
    }

    public LoopContext Loop { get; }

    /// <summary>The port in `stats conns`: memcached counts each thread's UDP socket as a connection.</summary>
    public ConnectionInfo Info { get; }

    /// <summary>Completes when the port, told to finish, has no exchange left.</summary>
    public Task Drained => _drained.Task;

    /// <summary>Exchanges under way.</summary>
    internal int Busy => _busy;

    protected ReadOnlyMemory<byte> Scratch => _scratch;

    /// <summary>Whether <see cref="Send"/> may be called now.</summary>
    protected virtual bool CanSend => true;

    /// <summary>Sends the first bytes of <see cref="Scratch"/>.</summary>
    protected abstract DatagramSend Send(int length, ReadOnlySpan<byte> peer);

    /// <summary>Replies wait: <see cref="SendUnsent"/> is wanted when the socket takes some.</summary>
    protected abstract void WatchSending();

    /// <summary>On the loop. The memory is the caller's again afterwards.</summary>
    public void Receive(byte* datagram, int length, ReadOnlySpan<byte> peer)
    {
        ref GatewayCounters counters = ref Loop.Counters;
        counters.BytesRead += length;
        counters.Datagrams++;
        Info.LastActiveUnixSeconds = Loop.NowUnixSeconds;
        var bytes = new ReadOnlySpan<byte>(datagram, length);
        if (_disposed || _busy >= Limits.DatagramRequestsPendingMax || peer.Length > DatagramExchange.PeerBytesMax
            || !DatagramFrame.TryRead(bytes, out ushort requestId))
        {
            counters.DatagramsDropped++;
            return;
        }

        DatagramExchange exchange = _free ?? Create();
        _free = exchange.Next;
        exchange.Next = null;
        _busy++;
        try
        {
            exchange.Begin(requestId, bytes[DatagramFrame.HeaderBytes..], peer);
        }
        catch (Exception failure)
        {
            Fail(exchange, failure);
            return;
        }

        Advance(exchange);
    }

    /// <summary>Something happened to the exchange: it is looked at before the loop sleeps.</summary>
    public void Wake(DatagramExchange exchange)
    {
        if (exchange.IsWoken || _disposed)
            return;
        exchange.IsWoken = true;
        if (_wokenHead is null)
            Loop.Queue.Post(_wokenItem);
        exchange.NextWoken = _wokenHead;
        _wokenHead = exchange;
    }

    /// <summary>On the loop: sends what waits, as far as the socket takes it.</summary>
    public void SendUnsent()
    {
        while (!_disposed && _unsentHead is { } exchange)
        {
            if (!TrySend(exchange))
            {
                WatchSending();
                return;
            }

            _unsentHead = exchange.Next;
            exchange.Next = null;
            if (_unsentHead is null)
                _unsentTail = null;
            Release(exchange);
        }
    }

    /// <summary>On the loop, when nothing is received any more.</summary>
    public void Finish()
    {
        _finishing = true;
        if (_busy == 0)
            _drained.TrySetResult();
    }

    /// <summary>On the loop, or when it has ended: cuts what is under way.</summary>
    public void Dispose()
    {
        if (_disposed)
            return;
        _disposed = true;
        foreach (DatagramExchange exchange in _all)
            exchange.Session.Abort();
        Loop.Shared.Leave(Info);
        Close();
        _drained.TrySetResult();
    }

    protected virtual void Close()
    {
    }

    private DatagramExchange Create()
    {
        var exchange = new DatagramExchange(this);
        _all.Add(exchange);
        return exchange;
    }

    private void RunWoken()
    {
        DatagramExchange? exchange = _wokenHead;
        _wokenHead = null;
        while (exchange is not null)
        {
            DatagramExchange? next = exchange.NextWoken;
            exchange.NextWoken = null;
            exchange.IsWoken = false;
            if (exchange.State == DatagramExchange.Stage.Running && !_disposed)
                Advance(exchange);
            exchange = next;
        }
    }

    private void Advance(DatagramExchange exchange)
    {
        try
        {
            Session session = exchange.Session;
            while (session.CanResume && session.ReplyBytes <= Limits.DatagramReplyBytesMax)
                session.Resume();
            if (session.ReplyBytes > (session.HasAdministered ? Limits.DatagramAdminReplyBytesMax : Limits.DatagramReplyBytesMax))
            {
                Refuse(exchange);
                return;
            }

            if (!session.IsSettled)
                return;
            if (session.DropIncomplete())
                Loop.Counters.DatagramsDropped++;
            exchange.BeginReply();
            if (exchange.Total > 1 && !_amplification.TryCount(exchange.Peer, session.Output.Bytes, Loop.NowUnixSeconds))
            {
                Loop.Counters.DatagramsRefused++;
                session.Output.Clear();
            }
        }
        catch (Exception failure)
        {
            Fail(exchange, failure);
            return;
        }

        if (exchange.Session.Output.IsEmpty)
        {
            Release(exchange);
            return;
        }

        if (_unsentHead is null && TrySend(exchange))
        {
            Release(exchange);
            return;
        }

        bool isFirst = _unsentHead is null;
        if (isFirst)
            _unsentHead = exchange;
        else
            _unsentTail!.Next = exchange;
        _unsentTail = exchange;
        if (isFirst)
            WatchSending();
    }

    /// <summary>False if the socket is full before the reply's end.</summary>
    private bool TrySend(DatagramExchange exchange)
    {
        OutputList output = exchange.Session.Output;
        while (!output.IsEmpty)
        {
            if (!CanSend)
                return false;
            DatagramFrame.Write(_scratch, exchange.RequestId, exchange.Sequence, exchange.Total);
            int payload = Peek(output, _scratch.AsSpan(DatagramFrame.HeaderBytes));
            switch (Send(DatagramFrame.HeaderBytes + payload, exchange.Peer))
            {
                case DatagramSend.Full:
                    return false;
                case DatagramSend.Failed:
                    Loop.Counters.DatagramsUnsent += exchange.Total - exchange.Sequence;
                    output.Clear();
                    return true;
            }

            Loop.Counters.BytesWritten += DatagramFrame.HeaderBytes + payload;
            output.Consume(payload);
            exchange.Sequence++;
        }

        Debug.Assert(exchange.Sequence == exchange.Total);
        return true;
    }

    /// <summary>Copies the first bytes without consuming them.</summary>
    private static int Peek(OutputList output, Span<byte> target)
    {
        int copied = 0;
        for (OutputChunk? chunk = output.Head; chunk is not null && copied < target.Length; chunk = chunk.Next)
        {
            ValueCursor cursor = chunk.Cursor;
            for (int offset = chunk.Start; offset < chunk.End && copied < target.Length;)
            {
                int length = chunk.End - offset;
                byte* source = chunk.IsPin ? chunk.Pin.GetRun(offset, ref cursor, out length) : chunk.Data + offset;
                length = Math.Min(Math.Min(length, chunk.End - offset), target.Length - copied);
                new ReadOnlySpan<byte>(source, length).CopyTo(target[copied..]);
                copied += length;
                offset += length;
            }
        }

        return copied;
    }

    private void Refuse(DatagramExchange exchange)
    {
        Loop.Counters.DatagramsRefused++;
        exchange.Session.Abort();
        int length = CanSend ? exchange.WriteRefusal(_scratch) : 0;
        if (length > 0 && Send(length, exchange.Peer) == DatagramSend.Sent)
            Loop.Counters.BytesWritten += length;
        else
            Loop.Counters.DatagramsUnsent++;
        Release(exchange);
    }

    private void Fail(DatagramExchange exchange, Exception failure)
    {
        Log.SessionFailed(Loop.Shared.LoggerFactory.CreateLogger("OrleansCache.Gateway.Datagrams"), failure);
        exchange.Session.Abort();
        Release(exchange);
    }

    private void Release(DatagramExchange exchange)
    {
        exchange.End();
        exchange.Next = _free;
        _free = exchange;
        if (--_busy == 0 && _finishing)
            _drained.TrySetResult();
    }

    private sealed class WokenItem(DatagramPort port) : LoopWorkItem
    {
        public override void Execute() => port.RunWoken();
    }
}
