using BenchmarkDotNet.Attributes;

namespace OrleansCache.Benchmarks;

/// <summary>Time per key: many at a time, and each only when the one before is done.</summary>
public class KeyHasherBenchmarks
{
    private const int Keys = 64;
    private readonly KeyHasher _hasher = new(new HashSeed(1, 2));
    private readonly byte[] _keys = new byte[Keys * 256];

    public KeyHasherBenchmarks() => new Random(1).NextBytes(_keys);

    [Params(8, 32, 64, 250)]
    public int KeyBytes { get; set; }

    [Benchmark(OperationsPerInvoke = Keys)]
    public ulong Independent()
    {
        ulong sum = 0;
        for (int i = 0; i < Keys; i++)
            sum += _hasher.Compute(_keys.AsSpan(i * 256, KeyBytes));
        return sum;
    }

    [Benchmark(OperationsPerInvoke = Keys)]
    public ulong OneAfterTheOther()
    {
        ulong hash = 0;
        for (int i = 0; i < Keys; i++)
            hash = _hasher.Compute(_keys.AsSpan((int)(hash % Keys) * 256, KeyBytes));
        return hash;
    }
}
