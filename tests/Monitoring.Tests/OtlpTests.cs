using System.Diagnostics;
using System.Diagnostics.Metrics;
using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.Logging;
using OrleansCache.Monitoring.Metrics;

namespace OrleansCache.Monitoring.Tests;

public sealed class OtlpTests
{
    [Fact]
    public async Task TheMetersInstrumentsTellTheSameNumbers()
    {
        await using MonitoredServer server = await MonitoredServer.StartAsync();
        await server.SendAsync("set a 0 0 3\r\nabc\r\nget a\r\n");
        var found = new Dictionary<string, double>();
        using var listener = new MeterListener
        {
            InstrumentPublished = static (instrument, self) =>
            {
                if (instrument.Meter.Name == MeterBridge.MeterName)
                    self.EnableMeasurementEvents(instrument);
            },
        };
        listener.SetMeasurementEventCallback<double>((instrument, value, tags, _) =>
        {
            lock (found)
                found[instrument.Name + string.Concat(tags.ToArray().Select(static tag => $" {tag.Value}"))] = value;
        });
        listener.Start();
        listener.RecordObservableInstruments();

        // Other tests of this process have meters, too: what counts is that the numbers are among those.
        Assert.Contains("orleanscache_items", found.Keys);
        Assert.Contains("orleanscache_command_duration_seconds_count get hit", found.Keys);
        Assert.DoesNotContain(found.Keys, static name => name.StartsWith("memcached_", StringComparison.Ordinal));
    }

    [Fact]
    public async Task MetricsReachACollector()
    {
        TaskCompletionSource<string> arrived = new(TaskCreationOptions.RunContinuationsAsynchronously);
        await using WebApplication collector = await StartCollectorAsync(arrived);
        await using MonitoredServer server = await MonitoredServer.StartAsync();
        var options = new MonitoringOptions { Otlp = new Uri(collector.Urls.Single()), Version = "0.0.0" };
        using var export = new OtlpExport(options, "test", intervalMilliseconds: 100);
        Assert.Equal("POST /v1/metrics", await arrived.Task.WaitAsync(TimeSpan.FromSeconds(60)));
    }

    /// <summary>It accepts, and never answers.</summary>
    [Fact]
    public async Task ACollectorThatHangsHoldsUpNeitherScrapesNorTheEnd()
    {
        using var collector = new TcpListener(IPAddress.Loopback, 0);
        collector.Start();
        await using MonitoredServer server = await MonitoredServer.StartAsync();
        var options = new MonitoringOptions { Otlp = new Uri($"http://{collector.LocalEndpoint}"), Version = "0.0.0" };
        var export = new OtlpExport(options, "test", intervalMilliseconds: 100);
        using TcpClient client = await collector.AcceptTcpClientAsync().WaitAsync(TimeSpan.FromSeconds(60));

        Assert.Contains("orleanscache_ready 1", await server.Http.GetStringAsync("/metrics"), StringComparison.Ordinal);
        Assert.Contains("STORED", await server.SendAsync("set a 0 0 1\r\n1\r\n"), StringComparison.Ordinal);
        long began = Stopwatch.GetTimestamp();
        export.Dispose();

        // The bound is 1 s; a busy machine may add to that, but not the 5 s of the export.
        Assert.InRange(Stopwatch.GetElapsedTime(began), TimeSpan.Zero, TimeSpan.FromSeconds(4.5));
    }

    /// <summary>A collector that takes everything. The first export may have been too early for the numbers: it answers, and waits for the next one.</summary>
    private static async Task<WebApplication> StartCollectorAsync(TaskCompletionSource<string> arrived)
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        WebApplication collector = builder.Build();
        collector.Urls.Add("http://127.0.0.1:0");
        collector.Run(async context =>
        {
            using MemoryStream body = new();
            await context.Request.Body.CopyToAsync(body);
            if (body.ToArray().AsSpan().IndexOf("orleanscache_items"u8) >= 0)
                arrived.TrySetResult($"{context.Request.Method} {context.Request.Path}");
        });
        await collector.StartAsync();
        return collector;
    }
}
