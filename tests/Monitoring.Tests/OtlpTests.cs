using System.Diagnostics;
using System.Diagnostics.Metrics;
using System.Net;
using System.Net.Sockets;
using System.Text;
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
        using var collector = new TcpListener(IPAddress.Loopback, 0);
        collector.Start();
        await using MonitoredServer server = await MonitoredServer.StartAsync();
        var options = new MonitoringOptions { Otlp = new Uri($"http://{collector.LocalEndpoint}"), Version = "0.0.0" };
        using var export = new OtlpExport(options, "test", intervalMilliseconds: 100);

        using TcpClient client = await collector.AcceptTcpClientAsync().WaitAsync(TimeSpan.FromSeconds(60));
        var request = new StringBuilder();
        byte[] buffer = new byte[65536];
        while (!request.ToString().Contains("orleanscache_items", StringComparison.Ordinal))
        {
            int length = await client.GetStream().ReadAsync(buffer).AsTask().WaitAsync(TimeSpan.FromSeconds(60));
            Assert.NotEqual(0, length);
            request.Append(Encoding.Latin1.GetString(buffer, 0, length));
        }

        Assert.StartsWith("POST /v1/metrics HTTP/1.1", request.ToString(), StringComparison.Ordinal);
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
}
