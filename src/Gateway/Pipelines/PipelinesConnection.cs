using System.Buffers;
using System.IO.Pipelines;
using OrleansCache.Gateway.Buffers;
using OrleansCache.Gateway.Sessions;

namespace OrleansCache.Gateway.Pipelines;

/// <summary>
/// A duplex pipe and its session. One task reads; what it gets goes to the session on the loop. Output is copied into the pipe on the loop, one flush at a
/// time; while a flush waits for the client, output collects in the session, which thereby stops taking input.
/// </summary>
internal sealed class PipelinesConnection : ISessionTransport
{
    private const int CopyBytesMax = 64 * 1024;

    private readonly PipelinesLoop _loop;
    private readonly PipelinesLink _link;
    private readonly Session _session;
    private readonly LoopSwitch _readerSwitch;
    private readonly LoopSwitch _writerSwitch;
    private readonly NextTurn _nextTurn;
    private readonly TaskCompletionSource _closed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private TaskCompletionSource? _readerWaits;
    private bool _isFlushing;
    private bool _isClosed;
    private bool _isWoken;
    private bool _finishing;

    public PipelinesConnection(PipelinesLoop loop, PipelinesLink link, ConnectionInfo info)
    {
        _loop = loop;
        _link = link;
        Info = info;
        info.LastActiveUnixSeconds = loop.Context.NowUnixSeconds;
        _session = new Session(loop.Context, this);
        _readerSwitch = new LoopSwitch(loop);
        _writerSwitch = new LoopSwitch(loop);
        _nextTurn = new NextTurn(this);
    }

    public ConnectionInfo Info { get; }

    public void Wake()
    {
        if (_isWoken || _isClosed)
            return;
        _isWoken = true;
        _loop.Wake(this);
    }

    /// <summary>Serves the connection until it is closed. Starts anywhere, works on the loop.</summary>
    public async Task RunAsync()
    {
        PipeReader input = _link.Input;
        await _readerSwitch;
        _loop.Add(this);
        try
        {
            while (!_isClosed)
            {
                if (!_session.WantsInput)
                {
                    if (_session.IsFinished || _finishing)
                        break;
                    _readerWaits = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                    await _readerWaits.Task.ConfigureAwait(false);
                    await _readerSwitch;
                    continue;
                }

                ReadResult result = await input.ReadAsync().ConfigureAwait(false);
                await _readerSwitch;

                // A turn's worth: the rest is read again at once, behind the neighbours that wait.
                ReadOnlySequence<byte> buffer = result.Buffer;
                bool hasMore = buffer.Length > Limits.ReceiveBytesPerTurn;
                if (hasMore)
                    buffer = buffer.Slice(0, Limits.ReceiveBytesPerTurn);
                if (!_isClosed)
                    Receive(buffer);
                input.AdvanceTo(buffer.End);
                if ((result.IsCompleted && !hasMore) || _finishing)
                    break;
                if (!_isClosed)
                    Pump();
            }

            _session.ReceiveEnd();
            if (!_isClosed)
                Pump();
        }
        catch (Exception failure)
        {
            // The client reset the connection, or it was aborted: the usual end of many.
            await _readerSwitch;
            if (!_link.IsUsualEnd(failure))
                Log.SessionFailed(_loop.Logger, failure);
            Close(cut: true);
        }

        await _closed.Task.ConfigureAwait(false);
        try
        {
            await input.CompleteAsync().ConfigureAwait(false);
            await _link.Output.CompleteAsync().ConfigureAwait(false);
            await _link.CloseAsync().ConfigureAwait(false);
        }
        catch (Exception failure) when (_link.IsUsualEnd(failure))
        {
            _link.Abort();
        }
        catch (Exception failure)
        {
            _link.Abort();
            Log.SessionFailed(_loop.Logger, failure);
        }
    }

