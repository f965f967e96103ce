using OrleansCache.HitRatio.Traces;

namespace OrleansCache.HitRatio.Simulation;

/// <summary>The policies by name, and a run of one over a trace.</summary>
public static class Policies
{
    public static IReadOnlyList<string> All { get; } = ["lru", "s3-fifo", "sieve", "w-tinylfu", "belady"];

    public static ICacheSimulation Create(string policy, int[] requests, int[] itemBytes, long capacityBytes) => policy switch
    {
        "lru" => new LruSimulation(itemBytes, capacityBytes),
        "s3-fifo" => new S3FifoSimulation(itemBytes, capacityBytes),
        "sieve" => new SieveSimulation(itemBytes, capacityBytes),
        "w-tinylfu" => new WTinyLfuSimulation(itemBytes, capacityBytes),
        "belady" => new BeladySimulation(requests, itemBytes, capacityBytes),
        _ => throw new FormatException($"policy \"{policy}\": one of {string.Join(", ", All)}"),
    };

    public static HitCount Run(string policy, Workload workload, int overheadBytes, long capacityBytes)
    {
        int[] requests = workload.Trace.Requests;
        ICacheSimulation cache = Create(policy, requests, workload.ItemBytes(overheadBytes), capacityBytes);
        var count = default(HitCount);
        for (int position = 0; position < requests.Length; position++)
            count = count.Add(position, requests.Length, cache.Access(position, requests[position]));
        return count;
    }
}
