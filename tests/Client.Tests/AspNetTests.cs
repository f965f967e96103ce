using System.Globalization;
using System.Net;
using OrleansCache.Conformance;

namespace OrleansCache.Client.Tests;

/// <summary>Two instances of examples/aspnet on one cache, driven as a browser would.</summary>
public sealed class AspNetTests : IAsyncLifetime
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(60);

    private readonly List<ChildProcess> _applications = [];
    private readonly List<HttpClient> _browsers = [];
    private readonly CookieContainer _cookies = new();
    private ServerProcess? _server;

    private HttpClient First => _browsers[0];

    private HttpClient Second => _browsers[1];

    public async Task InitializeAsync()
    {
        _server = await ServerProcess.StartAsync(ServerKind.OrleansCache);
        foreach (Task<HttpClient> started in (Task<HttpClient>[])[StartAsync(), StartAsync()])
            _browsers.Add(await started);
    }

    public async Task DisposeAsync()
    {
        foreach (HttpClient browser in _browsers)
            browser.Dispose();
        foreach (ChildProcess application in _applications)
        {
            application.Kill();
            await application.WaitForExitAsync(s_patience);
            application.Dispose();
        }

        if (_server is not null)
            await _server.DisposeAsync();
    }

    [Fact]
    public async Task InstancesShareSessionsPricesAndPages()
    {
        // Sessions: cookies do not know ports, so the second instance gets the first one's.
        Assert.Equal("1", await First.GetStringAsync("/visits"));
        Assert.Equal("2", await First.GetStringAsync("/visits"));
        Assert.Equal("3", await Second.GetStringAsync("/visits"));

        // HybridCache.
        Assert.Equal("tea: 9.99 (computed 1 times here)", await First.GetStringAsync("/price/tea"));
        Assert.Equal("tea: 9.99 (computed 1 times here)", await Second.GetStringAsync("/price/tea"));
        Assert.Equal("coffee: 18.99 (computed 1 times here)", await Second.GetStringAsync("/price/coffee"));
        (await First.PostAsync("/price/change", null)).EnsureSuccessStatusCode();
        Assert.Equal("tea: 9.99 (computed 2 times here)", await First.GetStringAsync("/price/tea"));

        // Output caching.
        Assert.Equal("rendered 1 times here", await First.GetStringAsync("/page"));
        Assert.Equal("rendered 1 times here", await First.GetStringAsync("/page"));
        Assert.Equal("rendered 1 times here", await Second.GetStringAsync("/page"));
        (await Second.PostAsync("/page/change", null)).EnsureSuccessStatusCode();
        Assert.Equal("rendered 2 times here", await First.GetStringAsync("/page"));
        Assert.Equal("rendered 2 times here", await Second.GetStringAsync("/page"));
    }

    [Fact]
    public async Task PagesAreRenderedWhileTheCacheIsAway()
    {
        Assert.Equal("rendered 1 times here", await First.GetStringAsync("/page"));
        await _server!.KillAsync();
        Assert.Equal("rendered 2 times here", await First.GetStringAsync("/page"));
        Assert.Equal("tea: 9.99 (computed 1 times here)", await First.GetStringAsync("/price/tea"));
    }

    private async Task<HttpClient> StartAsync()
    {
        int port = TestPorts.Next();
        string folder = Path.Combine(AppContext.BaseDirectory, "..", "..", "OrleansCache.Examples.AspNet", new DirectoryInfo(AppContext.BaseDirectory).Name);
        ChildProcess application = ChildProcess.Start(
            ["dotnet", Path.GetFullPath(Path.Combine(folder, "OrleansCache.Examples.AspNet.dll")),
             "--urls", string.Create(CultureInfo.InvariantCulture, $"http://127.0.0.1:{port}"),
             string.Create(CultureInfo.InvariantCulture, $"--OrleansCache:EndPoints:0=127.0.0.1:{_server!.Port}")]);
        lock (_applications)
            _applications.Add(application);
        var browser = new HttpClient(new HttpClientHandler { CookieContainer = _cookies })
        {
            BaseAddress = new Uri(string.Create(CultureInfo.InvariantCulture, $"http://127.0.0.1:{port}")),
            Timeout = s_patience,
        };
        using var limit = new CancellationTokenSource(s_patience);
        while (true)
        {
            try
            {
                await browser.GetStringAsync("/none", limit.Token);
            }
            catch (HttpRequestException exception) when (exception.StatusCode == HttpStatusCode.NotFound)
            {
                return browser;
            }
            catch (HttpRequestException) when (!application.HasExited)
            {
                // Nobody tells when a port opens: ask again shortly.
                await Task.Delay(20, limit.Token);
            }
        }
    }
}
