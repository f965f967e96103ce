using System.Net;
using Microsoft.Extensions.Logging;
using OrleansCache.Grains.Hosting.Security;
using OrleansCache.Ownership;

namespace OrleansCache.Grains.Hosting;

/// <summary>What a <see cref="ClusterNode"/> is started with.</summary>
public sealed record ClusterNodeOptions
{
    /// <summary>How far the port for Orleans clients (<c>orleanscache gateway</c>) lies above the silo port, unless said otherwise.</summary>
    public const int GatewayOrleansPortOffset = 1000;

    /// <summary>How far the port of the membership (<c>--seed-port</c>) lies above the silo port, unless said otherwise.</summary>
    public const int SeedPortOffset = 2000;

    /// <summary>--cluster-id: silos of different ids never meet.</summary>
    public string ClusterId { get; init; } = "orleanscache";

    public string ServiceId { get; init; } = "orleanscache";

    /// <summary>
    /// --silo-port: where this silo listens for other silos. The address is one of this machine's (--silo-listen), normally the advertised one.
    /// </summary>
    public IPEndPoint SiloEndPoint { get; init; } = new(IPAddress.Loopback, 11111);

    /// <summary>--advertise: the host name or address under which others reach this silo; null: the address that it listens on.</summary>
    public string? AdvertisedHost { get; init; }

    /// <summary>
    /// --join: silos of the cluster, by the ports between silos; a name (<see cref="DnsEndPoint"/>) may have several addresses, or none yet. One that answers
    /// is enough, and the others are learned. Of silos that start together, with the same list, the first of it founds the cluster. None: this silo founds
    /// one, unless a cluster that knows it lives.
    /// </summary>
    public IReadOnlyList<EndPoint> Join { get; init; } = [];

    /// <summary>
    /// --seed-port: where other silos ask this one about the membership; null: the silo port plus <see cref="SeedPortOffset"/>. It lies at the same distance
    /// above the silo port in the whole cluster.
    /// </summary>
    public int? SeedPort { get; init; }

    /// <summary>--seeds: how many silos keep the membership, if there are as many: 1, 3, 5 or 7.</summary>
    public int SeedCount { get; init; } = 3;

    /// <summary>
    /// --data-dir: where this silo keeps its part of the membership, so that it comes back as itself. Null: in memory only; started again, it joins as a new
    /// one.
    /// </summary>
    public string? DataDirectory { get; init; }

    /// <summary>--cluster-secret-file: what all members of the cluster know and nobody else; empty for none.</summary>
    public ReadOnlyMemory<byte> Secret { get; init; }

    /// <summary>--cluster-tls-...: TLS between the members; null for none.</summary>
    public ClusterTls? Tls { get; init; }

    /// <summary>--allow-insecure-cluster: may be reached from other machines with neither secret nor TLS.</summary>
    public bool AllowInsecure { get; init; }

    /// <summary>--clustering: null for embedded, or <c>postgres</c>.</summary>
    public string? ClusteringName { get; init; }

    /// <summary>--connection: of the membership store.</summary>
    public string? ConnectionString { get; init; }

    /// <summary>--partitions. Must be the same in the whole cluster.</summary>
    public int PartitionCount => Store.PartitionCount;

    /// <summary>
    /// --replicas: how many copies of each partition other silos keep, so that its items outlive so many silos; fewer as long as there are not enough silos.
    /// Must be the same in the whole cluster.
    /// </summary>
    public int Replicas { get; init; } = 1;

    /// <summary>
    /// --replication async: replies do not wait for the copies. What was acknowledged in the last moments before a silo is lost may be lost with it.
    /// </summary>
    public bool IsReplicationAsynchronous { get; init; }

    /// <summary>--zone: copies of a partition are kept in different zones, where that is possible; null for none.</summary>
    public string? Zone { get; init; }

    /// <summary>The store of this silo. Its memory is also the silo's weight.</summary>
    public StoreOptions Store { get; init; } = new();

    /// <summary>Carries the events of this process to those who watch.</summary>
    public EventLog Events { get; init; } = EventLog.None;

    /// <summary>No silo: an Orleans client that owns nothing.</summary>
    public bool GatewayOnly { get; init; }

    /// <summary>--allow-gateways: of a silo, whether gateways that run alone may connect, at <see cref="GatewayOrleansPort"/>.</summary>
    public bool AllowGateways { get; init; }

    /// <summary>
    /// Of a silo: where it listens for gateways that run alone; of a gateway alone: where the silos that it joins do. Null: the silo port plus
    /// <see cref="GatewayOrleansPortOffset"/>.
    /// </summary>
    public int? GatewayOrleansPort { get; init; }

    /// <summary>A remote call that is not answered by then has failed.</summary>
    public TimeSpan ResponseTimeout { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>How long a start waits for the address to join, or for the membership store, to answer.</summary>
    public TimeSpan StartTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>--join-timeout: how long a start may take in all, if it depends on others.</summary>
    public TimeSpan JoinTimeout { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>How long a silo that is about to found a cluster listens for members of one that lives, before it does.</summary>
    public TimeSpan FoundingWait { get; init; } = TimeSpan.FromMilliseconds(500);

    /// <summary>--drain-timeout: how long a stop waits for others to take this silo's partitions over, as long as it sees them do so.</summary>
    public TimeSpan DrainTimeout { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>A drain that has moved nothing for so long has ended: the silo that should take the partitions over is gone.</summary>
    public TimeSpan DrainStallTimeout { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>How long a stop then waits for Orleans.</summary>
    public TimeSpan LeaveTimeout { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>--move-limit: bytes of items that this silo reads per second for copies elsewhere, until an operator says otherwise; 0: no limit.</summary>
    public long MoveLimitBytesPerSecond { get; init; }

    /// <summary>--wire-version: this silo speaks at most this version of the contract between silos.</summary>
    public byte WireVersionMax { get; init; } = WireVersion.Newest;

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

    /// <summary>The options are at fault, not the surroundings.</summary>
    public bool IsUsage { get; init; }

    /// <summary>The operating system refuses: a disk, a directory.</summary>
    public bool IsOperatingSystem { get; init; }
}
