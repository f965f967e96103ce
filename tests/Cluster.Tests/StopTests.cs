using System.Diagnostics;
using OrleansCache.Conformance;

namespace OrleansCache.Cluster.Tests;

/// <summary>Stops end within 10 s whatever is gone, and a second signal ends at once.</summary>
public sealed class StopTests
{
    /// <summary>Twice what is promised: tests run beside each other, and a silo that gets no processor stops no sooner.</summary>
    private static readonly TimeSpan s_stopMax = TimeSpan.FromSeconds(20);

    [ClusterFact(IsLong = true)]
    public async Task WithTheFirstSiloGoneTheOthersStopInTime()
    {
        await using SiloCluster cluster = await SiloCluster.StartAsync(3);
        await cluster.KillSiloAsync(cluster.Silos[0]);
        await AssertStopsInTimeAsync(cluster, cluster.Silos[0]);
        await AssertStopsInTimeAsync(cluster, cluster.Silos[0]);
    }

    [PostgresFact(IsLong = true)]
    public async Task WithTheMembershipStoreGoneAllStopInTime()
    {
        await using PostgresServer postgres = await PostgresServer.StartAsync();
        await using SiloCluster cluster = await SiloCluster.StartAsync(2, postgres, "--drain-timeout", "4");
        await postgres.StopAsync();
        await AssertStopsInTimeAsync(cluster, cluster.Silos[0]);
        await AssertStopsInTimeAsync(cluster, cluster.Silos[0]);
    }

    [ClusterFact]
    public async Task AllToldToStopAtOnceDoNotWaitForEachOther()
    {
        await using SiloCluster cluster = await SiloCluster.StartAsync(3);
        await cluster.WaitUntilWholeAsync();
        var watch = Stopwatch.StartNew();
        await Task.WhenAll(cluster.Silos.ToArray().Select(cluster.StopSiloAsync));
        Assert.True(watch.Elapsed < s_stopMax, $"The stop took {watch.Elapsed.TotalSeconds:f1} s.\n{cluster.Output}");
    }

    [ClusterFact]
    public async Task ASecondSignalEndsAtOnce()
    {
        await using SiloCluster cluster = await SiloCluster.StartAsync(2);
        ServerProcess frozen = cluster.Silos[0];
        ServerProcess stopping = cluster.Silos[1];
        frozen.Freeze();
        try
        {
            // Nobody takes its partitions over, so the stop takes some seconds.
            Task<int> exit = stopping.TerminateAsync(TimeSpan.FromSeconds(30));
            await WaitUntilRefusedAsync(stopping);
            Assert.False(exit.IsCompleted);
            var watch = Stopwatch.StartNew();
            _ = stopping.TerminateAsync(TimeSpan.FromSeconds(30));
            Assert.Equal(130, await exit);
            Assert.True(watch.Elapsed < TimeSpan.FromSeconds(3), $"{watch.Elapsed}\n{cluster.Output}");
        }
        finally
        {
            frozen.Thaw();
        }
    }

    private static async Task AssertStopsInTimeAsync(SiloCluster cluster, ServerProcess silo)
    {
        var watch = Stopwatch.StartNew();
        await cluster.StopSiloAsync(silo);
        Assert.True(watch.Elapsed < s_stopMax, $"The stop took {watch.Elapsed.TotalSeconds:f1} s.\n{cluster.Output}");
    }

    /// <summary>A stop has begun when the gateway takes no connections any more.</summary>
    private static async Task WaitUntilRefusedAsync(ServerProcess server)
    {
        while (true)
        {
            try
            {
                using RawClient client = server.Connect();
            }
            catch (System.Net.Sockets.SocketException)
            {
                return;
            }

            await Task.Delay(10);
        }
    }
}
