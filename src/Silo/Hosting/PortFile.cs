using System.Net;
using System.Net.Sockets;

namespace OrleansCache.Silo.Hosting;

/// <summary>memcached's MEMCACHED_PORT_FILENAME: where the real ports are written, for scripts that start a server on any free port (-p -1).</summary>
internal static class PortFile
{
    public static void Write(IEnumerable<EndPoint> endPoints, IEnumerable<IPEndPoint> udpEndPoints)
    {
        string? path = Environment.GetEnvironmentVariable("MEMCACHED_PORT_FILENAME");
        if (string.IsNullOrEmpty(path))
            return;
        IEnumerable<string> lines = endPoints.OfType<IPEndPoint>().Select(endPoint => Line("TCP", endPoint))
            .Concat(udpEndPoints.Select(endPoint => Line("UDP", endPoint)));
        try
        {
            File.WriteAllText(path + ".lck", string.Concat(lines));
            File.Move(path + ".lck", path, overwrite: true);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            Console.Error.WriteLine($"Failed to open \"{path}\": {exception.Message}");
        }
    }

    private static string Line(string transport, IPEndPoint endPoint) =>
        $"{transport} {(endPoint.AddressFamily == AddressFamily.InterNetworkV6 ? "INET6" : "INET")}: {endPoint.Port}\n";
}
