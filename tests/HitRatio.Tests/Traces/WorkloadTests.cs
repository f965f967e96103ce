using System.Text;
using OrleansCache.HitRatio.Traces;

namespace OrleansCache.HitRatio.Tests.Traces;

public sealed class WorkloadTests
{
    [Fact]
    public void SizesAreLogNormalWithinTheirLimits()
    {
        ValueSizes sizes = ValueSizes.Parse("lognormal", scale: 1, seed: 1);
        int[] bytes = [.. Enumerable.Range(0, 100_000).Select(key => sizes.BytesOf((ulong)key)).Order()];
        Assert.InRange(bytes[0], 100, 2000);
        Assert.InRange(bytes[^1], 100, 2000);
        Assert.InRange(bytes[bytes.Length / 2], 440, 460);
        // One sigma below and above the median: e^-0.8 and e^0.8 times 450.
        Assert.InRange(bytes[(int)(0.1587 * bytes.Length)], 195, 209);
        Assert.InRange(bytes[(int)(0.8413 * bytes.Length)], 980, 1022);
    }

    [Fact]
    public void AKeyHasOneSizeThatDependsOnTheSeedAndGrowsWithTheScale()
    {
        int bytes = ValueSizes.Parse("lognormal", scale: 1, seed: 1).BytesOf(42);
        Assert.Equal(bytes, ValueSizes.Parse("lognormal", scale: 1, seed: 1).BytesOf(42));
        Assert.Equal(8 * bytes, ValueSizes.Parse("lognormal", scale: 8, seed: 1).BytesOf(42));
        Assert.NotEqual(bytes, ValueSizes.Parse("lognormal", scale: 1, seed: 2).BytesOf(42));
        Assert.Equal(600, ValueSizes.Parse("fixed:600", scale: 1, seed: 1).BytesOf(42));
    }

    [Fact]
    public void AKeyIsItsNumberInHexadecimalWithLeadingZeros()
    {
        var workload = new Workload(Trace.From("t", [0xABC, ulong.MaxValue], 2), ValueSizes.Parse("fixed:1", 1, 1), keyBytes: 20);
        byte[] key = new byte[20];
        workload.WriteKey(0, key);
        Assert.Equal("k:000000000000000abc", Encoding.ASCII.GetString(key));
        workload.WriteKey(1, key);
        Assert.Equal("k:00ffffffffffffffff", Encoding.ASCII.GetString(key));
        Assert.Equal([71, 71], workload.ItemBytes(overheadBytes: 50));
    }

    [Fact]
    public void ZipfKeysComeAsOftenAsTheirRankSays()
    {
        const int Requests = 200_000;
        Trace trace = ZipfTrace.Generate(keyCount: 1000, Requests, exponent: 0.99, seed: 7);
        int[] counts = new int[1000];
        foreach (int key in trace.Requests)
            counts[trace.KeyNumbers[key]]++;
        double sum = Enumerable.Range(1, 1000).Sum(rank => Math.Pow(rank, -0.99));
        foreach (int rank in new[] { 1, 2, 10 })
            Assert.InRange(counts[rank - 1] / (double)Requests, 0.95 * Math.Pow(rank, -0.99) / sum, 1.05 * Math.Pow(rank, -0.99) / sum);
    }
}
