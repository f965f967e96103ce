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

    [LoggerMessage(Level = LogLevel.Warning, Message = "Not all items of partition {Partition}, which moves here, have room")]
    private static partial void LogImportWithoutMemory(ILogger logger, int partition);

    [LoggerMessage(Level = LogLevel.Critical, Message = "The cluster hashes keys under another seed than this silo, which has dropped its items and ends")]
    private static partial void LogHashSeedDiffers(ILogger logger);

    [LoggerMessage(Level = LogLevel.Critical, Message = "The ownership runtime has stopped")]
    private static partial void LogLoopEnded(ILogger logger, Exception exception);
}
