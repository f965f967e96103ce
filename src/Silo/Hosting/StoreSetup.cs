using OrleansCache.Events;
using OrleansCache.Silo.Options;

namespace OrleansCache.Silo.Hosting;

/// <summary>From the options to the stores.</summary>
internal static class StoreSetup
{
    public static StoreOptions Options(ServeOptions options) => new()
    {
        MemoryBytes = options.MemoryBytes,
        MemoryBytesMax = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes,
        ItemBytesMax = (int)options.ItemBytesMax,
        ChunkBytesMin = options.ChunkBytesMin,
        GrowthFactor = options.GrowthFactor,
        NoEviction = options.NoEviction,
        NoCas = options.NoCas,
        PartitionCount = options.PartitionCount,
        MemoryFilePath = options.MemoryFilePath,
        MemoryFileAgeMax = options.WantsCluster ? TimeSpan.FromSeconds(options.MemoryFileAgeSeconds) : null,
        Seed = unchecked((ulong)Random.Shared.NextInt64()),
    };

    /// <summary>-o worker_logbuf_size is for each thread; here they share one.</summary>
    public static EventLog Events(ServeOptions options) =>
        new RingEventLog((int)Math.Min(options.WorkerLogBytesMax * options.Threads, Limits.EventRingBytesMax));

    public static string Describe(ServeOptions options) =>
        Values.Invariant($"{options.MemoryBytes / (1024 * 1024)} MB, {options.PartitionCount} partition{(options.PartitionCount == 1 ? "" : "s")}");
}
