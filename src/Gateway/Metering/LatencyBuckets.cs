using System.Numerics;

namespace OrleansCache.Gateway.Metering;

/// <summary>
/// The buckets of latencies, log-linear as in HdrHistogram: 16 for each power of two, so that a bucket is at most a sixteenth wide.
/// Steps of 128 ns below 2 microseconds; the last bucket takes everything above a minute.
/// </summary>
public static class LatencyBuckets
{
    private const int StepBits = 7;
    private const int SubBits = 4;
    private const int SubCount = 1 << SubBits;
    private const int ShiftMax = 25;

    public const int Count = (ShiftMax + 2) * SubCount;

    /// <summary>The bucket of a latency.</summary>
    internal static int IndexOf(long nanoseconds)
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
}
