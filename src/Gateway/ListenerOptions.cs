using System.Net;

namespace OrleansCache.Gateway;

/// <summary>Which of memcached's protocols a connection speaks.</summary>
public enum WireProtocol
{
    /// <summary>The connection's first byte decides: 0x80 is binary, everything else text.</summary>
    Auto = 0,

    /// <summary>Classic text and meta commands.</summary>
    Ascii,

    Binary,
}

/// <summary>One place to listen by TCP; what its connections may speak.</summary>
/// <param name="EndPoint">Port 0 takes a free one.</param>
public sealed record ListenerOptions(IPEndPoint EndPoint)
{
    /// <summary>-B, or proto[...] of -l.</summary>
    public WireProtocol Protocol { get; init; }

    /// <summary>-Z, unless -l says notls.</summary>
    public bool Tls { get; init; }

    /// <summary>tag[...] of -l; `stats conns` and logs may show it.</summary>
    public string Tag { get; init; } = "";
}
