using System.Globalization;
using System.IO.Pipelines;
using System.Text;
using OrleansCache.Grains.Hosting;
using OrleansCache.Grains.Hosting.Links;
using OrleansCache.Grains.Hosting.Security;
using OrleansCache.Ownership;
using OrleansCache.Ownership.Routing;

namespace OrleansCache.Grains.Tests.Hosting.Links;

/// <summary>Links between whole nodes. Linux only: elsewhere there are none.</summary>
public sealed class SiloLinksTests
{
    private const int Keys = 200;

    [LinuxFact]
    public async Task SilosAskEachOtherOverLinks()
    {
        await using ClusterNodes cluster = new();
        (ClusterNode first, ClusterNode second) = await StartAsync(cluster);
        RunBatches(first);
        RunBatches(second);
        await LinkedAsync(first, second);
    }

    /// <summary>A broken link is no reason for an error: what has not been sent waits for the next.</summary>
    [LinuxFact]
    public async Task WhereALinkHasBrokenThereIsSoonAnother()
    {
        await using ClusterNodes cluster = new();
        (ClusterNode first, ClusterNode second) = await StartAsync(cluster);
        await LinkedAsync(first, second);
        for (int round = 0; round < 3; round++)
        {
            await first.Links!.BreakAsync();
            RunBatches(first);
            RunBatches(second);
            await LinkedAsync(first, second);
        }
    }

    /// <summary>
    /// As a silo that has been exchanged for one that knows no links would: at first it counts as one that is dead, and nothing is sent there by calls, which
    /// would be lost with it; then it is asked by calls.
    /// </summary>
    [LinuxFact]
    public async Task ASiloThatTakesNoLinksIsAskedByCallsAfterAWhile()
    {
        await using ClusterNodes cluster = new();
        (ClusterNode first, ClusterNode second) = await StartAsync(cluster);
        await LinkedAsync(first, second);
        second.Links!.Dispose();
        await Wait.UntilAsync(() => first.Links!.Count == 0, static () => "The link stays.");
        BatchTarget target = new(second.TableCache.LocalSilo);
        await Assert.ThrowsAsync<BatchNotExecutedException>(
            async () => await first.BatchTransport.SendAsync(target, 0, new BatchRequest(PooledBytes.Wrap([], 0)), CancellationToken.None));
        RunBatches(first);
        RunBatches(second);
        Assert.Equal(0, second.Links.Count);
    }

    [LinuxFact]
    public async Task ASiloThatLeavesTakesItsLinksAlongWithoutAnError()
    {
        await using ClusterNodes cluster = new();
        (ClusterNode first, ClusterNode second) = await StartAsync(cluster);
        ClusterNode third = await cluster.StartNodeAsync();
        await cluster.BalancedAsync(first, second, third);
        await Wait.UntilAsync(() => cluster.Nodes.All(static node => node.Links!.Count == 2 * SiloTransport.LoopCount), () => Counts(cluster));
        Task stops = third.StopAsync();
        while (!stops.IsCompleted)
            RunBatches(first);
        await stops;
        RunBatches(first);
        await Wait.UntilAsync(
            () => first.Links!.Count == SiloTransport.LoopCount && second.Links!.Count == SiloTransport.LoopCount, () => Counts(cluster));
    }

    /// <summary>With TLS between the silos, and a secret, links have both.</summary>
    [LinuxFact]
    public async Task LinksAreSecuredAsAllElse()
    {
        using TestCertificates certificates = new();
        using ClusterTls tls = ClusterTls.Load(certificates.ChainFile, certificates.KeyFile, certificates.AuthorityFile);
        byte[] secret = Encoding.ASCII.GetBytes("a secret of the cluster");
        await using ClusterNodes cluster = new();
        List<ClusterNode> nodes = [];
        for (int i = 0; i < 2; i++)
            nodes.Add(await cluster.StartNodeAsync(cluster.OptionsForNext() with { Tls = tls, Secret = secret }));
        await cluster.BalancedAsync([.. nodes]);
        await cluster.ReplicatedAsync([.. nodes]);
        RunBatches(nodes[0]);
        RunBatches(nodes[1]);
        await LinkedAsync(nodes[0], nodes[1]);
        RunBatches(nodes[0]);
    }

