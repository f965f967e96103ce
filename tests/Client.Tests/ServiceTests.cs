using System.Diagnostics.Metrics;
using System.Text;
using Microsoft.AspNetCore.OutputCaching;
using Microsoft.Extensions.Caching.Distributed;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using OrleansCache.Client.InProcess;
using OrleansCache.Client.Tests.Support;
using OrleansCache.Storage;

namespace OrleansCache.Client.Tests;

public sealed class ServiceTests
{
    [Fact]
    public async Task TheCacheIsAService()
    {
        await using GatewayCache gateway = await GatewayCache.StartAsync();
        await using ServiceProvider services = new ServiceCollection().AddLogging().AddOrleansCache(gateway.EndPoint).BuildServiceProvider();
        IDistributedCache cache = services.GetRequiredService<IDistributedCache>();
        Assert.IsAssignableFrom<IBufferDistributedCache>(cache);
        await cache.SetStringAsync("k", "v");
        Assert.Equal("v", await gateway.Cache.GetStringAsync("k"));
    }

    [Fact]
    public async Task OptionsComeFromConfiguration()
    {
        IConfiguration configuration = new ConfigurationBuilder().AddInMemoryCollection(new Dictionary<string, string?>
        {
            ["OrleansCache:EndPoints:0"] = "one",
            ["OrleansCache:EndPoints:1"] = "[::1]:11212",
            ["OrleansCache:OperationTimeout"] = "00:00:02",
            ["OrleansCache:KeyPrefix"] = "app:",
        }).Build();
        await using ServiceProvider services = new ServiceCollection()
            .Configure<OrleansCacheOptions>(configuration.GetSection("OrleansCache")).AddOrleansCache().BuildServiceProvider();
        OrleansCacheOptions options = services.GetRequiredService<IOptions<OrleansCacheOptions>>().Value;
        Assert.Equal(["one", "[::1]:11212"], options.EndPoints);
        Assert.Equal(TimeSpan.FromSeconds(2), options.OperationTimeout);
        Assert.NotNull(services.GetRequiredService<IDistributedCache>());
    }

