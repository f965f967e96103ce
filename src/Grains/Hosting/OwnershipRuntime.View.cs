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

    public SiloReport ReadStatistics() => new(_table.CountOf(LocalSilo), _statistics?.Invoke() ?? []);

    /// <summary>Null if the partition is not served here.</summary>
    public ItemScanPage? Scan(int partition, ulong position) =>
        _freeze.MayServeNow() && (uint)partition < (uint)_partitions.PartitionCount && _partitions.TryGet(new PartitionId(partition)) is { } here
            && here.TryScan(position, NowUnixSeconds, out ItemScanPage? page) ? page : null;
}
