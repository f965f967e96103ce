namespace OrleansCache.Storage;

/// <summary>
/// The router of a single node: all partitions in this process, every request answered at once.
/// Requests bring their time along; what runs outside of requests (statistics, flush, giving expired items' memory back) takes it from a TimeProvider.
/// </summary>
public sealed class LocalRouter : IPartitionRouter, IDisposable
{
    private readonly PartitionSet _partitions;
    private readonly TimeProvider _time;
    private readonly StoreKeeper _keeper;

    private static readonly TimeSpan RestoreTimeMaxDefault = TimeSpan.FromMinutes(2);

    /// <summary>Draws the seed of the key hash unless the options name one.</summary>
    public LocalRouter(
        StoreOptions options, TimeProvider? time = null, EventLog? events = null, TimeSpan? restoreTimeMax = null, Action<double, long>? restoreProgress = null)
    {
        ArgumentNullException.ThrowIfNull(options);
        _time = time ?? TimeProvider.System;
        _partitions = new PartitionSet(options, events);
        if (options.HashSeed.IsNone)
            _partitions.UseHashSeed(_partitions.MemoryFileSeed ?? HashSeed.Random());
        Hasher = _partitions.Hasher!;
        for (int i = 0; i < _partitions.PartitionCount; i++)
            _partitions.Open(new PartitionId(i), 1);
        Restored = _partitions.ReadMemoryFile(NowUnixSeconds, restoreTimeMax ?? RestoreTimeMaxDefault, restoreProgress);
        _keeper = new StoreKeeper(_partitions, _time);
    }

    public PartitionSet Partitions => _partitions;

    /// <summary>What came of the memory file; null if there is none, or it held nothing.</summary>
    public MemoryFileReport? Restored { get; }

    /// <summary>What hashes the keys of every request.</summary>
    public KeyHasher Hasher { get; }

    public IStoreAdmin Stores => _keeper;

    public int PartitionCount => _partitions.PartitionCount;

    public EventLog Events => _partitions.Events;

    internal uint NowUnixSeconds => (uint)_time.GetUtcNow().ToUnixTimeSeconds();

    public RouterChannel OpenChannel(ICompletionQueue loop) => new LocalChannel(this, Hasher);

    internal bool TryExecute(in CacheRequest request, uint nowUnixSeconds, ReplySink sink)
    {
        Partition? partition = _partitions.TryGet(PartitionId.OfHash(request.KeyHash, _partitions.PartitionCount));
        return partition is not null && partition.TryExecute(in request, nowUnixSeconds, sink);
    }

    public ValueTask FlushAllAsync(uint atUnixSeconds, CancellationToken cancellationToken)
    {
        _partitions.FlushAll(atUnixSeconds, NowUnixSeconds);
        return ValueTask.CompletedTask;
    }

    public ValueTask<ItemScanPage> ScanAsync(PartitionId partition, ulong position, CancellationToken cancellationToken) =>
        _partitions.TryGet(partition) is { } here && here.TryScan(position, NowUnixSeconds, out ItemScanPage? page)
            ? ValueTask.FromResult(page)
            : throw new RouterException($"partition {partition} is not available");

    public StoreStatistics ReadStatistics(bool perClass) => _partitions.ReadStatistics(NowUnixSeconds, perClass);

    public bool TrySetMemoryLimit(long memoryBytes) => _partitions.Arena.TrySetMemoryLimit(memoryBytes);

    public void ResetStatistics() => _partitions.ResetStatistics();

    public void Dispose()
    {
        _keeper.Dispose();
        _partitions.Dispose();
    }
}
