using System.Globalization;
using System.Net;
using System.Text;
using OrleansCache.Grains.Hosting;
using OrleansCache.Ownership;
using OrleansCache.Ownership.Routing;

namespace OrleansCache.Grains.Tests.Hosting;

/// <summary>Whole nodes, over Orleans and loopback TCP.</summary>
public sealed class ClusterNodeTests
{
    [Fact]
    public async Task ANodeAloneServesAllPartitions()
    {
        await using ClusterNodes cluster = new();
        ClusterNode node = await cluster.StartNodeAsync();
        await cluster.BalancedAsync(node);
        Assert.Equal(64, node.PartitionCount);
    }

    [Fact]
    public async Task PartitionsFollowTheSilosWithTheirItems()
    {
        int items = LongTests.Count(20_000);
        await using ClusterNodes cluster = new();
        ClusterNode first = await cluster.StartNodeAsync();
        ClusterNode second = await cluster.StartNodeAsync();
        ClusterNode third = await cluster.StartNodeAsync();
        await cluster.BalancedAsync(first, second, third);
        for (int i = 0; i < items; i++)
            Assert.True(cluster.TrySet(Key(i), Value(i), first, second, third));

        ClusterNode fourth = await cluster.StartNodeAsync();
        await cluster.BalancedAsync(first, second, third, fourth);
        Assert.Equal(0, Missing(first, second, third, fourth));
        Assert.True(fourth.PartitionSet!.TryGet(fourth.TableCache.Current.Silos.Length > 0 ? FirstOf(fourth) : default)!.ItemCount > 0);

        await second.StopAsync();
        await cluster.BalancedAsync(first, third, fourth);
        Assert.Equal(0, Missing(first, third, fourth));

        // Its partitions go on from their replicas.
        await cluster.ReplicatedAsync(first, third, fourth);
        await third.KillAsync();
        await cluster.BalancedAsync(first, fourth);
        Assert.Equal(0, Missing(first, fourth));

        // The copies that were lost with it are made anew.
        await cluster.ReplicatedAsync(first, fourth);

        int Missing(params ClusterNode[] nodes) => Enumerable.Range(0, items).Count(i =>
        {
            string? value = cluster.Get(Key(i), nodes);
            Assert.True(value is null || value == Value(i));
            return value is null;
        });

        static string Key(int i) => string.Create(CultureInfo.InvariantCulture, $"key-{i}");
        static string Value(int i) => string.Create(CultureInfo.InvariantCulture, $"value-of-{i}-{new string('x', i % 500)}");
    }

