using System.Net;
using Microsoft.Extensions.Logging;
using OrleansCache.Gateway.Epoll;
using OrleansCache.Gateway.Pipelines;

namespace OrleansCache.Gateway;

/// <summary>
/// A gateway: listens, and serves memcached's protocol through an <see cref="IPartitionRouter"/>. Start it once, stop it once.
/// </summary>
public sealed class GatewayServer : IAsyncDisposable
{
    private readonly GatewayShared _shared;
    private readonly GatewayTransport _transport;

    public GatewayServer(GatewayOptions options, IPartitionRouter router, ILoggerFactory loggerFactory, TimeProvider timeProvider)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(router);
        ArgumentNullException.ThrowIfNull(loggerFactory);
        ArgumentNullException.ThrowIfNull(timeProvider);
        _shared = new GatewayShared(options, router, loggerFactory, timeProvider);
        bool epoll = options.Transport == TransportKind.Epoll || (options.Transport == TransportKind.Auto && EpollTransport.IsSupported);
        _transport = epoll ? new EpollTransport(_shared) : new PipelinesTransport(_shared);
    }

    /// <summary>Where it listens, with the real ports where 0 was asked for. Valid after <see cref="StartAsync"/>.</summary>
    public IReadOnlyList<EndPoint> EndPoints { get; private set; } = [];

    /// <summary>Where it answers datagrams, in the same way.</summary>
    public IReadOnlyList<IPEndPoint> UdpEndPoints => _shared.UdpEndPoints;

    /// <summary>A fresh snapshot.</summary>
    public GatewayStatistics Statistics => _shared.ReadStatistics();

    /// <summary>Listens and serves. Throws <see cref="GatewayStartException"/> for what the operator can mend.</summary>
    public async Task StartAsync(CancellationToken cancellationToken)
    {
        GatewayOptions options = _shared.Options;
        if (options.Listeners.Count == 0 && options.UdpEndPoints.Count == 0 && options.UnixSocketPath is null)
            throw new GatewayStartException("nothing to listen on: no TCP or UDP address and no UNIX socket given");
        if (options.UdpEndPoints.Count > 0 && (options.TextPasswords is not null || options.SaslPasswords is not null))
            throw new GatewayStartException("UDP cannot be used with authentication: a datagram cannot log in");
        if (_transport is EpollTransport && !EpollTransport.IsSupported)
            throw new GatewayStartException("the epoll transport needs 64-bit Linux");
        EndPoints = await _transport.StartAsync(cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Closes the listening sockets; open connections are served on.</summary>
    public Task StopAcceptingAsync() => _transport.StopAcceptingAsync();

    /// <summary>Finishes what is in flight, flushes the replies and closes every connection; after <paramref name="graceTime"/> whatever is left is cut.</summary>
    public Task StopAsync(TimeSpan graceTime, CancellationToken cancellationToken) => _transport.StopAsync(graceTime, cancellationToken);

    public ValueTask DisposeAsync() => _transport.DisposeAsync();
}
