#if CLUSTER
using OrleansCache.Conformance;
#endif

namespace OrleansCache.Cluster.Tests;

/// <summary>Why tests of silos cannot run here; null when they can.</summary>
internal static class ClusterSkip
{
    public static string? Reason(string tool, string[] modules)
    {
#if CLUSTER
        if (ServerUnderTest.IsMemcached)
            return $"{ServerUnderTest.Variable}=memcached: memcached has no silos";
        return tool.Length == 0 ? null : Peer.WhyNot(tool, modules);
#else
        _ = tool;
        _ = modules;
        return "Built with Cluster=false: silos need the Orleans packages";
#endif
    }
}

/// <summary>A test of silos; skipped, with the reason, in the build without Orleans.</summary>
[AttributeUsage(AttributeTargets.Method)]
public class ClusterFactAttribute : FactAttribute
{
    public ClusterFactAttribute(string tool = "", params string[] modules)
    {
        Tool = tool;
        Modules = modules;
        Skip = ClusterSkip.Reason(tool, modules);
    }

    public string Tool { get; }

    public string[] Modules { get; }

    /// <summary>It runs only when long tests are to run.</summary>
    public bool IsLong
    {
        get;
        set
        {
            field = value;
            if (value)
                Skip ??= LongTests.WhyNot;
        }
    }
}

/// <summary>The same for a theory.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class ClusterTheoryAttribute : TheoryAttribute
{
    public ClusterTheoryAttribute(string tool = "", params string[] modules)
    {
        Tool = tool;
        Modules = modules;
        Skip = ClusterSkip.Reason(tool, modules);
    }

    public string Tool { get; }

    public string[] Modules { get; }

    /// <summary>It runs only when long tests are to run.</summary>
    public bool IsLong
    {
        get;
        set
        {
            field = value;
            if (value)
                Skip ??= LongTests.WhyNot;
        }
    }
}

/// <summary>A test of silos that needs a PostgreSQL of its own.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class PostgresFactAttribute : ClusterFactAttribute
{
    public PostgresFactAttribute() => Skip ??= PostgresServer.WhyNot();
}
