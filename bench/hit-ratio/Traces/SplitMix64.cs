namespace OrleansCache.HitRatio.Traces;

/// <summary>SplitMix64 (Steele, Lea, Flood, OOPSLA 2014): the same numbers for the same seed, on every runtime.</summary>
public struct SplitMix64(ulong seed)
{
    private const ulong Gamma = 0x9E3779B97F4A7C15;

    private ulong _state = seed;

    /// <summary>A bijection on 64 bits in which every input bit changes half of the output bits.</summary>
    public static ulong Mix(ulong value)
    {
        value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9;
        value = (value ^ (value >> 27)) * 0x94D049BB133111EB;
        return value ^ (value >> 31);
    }

    public ulong Next() => Mix(_state += Gamma);

    /// <summary>Uniform in (0, 1]; never 0, so that its logarithm exists.</summary>
    public double NextDouble() => ((Next() >> 11) + 1) * (1.0 / (1UL << 53));
}
