namespace OrleansCache.Conformance;

/// <summary>Prometheus's memcached_exporter, unchanged, against the memcached port.</summary>
public sealed class ExporterTests(ServerFixture fixture) : IClassFixture<ServerFixture>
{
    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(60);

    [PeerFact("prometheus-memcached-exporter")]
    public async Task ItReadsEverythingThatItAsksFor()
    {
        using (RawClient client = fixture.Server.Connect())
        {
            Assert.Equal("STORED", await client.CommandAsync("set exported 0 0 1\r\n1"));
            Assert.StartsWith("VALUE", await client.CommandAsync("get exported"), StringComparison.Ordinal);
        }

        int port = TestPorts.Next();
        using ChildProcess exporter = ChildProcess.Start(
            [Peer.Find("prometheus-memcached-exporter")!, $"--memcached.address={ClientScript.Address(fixture.Server)}",
                $"--web.listen-address=127.0.0.1:{port}"]);
        using var http = new HttpClient();
        using var limit = new CancellationTokenSource(s_timeout);
        string metrics = "";
        while (metrics.Length == 0)
        {
            try
            {
                metrics = await http.GetStringAsync($"http://127.0.0.1:{port}/metrics", limit.Token);
            }
            catch (HttpRequestException) when (!exporter.HasExited)
            {
                // Nobody tells when a port opens: ask again shortly.
                await Task.Delay(50, limit.Token);
            }
        }

        Assert.True(metrics.Contains("\nmemcached_up 1\n", StringComparison.Ordinal), metrics + exporter.Output);
        Assert.Contains("memcached_commands_total{command=\"get\",status=\"hit\"}", metrics, StringComparison.Ordinal);
        Assert.Contains("memcached_slab_chunk_size_bytes{slab=", metrics, StringComparison.Ordinal);
        Assert.DoesNotContain("level=error", exporter.Output, StringComparison.Ordinal);
    }
}
