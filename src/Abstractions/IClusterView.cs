namespace OrleansCache;

/// <summary>
/// What a gateway can say of the whole cluster. Every call ends within <see cref="Limits.ClusterAnswerMilliseconds"/> or so, whatever the silos do.
/// </summary>
public interface IClusterView
{
    /// <summary>The gateways of the silos. Throws <see cref="RouterException"/> if nobody can be asked.</summary>
    ValueTask<GatewayList> ReadGatewaysAsync(CancellationToken cancellationToken);

    /// <summary>What each silo says of itself. Throws <see cref="RouterException"/> if it cannot even be found out which silos there are.</summary>
    ValueTask<ClusterStatistics> ReadStatisticsAsync(CancellationToken cancellationToken);
}

/// <summary>Where clients reach a gateway.</summary>
/// <param name="Host">A name, or the address again.</param>
/// <param name="Address">Its address.</param>
/// <param name="Port">Its TCP port.</param>
public sealed record GatewayAddress(string Host, string Address, int Port);

/// <summary>The gateways that clients may use.</summary>
/// <param name="Version">Rises with every change; the same list has the same version wherever it is read.</param>
/// <param name="Gateways">In the order of the silos' age.</param>
public sealed record GatewayList(int Version, IReadOnlyList<GatewayAddress> Gateways);

/// <summary>A counter or gauge by memcached's name.</summary>
public readonly record struct StatisticValue(string Name, long Value);

/// <summary>One silo's numbers.</summary>
/// <param name="Silo">Its name: host:port between silos.</param>
/// <param name="Gateway">Where its gateway is; null if it has none that clients reach by TCP, or is leaving.</param>
/// <param name="Partitions">Partitions that it owns.</param>
/// <param name="Values">Null: it did not answer in time.</param>
public sealed record SiloStatistics(string Silo, GatewayAddress? Gateway, int Partitions, IReadOnlyList<StatisticValue>? Values);

/// <summary>All silos' numbers.</summary>
public sealed record ClusterStatistics(int GatewaysVersion, int PartitionCount, IReadOnlyList<SiloStatistics> Silos);
