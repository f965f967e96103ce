using System.Net;
using OrleansCache.Membership;

namespace OrleansCache.Grains.Hosting.Seeds;

/// <summary>What a <see cref="SeedNode"/> is started with.</summary>
internal sealed record SeedNodeOptions
{
    public required string ClusterId { get; init; }

    /// <summary>Under which others ask this silo's seed.</summary>
    public required SeedAddress Address { get; init; }

    /// <summary>Where it listens.</summary>
    public required IPEndPoint Listen { get; init; }

    /// <summary>The address that Orleans advertises, with the port of <see cref="Address"/>: the same silo under another name.</summary>
    public required IPEndPoint Advertised { get; init; }

    /// <summary>--join, at the seeds' ports, in the operator's order.</summary>
    public IReadOnlyList<SeedAddress> Join { get; init; } = [];

    /// <summary>How far the seed port lies above the silo port, for messages.</summary>
    public int PortOffset { get; init; }

    /// <summary>Null: nothing is kept.</summary>
    public string? DataDirectory { get; init; }

    /// <summary>--seeds.</summary>
    public int Target { get; init; } = 3;

    /// <summary>How long a silo that has never been in a cluster tries to get into one.</summary>
    public TimeSpan JoinTimeout { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>
    /// Before a cluster is founded: how long to listen for members of one that lives. They knock every <see cref="SeedNode.KnockInterval"/> where a seed of
    /// theirs should be.
    /// </summary>
    public TimeSpan FoundingWait { get; init; } = TimeSpan.FromMilliseconds(500);

    /// <summary>The same while an address to join gives no clue: no answer at all, or a name that has no address yet.</summary>
    public TimeSpan FoundingWaitMax { get; init; } = TimeSpan.FromSeconds(5);
}
