namespace OrleansCache.Ownership.Routing;

/// <summary>Time-outs and bounds of the way to other silos.</summary>
public sealed record ClusterRouterOptions
{
    /// <summary>One batch must be answered within this time; then what it carried is unknown: reads are asked again, writes answer SERVER_ERROR.</summary>
    public TimeSpan BatchTimeout { get; init; } = TimeSpan.FromSeconds(3);

    /// <summary>From the moment a request was sent: after this time it is answered with SERVER_ERROR rather than tried again.</summary>
    public TimeSpan RequestTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>How often requests that found no owner are tried again.</summary>
    public TimeSpan RetryInterval { get; init; } = TimeSpan.FromMilliseconds(5);

    /// <summary>
    /// A request that the owner by the table has refused goes to the partition's grain, wherever that is, once it is so old: then the table is, too. Longer
    /// than hand-overs and most failovers, during which nobody serves the partition. If nobody does, it is asked again after as long.
    /// </summary>
    public TimeSpan AskPartitionAfter { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>A silo that cannot be reached yet (the table names it, the membership does not know it so far) is tried again after this time.</summary>
    public TimeSpan RetryAfterUnreachableInterval { get; init; } = TimeSpan.FromMilliseconds(50);

    /// <summary>A silo that let a batch fail is asked again after this time, if it is still the owner by then.</summary>
    public TimeSpan RetryAfterFailureInterval { get; init; } = TimeSpan.FromMilliseconds(500);

    /// <summary>
    /// Bytes that may wait in one loop for all other silos together, what waits for the answers included; above it requests are refused with SERVER_ERROR.
    /// </summary>
    public long QueuedBytesMax { get; init; } = 256L * 1024 * 1024;
}
