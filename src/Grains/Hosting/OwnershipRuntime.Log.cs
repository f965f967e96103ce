using Microsoft.Extensions.Logging;
using OrleansCache.Ownership;

namespace OrleansCache.Grains.Hosting;

internal sealed partial class OwnershipRuntime
{
    [LoggerMessage(Level = LogLevel.Information, Message = "Coordinator: {What}, partition {Partition}, silo {Silo}")]
    private static partial void LogCoordinator(ILogger logger, CoordinatorEvent what, int partition, SiloId silo);

    [LoggerMessage(Level = LogLevel.Debug, Message = "The {Call} call to {Silo} failed; it will be made again")]
    private static partial void LogCallFailed(ILogger logger, Exception exception, string call, SiloId silo);

    [LoggerMessage(Level = LogLevel.Error, Message = "Partition {Partition} was closed by Orleans, though nobody moved it; its items are gone")]
    private static partial void LogPartitionLost(ILogger logger, int partition);

    [LoggerMessage(
        Level = LogLevel.Warning,
        Message = "No coordinator has been heard of for {Seconds:F0} s: this silo may be cut off from the others, and serves nothing until it hears of one")]
    private static partial void LogLeaseOver(ILogger logger, double seconds);

    [LoggerMessage(Level = LogLevel.Warning, Message = "A coordinator has been heard of again; this silo serves on")]
    private static partial void LogLeaseBack(ILogger logger);

    [LoggerMessage(Level = LogLevel.Critical, Message = "The cluster hashes keys under another seed than this silo, which has dropped its items and ends")]
    private static partial void LogHashSeedDiffers(ILogger logger);

    [LoggerMessage(Level = LogLevel.Critical, Message = "The ownership runtime has stopped")]
    private static partial void LogLoopEnded(ILogger logger, Exception exception);
}
