using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using OrleansCache.Gateway.Tests.Fakes;
using OrleansCache.Gateway.Tls;

namespace OrleansCache.Gateway.Tests.Tls;

/// <summary>What can be wrong with the files of TLS, and the names of cipher suites.</summary>
public sealed class TlsCertificatesTests : IDisposable
{
    private readonly TestCertificates _certificates = new();

    public void Dispose() => _certificates.Dispose();

    [Fact]
    public void WhatIsWrongIsNamed()
    {
        string nothing = Path.Combine(_certificates.Folder, "none.pem");
        AssertRefused(o => o with { ChainFile = null }, "Error loading the certificate chain: TLS needs a certificate, -o ssl_chain_cert=FILE");
        AssertRefused(o => o with { ChainFile = nothing }, $"Error loading the certificate chain: {nothing}: no such file");
        AssertRefused(o => o with { ChainFile = _certificates.Folder }, $"Error loading the certificate chain: {_certificates.Folder}: it is a directory");
        AssertRefused(o => o with { ChainFile = o.KeyFile },
            $"Error loading the certificate chain: {_certificates.KeyFile}: no certificate in PEM format in it");
        AssertRefused(o => o with { KeyFile = nothing }, $"Error loading the key: {nothing}: no such file");
        AssertRefused(o => o with { KeyFile = null }, $"Error loading the key: {_certificates.ChainFile}: ");
        AssertRefused(o => o with { KeyFormat = TlsKeyFormat.Der }, $"Error loading the key: {_certificates.KeyFile}: ");
        AssertRefused(o => o with { ClientAuthoritiesFile = nothing }, $"Error loading the CA certificate: {nothing}: no such file");
        AssertRefused(o => o with { Ciphers = "HIGH:!aNULL" }, "Error setting the provided cipher(s): HIGH:!aNULL: \"HIGH\" is not the name of a cipher suite");

        using var other = new TestCertificates();
        AssertRefused(o => o with { KeyFile = other.KeyFile }, $"Error loading the key: {other.KeyFile}: ");
    }

    [Fact]
    public void KeysInDerFormatAndInTheChainsFileAreTaken()
    {
        using var key = ECDsa.Create();
        key.ImportFromPem(File.ReadAllText(_certificates.KeyFile));
        string der = Path.Combine(_certificates.Folder, "server.der");
        File.WriteAllBytes(der, key.ExportPkcs8PrivateKey());
        _certificates.Load(o => o with { KeyFile = der, KeyFormat = TlsKeyFormat.Der });
        File.WriteAllBytes(der, key.ExportECPrivateKey());
        _certificates.Load(o => o with { KeyFile = der, KeyFormat = TlsKeyFormat.Der });
        File.AppendAllText(_certificates.ChainFile, "\n" + File.ReadAllText(_certificates.KeyFile));
        _certificates.Load(o => o with { KeyFile = null });
    }

    /// <summary>So is the key that Go's own library tests with.</summary>
    [Fact]
    public void AKeyInTheGeneralFormatUnderTheLabelOfAnotherIsTaken()
    {
        using var rsa = RSA.Create(2048);
        var request = new CertificateRequest("CN=rsa", rsa, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
        using X509Certificate2 certificate = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddHours(-1), DateTimeOffset.UtcNow.AddHours(1));
        File.WriteAllText(_certificates.ChainFile, certificate.ExportCertificatePem());
        File.WriteAllText(_certificates.KeyFile, new string(PemEncoding.Write("RSA PRIVATE KEY", rsa.ExportPkcs8PrivateKey())));
        _certificates.Load();
        File.WriteAllText(_certificates.KeyFile, new string(PemEncoding.Write("RSA PRIVATE KEY", [1, 2, 3])));
        AssertRefused(o => o, $"Error loading the key: {_certificates.KeyFile}: ");
    }

    [Theory]
    [InlineData("ECDHE-RSA-AES128-GCM-SHA256", TlsCipherSuite.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256)]
    [InlineData("ECDHE-ECDSA-CHACHA20-POLY1305", TlsCipherSuite.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256)]
    [InlineData("DHE-RSA-AES256-GCM-SHA384", TlsCipherSuite.TLS_DHE_RSA_WITH_AES_256_GCM_SHA384)]
    [InlineData("ECDHE-RSA-AES256-SHA384", TlsCipherSuite.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384)]
    [InlineData("AES128-SHA", TlsCipherSuite.TLS_RSA_WITH_AES_128_CBC_SHA)]
    [InlineData("AES256-GCM-SHA384", TlsCipherSuite.TLS_RSA_WITH_AES_256_GCM_SHA384)]
    [InlineData("ECDHE-ECDSA-AES128-CCM8", TlsCipherSuite.TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8)]
    [InlineData("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", TlsCipherSuite.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256)]
    public void SuitesHaveOpenSslsAndIanasNames(string name, TlsCipherSuite suite) => Assert.Equal(suite, CipherNames.Parse(name, out _)![^1]);

    private void AssertRefused(Func<TlsOptions, TlsOptions> configure, string start)
    {
        string message = Assert.Throws<GatewayStartException>(() => _certificates.Load(configure)).Message;
        Assert.StartsWith(start, message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', message);
    }
}