    [Fact]
    public async Task AnotherPartitionCountIsRefusedInWords()
    {
        await using ClusterNodes cluster = new();
        await cluster.StartNodeAsync();
        ClusterNodeOptions options = cluster.OptionsForNext();
        await using ClusterNode other = new(options with { Store = options.Store with { PartitionCount = 32 } });
        ClusterStartException refused = await Assert.ThrowsAsync<ClusterStartException>(() => other.StartAsync(CancellationToken.None));
        Assert.Contains("64 partitions", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task NothingToJoinIsSaidInWords()
    {
        await using ClusterNodes cluster = new();
        ClusterNodeOptions options = cluster.OptionsForNext(new IPEndPoint(IPAddress.Loopback, 24_999)) with { JoinTimeout = TimeSpan.FromMilliseconds(300) };
        await using ClusterNode node = new(options);
        ClusterStartException refused = await Assert.ThrowsAsync<ClusterStartException>(() => node.StartAsync(CancellationToken.None));
        Assert.Contains("127.0.0.1:24999", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task ASiloPortInUseIsSaidInWords()
    {
        await using ClusterNodes cluster = new();
        ClusterNodeOptions options = cluster.OptionsForNext();
        using System.Net.Sockets.TcpListener inUse = new(options.SiloEndPoint);
        inUse.Start();
        await using ClusterNode node = new(options);
        ClusterStartException refused = await Assert.ThrowsAsync<ClusterStartException>(() => node.StartAsync(CancellationToken.None));
        Assert.Contains(options.SiloEndPoint.ToString(), refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task AMembershipStoreThatIsDownIsSaidInWords()
    {
        await using ClusterNodes cluster = new();
        ClusterNodeOptions options = cluster.OptionsForNext() with
        {
            ClusteringName = "postgres", ConnectionString = "Host=127.0.0.1;Port=24998;Username=nobody;Timeout=1",
            StartTimeout = TimeSpan.FromMilliseconds(300),
        };
        await using ClusterNode node = new(options);
        ClusterStartException refused = await Assert.ThrowsAsync<ClusterStartException>(() => node.StartAsync(CancellationToken.None));
        Assert.Contains("membership store", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task AGatewayAloneSeesTheTable()
    {
        await using ClusterNodes cluster = new();
        ClusterNode first = await cluster.StartNodeAsync();
        ClusterNodeOptions options = cluster.OptionsForNext();
        await using ClusterNode gateway = new(options with { GatewayOnly = true, GatewayOrleansPort = ((IPEndPoint)options.Join[0]).Port + 1 });
        await gateway.StartAsync(CancellationToken.None);
        Assert.Null(gateway.PartitionSet);
        Assert.Equal(64, gateway.PartitionCount);
        ClusterNode second = await cluster.StartNodeAsync();
        await cluster.BalancedAsync(first, second);
        await Wait.UntilAsync(() => gateway.TableCache.Current.Version == first.TableCache.Current.Version,
            () => gateway.TableCache.Current.Version.ToString());
        await gateway.BatchTransport.FlushAllAsync(0, CancellationToken.None);
    }

    /// <summary>A partition's grain is found by every silo, and by Orleans's clients, however long ago the asker has heard of a table.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task WhoeverHasAnOldTableReachesAllPartitionsByTheirGrains(bool isGatewayAlone)
    {
        await using ClusterNodes cluster = new();
        ClusterNode first = await cluster.StartNodeAsync();
        ClusterNode second = await cluster.StartNodeAsync();
        await cluster.BalancedAsync(first, second);
        await using ClusterNode gateway = new(cluster.GatewayOptions());
        await gateway.StartAsync(CancellationToken.None);
        OldTable table = new(first.TableCache.Current);
        ClusterNode third = await cluster.StartNodeAsync();
        await cluster.BalancedAsync(first, second, third);
        await second.StopAsync();
        await cluster.BalancedAsync(first, third);

        HandLoop loop = new();
        ClusterRouterOptions options = new() { AskPartitionAfter = TimeSpan.FromMilliseconds(20) };
        IBatchTransport transport = (isGatewayAlone ? gateway : first).BatchTransport;
        RouterChannel channel = new ClusterRouter(64, null, table, transport, TimeProvider.System, options).OpenChannel(loop);
        List<RecordingSink> sinks = [];
        for (int i = 0; i < 300; i++)
        {
            string key = string.Create(CultureInfo.InvariantCulture, $"key-{i}");
            byte[] bytes = Encoding.ASCII.GetBytes(key);
            sinks.Add(new RecordingSink(key));
            channel.Send(
                new CacheRequest { Operation = CacheOperation.Set, Key = bytes, KeyHash = channel.Hasher.Compute(bytes), Value = bytes }, sinks[^1]);
        }

        channel.Flush();
        while (sinks.Exists(static sink => sink.Calls == 0))
            loop.RunOne();
        Assert.All(sinks, static sink => Assert.Equal("Ok ", $"{sink.Status} {sink.Reason}"));
        for (int i = 0; i < 300; i++)
        {
            string key = string.Create(CultureInfo.InvariantCulture, $"key-{i}");
            Assert.Equal(key, cluster.Get(key, first, third));
        }

        // Nobody serves a partition that there is not: that nothing was done is known, whoever asks.
        foreach (IBatchTransport asker in (IBatchTransport[])[first.BatchTransport, third.BatchTransport, gateway.BatchTransport])
        {
            BatchWriter writer = new();
            await Assert.ThrowsAsync<BatchNotExecutedException>(() => asker.SendAsync(
                new BatchTarget(default, new PartitionId(64)), 0, new BatchRequest(writer.Complete(0)), CancellationToken.None).AsTask());
        }
    }

    /// <summary>The only silo ends and another one begins at its ports: another life, another seed, and tables that count from the beginning.</summary>
    [Fact]
    public async Task AGatewayAloneOutlivesTheCluster()
    {
        await using ClusterNodes cluster = new();
        ClusterNodeOptions silo = cluster.OptionsForNext();
        ClusterNode first = await cluster.StartNodeAsync(silo);
        ClusterNodeOptions options = cluster.OptionsForNext();
        await using ClusterNode gateway = new(options with { GatewayOnly = true, Join = [silo.SiloEndPoint], GatewayOrleansPort = silo.GatewayOrleansPort });
        await gateway.StartAsync(CancellationToken.None);
        HandLoop loop = new();
        RouterChannel channel = new ClusterRouter(64, null, gateway.TableCache, gateway.BatchTransport, TimeProvider.System).OpenChannel(loop);
        HashSeed seed = first.TableCache.Current.HashSeed;
        Assert.Equal(seed, channel.Hasher.Seed);
        await SetAsync();

        await first.DisposeAsync(); // a stop alone keeps the ports
        ClusterNode second = await cluster.StartNodeAsync(silo);
        Assert.NotEqual(seed, second.TableCache.Current.HashSeed);
        await Wait.UntilAsync(() => gateway.TableCache.Current.HashSeed == second.TableCache.Current.HashSeed,
            () => gateway.TableCache.Current.Version.ToString());
        loop.RunOne();
        Assert.Equal(second.TableCache.Current.HashSeed, channel.Hasher.Seed);
        await SetAsync();
        Assert.Equal("value", cluster.Get("key", second));
        second.PartitionSet!.CheckIntegrity();
        Assert.False(gateway.Failure.IsCompleted || second.Failure.IsCompleted);

        // A batch that got no answer in time is one that may have been executed: clients are told so, and try again.
        async Task SetAsync()
        {
            string answer = "none";
            await Wait.UntilAsync(() => (answer = Set()) == "Ok", () => answer);
        }

        string Set()
        {
            byte[] bytes = "key"u8.ToArray();
            RecordingSink sink = new("key");
            channel.Send(new CacheRequest { Operation = CacheOperation.Set, Key = bytes, KeyHash = channel.Hasher.Compute(bytes), Value = "value"u8 }, sink);
            channel.Flush();
            while (sink.Calls == 0)
                loop.RunOne();
            return $"{sink.Status} {sink.Reason}".TrimEnd();
        }
    }

    private static PartitionId FirstOf(ClusterNode node) =>
        Enumerable.Range(0, node.PartitionCount).Select(number => new PartitionId(number))
            .First(partition => node.TableCache.Current.OwnerOf(partition) == node.TableCache.LocalSilo);

    /// <summary>Nothing that becomes known later is learnt.</summary>
    private sealed class OldTable(PartitionTable table) : ITableCache
    {
        public PartitionTable Current => table;

        public SiloId LocalSilo => default;

        public event Action<PartitionTable>? Changed
        {
            add { }
            remove { }
        }

        public void RequestRefresh()
        {
        }
    }
}
