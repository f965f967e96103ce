namespace OrleansCache.Ownership.Routing;

/// <summary>
/// Carries batches to other silos. It knows nothing of what is inside them.
/// Every call ends within a bounded time: with the reply, or with an exception when the silo could not be reached or did not answer in time.
/// After a <see cref="BatchNotExecutedException"/> nothing of the batch took effect; after any other exception that is unknown.
/// </summary>
public interface IBatchTransport
{
    /// <summary>
    /// Runs the batch there. Batches of one lane to one silo run one after the other in the order in which they arrive; lanes run in parallel.
    /// The caller does not touch the request's bytes until this has ended.
    /// </summary>
    ValueTask<BatchReply> SendAsync(BatchTarget target, int lane, BatchRequest request, CancellationToken cancellationToken);

    /// <summary>More of the results that a reply from there has left out (see <see cref="BatchServer.TryCollect"/>); whichever lane it was of.</summary>
    ValueTask<BatchReply> CollectAsync(BatchTarget target, long ticket, CancellationToken cancellationToken);

    /// <summary>
    /// Reads on in a partition that this silo has; null if it does not have it (any more, or yet). See <see cref="IPartitionRouter.ScanAsync"/>.
    /// </summary>
    ValueTask<ItemScanPage?> ScanAsync(SiloId target, PartitionId partition, ulong position, CancellationToken cancellationToken);

    /// <summary>
    /// Flushes every partition, wherever it is or is on its way to. Ends when all silos have done so; throws <see cref="RouterException"/> if they have not in
    /// time.
    /// </summary>
    ValueTask FlushAllAsync(uint atUnixSeconds, CancellationToken cancellationToken);
}

/// <summary>To whom a batch goes.</summary>
/// <param name="Silo">A silo, for what it serves: the fast way, as good as the asker's table. With a partition: who should have it by that table.</param>
/// <param name="Partition">
/// A partition, whoever serves it, for operations on it alone: the way that is right however old the asker's table is, because every silo on it sends on what
/// is not its own.
/// </param>
public readonly record struct BatchTarget(SiloId Silo, PartitionId? Partition = null);

/// <summary>
/// Operations for one silo or one partition, encoded. Immutable: within a process it crosses by reference, so the sender keeps its hands off the bytes until
/// the reply is there.
/// </summary>
public sealed class BatchRequest(PooledBytes payload)
{
    public PooledBytes Payload { get; } = payload;
}

/// <summary>The replies to one <see cref="BatchRequest"/>, encoded, and how new the replying silo's table is. Immutable, as the request.</summary>
public sealed class BatchReply(PooledBytes payload, long tableTerm, long tableNumber)
{
    public PooledBytes Payload { get; } = payload;

    public long TableTerm { get; } = tableTerm;

    public long TableNumber { get; } = tableNumber;

    /// <summary>Version of the table that the replying silo knew: newer than ours means that ours is stale.</summary>
    public PartitionTableVersion TableVersion => new(TableTerm, TableNumber);
}

/// <summary>
/// The batch reached nobody: this process, or the silo that it asked, does not know the target as a live silo, or the way to it has just broken. Nothing of it
/// was executed.
/// </summary>
public sealed class BatchNotExecutedException : Exception
{
    public BatchNotExecutedException()
    {
    }

    public BatchNotExecutedException(string message)
        : base(message)
    {
    }

    public BatchNotExecutedException(string message, Exception innerException)
        : base(message, innerException)
    {
    }
}
