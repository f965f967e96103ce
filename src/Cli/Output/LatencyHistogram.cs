using System.Numerics;

namespace OrleansCache.Cli.Output;

/// <summary>
/// Counts latencies in buckets whose width grows with the value: 32 to each power of two, so that a percentile is told within 3 %. One writer; read
/// when the writers have ended,
/// or after <see cref="Add(LatencyHistogram)"/>.
/// </summary>
internal sealed class LatencyHistogram
{
    private const int SubBits = 5;
    private const int Sub = 1 << SubBits;

    /// <summary>In units of 100 ns: the last bucket holds what takes longer than some minutes.</summary>
    private readonly long[] _counts = new long[(36 - SubBits) * Sub];

    public long Count { get; private set; }

    public double MaxMicroseconds { get; private set; }

    public void Record(TimeSpan latency, int operations = 1)
    {
        _counts[Math.Min(IndexOf(latency.Ticks), _counts.Length - 1)] += operations;
        Count += operations;
        MaxMicroseconds = Math.Max(MaxMicroseconds, latency.TotalMicroseconds);
    }

    public void Add(LatencyHistogram other)
    {
        for (int i = 0; i < _counts.Length; i++)
            _counts[i] += other._counts[i];
        Count += other.Count;
        MaxMicroseconds = Math.Max(MaxMicroseconds, other.MaxMicroseconds);
    }

    /// <summary>The latency that this share of the operations did not exceed; 0 if there are none.</summary>
    public double Microseconds(double share)
    {
        if (Count == 0)
            return 0;
        long rank = Math.Max(1, (long)Math.Ceiling(share * Count));
        long seen = 0;
        for (int i = 0; i < _counts.Length; i++)
        {
            seen += _counts[i];
            if (seen >= rank)
                return Math.Min(UpperTicks(i) / 10.0, MaxMicroseconds);
        }

        return MaxMicroseconds;
    }

    private static int IndexOf(long ticks)
    {
        ulong value = (ulong)Math.Max(0, ticks);
        if (value < Sub)
            return (int)value;
        int shift = BitOperations.Log2(value) - SubBits;
        return ((shift + 1) * Sub) + (int)((value >> shift) - Sub);
    }

    private static double UpperTicks(int index)
    {
        if (index < Sub)
            return index;
        int shift = (index / Sub) - 1;
        return ((double)((index % Sub) + Sub + 1) * (1L << shift)) - 1;
    }
}
