namespace OrleansCache.Cli.Output;

/// <summary>
/// Counts latencies in <see cref="LatencyBuckets"/>, so that a percentile is told within 3 %. One writer; read when the writers have ended, or after
/// <see cref="Add(LatencyHistogram)"/>.
/// </summary>
internal sealed class LatencyHistogram
{
    private readonly long[] _counts = new long[LatencyBuckets.Count];
    private long _maxNanoseconds;

    public long Count { get; private set; }

    public double MaxMicroseconds => _maxNanoseconds / 1000.0;

    public void Record(TimeSpan latency, int operations = 1)
    {
        long nanoseconds = latency.Ticks * TimeSpan.NanosecondsPerTick;
        _counts[LatencyBuckets.IndexOf(nanoseconds)] += operations;
        Count += operations;
        _maxNanoseconds = Math.Max(_maxNanoseconds, nanoseconds);
    }

    public void Add(LatencyHistogram other)
    {
        for (int i = 0; i < _counts.Length; i++)
            _counts[i] += other._counts[i];
        Count += other.Count;
        _maxNanoseconds = Math.Max(_maxNanoseconds, other._maxNanoseconds);
    }

    /// <summary>The latency that this share of the operations did not exceed; 0 if there are none.</summary>
    public double Microseconds(double share) => (LatencyBuckets.QuantileNanoseconds(_counts, Count, _maxNanoseconds, share) ?? 0) / 1000.0;
}
