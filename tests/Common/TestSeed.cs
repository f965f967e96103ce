using System.Globalization;
using Xunit.Abstractions;

namespace OrleansCache.Testing;

/// <summary>Seeds of random tests, and how long the long ones go on.</summary>
internal static class TestSeed
{
    /// <summary>The seed that ORLEANSCACHE_TEST_SEED gives, so that a failure can be run again; null without it.</summary>
    public static int? Given { get; } =
        Environment.GetEnvironmentVariable("ORLEANSCACHE_TEST_SEED") is { Length: > 0 } text ? int.Parse(text, CultureInfo.InvariantCulture) : null;

    /// <summary>Seconds that a long test goes on with ever new seeds (`./orleanscache test --soak N`); 0: once through.</summary>
    public static int SoakSeconds { get; } =
        int.TryParse(Environment.GetEnvironmentVariable("ORLEANSCACHE_TEST_SOAK_SECONDS"), NumberStyles.None, CultureInfo.InvariantCulture,
            out int seconds) ? seconds : 0;

    /// <summary>The given seed, or a new one. Print it, or put it into the messages of asserts.</summary>
    public static int Next() => Given ?? Random.Shared.Next(1_000_000_000);

    /// <summary>As <see cref="Next()"/>; printed with the test's result.</summary>
    public static int Next(ITestOutputHelper output)
    {
        int seed = Next();
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"ORLEANSCACHE_TEST_SEED={seed}"));
        return seed;
    }
}
