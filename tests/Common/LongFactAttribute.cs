namespace OrleansCache.Testing;

/// <summary>A test that takes long, and runs only when such tests are to run.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class LongFactAttribute : FactAttribute
{
    public LongFactAttribute() => Skip = LongTests.WhyNot;
}

/// <summary>`./orleanscache test --long`.</summary>
internal static class LongTests
{
    private const int Shorter = 3;

    /// <summary>Why they do not run; null if they do.</summary>
    public static string? WhyNot { get; } =
        Environment.GetEnvironmentVariable("ORLEANSCACHE_TEST_LONG") is null or "" ? "Takes long: runs with --long" : null;

    /// <summary>
    /// How often a random test does what it does: so often when long tests run, or a seed is run again, which may have failed late; a third of it otherwise.
    /// </summary>
    public static int Count(int count) => WhyNot is null || TestSeed.Given is not null ? count : count / Shorter;
}
