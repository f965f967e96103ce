using System.Numerics;

namespace OrleansCache;

/// <summary>
/// The buckets of latencies, log-linear as in HdrHistogram: 32 for each power of two, so that a bucket is at most 1/32 wide.
/// Steps of 128 ns below 4 microseconds; the last bucket takes everything above two minutes.
/// </summary>
public static class LatencyBuckets
{
    private const int StepBits = 7;
    private const int SubBits = 5;
    private const int SubCount = 1 << SubBits;
    private const int ShiftMax = 24;

    public const int Count = (ShiftMax + 2) * SubCount;

    /// <summary>The bucket of a latency.</summary>
    public static int IndexOf(long nanoseconds)
    {
        uint steps = (uint)Math.Clamp(nanoseconds >> StepBits, 0, (1L << (ShiftMax + SubBits + 1)) - 1);
        if (steps < SubCount)
            return (int)steps;
        int shift = BitOperations.Log2(steps) - SubBits;
        return (shift << SubBits) + (int)(steps >> shift);
    }

    /// <summary>Latencies in the bucket are below this.</summary>
    public static long UpperNanoseconds(int bucket)
    {
        if (bucket < SubCount)
            return (bucket + 1L) << StepBits;
        int shift = (bucket >> SubBits) - 1;
        return ((bucket & (SubCount - 1)) + SubCount + 1L) << (shift + StepBits);
    }

    /// <summary>
    /// A latency that this share of what was counted did not exceed: the upper bound of a bucket, or the longest if that is less. Null if nothing was counted.
    /// </summary>
    /// <param name="counts">By bucket, <see cref="Count"/> of them.</param>
    /// <param name="total">Their sum.</param>
    /// <param name="maxNanoseconds">The longest.</param>
    /// <param name="share">0 to 1.</param>
    public static long? QuantileNanoseconds(ReadOnlySpan<long> counts, long total, long maxNanoseconds, double share)
    {
        long rank = Math.Max(1, (long)Math.Ceiling(share * total));
        long seen = 0;
        for (int bucket = 0; bucket < counts.Length; bucket++)
        {
            seen += counts[bucket];
            if (seen >= rank)
                return bucket == Count - 1 ? maxNanoseconds : Math.Min(UpperNanoseconds(bucket), maxNanoseconds);
        }

        return null;
    }
}
