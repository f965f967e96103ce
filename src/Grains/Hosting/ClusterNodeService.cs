using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;
using OrleansCache.Ownership.Routing;

namespace OrleansCache.Grains.Hosting;

/// <summary>
/// A <see cref="ClusterNode"/> as a part of an application: joins the cluster when the host starts, hands its partitions over when it stops. With
/// <see cref="ClusterNodeOptions.GatewayOnly"/> the application holds no items and only knows the way to those who do.
/// </summary>
public sealed class ClusterNodeService : IHostedService, IAsyncDisposable
{
    private readonly ClusterNode _node;
    private readonly IHostApplicationLifetime? _lifetime;
    private ClusterRouter? _router;

    public ClusterNodeService(ClusterNodeOptions options, IHostApplicationLifetime? lifetime = null)
    {
        _node = new ClusterNode(options);
        _lifetime = lifetime;
    }

    /// <summary>The way to all partitions; there after the start.</summary>
    public IPartitionRouter Router => _router ?? throw new InvalidOperationException("The cluster has not been joined yet: the host must have been started.");

    /// <summary>Throws <see cref="ClusterStartException"/>, with a message for the operator, if the cluster does not take this node in.</summary>
    public async Task StartAsync(CancellationToken cancellationToken)
    {
        await _node.StartAsync(cancellationToken);
        _router = _node.Serve();
        _ = LeaveOnFailureAsync();
    }

    public Task StopAsync(CancellationToken cancellationToken) => _node.StopAsync(cancellationToken);

    public ValueTask DisposeAsync() => _node.DisposeAsync();

    /// <summary>A node that its cluster has given up serves nothing any more: whoever watches the application starts it again.</summary>
    private async Task LeaveOnFailureAsync()
    {
        await _node.Failure;
        _lifetime?.StopApplication();
    }
}

/// <summary>Makes an application a member of the cluster.</summary>
public static class ClusterNodeServiceCollectionExtensions
{
    /// <summary>
    /// Joins the cluster with the host, as a silo or, with <see cref="ClusterNodeOptions.GatewayOnly"/>, without items of its own; and gives
    /// <see cref="IPartitionRouter"/> to the services, from which <c>AddOrleansCacheInProcess</c> of OrleansCache.Client makes an IDistributedCache.
    /// </summary>
    public static IServiceCollection AddOrleansCacheNode(this IServiceCollection services, ClusterNodeOptions options)
    {
        ArgumentNullException.ThrowIfNull(services);
        ArgumentNullException.ThrowIfNull(options);
        services.TryAddSingleton(provider => new ClusterNodeService(options, provider.GetService<IHostApplicationLifetime>()));
        services.AddHostedService(static provider => provider.GetRequiredService<ClusterNodeService>());
        services.TryAddSingleton(static provider => provider.GetRequiredService<ClusterNodeService>().Router);
        return services;
    }
}
