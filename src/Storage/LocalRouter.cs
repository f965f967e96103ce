namespace OrleansCache.Storage;

/// <summary>
/// The router of a single node: all partitions in this process, every request answered at once.
/// Requests bring their time along; what runs outside of requests (statistics, flush, giving expired items' memory back) takes it from a TimeProvider.
/// </summary>
public sealed class LocalRouter : IPartitionRouter, IDisposable
{
    /// <summary>How often a slice of every partition is searched for expired items.</summary>
    private const int ReclaimPeriodMilliseconds = 1000;

    /// <summary>A whole round over a partition takes about this many periods, so that no tick takes long...</summary>
    private const int ReclaimPeriodsPerRound = 60;

    /// <summary>...and at most this many buckets (of about 8 items) are looked at before a partition's lock is let go.</summary>
    private const int ReclaimBucketsMax = 64;

    private readonly PartitionSet _partitions;
    private readonly TimeProvider _time;
    private readonly ITimer _reclaim;
    private int _isReclaiming;

    public LocalRouter(StoreOptions options, TimeProvider? time = null, EventLog? events = null)
    {
        _time = time ?? TimeProvider.System;
        _partitions = new PartitionSet(options, events);
        for (int i = 0; i < _partitions.PartitionCount; i++)
            _partitions.Open(new PartitionId(i), 1);
        var period = TimeSpan.FromMilliseconds(ReclaimPeriodMilliseconds);
        _reclaim = _time.CreateTimer(static state => ((LocalRouter)state!).Reclaim(), this, period, period);
    }

    public PartitionSet Partitions => _partitions;

    public int PartitionCount => _partitions.PartitionCount;

    public EventLog Events => _partitions.Events;

    internal uint NowUnixSeconds => (uint)_time.GetUtcNow().ToUnixTimeSeconds();

    public RouterChannel OpenChannel(ICompletionQueue loop) => new LocalChannel(this, loop);

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
        _reclaim.Dispose();
        _partitions.Dispose();
    }

    private void Reclaim()
    {
        // With very many items a slice may take longer than a period; the next one is left out then.
        if (Interlocked.Exchange(ref _isReclaiming, 1) != 0)
            return;
        _partitions.ReclaimSlice(NowUnixSeconds, ReclaimPeriodsPerRound, ReclaimBucketsMax);
        Volatile.Write(ref _isReclaiming, 0);
    }
}
