using OrleansCache.Grains.Hosting;
using OrleansCache.Grains.Hosting.Security;

namespace OrleansCache.Grains.Tests.Hosting.Security;

/// <summary>Mutual TLS between members: the cluster's own authority decides.</summary>
public sealed class ClusterTlsTests : IDisposable
{
    private readonly TestCertificates _certificates = new();

    public void Dispose() => _certificates.Dispose();

    [Fact]
    public async Task OnlyCertificatesOfTheAuthorityGetIn()
    {
        using ClusterTls tls = ClusterTls.Load(_certificates.ChainFile, _certificates.KeyFile, _certificates.AuthorityFile);
        using ClusterTls stranger = ClusterTls.Load(
            _certificates.Path("other-client.pem"), _certificates.Path("other-client.key"), _certificates.Path("other-ca.pem"));
        await using ClusterNodes cluster = new();
        ClusterNode first = await cluster.StartNodeAsync(cluster.OptionsForNext() with { Tls = tls });
        ClusterNode second = await cluster.StartNodeAsync(cluster.OptionsForNext() with { Tls = tls });
        await cluster.BalancedAsync(first, second);
        await using (ClusterNode gateway = new(cluster.GatewayOptions() with { Tls = tls }))
        {
            await gateway.StartAsync(CancellationToken.None);
            await gateway.BatchTransport.FlushAllAsync(0, CancellationToken.None);
        }

        foreach (ClusterTls? other in new[] { null, stranger })
        {
            foreach (ClusterNodeOptions options in new[] { cluster.GatewayOptions(), cluster.OptionsForNext() })
            {
                await using ClusterNode refused = new(options with { Tls = other, StartTimeout = TimeSpan.FromSeconds(1) });
                await Assert.ThrowsAsync<ClusterStartException>(() => refused.StartAsync(CancellationToken.None));
            }
        }
    }

    [Fact]
    public void AFileThatCannotBeUsedIsNamed()
    {
        string nowhere = _certificates.Path("nowhere.pem");
        ClusterStartException refused = Assert.Throws<ClusterStartException>(() => ClusterTls.Load(nowhere, nowhere, nowhere));
        Assert.True(refused.IsUsage);
        Assert.Contains(nowhere, refused.Message, StringComparison.Ordinal);
    }
}
