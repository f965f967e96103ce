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

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
}
