namespace OrleansCache;

/// <summary>
/// What happens in this process, for those who watch it (memcached's watch command, on this gateway or on another): the seam between the rooms that
/// report events and the one that carries them to watchers (src/Events).
/// Goals: one load and one predictable branch where nobody watches. Non-goal: an event for everything that happens.
/// </summary>
public abstract class EventLog
{
    private volatile int _watched;

    /// <summary>A log that nobody can watch.</summary>
    public static EventLog None { get; } = new SilentEventLog();

    /// <summary>The kinds that somebody watches now, usually none. Look here before an event is put together.</summary>
    public EventKinds Watched
    {
        get => (EventKinds)_watched;
        protected set => _watched = (int)value;
    }

    /// <summary>
    /// In a cluster: the name that each line ends with (" silo=NAME"), because lines of several silos meet at a watcher. Null: no such word, memcached's
    /// lines exactly.
    /// </summary>
    public abstract string? Silo { get; set; }

    /// <summary>
    /// Begins to watch: what happens from now on. <paramref name="wake"/> is called on any thread when lines come after <see cref="IEventFeed.Read"/> has
    /// returned 0 (or before its first call); it must be quick and must not call the feed. Null if there are too many watchers.
    /// </summary>
    /// <param name="kinds">What to watch.</param>
    /// <param name="bytesMax">What may wait to be read (memcached's watcher_logbuf_size).</param>
    /// <param name="wake">Called when there is something to read.</param>
    public abstract IEventFeed? Watch(EventKinds kinds, int bytesMax, Action wake);

    public abstract EventLogStatistics ReadStatistics();

    /// <summary>stats reset.</summary>
    public abstract void ResetStatistics();

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
        var record = new EventRecord
        {
            Kind = EventKinds.Deletions, Type = EventType.Deleted, ClassId = (byte)classId, Size = valueBytes, Command = (byte)command,
        };
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
        var record = new EventRecord
        {
            Kind = EventKinds.Connections, Type = EventType.ConnectionNew, Size = port, Connection = connection, Command = (byte)transport,
        };
        Write(ref record, address);
    }

    public void ConnectionClosed(ReadOnlySpan<byte> address, int port, ConnectionTransport transport, ConnectionCloseReason reason, int connection)
    {
        if ((Watched & EventKinds.Connections) == 0)
            return;
        var record = new EventRecord
        {
            Kind = EventKinds.Connections, Type = EventType.ConnectionClosed, Size = port, Connection = connection, Status = (byte)reason,
            Command = (byte)transport,
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

    /// <summary>Takes one event; the implementation sets its time. Never waits, allocates or wakes anybody.</summary>
    /// <param name="record">The event; its length, time and length of text are not set yet.</param>
    /// <param name="text">A key, an address, or the whole of a line's end.</param>
    protected abstract void Write(ref EventRecord record, ReadOnlySpan<byte> text);

    private sealed class SilentEventLog : EventLog
    {
        public override string? Silo
        {
            get => null;
            set
            {
            }
        }

        public override IEventFeed? Watch(EventKinds kinds, int bytesMax, Action wake) => null;

        public override EventLogStatistics ReadStatistics() => default;

        public override void ResetStatistics()
        {
        }

        protected override void Write(ref EventRecord record, ReadOnlySpan<byte> text)
        {
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
