using System.Globalization;
using OrleansCache.Conformance;

namespace OrleansCache.Cluster.Tests;

// What one gateway says of the whole cluster.
public sealed partial class ServingTests
{
    [ClusterFact]
    public async Task DumpsThroughAnyGatewayTellTheWholeKeyspace()
    {
        const int Keys = 300;
        using (RawClient writer = Gateways[0].Connect())
        {
            for (int key = 0; key < Keys; key++)
                Assert.Equal("STORED", await writer.SetAsync($"dumped-{key}", "x"));
        }

        ServerProcess alone = await silos.Cluster.AddGatewayAsync();
        foreach (ServerProcess gateway in (ServerProcess[])[.. Gateways, alone])
        {
            foreach ((string command, string prefix, string end) in new[] { ("metadump", "key=", "END"), ("mgdump", "mg ", "EN") })
            {
                using RawClient client = gateway.Connect();
                await client.SendAsync($"lru_crawler {command} hash\r\n");
                await client.ExpectLineAsync("OK");
                HashSet<string> told = [];
                for (string line = await client.ReadLineAsync(); line != end; line = await client.ReadLineAsync())
                {
                    Assert.StartsWith(prefix, line, StringComparison.Ordinal);
                    told.Add(line[prefix.Length..].Split(' ')[0]);
                }

                Assert.Equal([], Enumerable.Range(0, Keys).Select(key => $"dumped-{key}").Where(key => !told.Contains(key)));
            }
        }

        Assert.Equal(0, await alone.TerminateAsync());
    }

    [ClusterFact]
    public async Task StatsClusterIsTheSumOfTheSilosAndALineForEach()
    {
        ServerProcess alone = await silos.Cluster.AddGatewayAsync();
        using (RawClient writer = Gateways[0].Connect())
        {
            for (int key = 0; key < 100; key++)
                Assert.Equal("STORED", await writer.SetAsync($"counted-{key}", "x"));
        }

        long items = 0;
        foreach (ServerProcess gateway in Gateways)
        {
            using RawClient client = gateway.Connect();
            items += long.Parse((await client.StatsAsync())["curr_items"], CultureInfo.InvariantCulture);
        }

        foreach (ServerProcess gateway in (ServerProcess[])[.. Gateways, alone])
        {
            using RawClient client = gateway.Connect();
            Dictionary<string, string> all = await client.StatsAsync("cluster");
            Assert.Equal(("3", "3", "3", "256"), (all["silos"], all["silos_answering"], all["gateways"], all["partitions"]));
            Assert.Equal(items, long.Parse(all["curr_items"], CultureInfo.InvariantCulture));
            string[] lines = [.. all.Where(line => line.Key.StartsWith("silo:", StringComparison.Ordinal)).Select(line => line.Value)];
            Assert.Equal(3, lines.Length);
            Assert.Equal(256, lines.Sum(line => ValueIn(line, "partitions")));
            Assert.Equal(items, lines.Sum(line => ValueIn(line, "curr_items")));
            foreach (ServerProcess silo in Gateways)
                Assert.Contains(lines, line => line.StartsWith("up ", StringComparison.Ordinal)
                    && line.Contains($" gateway=127.0.0.1:{silo.Port} ", StringComparison.Ordinal));
        }

        Assert.Equal(0, await alone.TerminateAsync());
    }

    /// <summary>Read as ElastiCache's clients read it: the announced bytes, a version, the entries.</summary>
    [ClusterFact]
    public async Task DiscoveryListsTheGatewaysByOneVersion()
    {
        ServerProcess alone = await silos.Cluster.AddGatewayAsync();
        HashSet<string> answers = [];
        foreach (ServerProcess gateway in (ServerProcess[])[.. Gateways, alone])
        {
            using RawClient client = gateway.Connect();
            answers.Add(await DiscoverAsync(client, "config get cluster", "CONFIG cluster 0 "));
            answers.Add(await DiscoverAsync(client, "get AmazonElastiCache:cluster", "VALUE AmazonElastiCache:cluster 0 "));
        }

        string[] content = Assert.Single(answers).Split('\n');
        Assert.Equal((3, ""), (content.Length, content[2]));
        Assert.True(int.Parse(content[0], CultureInfo.InvariantCulture) > 0);
        Assert.Equal(Gateways.Select(gateway => $"127.0.0.1|127.0.0.1|{gateway.Port}").Order(), content[1].Split(' ').Order());
        Assert.Equal(0, await alone.TerminateAsync());
    }

    [ClusterFact]
    public async Task AWatchThroughAnyGatewayShowsWhatHappensInAllSilos()
    {
        ServerProcess alone = await silos.Cluster.AddGatewayAsync();
        RawClient[] watchers = [Gateways[0].Connect(), alone.Connect()];
        foreach (RawClient watcher in watchers)
        {
            await watcher.SendAsync("watch mutations\r\n");
            await watcher.ExpectLineAsync("OK");
        }

        using (RawClient writer = Gateways[1].Connect())
        {
            for (int key = 0; key < 60; key++)
                Assert.Equal("STORED", await writer.SetAsync($"watched-{key}", "x"));
        }

        foreach (RawClient watcher in watchers)
        {
            HashSet<string> missing = [.. Enumerable.Range(0, 60).Select(key => $"key=watched-{key}")];
            HashSet<string> from = [];
            while (missing.Count > 0)
            {
                string[] words = (await watcher.ReadLineAsync()).Split(' ');
                if (missing.Remove(words[3]))
                    from.Add(words[^1]);
            }

            Assert.Equal(3, from.Count(name => name.StartsWith("silo=127.0.0.1:", StringComparison.Ordinal)));
            watcher.Dispose();
        }

        Assert.Equal(0, await alone.TerminateAsync());
    }

    internal static async Task<string> DiscoverAsync(RawClient client, string command, string begin)
    {
        await client.SendAsync(command + "\r\n");
        string first = await client.ReadLineAsync();
        Assert.StartsWith(begin, first, StringComparison.Ordinal);
        byte[] content = await client.ReadBytesAsync(int.Parse(first[begin.Length..], CultureInfo.InvariantCulture));
        await client.ExpectLineAsync("");
        await client.ExpectLineAsync("END");
        return System.Text.Encoding.ASCII.GetString(content);
    }

    private static long ValueIn(string line, string name) =>
        long.Parse(line.Split(' ').Single(word => word.StartsWith(name + "=", StringComparison.Ordinal))[(name.Length + 1)..], CultureInfo.InvariantCulture);
}
