namespace OrleansCache.Gateway.Metering;

/// <summary>How long the commands of one kind took that ended in one way, since the start, summed over the I/O loops.</summary>
public sealed class CommandLatencies(string command, string outcome)
{
    private readonly long[] _buckets = new long[LatencyBuckets.Count];

    /// <summary>get, gat, set, add, replace, append, prepend, cas, delete, incr, decr or touch, whatever the protocol.</summary>
    public string Command { get; } = command;

    /// <summary>hit or stored, miss, not_stored, exists, or error.</summary>
    public string Outcome { get; } = outcome;

    public long Count { get; private set; }

    public long SumNanoseconds { get; private set; }

    public long MaxNanoseconds { get; private set; }

    /// <summary>Counts by the numbers of <see cref="LatencyBuckets"/>.</summary>
    public IReadOnlyList<long> Buckets => _buckets;

    /// <summary>A latency that this share of the commands did not exceed: the upper bound of a bucket. Null if there were none.</summary>
    public long? QuantileNanoseconds(double share) => LatencyBuckets.QuantileNanoseconds(_buckets, Count, MaxNanoseconds, share);

    internal void Add(long[] buckets, long sumNanoseconds, long maxNanoseconds)
    {
        for (int bucket = 0; bucket < buckets.Length; bucket++)
        {
            long count = Volatile.Read(ref buckets[bucket]);
            _buckets[bucket] += count;
            Count += count;
        }

        SumNanoseconds += sumNanoseconds;
        MaxNanoseconds = Math.Max(MaxNanoseconds, maxNanoseconds);
    }
}
