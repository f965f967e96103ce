using System.Globalization;
using OrleansCache.Conformance;

namespace OrleansCache.Cluster.Tests;

/// <summary>
/// Silos are lost, frozen and restarted while a checker writes and reads: with replicas nothing that was acknowledged is lost, and nothing is read that is
/// older than what was acknowledged. One fault each; ORLEANSCACHE_TEST_FAULTS=N for N in a row. `./orleanscache chaos` does them at random, for as long as
/// one likes.
/// </summary>
public sealed class FaultTests
{
    private static int Rounds { get; } =
        int.TryParse(Environment.GetEnvironmentVariable("ORLEANSCACHE_TEST_FAULTS"), NumberStyles.None, CultureInfo.InvariantCulture, out int rounds)
            ? rounds : 1;

    /// <summary>Through the gateways of the others, and through one that stands alone.</summary>
    [ClusterFact]
    public async Task AKilledSiloLosesNothing()
    {
        await using SiloCluster cluster = await SiloCluster.StartAsync(3);
        ServerProcess alone = await cluster.AddGatewayAsync();
        await using Checker checker = await Checker.StartAsync(cluster);
        checker.Use(alone);
        for (int round = 0; round < Rounds; round++)
        {
            ServerProcess killed = cluster.Silos[^1];
            await KillAsync(cluster, checker, killed);
            await ReturnAsync(cluster, checker, killed);
        }

        await AssertNothingAcknowledgedIsLostAsync(cluster, checker);
        Assert.Equal(0, await checker.MissingConstantItemsAsync(alone));
    }

    /// <summary>The oldest silo coordinates: moves, elections and replicas go on with the next one.</summary>
    [PostgresFact(IsLong = true)]
    public async Task TheCoordinatorIsKilledAndNothingIsLost()
    {
        await using PostgresServer postgres = await PostgresServer.StartAsync();
        await using SiloCluster cluster = await SiloCluster.StartAsync(3, postgres);
        await using Checker checker = await Checker.StartAsync(cluster);
        for (int round = 0; round < Rounds; round++)
        {
            await KillAsync(cluster, checker, cluster.Silos[0]);
            checker.Use(await cluster.AddSiloAsync());
        }

        await AssertNothingAcknowledgedIsLostAsync(cluster, checker);
    }

    [PostgresFact(IsLong = true)]
    public async Task WithTwoReplicasTwoSilosAreKilledAtOnceAndNothingIsLost()
    {
        await using PostgresServer postgres = await PostgresServer.StartAsync();
        await using SiloCluster cluster = await SiloCluster.StartAsync(4, postgres, "--replicas", "2");
        await using Checker checker = await Checker.StartAsync(cluster);
        for (int round = 0; round < Rounds; round++)
        {
            await KillAsync(cluster, checker, 2, cluster.Silos[0], cluster.Silos[2]);
            checker.Use(await cluster.AddSiloAsync());
            checker.Use(await cluster.AddSiloAsync());
        }

        await AssertNothingAcknowledgedIsLostAsync(cluster, checker);
    }

    [PostgresFact(IsLong = true)]
    public async Task AllSilosAreRestartedOneAfterTheOtherWithoutMissOrError()
    {
        await using PostgresServer postgres = await PostgresServer.StartAsync();
        await using SiloCluster cluster = await SiloCluster.StartAsync(3, postgres);
        await using Checker checker = await Checker.StartAsync(cluster);
        for (int restart = 0; restart < 3 * Rounds; restart++)
        {
            // As docs/production.md tells operators.
            await cluster.WaitUntilWholeAsync();
            ServerProcess next = cluster.Silos[0];
            checker.Leave(next);
            await cluster.StopSiloAsync(next);
            checker.Use(await cluster.AddSiloAsync());
            await checker.RunAsync(500);
        }

        await MembershipTests.AssertNothingLostAsync(cluster, checker);
    }

    [ClusterFact(IsLong = true)]
    public async Task ASiloFrozenForAMomentAndThenUntilOthersGoOnWithoutItLosesNothing()
    {
        await using SiloCluster cluster = await SiloCluster.StartAsync(3);
        await using Checker checker = await Checker.StartAsync(cluster);
        for (int round = 0; round < Rounds; round++)
        {
            await cluster.WaitUntilWholeAsync();
            await checker.RunAsync(500);
            ServerProcess frozen = cluster.Silos[1];
            frozen.Freeze();
            await Task.Delay(500);
            frozen.Thaw();
            await checker.RunAsync(500);

            await cluster.WaitUntilWholeAsync();
            frozen = cluster.Silos[^1];
            cluster.Forget(frozen);
            checker.Leave(frozen);
            frozen.Freeze();
            try
            {
                await cluster.WaitUntilWholeAsync(withSeeds: false);
            }
            finally
            {
                frozen.Thaw();
            }

            Assert.Equal(ExitEvicted, await frozen.WaitForExitAsync(TimeSpan.FromSeconds(60)));
            await ReturnAsync(cluster, checker, frozen);
        }

        await AssertNothingAcknowledgedIsLostAsync(cluster, checker);
    }

    /// <summary>EX_TEMPFAIL, see docs/options.md.</summary>
    private const int ExitEvicted = 75;

    private static Task KillAsync(SiloCluster cluster, Checker checker, ServerProcess victim) => KillAsync(cluster, checker, 1, victim);

    /// <summary>kill -9, once every partition has its replicas; waits until the others have made new ones.</summary>
    private static async Task KillAsync(SiloCluster cluster, Checker checker, int replicas, params ServerProcess[] victims)
    {
        await cluster.WaitUntilWholeAsync(replicas);
        await checker.RunAsync(500);
        foreach (ServerProcess victim in victims)
            checker.Leave(victim);
        await Task.WhenAll(victims.Select(cluster.KillSiloAsync));
        await cluster.WaitUntilWholeAsync(replicas, withSeeds: false);
        await checker.RunAsync(500);
    }

    /// <summary>Started again in its place, as a service manager does.</summary>
    private static async Task ReturnAsync(SiloCluster cluster, Checker checker, ServerProcess ended)
    {
        ServerProcess back = cluster.Restart(ended);
        await SiloCluster.WaitUntilServingAsync(back);
        checker.Use(back);
    }

    /// <summary>Errors there may be: a request that was on its way to the silo concerned has an unknown outcome.</summary>
    private static async Task AssertNothingAcknowledgedIsLostAsync(SiloCluster cluster, Checker checker)
    {
        await checker.StopAsync();
        Assert.True(checker is { Lost: 0, Wrong: 0 }, checker.Report);
        foreach (ServerProcess gateway in cluster.Silos)
        {
            int missing = await checker.MissingConstantItemsAsync(gateway);
            Assert.True(missing == 0 && checker.Wrong == 0, $"{missing} of {Checker.ConstantCount} constant items are gone. {checker.Report}");
        }
    }
}
