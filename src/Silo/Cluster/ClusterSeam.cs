using Microsoft.Extensions.Logging;
using OrleansCache.Silo.Hosting;
using OrleansCache.Silo.Options;

namespace OrleansCache.Silo.Cluster;

/// <summary>The one place where this program and src/Grains meet. In a build without the cluster the options have refused before anybody comes here.</summary>
internal static class ClusterSeam
{
    public static INode Create(ServeOptions options, ILoggerFactory loggers)
    {
#if CLUSTER
        return new ClusterMember(options, loggers);
#else
        throw new InvalidOperationException($"Cluster=false, but the options ask for a cluster ({options.ClusterOption}, {loggers.GetType().Name}).");
#endif
    }
}
