using System.Globalization;

namespace OrleansCache.HitRatio.Traces;

/// <summary>
/// How many bytes the value of a key has: log-normal (median 450, sigma 0.8, clamped to 100 .. 2,000) or the same for all, times a scale.
/// The size is a function of seed and key number alone, so that a key has one size for its whole life and in every run.
/// </summary>
public sealed class ValueSizes
{
    private readonly double _medianBytes;
    private readonly double _sigma;
    private readonly int _bytesMin;
    private readonly int _bytesMax;
    private readonly ulong _seed;

    private ValueSizes(double medianBytes, double sigma, int bytesMin, int bytesMax, int scale, ulong seed)
    {
        _medianBytes = medianBytes;
        _sigma = sigma;
        _bytesMin = bytesMin;
        _bytesMax = bytesMax;
        Scale = scale;
        _seed = seed;
    }

    public int Scale { get; }

    public int BytesMax => _bytesMax * Scale;

    /// <summary>"lognormal", "lognormal:MEDIAN,SIGMA,MIN,MAX" or "fixed:BYTES".</summary>
    public static ValueSizes Parse(string text, int scale, ulong seed)
    {
        string[] parts = text.Split(':', 2);
        double[] numbers = parts.Length < 2 ? [] : [.. parts[1].Split(',').Select(number => double.Parse(number, CultureInfo.InvariantCulture))];
        return (parts[0], numbers.Length) switch
        {
            ("lognormal", 0) => new ValueSizes(450, 0.8, 100, 2000, scale, seed),
            ("lognormal", 4) => new ValueSizes(numbers[0], numbers[1], (int)numbers[2], (int)numbers[3], scale, seed),
            ("fixed", 1) => new ValueSizes(numbers[0], 0, (int)numbers[0], (int)numbers[0], scale, seed),
            _ => throw new FormatException($"sizes \"{text}\": lognormal, lognormal:MEDIAN,SIGMA,MIN,MAX or fixed:BYTES"),
        };
    }

    public int BytesOf(ulong keyNumber)
    {
        var random = new SplitMix64(SplitMix64.Mix(keyNumber) ^ SplitMix64.Mix(_seed + 1));
        // Box-Muller: two uniform numbers make a normal one.
        double normal = Math.Sqrt(-2 * Math.Log(random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());
        double bytes = Math.Round(_medianBytes * Math.Exp(_sigma * normal));
        return (int)Math.Clamp(bytes, _bytesMin, _bytesMax) * Scale;
    }
}
