using System.Globalization;

namespace OrleansCache.HitRatio.Traces;

/// <summary>
/// Independent requests whose key k (1 .. n) has probability proportional to 1 / k^exponent. Draws by binary search in the cumulative
/// distribution: exact for every exponent, 8 bytes a key.
/// </summary>
public static class ZipfTrace
{
    public static Trace Generate(int keyCount, int requestCount, double exponent, ulong seed)
    {
        double[] cumulative = new double[keyCount];
        double sum = 0;
        for (int i = 0; i < keyCount; i++)
            cumulative[i] = sum += Math.Pow(i + 1, -exponent);

        var random = new SplitMix64(seed);
        ulong[] numbers = new ulong[requestCount];
        for (int i = 0; i < requestCount; i++)
        {
            int rank = Array.BinarySearch(cumulative, random.NextDouble() * sum);
            numbers[i] = (ulong)Math.Min(rank >= 0 ? rank : ~rank, keyCount - 1);
        }

        return Trace.From(string.Create(CultureInfo.InvariantCulture, $"zipf-{exponent}"), numbers, requestCount);
    }
}
