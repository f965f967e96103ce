namespace OrleansCache;

/// <summary>
/// What one I/O loop has sent to other silos since the start, or the sum over all of a process. A field here is a whole number of it: it is added up over the
/// loops, and a test fails until /metrics tells it. Nothing but fields of type long: <see cref="CounterSums"/>.
/// </summary>
public struct RoutingStatistics
{
    /// <summary>Batches that left, and the requests in them. A request that is sent again counts again.</summary>
    public long Batches, BatchRequests;

    /// <summary>Batches that got no answer, or a wrong one.</summary>
    public long BatchesFailed;

    /// <summary>Times that a request found no owner that serves it, and had to wait.</summary>
    public long RequestsHeld;

    /// <summary>A gauge: bytes of requests that wait for other silos, the answers included.</summary>
    public long QueuedBytes;
}
