using System.Globalization;

namespace OrleansCache.Grains.Tests;

/// <summary>Seeds for random tests: ORLEANSCACHE_TEST_SEED if set, so that a failure can be run again, else a new one each time.</summary>
internal static class TestSeed
{
    public static int Next() =>
        int.TryParse(Environment.GetEnvironmentVariable("ORLEANSCACHE_TEST_SEED"), NumberStyles.Integer, CultureInfo.InvariantCulture, out int seed)
            ? seed
            : Random.Shared.Next();
}
