using System.Globalization;
using Xunit.Abstractions;

namespace OrleansCache.Abstractions.Tests;

internal static class TestSeed
{
    /// <summary>ORLEANSCACHE_TEST_SEED, or a fresh one; printed with the test's result.</summary>
    public static int Take(ITestOutputHelper output)
    {
        int seed = int.TryParse(Environment.GetEnvironmentVariable("ORLEANSCACHE_TEST_SEED"), NumberStyles.Integer, CultureInfo.InvariantCulture, out int given)
            ? given
            : Random.Shared.Next(1_000_000_000);
        output.WriteLine($"ORLEANSCACHE_TEST_SEED={seed}");
        return seed;
    }
}
