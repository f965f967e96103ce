using System.Globalization;
using System.Text;
using OrleansCache.Grains.Hosting;
using OrleansCache.Ownership.Routing;

namespace OrleansCache.Grains.Tests.Hosting;

/// <summary>What any gateway says of, and does to, the whole cluster; over whole nodes.</summary>
public sealed class ClusterWideTests
{
    private const int Items = 3_000;

    [Fact]
    public async Task AScanTellsEveryItemWhileASiloJoins()
    {
        await using ClusterNodes cluster = new();
        ClusterNode first = await cluster.StartNodeAsync();
        ClusterNode second = await cluster.StartNodeAsync();
        await cluster.BalancedAsync(first, second);
        for (int i = 0; i < Items; i++)
            Assert.True(cluster.TrySet(Key(i), "x", first, second));
        await AssertScanTellsAllAsync(first);

        Task<ClusterNode> joining = cluster.StartNodeAsync();
        do
            await AssertScanTellsAllAsync(second);
        while (!joining.IsCompleted);
        ClusterNode third = await joining;
        do
            await AssertScanTellsAllAsync(third);
        while (Math.Abs(cluster.Serving(third) - (64 / 3.0)) >= 1);
        await cluster.BalancedAsync(first, second, third);
        await AssertScanTellsAllAsync(third);
    }

    [Fact]
    public async Task EveryGatewayKnowsTheSilosAndTheirGatewaysByOneVersion()
    {
        await using ClusterNodes cluster = new();
        ClusterNode first = await cluster.StartNodeAsync();
        ClusterNode second = await cluster.StartNodeAsync();
        first.Publish(new GatewayAddress("one", "127.0.0.1", 1), () => [new StatisticValue("curr_items", 10)]);
        second.Publish(new GatewayAddress("two", "127.0.0.1", 2), () => [new StatisticValue("curr_items", 20)]);
        ClusterNodeOptions options = cluster.OptionsForNext();
        await using ClusterNode alone = new(options with { GatewayOnly = true, GatewayOrleansPort = options.Join[0].Port + 1 });
        await alone.StartAsync(CancellationToken.None);
        GatewayList two = await ListedAsync(["one", "two"], first, second, alone);

        ClusterNode third = await cluster.StartNodeAsync();
        third.Publish(new GatewayAddress("three", "127.0.0.1", 3), () => [new StatisticValue("curr_items", 30)]);
        GatewayList three = await ListedAsync(["one", "two", "three"], first, second, third, alone);
        Assert.True(three.Version > two.Version);
        foreach (ClusterNode node in new[] { first, third, alone })
        {
            ClusterStatistics all = await node.View.ReadStatisticsAsync(CancellationToken.None);
            Assert.Equal([10L, 20L, 30L], all.Silos.Select(silo => silo.Values!.Single(value => value.Name == "curr_items").Value));
            Assert.Equal((64, three.Version), (all.PartitionCount, all.GatewaysVersion));
        }

        // Who leaves is taken out, and the next coordinator goes on with higher versions.
        await first.StopAsync();
        GatewayList left = await ListedAsync(["two", "three"], second, third);
        Assert.True(left.Version > three.Version);
    }

    [Fact]
    public async Task AWatcherSeesAllSilosAndThoseThatJoin()
    {
        await using ClusterNodes cluster = new();
        ClusterNode first = await cluster.StartNodeAsync();
        ClusterNode second = await cluster.StartNodeAsync();
        await cluster.BalancedAsync(first, second);
        ClusterNodeOptions options = cluster.OptionsForNext();
        await using ClusterNode alone = new(options with { GatewayOnly = true, GatewayOrleansPort = options.Join[0].Port + 1 });
        await alone.StartAsync(CancellationToken.None);
        using SemaphoreSlim woken = new(0);
        using IEventFeed feed = (await Router(alone).WatchAsync(EventKinds.Mutations, 64 * 1024, () => woken.Release(), CancellationToken.None))!;
        using IEventFeed small = (await Router(first).WatchAsync(EventKinds.Mutations, Limits.EventFeedBytesMin, () => { }, CancellationToken.None))!;
        for (int i = 0; i < 100; i++)
            Tell(i, first, second);
        await AssertSeesAsync(feed, woken, 0, 100);

        ClusterNode third = await cluster.StartNodeAsync();
        await cluster.BalancedAsync(first, second, third);
        await Wait.UntilAsync(() => third.PartitionSet!.Events.ReadStatistics().Feeds == 2, () => "the new silo is not watched by both");
        for (int i = 100; i < 1_000; i++)
            Tell(i, first, second, third);
        await AssertSeesAsync(feed, woken, 100, 1_000);

        // The other watcher has not read, with room for some tens of lines: it is told of its loss, and nobody waited for it.
        StringBuilder told = new();
        await Wait.UntilAsync(
            () =>
            {
                told.Append(Read(small));
                return told.ToString().Contains("skipped=", StringComparison.Ordinal);
            },
            () => $"no loss is told: {told}");

        feed.Dispose();
        small.Dispose();
        await Wait.UntilAsync(
            () => cluster.Nodes.All(node => node.PartitionSet!.Events.Watched == EventKinds.None), () => "watched after the watchers are gone");
    }

