namespace OrleansCache.Events;

/// <summary>
/// A watcher of one <see cref="RingEventLog"/>: a byte ring under the log's lock that grows up to its bound as lines come faster than they are read.
/// </summary>
internal sealed class EventFeed(RingEventLog log, EventKinds kinds, int bytesMax, Action wake) : IEventFeed
{
    private const int BytesFirst = 4096;

    // Room that a line leaves for the word on what was left out before it.
    private const int SkippedLineBytesMax = 128;

    private byte[] _ring = [];
    private int _start;
    private int _count;
    private long _skippedSinceLine;
    private long _skipped;
    private bool _isHungry = true;
    private int _wantsWake;

    public EventKinds Kinds => kinds;

    public long Skipped => Volatile.Read(ref _skipped);

    public int Read(Span<byte> destination) => log.Read(this, destination);

    public void Dispose() => log.Remove(this);

    /// <summary>Under the log's lock. False if the line was left out.</summary>
    public bool Append(ReadOnlySpan<byte> line, ReadOnlySpan<byte> suffix)
    {
        int needed = _count + line.Length + SkippedLineBytesMax;
        if (needed > bytesMax)
        {
            _skippedSinceLine++;
            Volatile.Write(ref _skipped, _skipped + 1);
            return false;
        }

        if (needed > _ring.Length)
            Grow(needed);
        if (_skippedSinceLine > 0)
        {
            Span<byte> notice = stackalloc byte[SkippedLineBytesMax];
            Put(notice[..EventLine.WriteSkipped(notice, _skippedSinceLine, suffix)]);
            _skippedSinceLine = 0;
        }

        Put(line);
        if (_isHungry)
        {
            _isHungry = false;
            Volatile.Write(ref _wantsWake, 1);
        }

        return true;
    }

    /// <summary>Under the log's lock.</summary>
    public int Take(Span<byte> destination)
    {
        int bytes = Math.Min(_count, destination.Length);
        int first = Math.Min(bytes, _ring.Length - _start);
        _ring.AsSpan(_start, first).CopyTo(destination);
        _ring.AsSpan(0, bytes - first).CopyTo(destination[first..]);
        if (bytes < _count)
            bytes = destination[..bytes].LastIndexOf((byte)'\n') + 1;
        _count -= bytes;
        _start = _count == 0 ? 0 : (_start + bytes) % _ring.Length;
        _isHungry = bytes == 0;
        Volatile.Write(ref _wantsWake, 0);
        return bytes;
    }

    /// <summary>Outside of the lock.</summary>
    public void WakeIfWanted()
    {
        if (Volatile.Read(ref _wantsWake) != 0 && Interlocked.Exchange(ref _wantsWake, 0) != 0)
            wake();
    }

    private void Put(ReadOnlySpan<byte> bytes)
    {
        int end = (_start + _count) % _ring.Length;
        int first = Math.Min(bytes.Length, _ring.Length - end);
        bytes[..first].CopyTo(_ring.AsSpan(end));
        bytes[first..].CopyTo(_ring);
        _count += bytes.Length;
    }

    private void Grow(int needed)
    {
        var larger = new byte[Math.Min(bytesMax, Math.Max(BytesFirst, Math.Max(needed, _ring.Length * 2)))];
        int first = Math.Min(_count, _ring.Length - _start);
        _ring.AsSpan(_start, first).CopyTo(larger);
        _ring.AsSpan(0, _count - first).CopyTo(larger.AsSpan(first));
        _ring = larger;
        _start = 0;
    }
}
