using System.Diagnostics;
using System.Globalization;
using System.Text;
using OrleansCache.Conformance;

namespace OrleansCache.Cluster.Tests;

/// <summary>flush_all under load, while a silo joins and partitions move to it.</summary>
public sealed class FlushTests
{
    private const int KeysPerRound = 120;

    [ClusterFact(IsLong = true)]
    public async Task FlushesUnderLoadHaveOneCutOffWhileASiloJoins()
    {
        await using SiloCluster cluster = await SiloCluster.StartAsync(2);
        using var stop = new CancellationTokenSource();
        Task[] load = [.. cluster.Silos.Select(silo => Task.Run(() => LoadAsync(silo, stop.Token)))];
        List<RawClient> clients = [.. cluster.Silos.Select(silo => silo.Connect())];
        Task<ServerProcess> joining = cluster.AddSiloAsync();
        var watch = Stopwatch.StartNew();
        int roundsSinceJoined = 0;
        for (int round = 0; roundsSinceJoined < 15 || !await HoldsItsShareAsync(clients); round++)
        {
            Assert.True(watch.Elapsed < TimeSpan.FromSeconds(60), $"The silo that joined got no partitions. {cluster.Output}");
            if (clients.Count == 2 && joining.IsCompleted)
                clients.Add((await joining).Connect());
            roundsSinceJoined += clients.Count == 3 ? 1 : 0;
            bool isScheduled = round == 3 || roundsSinceJoined == 5;
            do
            {
                await StoreAsync(clients[round % clients.Count], $"before-{round}");
                Assert.Equal("OK", await clients[(round + 1) % clients.Count].CommandAsync(isScheduled ? "flush_all 2" : "flush_all"));
                if (isScheduled)
                    await StoreAsync(clients[(round + 2) % clients.Count], $"between-{round}");
                Assert.True(watch.Elapsed < TimeSpan.FromSeconds(60), "Storing takes longer than a scheduled flush");
            }
            while (isScheduled && await clients[round % clients.Count].GetAsync($"before-{round}-0") is null); // The time came while it was being stored.

            if (isScheduled)
            {
                // Until the time comes both are there, afterwards neither.
                while (await clients[round % clients.Count].GetAsync($"before-{round}-0") is not null)
                    Assert.True(watch.Elapsed < TimeSpan.FromSeconds(60), "A scheduled flush never came");

                // Seconds change at one moment, but that moment passes between one question and the next.
                await Task.Delay(20);
                Assert.Equal([], await FoundAsync(clients, round, $"between-{round}"));
            }

            Assert.Equal([], await FoundAsync(clients, round, $"before-{round}"));
            await StoreAsync(clients[(round + 2) % clients.Count], $"after-{round}");
            Assert.Equal(KeysPerRound, (await FoundAsync(clients, round + 1, $"after-{round}")).Count);
        }

        await stop.CancelAsync();
        await Task.WhenAll(load);
        foreach (RawClient client in clients)
            client.Dispose();
    }

    private static async Task StoreAsync(RawClient client, string name)
    {
        var burst = new StringBuilder();
        for (int key = 0; key < KeysPerRound; key++)
            burst.Append(CultureInfo.InvariantCulture, $"set {name}-{key} 0 0 1\r\nx\r\n");
        await client.SendAsync(burst.ToString());
        for (int key = 0; key < KeysPerRound; key++)
            await client.ExpectLineAsync("STORED");
    }

    private static async Task<List<string>> FoundAsync(List<RawClient> clients, int round, string name)
    {
        RawClient client = clients[round % clients.Count];
        await client.SendAsync("get " + string.Join(' ', Enumerable.Range(0, KeysPerRound).Select(key => $"{name}-{key}")) + "\r\n");
        List<string> found = [];
        for (string line = await client.ReadLineAsync(); line != "END"; line = await client.ReadLineAsync())
        {
            found.Add(line.Split(' ')[1]);
            await client.ExpectLineAsync("x");
        }

        return found;
    }

    private static async Task<bool> HoldsItsShareAsync(List<RawClient> clients) =>
        clients.Count == 3 && (await clients[0].StatsAsync("cluster"))
            .Values.Count(value => value.StartsWith("up partitions=8", StringComparison.Ordinal)) == 3;

    /// <summary>Sets and gets without an end, so that there is always something under way.</summary>
    private static async Task LoadAsync(ServerProcess silo, CancellationToken stop)
    {
        using RawClient client = silo.Connect();
        for (int round = 0; !stop.IsCancellationRequested; round++)
        {
            var burst = new StringBuilder();
            for (int key = 0; key < 50; key++)
                burst.Append(CultureInfo.InvariantCulture, $"set load-{silo.Port}-{round % 40}-{key} 0 0 200\r\n{new string('y', 200)}\r\n");
            await client.SendAsync(burst.ToString());
            for (int key = 0; key < 50; key++)
                await client.ExpectLineAsync("STORED");
        }
    }
}
