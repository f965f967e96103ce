using System.Globalization;

namespace OrleansCache.Protocol.Tests;

/// <summary>The seed of a random test: ORLEANSCACHE_TEST_SEED, or a new one each run. Tests put it into their messages.</summary>
internal static class TestSeed
{
    public static int Next() =>
        Environment.GetEnvironmentVariable("ORLEANSCACHE_TEST_SEED") is { Length: > 0 } text ? int.Parse(text, CultureInfo.InvariantCulture) : Random.Shared.Next();
}
