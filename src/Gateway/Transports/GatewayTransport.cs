using System.Net;

namespace OrleansCache.Gateway.Transports;

/// <summary>What carries the sessions' bytes: loops, listeners and connections.</summary>
internal abstract class GatewayTransport : IAsyncDisposable
{
    /// <summary>Listens and serves; returns where. Throws <see cref="GatewayStartException"/>, and then leaves nothing open.</summary>
    public abstract Task<IReadOnlyList<EndPoint>> StartAsync(CancellationToken cancellationToken);

    public abstract Task StopAcceptingAsync();

    /// <summary>Ends every connection when nothing is in flight on it, at the latest after the grace time, then the loops.</summary>
    public abstract Task StopAsync(TimeSpan graceTime, CancellationToken cancellationToken);

    public abstract ValueTask DisposeAsync();

    /// <summary>The descriptor of the listener at this place; -1 if it is not this transport's.</summary>
    public virtual int FindDescriptor(EndPoint endPoint) => -1;
}
