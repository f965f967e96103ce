using System.Net;
using System.Net.Sockets;

namespace OrleansCache.Gateway.Transports;

/// <summary>What can be wrong with an address to listen on, said to a person.</summary>
internal static class ListenErrors
{
    private const int UnixPathBytesMax = 107;

    public static GatewayStartException Describe(EndPoint endPoint, Exception failure) => failure switch
    {
        GatewayStartException known => known,
        SocketException { SocketErrorCode: SocketError.AddressAlreadyInUse } => new GatewayStartException(
            endPoint is IPEndPoint ip ? $"cannot listen on {ip}: port {ip.Port} is in use" : $"cannot listen on {endPoint}: it is in use", failure),
        SocketException { SocketErrorCode: SocketError.AddressNotAvailable } =>
            new GatewayStartException($"cannot listen on {endPoint}: this machine has no such address", failure),
        SocketException { SocketErrorCode: SocketError.AccessDenied } =>
            new GatewayStartException($"cannot listen on {endPoint}: permission denied", failure),
        { InnerException: SocketException inner } => Describe(endPoint, inner),
        _ => new GatewayStartException($"cannot listen on {endPoint}: {failure.Message}", failure),
    };

    /// <summary>
    /// Makes way for a UNIX socket: removes a socket file that nobody listens on. Anything else in its place is an error, so that a wrong path costs nobody a
    /// file.
    /// </summary>
    public static void PrepareUnixPath(string path)
    {
        if (System.Text.Encoding.UTF8.GetByteCount(path) is 0 or > UnixPathBytesMax)
            throw new GatewayStartException($"cannot listen on socket '{path}': a path has 1 to {UnixPathBytesMax} bytes");
        string? folder = Path.GetDirectoryName(Path.GetFullPath(path));
        if (!Directory.Exists(folder))
            throw new GatewayStartException($"cannot listen on socket '{path}': no such directory");
        if (Directory.Exists(path))
            throw new GatewayStartException($"cannot listen on socket '{path}': it is a directory");
        if (!File.Exists(path))
            return;
        using (var probe = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified))
        {
            try
            {
                probe.Connect(new UnixDomainSocketEndPoint(path));
                throw new GatewayStartException($"cannot listen on socket '{path}': another server listens on it");
            }
            catch (SocketException failure) when (failure.SocketErrorCode == SocketError.ConnectionRefused && IsSocket(path))
            {
                // Left behind by a server that is gone.
            }
            catch (SocketException failure)
            {
                throw new GatewayStartException($"cannot listen on socket '{path}': the file exists and is no socket that was left behind", failure);
            }
        }

        try
        {
            File.Delete(path);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            throw new GatewayStartException($"cannot listen on socket '{path}': the old socket cannot be removed: {failure.Message}", failure);
        }
    }

    // A socket file is no regular file: it has no length and opening it fails, but its attributes can be read.
    private static bool IsSocket(string path)
    {
        try
        {
            using FileStream file = File.OpenRead(path);
            return false;
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            return true;
        }
    }
}
