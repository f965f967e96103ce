using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using OrleansCache.Conformance;

namespace OrleansCache.Cluster.Tests;

/// <summary>What an operator sees of a cluster and does to it: the lines that silos print, `status` and `drain`.</summary>
public sealed class OperatorTests
{
    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(60);

    [ClusterFact]
    public async Task ASiloIsDrainedAndNothingIsLost()
    {
        await using SiloCluster cluster = await SiloCluster.StartAsync(3, null, "-A");
        ServerProcess asked = cluster.Silos[0];
        ServerProcess drained = cluster.Silos[^1];

        // It has its share, so that each of the others gets a part of it.
        await Wait.UntilAsync(() => drained.Output.Contains("taken over in ", StringComparison.Ordinal), () => drained.Output);
        for (int i = 0; i < 5; i++)
            Assert.Equal(0, (await RunAsync("set", asked, $"key{i}", "value")).ExitCode);

        // Each has its share; while partitions move, silos also count by tables of different age.
        int exitCode = -1;
        string printed = "";
        bool isBalanced = false;
        for (int i = 0; i < 120 && !isBalanced; i++)
        {
            (_, printed, _) = await RunAsync("silos", asked, "--json");
            using JsonDocument shares = JsonDocument.Parse(printed);
            isBalanced = shares.RootElement.EnumerateArray().All(silo => silo.GetProperty("partitions").GetInt32() is 85 or 86);
        }

        (exitCode, printed, _) = await RunAsync("status", asked, "--silos", "3", "--json");
        Assert.True(exitCode == 0, printed);
        Assert.Contains("\"partitions_served\": 256", printed, StringComparison.Ordinal);

        (exitCode, printed, _) = await RunAsync("drain", asked, $"127.0.0.1:{Text(drained.Port)}");
        Assert.True(exitCode == 0, printed + cluster.Output);
        Assert.Contains("is empty after", printed, StringComparison.Ordinal);

        (_, printed, _) = await RunAsync("silos", drained, "--json");
        using JsonDocument silos = JsonDocument.Parse(printed);
        JsonElement empty = silos.RootElement.EnumerateArray().Single(silo => silo.GetProperty("state").GetString() == "draining");
        Assert.Equal(0, empty.GetProperty("partitions").GetInt32());
        Assert.Equal(256, silos.RootElement.EnumerateArray().Sum(silo => silo.GetProperty("partitions").GetInt32()));
        (exitCode, printed, _) = await RunAsync("get", drained, [.. Enumerable.Range(0, 5).Select(i => $"key{i}")]);
        Assert.True(exitCode == 0, printed);

        await cluster.StopSiloAsync(drained);
        Assert.Contains("handed over in ", drained.Output, StringComparison.Ordinal);
        Assert.Contains(" joined", asked.Output, StringComparison.Ordinal);

        // One line for all partitions, told when no more has come for a while.
        await Wait.UntilAsync(() => asked.Output.Contains("taken over in ", StringComparison.Ordinal), () => asked.Output);
    }

