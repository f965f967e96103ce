using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using OrleansCache.Gateway.Tls;

namespace OrleansCache.Gateway.Tests.Fakes;

/// <summary>A folder with an authority, a server's certificate and a client's, made for one test.</summary>
internal sealed class TestCertificates : IDisposable
{
    private readonly ECDsa _authorityKey = ECDsa.Create(ECCurve.NamedCurves.nistP256);
    private readonly X509Certificate2 _authority;
    private int _serial;

    public TestCertificates()
    {
        Folder = Directory.CreateTempSubdirectory("orleanscache-tls-").FullName;
        var request = new CertificateRequest("CN=test authority", _authorityKey, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        _authority = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
        File.WriteAllText(AuthorityFile, _authority.ExportCertificatePem());
        WriteServer("first");
        Client = Issue("CN=client", "1.3.6.1.5.5.7.3.2");
    }

    public string Folder { get; }
    public string ChainFile => Path.Combine(Folder, "server.pem");
    public string KeyFile => Path.Combine(Folder, "server.key");
    public string AuthorityFile => Path.Combine(Folder, "ca.pem");
    public X509Certificate2 Client { get; }

    public TlsOptions Options => new() { ChainFile = ChainFile, KeyFile = KeyFile, SessionCache = true };

    /// <summary>Replaces the server's certificate by another with this name.</summary>
    public void WriteServer(string name)
    {
        using X509Certificate2 server = Issue($"CN={name}", "1.3.6.1.5.5.7.3.1");
        File.WriteAllText(ChainFile, server.ExportCertificatePem());
        File.WriteAllText(KeyFile, server.GetECDsaPrivateKey()!.ExportPkcs8PrivateKeyPem());
    }

    public TlsCertificates Load(Func<TlsOptions, TlsOptions>? configure = null) =>
        TlsCertificates.Load(configure?.Invoke(Options) ?? Options, TimeProvider.System);

    /// <summary>A client's certificate of an authority that nobody has heard of.</summary>
    public static X509Certificate2 Stranger()
    {
        using var other = new TestCertificates();
        return other.Issue("CN=stranger", "1.3.6.1.5.5.7.3.2");
    }

    public void Dispose()
    {
        Client.Dispose();
        _authority.Dispose();
        _authorityKey.Dispose();
        Directory.Delete(Folder, recursive: true);
    }

    private X509Certificate2 Issue(string name, string purpose)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest(name, key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([new Oid(purpose)], false));
        var names = new SubjectAlternativeNameBuilder();
        names.AddIpAddress(IPAddress.Loopback);
        request.CertificateExtensions.Add(names.Build());
        using X509Certificate2 issued = request.Create(_authority, DateTimeOffset.UtcNow.AddHours(-1), DateTimeOffset.UtcNow.AddHours(1), [1, (byte)++_serial]);
        return issued.CopyWithPrivateKey(key);
    }
}
