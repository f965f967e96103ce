using System.Security.Cryptography.X509Certificates;

namespace OrleansCache.Client;

/// <summary>How to reach the cache, and what is bounded. All of it can stand in a configuration section, except the certificates as objects.</summary>
public sealed class OrleansCacheOptions
{
    /// <summary>
    /// Gateways: <c>host</c>, <c>host:port</c>, <c>[ipv6]:port</c> or <c>unix:/path</c>; port 11211 unless said otherwise. Every gateway serves every key, so
    /// one is enough; with several the others take over when one is lost. Each client begins at another one, which spreads clients over gateways.
    /// </summary>
    public IList<string> EndPoints { get; } = [];

    /// <summary>
    /// Asks the gateways for the list of all gateways (<c>config get cluster</c>) and follows it: silos that join are used, silos that leave are left before
    /// they close. The addresses that silos advertise must be reachable from here. <see cref="EndPoints"/> remain for when none of the list answers.
    /// </summary>
    public bool Discover { get; set; }

    /// <summary>How often the list is asked for, and connections are spread over gateways again.</summary>
    public TimeSpan DiscoveryInterval { get; set; } = TimeSpan.FromSeconds(30);

    /// <summary>
    /// Connections in all, spread over the gateways. All callers share them: one carries some 100,000 operations a second. A second one lets small values pass
    /// large ones, and serves while the first is replaced.
    /// </summary>
    public int Connections { get; set; } = 2;

    /// <summary>Time for connecting, TLS handshake and login together.</summary>
    public TimeSpan ConnectTimeout { get; set; } = TimeSpan.FromSeconds(5);

    /// <summary>Time for one operation, all its tries included.</summary>
    public TimeSpan OperationTimeout { get; set; } = TimeSpan.FromSeconds(5);

    /// <summary>A gateway that did not answer is tried again after this time, then twice as long, and so on up to <see cref="ReconnectDelayMax"/>.</summary>
    public TimeSpan ReconnectDelayMin { get; set; } = TimeSpan.FromMilliseconds(100);

    public TimeSpan ReconnectDelayMax { get; set; } = TimeSpan.FromSeconds(10);

    /// <summary>Operations of one connection that may wait for replies; more fail at once with <see cref="OrleansCacheError.Busy"/>.</summary>
    public int PendingOperationsMax { get; set; } = 32_768;

    /// <summary>Bytes of one connection that may wait to be sent; more fail at once in the same way. One value may exceed it.</summary>
    public int PendingBytesMax { get; set; } = 64 * 1024 * 1024;

    /// <summary>Larger values are refused before they are sent, and a reply with a larger one is taken for damage. The server has its own limit (-I).</summary>
    public int ValueBytesMax { get; set; } = 128 * 1024 * 1024;

    /// <summary>
    /// Stands before every key: applications that share a cache choose different ones. At most 100 bytes of UTF-8, no spaces or control characters.
    /// </summary>
    public string KeyPrefix { get; set; } = "";

    /// <summary>Logs in (<c>-Y</c> at the server) as this user. Without TLS the password crosses the network as it is.</summary>
    public string? User { get; set; }

    public string? Password { get; set; }

    /// <summary>Speaks TLS (<c>-Z</c> at the server).</summary>
    public bool UseTls { get; set; }

    /// <summary>The name that the server's certificate must have; null: the host of the end point.</summary>
    public string? TlsHost { get; set; }

    /// <summary>PEM file of the authorities that vouch for the server's certificate; null: those of the system.</summary>
    public string? TlsAuthorityFile { get; set; }

    /// <summary>The same, as certificates; both count.</summary>
    public X509Certificate2Collection TlsAuthorities { get; } = [];

    /// <summary>PEM files of the client's certificate and key, where the server demands one; the key may stand in the certificate's file.</summary>
    public string? TlsCertificateFile { get; set; }

    public string? TlsKeyFile { get; set; }

    /// <summary>The same, as a certificate with its key.</summary>
    public X509Certificate2? TlsCertificate { get; set; }
}
