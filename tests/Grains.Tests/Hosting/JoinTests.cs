using System.Net;
using System.Text;
using OrleansCache.Grains.Hosting;

namespace OrleansCache.Grains.Tests.Hosting;

/// <summary>Who gets into a cluster, and what a start that does not is told.</summary>
public sealed class JoinTests
{
    private static readonly byte[] s_secret = Encoding.ASCII.GetBytes("a secret of the cluster");

    [Fact]
    public async Task WithTheSecretSilosAndGatewaysGetIn()
    {
        await using ClusterNodes cluster = new();
        ClusterNode first = await cluster.StartNodeAsync(cluster.OptionsForNext() with { Secret = s_secret });
        ClusterNode second = await cluster.StartNodeAsync(cluster.OptionsForNext() with { Secret = s_secret });
        await cluster.BalancedAsync(first, second);
        await using ClusterNode gateway = new(cluster.GatewayOptions() with { Secret = s_secret });
        await gateway.StartAsync(CancellationToken.None);
        await gateway.BatchTransport.FlushAllAsync(0, CancellationToken.None);
    }

    [Theory]
    [InlineData(false, null)]
    [InlineData(false, "another secret of a cluster")]
    [InlineData(true, null)]
    [InlineData(true, "another secret of a cluster")]
    public async Task WithoutTheSecretNobodyGetsIn(bool gateway, string? secret)
    {
        await using ClusterNodes cluster = new();
        await cluster.StartNodeAsync(cluster.OptionsForNext() with { Secret = s_secret });
        ClusterNodeOptions options = gateway ? cluster.GatewayOptions() : cluster.OptionsForNext();
        await using ClusterNode node = new(options with { Secret = secret is null ? default : Encoding.ASCII.GetBytes(secret) });
        ClusterStartException refused = await Assert.ThrowsAsync<ClusterStartException>(() => node.StartAsync(CancellationToken.None));
        Assert.Contains("--cluster-secret-file", refused.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task AnotherClusterIdIsSaidInWords(bool gateway)
    {
        await using ClusterNodes cluster = new();
        await cluster.StartNodeAsync();
        ClusterNodeOptions options = gateway ? cluster.GatewayOptions() : cluster.OptionsForNext();
        await using ClusterNode node = new(options with { ClusterId = "another" });
        ClusterStartException refused = await Assert.ThrowsAsync<ClusterStartException>(() => node.StartAsync(CancellationToken.None));
        Assert.Contains("--cluster-id", refused.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("10.1.2.3", "127.0.0.1")]
    [InlineData(null, "0.0.0.0")]
    public async Task BeyondThisMachineAClusterNeedsASecret(string? advertised, string listening)
    {
        await using ClusterNodes cluster = new();
        ClusterNodeOptions options = cluster.OptionsForNext() with { AdvertisedHost = advertised ?? "127.0.0.1" };
        options = options with { SiloEndPoint = new IPEndPoint(IPAddress.Parse(listening), options.SiloEndPoint.Port) };
        await using ClusterNode node = new(options);
        ClusterStartException refused = await Assert.ThrowsAsync<ClusterStartException>(() => node.StartAsync(CancellationToken.None));
        Assert.True(refused.IsUsage);
        Assert.Contains("--cluster-secret-file", refused.Message, StringComparison.Ordinal);

        ClusterNode gateway = new(options with { GatewayOnly = true, Join = [new IPEndPoint(IPAddress.Parse("10.1.2.3"), 1)] });
        refused = await Assert.ThrowsAsync<ClusterStartException>(() => gateway.StartAsync(CancellationToken.None));
        Assert.True(refused.IsUsage);
    }

    [Fact]
    public async Task ThatCanBeOverriddenAndASecretFulfilsIt()
    {
        await using ClusterNodes cluster = new();
        ClusterNodeOptions options = cluster.OptionsForNext();
        options = options with { AdvertisedHost = "127.0.0.1", SiloEndPoint = new IPEndPoint(IPAddress.Any, options.SiloEndPoint.Port) };
        await using (ClusterNode open = new(options with { AllowInsecure = true }))
            await open.StartAsync(CancellationToken.None);
        await using ClusterNode secret = new(options with { Secret = s_secret });
        await secret.StartAsync(CancellationToken.None);
    }

    [Fact]
    public async Task AFirstSiloMayBeToldToJoinItself()
    {
        await using ClusterNodes cluster = new();
        ClusterNodeOptions options = cluster.OptionsForNext();
        ClusterNode first = await cluster.StartNodeAsync(options with { Join = [options.SiloEndPoint] });
        ClusterNode second = await cluster.StartNodeAsync();
        await cluster.BalancedAsync(first, second);
    }

    [Fact]
    public async Task TwoSilosCannotOwnOnePort()
    {
        await using ClusterNodes cluster = new();
        ClusterNodeOptions options = cluster.OptionsForNext();
        await cluster.StartNodeAsync(options);
        foreach (int port in new[] { options.SiloEndPoint.Port, options.GatewayOrleansPort!.Value })
        {
            await using ClusterNode second = new(options with { SiloEndPoint = new IPEndPoint(IPAddress.Loopback, port), AllowGateways = false });
            ClusterStartException refused = await Assert.ThrowsAsync<ClusterStartException>(() => second.StartAsync(CancellationToken.None));
            Assert.Contains($"cannot listen at 127.0.0.1:{port}", refused.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task OfTwoThatStartAtOnceAtOnePortOneIsRefused()
    {
        await using ClusterNodes cluster = new();
        ClusterNodeOptions options = cluster.OptionsForNext();
        ClusterNode[] nodes = [new(options), new(options)];
        Exception?[] outcomes = await Task.WhenAll(nodes.Select(node => Record.ExceptionAsync(() => node.StartAsync(CancellationToken.None))));
        Assert.IsType<ClusterStartException>(Assert.Single(outcomes, outcome => outcome is not null));
        foreach (ClusterNode node in nodes)
            await node.DisposeAsync();
    }

    [Fact]
    public async Task AGatewayLearnsTheOtherSilosAndOutlivesTheOneItJoined()
    {
        await using ClusterNodes cluster = new();
        ClusterNode first = await cluster.StartNodeAsync();
        ClusterNodeOptions joinedOptions = cluster.OptionsForNext();
        ClusterNode joined = await cluster.StartNodeAsync(joinedOptions);
        await cluster.BalancedAsync(first, joined);
        foreach (ClusterNode node in new[] { first, joined })
            node.Publish(null, static () => []);

        // Of three addresses one answers: nobody listens at the first, and the third is not where gateways go.
        IPEndPoint nobody = new(IPAddress.Loopback, 24_997);
        await using ClusterNode gateway = new(cluster.OptionsForNext() with
        {
            GatewayOnly = true,
            GatewayOrleansPort = null,
            Join = [nobody, new IPEndPoint(IPAddress.Loopback, joinedOptions.GatewayOrleansPort!.Value - ClusterNodeOptions.GatewayOrleansPortOffset)],
        });
        await gateway.StartAsync(CancellationToken.None);
        await Wait.UntilAsync(() => gateway.KnownGateways.Count == 3, () => string.Join(", ", gateway.KnownGateways));

        await joined.StopAsync();
        await cluster.BalancedAsync(first);
        await Wait.UntilAsync(
            () => gateway.TableCache.Current.Version == first.TableCache.Current.Version, () => "the gateway does not follow any more");
        await gateway.BatchTransport.FlushAllAsync(0, CancellationToken.None);
    }
}
