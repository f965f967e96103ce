using System.Collections.Concurrent;
using OrleansCache.Events;

namespace OrleansCache.Gateway.Tests.Fakes;

/// <summary>
/// A router over one <see cref="FakeStore"/>. Keys for which <see cref="IsRemote"/> holds are answered only when the test says so, in the order that it
/// chooses; they are executed at that moment. Like the real thing it keeps the order of requests for one key.
/// </summary>
public sealed class FakeRouter : IPartitionRouter
{
    public static KeyHasher Hasher { get; } = new(new HashSeed(7, 7));

    public FakeStore Store { get; } = new();

    /// <summary>By the key's first byte.</summary>
    public Func<byte, bool> IsRemote { get; set; } = static _ => false;

    /// <summary>Remote requests that wait for <see cref="RemoteRequest.Complete"/>, in the order of Send.</summary>
    public List<RemoteRequest> Waiting { get; } = [];

    /// <summary>Answer remote requests from a pool thread by themselves.</summary>
    public bool AnswersItself { get; set; }

    public int Sent { get; private set; }
    public int FlushCalls { get; private set; }
    public uint LastFlushAt { get; private set; }
    public TaskCompletionSource? FlushGate { get; set; }
    public ConcurrentQueue<string> Problems { get; } = new();
    public StoreStatistics Statistics { get; } = new() { LimitMaxBytes = 64 << 20 };
    public int Resets { get; private set; }

    /// <summary>Thrown by the channels at the end of a turn.</summary>
    public Exception? FlushFailure { get; set; }
    public int PartitionCount => 16;
    public EventLog Events { get; } = new RingEventLog();

    /// <summary>Watching begins when this completes; with an exception it fails.</summary>
    public TaskCompletionSource? WatchGate { get; set; }

    /// <summary>The wake of the last who began to watch.</summary>
    public Action? WatchWake { get; private set; }

    public RouterChannel OpenChannel(ICompletionQueue loop) => new Channel(this, loop);

    public async ValueTask FlushAllAsync(uint atUnixSeconds, CancellationToken cancellationToken)
    {
        FlushCalls++;
        LastFlushAt = atUnixSeconds;
        if (FlushGate is { } gate)
            await gate.Task.ConfigureAwait(false);
        Store.Clear();
    }

    /// <summary>What a scan finds; empty partitions otherwise.</summary>
    public Func<int, ulong, ValueTask<ItemScanPage>> Scan { get; set; } = static (_, _) => ValueTask.FromResult(new ItemScanPage([], 0, true));

    public ValueTask<ItemScanPage> ScanAsync(PartitionId partition, ulong position, CancellationToken cancellationToken) => Scan(partition.Value, position);

    public FakeStores FakeStores { get; } = new();

    public IStoreAdmin Stores => FakeStores;

    public async ValueTask<IEventFeed?> WatchAsync(EventKinds kinds, int bytesMax, Action wake, CancellationToken cancellationToken)
    {
        WatchWake = wake;
        if (WatchGate is { } gate)
            await gate.Task.ConfigureAwait(false);
        return Events.Watch(kinds, bytesMax, wake);
    }

    public StoreStatistics ReadStatistics(bool perClass) => Statistics;

    /// <summary>The last limit that was asked for; beyond 1 GiB it was refused.</summary>
    public long MemoryLimitAsked { get; private set; }

    public bool TrySetMemoryLimit(long memoryBytes) => (MemoryLimitAsked = memoryBytes) <= 1L << 30;

    public void ResetStatistics() => Resets++;

    private sealed class Channel(FakeRouter router, ICompletionQueue loop) : RouterChannel(FakeRouter.Hasher)
    {
        private readonly List<RemoteRequest> _collected = [];
        private readonly Queue<RemoteRequest[]> _leaving = [];

        public override bool TryExecute(in CacheRequest request, uint nowUnixSeconds, ReplySink sink)
        {
            if (router.IsRemote(request.Key[0]))
                return false;
            router.Store.Execute(request, nowUnixSeconds, sink);
            return true;
        }

        public override void Send(in CacheRequest request, ReplySink sink)
        {
            router.Sent++;
            var remote = new RemoteRequest(router, request, sink);
            if (router.AnswersItself)
                _collected.Add(remote);
            else
                router.Waiting.Add(remote);
        }

        public override void Flush()
        {
            if (router.FlushFailure is { } failure)
                throw failure;
            if (_collected.Count == 0)
                return;
            RemoteRequest[] batch = [.. _collected];
            _collected.Clear();
            lock (_leaving)
                _leaving.Enqueue(batch);
            ThreadPool.UnsafeQueueUserWorkItem(
                _ =>
                {
                    // Whichever thread comes first takes the first batch: they must not overtake each other.
                    lock (_leaving)
                        loop.Post(new Batch(_leaving.Dequeue()));
                },
                null);
        }

        private sealed class Batch(RemoteRequest[] requests) : LoopWorkItem
        {
            public override void Execute()
            {
                foreach (RemoteRequest request in requests)
                    request.Complete();
            }
        }
    }
}

/// <summary>A copied request that waits for its answer.</summary>
public sealed class RemoteRequest(FakeRouter router, in CacheRequest request, ReplySink sink)
{
    private readonly CacheOperation _operation = request.Operation;
    private readonly RequestFlags _flags = request.Flags;
    private readonly byte[] _key = request.Key.ToArray();
    private readonly byte[] _value = request.Value.ToArray();
    private readonly uint _clientFlags = request.ClientFlags;
    private readonly uint _expiresAt = request.ExpiresAt;
    private readonly ulong _compareCas = request.CompareCas;
    private readonly ulong _delta = request.Delta;
    private readonly uint _createExpiresAt = request.CreateExpiresAt;
    private readonly ulong _newCas = request.NewCas;
    private readonly ulong _initialValue = request.InitialValue;

    public string Key => System.Text.Encoding.ASCII.GetString(_key);

    public void Complete()
    {
        router.Waiting.Remove(this);
        var copy = new CacheRequest
        {
            Operation = _operation, Flags = _flags, Key = _key, Value = _value, KeyHash = FakeRouter.Hasher.Compute(_key), ClientFlags = _clientFlags,
            ExpiresAt = _expiresAt, CompareCas = _compareCas, Delta = _delta,
            CreateExpiresAt = _createExpiresAt, NewCas = _newCas, InitialValue = _initialValue,
        };
        router.Store.Execute(copy, 0, sink);
    }

    public void Fail(string reason)
    {
        router.Waiting.Remove(this);
        sink.OnReply(new CacheReply { Status = CacheStatus.Unavailable, Reason = reason });
    }
}
