using System.Net;
using Microsoft.Extensions.Logging;

namespace OrleansCache.Grains.Hosting;

/// <summary>What a <see cref="ClusterNode"/> is started with.</summary>
public sealed record ClusterNodeOptions
{
    /// <summary>How far the port for Orleans clients (<c>orleanscache gateway</c>) lies above the silo port, unless said otherwise.</summary>
    public const int GatewayOrleansPortOffset = 1000;

    /// <summary>--cluster-id: silos of different ids never meet.</summary>
    public string ClusterId { get; init; } = "orleanscache";

    public string ServiceId { get; init; } = "orleanscache";

    /// <summary>--silo-port: where this silo listens for other silos; the address may be any.</summary>
    public IPEndPoint SiloEndPoint { get; init; } = new(IPAddress.Loopback, 11111);

    /// <summary>--advertise: the host name or address under which others reach this silo; null: the address that it listens on.</summary>
    public string? AdvertisedHost { get; init; }

    /// <summary>--join: the first silo of a cluster with embedded clustering; null: this is the first one. Of a gateway alone: any silo.</summary>
    public IPEndPoint? Join { get; init; }

    /// <summary>--clustering: null for embedded, or <c>postgres</c>.</summary>
    public string? ClusteringName { get; init; }

    /// <summary>--connection: of the membership store.</summary>
    public string? ConnectionString { get; init; }

    /// <summary>--partitions. Must be the same in the whole cluster.</summary>
    public int PartitionCount => Store.PartitionCount;

    /// <summary>--zone: for replicas later.</summary>
    public string? Zone { get; init; }

    /// <summary>The store of this silo. Its memory is also the silo's weight.</summary>
    public StoreOptions Store { get; init; } = new();

    /// <summary>No silo: an Orleans client that owns nothing.</summary>
    public bool GatewayOnly { get; init; }

    /// <summary>
    /// Of a silo: where it listens for Orleans clients; of a gateway alone: where the silo that it joins does. Null: the silo port plus
    /// <see cref="GatewayOrleansPortOffset"/>. 0, silo only: nowhere.
    /// </summary>
    public int? GatewayOrleansPort { get; init; }

    /// <summary>A remote call that is not answered by then has failed.</summary>
    public TimeSpan ResponseTimeout { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>How long a start waits for the address to join, or for the membership store, to answer.</summary>
    public TimeSpan StartTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>
    /// How long a start then waits for the coordinator's table. Longer, because silos that have just been without their membership store look at it again only after a while.
    /// </summary>
    public TimeSpan TableTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>How long a stop waits for others to take this silo's partitions over.</summary>
    public TimeSpan DrainTimeout { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>Where Orleans and the cluster log; null: nowhere.</summary>
    public ILoggerFactory? LoggerFactory { get; init; }
}

/// <summary>The node could not be started; the message says why in words for the operator.</summary>
public sealed class ClusterStartException : Exception
{
    public ClusterStartException()
    {
    }

    public ClusterStartException(string message)
        : base(message)
    {
    }

    public ClusterStartException(string message, Exception innerException)
        : base(message, innerException)
    {
    }
}
