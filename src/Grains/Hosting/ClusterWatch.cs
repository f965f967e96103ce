using OrleansCache.Ownership;
using OrleansCache.Ownership.Routing;

namespace OrleansCache.Grains.Hosting;

/// <summary>
/// Watching all silos: this process's events directly, those of every other silo by calls that wait there for lines. A loop compares the list of silos
/// with those that are followed; so one that joins is followed within a second, and one that is gone is given up.
/// <para>
/// Bounds: one call per silo is under way, and only while less than the watcher's buffer is full; what cannot be fetched is lost in the buffer of its silo,
/// which counts it. Nothing of this exists while nobody watches.
/// </para>
/// </summary>
internal sealed class ClusterWatch(IGrainFactory grains, ITableCache table, ClusterView view, TimeProvider time) : IClusterWatch
{
    private static readonly TimeSpan ListInterval = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan RetryInterval = TimeSpan.FromMilliseconds(250);
    private static readonly TimeSpan OpenWait = TimeSpan.FromMilliseconds(Limits.ClusterAnswerMilliseconds);

    public async ValueTask<IEventFeed?> WatchAsync(EventLog here, EventKinds kinds, int bytesMax, Action wake, CancellationToken cancellationToken)
    {
        SiloList silos = await view.ReadSilosAsync(cancellationToken);
        Feed feed = new(kinds, Math.Clamp(bytesMax, Limits.EventFeedBytesMin, Limits.EventFeedBytesMax), wake);
        if (here.Watch(kinds, bytesMax, feed.OnLines) is not { } local)
            return null;
        feed.Local = local;
        Task opened = Task.WhenAll(Follow(feed, silos));
        _ = FollowListAsync(feed);

        // "From now on" is a promise that silos that do not answer cannot keep; they are followed as soon as they do.
        await Task.WhenAny(opened, Task.Delay(OpenWait, time, cancellationToken));
        return feed;
    }

    /// <summary>Starts to follow silos that are not followed yet. The tasks end when the silo has begun to collect lines, or could not be asked.</summary>
    private List<Task> Follow(Feed feed, SiloList silos)
    {
        List<Task> opened = [];
        foreach (SiloEntry entry in silos.Silos)
        {
            if (entry.Silo == table.LocalSilo || !feed.Followed.TryAdd(entry.Silo, true))
                continue;
            TaskCompletionSource begun = new(TaskCreationOptions.RunContinuationsAsynchronously);
            opened.Add(begun.Task);
            _ = FollowAsync(feed, entry.Silo, begun);
        }

        return opened;
    }

    private async Task FollowListAsync(Feed feed)
    {
        try
        {
            while (true)
            {
                await Task.Delay(ListInterval, time, feed.Stopped);
                try
                {
                    feed.Silos = await view.ReadSilosAsync(feed.Stopped);
                    Follow(feed, feed.Silos);
                }
                catch (RouterException)
                {
                    // The next round asks again.
                }
            }
        }
        catch (OperationCanceledException)
        {
        }
    }

    private async Task FollowAsync(Feed feed, SiloId silo, TaskCompletionSource begun)
    {
        string name = Guid.NewGuid().ToString("N");
        ISiloControlGrain grain = grains.GetGrain<ISiloControlGrain>(silo.Text);
        try
        {
            while (!feed.Stopped.IsCancellationRequested)
            {
                await feed.RoomAsync();
                try
                {
                    ValueTask<ControlMessage> call = grain.ReadEventsAsync(name, (int)feed.Kinds, feed.BytesMax);
                    feed.Add((await call).Payload);
                    begun.TrySetResult();
                }
                catch (Exception) when (!feed.Stopped.IsCancellationRequested)
                {
                    begun.TrySetResult();
                    if (feed.Silos is { } list && !list.Contains(silo))
                        return;
                    await Task.Delay(RetryInterval, time, feed.Stopped);
                }
            }

            await grain.ReadEventsAsync(name, 0, 0);
        }
        catch (Exception)
        {
            // The silo gives the feed up by itself.
        }
        finally
        {
            begun.TrySetResult();
            feed.Followed.TryRemove(silo, out _);
        }
    }

