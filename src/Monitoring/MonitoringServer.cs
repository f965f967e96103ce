using System.Net;
using System.Runtime.CompilerServices;
using Microsoft.Extensions.Logging;
using OrleansCache.Gateway;
using OrleansCache.Monitoring.Http;
using OrleansCache.Monitoring.Metrics;

namespace OrleansCache.Monitoring;

/// <summary>
/// Metrics, health, JSON and the dashboard of one process, over HTTP, and metrics to a collector. Reads only.
/// Life: <see cref="StartAsync"/> before the node starts, so that a port in use is told early and probes get an answer meanwhile; <see
/// cref="Attach"/> when the gateway listens;
/// <see cref="BeginStop"/> when the process is asked to end; then Dispose, last of all.
/// </summary>
public sealed class MonitoringServer : IAsyncDisposable
{
    private readonly MonitoringOptions _options;
    private readonly TimeProvider _time;
    private readonly Readiness _readiness = new();
    private readonly HttpPort? _port;
    private MeterBridge? _meter;
    private OtlpExport? _otlp;

    public MonitoringServer(MonitoringOptions options, ILoggerFactory loggerFactory, TimeProvider timeProvider)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(loggerFactory);
        ArgumentNullException.ThrowIfNull(timeProvider);
        _options = options;
        _time = timeProvider;
        if (options.EndPoint is { } endPoint)
            _port = new HttpPort(endPoint, new Access(options, endPoint), _readiness, loggerFactory);
    }

    /// <summary>Where the port listens, with the real number where 0 was asked for; null without one. Valid after <see cref="StartAsync"/>.</summary>
    public IPEndPoint? EndPoint => _port?.EndPoint;

    /// <summary>Throws <see cref="GatewayStartException"/> if the port cannot be opened.</summary>
    public Task StartAsync(CancellationToken cancellationToken) => _port?.StartAsync(cancellationToken) ?? Task.CompletedTask;

    /// <summary>
    /// The gateway listens. <paramref name="notReady"/> says why the node does not serve its share, or null; called from any thread, does not block.
    /// </summary>
    public void Attach(GatewayServer gateway, IPartitionRouter router, Func<string?> notReady)
    {
        ArgumentNullException.ThrowIfNull(gateway);
        ArgumentNullException.ThrowIfNull(router);
        ArgumentNullException.ThrowIfNull(notReady);
        _readiness.Attach(notReady);
        var reader = new NodeReader(_options, gateway, router, _readiness, _time);
        _meter = new MeterBridge(reader);
        if (_options.Otlp is not null)
            _otlp = StartExport(gateway, router);
        _port?.Attach(reader);
    }

    /// <summary>From now on the process is not ready, while everything else still answers.</summary>
    public void BeginStop() => _readiness.BeginStop();

    public async ValueTask DisposeAsync()
    {
        _otlp?.Dispose();
        _meter?.Dispose();
        if (_port is not null)
            await _port.DisposeAsync().ConfigureAwait(false);
    }

    /// <summary>On its own, so that the packages are loaded only where they are wanted.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private OtlpExport StartExport(GatewayServer gateway, IPartitionRouter router)
    {
        string instance = router.Cluster?.ReadOwners().Here ?? (gateway.FindAddress(Environment.MachineName, null) is { } place ? $"{place.Host}:{place.Port}"
            : Environment.MachineName);
        return new OtlpExport(_options, instance);
    }
}
