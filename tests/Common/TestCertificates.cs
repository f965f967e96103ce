using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace OrleansCache.Testing;

/// <summary>
/// A folder with an authority (ca.pem), a certificate for a server on 127.0.0.1 (server.pem, server.key) and one for a client (client.pem, client.key),
/// and the same of an authority that nobody trusts (other-ca.pem, other-client.pem, other-client.key).
/// </summary>
internal sealed class TestCertificates : IDisposable
{
    private readonly X509Certificate2 _authority;
    private readonly X509Certificate2 _otherAuthority;

    public TestCertificates()
    {
        // memcached reads the files as another user.
        if (!OperatingSystem.IsWindows())
        {
            File.SetUnixFileMode(
                Folder,
                File.GetUnixFileMode(Folder) | UnixFileMode.GroupRead | UnixFileMode.GroupExecute | UnixFileMode.OtherRead | UnixFileMode.OtherExecute);
        }

        _authority = WriteAuthority("ca");
        _otherAuthority = WriteAuthority("other-ca");
        WriteServer("first");
        Write(_authority, "client", "client");
        Write(_otherAuthority, "other-client", "stranger");
        Client = Load("client");
        Stranger = Load("other-client");
    }

    public string Folder { get; } = Directory.CreateTempSubdirectory("orleanscache-test-").FullName;

    public string ChainFile => Path("server.pem");

    public string KeyFile => Path("server.key");

    public string AuthorityFile => Path("ca.pem");

    public X509Certificate2 Client { get; }

    /// <summary>The client's certificate of the other authority.</summary>
    public X509Certificate2 Stranger { get; }

    /// <summary>What -o needs for the server's certificate.</summary>
    public string ServerOptions => $"ssl_chain_cert={ChainFile},ssl_key={KeyFile}";

    public string Path(string name) => System.IO.Path.Combine(Folder, name);

    /// <summary>Replaces the server's certificate by another, of CN=<paramref name="name"/>.</summary>
    public void WriteServer(string name) => Write(_authority, "server", name);

    public void Dispose()
    {
        Client.Dispose();
        Stranger.Dispose();
        _authority.Dispose();
        _otherAuthority.Dispose();
        Directory.Delete(Folder, recursive: true);
    }

    private static CertificateRequest Request(string name, ECDsa key, bool isAuthority)
    {
        var request = new CertificateRequest($"CN={name}", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(isAuthority, false, 0, true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(
            isAuthority ? X509KeyUsageFlags.KeyCertSign | X509KeyUsageFlags.CrlSign : X509KeyUsageFlags.DigitalSignature, true));
        request.CertificateExtensions.Add(new X509SubjectKeyIdentifierExtension(request.PublicKey, false));
        return request;
    }

    private X509Certificate2 WriteAuthority(string file)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        X509Certificate2 certificate = Request($"test {file}", key, isAuthority: true)
            .CreateSelfSigned(DateTimeOffset.UtcNow.AddHours(-2), DateTimeOffset.UtcNow.AddHours(2));
        File.WriteAllText(Path(file + ".pem"), certificate.ExportCertificatePem());
        return certificate;
    }

    private void Write(X509Certificate2 authority, string file, string name)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        CertificateRequest request = Request(name, key, isAuthority: false);
        var names = new SubjectAlternativeNameBuilder();
        names.AddIpAddress(IPAddress.Loopback);
        names.AddDnsName("localhost");
        request.CertificateExtensions.Add(names.Build());
        request.CertificateExtensions.Add(X509AuthorityKeyIdentifierExtension.CreateFromCertificate(authority, true, false));
        using X509Certificate2 certificate = request.Create(
            authority, DateTimeOffset.UtcNow.AddHours(-1), DateTimeOffset.UtcNow.AddHours(1), RandomNumberGenerator.GetBytes(8));
        File.WriteAllText(Path(file + ".pem"), certificate.ExportCertificatePem());
        File.WriteAllText(Path(file + ".key"), key.ExportPkcs8PrivateKeyPem());
    }

    private X509Certificate2 Load(string file) => X509Certificate2.CreateFromPemFile(Path(file + ".pem"), Path(file + ".key"));
}
