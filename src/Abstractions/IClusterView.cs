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

    /// <summary>Who owns which partition, as far as this process knows. Never waits.</summary>
    PartitionOwners ReadOwners();

    /// <summary>Who keeps the membership; null if a store does. Throws <see cref="RouterException"/> if nobody can be asked.</summary>
    ValueTask<SeedOverview?> ReadSeedsAsync(CancellationToken cancellationToken);

    /// <summary>
    /// Gives the seed of a silo (HOST:PORT between silos) a vote on the membership, or takes it away for good. Null: done; otherwise why not.
    /// </summary>
    ValueTask<string?> ChangeSeedsAsync(string silo, bool add, CancellationToken cancellationToken);

    /// <summary>What is on its way between silos. Throws <see cref="RouterException"/> if nobody coordinates the cluster at the moment.</summary>
    ValueTask<MovesOverview> ReadMovesAsync(CancellationToken cancellationToken);

    /// <summary>
    /// Pauses moves, lets them go on, slows them down or gives them up. Null: done, and every silo knows it; otherwise why not. Throws
    /// <see cref="RouterException"/> if nobody can be asked.
    /// </summary>
    ValueTask<string?> OrderMovesAsync(MoveOrder order, CancellationToken cancellationToken);
}

/// <summary>The seeds of a cluster that keeps its membership itself.</summary>
/// <param name="Target">Votes that the asked silo wants there to be (--seeds).</param>
/// <param name="IsReadable">A majority of the seeds answers; otherwise this is what was known last.</param>
/// <param name="Seeds">Those with a vote, and silos that could have one.</param>
public sealed record SeedOverview(int Target, bool IsReadable, IReadOnlyList<SeedState> Seeds);

/// <summary>One silo's seed.</summary>
/// <param name="Silo">HOST:PORT between silos.</param>
/// <param name="Votes">It has a vote.</param>
/// <param name="IsUp">Its silo is an active member.</param>
/// <param name="IsBarred">An operator has taken its vote away: only he gives it back.</param>
public readonly record struct SeedState(string Silo, bool Votes, bool IsUp, bool IsBarred);

/// <summary>Who owns which partition.</summary>
/// <param name="Version">Rises with every change.</param>
/// <param name="Here">The silo of this process; null in a gateway that runs alone.</param>
/// <param name="Silos">Every silo that owns something, each once.</param>
/// <param name="Owners">By partition: an index into <paramref name="Silos"/>, or -1 while it has no owner.</param>
public sealed record PartitionOwners(string Version, string? Here, IReadOnlyList<string> Silos, IReadOnlyList<int> Owners);

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
public sealed record SiloStatistics(string Silo, GatewayAddress? Gateway, int Partitions, IReadOnlyList<StatisticValue>? Values)
{
    /// <summary>Partitions that it is just handing over, and those that it is just receiving.</summary>
    public IReadOnlyList<int> Sending { get; init; } = [];
    public IReadOnlyList<int> Receiving { get; init; } = [];
}

/// <summary>All silos' numbers.</summary>
public sealed record ClusterStatistics(int GatewaysVersion, int PartitionCount, IReadOnlyList<SiloStatistics> Silos)
{
    /// <summary>The version of the contract between silos that they have agreed on; 0 on a single node.</summary>
    public int WireVersion { get; init; }
}
