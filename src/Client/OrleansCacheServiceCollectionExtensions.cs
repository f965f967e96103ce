using System.Diagnostics.Metrics;
using Microsoft.AspNetCore.OutputCaching;
using Microsoft.Extensions.Caching.Distributed;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using OrleansCache;
using OrleansCache.Client;
using OrleansCache.Client.InProcess;
using OrleansCache.Client.OutputCaching;

namespace Microsoft.Extensions.DependencyInjection;

/// <summary>Puts OrleansCache behind <see cref="IDistributedCache"/>, <see cref="IBufferDistributedCache"/> and output caching.</summary>
public static class OrleansCacheServiceCollectionExtensions
{
    /// <summary>
    /// The cache behind these gateways, as <see cref="IDistributedCache"/>; sessions and HybridCache take it from there. The options are checked at the start
    /// of the host; the first operation connects.
    /// </summary>
    /// <param name="services">The services.</param>
    /// <param name="configure">Sets the options. They can also be bound to a section: <c>services.Configure&lt;OrleansCacheOptions&gt;(section)</c>.</param>
    public static IServiceCollection AddOrleansCache(this IServiceCollection services, Action<OrleansCacheOptions>? configure = null)
    {
        ArgumentNullException.ThrowIfNull(services);
        services.TryAddEnumerable(ServiceDescriptor.Singleton<IValidateOptions<OrleansCacheOptions>, OrleansCacheOptionsValidator>());
        OptionsBuilder<OrleansCacheOptions> options = services.AddOptions<OrleansCacheOptions>().ValidateOnStart();
        if (configure is not null)
            options.Configure(configure);
        services.TryAddSingleton(static provider => new OrleansCacheClient(
            provider.GetRequiredService<IOptions<OrleansCacheOptions>>().Value,
            provider.GetService<ILogger<OrleansCacheClient>>(),
            provider.GetService<IMeterFactory>(),
            provider.GetService<TimeProvider>()));
        services.AddSingleton<IDistributedCache>(static provider => provider.GetRequiredService<OrleansCacheClient>());
        return services;
    }

    /// <summary>The cache behind these gateways: <c>host</c>, <c>host:port</c> or <c>unix:/path</c>, with commas between them.</summary>
    public static IServiceCollection AddOrleansCache(this IServiceCollection services, string endPoints)
    {
        ArgumentNullException.ThrowIfNull(endPoints);
        return services.AddOrleansCache(options =>
        {
            foreach (string endPoint in endPoints.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
                options.EndPoints.Add(endPoint);
        });
    }

    /// <summary>
    /// The cache of a process that is a part of the cluster itself: no socket, no gateway. Takes the <see cref="IPartitionRouter"/> from the services when it
    /// is first asked for the cache; the cluster must have been joined by then.
    /// </summary>
    public static IServiceCollection AddOrleansCacheInProcess(this IServiceCollection services, string keyPrefix = "")
    {
        ArgumentNullException.ThrowIfNull(services);
        services.TryAddSingleton(provider =>
            new InProcessCache(provider.GetRequiredService<IPartitionRouter>(), keyPrefix, provider.GetService<TimeProvider>()));
        services.AddSingleton<IDistributedCache>(static provider => provider.GetRequiredService<InProcessCache>());
        return services;
    }

    /// <summary>
    /// Output caching on the cache that <see cref="AddOrleansCache(IServiceCollection, Action{OrleansCacheOptions})"/> or
    /// <see cref="AddOrleansCacheInProcess"/> has added: all instances of the application share the responses, and <c>EvictByTagAsync</c> reaches all of them.
    /// <c>AddOutputCache</c> is still needed.
    /// </summary>
    public static IServiceCollection AddOrleansCacheOutputCache(this IServiceCollection services)
    {
        ArgumentNullException.ThrowIfNull(services);
        services.AddSingleton<IOutputCacheStore>(static provider => new OrleansOutputCacheStore(
            provider.GetRequiredService<IDistributedCache>() as IBufferDistributedCache
                ?? throw new InvalidOperationException(
                    $"{nameof(AddOrleansCacheOutputCache)} needs {nameof(AddOrleansCache)} or {nameof(AddOrleansCacheInProcess)}."),
            provider.GetRequiredService<ILogger<OrleansOutputCacheStore>>()));
        return services;
    }
}
