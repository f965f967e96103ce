using System.Net;
using System.Net.Sockets;
using System.Text;
using Microsoft.Extensions.Logging.Abstractions;
using OrleansCache.Gateway;
using OrleansCache.Gateway.Options;
using OrleansCache.Gateway.Passwords;
using OrleansCache.Storage;

namespace OrleansCache.Monitoring.Tests;

/// <summary>A single node with a gateway and the HTTP port, in this process, all on free ports.</summary>
internal sealed class MonitoredServer : IAsyncDisposable
{
    private MonitoredServer(LocalRouter router, GatewayServer gateway, MonitoringServer monitoring)
    {
        Router = router;
        Gateway = gateway;
        Monitoring = monitoring;
        Http = new HttpClient(new SocketsHttpHandler { UseProxy = false }) { BaseAddress = new Uri($"http://{monitoring.EndPoint}") };
    }

    public LocalRouter Router { get; }

    public GatewayServer Gateway { get; }

    public MonitoringServer Monitoring { get; }

    public HttpClient Http { get; }

    public IPEndPoint EndPoint => Monitoring.EndPoint!;

    public static Task<MonitoredServer> StartAsync(string? token = null, PasswordCheck? logins = null) => StartAsync(new StoreOptions(), token, logins);

    public static async Task<MonitoredServer> StartAsync(StoreOptions store, string? token = null, PasswordCheck? logins = null)
    {
        MonitoringServer monitoring = NewMonitoring(token, logins);
        await monitoring.StartAsync(CancellationToken.None);
        var router = new LocalRouter(store, TimeProvider.System);
        var options = new GatewayOptions { Listeners = [new ListenerOptions(new IPEndPoint(IPAddress.Loopback, 0))], Threads = 2, MeterCommands = true };
        var gateway = new GatewayServer(options, router, NullLoggerFactory.Instance, TimeProvider.System);
        await gateway.StartAsync(CancellationToken.None);
        monitoring.Attach(gateway, router, static () => null);
        return new MonitoredServer(router, gateway, monitoring);
    }

    public static MonitoringServer NewMonitoring(string? token = null, PasswordCheck? logins = null) => new(
        new MonitoringOptions { EndPoint = new IPEndPoint(IPAddress.Loopback, 0), Token = token, Logins = logins, Version = "0.0.0" },
        NullLoggerFactory.Instance,
        TimeProvider.System);

    /// <summary>Sends memcached commands, and reads until the connection is closed by the quit behind them.</summary>
    public async Task<string> SendAsync(string commands)
    {
        using var client = new TcpClient();
        await client.ConnectAsync((IPEndPoint)Gateway.EndPoints[0]);
        NetworkStream stream = client.GetStream();
        await stream.WriteAsync(Encoding.Latin1.GetBytes(commands + "quit\r\n"));
        using var reader = new StreamReader(stream, Encoding.Latin1);
        return await reader.ReadToEndAsync();
    }

    public async ValueTask DisposeAsync()
    {
        Http.Dispose();
        await Gateway.DisposeAsync();
        await Monitoring.DisposeAsync();
        Router.Dispose();
    }
}
