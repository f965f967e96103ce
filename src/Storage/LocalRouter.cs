namespace OrleansCache.Storage;

/// <summary>
/// The router of a single node: all partitions in this process, every request answered at once.
/// Requests bring their time along; what runs outside of requests (statistics, flush, giving expired items' memory back) takes it from a TimeProvider.
/// </summary>
public sealed class LocalRouter : IPartitionRouter, IDisposable
{
    private readonly PartitionSet _partitions;
    private readonly TimeProvider _time;

    public LocalRouter(StoreOptions options, TimeProvider? time = null)
    {
        _time = time ?? TimeProvider.System;
        _partitions = new PartitionSet(options);
        for (int i = 0; i < _partitions.PartitionCount; i++)
            _partitions.Open(new PartitionId(i), 1);
    }

    public PartitionSet Partitions => _partitions;

    public int PartitionCount => _partitions.PartitionCount;

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

    public StoreStatistics ReadStatistics(bool perClass) => _partitions.ReadStatistics(NowUnixSeconds, perClass);

    public void ResetStatistics() => _partitions.ResetStatistics();

    public void Dispose() => _partitions.Dispose();
}
