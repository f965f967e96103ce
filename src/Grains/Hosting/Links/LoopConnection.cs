using System.IO.Pipelines;
using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Http.Features;

namespace OrleansCache.Grains.Hosting.Links;

/// <summary>
/// A connection whose bytes are received on its <see cref="SocketLoop"/>'s thread, and handed to whoever reads on that thread, as soon as the other end has
/// proved to be a member (<see cref="Trust"/>): what a stranger sends is read by the pool. What is written is sent by the thread that flushes, unless the
/// socket is full.
/// </summary>
internal sealed class LoopConnection : ConnectionContext
{
    private const int SegmentBytes = 16 * 1024;
    private const int ReceiveBytesMin = 2 * 1024;

    /// <summary>Received in one turn of the loop; then it is the others' turn.</summary>
    private const int TurnBytesMax = 256 * 1024;

    private readonly Socket _socket;
    private readonly SocketLoop _loop;
    private readonly ReaderScheduler _readers = new();
    private readonly Pipe _received;
    private readonly Pipe _toSend = new(PipeOptionsOf(PipeScheduler.Inline));
    private readonly SemaphoreSlim _writable = new(0);
    private readonly CancellationTokenSource _closed = new();
    private readonly TaskCompletionSource _connected = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _receiveEnded = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Task _sending = Task.CompletedTask;
    private int _awaitsWritable;
    private int _isReceiveOver;
    private int _isConnecting;

    /// <summary>Belongs to the loop's thread: the kernel has told of the other end's end.</summary>
    private bool _hasEnd;

    private LoopConnection(Socket socket, SocketLoop loop, EndPoint? remote)
    {
        _socket = socket;
        _loop = loop;
        RemoteEndPoint = remote;
        _received = new Pipe(PipeOptionsOf(_readers));
        Features.Set(this);
        ConnectionClosed = _closed.Token;
        Transport = new Ends(_received.Reader, _toSend.Writer);
    }

    /// <summary>Belongs to the loop.</summary>
    public long Token { get; set; }

    public override string ConnectionId { get; set; } = Guid.NewGuid().ToString("N");

    public override IFeatureCollection Features { get; } = new FeatureCollection();

    public override IDictionary<object, object?> Items { get; set; } = new ConnectionItems();

    public override IDuplexPipe Transport { get; set; }

    /// <summary>Takes over a connection that somebody has opened to this process.</summary>
    public static LoopConnection Accepted(Socket socket, SocketLoop loop)
    {
        LoopConnection connection = new(socket, loop, socket.RemoteEndPoint);
        connection.Begin();
        return connection;
    }

    /// <summary>Throws <see cref="SocketException"/> if nobody answers there.</summary>
    public static async Task<LoopConnection> ConnectAsync(Socket socket, EndPoint remote, SocketLoop loop, CancellationToken cancellationToken)
    {
        LoopConnection connection = new(socket, loop, remote);
        try
        {
            socket.Blocking = false;
            if (!TryConnect(socket, remote))
            {
                Volatile.Write(ref connection._isConnecting, 1);
                loop.Add(connection, socket);
                await connection._connected.Task.WaitAsync(cancellationToken).ConfigureAwait(false);
                connection.Start();
            }
            else
                connection.Begin();
            return connection;
        }
        catch
        {
            loop.Remove(connection);
            socket.Dispose();
            throw;
        }
    }

    /// <summary>The other end has proved to be a member: what it sends is read on the loop's thread from now on.</summary>
    public static void Trust(ConnectionContext context)
    {
        if (context.Features.Get<LoopConnection>() is { } connection)
            connection._readers.IsInline = true;
    }

    public override void Abort(ConnectionAbortedException abortReason) => Shutdown();

    public override async ValueTask DisposeAsync()
    {
        await Transport.Input.CompleteAsync().ConfigureAwait(false);
        await Transport.Output.CompleteAsync().ConfigureAwait(false);
        Shutdown();
        await _ended.Task.ConfigureAwait(false);
        _closed.Dispose();
        await base.DisposeAsync().ConfigureAwait(false);
    }

    /// <summary>On the loop's thread. Returns whether there is more to receive, which the kernel will not tell again.</summary>
    public bool OnEvents(uint flags)
    {
        if (Volatile.Read(ref _isConnecting) == 1 && !TryEndConnecting())
            return false;
        if ((flags & Epoll.Out) != 0 && Interlocked.Exchange(ref _awaitsWritable, 0) == 1)
            _writable.Release();
        _hasEnd |= (flags & ~(Epoll.In | Epoll.Out)) != 0;
        return (flags & ~Epoll.Out) != 0 && Receive();
    }

    private bool TryEndConnecting()
    {
        Volatile.Write(ref _isConnecting, 0);
        try
        {
            int error = (int)_socket.GetSocketOption(SocketOptionLevel.Socket, SocketOptionName.Error)!;
            if (error == 0)
                return _connected.TrySetResult();
            _connected.TrySetException(new SocketException(error));
        }
        catch (ObjectDisposedException)
        {
            // It was given up.
        }

        return false;
    }

    private static unsafe bool TryConnect(Socket socket, EndPoint remote)
    {
        SocketAddress address = remote.Serialize();
        fixed (byte* bytes = address.Buffer.Span)
        {
            if (Epoll.Connect((int)socket.Handle, bytes, address.Size) == 0)
                return true;
        }

        int error = Marshal.GetLastPInvokeError();
        if (error is Epoll.InProgress or Epoll.Interrupted)
            return false;
        throw new SocketException((int)Epoll.ErrorOf(error), Marshal.GetPInvokeErrorMessage(error));
    }

