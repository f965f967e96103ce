using System.Diagnostics;
using OrleansCache.Conformance;

namespace OrleansCache.Cluster.Tests;

/// <summary>The membership lives in a real PostgreSQL, so that no silo is special, and the store itself may fail.</summary>
public sealed class PostgresTests
{
    [PostgresFact(IsLong = true)]
    public async Task TheFirstSiloMayLeaveAsWell()
    {
        await using PostgresServer postgres = await PostgresServer.StartAsync();
        await using SiloCluster cluster = await SiloCluster.StartAsync(3, postgres);
        await using Checker checker = await Checker.StartAsync(cluster);
        await checker.RunAsync(2000);

        ServerProcess first = cluster.Silos[0];
        checker.Leave(first);
        await cluster.StopSiloAsync(first);
        await checker.RunAsync(2000);
        checker.Use(await cluster.AddSiloAsync());
        await checker.RunAsync(3000);

        await MembershipTests.AssertNothingLostAsync(cluster, checker);
    }

    [PostgresFact(IsLong = true)]
    public async Task AStoreThatGoesAwayStopsNobodyAndComesBack()
    {
        await using PostgresServer postgres = await PostgresServer.StartAsync();
        await using SiloCluster cluster = await SiloCluster.StartAsync(3, postgres);
        await using Checker checker = await Checker.StartAsync(cluster);
        await checker.RunAsync(1000);

        await postgres.StopAsync();
        // Longer than the silos' rounds of probing each other and of reading the table.
        var watch = Stopwatch.StartNew();
        while (watch.Elapsed < TimeSpan.FromSeconds(12))
            await checker.RunAsync(200);
        Assert.True(checker is { Lost: 0, Wrong: 0, Errors: 0 }, checker.Report);

        await postgres.ResumeAsync();
        ServerProcess fourth = await cluster.AddSiloAsync();
        checker.Use(fourth);
        await MembershipTests.AssertBalancedAsync(cluster, checker);
        await checker.RunAsync(2000);

        await MembershipTests.AssertNothingLostAsync(cluster, checker);
    }

    [PostgresFact]
    public async Task AKilledSiloIsReplacedWithoutTheOthersNoticing()
    {
        await using PostgresServer postgres = await PostgresServer.StartAsync();
        await using SiloCluster cluster = await SiloCluster.StartAsync(2, postgres);
        using (RawClient client = cluster.Silos[1].Connect())
        {
            for (int key = 0; key < 200; key++)
                Assert.Equal("STORED", await client.SetAsync($"k{key}", $"{key}"));
        }
        // The very first silo dies: with the membership in the database another takes its offices over.
        await cluster.KillSiloAsync(cluster.Silos[0]);
        ServerProcess next = await cluster.AddSiloAsync();

        using RawClient old = cluster.Silos[0].Connect();
        using RawClient fresh = next.Connect();
        var watch = Stopwatch.StartNew();
        int answered = 0;
        for (int key = 0; key < 200; key++)
        {
            while (true)
            {
                string reply = await fresh.SetAsync($"k{key}", $"new {key}");
                if (reply == "STORED")
                    break;
                Assert.True(watch.Elapsed < TimeSpan.FromSeconds(30), $"k{key} is not stored after 30 s: {reply}\n{cluster.Output}");
            }
            Assert.Equal($"new {key}", await old.GetTextAsync($"k{key}"));
            answered++;
        }
        Assert.Equal(200, answered);
    }
}
