using Microsoft.Extensions.Logging;

namespace OrleansCache.Gateway;

internal static partial class Log
{
    [LoggerMessage(1, LogLevel.Error, "A connection was closed because of an unexpected error in its session")]
    public static partial void SessionFailed(ILogger logger, Exception failure);

    [LoggerMessage(2, LogLevel.Error, "An I/O loop's posted work failed")]
    public static partial void WorkFailed(ILogger logger, Exception failure);

    [LoggerMessage(3, LogLevel.Warning, "Accepting connections or datagrams has paused, {Count} times since the last such line: {Reason}")]
    public static partial void AcceptPaused(ILogger logger, long count, string reason);

    [LoggerMessage(4, LogLevel.Critical, "An I/O loop ended because of an unexpected error; its connections are lost")]
    public static partial void LoopFailed(ILogger logger, Exception failure);

    [LoggerMessage(20, LogLevel.Debug, "A TLS handshake with {Address} failed: {Reason}")]
    public static partial void HandshakeFailed(ILogger logger, string address, string reason);

    [LoggerMessage(21, LogLevel.Warning, "{Count} failed logins since the last such line, the last from {Address}")]
    public static partial void LoginsFailed(ILogger logger, int count, string address);

    [LoggerMessage(22, LogLevel.Error, "Not reloaded, what was loaded before stays in force: {Reason}")]
    public static partial void ReloadFailed(ILogger logger, string reason);

    [LoggerMessage(23, LogLevel.Information, "Reloaded: {What}")]
    public static partial void Reloaded(ILogger logger, string what);
}
