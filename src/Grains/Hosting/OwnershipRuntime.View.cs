using OrleansCache.Grains.Ownership;

namespace OrleansCache.Grains.Hosting;

// What others may ask this silo beside its partitions' requests.
internal sealed partial class OwnershipRuntime
{
    private volatile Func<IReadOnlyList<StatisticValue>>? _statistics;

    /// <summary>The gateway of this silo listens: where, and what it counts.</summary>
    public void Publish(GatewayAddress? gateway, int? portForGateways, Func<IReadOnlyList<StatisticValue>> statistics)
    {
        _statistics = statistics;
        lock (_lock)
        {
            _agent.Publish(SiloEntry.Write(gateway, portForGateways));
        }
    }

    public SiloList ReadSilos()
    {
        lock (_lock)
        {
            return _agent.Silos;
        }
    }

    public SiloReport ReadStatistics()
    {
        IReadOnlyList<StatisticValue> ofGateway = _statistics?.Invoke() ?? [];
        lock (_lock)
        {
            return new(_table.CountOf(LocalSilo),
            [
                .. ofGateway,
                new("partitions_moving", _agent.MovingCount),
                new("partitions_taken_over", _journal.TotalIn.Partitions),
                new("bytes_taken_over", _journal.TotalIn.Bytes),
                new("partitions_handed_over", _journal.TotalOut.Partitions),
                new("bytes_handed_over", _journal.TotalOut.Bytes),
                new("draining", _agent.Draining ? 1 : 0),
            ]);
        }
    }

    /// <summary>Null if the partition is not served here.</summary>
    public ItemScanPage? Scan(int partition, ulong position) =>
        _freeze.MayServeNow() && (uint)partition < (uint)_partitions.PartitionCount && _partitions.TryGet(new PartitionId(partition)) is { } here
            && here.TryScan(position, NowUnixSeconds, out ItemScanPage? page) ? page : null;
}
