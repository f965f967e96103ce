using OrleansCache.Storage;

namespace OrleansCache.Ownership.Replication;

/// <summary>
/// The owner's side of replication in one silo: a <see cref="PartitionLog"/> for each partition that is copied elsewhere, a <see cref="ReplicaStream"/> for
/// each silo that holds copies, and those who wait for acknowledgements. What is copied where is decided by the agent; its calls come one at a time.
/// Everything else may come from any thread.
/// </summary>
public sealed class Replicator(
    SiloId self, PartitionSet partitions, IReplicaTransport transport, IReplicationHost host, TimeProvider time, bool isAsynchronous = false) : IDisposable
{
    /// <summary>Bytes of effects that may wait to be sent; beyond, requests that write wait as well, even where replication is asynchronous.</summary>
    public const long PendingBytesMax = 64L * 1024 * 1024;

    /// <summary>A message that is not answered by then is sent again.</summary>
    internal static readonly TimeSpan MessageTimeout = TimeSpan.FromSeconds(3);

    internal static readonly TimeSpan RetryInterval = TimeSpan.FromMilliseconds(50);

    /// <summary>A copy that is being made, and whose silo has not answered for so long, has failed.</summary>
    internal static readonly TimeSpan CopyGiveUp = TimeSpan.FromSeconds(10);

    private readonly PartitionLog?[] _logs = new PartitionLog?[partitions.PartitionCount];
    private readonly Dictionary<(int Partition, long Copy), OutgoingCopy> _copies = [];
    private readonly Lock _listenersLock = new();
    private readonly ScanThrottle _throttle = new(time);
    private readonly Lock _heldBackLock = new();
    private List<OutgoingCopy> _heldBack = [];
    private volatile ReplicaStream[] _streams = [];
    private volatile IAckListener[] _listeners = [];
    private volatile bool _hasWork;
    private long _lives = time.GetUtcNow().Ticks;
    private long _pendingBytes;
    private long _messages;
    private long _messageBytes;
    private long _retries;
    private long _scanBytes;
    private byte _wireVersion = Ownership.WireVersion.Oldest;
    private bool _disposed;

    public SiloId Self => self;

    public IReplicationHost Host => host;

    /// <summary>Replies do not wait for replicas, as long as those keep up.</summary>
    public bool IsAsynchronous => isAsynchronous;

    /// <summary>For tests, which show what becomes of replicas in full silos that are not told what is read here.</summary>
    internal bool TellsReads { get; init; } = true;

    /// <summary>Bytes of scans in one message, about; effects of the log come on top.</summary>
    internal int ScanBytesMax { get; init; } = 512 * 1024;

    /// <summary>Bytes of a scan that are read under one hold of the partition's lock, about.</summary>
    internal int ScanPartBytes { get; init; } = 64 * 1024;

    internal TimeProvider Time => time;

    internal IReplicaTransport Transport => transport;

    internal uint NowUnixSeconds => (uint)time.GetUtcNow().ToUnixTimeSeconds();

    /// <summary>Replication is asynchronous, and the copies keep up.</summary>
    internal bool MayRunAhead => isAsynchronous && Volatile.Read(ref _pendingBytes) < PendingBytesMax;

    /// <summary>No more may be written at the moment: too much waits to be sent already.</summary>
    internal bool IsOverloaded => Volatile.Read(ref _pendingBytes) >= PendingBytesMax;

    /// <summary>
    /// What the silos have agreed on: the next message of each stream is written so. One that is on its way is repeated as it is: its target has not changed.
    /// </summary>
    public byte WireVersion
    {
        get => Volatile.Read(ref _wireVersion);
        set => Volatile.Write(ref _wireVersion, value);
    }

    public ReplicationStatistics ReadStatistics() => new()
    {
        Messages = Volatile.Read(ref _messages),
        Bytes = Volatile.Read(ref _messageBytes),
        Retries = Volatile.Read(ref _retries),
        CopyBytes = Volatile.Read(ref _scanBytes),
        PendingBytes = Volatile.Read(ref _pendingBytes),
    };

    // ---- the agent's decisions ----

    /// <summary>Begins to copy a partition that is served here.</summary>
    public void Attach(int partition, long copy, SiloId target) => Add(partition, log => new OutgoingCopy(log, copy, StreamTo(target)));

    /// <summary>Takes over a replica that equals what is held here.</summary>
    public void Retain(int partition, long copy, long newCopy, SiloId target) => Add(
        partition,
        log => new OutgoingCopy(log, newCopy, StreamTo(target))
        {
            FormerNumber = copy, Stage = CopyStage.Retaining, IsComplete = true, Acknowledged = log.Position,
        });

    /// <summary>Nothing is sent to the copy or awaited from it any more.</summary>
    public void Detach(int partition, long copy)
    {
        if (!_copies.Remove((partition, copy), out OutgoingCopy? found))
            return;
        found.Log.Gate.RunLocked(found, static copy => copy.Log.Remove(copy));
        Later(found.Log.TellRemoved);
    }

    /// <summary>No items are read for the copy, or they are again; what is logged is sent to it all the same.</summary>
    public void Rest(int partition, long copy, bool isResting)
    {
        if (!_copies.TryGetValue((partition, copy), out OutgoingCopy? found))
            return;
        found.Log.Gate.RunLocked((found, isResting), static state =>
        {
            state.found.IsResting = state.isResting;
            ContinueScan(state.found);
        });
        Later(Flush);
    }

    /// <summary>
    /// How many bytes of items all copies together may take per second, 0 for any number. What is logged is never held back, because writes wait for it.
    /// </summary>
    public void LimitScans(long bytesPerSecond)
    {
        _throttle.BytesPerSecond = bytesPerSecond;
        Later(ContinueHeldBack);
    }

    /// <summary>The bytes of items that a copy has taken, and those that the partition has.</summary>
    public (long BytesDone, long BytesTotal) ProgressOf(int partition, long copy)
    {
        if (!_copies.TryGetValue((partition, copy), out OutgoingCopy? found))
            return default;

        // Items come and go while they are read.
        long done = Volatile.Read(ref found.ScannedBytes);
        return (done, Math.Max(done, found.Log.Gate.ItemBytes));
    }

    /// <summary>
    /// The gate is sealed. True if everything is acknowledged; otherwise <see cref="IReplicationHost.OnDrained"/> follows when it is.
    /// </summary>
    public bool AwaitDrain(int partition)
    {
        if (LogOf(partition) is not { } log)
            return false;
        bool isDrained = false;
        log.Gate.RunLocked(log, log =>
        {
            isDrained = log.IsDrained;
            log.AwaitsDrain = !isDrained;
        });
        return isDrained;
    }

    /// <summary>The gate is open again.</summary>
    public void Resume(int partition)
    {
        if (_logs[partition] is { } log)
            log.AwaitsDrain = false;
    }

    /// <summary>The partition is not served here any more: who still waits for an acknowledgement waits in vain. Returns the log's end.</summary>
    public long End(int partition)
    {
        if (_logs[partition] is not { } log)
            return partitions.TryGet(new PartitionId(partition))?.LogPosition ?? 0;
        _logs[partition] = null;
        foreach ((int Partition, long Copy) key in _copies.Keys.Where(key => key.Partition == partition).ToArray())
            _copies.Remove(key);
        log.Gate.RunLocked(log, static log => log.Close());
        Later(NotifyAcknowledged);
        return log.Position;
    }

    /// <summary>Partitions of which something has been logged that not every complete copy has.</summary>
    public int CountUnacknowledged() => _logs.Count(static log => log is { IsDrained: false });

    /// <summary>These silos are gone for good: nothing is sent to them any more.</summary>
    public void EndStreams(Predicate<SiloId> isGone)
    {
        foreach (ReplicaStream stream in _streams)
        {
            if (isGone(stream.Target))
                stream.End();
        }

        _streams = [.. _streams.Where(stream => !isGone(stream.Target))];
    }

    // ---- those who write and wait ----

    /// <summary>The turn of a loop, or a batch, has ended: what it has logged may leave. Cheap when there is nothing.</summary>
    public void Flush()
    {
        if (!_hasWork)
            return;
        _hasWork = false;
        foreach (ReplicaStream stream in _streams)
            stream.Pump();
    }

    /// <summary>Time passes: messages without an answer are sent again.</summary>
    public void Tick()
    {
        foreach (ReplicaStream stream in _streams)
            stream.Tick();
        Flush();
    }

    public void Register(IAckListener listener)
    {
        lock (_listenersLock)
        {
            _listeners = [.. _listeners, listener];
        }
    }

    public void Dispose()
    {
        if (_disposed)
            return;
        _disposed = true;
        foreach (ReplicaStream stream in _streams)
            stream.End();
    }

    internal PartitionLog? LogOf(int partition)
    {
        if (_logs[partition] is not { } log)
        {
            if (partitions.TryGet(new PartitionId(partition)) is not { } gate)
                return null;
            _logs[partition] = log = new PartitionLog(gate, this);
        }

        return log;
    }

    internal void NotifyAcknowledged()
    {
        foreach (IAckListener listener in _listeners)
            listener.OnAcknowledged();
    }

    internal void TellIfDrained(PartitionLog log)
    {
        bool isDrained = false;
        log.Gate.RunLocked(log, log => isDrained = log.AwaitsDrain && log.IsDrained);
        if (isDrained)
            host.OnDrained(log.Partition);
    }

    internal void NoteWork() => _hasWork = true;

    internal void AddPendingBytes(long bytes) => Interlocked.Add(ref _pendingBytes, bytes);

    internal void CountMessage(long bytes)
    {
        Interlocked.Increment(ref _messages);
        Interlocked.Add(ref _messageBytes, bytes);
    }

    internal void CountRetry() => Interlocked.Increment(ref _retries);

    internal void CountScan(long bytes)
    {
        Interlocked.Add(ref _scanBytes, bytes);
        _throttle.Spend(bytes);
    }

    /// <summary>Whether the limit lets a scan go on now. If not, the copy is marked dirty again when it does. Called under the partition's lock.</summary>
    internal bool MayScan(OutgoingCopy copy)
    {
        TimeSpan wait = _throttle.ReadWait();
        if (wait == TimeSpan.Zero)
            return true;
        lock (_heldBackLock)
        {
            if (copy.IsHeldBack)
                return false;
            copy.IsHeldBack = true;
            _heldBack.Add(copy);
            if (_heldBack.Count > 1)
                return false;
        }

        host.Post(wait, ContinueHeldBack);
        return false;
    }

    private void ContinueHeldBack()
    {
        List<OutgoingCopy> copies;
        lock (_heldBackLock)
        {
            copies = _heldBack;
            _heldBack = [];
            foreach (OutgoingCopy copy in copies)
                copy.IsHeldBack = false;
        }

        foreach (OutgoingCopy copy in copies)
            copy.Log.Gate.RunLocked(copy, static copy => ContinueScan(copy));
        Flush();
    }

    private static void ContinueScan(OutgoingCopy copy)
    {
        if (copy.Stage is CopyStage.New or CopyStage.Scanning)
            copy.Stream.MarkDirty(copy);
    }

    private void Add(int partition, Func<PartitionLog, OutgoingCopy> make)
    {
        if (LogOf(partition) is not { } log)
            return;
        OutgoingCopy copy = make(log);
        _copies[(partition, copy.Number)] = copy;
        log.Gate.RunLocked(copy, static copy =>
        {
            copy.Log.Add(copy);
            copy.Stream.MarkDirty(copy);
        });
        Later(Flush);
    }

    private ReplicaStream StreamTo(SiloId target)
    {
        foreach (ReplicaStream stream in _streams)
        {
            if (stream.Target == target)
                return stream;
        }

        ReplicaStream made = new(target, ++_lives, this);
        _streams = [.. _streams, made];
        return made;
    }

    /// <summary>Off the agent's lock.</summary>
    private void Later(Action action) => host.Post(TimeSpan.Zero, action);
}

/// <summary>What has gone from here to replicas since the start.</summary>
public sealed record ReplicationStatistics
{
    public long Messages { get; init; }

    public long Bytes { get; init; }

    /// <summary>Messages that were sent again.</summary>
    public long Retries { get; init; }

    /// <summary>Bytes of items that new copies were made of.</summary>
    public long CopyBytes { get; init; }

    /// <summary>Bytes of effects that have not left yet.</summary>
    public long PendingBytes { get; init; }
}
