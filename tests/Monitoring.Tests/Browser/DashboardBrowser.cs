using PuppeteerSharp;

namespace OrleansCache.Monitoring.Tests.Browser;

/// <summary>A headless Chromium, and pages of it that note every complaint: errors of scripts, and files that the page's own policy refuses.</summary>
internal sealed class DashboardBrowser : IAsyncDisposable
{
    private readonly IBrowser _browser;
    private readonly List<string> _complaints = [];

    private DashboardBrowser(IBrowser browser) => _browser = browser;

    /// <summary>Null: not installed.</summary>
    public static string? Path { get; } = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(System.IO.Path.PathSeparator)
        .Select(static folder => System.IO.Path.Combine(folder, "chromium")).FirstOrDefault(File.Exists);

    public IReadOnlyList<string> Complaints
    {
        get
        {
            lock (_complaints)
                return [.. _complaints];
        }
    }

    /// <summary>Bytes of all files of all pages as they came over the wire.</summary>
    public long BytesReceived { get; private set; }

    public static async Task<DashboardBrowser> StartAsync() => new(await Puppeteer.LaunchAsync(new LaunchOptions
    {
        ExecutablePath = Path!,
        Headless = true,
        Timeout = 120_000,
        Args = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
    }));

    /// <summary>Opens the dashboard as a window of this width sees it.</summary>
    public async Task<IPage> OpenAsync(string url, int width, bool dark)
    {
        IPage page = await _browser.NewPageAsync();
        page.DefaultTimeout = 120_000;
        page.Console += (_, e) => Note(e.Message.Type is ConsoleType.Error or ConsoleType.Warning ? e.Message.Text : null);
        page.PageError += (_, e) => Note(e.Message);
        page.Dialog += (_, e) => Note("dialog: " + e.Dialog.Message);
        page.Response += (_, e) =>
        {
            if (!e.Response.Url.Contains("/api/", StringComparison.Ordinal) && e.Response.Headers.TryGetValue("content-length", out string? length))
                BytesReceived += long.Parse(length, System.Globalization.CultureInfo.InvariantCulture);
        };
        await page.SetViewportAsync(new ViewPortOptions { Width = width, Height = 900 });
        await page.EmulateMediaFeaturesAsync([new MediaFeatureValue { MediaFeature = MediaFeature.PrefersColorScheme, Value = dark ? "dark" : "light" }]);
        await page.GoToAsync(url);
        await page.WaitForSelectorAsync("#silos");
        return page;
    }

    /// <summary>Into artifacts/screenshots, for people to look at.</summary>
    public static async Task ShootAsync(IPage page, string name)
    {
        string folder = System.IO.Path.Combine(Repository.Root, "artifacts", "screenshots");
        Directory.CreateDirectory(folder);
        await page.ScreenshotAsync(System.IO.Path.Combine(folder, name + ".png"), new ScreenshotOptions { FullPage = true });
    }

    public async ValueTask DisposeAsync() => await _browser.DisposeAsync();

    private void Note(string? complaint)
    {
        if (complaint is null)
            return;
        lock (_complaints)
            _complaints.Add(complaint);
    }
}

/// <summary>Needs Chromium (Debian: chromium).</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class ChromiumFactAttribute : FactAttribute
{
    public ChromiumFactAttribute()
    {
        if (DashboardBrowser.Path is null)
            Skip = "chromium is not installed";
    }
}
