using System.Runtime.InteropServices;
using OrleansCache.Gateway.Buffers;
using OrleansCache.Gateway.Sessions;

namespace OrleansCache.Gateway.Epoll;

/// <summary>
/// One socket and its session. Edge-triggered: what epoll told is remembered in <c>_readable</c> and <c>_writable</c> until a call says otherwise, so that a
/// request costs one recv, one send and its share of an epoll_wait. A read that fills less than its buffer has drained the socket.
/// </summary>
internal sealed unsafe class EpollConnection : ISessionTransport
{
    public const int ReceiveBufferBytes = Limits.ReceiveBytesPerTurn;

    private const int VectorsMax = 64;

    private readonly EpollLoop _loop;
    private readonly Session _session;
    private readonly int _fd;
    private bool _readable;
    private bool _readToEnd;
    private bool _writable = true;
    private long _sentBytes;

    public EpollConnection(EpollLoop loop, int fd, int index, ConnectionInfo info)
    {
        _loop = loop;
        _fd = fd;
        Index = index;
        Info = info;
        info.LastActiveUnixSeconds = loop.Context.NowUnixSeconds;
        _session = new Session(loop.Context, this);
    }

    public int Index { get; }
    public ConnectionInfo Info { get; }
    public bool IsClosed { get; private set; }

    /// <summary>Link of the loop's list of connections that want another turn.</summary>
    public EpollConnection? NextScheduled { get; set; }
    public bool IsScheduled { get; set; }

    public void Wake() => _loop.Schedule(this);

    public void OnEvents(uint flags)
    {
        if ((flags & Native.EPOLLOUT) != 0)
            _writable = true;
        if ((flags & (Native.EPOLLIN | Native.EPOLLRDHUP | Native.EPOLLHUP | Native.EPOLLERR)) != 0)
        {
            _readable = true;
            if ((flags & (Native.EPOLLRDHUP | Native.EPOLLHUP | Native.EPOLLERR)) != 0)
                _readToEnd = true;
        }

        Turn();
    }

    /// <summary>Sends, goes on, reads, as far as each is possible, within one turn's share.</summary>
    public void Turn()
    {
        if (IsClosed)
            return;
        try
        {
            _sentBytes = 0;
            _session.BeginTurn(_loop.RequestsPerTurnMax);
            if (SendAndResume())
                Read();
            _loop.Context.Meter?.EndConnectionTurn();
            if (_session.IsFinished)
                Close();
            else
                Report();
        }
        catch (Exception failure)
        {
            Log.SessionFailed(_loop.Logger, failure);
            Close();
        }
    }

    private void Report()
    {
        Info.IsWaiting = !_session.IsQuiet;
        Info.IsReceivingValue = _session.IsReceivingValue;
    }

    /// <summary>Takes what has arrived by now and nothing more; closes when that is answered.</summary>
    public void FinishAndClose()
    {
        _readable = true;
        Turn();
        if (IsClosed)
            return;
        _session.ReceiveEnd();
        if (_session.IsFinished)
            Close();
    }

    /// <summary>Closes if nothing was received since <paramref name="beforeUnixSeconds"/>.</summary>
    public bool CloseIfIdle(uint beforeUnixSeconds)
    {
        if (Info.LastActiveUnixSeconds > beforeUnixSeconds || !_session.IsQuiet)
            return false;
        Info.CloseReason = ConnectionCloseReason.IdleTimeout;
        Close();
        return true;
    }

    public void Close()
    {
        if (IsClosed)
            return;
        IsClosed = true;
        _session.Abort();
        _ = Native.Close(_fd);
        _loop.Remove(this);
    }

