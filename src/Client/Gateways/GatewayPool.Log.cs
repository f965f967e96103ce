using Microsoft.Extensions.Logging;

namespace OrleansCache.Client.Gateways;

internal static partial class Log
{
    [LoggerMessage(1, LogLevel.Information, "Connected to the gateway {Gateway}")]
    public static partial void Connected(ILogger logger, GatewayEndPoint gateway);

    [LoggerMessage(2, LogLevel.Warning, "Lost the connection to the gateway {Gateway}")]
    public static partial void Lost(ILogger logger, GatewayEndPoint gateway, Exception exception);

    [LoggerMessage(3, LogLevel.Warning, "Cannot connect to the gateway {Gateway}; next attempt in {DelayMilliseconds} ms")]
    public static partial void ConnectFailed(ILogger logger, GatewayEndPoint gateway, double delayMilliseconds, Exception exception);

    /// <summary>Every further failure in a row.</summary>
    [LoggerMessage(4, LogLevel.Debug, "Still cannot connect to the gateway {Gateway}; next attempt in {DelayMilliseconds} ms")]
    public static partial void ConnectStillFails(ILogger logger, GatewayEndPoint gateway, double delayMilliseconds, Exception exception);

    [LoggerMessage(5, LogLevel.Information, "The cluster has the gateways {Gateways} (version {Version})")]
    public static partial void Discovered(ILogger logger, string gateways, long version);

    [LoggerMessage(6, LogLevel.Warning, "The list of gateways could not be read; the former one stays")]
    public static partial void DiscoveryFailed(ILogger logger, Exception exception);

    [LoggerMessage(7, LogLevel.Information, "Moves a connection away from the gateway {Gateway}")]
    public static partial void MovesAway(ILogger logger, GatewayEndPoint gateway);

    [LoggerMessage(8, LogLevel.Error, "No gateway can be reached; operations fail at once until one answers")]
    public static partial void AllDown(ILogger logger, Exception exception);
}
