using System.Globalization;
using OrleansCache.Conformance;

namespace OrleansCache.Cluster.Tests;

/// <summary>Silos with -e: what a cluster that was down as a whole finds again, and what one that lives does not take.</summary>
public sealed class MemoryFileTests : IDisposable
{
    private const int Keys = 2_000;
    private readonly string _folder = Directory.CreateTempSubdirectory("orleanscache-test-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [ClusterFact]
    public async Task AfterAllSilosWereKilledEverythingIsThereAgain()
    {
        await using SiloCluster cluster = await StartAsync(3);
        await StoreAsync(cluster.Silos[1], "first");
        await StoreAsync(cluster.Silos[2], "second");
        await KillAllAsync(cluster);

        await StartAgainAsync(cluster, 2, 0, 1);
        Assert.Equal(0, await CountMissesAsync(cluster.Silos[0], "second"));
        Assert.Contains("goes on from memory files", cluster.Silos[0].Output, StringComparison.Ordinal);
    }

    [ClusterFact(IsLong = true)]
    public async Task StartedAsTheyWereTheyFindTheirClusterAndTheirItems()
    {
        await using SiloCluster cluster = await StartAsync(3);
        await StoreAsync(cluster.Silos[1], "value");
        ServerProcess[] silos = [.. cluster.Silos];
        await KillAllAsync(cluster);

        ServerProcess[] again = [.. silos.Reverse().Select(silo => cluster.Restart(silo))];
        await Task.WhenAll(again.Select(SiloCluster.WaitUntilServingAsync));
        Assert.Equal(0, await CountMissesAsync(cluster.Silos[0], "value"));
    }

    [ClusterFact(IsLong = true)]
    public async Task AfterAllWereToldToStopEverythingIsThereAgain()
    {
        await using SiloCluster cluster = await StartAsync(3);
        await StoreAsync(cluster.Silos[0], "value");
        await Task.WhenAll(cluster.Silos.ToArray().Select(cluster.StopSiloAsync));

        await StartAgainAsync(cluster, 1, 2, 0);
        int misses = await CountMissesAsync(cluster.Silos[0], "value");

        Assert.True(misses == 0, $"{misses} of {Keys} are missing\n{cluster.Output}");
    }

    [ClusterFact(IsLong = true)]
    public async Task AKilledSiloThatComesBackToOthersBringsNothingStale()
    {
        await using SiloCluster cluster = await StartAsync(3);
        await StoreAsync(cluster.Silos[0], "old");
        await cluster.KillSiloAsync(cluster.Silos[2]);
        await StoreAsync(cluster.Silos[0], "new");

        ServerProcess back = await cluster.AddSiloAsync("-e", FileOf(2));
        await CountMissesAsync(back, "new");
        Assert.Contains("begins empty: the cluster lives", back.Output, StringComparison.Ordinal);
    }

    [ClusterFact(IsLong = true)]
    public async Task ASiloThatWasLostLongBeforeTheOthersBringsNothingStale()
    {
        await using SiloCluster cluster = await StartAsync(3);
        await StoreAsync(cluster.Silos[0], "old");
        await cluster.KillSiloAsync(cluster.Silos[2]);
        await StoreAsync(cluster.Silos[0], "new");
        await KillAllAsync(cluster);

        await StartAgainAsync(cluster, 2, 1, 0);
        Assert.Equal(0, await CountMissesAsync(cluster.Silos[0], "new"));
    }

    [ClusterFact(IsLong = true)]
    public async Task AFileThatIsTooOldBeginsEmpty()
    {
        await using SiloCluster cluster = await StartAsync(1, "--memory-file-age", "1");
        await StoreAsync(cluster.Silos[0], "value");
        await KillAllAsync(cluster);
        await Task.Delay(TimeSpan.FromSeconds(3));

        await StartAgainAsync(cluster, 0);
        Assert.Equal(Keys, await CountMissesAsync(cluster.Silos[0], "value"));
        Assert.Contains("were last served", cluster.Silos[0].Output, StringComparison.Ordinal);
    }

    private string FileOf(int silo) => Path.Combine(_folder, silo.ToString(CultureInfo.InvariantCulture));

    private async Task<SiloCluster> StartAsync(int count, params string[] options)
    {
        SiloCluster cluster = SiloCluster.Create(options);
        await cluster.AddSiloAsync("-e", FileOf(0));
        await Task.WhenAll(Enumerable.Range(1, count - 1).Select(silo => cluster.AddSiloAsync("-e", FileOf(silo))));
        return cluster;
    }

    /// <summary>The first one founds; the others join it at the same time.</summary>
    private async Task StartAgainAsync(SiloCluster cluster, params int[] order)
    {
        // The first one's gateway answers only when the others have come, or were waited for.
        List<Task> starts = [];
        foreach (int silo in order)
            starts.Add(cluster.AddSiloAsync("-e", FileOf(silo)));
        await Task.WhenAll(starts);
    }

    private static async Task KillAllAsync(SiloCluster cluster)
    {
        // What has been stored is in the files; what the silos know of each other must be as well.
        await Task.Delay(TimeSpan.FromSeconds(1.5));
        await Task.WhenAll(cluster.Silos.ToArray().Select(cluster.KillSiloAsync));
    }

    private static async Task StoreAsync(ServerProcess silo, string value)
    {
        using RawClient client = silo.Connect();
        DateTime end = DateTime.UtcNow.AddSeconds(60);
        for (int i = 0; i < Keys;)
        {
            Assert.True(DateTime.UtcNow < end, silo.Output);
            if (await client.SetAsync($"key{i}", $"{value}{i}") == "STORED")
                i++;
        }
    }

    /// <summary>How many keys are not there; a value that is not the last one fails.</summary>
    private static async Task<int> CountMissesAsync(ServerProcess silo, string value)
    {
        using RawClient client = silo.Connect();
        int misses = 0;
        for (int i = 0; i < Keys; i++)
        {
            if (await client.GetTextAsync($"key{i}") is not { } found)
                misses++;
            else
                Assert.Equal($"{value}{i}", found);
        }

        return misses;
    }
}
