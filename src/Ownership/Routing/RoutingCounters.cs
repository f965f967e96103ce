namespace OrleansCache.Ownership.Routing;

/// <summary>What one channel counts. Written by its loop alone, read by anyone.</summary>
internal sealed class RoutingCounters
{
    public RoutingStatistics Values;
}
