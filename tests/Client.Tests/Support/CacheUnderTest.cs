using System.Globalization;
using System.Net;
using Microsoft.Extensions.Caching.Distributed;
using Microsoft.Extensions.Logging.Abstractions;
using OrleansCache.Conformance;
using OrleansCache.Gateway;
using OrleansCache.Gateway.Options;
using OrleansCache.Storage;

namespace OrleansCache.Client.Tests.Support;

/// <summary>A cache with its server, and a clock that moves both.</summary>
internal abstract class CacheUnderTest : IAsyncDisposable
{
    public ShiftedTime Time { get; } = new();

    public abstract IBufferDistributedCache Cache { get; }

    /// <summary>Lets so much time pass, for the cache and its server.</summary>
    public virtual Task AdvanceAsync(TimeSpan by)
    {
        Time.Advance(by);
        return Task.CompletedTask;
    }

    public abstract ValueTask DisposeAsync();
}

/// <summary>A gateway and its store in this process, reached by TCP.</summary>
internal sealed class GatewayCache : CacheUnderTest
{
    private readonly LocalRouter _router;
    private readonly GatewayServer _gateway;
    private OrleansCacheClient? _client;

    private GatewayCache(Func<GatewayOptions, GatewayOptions>? configure)
    {
        _router = new LocalRouter(new StoreOptions { PartitionCount = 16 }, Time);
        var options = new GatewayOptions { Listeners = [new ListenerOptions(new IPEndPoint(IPAddress.Loopback, 0))], Threads = 2 };
        _gateway = new GatewayServer(configure?.Invoke(options) ?? options, _router, NullLoggerFactory.Instance, Time);
    }

    public OrleansCacheClient Client => _client!;

    public override IBufferDistributedCache Cache => Client;

    public string EndPoint => _gateway.EndPoints[0].ToString()!;

    public static async Task<GatewayCache> StartAsync(Action<OrleansCacheOptions>? configureClient = null, Func<GatewayOptions,
        GatewayOptions>? configureGateway = null)
    {
        var cache = new GatewayCache(configureGateway);
        await cache._gateway.StartAsync(CancellationToken.None);
        cache._client = new OrleansCacheClient(TestOptions.For([cache.EndPoint], configureClient), time: cache.Time);
        return cache;
    }

    public override async ValueTask DisposeAsync()
    {
        if (_client is not null)
            await _client.DisposeAsync();
        await _gateway.DisposeAsync();
        _router.Dispose();
    }
}

/// <summary>The built server as a process of its own.</summary>
internal sealed class ProcessCache : CacheUnderTest
{
    private readonly ServerProcess _server;
    private readonly OrleansCacheClient _client;

    private ProcessCache(ServerProcess server)
    {
        _server = server;
        _client = new OrleansCacheClient(TestOptions.For([$"127.0.0.1:{server.Port}"]), time: Time);
    }

    public override IBufferDistributedCache Cache => _client;

    public static async Task<ProcessCache> StartAsync() => new(await ServerProcess.StartAsync(ServerKind.OrleansCache, "--enable-debugtime", "-t", "2"));

    public override async Task AdvanceAsync(TimeSpan by)
    {
        await base.AdvanceAsync(by);
        using RawClient client = _server.Connect();
        string answer = await client.CommandAsync(string.Create(CultureInfo.InvariantCulture, $"debugtime {(long)Math.Ceiling(by.TotalSeconds)}"));
        Assert.Equal("OK", answer);
    }

    public override async ValueTask DisposeAsync()
    {
        await _client.DisposeAsync();
        await _server.DisposeAsync();
    }
}

internal static class TestOptions
{
    /// <summary>Time-outs that only a hang reaches, whatever else the machine does.</summary>
    public static OrleansCacheOptions For(IEnumerable<string> endPoints, Action<OrleansCacheOptions>? configure = null)
    {
        var options = new OrleansCacheOptions { OperationTimeout = TimeSpan.FromSeconds(30), ConnectTimeout = TimeSpan.FromSeconds(30) };
        foreach (string endPoint in endPoints)
            options.EndPoints.Add(endPoint);
        configure?.Invoke(options);
        return options;
    }
}
