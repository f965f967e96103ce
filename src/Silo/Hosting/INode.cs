using OrleansCache.Gateway;

namespace OrleansCache.Silo.Hosting;

/// <summary>
/// What stands behind the gateway of this process: all partitions (a single node), this silo's share of them (a silo), or none (a cluster's gateway).
/// Life: Start, then requests through <see cref="Router"/>, then Drain while the gateway still answers, then Stop, then Dispose.
/// </summary>
internal interface INode : IAsyncDisposable
{
    /// <summary>Valid after <see cref="StartAsync"/>.</summary>
    IPartitionRouter Router { get; }

    /// <summary>What the start-up line says of it, such as "64 MB, 256 partitions".</summary>
    string Description { get; }

    /// <summary>Ends, with the reason and the exit code, if the node can no longer do its work and the process should leave; never ends otherwise.</summary>
    Task<NodeFailure> Failure { get; }

    /// <summary>Throws <see cref="StartException"/> for what the operator can mend.</summary>
    Task StartAsync(CancellationToken cancellationToken);

    /// <summary>Why the node does not serve its share; null if it does. From any thread; does not block.</summary>
    string? NotReady();

    /// <summary>The gateway listens: others may learn of it.</summary>
    void Publish(GatewayServer gateway);

    /// <summary>The command `drain`: begins to hand the partitions over, and goes on serving without any. Does not block. Returns why that cannot be,
    /// or null.</summary>
    string? BeginDraining();

    /// <summary>Hands the partitions over to others. Requests are still answered meanwhile.</summary>
    Task DrainAsync(CancellationToken cancellationToken);

    Task StopAsync(CancellationToken cancellationToken);
}

/// <summary>Why the process leaves by itself.</summary>
internal sealed record NodeFailure(string Reason, int ExitCode);
