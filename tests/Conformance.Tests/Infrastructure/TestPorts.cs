using System.Net;
using System.Net.Sockets;

namespace OrleansCache.Conformance;

/// <summary>
/// Hands out TCP ports that nobody listens on, below the range that the kernel gives to outgoing connections. Another process may still take a port between
/// the probe and its use: <see cref="ServerProcess"/> tries again with the next one.
/// </summary>
public static class TestPorts
{
    private const int First = 25000;
    private const int Count = 1000;

    private static int s_next = Random.Shared.Next(Count);

    public static int Next()
    {
        for (int attempt = 0; attempt < Count; attempt++)
        {
            int port = First + (int)((uint)Interlocked.Increment(ref s_next) % Count);
            using var probe = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            try
            {
                probe.Bind(new IPEndPoint(IPAddress.Loopback, port));
                return port;
            }
            catch (SocketException)
            {
                // Taken: the next one.
            }
        }
        throw new InvalidOperationException($"No free port between {First} and {First + Count - 1}");
    }
}
