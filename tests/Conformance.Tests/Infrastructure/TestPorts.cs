using System.Net;
using System.Net.Sockets;

namespace OrleansCache.Conformance;

/// <summary>
/// Hands out TCP ports that nobody listens on, below the range that the kernel gives to outgoing connections. Another process may still take a port between
/// the probe and its use: whoever starts a server tries again with the next one.
/// </summary>
public static class TestPorts
{
    private const int First = 25000;
    private const int Count = 1000;
    private const int AdjacentMax = 10;

    private static int s_next = Random.Shared.Next(Count);

    public static int Next() => Next(1);

    /// <summary>The first of <paramref name="adjacent"/> free ports that follow each other.</summary>
    public static int Next(int adjacent)
    {
        for (int attempt = 0; attempt < Count; attempt++)
        {
            // The same modulus for all, so that no two callers of a round get the same port; a few ports at the end stay for the neighbours.
            int port = First + (int)((uint)(Interlocked.Add(ref s_next, adjacent) - adjacent) % (Count - AdjacentMax));
            if (Enumerable.Range(port, adjacent).All(IsFree))
                return port;
        }
        throw new InvalidOperationException($"No free port between {First} and {First + Count - 1}");
    }

    private static bool IsFree(int port)
    {
        using var probe = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            probe.Bind(new IPEndPoint(IPAddress.Loopback, port));
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }
}
