using System.Text;

namespace OrleansCache.Events;

/// <summary>
/// The event log of a process: from what its rooms report to the feeds of its watchers.
/// <para>
/// Algorithm. An event goes as a small record into a bounded lock-free ring. A thread that exists only while somebody watches polls the ring, gives each
/// event the next gid, makes memcached's line of it and puts it into the feed of each watcher who asked for its kind. A feed that is read looks into the
/// ring itself first, so that everything written before is seen.
/// </para>
/// <para>
/// Loss. The ring is full: the event is dropped (<see cref="EventLogStatistics.Dropped"/>), as in memcached without a trace in the lines. A feed is full:
/// its watcher loses lines and reads how many.
/// </para>
/// Goals: a writer never waits, allocates, or wakes anybody; gids rise in every feed. Non-goal: to lose nothing.
/// </summary>
public sealed class RingEventLog : EventLog
{
    private const int SleepMillisecondsMax = 16;

    private readonly Lock _gate = new();
    private readonly TimeProvider _time;
    private readonly int _ringBytes;
    private readonly byte[] _text = new byte[Limits.EventTextBytesMax];
    private readonly byte[] _line = new byte[Limits.EventLineBytesMax];
    private EventRing? _ring;
    private EventFeed[] _feeds = [];
    private byte[] _suffix = [];
    private Thread? _thread;
    private ulong _gid;
    private long _dropped;
    private long _written;
    private long _skipped;
    private long _sent;

    /// <param name="ringBytes">What may wait to be made into lines (memcached's worker_logbuf_size for all threads together); rounded up to a power of
    /// two.</param>
    /// <param name="time">The clock of the lines.</param>
    public RingEventLog(int ringBytes = Limits.EventRingBytesDefault, TimeProvider? time = null)
    {
        _ringBytes = ringBytes;
        _time = time ?? TimeProvider.System;
    }

    public override string? Silo
    {
        get => _suffix.Length == 0 ? null : Encoding.UTF8.GetString(_suffix.AsSpan(" silo=".Length));
        set
        {
            byte[] suffix = value is null ? [] : Encoding.UTF8.GetBytes(" silo=" + value);
            if (suffix.Length > Limits.EventSuffixBytesMax || suffix.AsSpan(1).ContainsAnyInRange((byte)0, (byte)' '))
                throw new ArgumentException("a silo's name in event lines is short and has no spaces", nameof(value));
            lock (_gate)
                _suffix = suffix;
        }
    }

    public override IEventFeed? Watch(EventKinds kinds, int bytesMax, Action wake)
    {
        ArgumentNullException.ThrowIfNull(wake);
        var feed = new EventFeed(this, kinds, Math.Clamp(bytesMax, Limits.EventFeedBytesMin, Limits.EventFeedBytesMax), wake);
        lock (_gate)
        {
            if (_feeds.Length >= Limits.EventFeedsMax)
                return null;

            // What lies in the ring happened before.
            _ring ??= new EventRing(_ringBytes);
            PumpLocked();
            _feeds = [.. _feeds, feed];
            UpdateWatched();
            if (_thread is null)
            {
                _thread = new Thread(Run) { IsBackground = true, Name = "event-log" };
                _thread.Start();
            }
        }

        WakeFeeds();
        return feed;
    }

    public override EventLogStatistics ReadStatistics()
    {
        lock (_gate)
            return new EventLogStatistics(Interlocked.Read(ref _dropped), _written, _skipped, _sent, _feeds.Length);
    }

    public override void ResetStatistics()
    {
        lock (_gate)
        {
            Interlocked.Exchange(ref _dropped, 0);
            _written = _skipped = _sent = 0;
        }
    }

    // ---- from the ring to the feeds --------------------------------------------------------------------------------------------------

    internal int Read(EventFeed feed, Span<byte> destination)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(destination.Length, Limits.EventLineBytesMax, nameof(destination));
        int bytes;
        lock (_gate)
        {
            PumpLocked();
            bytes = feed.Take(destination);
        }

        WakeFeeds();
        return bytes;
    }

    internal void Remove(EventFeed feed)
    {
        lock (_gate)
        {
            _feeds = [.. _feeds.Where(other => !ReferenceEquals(other, feed))];
            UpdateWatched();
        }
    }

    protected override void Write(ref EventRecord record, ReadOnlySpan<byte> text)
    {
        record.TimeMicroseconds = (_time.GetUtcNow().UtcTicks - DateTime.UnixEpoch.Ticks) / TimeSpan.TicksPerMicrosecond;
        if (!_ring!.TryWrite(ref record, text))
            Interlocked.Increment(ref _dropped);
    }

    private void UpdateWatched()
    {
        EventKinds kinds = EventKinds.None;
        foreach (EventFeed feed in _feeds)
            kinds |= feed.Kinds;
        Watched = kinds;
    }

    /// <summary>
    /// Makes lines of what is in the ring now; what comes meanwhile is for the next time, so that this ends. Returns whether there was something.
    /// </summary>
    private bool PumpLocked()
    {
        EventRing ring = _ring!;
        long end = ring.Tail;
        bool found = false;
        while (ring.TryRead(end, out EventRecord record, _text))
        {
            found = true;
            _gid++;
            _written++;
            int length = 0;
            foreach (EventFeed feed in _feeds)
            {
                if ((feed.Kinds & record.Kind) == 0)
                    continue;
                if (length == 0)
                    length = EventLine.Write(_line, record, _text.AsSpan(0, record.TextLength), _gid, _suffix);
                if (feed.Append(_line.AsSpan(0, length), _suffix))
                    _sent++;
                else
                    _skipped++;
            }
        }

        return found;
    }

    private void WakeFeeds()
    {
        foreach (EventFeed feed in Volatile.Read(ref _feeds))
            feed.WakeIfWanted();
    }

    /// <summary>
    /// Polls, because a writer that wakes somebody would have to enter the kernel, and it may hold a partition's lock. Ends with the last watcher.
    /// </summary>
    private void Run()
    {
        int sleepMilliseconds = 1;
        while (true)
        {
            bool found;
            lock (_gate)
            {
                found = PumpLocked();
                if (_feeds.Length == 0)
                {
                    _thread = null;
                    return;
                }
            }

            WakeFeeds();
            sleepMilliseconds = found ? 1 : Math.Min(sleepMilliseconds * 2, SleepMillisecondsMax);
            Thread.Sleep(sleepMilliseconds);
        }
    }
}
