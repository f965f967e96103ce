using System.Globalization;

namespace OrleansCache.Grains.Tests;

/// <summary>Seeds for random tests: ORLEANSCACHE_TEST_SEED if set, so that a failure can be run again, else a new one each time.</summary>
internal static class TestSeed
{
    public static int Next() =>
        int.TryParse(Environment.GetEnvironmentVariable("ORLEANSCACHE_TEST_SEED"), NumberStyles.Integer, CultureInfo.InvariantCulture, out int seed)
            ? seed
            : Random.Shared.Next();

    /// <summary>How long a long test is to go on, over ever new seeds (`./orleanscache test --soak N`); 0: once through.</summary>
    public static int SoakSeconds { get; } =
        int.TryParse(Environment.GetEnvironmentVariable("ORLEANSCACHE_TEST_SOAK_SECONDS"), NumberStyles.None, CultureInfo.InvariantCulture,
            out int seconds) ? seconds : 0;
}
