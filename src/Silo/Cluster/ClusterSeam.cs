using Microsoft.Extensions.Logging;
using OrleansCache.Silo.Hosting;
using OrleansCache.Silo.Options;

namespace OrleansCache.Silo.Cluster;

/// <summary>The one place where this program and src/Grains meet. In a build without the cluster the options have refused before anybody comes here.</summary>
internal static class ClusterSeam
{
    public static INode Create(ServeOptions options, ILoggerFactory loggers)
    {
        _ = options;
        _ = loggers;
        throw StartException.Usage("serving in a cluster is not supported yet");
    }
}
