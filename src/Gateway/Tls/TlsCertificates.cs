using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using OrleansCache.Gateway.Files;
using OrleansCache.Gateway.Options;

namespace OrleansCache.Gateway.Tls;

/// <summary>
/// The server's certificate, its key and the authorities of client certificates, as they were last read from their files. Each handshake takes what is
/// current when it begins; <see cref="Reload"/> replaces all of it at once or, if anything is wrong with the new files, nothing.
/// </summary>
public sealed class TlsCertificates
{
    private const string ClientAuthenticationPurpose = "1.3.6.1.5.5.7.3.2";

    private readonly TimeProvider _timeProvider;
    private volatile TlsContext _current;

    private TlsCertificates(TlsOptions options, TlsContext first, TimeProvider timeProvider)
    {
        Options = options;
        _current = first;
        _timeProvider = timeProvider;
    }

    public TlsOptions Options { get; }

    internal TlsContext Current => _current;

    /// <summary>Reads the files. Throws <see cref="GatewayStartException"/> with a sentence that names the file and what is wrong with it.</summary>
    public static TlsCertificates Load(TlsOptions options, TimeProvider timeProvider)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(timeProvider);
        TlsContext context = Read(options, timeProvider, out string? error) ?? throw new GatewayStartException(error!);
        return new TlsCertificates(options, context, timeProvider);
    }

    /// <summary>Reads the files again. Null, or why the former certificates stay in force.</summary>
    public string? Reload()
    {
        if (Read(Options, _timeProvider, out string? error) is { } context)
            _current = context;
        return error;
    }

    private static TlsContext? Read(TlsOptions options, TimeProvider timeProvider, out string? error)
    {
        error = null;
        if (options.ChainFile is not { } chainFile)
        {
            error = "Error loading the certificate chain: TLS needs a certificate, -o ssl_chain_cert=FILE";
            return null;
        }

        string step = $"Error loading the certificate chain: {chainFile}";
        try
        {
            string chainText = ReadText(chainFile);
            var chain = new X509Certificate2Collection();
            chain.ImportFromPem(chainText);
            if (chain.Count == 0)
                throw new CryptographicException("no certificate in PEM format in it");

            step = $"Error loading the key: {options.KeyFile ?? chainFile}";
            X509Certificate2 certificate = options.KeyFormat == TlsKeyFormat.Der
                ? WithDerKey(chain[0], options.KeyFile ?? throw new CryptographicException("a key in DER format needs a file of its own, ssl_key"))
                : WithPemKey(chain[0], chainText, options.KeyFile is null ? chainText : ReadText(options.KeyFile));
            chain.RemoveAt(0);

            X509Certificate2Collection authorities = [];
            if (options.ClientAuthoritiesFile is { } authoritiesFile)
            {
                step = $"Error loading the CA certificate: {authoritiesFile}";
                authorities.ImportFromPem(ReadText(authoritiesFile));
                if (authorities.Count == 0)
                    throw new CryptographicException("no certificate in PEM format in it");
            }

            step = $"Error setting the provided cipher(s): {options.Ciphers}";
            CipherSuitesPolicy? ciphers = options.Ciphers is null ? null : Ciphers(options.Ciphers);
            step = $"Error validating the certificate: {chainFile}";
            return new TlsContext(options, certificate, chain, authorities, ciphers, timeProvider.GetUtcNow());
        }
        catch (Exception failure)
            when (failure is CryptographicException or IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            error = $"{step}: {failure.Message.ReplaceLineEndings(" ")}";
            return null;
        }
    }

    private static CipherSuitesPolicy Ciphers(string list)
    {
        IReadOnlyList<TlsCipherSuite> suites = CipherNames.Parse(list, out string unknown)
            ?? throw new CryptographicException($"\"{unknown}\" is not the name of a cipher suite");
        if (OperatingSystem.IsWindows())
            throw new CryptographicException("on Windows the system's policy chooses the suites");
        return new CipherSuitesPolicy(suites);
    }

    /// <summary>Some tools write a key in the general format (PKCS #8) under the label of an RSA or EC key; OpenSSL takes it, and so do we.</summary>
    private static X509Certificate2 WithPemKey(X509Certificate2 certificate, string chainText, string keyText)
    {
        try
        {
            return X509Certificate2.CreateFromPem(chainText, keyText);
        }
        catch (CryptographicException)
        {
            ReadOnlySpan<char> rest = keyText;
            while (PemEncoding.TryFind(rest, out PemFields fields))
            {
                bool isKey = rest[fields.Label] is "RSA PRIVATE KEY" or "EC PRIVATE KEY" or "PRIVATE KEY";
                if (isKey && TryWithKey(certificate, Convert.FromBase64String(rest[fields.Base64Data].ToString())) is { } found)
                    return found;
                rest = rest[fields.Location.End..];
            }

            throw;
        }
    }

    private static X509Certificate2? TryWithKey(X509Certificate2 certificate, byte[] der)
    {
        try
        {
            return WithKey(certificate, der);
        }
        catch (Exception failure) when (failure is CryptographicException or ArgumentException)
        {
            return null;
        }
    }

    private static X509Certificate2 WithDerKey(X509Certificate2 certificate, string path) => WithKey(certificate, ReadBytes(path));

    private static X509Certificate2 WithKey(X509Certificate2 certificate, byte[] der)
    {
        if (certificate.GetRSAPublicKey() is not null)
        {
            using var key = RSA.Create();
            Import(der, key.ImportPkcs8PrivateKey, key.ImportRSAPrivateKey);
            return certificate.CopyWithPrivateKey(key);
        }

        using var curve = ECDsa.Create();
        Import(der, curve.ImportPkcs8PrivateKey, curve.ImportECPrivateKey);
        return certificate.CopyWithPrivateKey(curve);
    }

    private static void Import(byte[] der, DerImport general, DerImport special)
    {
        try
        {
            general(der, out _);
        }
        catch (CryptographicException)
        {
            special(der, out _);
        }
    }

    private delegate void DerImport(ReadOnlySpan<byte> der, out int read);

    private static string ReadText(string path) => Encoding.Latin1.GetString(ReadBytes(path));

    private static byte[] ReadBytes(string path) => BoundedFile.Read(path, Limits.CertificateFileBytesMax);

    /// <summary>What one reading of the files brought; never changes.</summary>
    internal sealed class TlsContext
    {
        // TLS 1.0 and 1.1 by their numbers: their names are marked as obsolete, and so they are, but memcached's option has them.
        private static readonly SslProtocols[] s_versions = [(SslProtocols)192, (SslProtocols)768, SslProtocols.Tls12, SslProtocols.Tls13];

        private readonly SslStreamCertificateContext _certificate;
        private readonly X509Certificate2Collection _authorities;
        private readonly CipherSuitesPolicy? _ciphers;
        private readonly SslProtocols _protocols;
        private readonly int _verifyMode;

        public TlsContext(
            TlsOptions options, X509Certificate2 certificate, X509Certificate2Collection chain, X509Certificate2Collection authorities,
            CipherSuitesPolicy? ciphers,
            DateTimeOffset readAt)
        {
            if (OperatingSystem.IsWindows())
            {
                // Windows' TLS cannot use a key that lives in this process only.
                certificate = X509CertificateLoader.LoadPkcs12(certificate.Export(X509ContentType.Pkcs12), null);
            }

            SslCertificateTrust? trust = authorities.Count == 0
                ? null : SslCertificateTrust.CreateForX509Collection(authorities, sendTrustInHandshake: !OperatingSystem.IsWindows());

            // Offline: nothing is fetched from the places that certificates name.
            _certificate = SslStreamCertificateContext.Create(certificate, chain, offline: true, trust);
            _authorities = authorities;
            _ciphers = ciphers;
            _verifyMode = options.VerifyMode;
            CertificateBytes = certificate.RawData.Length;
            ReadAt = readAt;
            for (int i = options.MinVersion; i < s_versions.Length; i++)
                _protocols |= s_versions[i];
        }

        public DateTimeOffset ReadAt { get; }

        public int CertificateBytes { get; }

        /// <summary>What a handshake on a listener of this mode is done with.</summary>
        public SslServerAuthenticationOptions For(TlsMode mode)
        {
            bool required = mode == TlsMode.ClientCertificate || (mode == TlsMode.On && _verifyMode >= 2);
            bool asks = required || (mode == TlsMode.On && _verifyMode == 1);
            var options = new SslServerAuthenticationOptions
            {
                ServerCertificateContext = _certificate,
                EnabledSslProtocols = _protocols,
                CipherSuitesPolicy = _ciphers,
                ClientCertificateRequired = asks,
                AllowRenegotiation = false,
                CertificateRevocationCheckMode = X509RevocationMode.NoCheck,
            };
            if (!asks)
                return options;

            // Only what ssl_ca_cert holds is trusted, and nothing is fetched; without ssl_ca_cert nothing is trusted.
            var policy = new X509ChainPolicy
            {
                TrustMode = X509ChainTrustMode.CustomRootTrust,
                RevocationMode = X509RevocationMode.NoCheck,
                DisableCertificateDownloads = true,
            };
            policy.CustomTrustStore.AddRange(_authorities);
            policy.ExtraStore.AddRange(_authorities);
            policy.ApplicationPolicy.Add(new Oid(ClientAuthenticationPurpose));
            options.CertificateChainPolicy = policy;
            options.RemoteCertificateValidationCallback = (_, certificate, _, errors) => certificate is null ? !required : errors == SslPolicyErrors.None;
            return options;
        }
    }
}