    [Fact]
    public async Task AFlushThroughAnyGatewayKeepsItsPromiseWhileASiloJoins()
    {
        await using ClusterNodes cluster = new();
        ClusterNode first = await cluster.StartNodeAsync();
        ClusterNode second = await cluster.StartNodeAsync();
        await cluster.BalancedAsync(first, second);
        Task<ClusterNode> joining = cluster.StartNodeAsync();
        ClusterNode[] nodes = [first, second];
        for (int round = 0; round < 400 && (nodes.Length < 3 || cluster.Serving(nodes[2]) < 20); round++)
        {
            if (nodes.Length < 3 && joining.IsCompleted)
                nodes = [first, second, await joining];
            List<string> stored = [.. Enumerable.Range(0, 40).Select(i => $"round-{round}-{i}").Where(key => cluster.TrySet(key, "x", nodes))];
            await nodes[round % nodes.Length].BatchTransport.FlushAllAsync(0, CancellationToken.None);
            Assert.DoesNotContain(stored, key => cluster.Get(key, nodes) is not null);
            string after = $"after-{round}";
            if (cluster.TrySet(after, "y", nodes))
            {
                await Task.Delay(5);
                Assert.True(cluster.Get(after, nodes) is "y" || PartitionIsOut(cluster, after, nodes), $"round {round}: what was stored after the OK is gone");
            }
        }

        await joining;
        Assert.True(nodes.Length == 3 && cluster.Serving(nodes[2]) >= 20, "the joining silo got no partitions");
    }

    private static bool PartitionIsOut(ClusterNodes cluster, string key, ClusterNode[] nodes) => !cluster.TrySet(key, "z", nodes);

    private static ClusterRouter Router(ClusterNode node) =>
        new(node.PartitionCount, node.PartitionSet, node.TableCache, node.BatchTransport, TimeProvider.System)
        {
            Cluster = node.View, Watch = node.Watch, Events = node.Events,
        };

    private static string Key(int i) => string.Create(CultureInfo.InvariantCulture, $"key-{i}");

    private static async Task AssertScanTellsAllAsync(ClusterNode node)
    {
        ClusterRouter router = Router(node);
        HashSet<string> told = [];
        for (int partition = 0; partition < router.PartitionCount; partition++)
        {
            ItemScanPage page = new([], 0, false);
            while (!page.IsLast)
            {
                page = await router.ScanAsync(new PartitionId(partition), page.NextPosition, CancellationToken.None);
                told.UnionWith(page.Items.Select(item => Encoding.ASCII.GetString(item.Key)));
            }
        }

        Assert.Equal([], Enumerable.Range(0, Items).Select(Key).Where(key => !told.Contains(key)));
    }

    /// <summary>What a store tells, without one: it does so only while somebody watches it.</summary>
    private static void Tell(int i, params ClusterNode[] nodes) =>
        nodes[i % nodes.Length].PartitionSet!.Events.ItemStore(Encoding.ASCII.GetBytes(Key(i)), ItemStoreStatus.Stored, ItemStoreCommand.Set, 0, 1, 0, 10);

    private static async Task<GatewayList> ListedAsync(string[] hosts, params ClusterNode[] nodes)
    {
        GatewayList[] lists = [];
        for (DateTime end = DateTime.UtcNow.AddSeconds(20); DateTime.UtcNow < end; await Task.Delay(10))
        {
            lists = await Task.WhenAll(nodes.Select(node => node.View.ReadGatewaysAsync(CancellationToken.None).AsTask()));
            if (lists.All(list => list.Gateways.Select(gateway => gateway.Host).SequenceEqual(hosts) && list.Version == lists[0].Version))
                return lists[0];
        }

        Assert.Fail(string.Join("; ", lists.Select(list => $"{list.Version}: {string.Join(' ', list.Gateways)}")));
        return lists[0];
    }

    private static async Task AssertSeesAsync(IEventFeed feed, SemaphoreSlim woken, int from, int to)
    {
        HashSet<string> missing = [.. Enumerable.Range(from, to - from).Select(i => $" key={Key(i)} ")];
        for (DateTime end = DateTime.UtcNow.AddSeconds(20); missing.Count > 0 && DateTime.UtcNow < end;)
        {
            string lines = Read(feed);
            foreach (string line in lines.Split('\n', StringSplitOptions.RemoveEmptyEntries))
            {
                Assert.Contains(" silo=127.0.0.1:", line, StringComparison.Ordinal);
                missing.RemoveWhere(key => line.Contains(key, StringComparison.Ordinal));
            }

            if (lines.Length == 0)
                await woken.WaitAsync(TimeSpan.FromSeconds(5));
        }

        Assert.Equal([], missing);
    }

    private static string Read(IEventFeed feed)
    {
        byte[] buffer = new byte[16 * 1024];
        return Encoding.ASCII.GetString(buffer, 0, feed.Read(buffer));
    }
}
