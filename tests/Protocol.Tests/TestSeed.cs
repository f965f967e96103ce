using System.Globalization;

namespace OrleansCache.Protocol.Tests;

/// <summary>The seed of a random test: ORLEANSCACHE_TEST_SEED, or a new one each run. Tests put it into their messages.</summary>
internal static class TestSeed
{
    public static int Next() =>
        Environment.GetEnvironmentVariable("ORLEANSCACHE_TEST_SEED") is { Length: > 0 } text ? int.Parse(text, CultureInfo.InvariantCulture)
            : Random.Shared.Next();

    /// <summary>How long a long test is to go on (`./orleanscache test --soak N`); 0: once through.</summary>
    public static int SoakSeconds { get; } =
        int.TryParse(Environment.GetEnvironmentVariable("ORLEANSCACHE_TEST_SOAK_SECONDS"), NumberStyles.None, CultureInfo.InvariantCulture,
            out int seconds) ? seconds : 0;
}
