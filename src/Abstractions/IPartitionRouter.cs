namespace OrleansCache;

/// <summary>
/// The one seam between the gateway and whatever holds the partitions. Two implementations: LocalRouter (all partitions in this process)
/// and ClusterRouter (this silo's partitions directly, all others by grain calls).
/// </summary>
public interface IPartitionRouter
{
    int PartitionCount { get; }

    /// <summary>Opens the way of one I/O loop to the partitions. The channel belongs to that loop's thread.</summary>
    RouterChannel OpenChannel(ICompletionQueue loop);

    /// <summary>
    /// Flushes the whole keyspace: items stored before the cut-off are gone, items stored after it stay.
    /// <paramref name="atUnixSeconds"/> 0 or not in the future means now. Throws <see cref="RouterException"/> if not every owner could be told.
    /// </summary>
    ValueTask FlushAllAsync(uint atUnixSeconds, CancellationToken cancellationToken);

    /// <summary>
    /// Reads on in a partition of the whole keyspace, wherever it is: begin with position 0, go on with what the last part returned. An item that is there from
    /// the scan's beginning to its end is told at least once, also when the index grows or the partition moves meanwhile; expired items are left out.
    /// Throws <see cref="RouterException"/> if the owner does not answer in time.
    /// </summary>
    ValueTask<ItemScanPage> ScanAsync(PartitionId partition, ulong position, CancellationToken cancellationToken);

    /// <summary>What happens in this process: its stores' events, and its gateway's.</summary>
    EventLog Events { get; }

    /// <summary>
    /// Begins to watch the whole cluster, from now on, silos that join later included; as <see cref="EventLog.Watch"/>, whose rules for <paramref name="wake"/>
    /// hold. Lines of different silos come in any order. Null if there are too many watchers; throws <see cref="RouterException"/> if it cannot be done now.
    /// </summary>
    ValueTask<IEventFeed?> WatchAsync(EventKinds kinds, int bytesMax, Action wake, CancellationToken cancellationToken) =>
        ValueTask.FromResult(Events.Watch(kinds, bytesMax, wake));

    /// <summary>The administration of this process's stores.</summary>
    IStoreAdmin Stores => NoStores.Instance;

    /// <summary>What the whole cluster says of itself; null if this process is all there is.</summary>
    IClusterView? Cluster => null;

    /// <summary>Adds up this process's stores (a gateway without stores reports zeros).</summary>
    StoreStatistics ReadStatistics(bool perClass);

    /// <summary>
    /// cache_memlimit: -m of this process's stores from now on. When it shrinks, the coldest items go over the next seconds. False if there are no stores here
    /// or the number is out of their bounds.
    /// </summary>
    bool TrySetMemoryLimit(long memoryBytes) => false;

    /// <summary>stats reset: sets the counters of this process's stores to 0, keeps the gauges.</summary>
    void ResetStatistics();
}

/// <summary>
/// One I/O loop's way to the partitions. Used only on that loop's thread, so it needs no lock of its own.
/// Order: two requests for one key sent through one channel take effect, and are answered, in the order of the calls.
/// </summary>
public abstract class RouterChannel(KeyHasher hasher)
{
    /// <summary>
    /// Hashes the keys of this channel's requests. Read it for each command: it is replaced when the cluster was lost as a whole
    /// and has begun anew. That happens only between two turns of the loop: a hash is good for the turn in which it was computed.
    /// </summary>
    public KeyHasher Hasher { get; protected set; } = hasher;

    /// <summary>
    /// Executes the request now if its partition is here, active, and no earlier request of this channel for that partition is still on its way;
    /// then <paramref name="sink"/> has been called when this returns true. Otherwise returns false and has done nothing: <see cref="Send"/> it.
    /// </summary>
    public abstract bool TryExecute(in CacheRequest request, uint nowUnixSeconds, ReplySink sink);

    /// <summary>
    /// Copies the request into the batch for its owner. <paramref name="sink"/> is called exactly once, later, on this channel's loop, within the router's
    /// time-out: with the reply, or with <see cref="CacheStatus.Unavailable"/>. Never called back before this returns.
    /// </summary>
    public abstract void Send(in CacheRequest request, ReplySink sink);

    /// <summary>
    /// Hint: requests with these hashes follow soon. Lets the store bring what it will look at nearer to the processor, for all of them at once.
    /// Never needed, never waits, changes nothing; may be wrong. Up to <see cref="Limits.PrefetchKeysMax"/> at a time are of use.
    /// </summary>
    public virtual void Prefetch(ReadOnlySpan<ulong> keyHashes)
    {
    }

    /// <summary>The loop's turn ends: what has collected may leave. Cheap when nothing has.</summary>
    public abstract void Flush();
}

/// <summary>An I/O loop as seen by those who finish work for it on other threads.</summary>
public interface ICompletionQueue
{
    /// <summary>
    /// Runs <see cref="LoopWorkItem.Execute"/> on the loop's thread soon. Callable from any thread. After the loop has stopped it is dropped.
    /// </summary>
    void Post(LoopWorkItem work);
}

/// <summary>Work posted to a loop. Intrusive: an item may be queued once at a time, and needs no allocation to be queued.</summary>
public abstract class LoopWorkItem
{
    /// <summary>Link of the queue that holds the item; nobody else touches it.</summary>
    public LoopWorkItem? Next { get; set; }

    public abstract void Execute();
}

/// <summary>A cluster-wide operation could not be carried out; the message goes behind SERVER_ERROR.</summary>
public sealed class RouterException : Exception
{
    public RouterException()
    {
    }

    public RouterException(string message)
        : base(message)
    {
    }

    public RouterException(string message, Exception innerException)
        : base(message, innerException)
    {
    }
}
