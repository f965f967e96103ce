using System.Globalization;

namespace OrleansCache.Gateway.Tests.Fakes;

internal static class TestSeed
{
    /// <summary>ORLEANSCACHE_TEST_SEED, or a fresh one. Put it into the assert's message.</summary>
    public static int Take() =>
        int.TryParse(Environment.GetEnvironmentVariable("ORLEANSCACHE_TEST_SEED"), NumberStyles.Integer, CultureInfo.InvariantCulture, out int seed)
            ? seed
            : Random.Shared.Next(1_000_000_000);
}
