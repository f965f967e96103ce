using System.Net;
using System.Net.Sockets;

namespace OrleansCache.Gateway.Transports;

/// <summary>memcached's way to write an address in `stats conns`.</summary>
internal static class ConnectionName
{
    public static string Of(EndPoint? endPoint) => endPoint switch
    {
        IPEndPoint { AddressFamily: AddressFamily.InterNetworkV6 } ip => $"tcp6:{ip}",
        IPEndPoint ip => $"tcp:{ip}",
        UnixDomainSocketEndPoint unix => $"unix:{unix}",
        null => "<unknown>",
        _ => endPoint.ToString() ?? "<unknown>",
    };
}
