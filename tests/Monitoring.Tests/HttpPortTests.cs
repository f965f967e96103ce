using System.Net;
using System.Net.Sockets;
using System.Text;
using OrleansCache.Gateway;

namespace OrleansCache.Monitoring.Tests;

public sealed class HttpPortTests
{
    [Fact]
    public async Task BeforeTheGatewayListensTheProcessIsAliveAndNotReady()
    {
        await using MonitoringServer server = MonitoredServer.NewMonitoring();
        await server.StartAsync(CancellationToken.None);
        using var http = new HttpClient { BaseAddress = new Uri($"http://{server.EndPoint}") };

        Assert.Equal("live\n", await http.GetStringAsync("/health/live"));
        using HttpResponseMessage ready = await http.GetAsync("/health/ready");
        Assert.Equal(HttpStatusCode.ServiceUnavailable, ready.StatusCode);
        Assert.Equal("not ready: starting\n", await ready.Content.ReadAsStringAsync());
        Assert.Equal(HttpStatusCode.ServiceUnavailable, (await http.GetAsync("/metrics")).StatusCode);
    }

    [Fact]
    public async Task AProcessThatIsAskedToStopIsNotReadyAndStillAnswers()
    {
        await using MonitoredServer server = await MonitoredServer.StartAsync();

        Assert.Equal("ready\n", await server.Http.GetStringAsync("/health/ready"));
        server.Monitoring.BeginStop();
        using HttpResponseMessage ready = await server.Http.GetAsync("/health/ready");
        Assert.Equal(HttpStatusCode.ServiceUnavailable, ready.StatusCode);
        Assert.StartsWith("not ready: draining", await ready.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        Assert.Equal("live\n", await server.Http.GetStringAsync("/health/live"));
        Assert.Contains("orleanscache_ready 0", await server.Http.GetStringAsync("/metrics"), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("GET", "/nothing", HttpStatusCode.NotFound)]
    [InlineData("GET", "/api", HttpStatusCode.NotFound)]
    [InlineData("GET", "/api/../../etc/passwd", HttpStatusCode.NotFound)]
    [InlineData("POST", "/metrics", HttpStatusCode.MethodNotAllowed)]
    [InlineData("DELETE", "/api/status", HttpStatusCode.MethodNotAllowed)]
    [InlineData("HEAD", "/metrics", HttpStatusCode.OK)]
    public async Task WhatIsNotThereIsRefused(string method, string path, HttpStatusCode expected)
    {
        await using MonitoredServer server = await MonitoredServer.StartAsync();
        using var request = new HttpRequestMessage(new HttpMethod(method), path);
        using HttpResponseMessage response = await server.Http.SendAsync(request);

        Assert.Equal(expected, response.StatusCode);
        Assert.Equal("nosniff", response.Headers.GetValues("X-Content-Type-Options").Single());
    }

    [Fact]
    public async Task RequestsThatAreTooLongAreRefused()
    {
        await using MonitoredServer server = await MonitoredServer.StartAsync();

        Assert.StartsWith("HTTP/1.1 414", await RawAsync(server.EndPoint, "GET /" + new string('x', 5000) + " HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"),
            StringComparison.Ordinal);
        Assert.StartsWith("HTTP/1.1 431", await RawAsync(server.EndPoint, "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + new string('x', 20_000) + "\r\n\r\n"),
            StringComparison.Ordinal);
        Assert.StartsWith("HTTP/1.1 400", await RawAsync(server.EndPoint, "get greeting\r\n"), StringComparison.Ordinal);
        Assert.Equal("ready\n", await server.Http.GetStringAsync("/health/ready"));
    }

    [Fact]
    public async Task AClientThatDoesNotFinishItsRequestIsCut()
    {
        await using MonitoredServer server = await MonitoredServer.StartAsync();
        using var slow = new TcpClient();
        await slow.ConnectAsync(server.EndPoint);
        await slow.GetStream().WriteAsync("GET /metrics HTTP/1.1\r\nHost: 127"u8.ToArray());
        using var reader = new StreamReader(slow.GetStream());

        string answer = await reader.ReadToEndAsync().WaitAsync(TimeSpan.FromSeconds(60));
        Assert.StartsWith("HTTP/1.1 408", answer, StringComparison.Ordinal);
    }

    [Fact]
    public async Task AFloodIsSlowedDownAndProbesAreStillAnswered()
    {
        await using MonitoredServer server = await MonitoredServer.StartAsync();
        using var handler = new SocketsHttpHandler { MaxConnectionsPerServer = 32, UseProxy = false };
        using var flood = new HttpClient(handler) { BaseAddress = server.Http.BaseAddress };
        var statuses = new List<HttpStatusCode>();
        Task[] floods =
        [
            .. Enumerable.Range(0, 32).Select(async _ =>
            {
                for (int i = 0; i < 20; i++)
                {
                    using HttpResponseMessage response = await flood.GetAsync("/api/status");
                    lock (statuses)
                        statuses.Add(response.StatusCode);
                }
            }),
        ];

        while (!Task.WhenAll(floods).IsCompleted)
            Assert.Equal("ready\n", await server.Http.GetStringAsync("/health/ready").WaitAsync(TimeSpan.FromSeconds(30)));
        await Task.WhenAll(floods);
        Assert.Equal([HttpStatusCode.OK, HttpStatusCode.TooManyRequests], statuses.Distinct().Order());
    }

    [Fact]
    public async Task APortInUseIsToldInOneSentence()
    {
        await using MonitoredServer server = await MonitoredServer.StartAsync();
        await using var second = new MonitoringServer(
            new MonitoringOptions { EndPoint = server.EndPoint, Version = "0.0.0" }, Microsoft.Extensions.Logging.Abstractions.NullLoggerFactory.Instance,
                TimeProvider.System);

        GatewayStartException failure = await Assert.ThrowsAsync<GatewayStartException>(() => second.StartAsync(CancellationToken.None));
        Assert.Equal($"--http: cannot listen on {server.EndPoint}: Address already in use", failure.Message);
    }

    private static async Task<string> RawAsync(IPEndPoint endPoint, string request)
    {
        using var client = new TcpClient();
        await client.ConnectAsync(endPoint);
        await client.GetStream().WriteAsync(Encoding.ASCII.GetBytes(request));
        using var reader = new StreamReader(client.GetStream());
        return await reader.ReadToEndAsync().WaitAsync(TimeSpan.FromSeconds(30));
    }
}
