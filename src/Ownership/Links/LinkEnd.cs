using System.Buffers;
using System.IO.Pipelines;
using OrleansCache.Ownership.Routing;

namespace OrleansCache.Ownership.Links;

/// <summary>
/// One end of a link. Frames are sent from any thread: what is sent while a send is under way collects, and leaves together. Those that arrive are handed to
/// <see cref="OnFrame"/> one after the other, on the thread that has received them.
/// <para>
/// Goals: no thread changes hands between the bytes and what they ask for; no lock is held while anything is written. Bounded by those who ask: each waits for
/// its answers before it asks more. Non-goals: delivery (what was sent when a link ends may or may not have arrived), order between calls.
/// </para>
/// </summary>
internal abstract class LinkEnd(IDuplexPipe pipe)
{
    /// <summary>A buffer that has grown beyond it for one long reply is given back.</summary>
    private const int BufferBytesKeptMax = 1024 * 1024;

    private readonly Lock _lock = new();
    private byte[] _collecting = WireBuffers.Rent(1);
    private byte[] _leaving = WireBuffers.Rent(1);
    private int _collected;
    private bool _isSending;
    private bool _isOver;

    /// <summary>A frame has arrived; its payload is there until this returns. Throws <see cref="InvalidDataException"/> on what has no place here.</summary>
    protected abstract void OnFrame(LinkFrame kind, long call, ReadOnlySpan<byte> payload);

    /// <summary>Returns false if the link is over, and nothing leaves.</summary>
    protected bool Send(LinkFrame kind, long call, ReadOnlySpan<byte> first, ReadOnlySpan<byte> second = default)
    {
        int payloadBytes = checked(first.Length + second.Length);
        lock (_lock)
        {
            if (_isOver)
                return false;
            WireBuffers.Grow(ref _collecting, _collected, LinkFormat.HeaderBytes + payloadBytes);
            Span<byte> output = _collecting.AsSpan(_collected);
            LinkFormat.WriteHeader(output, kind, call, payloadBytes);
            first.CopyTo(output[LinkFormat.HeaderBytes..]);
            second.CopyTo(output[(LinkFormat.HeaderBytes + first.Length)..]);
            _collected += LinkFormat.HeaderBytes + payloadBytes;
            if (_isSending)
                return true;
            _isSending = true;
        }

        _ = SendCollectedAsync();
        return true;
    }

    /// <summary>Until the other end is gone, or <see cref="OnFrame"/> has thrown. Nothing can be sent afterwards.</summary>
    protected async Task ReceiveAsync(CancellationToken cancellationToken)
    {
        try
        {
            while (true)
            {
                ReadResult result = await pipe.Input.ReadAsync(cancellationToken).ConfigureAwait(false);
                SequencePosition taken = TakeFrames(result.Buffer);
                pipe.Input.AdvanceTo(taken, result.Buffer.End);
                if (result.IsCompleted || result.IsCanceled)
                    return;
            }
        }
        finally
        {
            lock (_lock)
            {
                _isOver = true;
            }
        }
    }

    private SequencePosition TakeFrames(ReadOnlySequence<byte> buffer)
    {
        Span<byte> header = stackalloc byte[LinkFormat.HeaderBytes];
        while (buffer.Length >= LinkFormat.HeaderBytes)
        {
            buffer.Slice(0, LinkFormat.HeaderBytes).CopyTo(header);
            (LinkFrame kind, long call, int bytes) = LinkFormat.ReadHeader(header);
            if (buffer.Length < LinkFormat.HeaderBytes + (long)bytes)
                break;
            ReadOnlySequence<byte> payload = buffer.Slice(LinkFormat.HeaderBytes, bytes);
            if (payload.IsSingleSegment)
                OnFrame(kind, call, payload.FirstSpan);
            else
            {
                byte[] whole = WireBuffers.Rent(bytes);
                payload.CopyTo(whole);
                OnFrame(kind, call, whole.AsSpan(0, bytes));
                WireBuffers.Return(whole);
            }

            buffer = buffer.Slice(LinkFormat.HeaderBytes + (long)bytes);
        }

        return buffer.Start;
    }

    private async Task SendCollectedAsync()
    {
        try
        {
            while (true)
            {
                int length;
                lock (_lock)
                {
                    length = _collected;
                    if (length == 0)
                    {
                        _isSending = false;
                        return;
                    }

                    (_collecting, _leaving) = (_leaving, _collecting);
                    _collected = 0;
                }

                FlushResult result = await pipe.Output.WriteAsync(_leaving.AsMemory(0, length)).ConfigureAwait(false);
                if (result.IsCompleted || result.IsCanceled)
                    return;
                if (_leaving.Length > BufferBytesKeptMax)
                {
                    WireBuffers.Return(_leaving);
                    _leaving = WireBuffers.Rent(1);
                }
            }
        }
        catch (Exception exception) when (exception is IOException or InvalidOperationException or ObjectDisposedException or OperationCanceledException)
        {
            // The other end is gone, and what receives hears of that as well. It stays sending, so nothing is written any more.
        }
    }
}
