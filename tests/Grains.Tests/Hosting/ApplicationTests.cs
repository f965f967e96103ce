using Microsoft.Extensions.Caching.Distributed;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using OrleansCache.Grains.Hosting;

namespace OrleansCache.Grains.Tests.Hosting;

/// <summary>Applications that are members of the cluster themselves, with the cache as IDistributedCache and no socket of memcached's.</summary>
public sealed class ApplicationTests
{
    private static readonly DistributedCacheEntryOptions s_options =
        new() { SlidingExpiration = TimeSpan.FromHours(1), AbsoluteExpirationRelativeToNow = TimeSpan.FromHours(5) };

    [Fact]
    public async Task SilosAndClientsOfOneClusterShareTheirEntries()
    {
        await using var nodes = new ClusterNodes(partitions: 16);
        ClusterNodeOptions first = nodes.OptionsForNext();
        using IHost silo = await StartAsync(first);
        using IHost other = await StartAsync(nodes.OptionsForNext(first.SiloEndPoint));
        using IHost client =
            await StartAsync(nodes.OptionsForNext(first.SiloEndPoint) with { GatewayOnly = true, GatewayOrleansPort = first.GatewayOrleansPort });
        IDistributedCache[] caches = [.. new[] { silo, other, client }.Select(host => host.Services.GetRequiredService<IDistributedCache>())];

        // More keys than partitions: some lie here, some there.
        await Task.WhenAll(Enumerable.Range(0, 100).Select(async i =>
        {
            byte[] value = [(byte)i, .. new byte[i * 500]];
            await caches[i % 3].SetAsync($"key {i}", value, s_options);
            foreach (IDistributedCache cache in caches)
                Assert.Equal(value, await cache.GetAsync($"key {i}"));
            await caches[(i + 1) % 3].RefreshAsync($"key {i}");
            await caches[(i + 1) % 3].RemoveAsync($"key {i}");
            foreach (IDistributedCache cache in caches)
                Assert.Null(await cache.GetAsync($"key {i}"));
        }));
        await client.StopAsync();
        await other.StopAsync();
        await silo.StopAsync();
    }

    private static async Task<IHost> StartAsync(ClusterNodeOptions options)
    {
        HostApplicationBuilder builder = Host.CreateEmptyApplicationBuilder(null);
        builder.Services.AddOrleansCacheNode(options);
        builder.Services.AddOrleansCacheInProcess();
        IHost host = builder.Build();
        await host.StartAsync();
        return host;
    }
}