    private void Begin()
    {
        _socket.Blocking = false;
        _loop.Add(this, _socket);
        Start();
    }

    private void Start()
    {
        LocalEndPoint = _socket.LocalEndPoint;
        _sending = SendAsync();
        _ = EndAsync();
    }

    /// <summary>On the loop's thread: it ends, or something has thrown.</summary>
    public void End()
    {
        _connected.TrySetException(new ObjectDisposedException(nameof(SocketLoop)));
        EndReceiving();
    }

    /// <summary>On the loop's thread. Returns whether there is more.</summary>
    private bool Receive()
    {
        if (Volatile.Read(ref _isReceiveOver) == 1)
            return false;
        PipeWriter output = _received.Writer;
        int received = 0;
        while (received < TurnBytesMax)
        {
            Memory<byte> memory = output.GetMemory(ReceiveBytesMin);
            (int count, SocketError error) = Receive(memory.Span);
            if (error == SocketError.WouldBlock)
                return false;
            if (error != SocketError.Success || count == 0)
            {
                EndReceiving();
                return false;
            }

            received += count;
            output.Advance(count);
            ValueTask<FlushResult> flush = output.FlushAsync();
            if (flush.IsCompletedSuccessfully && flush.Result.IsCompleted)
            {
                EndReceiving();
                return false;
            }

            // The kernel tells of what comes after this. Not of an end that it has told of with this.
            if (count < memory.Length && !_hasEnd)
                return false;
        }

        return true;
    }

    private (int Count, SocketError Error) Receive(Span<byte> output)
    {
        try
        {
            int count = _socket.Receive(output, SocketFlags.None, out SocketError error);
            return (count, error);
        }
        catch (ObjectDisposedException)
        {
            return (0, SocketError.Success);
        }
    }

    /// <summary>On the loop's thread.</summary>
    private void EndReceiving()
    {
        if (Interlocked.Exchange(ref _isReceiveOver, 1) == 1)
            return;
        _loop.Remove(this);
        _received.Writer.Complete();
        _toSend.Reader.CancelPendingRead();

        // Before whoever waits to send is woken: no event will wake it again.
        Shutdown();
        if (Interlocked.Exchange(ref _awaitsWritable, 0) == 1)
            _writable.Release();
        _receiveEnded.TrySetResult();
    }

    private async Task SendAsync()
    {
        try
        {
            while (true)
            {
                ReadResult result = await _toSend.Reader.ReadAsync().ConfigureAwait(false);
                foreach (ReadOnlyMemory<byte> segment in result.Buffer)
                {
                    if (!await SendAsync(segment).ConfigureAwait(false))
                        return;
                }

                _toSend.Reader.AdvanceTo(result.Buffer.End);
                if (result.IsCompleted || result.IsCanceled)
                    return;
            }
        }
        finally
        {
            await _toSend.Reader.CompleteAsync().ConfigureAwait(false);
            Shutdown();
        }
    }

    /// <summary>False if the other end is gone.</summary>
    private async ValueTask<bool> SendAsync(ReadOnlyMemory<byte> bytes)
    {
        bool isWaiting = false;
        while (bytes.Length > 0)
        {
            int count;
            SocketError error;
            try
            {
                count = _socket.Send(bytes.Span, SocketFlags.None, out error);
            }
            catch (ObjectDisposedException)
            {
                return false;
            }

            if (error == SocketError.Success)
            {
                bytes = bytes[count..];
                continue;
            }

            if (error != SocketError.WouldBlock)
                return false;
            if (isWaiting)
                await _writable.WaitAsync().ConfigureAwait(false);
            else
                Interlocked.Exchange(ref _awaitsWritable, 1);

            // It may have become writable before that was set: it is tried once more before it waits.
            isWaiting = !isWaiting;
        }

        if (isWaiting && Interlocked.Exchange(ref _awaitsWritable, 0) == 0)
            await _writable.WaitAsync().ConfigureAwait(false);
        return true;
    }

    private void Shutdown()
    {
        try
        {
            _socket.Shutdown(SocketShutdown.Both);
        }
        catch (Exception exception) when (exception is SocketException or ObjectDisposedException)
        {
            // It is down already.
        }
    }

    private async Task EndAsync()
    {
        try
        {
            await _sending.ConfigureAwait(false);
        }
        catch (Exception)
        {
            // Whoever wrote has ended it with an exception of its own.
        }

        try
        {
            await _receiveEnded.Task.ConfigureAwait(false);
            _socket.Dispose();
            _writable.Dispose();
            await _closed.CancelAsync().ConfigureAwait(false);
        }
        finally
        {
            _ended.TrySetResult();
        }
    }

    private static PipeOptions PipeOptionsOf(PipeScheduler readers) => new(
        readerScheduler: readers, writerScheduler: PipeScheduler.Inline, pauseWriterThreshold: 0, resumeWriterThreshold: 0,
        minimumSegmentSize: SegmentBytes, useSynchronizationContext: false);

    /// <summary>The pool, and, for members, whatever thread has received.</summary>
    private sealed class ReaderScheduler : PipeScheduler
    {
        public volatile bool IsInline;

        public override void Schedule(Action<object?> action, object? state)
        {
            if (IsInline)
                action(state);
            else
                System.Threading.ThreadPool.UnsafeQueueUserWorkItem(action, state, preferLocal: false);
        }
    }

    private sealed record Ends(PipeReader Input, PipeWriter Output) : IDuplexPipe;
}
