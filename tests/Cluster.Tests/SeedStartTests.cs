using System.Globalization;
using OrleansCache.Conformance;

namespace OrleansCache.Cluster.Tests;

/// <summary>Starts of silos that keep their membership themselves: mistakes, and what has not come up yet.</summary>
public sealed class SeedStartTests : IDisposable
{
    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(60);
    private readonly string _folder = Directory.CreateTempSubdirectory("orleanscache-test-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [ClusterFact]
    public async Task ADirectoryThatCannotBeUsedIsSaidInOneLine()
    {
        string file = Path.Combine(_folder, "file");
        await File.WriteAllTextAsync(file, "");
        (int exitCode, string printed, _) = await RunAsync("--silo-port", Port(), "--data-dir", Path.Combine(file, "below"));
        Assert.True(exitCode == 71, $"{exitCode}: {printed}");
        Assert.Contains(file, printed, StringComparison.Ordinal);
        Assert.Single(printed.TrimEnd().Split('\n'));
    }

    [ClusterFact]
    public async Task ADirectoryIsOneSilosAndOneClusters()
    {
        await using (ServerProcess silo = await ServerProcess.StartAsync("--silo-port", Port(), "--data-dir", _folder))
        {
            (int exitCode, string printed, _) = await RunAsync("--silo-port", Port(), "--data-dir", _folder);
            Assert.True(exitCode == 71, $"{exitCode}: {printed}");
            Assert.Contains(_folder, printed, StringComparison.Ordinal);
            silo.KillOnDispose = true;
        }

        (int another, string said, _) = await RunAsync("--silo-port", Port(), "--data-dir", _folder, "--cluster-id", "another");
        Assert.True(another == 69, $"{another}: {said}");
        Assert.Contains("--cluster-id", said, StringComparison.Ordinal);
        Assert.Contains(_folder, said, StringComparison.Ordinal);
        Assert.Single(said.TrimEnd().Split('\n'));
    }

    [ClusterTheory]
    [InlineData("127.0.0.1:11111,127.0.0.1")]
    [InlineData("127.0.0.1:11111,,127.0.0.1:11112")]
    [InlineData("127.0.0.1:70000")]
    [InlineData("127.0.0.1:64000")]
    public async Task ATypingErrorInTheListIsRefusedAtOnce(string list)
    {
        (int exitCode, string printed, _) = await RunAsync("--silo-port", Port(), "--join", list, "--data-dir", "none");
        Assert.True(exitCode == 64, $"{exitCode}: {printed}");
    }

    [ClusterFact]
    public async Task ANameThatStandsForNothingIsWaitedForAndNamed()
    {
        (int exitCode, string printed, _) = await RunAsync(
            "--silo-port", Port(), "--join", "no-such-host.invalid:11111", "--join-timeout", "3", "--data-dir", "none");
        Assert.True(exitCode == 69, $"{exitCode}: {printed}");
        Assert.Contains("no-such-host.invalid:11111", printed, StringComparison.Ordinal);
    }

    [ClusterFact]
    public async Task TheFirstOfTheListFoundsWithoutTheOthers()
    {
        string port = Port();
        await using ServerProcess silo = await ServerProcess.StartAsync(
            "--silo-port", port, "--join", $"127.0.0.1:{port},127.0.0.1:{Port()},no-such-host.invalid:11111", "--data-dir", _folder);
        using RawClient client = silo.Connect();
        Assert.Equal("1", (await client.StatsAsync("seeds"))["seeds"]);
        silo.KillOnDispose = true;
    }

    [ClusterFact(IsLong = true)]
    public async Task ASeedOfThreeAloneWaitsAndSaysForWhom()
    {
        await using SiloCluster cluster = await SiloCluster.StartAsync(3);
        await SeedTests.WaitForSeedsAsync(cluster, 3, 3);
        ServerProcess[] silos = [.. cluster.Silos];
        int[] siloPorts = [.. silos.Select(cluster.SiloPortOf)];
        await Task.WhenAll(silos.Select(cluster.KillSiloAsync));
        ServerProcess alone = cluster.Restart(silos[0]);
        await Wait.UntilAsync(
            () => alone.Output.Contains("waits for a majority", StringComparison.Ordinal)
                && siloPorts[1..].All(port => alone.Output.Contains(Text(port + 2000), StringComparison.Ordinal)),
            () => alone.Output);
        Assert.False(alone.HasExited, alone.Output);
        await SiloCluster.WaitUntilServingAsync(cluster.Restart(silos[2]));
        await SiloCluster.WaitUntilServingAsync(alone);
        await SeedTests.WaitForSeedsAsync(cluster, 2, 3);
    }

    private static string Port() => Text(TestPorts.Next(2));

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);

    private static Task<(int ExitCode, string Printed, TimeSpan Took)> RunAsync(params string[] options) =>
        ChildProcess.RunAsync(ServerUnderTest.OrleansCacheCommand(["serve", "-p", Text(TestPorts.Next()), .. options]), s_timeout);
}
