using System.Net;
using System.Net.Sockets;
using OrleansCache.Gateway.Transports;

namespace OrleansCache.Gateway.Datagrams;

/// <summary>Opens the UDP sockets of a gateway.</summary>
internal static class DatagramSocket
{
    // As much as the system allows: bursts wait there, in both directions.
    private const int BufferBytes = 4 * 1024 * 1024;

    /// <summary>All or none. Throws <see cref="GatewayStartException"/>.</summary>
    public static List<Socket> Open(IReadOnlyList<IPEndPoint> endPoints)
    {
        var sockets = new List<Socket>();
        foreach (IPEndPoint endPoint in endPoints)
        {
            try
            {
                var socket = new Socket(endPoint.AddressFamily, SocketType.Dgram, ProtocolType.Udp);
                sockets.Add(socket);
                if (endPoint.AddressFamily == AddressFamily.InterNetworkV6)
                    socket.DualMode = false;
                socket.ReceiveBufferSize = BufferBytes;
                socket.SendBufferSize = BufferBytes;
                socket.Bind(endPoint);
                socket.Blocking = false;
            }
            catch (Exception failure)
            {
                foreach (Socket open in sockets)
                    open.Dispose();
                GatewayStartException described = ListenErrors.Describe(endPoint, failure);
                throw new GatewayStartException(described.Message, failure) { IsUdp = true };
            }
        }

        return sockets;
    }

    /// <summary>As `stats conns` writes it.</summary>
    public static string NameOf(Socket socket)
    {
        var endPoint = (IPEndPoint)socket.LocalEndPoint!;
        return $"{(endPoint.AddressFamily == AddressFamily.InterNetworkV6 ? "udp6" : "udp")}:{endPoint}";
    }
}
