using System.Text;

namespace OrleansCache;

/// <summary>
/// What happens in this process, for those who watch it (memcached's watch command, on this gateway or on another).
/// <para>
/// Algorithm. Who has something to tell looks at <see cref="Watched"/> first, and writes a small record into a bounded lock-free ring. A thread that exists
/// only while somebody watches polls the ring, gives each event the next gid, makes memcached's line of it and puts it into the feed of each watcher
/// who asked for its kind. A feed that is read looks into the ring itself first, so that whatever was written before is seen.
/// </para>
/// <para>
/// Loss. The ring is full: the event is dropped (<see cref="EventLogStatistics.Dropped"/>), as in memcached without a trace in the lines. A feed is full: its
/// watcher loses lines and is told how many. Nobody who writes ever waits, allocates, or wakes anybody.
/// </para>
/// Goals: one load and one predictable branch where nobody watches; gids rise in every feed. Non-goal: telling everything.
/// </summary>
public sealed class EventLog
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
    private volatile int _watched;
    private ulong _gid;
    private long _dropped;
    private long _written;
    private long _skipped;
    private long _sent;

    /// <param name="ringBytes">What may wait to be made into lines (memcached's worker_logbuf_size for all threads together); rounded up to a power of two.</param>
    /// <param name="time">The clock of the lines.</param>
    public EventLog(int ringBytes = Limits.EventRingBytesDefault, TimeProvider? time = null)
    {
        _ringBytes = ringBytes;
        _time = time ?? TimeProvider.System;
    }

    /// <summary>What somebody watches now. Look here before an event is put together: usually nothing.</summary>
    public EventKinds Watched => (EventKinds)_watched;

    /// <summary>In a cluster: the name that each line ends with (" silo=NAME"), because lines of several silos meet at a watcher. Null: no such word, memcached's lines exactly.</summary>
    public string? Silo
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

    /// <summary>
    /// Begins to watch: what happens from now on. <paramref name="wake"/> is called on any thread when lines come after <see cref="IEventFeed.Read"/> has returned 0
    /// (or before its first call); it must be quick and must not call the feed. Null if there are too many watchers.
    /// </summary>
    /// <param name="kinds">What to watch.</param>
    /// <param name="bytesMax">What may wait to be read (memcached's watcher_logbuf_size).</param>
    /// <param name="wake">Told that there is something to read.</param>
    public IEventFeed? Watch(EventKinds kinds, int bytesMax, Action wake)
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

    public EventLogStatistics ReadStatistics()
    {
        lock (_gate)
            return new EventLogStatistics(Interlocked.Read(ref _dropped), _written, _skipped, _sent, _feeds.Length);
    }

    /// <summary>stats reset.</summary>
    public void ResetStatistics()
    {
        lock (_gate)
        {
            Interlocked.Exchange(ref _dropped, 0);
            _written = _skipped = _sent = 0;
        }
    }

    // ---- what can happen; each costs nothing but a look at Watched if nobody wants it ------------------------------------------------

    /// <param name="key">The key as it is.</param>
    /// <param name="status">Whether it was found.</param>
    /// <param name="classId">The item's slab class; 0 if there is none.</param>
    /// <param name="connection">The client's connection; 0 if it is at another silo.</param>
    /// <param name="valueBytes">The value's length; 0 if there is none.</param>
    public void ItemGet(ReadOnlySpan<byte> key, ItemGetStatus status, int classId, int connection, int valueBytes)
    {
        if ((Watched & EventKinds.Fetchers) == 0)
            return;
        var record = new EventRecord
        {
            Kind = EventKinds.Fetchers, Type = EventType.ItemGet, ClassId = (byte)classId, Size = valueBytes, Connection = connection, Status = (byte)status,
        };
        Write(ref record, key);
    }

    /// <param name="key">The key as it is.</param>
    /// <param name="status">Whether it was stored.</param>
    /// <param name="command">What was attempted.</param>
    /// <param name="ttlSeconds">Seconds that the item has left; 0: it never expires.</param>
    /// <param name="classId">The item's slab class; 0 if there is none.</param>
    /// <param name="connection">The client's connection; 0 if it is at another silo.</param>
    /// <param name="valueBytes">The value's length.</param>
    public void ItemStore(
        ReadOnlySpan<byte> key, ItemStoreStatus status, ItemStoreCommand command, uint ttlSeconds, int classId, int connection, int valueBytes)
    {
        if ((Watched & EventKinds.Mutations) == 0)
            return;
        var record = new EventRecord
        {
            Kind = EventKinds.Mutations, Type = EventType.ItemStore, ClassId = (byte)classId, Size = valueBytes, Connection = connection, Ttl = ttlSeconds,
            Status = (byte)status, Command = (byte)command,
        };
        Write(ref record, key);
    }

    public void ItemDeleted(ReadOnlySpan<byte> key, ItemDeleteCommand command, int classId, int valueBytes)
    {
        if ((Watched & EventKinds.Deletions) == 0)
            return;
        var record = new EventRecord { Kind = EventKinds.Deletions, Type = EventType.Deleted, ClassId = (byte)classId, Size = valueBytes, Command = (byte)command };
        Write(ref record, key);
    }

    /// <param name="key">The key as it is.</param>
    /// <param name="fetched">Whether it was ever read.</param>
    /// <param name="ttlSeconds">Seconds that it had left; -1: it never expires.</param>
    /// <param name="idleSeconds">Seconds since its last access.</param>
    /// <param name="classId">Its slab class.</param>
    /// <param name="valueBytes">The value's length.</param>
    public void ItemEvicted(ReadOnlySpan<byte> key, bool fetched, long ttlSeconds, int idleSeconds, int classId, int valueBytes)
    {
        if ((Watched & EventKinds.Evictions) == 0)
            return;
        var record = new EventRecord
        {
            Kind = EventKinds.Evictions, Type = EventType.Eviction, ClassId = (byte)classId, Size = valueBytes, Ttl = ttlSeconds,
            LastAccessSeconds = idleSeconds, Status = (byte)(fetched ? 1 : 0),
        };
        Write(ref record, key);
    }

    public void ConnectionOpened(ReadOnlySpan<byte> address, int port, ConnectionTransport transport, int connection)
    {
        if ((Watched & EventKinds.Connections) == 0)
            return;
        var record = new EventRecord { Kind = EventKinds.Connections, Type = EventType.ConnectionNew, Size = port, Connection = connection, Command = (byte)transport };
        Write(ref record, address);
    }

    public void ConnectionClosed(ReadOnlySpan<byte> address, int port, ConnectionTransport transport, ConnectionCloseReason reason, int connection)
    {
        if ((Watched & EventKinds.Connections) == 0)
            return;
        var record = new EventRecord
        {
            Kind = EventKinds.Connections, Type = EventType.ConnectionClosed, Size = port, Connection = connection, Status = (byte)reason, Command = (byte)transport,
        };
        Write(ref record, address);
    }

    /// <summary>Anything else: what stands behind the gid, such as "type=slab_move src=1 dst=2 state=done". No control characters.</summary>
    public void Text(EventKinds kind, ReadOnlySpan<byte> text)
    {
        if ((Watched & kind) == 0)
            return;
        var record = new EventRecord { Kind = kind, Type = EventType.Text };
        Write(ref record, text);
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

    private void Write(ref EventRecord record, ReadOnlySpan<byte> text)
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
        _watched = (int)kinds;
    }

    /// <summary>Makes lines of what is in the ring now; what comes meanwhile is for the next time, so that this ends. Returns whether there was something.</summary>
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

/// <summary>memcached's numbers of its log.</summary>
/// <param name="Dropped">Events for which there was no room in the ring.</param>
/// <param name="Written">Events that were made into lines.</param>
/// <param name="Skipped">Lines for which there was no room in a feed.</param>
/// <param name="Sent">Lines put into feeds.</param>
/// <param name="Feeds">Watchers now.</param>
public readonly record struct EventLogStatistics(long Dropped, long Written, long Skipped, long Sent, int Feeds);
