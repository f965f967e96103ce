using System.Globalization;
using System.Net;
using System.Text.Json;
using OrleansCache.Conformance;
#if CLUSTER
using OrleansCache.Monitoring.Tests.Browser;
using PuppeteerSharp;
#endif

namespace OrleansCache.Cluster.Tests;

/// <summary>The HTTP port of silos: about the whole cluster, while silos come, go and die.</summary>
public sealed class HttpPortTests
{
    [ClusterFact(IsLong = true)]
    public async Task EverySiloTellsOfTheWholeClusterAlsoWhileOneDies()
    {
        int[] ports = [.. Enumerable.Range(0, 3).Select(static _ => TestPorts.Next())];
        await using SiloCluster cluster = SiloCluster.Create();
        foreach (int port in ports)
            await cluster.AddSiloAsync("--http", Text(port));
        using var http = new HttpClient { Timeout = TimeSpan.FromSeconds(30) };
        foreach (int port in ports)
            await WaitAsync(http, port, static status => Silos(status) == (3, 3) && status.GetProperty("ready").GetBoolean(), cluster);

        await cluster.KillSiloAsync(cluster.Silos[2]);

        // Nothing fails meanwhile; after some seconds the lost one is gone, and its partitions have owners.
        await WaitAsync(http, ports[0], static status => Silos(status) == (2, 2) && status.GetProperty("cluster").GetProperty("partitionsWithoutOwner")
            .GetInt32() == 0, cluster);
        string metrics = await http.GetStringAsync($"http://127.0.0.1:{ports[1]}/metrics");
        Assert.Contains("orleanscache_partitions_without_owner 0\n", metrics, StringComparison.Ordinal);
    }

    [ClusterFact]
    public async Task ASiloThatDrainsIsAliveAndNotReady()
    {
        int port = TestPorts.Next();
        await using SiloCluster cluster = SiloCluster.Create();
        await cluster.AddSiloAsync();
        ServerProcess silo = await cluster.AddSiloAsync("--http", Text(port));
        using var http = new HttpClient { Timeout = TimeSpan.FromSeconds(30) };
        await WaitAsync(http, port, static status => status.GetProperty("ready").GetBoolean(), cluster);

        Task stop = cluster.StopSiloAsync(silo);
        HttpStatusCode last = HttpStatusCode.OK;
        try
        {
            while (last == HttpStatusCode.OK)
                last = (await http.GetAsync($"http://127.0.0.1:{Text(port)}/health/ready")).StatusCode;
        }
        catch (HttpRequestException)
        {
            // It was gone before it was asked again.
            last = HttpStatusCode.ServiceUnavailable;
        }

        Assert.Equal(HttpStatusCode.ServiceUnavailable, last);
        await stop;
    }

#if CLUSTER
    [ChromiumFact]
    public async Task TheDashboardShowsPartitionsMove()
    {
        int port = TestPorts.Next();
        await using SiloCluster cluster = SiloCluster.Create("-m", "32");
        ServerProcess first = await cluster.AddSiloAsync("--http", Text(port));
        await cluster.AddSiloAsync();
        using (RawClient client = first.Connect())
        {
            string value = new('v', 2000);
            for (int i = 0; i < 5000; i++)
                Assert.Equal("STORED", await client.CommandAsync($"set key{Text(i)} 0 0 {value.Length}\r\n{value}"));
        }

        await using DashboardBrowser browser = await DashboardBrowser.StartAsync();
        IPage page = await browser.OpenAsync($"http://127.0.0.1:{Text(port)}/", 1200, dark: false);
        await page.BringToFrontAsync();
        await cluster.AddSiloAsync();

        await page.WaitForSelectorAsync(".map i.moved, .map i.moving");
        await DashboardBrowser.ShootAsync(page, "move-1200-light");
        await page.WaitForFunctionAsync(
            "() => document.querySelectorAll('#silos tbody tr').length === 3 && document.querySelectorAll('#partitions .legend span').length === 3");
        await page.SetViewportAsync(new ViewPortOptions { Width = 400, Height = 900 });
        await page.EmulateMediaFeaturesAsync([new MediaFeatureValue { MediaFeature = MediaFeature.PrefersColorScheme, Value = "dark" }]);
        await DashboardBrowser.ShootAsync(page, "move-400-dark");
        Assert.Empty(browser.Complaints);
    }
#endif

    private static (int All, int Answering) Silos(JsonElement status) => status.GetProperty("cluster") is { ValueKind: JsonValueKind.Object } cluster
        ? (cluster.GetProperty("silos").GetInt32(), cluster.GetProperty("silosAnswering").GetInt32()) : (0, 0);

    /// <summary>Asks until it is so; every answer must be one.</summary>
    private static async Task WaitAsync(HttpClient http, int port, Func<JsonElement, bool> isSo, SiloCluster cluster)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        string text = "";
        while (true)
        {
            try
            {
                text = await http.GetStringAsync($"http://127.0.0.1:{Text(port)}/api/status", limit.Token);
            }
            catch (OperationCanceledException)
            {
                Assert.Fail($"{text}\n{cluster.Output}");
            }

            using JsonDocument status = JsonDocument.Parse(text);
            if (isSo(status.RootElement))
                return;
            await Task.Delay(50, CancellationToken.None);
        }
    }

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
}