    private void Read()
    {
        int received = 0;
        while (_readable && !IsClosed && _session.WantsInput)
        {
            if (received >= Limits.InputBytesPerTurn || _session.HasSpentRequests)
            {
                Yield();
                return;
            }

            bool direct = _session.TryGetValueTarget(out byte* target, out int bytes);
            if (!direct)
            {
                target = _loop.ReceiveBuffer;
                bytes = ReceiveBufferBytes;
            }

            nint count = Native.Receive(_fd, target, (nuint)bytes, 0);
            if (count > 0)
            {
                received += (int)count;
                _loop.Context.Counters.BytesRead += count;
                Info.LastActiveUnixSeconds = _loop.Context.NowUnixSeconds;
                if (count < bytes && !_readToEnd)
                    _readable = false;
                if (direct)
                    _session.CommitValueBytes((int)count);
                else
                    _session.Receive(target, (int)count);
                if (!SendAndResume())
                    return;
            }
            else if (count == 0)
            {
                _readable = false;
                _session.ReceiveEnd();
            }
            else
            {
                int errno = Marshal.GetLastSystemError();
                if (errno == Native.EAGAIN)
                    _readable = false;
                else if (errno != Native.EINTR)
                    Close();
            }
        }
    }

    /// <summary>
    /// Goes on with the backlog and sends, within the turn's share of requests and of bytes. False if the turn is over, or the connection gone.
    /// </summary>
    private bool SendAndResume()
    {
        OutputList output = _session.Output;
        while (true)
        {
            bool isSpent = _session.IsTurnSpent;
            if (!isSpent && _session.CanResume && (output.Bytes < Limits.OutputBytesWorthSending || !_writable))
            {
                _session.Resume();
                continue;
            }

            // Replies to the rest of a pipeline leave together with these, if these are few.
            if (_writable && !output.IsEmpty && (!isSpent || output.Bytes >= Limits.OutputBytesWorthSending))
            {
                if (!Send())
                    return false;
                if (_sentBytes < Limits.OutputBytesPerTurn)
                    continue;
                if (!(_writable && !output.IsEmpty) && !_session.CanResume && !isSpent)
                    return true;
                Yield();
                return false;
            }

            if (!isSpent)
                return true;
            Yield();
            return false;
        }
    }

    /// <summary>The neighbours first.</summary>
    private void Yield()
    {
        _loop.Context.Counters.ConnectionYields++;
        _loop.Schedule(this);
    }

    /// <summary>Sends as much as the socket takes. False if the connection is gone.</summary>
    private bool Send()
    {
        OutputList output = _session.Output;
        while (_writable && !output.IsEmpty && _sentBytes < Limits.OutputBytesPerTurn)
        {
            OutputChunk head = output.Head!;
            nint count = head.Next is null && !head.IsPin
                ? Native.Send(_fd, head.Data + head.Start, (nuint)(head.End - head.Start), Native.MSG_NOSIGNAL)
                : SendVectors(head);
            if (count >= 0)
            {
                _loop.Context.Counters.BytesWritten += count;
                _sentBytes += count;
                output.Consume(count);
                continue;
            }

            int errno = Marshal.GetLastSystemError();
            if (errno == Native.EAGAIN)
            {
                _writable = false;
            }
            else if (errno != Native.EINTR)
            {
                Close();
                return false;
            }
        }

        return true;
    }

    private nint SendVectors(OutputChunk? chunk)
    {
        Native.Vector* vectors = stackalloc Native.Vector[VectorsMax];
        int count = 0;
        long bytes = 0;
        for (; chunk is not null && count < VectorsMax && bytes < Limits.OutputBytesPerTurn; chunk = chunk.Next)
        {
            if (!chunk.IsPin)
            {
                bytes += chunk.End - chunk.Start;
                vectors[count++] = new Native.Vector { Base = chunk.Data + chunk.Start, Length = (nuint)(chunk.End - chunk.Start) };
                continue;
            }

            int offset = chunk.Start;
            _ = chunk.Pin.GetRun(offset, ref chunk.Cursor, out _); // the next call begins here, or behind
            ValueCursor cursor = chunk.Cursor;
            while (offset < chunk.End && count < VectorsMax && bytes < Limits.OutputBytesPerTurn)
            {
                byte* run = chunk.Pin.GetRun(offset, ref cursor, out int length);
                length = (int)Math.Min(length, Limits.OutputBytesPerTurn);
                bytes += length;
                vectors[count++] = new Native.Vector { Base = run, Length = (nuint)length };
                offset += length;
            }

            if (offset < chunk.End)
                break;
        }

        var message = new Native.MessageHeader { Vectors = vectors, VectorsLength = (nuint)count };
        return Native.SendMessage(_fd, &message, Native.MSG_NOSIGNAL);
    }
}
