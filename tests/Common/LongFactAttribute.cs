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
    /// <summary>Why they do not run; null if they do.</summary>
    public static string? WhyNot { get; } =
        Environment.GetEnvironmentVariable("ORLEANSCACHE_TEST_LONG") is null or "" ? "Takes long: runs with --long" : null;
}
