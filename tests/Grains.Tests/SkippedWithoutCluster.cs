namespace OrleansCache.Grains.Tests;

/// <summary>Names what the build without Orleans leaves out, so that it is never left out silently.</summary>
public sealed class SkippedWithoutCluster
{
#if CLUSTER
    internal const string? Skip = null;
#else
    internal const string? Skip = "Built with Cluster=false: all tests of OrleansCache.Grains need the Orleans packages.";
#endif

    [Fact(Skip = Skip)]
    public void GrainsTestsAreCompiledIn() => Assert.True(typeof(SkippedWithoutCluster).Assembly.GetTypes().Length > 1);
}
