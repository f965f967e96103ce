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
    private readonly LeapingTime _time;

    private MonitoredServer(LocalRouter router, GatewayServer gateway, MonitoringServer monitoring, LeapingTime time)
    {
        _time = time;
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
        var time = new LeapingTime();
        MonitoringServer monitoring = NewMonitoring(token, logins, time);
        await monitoring.StartAsync(CancellationToken.None);
        var router = new LocalRouter(store, TimeProvider.System);
        var options = new GatewayOptions { Listeners = [new ListenerOptions(new IPEndPoint(IPAddress.Loopback, 0))], Threads = 2, MeterCommands = true };
        var gateway = new GatewayServer(options, router, NullLoggerFactory.Instance, TimeProvider.System);
        await gateway.StartAsync(CancellationToken.None);
        monitoring.Attach(gateway, router, static () => null);
        return new MonitoredServer(router, gateway, monitoring, time);
    }

    public static MonitoringServer NewMonitoring(string? token = null, PasswordCheck? logins = null, TimeProvider? time = null) => new(
        new MonitoringOptions { EndPoint = new IPEndPoint(IPAddress.Loopback, 0), Token = token, Logins = logins, Version = "0.0.0" },
        NullLoggerFactory.Instance,
        time ?? TimeProvider.System);

    /// <summary>
    /// Sends memcached commands, and reads until the connection is closed by the quit behind them. Whatever is read over HTTP afterwards knows of them:
    /// a snapshot is kept for 50 ms, and another test of this process, whose exporter reads the meters of all, may have had one taken just before.
    /// </summary>
    public async Task<string> SendAsync(string commands)
    {
        using var client = new TcpClient();
        await client.ConnectAsync((IPEndPoint)Gateway.EndPoints[0]);
        NetworkStream stream = client.GetStream();
        await stream.WriteAsync(Encoding.Latin1.GetBytes(commands + "quit\r\n"));
        using var reader = new StreamReader(stream, Encoding.Latin1);
        string replies = await reader.ReadToEndAsync();
        _time.Leap(TimeSpan.FromMilliseconds(100));
        return replies;
    }

    public async ValueTask DisposeAsync()
    {
        Http.Dispose();
        await Gateway.DisposeAsync();
        await Monitoring.DisposeAsync();
        Router.Dispose();
    }

    /// <summary>The system's clocks, of which the one that counts intervals can be put forward.</summary>
    private sealed class LeapingTime : TimeProvider
    {
        private long _leapt;

        public void Leap(TimeSpan time) => Interlocked.Add(ref _leapt, (long)(time.TotalSeconds * TimestampFrequency));

        public override long GetTimestamp() => base.GetTimestamp() + Interlocked.Read(ref _leapt);
    }
}
