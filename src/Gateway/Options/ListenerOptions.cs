using System.Net;

namespace OrleansCache.Gateway.Options;

/// <summary>Which of memcached's protocols a connection speaks.</summary>
public enum WireProtocol
{
    /// <summary>The connection's first byte decides: 0x80 is binary, everything else text.</summary>
    Auto = 0,

    /// <summary>Classic text and meta commands.</summary>
    Ascii,

    Binary,
}

/// <summary>Whether connections begin with a TLS handshake, and whether the client must show a certificate.</summary>
public enum TlsMode
{
    /// <summary>Plain: without -Z, or notls.</summary>
    Off = 0,

    /// <summary>-Z: -o ssl_verify_mode says what becomes of client certificates.</summary>
    On,

    /// <summary>btls: TLS, and no client certificate is asked for.</summary>
    NoClientCertificate,

    /// <summary>mtls: TLS, and the client must show a certificate that ssl_ca_cert vouches for.</summary>
    ClientCertificate,
}

/// <summary>One place to listen by TCP; what its connections may speak.</summary>
/// <param name="EndPoint">Port 0 takes a free one.</param>
public sealed record ListenerOptions(IPEndPoint EndPoint)
{
    /// <summary>-B, or proto[...] of -l.</summary>
    public WireProtocol Protocol { get; init; }

    /// <summary>-Z, unless -l says otherwise for this place.</summary>
    public TlsMode Tls { get; init; }

    /// <summary>tag[...] of -l; `stats conns` and logs may show it.</summary>
    public string Tag { get; init; } = "";
}
