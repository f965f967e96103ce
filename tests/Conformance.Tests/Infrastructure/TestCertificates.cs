using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace OrleansCache.Conformance;

/// <summary>
/// A folder with an authority (ca.pem), a certificate for a server on 127.0.0.1 (server.pem, server.key) and one for a client (client.pem, client.key), and the same of
/// an authority that nobody here trusts (other-ca.pem, other-client.pem, other-client.key).
/// </summary>
internal sealed class TestCertificates : IDisposable
{
    public TestCertificates()
    {
        // memcached reads the files as another user.
        if (!OperatingSystem.IsWindows())
            File.SetUnixFileMode(Folder, File.GetUnixFileMode(Folder) | UnixFileMode.GroupRead | UnixFileMode.GroupExecute | UnixFileMode.OtherRead | UnixFileMode.OtherExecute);
        using X509Certificate2 authority = WriteAuthority("ca");
        using X509Certificate2 other = WriteAuthority("other-ca");
        Write(authority, "server");
        Write(authority, "client");
        Write(other, "other-client");
    }

    public string Folder { get; } = Directory.CreateTempSubdirectory("orleanscache-test-").FullName;

    /// <summary>What -o needs for the server's certificate.</summary>
    public string ServerOptions => $"ssl_chain_cert={Path("server.pem")},ssl_key={Path("server.key")}";

    public string Path(string name) => System.IO.Path.Combine(Folder, name);

    public void Dispose() => Directory.Delete(Folder, recursive: true);

    private static CertificateRequest Request(string name, ECDsa key, bool isAuthority)
    {
        var request = new CertificateRequest($"CN=orleanscache test {name}", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(isAuthority, false, 0, true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(
            isAuthority ? X509KeyUsageFlags.KeyCertSign | X509KeyUsageFlags.CrlSign : X509KeyUsageFlags.DigitalSignature, true));
        request.CertificateExtensions.Add(new X509SubjectKeyIdentifierExtension(request.PublicKey, false));
        return request;
    }

    private X509Certificate2 WriteAuthority(string name)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        X509Certificate2 certificate = Request(name, key, isAuthority: true).CreateSelfSigned(DateTimeOffset.UtcNow.AddHours(-2), DateTimeOffset.UtcNow.AddHours(2));
        File.WriteAllText(Path(name + ".pem"), certificate.ExportCertificatePem());
        return certificate;
    }

    private void Write(X509Certificate2 authority, string name)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        CertificateRequest request = Request(name, key, isAuthority: false);
        var names = new SubjectAlternativeNameBuilder();
        names.AddIpAddress(IPAddress.Loopback);
        names.AddDnsName("localhost");
        request.CertificateExtensions.Add(names.Build());
        request.CertificateExtensions.Add(X509AuthorityKeyIdentifierExtension.CreateFromCertificate(authority, true, false));
        using X509Certificate2 certificate = request.Create(authority, DateTimeOffset.UtcNow.AddHours(-1), DateTimeOffset.UtcNow.AddHours(1), RandomNumberGenerator.GetBytes(8));
        File.WriteAllText(Path(name + ".pem"), certificate.ExportCertificatePem());
        File.WriteAllText(Path(name + ".key"), key.ExportPkcs8PrivateKeyPem());
    }
}
