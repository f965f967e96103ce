using System.Diagnostics;
using OrleansCache.Conformance;

namespace OrleansCache.Cluster.Tests;

/// <summary>
/// A cluster is upgraded silo by silo to another version of the contract between silos, and back (docs/cluster.md#upgrading). A silo refuses what is newer than
/// it speaks, so a write that is replicated in the wrong version would never be answered.
/// </summary>
public sealed class WireVersionTests
{
    private static readonly TimeSpan s_agreeTimeout = TimeSpan.FromSeconds(30);

    [ClusterFact(IsLong = true)]
    public async Task SilosAreRestartedOneAfterTheOtherIntoTheNextWireVersionWithoutMissOrError()
    {
        await using SiloCluster cluster = SiloCluster.Create();
        await cluster.AddSiloAsync("--wire-version", "1");
        await Task.WhenAll(cluster.AddSiloAsync("--wire-version", "1"), cluster.AddSiloAsync("--wire-version", "1"));
        await SeedTests.WaitForSeedsAsync(cluster, silos: 3, seeds: 3);
        ServerProcess alone = await cluster.AddGatewayAsync();
        await using Checker checker = await Checker.StartAsync(cluster);
        await AssertAgreedAsync(cluster, alone, agreed: "1", least: "1");
        for (int restart = 1; restart <= 3; restart++)
        {
            await RestartAsync(cluster, checker);
            await AssertAgreedAsync(cluster, alone, restart < 3 ? "1" : "2", restart < 3 ? "1" : "2");
        }

        // The two that were there say so, a moment after their statistics, and the last one if it heard of the former version first.
        const string Rise = " silos; they write wire version 2 to each other from now on";
        await Wait.UntilAsync(() => CountOf(Rise, cluster.Output) >= 2, () => cluster.Output);
        Assert.InRange(CountOf(Rise, cluster.Output), 2, 3);

        // The first silo that speaks less takes the cluster back.
        await RestartAsync(cluster, checker, "--wire-version", "1");
        await AssertAgreedAsync(cluster, alone, agreed: "1", least: "1");
        await MembershipTests.AssertNothingLostAsync(cluster, checker);
        Assert.Equal(0, await checker.MissingConstantItemsAsync(alone));
    }

    [ClusterFact]
    public async Task AVersionThatNobodyKnowsIsRefused()
    {
        await using SiloCluster cluster = SiloCluster.Create();
        (int exitCode, string printed, _) = await cluster.StartRefusedSiloAsync("--wire-version", "3");
        Assert.Equal(64, exitCode);
        Assert.Contains("This version speaks the wire versions 1 to 2 (--wire-version), not 3", printed, StringComparison.Ordinal);
    }

    /// <summary>As docs/production.md tells operators.</summary>
    private static async Task RestartAsync(SiloCluster cluster, Checker checker, params string[] options)
    {
        await cluster.WaitUntilWholeAsync();
        ServerProcess next = cluster.Silos[0];
        checker.Leave(next);
        await cluster.StopSiloAsync(next);
        checker.Use(await cluster.AddSiloAsync(options));
        await cluster.WaitUntilWholeAsync();
        await checker.RunAsync(500);
    }

    private static async Task AssertAgreedAsync(SiloCluster cluster, ServerProcess alone, string agreed, string least)
    {
        var watch = Stopwatch.StartNew();
        foreach (ServerProcess gateway in (ServerProcess[])[.. cluster.Silos, alone])
        {
            using RawClient client = gateway.Connect();
            while (true)
            {
                Dictionary<string, string> all = await client.StatsAsync("cluster");
                if ((all["wire_version"], all["wire_speaks"]) == (agreed, least))
                    break;
                string found = $"wire version {all["wire_version"]} of {all["wire_speaks"]}, not {agreed} of {least}";
                Assert.True(watch.Elapsed < s_agreeTimeout, $"{found}\n{cluster.Output}");
                await Task.Delay(50);
            }
        }
    }

    private static int CountOf(string line, string text) => text.Split(line).Length - 1;
}