    /// <summary>What the watcher reads: its own process's lines and what was fetched, in turns. Lines stay whole.</summary>
    private sealed class Feed : IEventFeed
    {
        private readonly Lock _lock = new();
        private readonly Queue<ReadOnlyMemory<byte>> _pages = [];
        private readonly CancellationTokenSource _stop = new();
        private TaskCompletionSource _room = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private long _bytes;
        private int _isHungry = 1;
        private bool _localFirst;
        private readonly Action _wake;
        private bool _disposed;

        public Feed(EventKinds kinds, int bytesMax, Action wake)
        {
            Kinds = kinds;
            BytesMax = bytesMax;
            _wake = wake;
            Stopped = _stop.Token;
        }

        public EventKinds Kinds { get; }

        public int BytesMax { get; }

        public IEventFeed? Local { get; set; }

        public SiloList? Silos { get; set; }

        public System.Collections.Concurrent.ConcurrentDictionary<SiloId, bool> Followed { get; } = [];

        public CancellationToken Stopped { get; }

        /// <summary>Of this process; what other silos left out stands in their lines.</summary>
        public long Skipped => Local?.Skipped ?? 0;

        public int Read(Span<byte> destination)
        {
            // Hungry before looking, so that what comes right after the look wakes.
            Volatile.Write(ref _isHungry, 1);
            _localFirst = !_localFirst;
            int bytes = _localFirst ? Local!.Read(destination) : Take(destination);
            if (bytes == 0)
                bytes = _localFirst ? Take(destination) : Local!.Read(destination);
            if (bytes != 0)
                Volatile.Write(ref _isHungry, 0);
            return bytes;
        }

        public void OnLines()
        {
            if (Interlocked.Exchange(ref _isHungry, 0) != 0)
                _wake();
        }

        public void Add(ReadOnlyMemory<byte> lines)
        {
            if (lines.IsEmpty)
                return;
            lock (_lock)
            {
                _pages.Enqueue(lines);
                _bytes += lines.Length;
            }

            OnLines();
        }

        /// <summary>Ends when more may be fetched.</summary>
        public Task RoomAsync()
        {
            lock (_lock)
            {
                return _bytes < BytesMax ? Task.CompletedTask : _room.Task.WaitAsync(Stopped);
            }
        }

        public void Dispose()
        {
            lock (_lock)
            {
                if (_disposed)
                    return;
                _disposed = true;
            }

            _ = StopAsync();
            Local!.Dispose();
        }

        /// <summary>Not on the caller's thread: that is an I/O loop.</summary>
        private async Task StopAsync()
        {
            await _stop.CancelAsync().ConfigureAwait(false);
            _stop.Dispose();
        }

        private int Take(Span<byte> destination)
        {
            lock (_lock)
            {
                if (!_pages.TryPeek(out ReadOnlyMemory<byte> page))
                    return 0;
                int bytes = Math.Min(page.Length, destination.Length);
                if (bytes < page.Length)
                    bytes = page.Span[..bytes].LastIndexOf((byte)'\n') + 1;
                page.Span[..bytes].CopyTo(destination);
                _pages.Dequeue();
                if (bytes < page.Length)
                    PutBack(page[bytes..]);
                _bytes -= bytes;
                if (_bytes < BytesMax)
                {
                    TaskCompletionSource room = _room;
                    _room = new(TaskCreationOptions.RunContinuationsAsynchronously);
                    room.TrySetResult();
                }

                return bytes;
            }
        }

        private void PutBack(ReadOnlyMemory<byte> rest)
        {
            int behind = _pages.Count;
            _pages.Enqueue(rest);
            for (; behind > 0; behind--)
                _pages.Enqueue(_pages.Dequeue());
        }
    }
}
