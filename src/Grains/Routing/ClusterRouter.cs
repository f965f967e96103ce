using OrleansCache.Grains.Ownership;
using OrleansCache.Storage;

namespace OrleansCache.Grains.Routing;

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
    private int _channels;

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
        Events = local?.Events ?? new EventLog();
    }

    public int PartitionCount { get; }

    public EventLog Events { get; }

    public IStoreAdmin Stores { get; init; } = NoStores.Instance;

    public RouterChannel OpenChannel(ICompletionQueue loop) =>
        new ClusterChannel(PartitionCount, _local, _table, _transport, loop, Interlocked.Increment(ref _channels) - 1, _options, _time);

    public ValueTask FlushAllAsync(uint atUnixSeconds, CancellationToken cancellationToken) => _transport.FlushAllAsync(atUnixSeconds, cancellationToken);

    public ValueTask<ItemScanPage> ScanAsync(PartitionId partition, ulong position, CancellationToken cancellationToken) =>
        throw new RouterException("scans are not available");

    public StoreStatistics ReadStatistics(bool perClass) =>
        _local?.ReadStatistics((uint)_time.GetUtcNow().ToUnixTimeSeconds(), perClass) ?? new StoreStatistics();

    public bool TrySetMemoryLimit(long memoryBytes) => _local?.Arena.TrySetMemoryLimit(memoryBytes) ?? false;

    public void ResetStatistics() => _local?.ResetStatistics();
}
