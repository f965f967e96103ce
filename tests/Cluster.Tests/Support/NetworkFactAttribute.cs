using OrleansCache.Chaos;

namespace OrleansCache.Cluster.Tests;

/// <summary>
/// A test that cuts the links between silos, each of which runs in a network namespace of its own; skipped, with the reason, where that cannot be. It takes
/// half a minute, so it runs only when long tests are to run.
/// </summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class NetworkFactAttribute : FactAttribute
{
    public NetworkFactAttribute() => Skip = ClusterSkip.Reason("", []) ?? LongTests.WhyNot ?? TestNetwork.WhyNot();
}
