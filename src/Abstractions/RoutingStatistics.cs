namespace OrleansCache;

/// <summary>What one process has sent to other silos since it started: counters, summed over its I/O loops.</summary>
public sealed record RoutingStatistics
{
    /// <summary>Batches that left, and the requests in them. A request that is sent again counts again.</summary>
    public long Batches { get; init; }
    public long BatchRequests { get; init; }

    /// <summary>Batches that got no answer, or a wrong one.</summary>
    public long BatchesFailed { get; init; }

    /// <summary>Times that a request found no owner that serves it, and had to wait.</summary>
    public long RequestsHeld { get; init; }

    /// <summary>A gauge: bytes of requests that wait for other silos, the answers included.</summary>
    public long QueuedBytes { get; init; }
}
