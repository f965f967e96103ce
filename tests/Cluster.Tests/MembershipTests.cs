using System.Diagnostics;
using System.Globalization;
using OrleansCache.Conformance;

namespace OrleansCache.Cluster.Tests;

/// <summary>Silos come, leave and die while a checker writes and reads; each test has silos of its own.</summary>
public sealed class MembershipTests
{
    [ClusterFact]
    public async Task ASiloJoinsAndOneLeavesWithoutLossOrError()
    {
        await using SiloCluster cluster = await SiloCluster.StartAsync(3);
        await using Checker checker = await Checker.StartAsync(cluster);
        await checker.RunAsync(2000);

        ServerProcess fourth = await cluster.AddSiloAsync();
        checker.Use(fourth);
        await AssertBalancedAsync(cluster, checker);
        await checker.RunAsync(3000);

        ServerProcess leaving = cluster.Silos[1];
        checker.Leave(leaving);
        await cluster.StopSiloAsync(leaving);
        await checker.RunAsync(3000);

        await AssertNothingLostAsync(cluster, checker);
    }

    [ClusterFact(IsLong = true)]
    public async Task WithoutReplicasAKilledSiloLosesItsOwnItemsOnly()
    {
        await using SiloCluster cluster = await SiloCluster.StartAsync(3, null, "--replicas", "0");
        await using Checker checker = await Checker.StartAsync(cluster);
        await AssertBalancedAsync(cluster, checker);
        await checker.RunAsync(1000);
        Assert.True(checker is { Lost: 0, Wrong: 0, Errors: 0 }, checker.Report);

        ServerProcess killed = cluster.Silos[2];
        checker.Leave(killed);
        await cluster.KillSiloAsync(killed);
        TimeSpan recovered = await AnswersEverythingAsync(cluster, checker);

        int missing = await checker.MissingConstantItemsAsync(cluster.Silos[0]);
        Assert.Equal(missing, await checker.MissingConstantItemsAsync(cluster.Silos[1]));
        // A third of the partitions, hence about a third of the items, was the dead silo's.
        Assert.InRange((double)missing / Checker.ConstantCount, 0.15, 0.50);

        Assert.True(recovered < TimeSpan.FromSeconds(15), $"The last key that got no answer was asked for {recovered.TotalSeconds:f1} s after the loss. "
            + checker.Report);

        // From here on everything is as it was: no further loss, no error.
        (long lost, long errors) = (checker.Lost, checker.Errors);
        await checker.RunAsync(3000);
        await checker.StopAsync();
        Assert.True(checker.Lost == lost && checker.Errors == errors
            && checker.Wrong == 0, $"After the recovery with lost {lost}, errors {errors}: {checker.Report}");
        Assert.Equal(missing, await checker.MissingConstantItemsAsync(cluster.Silos[0]));
        await checker.WriteConstantItemsAsync();
        foreach (ServerProcess gateway in cluster.Silos)
            Assert.Equal(0, await checker.MissingConstantItemsAsync(gateway));
    }

    /// <summary>What every test that loses no silo must find at its end.</summary>
    internal static async Task AssertNothingLostAsync(SiloCluster cluster, Checker checker)
    {
        await checker.StopAsync();
        Assert.True(checker is { Lost: 0, Wrong: 0, Errors: 0 }, checker.Report);
        foreach (ServerProcess gateway in cluster.Silos)
        {
            int missing = await checker.MissingConstantItemsAsync(gateway);
            Assert.True(missing == 0 && checker.Wrong == 0, $"{missing} of {Checker.ConstantCount} constant items are gone. {checker.Report}");
        }
    }

    /// <summary>
    /// Waits until every silo holds its share of the items, which one that has joined can only have got by moves. `stats` counts the items of its own silo.
    /// </summary>
    internal static async Task AssertBalancedAsync(SiloCluster cluster, Checker checker)
    {
        var watch = Stopwatch.StartNew();
        while (true)
        {
            long[] items = await Task.WhenAll(cluster.Silos.Select(CurrentItemsAsync));
            // Partitions are shared out evenly; the items in them vary with the hash.
            if (items.Min() >= 0.6 * items.Average())
                return;
            Assert.True(watch.Elapsed < TimeSpan.FromSeconds(30), $"After 30 s the silos hold {string.Join(", ", items)} items. {checker.Report}");
            await Task.Delay(50);
        }
    }

    private static async Task<long> CurrentItemsAsync(ServerProcess silo)
    {
        using RawClient client = silo.Connect();
        return long.Parse((await client.StatsAsync())["curr_items"], CultureInfo.InvariantCulture);
    }

    /// <summary>
    /// Asks both gateways for all keys, again and again, until every one is answered, with a hit or a miss. Returns when the last one that got no answer was
    /// asked for.
    /// </summary>
    private static async Task<TimeSpan> AnswersEverythingAsync(SiloCluster cluster, Checker checker)
    {
        var watch = Stopwatch.StartNew();
        TimeSpan lastFailed = TimeSpan.Zero;
        foreach (ServerProcess gateway in cluster.Silos)
        {
            while (true)
            {
                TimeSpan asked = watch.Elapsed;
                try
                {
                    await checker.MissingConstantItemsAsync(gateway);
                    break;
                }
                catch (RawClientException exception)
                {
                    lastFailed = asked;
                    Assert.True(watch.Elapsed < TimeSpan.FromSeconds(45),
                        $"Not all keys are answered after 45 s: {exception.Message.Split('\n')[0]}. {checker.Report}");
                }
            }
        }
        return lastFailed;
    }
}