    [Fact]
    public void WrongOptionsAreNamedAllAtOnce()
    {
        var options = new OrleansCacheOptions
        {
            Connections = 0, OperationTimeout = TimeSpan.Zero, KeyPrefix = "two words", User = "ann", TlsHost = "host",
            ReconnectDelayMax = TimeSpan.FromMilliseconds(1), ValueBytesMax = 0,
            PendingOperationsMax = 0, PendingBytesMax = 0, TlsKeyFile = "/does/not/exist",
        };
        options.EndPoints.Add("host:port");
        OptionsValidationException failure = Assert.Throws<OptionsValidationException>(() => new OrleansCacheClient(options));
        string[] named = ["'host:port'", "Connections", "OperationTimeout", "KeyPrefix", "Password", "UseTls", "ReconnectDelayMax", "ValueBytesMax",
            "PendingOperationsMax", "PendingBytesMax", "/does/not/exist"];
        Assert.All(named, name => Assert.Contains(failure.Failures, line => line.Contains(name, StringComparison.Ordinal)));
        Assert.Equal(named.Length, failure.Failures.Count());
        Assert.Contains("1 to 1024 gateways", Assert.Throws<OptionsValidationException>(() => new OrleansCacheClient(new OrleansCacheOptions())).Message,
            StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("host", "host:11211")]
    [InlineData("host:1", "host:1")]
    [InlineData("10.0.0.5", "10.0.0.5:11211")]
    [InlineData("::1", "[::1]:11211")]
    [InlineData("[::1]", "[::1]:11211")]
    [InlineData("[fe80::1]:5", "[fe80::1]:5")]
    [InlineData("unix:/run/cache.sock", "unix:/run/cache.sock")]
    public void EndPointsAreRead(string text, string expected)
    {
        Assert.True(Client.Gateways.GatewayEndPoint.TryParse(text, out Client.Gateways.GatewayEndPoint? endPoint));
        Assert.Equal(expected, endPoint!.ToString());
        _ = endPoint.EndPoint;
    }

    [Theory]
    [InlineData("")]
    [InlineData("host:")]
    [InlineData("host:0")]
    [InlineData("host:65536")]
    [InlineData("host:-1")]
    [InlineData(":11211")]
    [InlineData("two words:11211")]
    [InlineData("http://host")]
    [InlineData("unix:")]
    public void WrongEndPointsAreRefused(string text) => Assert.False(Client.Gateways.GatewayEndPoint.TryParse(text, out _));

    [Fact]
    public async Task InProcessTheRouterIsTakenFromTheServices()
    {
        using var router = new LocalRouter(new StoreOptions());
        await using ServiceProvider services = new ServiceCollection()
            .AddSingleton<IPartitionRouter>(router).AddOrleansCacheInProcess("app:").BuildServiceProvider();
        IDistributedCache cache = services.GetRequiredService<IDistributedCache>();
        await cache.SetStringAsync("k", "v");
        Assert.IsType<InProcessCache>(cache);
        Assert.Equal("v", await new InProcessCache(router).GetStringAsync("app:k"));
    }

    /// <summary>Silos and clients outside of them read the same entries.</summary>
    [Fact]
    public async Task BothWaysMeetInTheSameEntries()
    {
        using var router = new LocalRouter(new StoreOptions());
        var inProcess = new InProcessCache(router);
        await using var gateway = new OrleansCache.Gateway.GatewayServer(
            new OrleansCache.Gateway.Options.GatewayOptions { Listeners =
                [new OrleansCache.Gateway.Options.ListenerOptions(new System.Net.IPEndPoint(System.Net.IPAddress.Loopback, 0))], Threads = 1 },
            router, Microsoft.Extensions.Logging.Abstractions.NullLoggerFactory.Instance, TimeProvider.System);
        await gateway.StartAsync(CancellationToken.None);
        await using var client = new OrleansCacheClient(TestOptions.For([gateway.EndPoints[0].ToString()!]));
        string[] keys = ["plain", "two words", new string('l', 1000), "\ud800"];
        var both = new DistributedCacheEntryOptions { SlidingExpiration = TimeSpan.FromHours(1), AbsoluteExpirationRelativeToNow = TimeSpan.FromHours(2) };
        foreach (string key in keys)
        {
            byte[] value = Encoding.UTF8.GetBytes("value of " + key);
            await client.SetAsync(key, value, both);
            Assert.Equal(value, await inProcess.GetAsync(key));
            await inProcess.SetAsync(key, [.. value, 1], both);
            Assert.Equal([.. value, 1], await client.GetAsync(key));
            await inProcess.RemoveAsync(key);
            Assert.Null(await client.GetAsync(key));
        }
    }

    [Fact]
    public async Task OutputCachingKnowsTags()
    {
        using var router = new LocalRouter(new StoreOptions());
        await using ServiceProvider services = new ServiceCollection().AddLogging().AddSingleton<IPartitionRouter>(router)
            .AddOrleansCacheInProcess().AddOutputCache().AddOrleansCacheOutputCache().BuildServiceProvider();
        IOutputCacheStore store = services.GetRequiredService<IOutputCacheStore>();
        Assert.IsAssignableFrom<IOutputCacheBufferStore>(store);
        await store.SetAsync("a", [1], ["x", "y"], TimeSpan.FromMinutes(1), default);
        await store.SetAsync("b", [2], ["y"], TimeSpan.FromMinutes(1), default);
        await store.SetAsync("c", [3], null, TimeSpan.FromMinutes(1), default);
        await store.SetAsync("d", [4], ["x"], TimeSpan.Zero, default);
        Assert.Equal([1], await store.GetAsync("a", default));
        Assert.Equal([2], await store.GetAsync("b", default));
        Assert.Equal([3], await store.GetAsync("c", default));
        Assert.Null(await store.GetAsync("d", default));
        await store.EvictByTagAsync("x", default);
        Assert.Null(await store.GetAsync("a", default));
        Assert.Equal([2], await store.GetAsync("b", default));

        // A tag that comes back does not bring back what was stored under it.
        await store.SetAsync("e", [5], ["x"], TimeSpan.FromMinutes(1), default);
        Assert.Null(await store.GetAsync("a", default));
        Assert.Equal([5], await store.GetAsync("e", default));
        await store.EvictByTagAsync("never used", default);
        await services.GetRequiredService<IDistributedCache>().SetAsync("output:f", [9, 9], new DistributedCacheEntryOptions());
        Assert.Null(await store.GetAsync("f", default));
    }

    [Fact]
    public async Task InstrumentsCountWhatHappens()
    {
        await using GatewayCache gateway = await GatewayCache.StartAsync();
        var counts = new System.Collections.Concurrent.ConcurrentDictionary<string, long>();
        int connections = 0;
        using var listener = new MeterListener();
        await using ServiceProvider services = new ServiceCollection().AddMetrics().AddOrleansCache(gateway.EndPoint).BuildServiceProvider();
        IMeterFactory factory = services.GetRequiredService<IMeterFactory>();
        listener.InstrumentPublished = (instrument, self) =>
        {
            if (instrument.Meter.Name == "OrleansCache.Client" && ReferenceEquals(instrument.Meter.Scope, factory))
                self.EnableMeasurementEvents(instrument);
        };
        listener.SetMeasurementEventCallback<long>((_, value, tags, _) =>
            counts.AddOrUpdate(string.Join(' ', tags.ToArray().Select(tag => tag.Value)), value, (_, sum) => sum + value));
        listener.SetMeasurementEventCallback<double>((instrument, _, tags, _) =>
            counts.AddOrUpdate(instrument.Name + " " + tags[0].Value, 1, (_, sum) => sum + 1));
        listener.SetMeasurementEventCallback<int>((instrument, value, _, _) => connections = instrument.Name.EndsWith("connections", StringComparison.Ordinal)
            ? value : connections);
        listener.Start();
        IDistributedCache cache = services.GetRequiredService<IDistributedCache>();
        await cache.GetAsync("k");
        await cache.SetStringAsync("k", "v");
        await cache.GetAsync("k");
        await cache.RemoveAsync("k");
        listener.RecordObservableInstruments();
        Assert.Equal(1, counts["get miss"]);
        Assert.Equal(1, counts["get hit"]);
        Assert.Equal(1, counts["set ok"]);
        Assert.Equal(1, counts["remove ok"]);
        Assert.Equal(2, counts["orleanscache.client.operation.duration get"]);
        Assert.InRange(connections, 1, 2);
    }
}
