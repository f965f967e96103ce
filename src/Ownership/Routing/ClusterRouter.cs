using OrleansCache.Ownership.Replication;
using OrleansCache.Storage;

namespace OrleansCache.Ownership.Routing;

/// <summary>
/// The router of a cluster: partitions of this silo are reached directly through their gate, all others by batches of grain calls, one batch in flight
/// per I/O loop and silo (while it is away the next one collects, so batches grow with the load by themselves).
/// A gateway that runs alone has no partitions and sends everything.
/// </summary>
public sealed class ClusterRouter : IPartitionRouter
{
    private readonly PartitionSet? _local;
    private readonly ITableCache _table;
    private readonly IBatchTransport _transport;
    private readonly ClusterRouterOptions _options;
    private readonly TimeProvider _time;
    private readonly Lock _lock = new();
    private RoutingCounters[] _counters = [];

    public ClusterRouter(
        int partitionCount,
        PartitionSet? local,
        ITableCache table,
        IBatchTransport transport,
        TimeProvider time,
        ClusterRouterOptions? options = null)
    {
        PartitionCount = partitionCount;
        _local = local;
        _table = table;
        _transport = transport;
        _time = time;
        _options = options ?? new ClusterRouterOptions();
        Events = local?.Events ?? EventLog.None;
    }

    public int PartitionCount { get; }

    public EventLog Events { get; init; }

    public IStoreAdmin Stores { get; init; } = NoStores.Instance;

    public RouterChannel OpenChannel(ICompletionQueue loop)
    {
        var counters = new RoutingCounters();
        int number;
        lock (_lock)
        {
            number = _counters.Length;
            _counters = [.. _counters, counters];
        }

        return new ClusterChannel(PartitionCount, _local, _table, _transport, loop, number, _options, _time, Freeze, counters, Replicator);
    }

    public RoutingStatistics? ReadRouting()
    {
        RoutingStatistics sum = default;
        foreach (RoutingCounters counters in Volatile.Read(ref _counters))
            CounterSums.Add(ref sum, ref counters.Values);
        return sum;
    }

    public ValueTask FlushAllAsync(uint atUnixSeconds, CancellationToken cancellationToken) => _transport.FlushAllAsync(atUnixSeconds, cancellationToken);

    /// <summary>Says when this silo's partitions may not be served from here; null in a gateway alone, and in tests of nothing but routing.</summary>
    public FreezeDetector? Freeze { get; init; }

    /// <summary>What keeps the copies of this silo's partitions; null in a gateway alone, and in tests of nothing but routing.</summary>
    public Replicator? Replicator { get; init; }

    /// <summary>What is known of the other silos; null in tests without any.</summary>
    public IClusterView? Cluster { get; init; }

    /// <summary>The way to other silos' events; null: only this process is watched.</summary>
    public IClusterWatch? Watch { get; init; }

    public async ValueTask<ItemScanPage> ScanAsync(PartitionId partition, ulong position, CancellationToken cancellationToken)
    {
        long started = _time.GetTimestamp();
        while (true)
        {
            if (Freeze?.MayServeNow() != false && _local?.TryGet(partition) is { } here
                && here.TryScan(position, (uint)_time.GetUtcNow().ToUnixTimeSeconds(), out ItemScanPage? page))
                return page;
            SiloId owner = _table.Current.OwnerOf(partition);
            TimeSpan pause = _options.RetryInterval;
            if (!owner.IsNone && owner != _table.LocalSilo)
            {
                try
                {
                    if (await _transport.ScanAsync(owner, partition, position, cancellationToken) is { } found)
                        return found;
                }
                catch (Exception exception) when (exception is not OperationCanceledException || !cancellationToken.IsCancellationRequested)
                {
                    // Reading again does no harm, whatever became of the call.
                    pause = _options.RetryAfterUnreachableInterval;
                }
            }

            if (_time.GetElapsedTime(started) > _options.RequestTimeout)
                throw new RouterException($"partition {partition.Value} has no owner that answers");
            _table.RequestRefresh();
            await Task.Delay(pause, _time, cancellationToken);
        }
    }

    public ValueTask<IEventFeed?> WatchAsync(EventKinds kinds, int bytesMax, Action wake, CancellationToken cancellationToken) =>
        Watch?.WatchAsync(Events, kinds, bytesMax, wake, cancellationToken) ?? ValueTask.FromResult(Events.Watch(kinds, bytesMax, wake));

    public StoreStatistics ReadStatistics(bool perClass) =>
        _local?.ReadStatistics((uint)_time.GetUtcNow().ToUnixTimeSeconds(), perClass) ?? new StoreStatistics();

    public bool TrySetMemoryLimit(long memoryBytes) => _local?.Arena.TrySetMemoryLimit(memoryBytes) ?? false;

    public void ResetStatistics() => _local?.ResetStatistics();
}
