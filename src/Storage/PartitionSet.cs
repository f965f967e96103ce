namespace OrleansCache.Storage;

/// <summary>
/// The partitions that this process holds, by number, over one arena. Reading is an array access without a lock; opening and closing are serialised.
/// Counters of closed partitions stay in the sums, so that what monitors read never runs backwards.
/// </summary>
public sealed class PartitionSet : IDisposable
{
    private readonly Partition?[] _partitions;
    private readonly Lock _changes = new();
    private readonly StoreStatistics _closed = new();
    private long _flushes;
    private bool _disposed;

    public PartitionSet(StoreOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        Options = options;
        Arena = new PageArena(options);
        _partitions = new Partition?[options.PartitionCount];
    }

    public StoreOptions Options { get; }
    public PageArena Arena { get; }
    public int PartitionCount => _partitions.Length;

    /// <summary>Opens a partition that is not open, empty. Sealed is for one whose items are still to be imported. Throws if it is open already.</summary>
    public Partition Open(PartitionId id, long epoch, PartitionState state = PartitionState.Active)
    {
        ArgumentOutOfRangeException.ThrowIfEqual((int)state, (int)PartitionState.Gone, nameof(state));
        lock (_changes)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            if (_partitions[id.Value] is not null)
                throw new InvalidOperationException($"Partition {id} is open already.");
            var partition = new Partition(new PartitionStore(Arena, id), epoch, state);
            Volatile.Write(ref _partitions[id.Value], partition);
            return partition;
        }
    }

    /// <summary>The partition if it is here, in whatever state.</summary>
    public Partition? TryGet(PartitionId id) => Volatile.Read(ref _partitions[id.Value]);

    /// <summary>Drops the partition and gives its pages back; false if it was not here.</summary>
    public bool Close(PartitionId id, uint nowUnixSeconds = 0)
    {
        lock (_changes)
        {
            Partition? partition = _partitions[id.Value];
            if (partition is null)
                return false;
            Volatile.Write(ref _partitions[id.Value], null);
            lock (_closed)
            {
                partition.Close(_closed, nowUnixSeconds);
            }

            return true;
        }
    }

    /// <summary>Flushes every partition that is here, at once or at the given time.</summary>
    public void FlushAll(uint atUnixSeconds, uint nowUnixSeconds)
    {
        Interlocked.Increment(ref _flushes);
        foreach (Partition? slot in _partitions)
            slot?.FlushAll(atUnixSeconds, nowUnixSeconds);
    }

    public StoreStatistics ReadStatistics(uint nowUnixSeconds, bool perClass) => throw new NotImplementedException();

    public void ResetStatistics() => throw new NotImplementedException();

    /// <summary>Runs <see cref="Partition.Reclaim"/> over every partition; returns the number of items freed.</summary>
    public long Reclaim(uint nowUnixSeconds, int bucketsMaxPerPartition)
    {
        long reclaimed = 0;
        foreach (Partition? slot in _partitions)
            reclaimed += slot?.Reclaim(nowUnixSeconds, bucketsMaxPerPartition) ?? 0;
        return reclaimed;
    }

    /// <summary>Throws with a description if a store or the arena contradicts itself.</summary>
    public void CheckIntegrity()
    {
        foreach (Partition? slot in _partitions)
            slot?.CheckIntegrity();
    }

    /// <summary>Closes all partitions and frees the arena. No request and no pinned value may be under way any more.</summary>
    public void Dispose()
    {
        lock (_changes)
        {
            if (_disposed)
                return;
            for (int i = 0; i < _partitions.Length; i++)
                Close(new PartitionId(i));
            _disposed = true;
            Arena.Dispose();
        }
    }
}
