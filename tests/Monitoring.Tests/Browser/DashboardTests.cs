using System.Net;
using System.Net.Http.Headers;
using System.Text;
using PuppeteerSharp;

namespace OrleansCache.Monitoring.Tests.Browser;

public sealed class DashboardTests
{
    private const int PageBytesMax = 150 * 1024;

    /// <summary>A key that a browser would take for a tag, if it were taken for HTML.</summary>
    private const string EvilKey = "<img/src=x/onerror=alert(document.domain)>\"'&";

    [ChromiumFact]
    public async Task ThePageShowsANodeUnderLoadAtEveryWidthAndInBothColours()
    {
        await using MonitoredServer server = await MonitoredServer.StartAsync(new StoreOptions { MemoryBytes = 8 << 20 });
        using var stop = new CancellationTokenSource();
        Task load = Task.Run(() => LoadAsync(server, stop.Token));
        await using DashboardBrowser browser = await DashboardBrowser.StartAsync();
        foreach ((int width, bool dark) in new[] { (1200, false), (1200, true), (400, false), (400, true) })
        {
            IPage page = await browser.OpenAsync($"http://{server.EndPoint}/", width, dark);
            if (width == 1200 && !dark)
                Assert.InRange(browser.BytesReceived, 1, PageBytesMax);
            await page.BringToFrontAsync();

            // Two answers make a rate, and a third one a line of it; the keys have been sampled by then.
            await page.WaitForFunctionAsync(
                "() => document.querySelectorAll('#commands tbody tr').length >= 3 && document.querySelectorAll('#hot tbody tr').length > 0");
            await page.WaitForFunctionAsync("() => /[1-9].*\\/s/.test(document.querySelector('.tile .value').textContent)");
            await page.EvaluateExpressionAsync("new Promise(done => setTimeout(done, 3000))");

            Assert.Equal(0, await page.EvaluateExpressionAsync<int>("document.documentElement.scrollWidth - document.documentElement.clientWidth"));
            Assert.Equal(6, await page.EvaluateExpressionAsync<int>("document.querySelectorAll('.chart canvas').length"));
            Assert.Equal(256, await page.EvaluateExpressionAsync<int>("document.querySelectorAll('.map i').length"));
            Assert.Equal(0, await page.EvaluateExpressionAsync<int>("document.querySelectorAll('img').length"));
            Assert.Contains("%3Cimg%2Fsrc", await page.EvaluateExpressionAsync<string>("document.querySelector('#large').textContent"),
                StringComparison.Ordinal);
            Assert.NotEqual(
                await page.EvaluateExpressionAsync<string>("getComputedStyle(document.body).color"),
                await page.EvaluateExpressionAsync<string>("getComputedStyle(document.body).backgroundColor"));
            await DashboardBrowser.ShootAsync(page, $"node-{width}-{(dark ? "dark" : "light")}");
            await page.CloseAsync();
        }

        await stop.CancelAsync();
        await load;
        Assert.Empty(browser.Complaints);
    }

    [ChromiumFact]
    public async Task ThePageSaysWhenNobodyAnswersAndGoesOnLater()
    {
        MonitoredServer server = await MonitoredServer.StartAsync();
        await using DashboardBrowser browser = await DashboardBrowser.StartAsync();
        IPage page = await browser.OpenAsync($"http://{server.EndPoint}/", 1200, dark: false);
        await page.BringToFrontAsync();
        await server.DisposeAsync();

        await page.WaitForSelectorAsync(".failure");
        Assert.Contains("No answer from 127.0.0.1", await page.EvaluateExpressionAsync<string>("document.querySelector('.failure').textContent"),
            StringComparison.Ordinal);
    }

    [Fact]
    public async Task FilesAreCompressedAndKeptByBrowsers()
    {
        await using MonitoredServer server = await MonitoredServer.StartAsync();
        using var request = new HttpRequestMessage(HttpMethod.Get, "/dashboard.js");
        request.Headers.AcceptEncoding.Add(new StringWithQualityHeaderValue("gzip"));
        using HttpResponseMessage first = await server.Http.SendAsync(request);
        Assert.Equal("gzip", first.Content.Headers.ContentEncoding.Single());

        using var again = new HttpRequestMessage(HttpMethod.Get, "/dashboard.js");
        again.Headers.TryAddWithoutValidation("If-None-Match", first.Headers.ETag!.Tag);
        Assert.Equal(HttpStatusCode.NotModified, (await server.Http.SendAsync(again)).StatusCode);
        Assert.Contains("default-src 'none'", first.Headers.GetValues("Content-Security-Policy").Single(), StringComparison.Ordinal);
        Assert.Equal(HttpStatusCode.NotFound, (await server.Http.GetAsync("/DashboardFiles.cs")).StatusCode);
        Assert.StartsWith("The MIT License", await server.Http.GetStringAsync("/vendor/LICENSE.uplot"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task BeyondATokenThePageIsHiddenToo()
    {
        await using MonitoredServer server = await MonitoredServer.StartAsync("0123456789abcdef");
        Assert.Equal(HttpStatusCode.Unauthorized, (await server.Http.GetAsync("/")).StatusCode);
        Assert.Equal(HttpStatusCode.Unauthorized, (await server.Http.GetAsync("/dashboard.js")).StatusCode);
        server.Http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Basic", Convert.ToBase64String("x:0123456789abcdef"u8));
        Assert.Contains("<title>OrleansCache</title>", await server.Http.GetStringAsync("/"), StringComparison.Ordinal);
    }

    /// <summary>Gets of keys that are stored and some that are not, and values of many sizes, more than the memory holds.</summary>
    private static async Task LoadAsync(MonitoredServer server, CancellationToken stop)
    {
        var random = new Random(1);
        int round = 0;
        while (!stop.IsCancellationRequested)
        {
            var commands = new StringBuilder();
            string value = new('v', 40_000);
            commands.Append(System.Globalization.CultureInfo.InvariantCulture, $"set {EvilKey} 0 0 {value.Length}\r\n{value}\r\n");
            for (int i = 0; i < 400; i++)
            {
                int length = 50 << random.Next(8);
                commands.Append(System.Globalization.CultureInfo.InvariantCulture,
                    $"set k{round++ % 5000} 0 0 {length}\r\n{value[..length]}\r\nget k{random.Next(6000)} {(i % 3 == 0 ? EvilKey : "hot")}\r\n");
            }

            await server.SendAsync(commands.ToString());
        }
    }
}
