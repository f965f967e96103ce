using System.Diagnostics;
using System.Globalization;
using System.Net.Http.Headers;

namespace OrleansCache.Monitoring.Tests;

public sealed class MetricsTests
{
    /// <summary>The series of Prometheus's memcached_exporter, as its version 0.16 shows those of a memcached 1.6 without external storage and proxy.</summary>
    private static readonly string[] s_exporterNames =
    [
        "memcached_accepting_connections", "memcached_commands_total", "memcached_connections_listener_disabled_total", "memcached_connections_rejected_total",
        "memcached_connections_total", "memcached_connections_yielded_total", "memcached_current_bytes", "memcached_current_connections",
            "memcached_current_items",
        "memcached_direct_reclaims_total", "memcached_item_no_memory_total", "memcached_item_too_large_total", "memcached_items_evicted_total",
        "memcached_items_reclaimed_total", "memcached_items_total", "memcached_limit_bytes", "memcached_lru_crawler_enabled",
            "memcached_lru_crawler_hot_max_factor",
        "memcached_lru_crawler_hot_percent", "memcached_lru_crawler_items_checked_total", "memcached_lru_crawler_maintainer_thread",
        "memcached_lru_crawler_moves_to_cold_total", "memcached_lru_crawler_moves_to_warm_total", "memcached_lru_crawler_moves_within_lru_total",
        "memcached_lru_crawler_reclaimed_total", "memcached_lru_crawler_sleep", "memcached_lru_crawler_starts_total", "memcached_lru_crawler_to_crawl",
        "memcached_lru_crawler_warm_max_factor", "memcached_lru_crawler_warm_percent", "memcached_malloced_bytes", "memcached_max_connections",
        "memcached_process_system_cpu_seconds_total", "memcached_process_user_cpu_seconds_total", "memcached_read_bytes_total",
            "memcached_slab_chunk_size_bytes",
        "memcached_slab_chunks_free", "memcached_slab_chunks_free_end", "memcached_slab_chunks_per_page", "memcached_slab_chunks_used",
            "memcached_slab_cold_items",
        "memcached_slab_commands_total", "memcached_slab_current_chunks", "memcached_slab_current_items", "memcached_slab_current_pages",
            "memcached_slab_hot_age_seconds",
        "memcached_slab_hot_items", "memcached_slab_items_age_seconds", "memcached_slab_items_crawler_reclaimed_total",
            "memcached_slab_items_evicted_nonzero_total",
        "memcached_slab_items_evicted_time_seconds", "memcached_slab_items_evicted_total", "memcached_slab_items_evicted_unfetched_total",
        "memcached_slab_items_expired_unfetched_total", "memcached_slab_items_moves_to_cold", "memcached_slab_items_moves_to_warm",
        "memcached_slab_items_moves_within_lru", "memcached_slab_items_outofmemory_total", "memcached_slab_items_reclaimed_total",
        "memcached_slab_items_tailrepairs_total", "memcached_slab_lru_hits_total", "memcached_slab_mem_requested_bytes", "memcached_slab_temporary_items",
        "memcached_slab_warm_age_seconds", "memcached_slab_warm_items", "memcached_time_seconds", "memcached_up", "memcached_uptime_seconds",
            "memcached_version",
        "memcached_written_bytes_total",
    ];

    [Theory]
    [InlineData("text/plain")]
    [InlineData("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5")]
    public async Task EverySeriesOfMemcachedExporterIsThere(string accept)
    {
        await using MonitoredServer server = await MonitoredServer.StartAsync();

        // An earlier scrape must not hide what comes after it.
        await ScrapeAsync(server, accept);
        await server.SendAsync("set a 0 0 3\r\nabc\r\n");
        string[] names = [.. Samples(await ScrapeAsync(server, accept)).Keys.Select(static key => key.Split('{')[0]).Distinct()];

        Assert.Empty(s_exporterNames.Except(names));
        Assert.Empty(names.Where(static name => name.StartsWith("memcached_", StringComparison.Ordinal)).Except(s_exporterNames));
    }

