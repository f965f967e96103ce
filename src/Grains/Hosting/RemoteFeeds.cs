using OrleansCache.Storage;

namespace OrleansCache.Grains.Hosting;

/// <summary>
/// This silo's events for watchers at other gateways. Each is named by its gateway, has a feed here like any watcher's, and fetches the lines; one that has not
/// come for <see cref="Limits.EventFeedIdleSecondsMax"/> seconds is gone. A watcher that comes too seldom loses lines, which its feed counts.
/// </summary>
internal sealed class RemoteFeeds(PartitionSet partitions, TimeProvider time) : IDisposable
{
    /// <summary>How long a watcher's call waits for the first line.</summary>
    private static readonly TimeSpan Wait = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan IdleMax = TimeSpan.FromSeconds(Limits.EventFeedIdleSecondsMax);
    private readonly Dictionary<string, Remote> _remotes = [];
    private readonly Lock _lock = new();

    /// <summary>The lines since the last call; none if nothing has happened for a while, or there are too many watchers.</summary>
    public async ValueTask<ReadOnlyMemory<byte>> ReadAsync(string watcher, EventKinds kinds, int bytesMax)
    {
        bool isNew = false;
        if (kinds == EventKinds.None)
        {
            Remove(watcher);
            return default;
        }

        // The first call only opens the feed: its sender wants to know from when on it watches.
        Remote? remote = Find(watcher, kinds, bytesMax, out isNew);
        if (isNew)
            return default;

        // An answer is followed by the next call: where there is nothing to wait for (too many watchers, or the former call still waits, its sender has given
        // it up), the pause is here.
        if (remote is null || Interlocked.Exchange(ref remote.IsBusy, 1) != 0)
        {
            await Task.Delay(Wait, time);
            return default;
        }

        try
        {
            ReadOnlyMemory<byte> lines = remote.Read();
            if (!lines.IsEmpty)
                return lines;
            await remote.Wake.WaitAsync(Wait);
            return remote.Read();
        }
        finally
        {
            remote.UsedAt = time.GetTimestamp();
            Volatile.Write(ref remote.IsBusy, 0);
        }
    }

    public void Dispose()
    {
        foreach (string watcher in _remotes.Keys.ToArray())
            Remove(watcher);
    }

    private Remote? Find(string watcher, EventKinds kinds, int bytesMax, out bool isNew)
    {
        isNew = false;
        lock (_lock)
        {
            if (_remotes.TryGetValue(watcher, out Remote? known))
                return known;
            Remote remote = new() { UsedAt = time.GetTimestamp() };
            remote.Feed = partitions.Events.Watch(kinds, bytesMax, remote.OnLines);
            if (remote.Feed is null)
            {
                remote.Dispose();
                return null;
            }

            remote.Timer = time.CreateTimer(_ => RemoveIfIdle(watcher, remote), null, IdleMax, IdleMax);
            _remotes.Add(watcher, remote);
            isNew = true;
            return remote;
        }
    }

    private void RemoveIfIdle(string watcher, Remote remote)
    {
        if (Volatile.Read(ref remote.IsBusy) == 0 && time.GetElapsedTime(remote.UsedAt) >= IdleMax)
            Remove(watcher);
    }

    private void Remove(string watcher)
    {
        lock (_lock)
        {
            if (!_remotes.Remove(watcher, out Remote? remote))
                return;
            remote.Dispose();
        }
    }

    private sealed class Remote : IDisposable
    {
        public int IsBusy;
        public long UsedAt;
        public IEventFeed? Feed;
        public ITimer? Timer;
        private readonly byte[] _buffer = new byte[Limits.EventPageBytesMax];

        public SemaphoreSlim Wake { get; } = new(0, 1);

        /// <summary>Called at most once between two readings that have found nothing, but a reading may overtake it.</summary>
        public void OnLines()
        {
            try
            {
                Wake.Release();
            }
            catch (SemaphoreFullException)
            {
                // The former call has not been noticed yet.
            }
        }

        /// <summary>The semaphore is left to those that still wait for it; it holds nothing.</summary>
        public void Dispose()
        {
            Timer?.Dispose();
            Feed?.Dispose();
        }

        public ReadOnlyMemory<byte> Read() => _buffer.AsSpan(0, Feed!.Read(_buffer)).ToArray();
    }
}
