using System.Diagnostics;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace OrleansCache.Monitoring.Tests;

/// <summary>The files of deploy/monitoring: each alert fires on what it is for, and whatever they name is there.</summary>
public sealed partial class RulesTests
{
    private static readonly string s_folder = Path.Combine(Repository.Root, "deploy", "monitoring");

    /// <summary>What Prometheus adds itself.</summary>
    private static readonly string[] s_prometheus = ["up"];

    [PromtoolFact]
    public async Task EveryAlertFiresOnWhatItIsForAndNoneOnAHealthyCluster() => await PromtoolAsync("test rules alerts-test.yml");

    [PromtoolFact]
    public async Task TheQueriesOfTheGrafanaDashboardAreValid()
    {
        var rules = new StringBuilder("groups:\n- name: dashboard\n  rules:\n");
        int number = 0;
        foreach (string query in GrafanaQueries())
        {
            string valid = query.Replace("$__rate_interval", "5m", StringComparison.Ordinal).Replace("$instance", ".*", StringComparison.Ordinal);
            rules.Append(System.Globalization.CultureInfo.InvariantCulture, $"  - record: query:{++number}\n    expr: {JsonSerializer.Serialize(valid)}\n");
        }

        string file = Path.GetTempFileName();
        try
        {
            await File.WriteAllTextAsync(file, rules.ToString());
            await PromtoolAsync($"check rules {file}");
        }
        finally
        {
            File.Delete(file);
        }
    }

    [Fact]
    public void EveryAlertHasATest()
    {
        string tests = File.ReadAllText(Path.Combine(s_folder, "alerts-test.yml"));
        string[] alerts = [.. Alert().Matches(File.ReadAllText(Path.Combine(s_folder, "alerts.yml"))).Select(static match => match.Groups[1].Value)];
        Assert.True(alerts.Length > 10);

        // Once where it fires, once where it is silent.
        Assert.All(alerts, alert => Assert.Equal(2, Regex.Count(tests, $"alertname: {alert}\\b")));
    }

    [Fact]
    public async Task EveryMetricThatRulesAndDashboardsNameIsThere()
    {
        await using MonitoredServer server = await MonitoredServer.StartAsync();
        await server.SendAsync("set a 0 0 3\r\nabc\r\nget a\r\n");
        string[] there = [.. (await server.Http.GetStringAsync("/metrics")).Split('\n')
            .Where(static line => line.StartsWith("# TYPE", StringComparison.Ordinal)).Select(static line => line.Split(' ')[2])];
        IEnumerable<string> rules = File.ReadAllLines(Path.Combine(s_folder, "alerts.yml"))
            .Where(static line => !line.Contains("summary:", StringComparison.Ordinal) && !line.Contains("description:", StringComparison.Ordinal)
                && !line.Contains("- name:", StringComparison.Ordinal) && !line.Contains('#', StringComparison.Ordinal));
        IEnumerable<string> named = rules.Concat(GrafanaQueries()).SelectMany(static text => Metric().Matches(text)).Select(static match => match.Value)
            .Select(static name => HistogramPart().Replace(name, "")).Distinct();

        Assert.Empty(named.Except(there).Except(s_prometheus).Except(["process_cpu_seconds", "orleanscache_command_duration_seconds"]));
    }

    private static IEnumerable<string> GrafanaQueries()
    {
        using JsonDocument dashboard = JsonDocument.Parse(File.ReadAllText(Path.Combine(s_folder, "grafana-dashboard.json")));
        return
        [
            .. dashboard.RootElement.GetProperty("panels").EnumerateArray().Where(static panel => panel.TryGetProperty("targets", out _))
                .SelectMany(static panel => panel.GetProperty("targets").EnumerateArray()).Select(static target => target.GetProperty("expr").GetString()!),
        ];
    }

    private static async Task PromtoolAsync(string arguments)
    {
        using var tool = Process.Start(new ProcessStartInfo("promtool", arguments) { WorkingDirectory = s_folder, RedirectStandardError = true,
            RedirectStandardOutput = true })!;
        Task<string> errors = tool.StandardError.ReadToEndAsync();
        string output = await tool.StandardOutput.ReadToEndAsync() + await errors;
        await tool.WaitForExitAsync();
        Assert.True(tool.ExitCode == 0, output);
    }

    [GeneratedRegex(@"alert: (\w+)")]
    private static partial Regex Alert();

    [GeneratedRegex(@"\b(?:orleanscache|process)_\w+")]
    private static partial Regex Metric();

    [GeneratedRegex("_(?:bucket|sum|count)$")]
    private static partial Regex HistogramPart();
}