    [ClusterFact]
    public async Task MovesArePausedLimitedAndLetGoThroughAnySilo()
    {
        await using SiloCluster cluster = await SiloCluster.StartAsync(1, null, "-A", "--move-limit", "1g");
        ServerProcess first = cluster.Silos[0];
        for (int i = 0; i < 5; i++)
            Assert.Equal(0, (await RunAsync("set", first, $"key{i}", new string('v', 10_000))).ExitCode);
        using (JsonDocument before = await MovesAsync(first))
            Assert.Equal((1L << 30, false), (before.RootElement.GetProperty("limit_bytes_per_second").GetInt64(), IsPaused(before)));

        (int exitCode, string printed, _) = await RunAsync("moves", first, "pause");
        Assert.True(exitCode == 0, printed);
        ServerProcess second = await cluster.AddSiloAsync();

        // Its replicas are there, so it could have had partitions long ago.
        using RawClient client = second.Connect();
        await WaitForAsync(client, "cluster", "partitions_replicated 256");
        await WaitForAsync(client, "moves", "partitions_to_move 128");
        using (JsonDocument resting = await MovesAsync(second))
            Assert.True(IsPaused(resting), resting.RootElement.ToString());
        (_, printed, _) = await RunAsync("status", second);
        Assert.Contains("moves are paused, 128 partitions to move", printed, StringComparison.Ordinal);

        // What is said anywhere counts everywhere, and what makes no sense is refused.
        (exitCode, printed, _) = await RunAsync("moves", second, "limit", "512m");
        Assert.True(exitCode == 0, printed);
        ServerProcess gateway = await cluster.AddGatewayAsync();
        foreach (ServerProcess silo in (ServerProcess[])[.. cluster.Silos, gateway])
        {
            using JsonDocument moves = await MovesAsync(silo);
            Assert.Equal(512L << 20, moves.RootElement.GetProperty("limit_bytes_per_second").GetInt64());
        }

        (exitCode, printed, _) = await RunAsync("moves", second, "limit", "1k");
        Assert.True(exitCode == 1 && printed.Contains("the limit must be off, or 65536", StringComparison.Ordinal), printed);
        (exitCode, printed, _) = await RunAsync("moves", second, "abort", "256");
        Assert.True(exitCode == 1 && printed.Contains("there are partitions 0 to 255", StringComparison.Ordinal), printed);
        (exitCode, printed, _) = await RunAsync("moves", second, "abort", "all");
        Assert.True(exitCode == 0, printed);

        (exitCode, printed, _) = await RunAsync("moves", second, "resume");
        Assert.True(exitCode == 0, printed);
        Assert.Contains("An operator says: moves resume", first.Output, StringComparison.Ordinal);
        await WaitForAsync(client, "moves", "partitions_to_move 0");
        using (JsonDocument done = await MovesAsync(first))
            Assert.False(IsPaused(done));
        (_, printed, _) = await RunAsync("silos", second, "--json");
        using JsonDocument balanced = JsonDocument.Parse(printed);
        Assert.Equal([128, 128], balanced.RootElement.EnumerateArray().Select(static silo => silo.GetProperty("partitions").GetInt32()));
        (exitCode, printed, _) = await RunAsync("get", second, [.. Enumerable.Range(0, 5).Select(static i => $"key{i}")]);
        Assert.True(exitCode == 0, printed);
    }

    [ClusterFact]
    public async Task TheLastSiloIsNotDrained()
    {
        await using SiloCluster cluster = await SiloCluster.StartAsync(1, null, "-A");

        (int exitCode, string printed, _) = await RunAsync("drain", cluster.Silos[0], "127.0.0.1");

        Assert.Equal(1, exitCode);
        Assert.Contains("no other silo", printed, StringComparison.Ordinal);
    }

    private static Task<(int ExitCode, string Printed, TimeSpan Took)> RunAsync(string verb, ServerProcess server, params string[] arguments) =>
        ChildProcess.RunAsync(
        ServerUnderTest.OrleansCacheCommand([verb, "--server", $"127.0.0.1:{Text(server.Port)}", "--timeout", "30", .. arguments]), s_timeout);

    private static async Task<JsonDocument> MovesAsync(ServerProcess silo)
    {
        (int exitCode, string printed, _) = await RunAsync("moves", silo, "--json");
        Assert.True(exitCode == 0, printed);
        return JsonDocument.Parse(printed);
    }

    /// <summary>Asks until the line is there.</summary>
    private static async Task WaitForAsync(RawClient client, string statistics, string line)
    {
        var watch = Stopwatch.StartNew();
        IReadOnlyList<string> lines;
        do
        {
            lines = [.. (await client.StatsAsync(statistics)).Select(static value => $"{value.Key} {value.Value}")];
            Assert.True(watch.Elapsed < s_timeout, $"no {line} in stats {statistics}: {string.Join("; ", lines)}");
            await Task.Delay(50);
        }
        while (!lines.Contains(line));
    }

    private static bool IsPaused(JsonDocument moves) => moves.RootElement.GetProperty("paused").GetBoolean();

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
}