    [Fact]
    public async Task CountsAreThoseOfTheCommands()
    {
        await using MonitoredServer server = await MonitoredServer.StartAsync();
        await server.SendAsync("set a 0 0 3\r\nabc\r\nset n 0 0 1\r\n5\r\nget a b\r\nget a\r\nincr n 1\r\ndelete a\r\ntouch x 0\r\n");
        Dictionary<string, double> samples = Samples(await ScrapeAsync(server, "text/plain"));

        Assert.Equal(2, samples["""memcached_commands_total{command="get",status="hit"}"""]);
        Assert.Equal(1, samples["""memcached_commands_total{command="get",status="miss"}"""]);
        Assert.Equal(2, samples["""memcached_commands_total{command="set",status="hit"}"""]);
        Assert.Equal(1, samples["""orleanscache_store_requests_total{command="incr",outcome="hit"}"""]);
        Assert.Equal(1, samples["""orleanscache_store_requests_total{command="touch",outcome="miss"}"""]);
        Assert.Equal(1, samples["""orleanscache_items_lost_total{cause="deleted"}"""]);
        Assert.Equal(1, samples["memcached_current_items"]);
        Assert.Equal(1, samples["orleanscache_items"]);
        Assert.Equal(1, samples["orleanscache_ready"]);
        Assert.Equal(256, samples["orleanscache_partitions"]);
    }

    [Fact]
    public async Task OpenMetricsEndsWithItsMark()
    {
        await using MonitoredServer server = await MonitoredServer.StartAsync();
        using var request = new HttpRequestMessage(HttpMethod.Get, "/metrics");
        request.Headers.Accept.Add(new MediaTypeWithQualityHeaderValue("application/openmetrics-text") { Parameters =
            { new NameValueHeaderValue("version", "1.0.0") } });
        using HttpResponseMessage response = await server.Http.SendAsync(request);
        string text = await response.Content.ReadAsStringAsync();

        Assert.Equal("application/openmetrics-text", response.Content.Headers.ContentType!.MediaType);
        Assert.EndsWith("\n# EOF\n", text, StringComparison.Ordinal);
        Assert.Contains("# TYPE memcached_commands counter\n", text, StringComparison.Ordinal);
        Assert.Contains("# TYPE memcached_uptime_seconds unknown\n", text, StringComparison.Ordinal);
    }

    /// <summary>Prometheus's own checker: the format, and no name twice.</summary>
    [PromtoolFact]
    public async Task PromtoolAcceptsTheText()
    {
        await using MonitoredServer server = await MonitoredServer.StartAsync();
        await server.SendAsync("set a 0 0 3\r\nabc\r\nget a b\r\n");
        using var check = Process.Start(new ProcessStartInfo("promtool", "check metrics") { RedirectStandardInput = true, RedirectStandardError = true,
            RedirectStandardOutput = true })!;
        await check.StandardInput.WriteAsync(await ScrapeAsync(server, "text/plain"));
        check.StandardInput.Close();
        string complaints = await check.StandardError.ReadToEndAsync() + await check.StandardOutput.ReadToEndAsync();
        await check.WaitForExitAsync();

        // The exporter's names break rules of style, and are the exporter's.
        string[] ours = [.. complaints.Split('\n', StringSplitOptions.RemoveEmptyEntries)
            .Where(static line => !line.StartsWith("memcached_", StringComparison.Ordinal))];
        Assert.True(ours.Length == 0, string.Join("\n", ours));
        Assert.NotEqual(1, check.ExitCode);
    }

    private static async Task<string> ScrapeAsync(MonitoredServer server, string accept)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, "/metrics");
        request.Headers.TryAddWithoutValidation("Accept", accept);
        using HttpResponseMessage response = await server.Http.SendAsync(request);
        response.EnsureSuccessStatusCode();
        return await response.Content.ReadAsStringAsync();
    }

    private static Dictionary<string, double> Samples(string text) =>
        text.Split('\n', StringSplitOptions.RemoveEmptyEntries).Where(static line => line[0] != '#')
            .ToDictionary(static line => line[..line.LastIndexOf(' ')], static line =>
                double.Parse(line[(line.LastIndexOf(' ') + 1)..], CultureInfo.InvariantCulture));
}

/// <summary>Needs promtool (Debian: prometheus).</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class PromtoolFactAttribute : FactAttribute
{
    public PromtoolFactAttribute()
    {
        bool isThere = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator)
            .Any(static folder => File.Exists(Path.Combine(folder, "promtool")));
        if (!isThere)
            Skip = "promtool is not installed (Debian: prometheus)";
    }
}
