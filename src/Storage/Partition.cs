using System.Buffers;

namespace OrleansCache.Storage;

/// <summary>
/// A partition's gate: one lock, a state and an epoch before its store. Every access to the store goes through here.
/// Contract: after <see cref="Seal"/>, <see cref="Unseal"/> or <see cref="Close"/> have returned, no request is executing that they were to stop.
/// Goal: one uncontended lock per request and nothing else. Non-goal: fairness between those who wait.
/// </summary>
public sealed class Partition
{
    private readonly Lock _gate = new();
    private readonly PartitionStore _store;
    private volatile PartitionState _state;

    internal Partition(PartitionStore store, long epoch, PartitionState state)
    {
        _store = store;
        Epoch = epoch;
        _state = state;
    }

    public PartitionId Id => _store.Id;

    /// <summary>The epoch in which this process holds the partition.</summary>
    public long Epoch { get; }

    /// <summary>May change at any time unless the caller is the one who changes it.</summary>
    public PartitionState State => _state;

    /// <summary>Executes the request if the partition is active: then the sink has been called when this returns true. Otherwise nothing was done.</summary>
    public bool TryExecute(in CacheRequest request, uint nowUnixSeconds, ReplySink sink)
    {
        lock (_gate)
        {
            if (_state != PartitionState.Active)
                return false;
            _store.Execute(in request, nowUnixSeconds, sink);
            return true;
        }
    }

    /// <summary>Turns requests away from now on; false if the partition is gone.</summary>
    public bool Seal() => Change(PartitionState.Sealed);

    /// <summary>Lets requests in again; false if the partition is gone.</summary>
    public bool Unseal() => Change(PartitionState.Active);

    /// <summary>Items held, those expired but not yet reclaimed included; 0 when gone.</summary>
    public long ItemCount => Read(static store => store.ItemCount);

    /// <summary>Bytes of keys, values and headers held; 0 when gone.</summary>
    public long ItemBytes => Read(static store => store.ItemBytes);

    /// <summary>The sequence number that the last mutation took; 0 when gone.</summary>
    public ulong LastCas => Read(static store => store.LastCas);

    /// <summary>Flushes at once, or schedules a flush; false if the partition is gone. Works when sealed, too.</summary>
    public bool FlushAll(uint atUnixSeconds, uint nowUnixSeconds)
    {
        lock (_gate)
        {
            if (_state == PartitionState.Gone)
                return false;
            _store.FlushAll(atUnixSeconds, nowUnixSeconds);
            return true;
        }
    }

    /// <summary>
    /// Writes the next items, cold before hot within a slab class, until about <paramref name="bytesMax"/> bytes (one item may exceed it).
    /// Every call writes one block that <see cref="Import"/> takes. Returns false when the end is reached (the last block may be empty of items,
    /// but carries the sequence number and a scheduled flush).
    /// </summary>
    public bool Export(ref ExportCursor cursor, IBufferWriter<byte> output, int bytesMax, uint nowUnixSeconds)
    {
        lock (_gate)
        {
            return _state != PartitionState.Gone && _store.Export(ref cursor, output, bytesMax, nowUnixSeconds);
        }
    }

    /// <summary>Takes one or more whole blocks of <see cref="Export"/>. An item that is already here with the same or a higher CAS stays as it is.</summary>
    public ImportStatus Import(ReadOnlySpan<byte> input, uint nowUnixSeconds, out int itemCount)
    {
        lock (_gate)
        {
            itemCount = 0;
            return _state == PartitionState.Gone ? ImportStatus.Gone : _store.Import(input, nowUnixSeconds, out itemCount);
        }
    }

    /// <summary>Looks at up to <paramref name="bucketsMax"/> hash buckets for expired items, frees them and returns their number. The next call goes on from there.</summary>
    public int Reclaim(uint nowUnixSeconds, int bucketsMax)
    {
        lock (_gate)
        {
            return _state == PartitionState.Active ? _store.Reclaim(nowUnixSeconds, bucketsMax) : 0;
        }
    }

    /// <summary>Throws with a description if anything inside the store contradicts itself.</summary>
    public void CheckIntegrity()
    {
        lock (_gate)
        {
            if (_state != PartitionState.Gone)
                _store.CheckIntegrity();
        }
    }

    /// <summary>Closes for good: the items are dropped, their pages go back to the arena. The counters go to <paramref name="closed"/>. Only the first call has an effect.</summary>
    internal void Close(StoreStatistics closed, uint nowUnixSeconds)
    {
        lock (_gate)
        {
            if (_state == PartitionState.Gone)
                return;
            _state = PartitionState.Gone;
            _store.AddStatistics(closed, false, nowUnixSeconds);
            _store.Dispose();
        }
    }

    internal void AddStatistics(StoreStatistics total, bool perClass, uint nowUnixSeconds)
    {
        lock (_gate)
        {
            if (_state != PartitionState.Gone)
                _store.AddStatistics(total, perClass, nowUnixSeconds);
        }
    }

    internal void ResetStatistics()
    {
        lock (_gate)
        {
            if (_state != PartitionState.Gone)
                _store.ResetStatistics();
        }
    }

    private bool Change(PartitionState state)
    {
        lock (_gate)
        {
            if (_state == PartitionState.Gone)
                return false;
            _state = state;
            return true;
        }
    }

    private T Read<T>(Func<PartitionStore, T> read)
        where T : struct
    {
        lock (_gate)
        {
            return _state == PartitionState.Gone ? default : read(_store);
        }
    }
}
