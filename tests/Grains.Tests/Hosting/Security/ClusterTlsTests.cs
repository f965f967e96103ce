using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using OrleansCache.Grains.Hosting;
using OrleansCache.Grains.Hosting.Security;

namespace OrleansCache.Grains.Tests.Hosting.Security;

/// <summary>Mutual TLS between members: the cluster's own authority decides.</summary>
public sealed class ClusterTlsTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("orleanscache-test-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task OnlyCertificatesOfTheAuthorityGetIn()
    {
        using ClusterTls tls = Make("ours");
        using ClusterTls stranger = Make("theirs");
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
        string nowhere = Path.Combine(_folder, "nowhere.pem");
        ClusterStartException refused = Assert.Throws<ClusterStartException>(() => ClusterTls.Load(nowhere, nowhere, nowhere));
        Assert.True(refused.IsUsage);
        Assert.Contains(nowhere, refused.Message, StringComparison.Ordinal);
    }

    private ClusterTls Make(string name)
    {
        using ECDsa authorityKey = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        CertificateRequest request = new($"CN=authority {name}", authorityKey, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        using X509Certificate2 authority = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddHours(-1), DateTimeOffset.UtcNow.AddHours(1));
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using X509Certificate2 member = new CertificateRequest("CN=member", key, HashAlgorithmName.SHA256)
            .Create(authority, DateTimeOffset.UtcNow.AddHours(-1), DateTimeOffset.UtcNow.AddMinutes(50), [1, 2, 3]);
        string path = Path.Combine(_folder, name);
        File.WriteAllText(path + ".pem", member.ExportCertificatePem());
        File.WriteAllText(path + ".key", key.ExportPkcs8PrivateKeyPem());
        File.WriteAllText(path + ".ca", authority.ExportCertificatePem());
        return ClusterTls.Load(path + ".pem", path + ".key", path + ".ca");
    }
}
