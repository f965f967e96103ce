using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace OrleansCache.Client.Gateways;

/// <summary>Where a gateway is, as it was written: its address is looked up again for every connection.</summary>
internal sealed record GatewayEndPoint
{
    private const int PortDefault = 11211;
    private const string UnixScheme = "unix:";

    private GatewayEndPoint(string host, int port)
    {
        Host = host;
        Port = port;
    }

    /// <summary>A name or address, or the path of a UNIX socket.</summary>
    public string Host { get; }

    /// <summary>0: a UNIX socket.</summary>
    public int Port { get; }

    public bool IsUnixSocket => Port == 0;

    public EndPoint EndPoint => IsUnixSocket ? new UnixDomainSocketEndPoint(Host)
        : IPAddress.TryParse(Host, out IPAddress? address) ? new IPEndPoint(address, Port)
        : new DnsEndPoint(Host, Port);

    /// <summary>Reads host, host:port, [ipv6]:port, an IPv6 address or unix:/path.</summary>
    public static bool TryParse(string text, out GatewayEndPoint? endPoint)
    {
        endPoint = null;
        text = text.Trim();
        if (text.StartsWith(UnixScheme, StringComparison.Ordinal))
        {
            string path = text[UnixScheme.Length..];
            endPoint = path.Length is > 0 and < 100 ? new GatewayEndPoint(path, 0) : null;
            return endPoint is not null;
        }

        string host = text;
        int port = PortDefault;
        int colon = text.LastIndexOf(':');
        bool isBareIPv6 = text.Count(character => character == ':') > 1 && !text.Contains(']', StringComparison.Ordinal);
        if (colon >= 0 && colon > text.LastIndexOf(']') && !isBareIPv6)
        {
            host = text[..colon];
            if (!int.TryParse(text.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out port) || port is 0 or > IPEndPoint.MaxPort)
                return false;
        }

        if (host.StartsWith('[') && host.EndsWith(']'))
            host = host[1..^1];
        if (Uri.CheckHostName(host) == UriHostNameType.Unknown)
            return false;
        endPoint = new GatewayEndPoint(host, port);
        return true;
    }

    public static GatewayEndPoint Of(string host, int port) => new(host, port);

    public override string ToString() => IsUnixSocket ? UnixScheme + Host
        : string.Create(CultureInfo.InvariantCulture, $"{(Host.Contains(':', StringComparison.Ordinal) ? $"[{Host}]" : Host)}:{Port}");
}
