using System.Net;
using System.Net.NetworkInformation;
using System.Net.Sockets;
using OrleansCache.Gateway.Options;

namespace OrleansCache.Gateway;

/// <summary>Where clients on other machines find this gateway. Cold: looks at the network's interfaces if it listens on all of them.</summary>
internal static class GatewayLocation
{
    /// <summary>The first listener without TLS (discovery has no word for it), or the first; null if there is none by TCP.</summary>
    public static GatewayAddress? Find(GatewayShared shared, string? host, IPAddress? address)
    {
        IPEndPoint? chosen = null;
        IReadOnlyList<ListenerOptions> listeners = shared.Options.Listeners;
        for (int i = 0; i < listeners.Count && i < shared.EndPoints.Count; i++)
        {
            if (shared.EndPoints[i] is not IPEndPoint endPoint)
                continue;
            if (listeners[i].Tls == TlsMode.Off)
                return Describe(endPoint, host, address);
            chosen ??= endPoint;
        }

        return chosen is null ? null : Describe(chosen, host, address);
    }

    private static GatewayAddress Describe(IPEndPoint endPoint, string? host, IPAddress? address)
    {
        bool isAny = endPoint.Address.Equals(IPAddress.Any) || endPoint.Address.Equals(IPAddress.IPv6Any);
        IPAddress reached = isAny ? address ?? OwnAddress(endPoint.AddressFamily) : endPoint.Address;
        return new GatewayAddress(host ?? reached.ToString(), reached.ToString(), endPoint.Port);
    }

    private static IPAddress OwnAddress(AddressFamily family)
    {
        try
        {
            foreach (NetworkInterface network in NetworkInterface.GetAllNetworkInterfaces())
            {
                if (network.OperationalStatus != OperationalStatus.Up || network.NetworkInterfaceType == NetworkInterfaceType.Loopback)
                    continue;
                foreach (UnicastIPAddressInformation unicast in network.GetIPProperties().UnicastAddresses)
                {
                    if (unicast.Address.AddressFamily == AddressFamily.InterNetwork
                        || (family == AddressFamily.InterNetworkV6 && !unicast.Address.IsIPv6LinkLocal))
                        return unicast.Address;
                }
            }
        }
        catch (NetworkInformationException)
        {
            // Then this machine is all that is known.
        }

        return family == AddressFamily.InterNetworkV6 ? IPAddress.IPv6Loopback : IPAddress.Loopback;
    }
}
