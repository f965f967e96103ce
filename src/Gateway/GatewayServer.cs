using System.Net;
using Microsoft.Extensions.Logging;
using OrleansCache.Gateway.Epoll;
using OrleansCache.Gateway.Options;
using OrleansCache.Gateway.Pipelines;
using OrleansCache.Gateway.Stats;
using OrleansCache.Gateway.Tls;
using OrleansCache.Gateway.Transports;

namespace OrleansCache.Gateway;

/// <summary>
/// A gateway: listens, and serves memcached's protocol through an <see cref="IPartitionRouter"/>. Start it once, stop it once.
/// </summary>
public sealed partial class GatewayServer : IAsyncDisposable
{
    private readonly GatewayShared _shared;
    private readonly List<GatewayTransport> _transports = [];

    public GatewayServer(GatewayOptions options, IPartitionRouter router, ILoggerFactory loggerFactory, TimeProvider timeProvider)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(router);
        ArgumentNullException.ThrowIfNull(loggerFactory);
        ArgumentNullException.ThrowIfNull(timeProvider);
        _shared = new GatewayShared(options, router, loggerFactory, timeProvider);
        bool epoll = options.Transport == TransportKind.Epoll || (options.Transport == TransportKind.Auto && EpollTransport.IsSupported);
        if (!epoll)
        {
            _transports.Add(new PipelinesTransport(_shared, options.Listeners, isAlone: true));
            return;
        }

        ListenerOptions[] plain = [.. options.Listeners.Where(static l => l.Tls == TlsMode.Off)];
        ListenerOptions[] tls = [.. options.Listeners.Where(static l => l.Tls != TlsMode.Off)];
        if (plain.Length > 0 || options.UnixSocketPath is not null || options.UdpEndPoints.Count > 0)
            _transports.Add(new EpollTransport(_shared, plain));
        if (tls.Length > 0)
            _transports.Add(new PipelinesTransport(_shared, tls, isAlone: false));
    }

    /// <summary>Where it listens, with the real ports where 0 was asked for. Valid after <see cref="StartAsync"/>.</summary>
    public IReadOnlyList<EndPoint> EndPoints { get; private set; } = [];

    /// <summary>Where it answers datagrams, in the same way.</summary>
    public IReadOnlyList<IPEndPoint> UdpEndPoints => _shared.UdpEndPoints;

    internal GatewayShared Shared => _shared;

    /// <summary>
    /// Ends, with a sentence, if an I/O loop has failed: its connections are lost and it cannot take new ones. The process should end then, so that the
    /// supervisor that watches it starts it again.
    /// </summary>
    public Task<string> Failure => _shared.Failure;

    /// <summary>A fresh snapshot.</summary>
    public GatewayStatistics Statistics => _shared.ReadStatistics();

    /// <summary>Listens and serves. Throws <see cref="GatewayStartException"/> for what the operator can mend.</summary>
    public async Task StartAsync(CancellationToken cancellationToken)
    {
        GatewayOptions options = _shared.Options;
        if (options.UdpEndPoints.Count > 0 && (options.TextPasswords is not null || options.SaslPasswords is not null))
            throw new GatewayStartException("UDP cannot be used with authentication: a datagram cannot log in");
        if (_transports.Any(static t => t is EpollTransport) && !EpollTransport.IsSupported)
            throw new GatewayStartException("the epoll transport needs 64-bit Linux");
        if (_shared.Options.Listeners.Any(static l => l.Tls != TlsMode.Off) && _shared.Options.Tls is null)
            throw new GatewayStartException("a listener speaks TLS, and there is no certificate");

        if (_shared.Options.Tls is { } certificates && _shared.Options.Listeners.Any(static l => l.Tls != TlsMode.Off))
            await TlsWarmUp.RunAsync(certificates, cancellationToken).ConfigureAwait(false);

        var found = new Dictionary<GatewayTransport, Queue<EndPoint>>();
        try
        {
            foreach (GatewayTransport transport in _transports)
                found.Add(transport, new Queue<EndPoint>(await transport.StartAsync(cancellationToken).ConfigureAwait(false)));
        }
        catch
        {
            foreach (GatewayTransport transport in found.Keys)
                await transport.DisposeAsync().ConfigureAwait(false);
            throw;
        }

        // Each transport tells its places in the order of the options; here they come together in that order again, the UNIX socket behind them.
        GatewayTransport? plain = _transports.Find(static t => t is EpollTransport) ?? _transports.Find(static t => t is PipelinesTransport);
        GatewayTransport? tls = _transports.Find(static t => t is PipelinesTransport);
        var endPoints = new List<EndPoint>();
        foreach (ListenerOptions listener in _shared.Options.Listeners)
            endPoints.Add(found[(listener.Tls == TlsMode.Off ? plain : tls)!].Dequeue());
        EndPoints = [.. endPoints, .. _transports.SelectMany(t => found[t])];
        _shared.EndPoints = EndPoints;
        _shared.Listeners = [.. EndPoints.Select(ConnectionName.Of)];
        _shared.ListenerDescriptors = [.. EndPoints.Select(FindDescriptor)];
        _shared.Accepting = true;
    }

    private int FindDescriptor(EndPoint endPoint) =>
        _transports.Select(transport => transport.FindDescriptor(endPoint)).FirstOrDefault(static fd => fd >= 0, 0);

    /// <summary>
    /// Reads certificates and password files again. Null, or what could not be taken over: what was loaded before stays in force then. Either is logged.
    /// </summary>
    public Task<string?> ReloadFilesAsync() => _shared.Files.ReloadAsync();

    /// <summary>
    /// Where clients reach this gateway by TCP: its first listener without TLS, or its first; null if there is none. <paramref name="host"/> is the name to
    /// give them, and <paramref name="address"/> stands for a listener on every address; null: found out.
    /// </summary>
    public GatewayAddress? FindAddress(string? host, IPAddress? address) => GatewayLocation.Find(_shared, host, address);

    /// <summary>What this process counts, by memcached's names; what of it can be added up over silos.</summary>
    public IReadOnlyList<StatisticValue> ReadNodeStatistics() => ClusterText.NodeValues(_shared);

    /// <summary>Closes the listening sockets; open connections are served on.</summary>
    public Task StopAcceptingAsync()
    {
        _shared.Accepting = false;
        return Task.WhenAll(_transports.Select(static t => t.StopAcceptingAsync()));
    }

    /// <summary>
    /// Finishes what is in flight, flushes the replies and closes every connection; after <paramref name="graceTime"/> whatever is left is cut.
    /// </summary>
    public Task StopAsync(TimeSpan graceTime, CancellationToken cancellationToken)
    {
        _shared.Accepting = false;
        return Task.WhenAll(_transports.Select(t => t.StopAsync(graceTime, cancellationToken)));
    }

    public async ValueTask DisposeAsync() => await StopAsync(TimeSpan.Zero, CancellationToken.None).ConfigureAwait(false);
}
