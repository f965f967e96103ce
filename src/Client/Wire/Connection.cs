using OrleansCache.Client.Gateways;
using OrleansCache.Protocol.Meta;

namespace OrleansCache.Client.Wire;

internal enum EnqueueResult : byte
{
    /// <summary>It has its place, or its caller has left already.</summary>
    Queued,

    /// <summary>Too much waits for this connection.</summary>
    Full,

    /// <summary>The connection takes nothing any more.</summary>
    Closed,
}

/// <summary>
/// One connection that all callers share. Commands are appended to a buffer; whoever finds nothing being sent sends, and what collects meanwhile leaves with
/// the next send. Replies come in the order of the commands, so a ring of operations says whose reply is next.
/// <para>
/// Locks: <see cref="_gate"/> for the buffer and the ring's tail, never over I/O. The ring's head belongs to the reader alone, which is also the one who
/// empties it in the end: so an operation is taken out exactly once.
/// </para>
/// Goals: no allocation and, under load, less than one system call for each operation; one slow caller holds nobody up. Non-goal: choosing among connections
/// (<see cref="GatewayPool"/>).
/// </summary>
internal sealed partial class Connection : IThreadPoolWorkItem
{
    private readonly Lock _gate = new();
    private readonly IConnectionOwner _owner;
    private readonly Stream _stream;
    private readonly TimeProvider _time;
    private readonly WireOperation?[] _ring;
    private readonly int _pendingBytesMax;
    private readonly int _valueBytesMax;
    private readonly TaskCompletionSource<Exception?> _closed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private OutputBuffer _filling = new();
    private OutputBuffer _sending = new();
    private Exception? _failure;
    private long _appendedBytes;
    private long _handedOverBytes;
    private long _receivedAt;
    private int _head;
    private int _tail;
    private bool _isSending;
    private bool _isRetired;
    private bool _isClosed;

    public Connection(Stream stream, IConnectionOwner owner, GatewayEndPoint gateway, OrleansCacheOptions options, TimeProvider time)
    {
        _stream = stream;
        _owner = owner;
        _time = time;
        Gateway = gateway;
        _ring = new WireOperation?[System.Numerics.BitOperations.RoundUpToPowerOf2((uint)options.PendingOperationsMax)];
        _pendingBytesMax = options.PendingBytesMax;
        _valueBytesMax = options.ValueBytesMax;
        _receivedAt = time.GetTimestamp();
    }

    public GatewayEndPoint Gateway { get; }

    /// <summary>Ends when the connection has, with what was wrong; null: it was asked to close.</summary>
    public Task<Exception?> Closed => _closed.Task;

    /// <summary>Whether it takes operations.</summary>
    public bool IsOpen => !Volatile.Read(ref _isClosed) && !Volatile.Read(ref _isRetired);

    /// <summary>Operations that wait for their replies.</summary>
    public int Pending => Volatile.Read(ref _tail) - Volatile.Read(ref _head);

    /// <summary>Begins to read.</summary>
    public void Start() => _ = ReadAsync();

    /// <summary>Gives the operation its place, with a reference of its own.</summary>
    public EnqueueResult TryEnqueue(WireOperation operation)
    {
        bool sends, isAlone;
        lock (_gate)
        {
            if (_isClosed || _isRetired)
                return EnqueueResult.Closed;
            int pending = _tail - Volatile.Read(ref _head);
            if (pending >= _ring.Length || _filling.Count > _pendingBytesMax)
                return EnqueueResult.Full;
            if (!operation.TryWrite(_filling.GetSpan(operation.CommandBytesMax), out int written))
                return EnqueueResult.Queued;
            operation.AddReference();
            operation.SentAt = _appendedBytes;
            _filling.Advance(written);
            _appendedBytes += written;
            _ring[_tail & (_ring.Length - 1)] = operation;
            Volatile.Write(ref _tail, _tail + 1);
            isAlone = pending == 0;
            sends = !_isSending;
            _isSending = true;
        }

        // A lone caller sends himself: nobody is there to share a send with. Otherwise others are about to come, behind whom the send waits in the pool's
        // queue.
        if (sends && isAlone)
            _ = SendAsync();
        else if (sends)
            ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
        return EnqueueResult.Queued;
    }

    void IThreadPoolWorkItem.Execute() => _ = SendAsync();

    /// <summary>Takes nothing new; what waits for replies gets them, then the connection closes.</summary>
    public void Retire()
    {
        bool isIdle;
        lock (_gate)
        {
            _isRetired = true;
            isIdle = Pending == 0;
        }

        if (isIdle)
            Close(null);
    }

    /// <summary>Ends the connection; null: because it was asked to. What waits for replies is given back to the owner.</summary>
    public void Close(Exception? failure)
    {
        lock (_gate)
        {
            if (_isClosed)
                return;
            _isClosed = true;
            _failure = failure;
        }

        // Ends a read and a send that are under way. The reader then hands back what waits.
        _stream.Dispose();
    }

    /// <summary>Fails what is overdue. If nothing at all has come since the oldest of it was asked, the connection is given up.</summary>
    public void CheckTimeouts(long now, long timeoutTicks)
    {
        int overdue = 0;
        for (int i = Volatile.Read(ref _head); i != Volatile.Read(ref _tail); i++)
        {
            // The reader may be taking it out, and it may even live again elsewhere: then it is not due.
            if (Volatile.Read(ref _ring[i & (_ring.Length - 1)]) is { } operation && operation.DueAt <= now)
            {
                overdue++;
                _owner.OnTimeout(this, operation, now);
            }
        }

        if (overdue > 0 && now - Volatile.Read(ref _receivedAt) >= timeoutTicks)
            Close(new TimeoutException(
                $"{Gateway} has not answered anything for {TimeSpan.FromSeconds(timeoutTicks / (double)_time.TimestampFrequency).TotalSeconds:0.###} s."));
    }

    private async Task SendAsync()
    {
        try
        {
            while (true)
            {
                lock (_gate)
                {
                    if (_filling.Count == 0 || _isClosed)
                    {
                        _isSending = false;
                        return;
                    }

                    (_filling, _sending) = (_sending, _filling);
                    _handedOverBytes = _appendedBytes;
                }

                await _stream.WriteAsync(_sending.Memory).ConfigureAwait(false);
                _sending.Clear();
            }
        }
        catch (Exception exception)
        {
            Close(exception);
        }
    }
}

/// <summary>What a connection tells its owner.</summary>
internal interface IConnectionOwner
{
    /// <summary>The operation is overdue. Called from a timer.</summary>
    void OnTimeout(Connection connection, WireOperation operation, long now);

    /// <summary>A reply has come; for a hit the operation has the value. Called by the reader; gives the ring's reference to the owner.</summary>
    void OnReply(Connection connection, WireOperation operation, in MetaReplyLine line);

    /// <summary>The connection ended before the reply came; gives the ring's reference to the owner.</summary>
    /// <param name="operation">The operation.</param>
    /// <param name="wasSent">False: not one byte of it has left, so it was not executed.</param>
    /// <param name="failure">What was wrong.</param>
    void OnLost(WireOperation operation, bool wasSent, Exception failure);
}
