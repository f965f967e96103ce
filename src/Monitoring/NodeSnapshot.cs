using OrleansCache.Gateway.Metering;
using OrleansCache.Gateway.Options;
using OrleansCache.Gateway.Stats;

namespace OrleansCache.Monitoring;

/// <summary>Everything that is told of this process, read at one moment (and, of the cluster, a moment before).</summary>
internal sealed record NodeSnapshot
{
    /// <summary>Of the clock that counts intervals.</summary>
    public required long Timestamp { get; init; }

    public required DateTimeOffset Time { get; init; }

    public required DateTimeOffset StartedAt { get; init; }

    public required GatewayStatistics Gateway { get; init; }

    /// <summary>With its classes.</summary>
    public required StoreStatistics Store { get; init; }

    public required LruSettings Lru { get; init; }

    public required EventLogStatistics Events { get; init; }

    /// <summary>Null on a single node.</summary>
    public RoutingStatistics? Routing { get; init; }

    /// <summary>Null on a single node.</summary>
    public PartitionOwners? Owners { get; init; }

    /// <summary>The last answer of all silos; null before the first.</summary>
    public ClusterStatistics? Cluster { get; init; }

    public required IReadOnlyList<TimeSpan> LoopTimes { get; init; }

    public required IReadOnlyList<CommandLatencies> Commands { get; init; }

    public required string? NotReady { get; init; }

    public required ProcessReading Process { get; init; }

    public double UptimeSeconds => Math.Max(0, (Time - StartedAt).TotalSeconds);

    /// <summary>This silo's line in <see cref="Cluster"/>; null where there is none.</summary>
    public SiloStatistics? Here => Owners?.Here is { } here ? Cluster?.Silos.FirstOrDefault(silo => silo.Silo == here) : null;
}

/// <summary>The process and its runtime.</summary>
internal sealed record ProcessReading
{
    public required TimeSpan UserTime { get; init; }
    public required TimeSpan SystemTime { get; init; }
    public required long ResidentBytes { get; init; }
    public required long AllocatedBytes { get; init; }
    public required long HeapBytes { get; init; }
    public required TimeSpan GcPause { get; init; }
    public required IReadOnlyList<int> Collections { get; init; }
    public required int PoolThreads { get; init; }
    public required long PoolQueue { get; init; }

    public static ProcessReading Read()
    {
        Environment.ProcessCpuUsage cpu = Environment.CpuUsage;
        return new ProcessReading
        {
            UserTime = cpu.UserTime,
            SystemTime = cpu.PrivilegedTime,
            ResidentBytes = Environment.WorkingSet,
            AllocatedBytes = GC.GetTotalAllocatedBytes(),
            HeapBytes = GC.GetTotalMemory(forceFullCollection: false),
            GcPause = GC.GetTotalPauseDuration(),
            Collections = [.. Enumerable.Range(0, GC.MaxGeneration + 1).Select(GC.CollectionCount)],
            PoolThreads = ThreadPool.ThreadCount,
            PoolQueue = ThreadPool.PendingWorkItemCount,
        };
    }
}
