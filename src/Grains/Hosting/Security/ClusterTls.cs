using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Orleans.Connections.Security;

namespace OrleansCache.Grains.Hosting.Security;

/// <summary>
/// Mutual TLS between the members of a cluster: each shows a certificate that the cluster's own authority has signed. Names are not compared, because
/// silos find each other by address: what the authority signs is a member, so it should sign nothing else.
/// </summary>
public sealed class ClusterTls : IDisposable
{
    private readonly X509Certificate2 _certificate;
    private readonly X509Certificate2Collection _authorities = [];

    private ClusterTls(X509Certificate2 certificate) => _certificate = certificate;

    /// <summary>Reads PEM files. Throws <see cref="ClusterStartException"/> with a message for the operator.</summary>
    public static ClusterTls Load(string certificateFile, string keyFile, string authorityFile)
    {
        string file = certificateFile;
        try
        {
            ClusterTls tls = new(X509Certificate2.CreateFromPemFile(certificateFile, keyFile));
            file = authorityFile;
            tls._authorities.ImportFromPemFile(authorityFile);
            if (tls._authorities.Count == 0)
                throw new ClusterStartException($"{authorityFile}: holds no certificate") { IsUsage = true };
            return tls;
        }
        catch (Exception exception) when (exception is CryptographicException or IOException or UnauthorizedAccessException)
        {
            throw new ClusterStartException($"{file}: {exception.Message}", exception) { IsUsage = true };
        }
    }

    public void Dispose() => _certificate.Dispose();

    internal void Configure(TlsOptions options)
    {
        options.LocalCertificate = _certificate;
        options.RemoteCertificateMode = RemoteCertificateMode.RequireCertificate;
        options.ClientCertificateMode = RemoteCertificateMode.RequireCertificate;
        options.RemoteCertificateValidation = (certificate, _, _) => IsMember(certificate);
    }

    internal async Task<Stream> ConnectAsync(Stream inner, CancellationToken cancellationToken)
    {
        SslStream stream = new(inner);
        await stream.AuthenticateAsClientAsync(
            new SslClientAuthenticationOptions
            {
                TargetHost = "orleanscache",
                ClientCertificates = [_certificate],
                RemoteCertificateValidationCallback = (_, certificate, _, _) => IsMember(certificate),
            },
            cancellationToken);
        return stream;
    }

    internal async Task<Stream> AcceptAsync(Stream inner, CancellationToken cancellationToken)
    {
        SslStream stream = new(inner);
        await stream.AuthenticateAsServerAsync(
            new SslServerAuthenticationOptions
            {
                ServerCertificate = _certificate,
                ClientCertificateRequired = true,
                RemoteCertificateValidationCallback = (_, certificate, _, _) => IsMember(certificate),
            },
            cancellationToken);
        return stream;
    }

    private bool IsMember(X509Certificate? shown)
    {
        if (shown is not X509Certificate2 certificate)
            return false;
        using X509Chain chain = new();
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        chain.ChainPolicy.CustomTrustStore.AddRange(_authorities);
        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;

        // A stranger's certificate may say where its issuer is to be had from; nobody is asked for what only the cluster's authority may sign.
        chain.ChainPolicy.DisableCertificateDownloads = true;
        return chain.Build(certificate);
    }
}
