using System.Diagnostics;
using OrleansCache.Conformance;

namespace OrleansCache.Cluster.Tests;

/// <summary>A silo that was frozen for so long that the cluster goes on without it.</summary>
public sealed class FreezeTests
{
    private const int Keys = 300;

    /// <summary>EX_TEMPFAIL, see docs/options.md.</summary>
    private const int ExitEvicted = 75;

    [ClusterFact(IsLong = true)]
    public async Task OnWakeUpItAnswersNothingStaleTakesNothingAndLeavesWithOneLine()
    {
        await using SiloCluster cluster = await SiloCluster.StartAsync(3);
        ServerProcess frozen = cluster.Silos[2];

        // It has its share.
        await Wait.UntilAsync(() => frozen.Output.Contains("taken over in ", StringComparison.Ordinal), () => frozen.Output);
        using RawClient living = cluster.Silos[0].Connect();
        for (int key = 0; key < Keys; key++)
            Assert.Equal("STORED", await living.SetAsync($"k{key}", "old"));

        using RawClient reader = frozen.Connect();
        using RawClient writer = frozen.Connect();
        Assert.Equal("old", await reader.GetTextAsync("k0"));
        Assert.StartsWith("VERSION", await writer.CommandAsync("version"), StringComparison.Ordinal);
        int linesBefore = frozen.Output.Split('\n').Length;
        frozen.Freeze();
        await WaitUntilStoppedAsync(frozen.Id);

        // What its clients have sent meanwhile is there when it wakes up.
        await reader.SendAsync(string.Concat(Enumerable.Range(0, Keys).Select(key => $"get k{key}\r\n")));
        await writer.SendAsync(string.Concat(Enumerable.Range(0, Keys).Select(key => $"set late{key} 0 0 4\r\nlate\r\n")));
        var watch = Stopwatch.StartNew();
        for (int key = 0; key < Keys;)
        {
            if (await living.SetAsync($"k{key}", "new") == "STORED")
                key++;
            Assert.True(watch.Elapsed < TimeSpan.FromSeconds(60), $"k{key} cannot be stored\n{cluster.Output}");
        }

        frozen.Thaw();
        string read = await reader.ReadToEndAsync();
        string written = await writer.ReadToEndAsync();
        Assert.DoesNotContain("old", read, StringComparison.Ordinal);
        string[] answers = written.Split("\r\n", StringSplitOptions.RemoveEmptyEntries);
        for (int key = 0; key < answers.Length; key++)
        {
            if (answers[key] == "STORED")
                Assert.Equal("late", await living.GetTextAsync($"late{key}"));
        }

        cluster.Forget(frozen);
        Assert.Equal(ExitEvicted, await frozen.WaitForExitAsync(TimeSpan.FromSeconds(15)));

        // On a busy machine it may have stood still for a moment before; and what it has taken over it may tell when it wakes up.
        string[] said = frozen.Output.Split('\n')[linesBefore..];
        said = [.. said.Where(line => line.Length > 0 && !line.Contains("serves again", StringComparison.Ordinal)
            && !line.Contains(" info OrleansCache.Cluster: ", StringComparison.Ordinal))];
        Assert.Contains("declared this silo dead", Assert.Single(said), StringComparison.Ordinal);
    }

    /// <summary>The signal stops one thread after the other, on a busy machine over some time; what an I/O loop still reads meanwhile it may answer.</summary>
    private static async Task WaitUntilStoppedAsync(int processId)
    {
        while (!Array.TrueForAll(Directory.GetDirectories($"/proc/{processId}/task"), IsStopped))
            await Task.Delay(10);

        static bool IsStopped(string thread)
        {
            string stat = File.ReadAllText(Path.Combine(thread, "stat"));
            return stat[(stat.LastIndexOf(')') + 2)..].StartsWith('T');
        }
    }
}
