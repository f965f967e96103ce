using System.Diagnostics;
using System.Globalization;
using OrleansCache.Conformance;
using Xunit.Abstractions;

namespace OrleansCache.Cluster.Tests;

/// <summary>
/// Silos that keep their membership themselves: no silo is special, the first one neither. <c>ORLEANSCACHE_TEST_KILLS=20</c> kills as often; figures are
/// printed.
/// </summary>
public sealed class SeedTests(ITestOutputHelper output)
{
    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(90);

    private static int Kills { get; } =
        int.TryParse(Environment.GetEnvironmentVariable("ORLEANSCACHE_TEST_KILLS"), NumberStyles.None, CultureInfo.InvariantCulture, out int kills) ? kills : 2;

    [ClusterTheory(IsLong = true)]
    [InlineData(true)]
    [InlineData(false)]
    public async Task TheOldestSiloIsKilledUnderLoadTheOthersGoOnAndItComesBack(bool keepsData)
    {
        await using SiloCluster cluster = await SiloCluster.StartAsync(3);
        await WaitForSeedsAsync(cluster, 3, 3);
        await using Checker checker = await Checker.StartAsync(cluster);
        List<double> silent = [], joined = [], returned = [];
        for (int round = 0; round < Kills; round++)
        {
            await cluster.WaitUntilWholeAsync();
            await checker.RunAsync(500);

            // The first one founded the cluster and coordinates it; later the one that has been there for longest does.
            ServerProcess oldest = cluster.Silos[0];
            KeyWatch watch = await KeyWatch.StartAsync(cluster.Silos[1]);
            checker.Leave(oldest);
            await cluster.KillSiloAsync(oldest);
            var clock = Stopwatch.StartNew();
            ServerProcess fourth = await cluster.AddSiloAsync();
            joined.Add(clock.Elapsed.TotalSeconds);
            await watch.DisposeAsync();
            silent.Add(watch.LongestGap);
            Assert.Empty(watch.Complaints);

            clock.Restart();
            ServerProcess back = cluster.Restart(oldest, keepsData);
            await SiloCluster.WaitUntilServingAsync(back);
            returned.Add(clock.Elapsed.TotalSeconds);
            await WaitForSeedsAsync(cluster, 4, 3);
            checker.Use(back);
            await cluster.StopSiloAsync(fourth);
            await WaitForSeedsAsync(cluster, 3, 3);
            output.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"round {round}: all keys answered again after {silent[^1]:f0} ms at most, a fourth joined after {joined[^1]:f1} s, the killed one came back "
                + $"in {returned[^1]:f1} s"));
        }

        output.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"of {Kills}, median and most: all keys answered again after {Median(silent):f0} and {silent.Max():f0} ms, a fourth joined after "
            + $"{Median(joined):f1} and {joined.Max():f1} s, the killed one was back after {Median(returned):f1} and {returned.Max():f1} s"));
        await checker.StopAsync();
        Assert.True(checker.Wrong == 0, checker.Report);
    }

    [ClusterTheory(IsLong = true)]
    [InlineData(true)]
    [InlineData(false)]
    public async Task AllAreKilledAndStartedInAnyOrderAndAreOneClusterAgain(bool sameList)
    {
        int seed = TestSeed.Next();
        Random random = new(seed);
        await using SiloCluster cluster = SiloCluster.Create();
        int[] siloPorts = [.. Enumerable.Range(0, 3).Select(_ => TestPorts.Next(adjacent: 2))];
        string list = string.Join(',', siloPorts.Select(port => $"127.0.0.1:{Text(port)}"));
        ServerProcess[] silos = [.. siloPorts.Select((port, number) => cluster.StartSilo(
            TestPorts.Next(), port, number > 0 || sameList ? ["--join", sameList ? list : $"127.0.0.1:{Text(siloPorts[0])}"] : []))];
        await Task.WhenAll(silos.Select(SiloCluster.WaitUntilServingAsync));
        await WaitForSeedsAsync(cluster, 3, 3);
        for (int round = 0; round < Kills; round++)
        {
            await Task.WhenAll(silos.Select(cluster.KillSiloAsync));
            random.Shuffle(silos);
            var clock = Stopwatch.StartNew();
            for (int i = 0; i < silos.Length; i++)
            {
                silos[i] = cluster.Restart(silos[i]);
                await Task.Delay(random.Next(600));
            }

            await Task.WhenAll(silos.Select(SiloCluster.WaitUntilServingAsync));
            await WaitForSeedsAsync(cluster, 3, 3);
            output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"round {round}, seed {seed}: one cluster after {clock.Elapsed.TotalSeconds:f1} s"));
        }
    }

    [ClusterFact(IsLong = true)]
    public async Task TwoAreLostOneSaysSoAndOneThatComesBackIsEnough()
    {
        await using SiloCluster cluster = await SiloCluster.StartAsync(3);
        await WaitForSeedsAsync(cluster, 3, 3);
        ServerProcess first = cluster.Silos[0], second = cluster.Silos[1], third = cluster.Silos[2];
        await Task.WhenAll(cluster.KillSiloAsync(first), cluster.KillSiloAsync(second));
        await Wait.UntilAsync(() => third.Output.Contains("The membership cannot be read", StringComparison.Ordinal), () => third.Output);
        (int exitCode, string printed, _) = await SeedsAsync(third, "list");
        Assert.True(exitCode == 2 && printed.Contains("no majority", StringComparison.Ordinal), $"{exitCode}: {printed}");

        // It cannot know whether the others have gone on without it.
        await Wait.UntilAsync(() => third.Output.Contains("No coordinator has been heard of", StringComparison.Ordinal), () => third.Output);
        ServerProcess back = cluster.Restart(second);
        await SiloCluster.WaitUntilServingAsync(back);
        await WaitForSeedsAsync(cluster, 2, 3);
        await Wait.UntilAsync(() => third.Output.Contains("can be read again", StringComparison.Ordinal), () => third.Output);
        using RawClient client = third.Connect();
        for (int key = 0; key < 20; key++)
            Assert.Equal("STORED", await client.SetAsync($"key{key}", "value"));
    }

    [ClusterFact(IsLong = true)]
    public async Task AFrozenSeedHoldsNobodyUpAndLeavesWhenItWakes()
    {
        await using SiloCluster cluster = await SiloCluster.StartAsync(3);
        await WaitForSeedsAsync(cluster, 3, 3);
        ServerProcess frozen = cluster.Silos[0];
        frozen.Freeze();
        try
        {
            cluster.Forget(frozen);
            await cluster.AddSiloAsync();
            await WaitForSeedsAsync(cluster, 3, 3);
        }
        finally
        {
            frozen.Thaw();
        }

        Assert.Equal(75, await frozen.WaitForExitAsync(s_timeout));
        await SiloCluster.WaitUntilServingAsync(cluster.Restart(frozen));
        await WaitForSeedsAsync(cluster, 4, 3);
    }

    [ClusterFact(IsLong = true)]
    public async Task SilosThatAreStoppedHandTheirVotesOverAndLeaveNoFileBehind()
    {
        await using SiloCluster cluster = await SiloCluster.StartAsync(3);
        await WaitForSeedsAsync(cluster, 3, 3);
        int[] siloPorts = [.. cluster.Silos.Select(cluster.SiloPortOf)];
        ServerProcess first = cluster.Silos[0];
        await cluster.StopSiloAsync(first);
        await WaitForSeedsAsync(cluster, 2, 1);
        await cluster.StopSiloAsync(cluster.Silos[0]);
        await WaitForSeedsAsync(cluster, 1, 1);
        await cluster.StopSiloAsync(cluster.Silos[0]);
        foreach (int port in siloPorts)
            Assert.False(File.Exists(Path.Combine(cluster.DataDirectory(port), "seed")), cluster.Output);

        // The first one finds nobody, and founds another cluster.
        await SiloCluster.WaitUntilServingAsync(cluster.Restart(first));
        await WaitForSeedsAsync(cluster, 1, 1);
    }

    [ClusterFact(IsLong = true)]
    public async Task AnOperatorTakesAVoteAwayAndGivesItBack()
    {
        await using SiloCluster cluster = await SiloCluster.StartAsync(3, null, "-A");
        await WaitForSeedsAsync(cluster, 3, 3);
        string removed = $"127.0.0.1:{Text(cluster.SiloPortOf(cluster.Silos[1]))}";
        (int exitCode, string printed, _) = await SeedsAsync(cluster.Silos[0], "remove", removed);
        Assert.True(exitCode == 0, printed);

        // Two seeds bear no more losses than one, so that the cluster gives up a further vote.
        await WaitForSeedsAsync(cluster, 3, 1);
        (_, printed, _) = await SeedsAsync(cluster.Silos[2], "list");
        Assert.True(printed.Contains("1 of 1 seeds are up", StringComparison.Ordinal), printed);
        Assert.True(printed.Contains("removed", StringComparison.Ordinal), printed);
        (exitCode, printed, _) = await SeedsAsync(cluster.Silos[1], "add", removed);
        Assert.True(exitCode == 0, printed);
        await WaitForSeedsAsync(cluster, 3, 3);
        (exitCode, printed, _) = await SeedsAsync(cluster.Silos[1], "add", "127.0.0.1:1");
        Assert.True(exitCode == 1 && printed.Contains("no active silo", StringComparison.Ordinal), printed);
        ServerProcess gateway = await cluster.AddGatewayAsync();
        (exitCode, printed, _) = await SeedsAsync(gateway, "list", "--json");
        Assert.True(exitCode == 0 && printed.Contains("\"seeds\": 3", StringComparison.Ordinal), printed);
    }

    /// <summary>So many silos, all in one cluster, and so many seeds of which all are up.</summary>
    internal static async Task WaitForSeedsAsync(SiloCluster cluster, int silos, int seeds)
    {
        var clock = Stopwatch.StartNew();
        while (true)
        {
            string said = "";
            bool agree = true;
            foreach (ServerProcess gateway in cluster.Silos.ToArray())
            {
                try
                {
                    using RawClient client = gateway.Connect();
                    Dictionary<string, string> all = await client.StatsAsync("cluster");
                    Dictionary<string, string> kept = await client.StatsAsync("seeds");
                    said += $"{all["silos"]} silos, {all["silos_answering"]} answer, {kept["seeds"]} seeds, {kept["seeds_up"]} up; ";
                    agree &= all["silos"] == Text(silos) && all["silos_answering"] == Text(silos) && kept["seeds"] == Text(seeds)
                        && (kept["seeds_up"] == Text(seeds) || silos < seeds);
                }
                catch (Exception exception) when (exception is RawClientException or System.Net.Sockets.SocketException or KeyNotFoundException)
                {
                    said += exception.Message.Split('\n')[0] + "; ";
                    agree = false;
                }
            }

            if (agree)
                return;
            Assert.True(clock.Elapsed < s_timeout, $"Not {silos} silos with {seeds} seeds after {s_timeout.TotalSeconds} s: {said}\n{cluster.Output}");
            await Task.Delay(100);
        }
    }

    private static Task<(int ExitCode, string Printed, TimeSpan Took)> SeedsAsync(ServerProcess server, params string[] arguments) =>
        ChildProcess.RunAsync(
            ServerUnderTest.OrleansCacheCommand(["seeds", "--server", $"127.0.0.1:{Text(server.Port)}", "--timeout", "30", .. arguments]), s_timeout);

    private static double Median(List<double> values)
    {
        double[] sorted = [.. values.Order()];
        return sorted[sorted.Length / 2];
    }

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
}
