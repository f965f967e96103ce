using System.Net;
using System.Net.Sockets;
using OrleansCache.Gateway;
using OrleansCache.Gateway.Options;
using OrleansCache.Silo.Options;

namespace OrleansCache.Silo.Hosting;

/// <summary>From the options to the gateway: addresses resolved, failures in memcached's words.</summary>
internal static class GatewaySetup
{
    public static GatewayOptions Options(ServeOptions options) => new()
    {
        Listeners = options.SocketPath is null ? Resolve(options) : [],
        UdpEndPoints = options.SocketPath is null && options.UdpPort != 0 ? ResolveUdp(options) : [],
        Protocol = SecurityChecks.Protocol(options, null),
        UnixSocketPath = options.SocketPath,
        UnixSocketMode = options.SocketMode,
        Threads = options.Threads,
        ConnectionsMax = options.ConnectionsMax,
        ReservedDescriptors = options.ReservedDescriptors,
        BufferBytesMax = options.ReadBufferBytesMax > 0 ? options.ReadBufferBytesMax : Math.Max(Limits.BufferBytesDefault, 2 * options.ItemBytesMax),
        ItemBytesMax = (int)options.ItemBytesMax,
        IdleTimeoutSeconds = options.IdleTimeoutSeconds,
        Transport = options.Transport switch
        {
            TransportChoice.Epoll => TransportKind.Epoll,
            TransportChoice.Pipelines => TransportKind.Pipelines,
            _ => TransportKind.Auto,
        },
        FlushEnabled = options.FlushEnabled,
        RequestsPerEvent = options.RequestsPerTurnMax,
        Backlog = options.Backlog,
        Verbosity = options.Verbosity,
        PrefixDelimiter = options.PrefixDelimiter,
        DetailEnabled = options.DetailEnabled,
        DumpingEnabled = options.DumpingEnabled,
        WatchEnabled = options.WatchEnabled,
        WatcherLogBytesMax = (int)options.WatcherLogBytesMax,
        WorkerLogBytesMax = (int)options.WorkerLogBytesMax,
        TrackSizes = options.TrackSizes,
        Lru = options.Lru,
        Settings = Settings(options),
    };

    /// <summary>memcached's sentence for a listener that cannot be opened, and the port, which memcached leaves out when -l is given.</summary>
    public static StartException Failure(ServeOptions options, GatewayStartException exception)
    {
        string reason = Reason(exception) ?? exception.Message;
        (string transport, int port) = exception.IsUdp ? ("UDP", options.UdpPort) : ("TCP", options.Port);
        string what = options.SocketPath is not null ? $"failed to listen on UNIX socket: {options.SocketPath}"
            : options.Listen is not null
                ? $"failed to listen on one of interface(s) {options.Listen}" + (port > 0 ? Values.Invariant($", {transport} port {port}") : "")
            : Values.Invariant($"failed to listen on {transport} port {port}");
        return new StartException(ExitCode.OperatingSystem, $"{what}: {reason}", exception);
    }

    /// <summary>What `stats settings` shows of the parts that the gateway does not see.</summary>
    private static List<KeyValuePair<string, string>> Settings(ServeOptions options) =>
    [
        new("evictions", options.NoEviction ? "off" : "on"),
        new("growth_factor", Values.Invariant($"{options.GrowthFactor:F2}")),
        new("chunk_size", Values.Invariant($"{options.ChunkBytesMin}")),
        new("cas_enabled", options.NoCas ? "no" : "yes"),
        new("inter", options.Listen ?? "127.0.0.1"),
        new("umask", Convert.ToString(options.SocketMode, 8)),
        new("domain_socket", options.SocketPath ?? "NULL"),
        new("num_napi_ids", Values.Invariant($"{options.NapiIds}")),
        new("auth_enabled_sasl", options.SaslEnabled ? "yes" : "no"),
        new("auth_enabled_ascii", options.AuthFile ?? "no"),
        new("memory_file", options.MemoryFilePath ?? "(null)"),
        new("partitions", Values.Invariant($"{options.PartitionCount}")),
    ];

    private static string? Reason(Exception exception)
    {
        for (Exception? cause = exception; cause is not null; cause = cause.InnerException)
        {
            if (cause is SocketException socket)
                return socket.SocketErrorCode == SocketError.AddressAlreadyInUse ? "Address already in use" : socket.Message;
        }

        // The gateway's own sentence names the place first; ours has named it already.
        int end = exception.Message.IndexOf(": ", StringComparison.Ordinal);
        return exception.Message.StartsWith("cannot listen on ", StringComparison.Ordinal) && end > 0 ? exception.Message[(end + 2)..] : null;
    }

    private static List<ListenerOptions> Resolve(ServeOptions options)
    {
        var endPoints = new List<ListenerOptions>();
        string text = options.Listen ?? "127.0.0.1";
        if (!ListenSpec.TryParse(text, options.Port, out List<ListenSpec> listeners, out string? error))
            throw StartException.Usage(error!);
        foreach (ListenSpec listener in listeners)
        {
            // -p 0 switches TCP off except where -l names a port itself; port -1 has become 0, "any", by now.
            if (options.Port == 0 && listener.Port == 0)
                continue;
            foreach (IPAddress address in Addresses(listener.Host, text))
            {
                var endPoint = new ListenerOptions(new IPEndPoint(address, listener.Port))
                {
                    Protocol = SecurityChecks.Protocol(options, listener.Protocol),
                    Tls = options.TlsEnabled ? listener.Tls ?? TlsMode.On : TlsMode.Off,
                    Tag = listener.Tag,
                };
                if (!endPoints.Exists(other => other.EndPoint.Equals(endPoint.EndPoint)))
                    endPoints.Add(endPoint);
            }
        }

        return endPoints;
    }

    /// <summary>memcached's rule: the addresses of -l; a port that one of them names counts for UDP too.</summary>
    private static List<IPEndPoint> ResolveUdp(ServeOptions options)
    {
        string text = options.Listen ?? "127.0.0.1";
        if (!ListenSpec.TryParse(text, options.UdpPort, out List<ListenSpec> listeners, out string? error))
            throw StartException.Usage(error!);
        return [.. listeners.SelectMany(listener => Addresses(listener.Host, text).Select(address => new IPEndPoint(address, listener.Port))).Distinct()];
    }

    private static IPAddress[] Addresses(string? host, string text)
    {
        if (host is not null && IPAddress.TryParse(host, out IPAddress? literal))
            return [literal];
        IPAddress[] found;
        try
        {
            found = host is null ? [IPAddress.Any, IPAddress.IPv6Any] : Dns.GetHostAddresses(host);
        }
        catch (Exception exception) when (exception is SocketException or ArgumentException)
        {
            throw new StartException(ExitCode.OperatingSystem, $"failed to listen on one of interface(s) {text}: {host}: {exception.Message}", exception);
        }

        // A name may stand for addresses that this machine cannot use (::1 without IPv6): one that works is enough, as for memcached.
        IPAddress[] usable = [.. found.Where(IsUsable)];
        return usable.Length > 0 ? usable : found;
    }

    private static bool IsUsable(IPAddress address)
    {
        try
        {
            using var probe = new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
            probe.Bind(new IPEndPoint(address, 0));
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }
}
