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

    /// <summary>Warns of an -m that the machine (or the container) cannot keep in memory. A gateway alone holds nothing.</summary>
    public static void CheckMemory(ServeOptions options)
    {
        long machine = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
        if (options.Verb != Verb.Gateway && machine > 0 && options.MemoryBytes > machine)
        {
            options.Warnings.Add(
                $"WARNING: -m {options.MemoryBytes >> 20} MB is more than the {machine >> 20} MB of this machine or container: "
                + "when it fills, the system swaps or kills the process");
        }
    }

    /// <summary>The address space of -m could not be had.</summary>
    public static StartException NoMemory(ServeOptions options, InsufficientMemoryException exception) => new(
        ExitCode.OperatingSystem,
        $"-m, --memory-limit: the system does not give {options.MemoryBytes >> 20} MB of address space; "
        + $"this machine has {GC.GetGCMemoryInfo().TotalAvailableMemoryBytes >> 20} MB of memory (or see ulimit -v and vm.overcommit_memory)",
        exception);

    /// <summary>-o worker_logbuf_size is for each thread; here they share one.</summary>
    public static EventLog Events(ServeOptions options) =>
        new RingEventLog((int)Math.Min(options.WorkerLogBytesMax * options.Threads, Limits.EventRingBytesMax));

    public static string Describe(ServeOptions options) =>
        Values.Invariant($"{options.MemoryBytes / (1024 * 1024)} MB, {options.PartitionCount} partition{(options.PartitionCount == 1 ? "" : "s")}");
}
