using System.Net;
using System.Net.Sockets;

namespace OrleansCache.Grains.Hosting;

/// <summary>
/// One port, one owner. Orleans's listener lets others share its port (.NET's ReuseAddress is SO_REUSEADDR and SO_REUSEPORT on Linux), so two silos could
/// listen at one address without noticing each other. Before Orleans listens, this looks whether anybody does, and on Linux it also holds a name in the
/// abstract socket namespace, which is the network's as ports are, and goes with the process: so two that start at the same moment do not both find the
/// port free.
/// </summary>
internal sealed class PortClaim : IDisposable
{
    private readonly Socket? _name;

    private PortClaim(Socket? name) => _name = name;

    /// <summary>Throws <see cref="ClusterStartException"/> if the port is somebody's, or the address not this machine's.</summary>
    /// <param name="endPoint">Where Orleans will listen.</param>
    /// <param name="what">What listens there, for the message.</param>
    public static PortClaim Take(IPEndPoint endPoint, string what)
    {
        Socket? name = null;
        try
        {
            if (OperatingSystem.IsLinux())
            {
                name = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
                name.Bind(new UnixDomainSocketEndPoint($"\0orleanscache-port-{endPoint}"));
            }

            using Socket probe = Listen(endPoint);
            return new PortClaim(name);
        }
        catch (SocketException exception)
        {
            name?.Dispose();
            string hint = exception.SocketErrorCode == SocketError.AddressNotAvailable
                ? " (--silo-listen says at which address of this machine to listen)" : "";
            throw new ClusterStartException($"{what} cannot listen at {endPoint}: {exception.Message}{hint}", exception);
        }
    }

    /// <summary>A listener that shares its port with nobody.</summary>
    public static Socket Listen(IPEndPoint endPoint)
    {
        Socket socket = new(endPoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            socket.Bind(endPoint);
            socket.Listen(64);
            return socket;
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    public void Dispose() => _name?.Dispose();
}
