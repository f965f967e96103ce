using System.Globalization;
using System.Text;

namespace OrleansCache.Gateway.Transports;

/// <summary>Tells those who watch that connections begin and end. Cold: takes the peer's address from its text.</summary>
internal static class ConnectionEvents
{
    public static void Opened(EventLog events, ConnectionInfo info)
    {
        byte[] address = Read(info, out int port, out ConnectionTransport transport);
        events.ConnectionOpened(address, port, transport, info.Descriptor);
    }

    public static void Closed(EventLog events, ConnectionInfo info)
    {
        byte[] address = Read(info, out int port, out ConnectionTransport transport);
        events.ConnectionClosed(address, port, transport, info.CloseReason, info.Descriptor);
    }

    /// <summary>From the form of <see cref="ConnectionName"/>, such as tcp6:[::1]:11211, to memcached's words.</summary>
    private static byte[] Read(ConnectionInfo info, out int port, out ConnectionTransport transport)
    {
        string text = info.Address;
        int start = text.IndexOf(':', StringComparison.Ordinal) + 1;
        int end = text.LastIndexOf(':');
        port = 0;
        transport = ConnectionTransport.Local;
        if (start == 0 || text.StartsWith("unix", StringComparison.Ordinal))
            return "unix"u8.ToArray();
        transport = text.StartsWith("udp", StringComparison.Ordinal) ? ConnectionTransport.Udp : ConnectionTransport.Tcp;
        if (end >= start && int.TryParse(text.AsSpan(end + 1), NumberStyles.None, CultureInfo.InvariantCulture, out port))
            text = text[start..end];
        else
            text = text[start..];
        return Encoding.ASCII.GetBytes(text.Trim('[', ']'));
    }
}