    [Fact]
    public async Task AGreetingForAnotherSiloIsNotAnswered()
    {
        Pipe there = new(), back = new();
        SiloId meant = SiloId.Create("127.0.0.1:1", 7), self = SiloId.Create("127.0.0.1:2", 8), later = SiloId.Create("127.0.0.1:1", 9);
        Task<bool> sent = LinkGreeting.SendAsync(new End(back.Reader, there.Writer), meant, self, CancellationToken.None);
        Assert.Null(await LinkGreeting.ReceiveAsync(new End(there.Reader, back.Writer), later, CancellationToken.None));
        back.Writer.Complete();
        Assert.False(await sent);
    }

    [Fact]
    public async Task AGreetingThatArrivesByteByByteIsUnderstood()
    {
        Pipe there = new(), relayed = new(), back = new();
        SiloId meant = SiloId.Create("127.0.0.1:1", 7), self = SiloId.Create("[::1]:2", 8);
        Task<bool> sent = LinkGreeting.SendAsync(new End(back.Reader, there.Writer), meant, self, CancellationToken.None);
        Task<SiloId?> received = LinkGreeting.ReceiveAsync(new End(relayed.Reader, back.Writer), meant, CancellationToken.None);
        ReadResult all = await there.Reader.ReadAsync();
        foreach (ReadOnlyMemory<byte> part in all.Buffer)
        {
            for (int i = 0; i < part.Length; i++)
                await relayed.Writer.WriteAsync(part.Slice(i, 1));
        }

        Assert.Equal(self, await received);
        await LinkGreeting.WelcomeAsync(new End(relayed.Reader, back.Writer), CancellationToken.None);
        Assert.True(await sent);
    }

    private static async Task<(ClusterNode First, ClusterNode Second)> StartAsync(ClusterNodes cluster)
    {
        ClusterNode first = await cluster.StartNodeAsync();
        ClusterNode second = await cluster.StartNodeAsync();
        await cluster.BalancedAsync(first, second);
        await cluster.ReplicatedAsync(first, second);
        return (first, second);
    }

    private static Task LinkedAsync(ClusterNode first, ClusterNode second) => Wait.UntilAsync(
        () =>
        {
            // Something must be asked for a link to be opened.
            RunBatches(first);
            RunBatches(second);
            return first.Links!.Count > 0 && second.Links!.Count > 0;
        },
        () => $"{first.Links!.Count} and {second.Links!.Count} links");

    private static string Counts(ClusterNodes cluster) => string.Join(", ", cluster.Nodes.Select(static node => node.Links!.Count));

    /// <summary>Writes and reads keys of all partitions by way of this node; each must succeed.</summary>
    private static void RunBatches(ClusterNode node)
    {
        HandLoop loop = new();
        ClusterRouter router = new(node.PartitionCount, node.PartitionSet, node.TableCache, node.BatchTransport, TimeProvider.System)
        {
            Replicator = node.Replicator,
        };
        RouterChannel channel = router.OpenChannel(loop);
        RecordingSink[] sinks = [.. Enumerable.Range(0, Keys).Select(static _ => new RecordingSink())];
        foreach (CacheOperation operation in (CacheOperation[])[CacheOperation.Set, CacheOperation.Get])
        {
            for (int i = 0; i < Keys; i++)
            {
                byte[] key = Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"key-{i}"));
                CacheRequest request = new() { Operation = operation, Key = key, KeyHash = channel.Hasher.Compute(key) };
                if (operation == CacheOperation.Set)
                    request.Value = key;
                else
                    request.Flags = RequestFlags.ReturnValue;
                if (!channel.TryExecute(in request, (uint)DateTimeOffset.UtcNow.ToUnixTimeSeconds(), sinks[i]))
                    channel.Send(in request, sinks[i]);
            }

            channel.Flush();
            int calls = operation == CacheOperation.Set ? 1 : 2;
            while (sinks.Any(sink => sink.Calls < calls))
                loop.RunOne();
            Assert.All(sinks, static sink => Assert.Equal(CacheStatus.Ok, sink.Status));
        }
    }

    private sealed record End(PipeReader Input, PipeWriter Output) : IDuplexPipe;
}
