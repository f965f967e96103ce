using System.Net;
using System.Net.Sockets;

namespace OrleansCache.Conformance;

/// <summary>
/// Hands out TCP ports that nobody listens on, below the range that the kernel gives to outgoing connections. Test projects run beside each other, and a port
/// may be taken between the probe and its use: so each process has a block of its own, on Linux, where a name in the abstract socket namespace says whose
/// it is and goes with the process.
/// </summary>
public static class TestPorts
{
    private const int First = 25000;
    private const int Count = 1000;
    private const int BlockCount = 10;
    private const int AdjacentMax = 10;

    /// <summary>The claim is held for as long as the process lives.</summary>
    private static readonly (Socket? Claim, int First, int Count) s_block = ClaimBlock();

    private static int s_next = Random.Shared.Next(s_block.Count);

    public static int Next() => Next(1);

    /// <summary>The first of <paramref name="adjacent"/> free ports that follow each other.</summary>
    public static int Next(int adjacent)
    {
        for (int attempt = 0; attempt < s_block.Count; attempt++)
        {
            // The same modulus for all, so that no two callers of a round get the same port; a few ports at the end stay for the neighbours.
            int port = s_block.First + (int)((uint)(Interlocked.Add(ref s_next, adjacent) - adjacent) % (s_block.Count - AdjacentMax));
            if (Enumerable.Range(port, adjacent).All(IsFree))
                return port;
        }

        throw new InvalidOperationException($"No free port between {s_block.First} and {s_block.First + s_block.Count - 1}");
    }

    /// <summary>All ports where there are no such names, or more processes than blocks.</summary>
    private static (Socket? Claim, int First, int Count) ClaimBlock()
    {
        for (int block = 0; OperatingSystem.IsLinux() && block < BlockCount; block++)
        {
            Socket claim = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            try
            {
                claim.Bind(new UnixDomainSocketEndPoint($"\0orleanscache-test-ports-{block}"));
                return (claim, First + (block * Count / BlockCount), Count / BlockCount);
            }
            catch (SocketException)
            {
                claim.Dispose();
            }
        }

        return (null, First, Count);
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