    /// <summary>On the loop: moves output into the pipe, goes on with waiting input for one turn, and closes when all is done.</summary>
    public void Pump()
    {
        _isWoken = false;
        bool hasResumed = false;
        while (!_isClosed && !_isFlushing)
        {
            if (!_session.Output.IsEmpty)
            {
                CopyOutput();
                ValueTask<FlushResult> flush = _link.Output.FlushAsync();
                if (!flush.IsCompletedSuccessfully)
                {
                    _isFlushing = true;
                    _ = WaitForFlushAsync(flush);
                    break;
                }

                if (flush.Result.IsCompleted)
                {
                    Close(cut: true);
                    return;
                }
            }

            if (_session.IsTurnSpent || (hasResumed && _session.CanResume))
            {
                // The neighbours first.
                _loop.Context.Counters.ConnectionYields++;
                _nextTurn.Post();
                break;
            }

            if (!_session.CanResume)
                break;

            _session.Resume();
            hasResumed = true;
        }

        if (_isClosed)
            return;
        if (_session.IsFinished && !_isFlushing)
        {
            Close(cut: false);
            return;
        }

        Info.IsWaiting = !_session.IsQuiet || _isFlushing;
        Info.IsReceivingValue = _session.IsReceivingValue;
        if (_readerWaits is { } reader && (_session.WantsInput || _finishing))
        {
            _readerWaits = null;
            reader.SetResult();
        }
    }

    /// <summary>On the loop: reads no more, answers what has been received, then closes.</summary>
    public void Finish()
    {
        _finishing = true;
        _link.Input.CancelPendingRead();
        Wake();
    }

    public bool CloseIfIdle(uint beforeUnixSeconds)
    {
        if (Info.LastActiveUnixSeconds > beforeUnixSeconds || !_session.IsQuiet || _isFlushing)
            return false;
        Info.CloseReason = ConnectionCloseReason.IdleTimeout;
        Close(cut: false);
        return true;
    }

    /// <summary>On the loop.</summary>
    public void Close(bool cut)
    {
        if (_isClosed)
            return;
        _isClosed = true;
        _session.Abort();
        if (cut)
            _link.Abort();
        _readerWaits?.TrySetResult();
        _readerWaits = null;
        _link.Input.CancelPendingRead();
        _loop.Context.Shared.Leave(Info);
        _loop.Remove(this);
        _closed.SetResult();
    }

    private async Task WaitForFlushAsync(ValueTask<FlushResult> flush)
    {
        bool isGone;
        try
        {
            isGone = (await flush.ConfigureAwait(false)).IsCompleted;
        }
        catch (Exception)
        {
            isGone = true;
        }

        await _writerSwitch;
        _isFlushing = false;
        if (isGone)
            Close(cut: true);
        else
            Pump();
    }

    private void Receive(ReadOnlySequence<byte> buffer)
    {
        if (buffer.IsEmpty)
            return;
        _loop.Context.Counters.BytesRead += buffer.Length;
        Info.LastActiveUnixSeconds = _loop.Context.NowUnixSeconds;
        _session.BeginTurn(_loop.Context.Shared.Options.RequestsPerEvent);
        foreach (ReadOnlyMemory<byte> segment in buffer)
            _session.Receive(segment.Span);
    }

    private unsafe void CopyOutput()
    {
        OutputList output = _session.Output;
        PipeWriter writer = _link.Output;
        _loop.Context.Counters.BytesWritten += output.Bytes;
        while (!output.IsEmpty)
        {
            OutputChunk chunk = output.Head!;
            int length = chunk.End - chunk.Start;
            byte* source = chunk.Data + chunk.Start;
            if (chunk.IsPin)
            {
                source = chunk.Pin.GetRun(chunk.Start, ref chunk.Cursor, out int run);
                length = Math.Min(run, length);
            }

            Span<byte> target = writer.GetSpan(Math.Min(length, 4096));
            length = Math.Min(Math.Min(length, target.Length), CopyBytesMax);
            new ReadOnlySpan<byte>(source, length).CopyTo(target);
            writer.Advance(length);
            output.Consume(length);
        }
    }

    /// <summary>Brings a connection that has more to do than one turn's worth back, behind what is queued by then.</summary>
    private sealed class NextTurn(PipelinesConnection connection) : LoopWorkItem
    {
        private bool _isPosted;

        public void Post()
        {
            if (_isPosted)
                return;
            _isPosted = true;
            connection._loop.Post(this);
        }

        public override void Execute()
        {
            _isPosted = false;
            connection._session.BeginTurn(connection._loop.Context.Shared.Options.RequestsPerEvent);
            connection.Pump();
        }
    }
}
