namespace OrleansCache.Ownership.Routing;

/// <summary>Counters of one channel, with the meanings of <see cref="RoutingStatistics"/>. Written by its loop alone, read by anyone.</summary>
internal sealed class RoutingCounters
{
    public long Batches;
    public long BatchRequests;
    public long BatchesFailed;
    public long RequestsHeld;
    public long QueuedBytes;
}
