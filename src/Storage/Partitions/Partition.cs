using System.Buffers;
using System.Diagnostics.CodeAnalysis;

namespace OrleansCache.Storage;

/// <summary>
/// A partition's gate: the lock of its shard, a state and an epoch before its store. Every access to the store goes through here.
/// Contract: after <see cref="Seal"/>, <see cref="Unseal"/> or <see cref="Close"/> have returned, no request is executing that they were to stop.
/// Goal: one uncontended lock per request and nothing else. Non-goal: fairness between those who wait.
/// </summary>
public sealed partial class Partition
{
    /// <summary>Rounds of collecting pages before the request is answered with OutOfMemory.</summary>
    private const int PageRoundsMax = 8;

    private readonly Lock _gate;
    private readonly PartitionStore _store;
    private volatile PartitionState _state;

    internal Partition(PartitionStore store, long epoch, PartitionState state, bool isReplica)
    {
        _store = store;
        _gate = store.Shard.Lock;
        Epoch = epoch;
        _state = state;
        if (isReplica)
            MarkReplica();
        if (state != PartitionState.Active)
            return;
        lock (_gate)
        {
            store.MarkServed(epoch, true);
        }
    }

    public PartitionId Id => _store.Id;

    /// <summary>The epoch in which this process holds the partition.</summary>
    public long Epoch { get; private set; }

    /// <summary>May change at any time unless the caller is the one who changes it.</summary>
    public PartitionState State => _state;

    /// <summary>
    /// Executes the request if the partition is active, and its log, if it has one, lets it be answered now: then the sink has been called when this returns
    /// true. Otherwise nothing was done.
    /// </summary>
    public bool TryExecute(in CacheRequest request, uint nowUnixSeconds, ReplySink sink)
    {
        int pagesWanted;
        lock (_gate)
        {
            if (_state != PartitionState.Active)
                return false;
            if (_store.Effects is { } effects && !effects.MayAnswerNow(in request))
                return false;
            if (_store.TryExecute(in request, nowUnixSeconds, sink, waitForPages: true))
                return true;
            pagesWanted = _store.Shard.PagesWanted;
        }

        bool isLogged = false;
        return TryExecuteWithPages(in request, nowUnixSeconds, sink, pagesWanted, asksLog: true, ref isLogged);
    }

    /// <summary>Turns requests away from now on; false if the partition is gone.</summary>
    public bool Seal() => Change(PartitionState.Sealed);

    /// <summary>Lets requests in again; false if the partition is gone.</summary>
    public bool Unseal() => Activate(Epoch);

    /// <summary>Lets requests in, from now on in this epoch; false if the partition is gone.</summary>
    public bool Activate(long epoch)
    {
        lock (_gate)
        {
            if (_state == PartitionState.Gone)
                return false;
            Epoch = epoch;
            _store.MarkServed(epoch, true);
            _store.IsReplica = false;
            _state = PartitionState.Active;
            return true;
        }
    }

    /// <summary>What is served here is from now on held in this higher epoch.</summary>
    public void Renew(long epoch)
    {
        lock (_gate)
        {
            Epoch = epoch;
            if (_state == PartitionState.Active)
                _store.MarkServed(epoch, true);
        }
    }

    /// <summary>Items held, those expired but not yet reclaimed included; 0 when gone.</summary>
    public long ItemCount => Read(static store => store.ItemCount);

    /// <summary>Bytes of keys, values and headers held; 0 when gone.</summary>
    public long ItemBytes => Read(static store => store.ItemBytes);

    /// <summary>The sequence number that the last mutation took; 0 when gone.</summary>
    public ulong LastCas => Read(static store => store.LastCas);

    /// <summary>
    /// Flushes at once, or schedules a flush; false if the partition is gone. Works when sealed, too. A replica does nothing: its owner's flush comes with the
    /// effects, in its place among them.
    /// </summary>
    /// <param name="atUnixSeconds">When; 0 or not in the future: at once.</param>
    /// <param name="nowUnixSeconds">The time.</param>
    /// <param name="flushNumber">The cluster's number of the flush; 0 = none.</param>
    public bool FlushAll(uint atUnixSeconds, uint nowUnixSeconds, long flushNumber = 0)
    {
        lock (_gate)
        {
            if (_state == PartitionState.Gone)
                return false;
            if (!_store.IsReplica)
                _store.FlushAll(atUnixSeconds, nowUnixSeconds, flushNumber);
            return true;
        }
    }

    /// <summary>
    /// Sets the time of the scheduled flush, whatever it was; a time that is past takes effect with the next request. A replica does nothing, as above.
    /// </summary>
    public void RescheduleFlush(uint atUnixSeconds, long flushNumber = 0)
    {
        lock (_gate)
        {
            if (_state != PartitionState.Gone && !_store.IsReplica)
                _store.RescheduleFlush(atUnixSeconds, flushNumber);
        }
    }

    /// <summary>
    /// Writes the next items until about <paramref name="bytesMax"/> bytes (one item may exceed it).
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
        int granted = 0;
        uint pages = 0;
        for (int attempt = 1; ; attempt++)
        {
            int pagesWanted;
            lock (_gate)
            {
                GrantOrReturn(pages);
                itemCount = 0;
                if (_state == PartitionState.Gone)
                    return ImportStatus.Gone;
                bool last = attempt > PageRoundsMax || (attempt > 1 && granted == 0);
                ImportStatus status = _store.Import(input, nowUnixSeconds, waitForPages: !last, out itemCount);
                _store.Shard.Heap.ReturnGranted();
                if (status != ImportStatus.OutOfMemory || _store.Shard.PagesWanted == 0)
                    return status;
                pagesWanted = _store.Shard.PagesWanted;
            }

            granted = CollectPages(pagesWanted, nowUnixSeconds, out pages);
        }
    }

    /// <summary>
    /// Tells the items from a position on, if the partition is active; otherwise returns false. A position is good for this partition wherever it lies, so a
    /// scan goes on at the owner that the partition has moved to.
    /// </summary>
    public bool TryScan(ulong position, uint nowUnixSeconds, [NotNullWhen(true)] out ItemScanPage? page)
    {
        lock (_gate)
        {
            page = _state == PartitionState.Active ? _store.Scan(position, nowUnixSeconds) : null;
            return page is not null;
        }
    }

    /// <summary>
    /// Looks at up to <paramref name="bucketsMax"/> hash buckets for expired items, frees them and returns their number. The next call goes on from there.
    /// </summary>
    public int Reclaim(uint nowUnixSeconds, int bucketsMax)
    {
        lock (_gate)
        {
            return _state == PartitionState.Active || _store.IsReplica ? _store.Reclaim(nowUnixSeconds, bucketsMax) : 0;
        }
    }

    /// <summary>A step of a crawl; see <see cref="PartitionStore.Crawl"/>. At its end at once if the partition is not active.</summary>
    internal ulong Crawl(ulong position, CrawlBudget budget, uint nowUnixSeconds)
    {
        lock (_gate)
        {
            return _state == PartitionState.Active ? _store.Crawl(position, budget, nowUnixSeconds) : ulong.MaxValue;
        }
    }

    /// <summary>A step of counting; see <see cref="PartitionStore.CountSizes"/>. At its end at once if the partition is not active.</summary>
    internal ulong CountSizes(ulong position, Dictionary<int, long> counts, uint nowUnixSeconds)
    {
        lock (_gate)
        {
            return _state == PartitionState.Active ? _store.CountSizes(position, counts, nowUnixSeconds) : ulong.MaxValue;
        }
    }

    /// <summary>Closes for good: the items are gone at once, their memory comes back in turns. Only the first call has an effect.</summary>
    internal void Close()
    {
        lock (_gate)
        {
            if (_state == PartitionState.Gone)
                return;
            _state = PartitionState.Gone;
            _store.IsReplica = false;
            _store.Dispose();
        }
    }

    /// <summary>Turns requests away for good and leaves the items where they are.</summary>
    internal void Abandon()
    {
        lock (_gate)
        {
            _state = PartitionState.Gone;
            _store.IsReplica = false;
        }
    }

    /// <summary>The store, for hints that may be read without the lock.</summary>
    internal PartitionStore Store => _store;

    /// <summary>
    /// All shards that could have given a page were busy. Collects pages while it holds no lock, so that waiting cannot end in a deadlock, and tries again.
    /// </summary>
    private bool TryExecuteWithPages(in CacheRequest request, uint nowUnixSeconds, ReplySink sink, int pagesWanted, bool asksLog, ref bool isLogged)
    {
        for (int attempt = 1; ; attempt++)
        {
            int granted = CollectPages(pagesWanted, nowUnixSeconds, out uint pages);
            lock (_gate)
            {
                GrantOrReturn(pages);

                // The lock was free: the partition may have been sealed, and another request may have logged something for this key.
                if (_state != PartitionState.Active || (asksLog && _store.Effects is { } effects && !effects.MayAnswerNow(in request)))
                {
                    _store.Shard.Heap.ReturnGranted();
                    return false;
                }

                long before = _store.EffectCount;
                bool done = _store.TryExecute(in request, nowUnixSeconds, sink, waitForPages: attempt < PageRoundsMax && granted > 0);
                isLogged |= _store.EffectCount != before;
                _store.Shard.Heap.ReturnGranted();
                if (done)
                    return true;
                pagesWanted = _store.Shard.PagesWanted;
            }
        }
    }

    /// <summary>Takes pages from the arena and from other shards, one lock at a time; returns how many, linked by <see cref="PageInfo.Next"/>.</summary>
    private unsafe int CollectPages(int pagesWanted, uint nowUnixSeconds, out uint first)
    {
        first = 0;
        int count = 0;
        PageArena arena = _store.Arena;
        ReadOnlySpan<StoreShard> shards = arena.Shards;
        for (bool found = true; found && count < pagesWanted;)
        {
            found = false;
            for (int i = 0; i < shards.Length && count < pagesWanted; i++)
            {
                StoreShard donor = shards[(_store.Shard.Number + i) % shards.Length];
                if (!arena.TryTake(out uint page))
                {
                    if (donor == _store.Shard)
                        continue;
                    lock (donor.Lock)
                    {
                        if (!donor.TryGivePage(nowUnixSeconds, out page))
                            continue;
                    }
                }

                arena.Info(page)->Next = first;
                first = page;
                count++;
                found = true;
            }
        }

        return count;
    }

    /// <summary>Under the lock: hands collected pages to the store, or back to the arena if there is no store any more.</summary>
    private unsafe void GrantOrReturn(uint page)
    {
        PageArena arena = _store.Arena;
        while (page != 0)
        {
            uint next = arena.Info(page)->Next;
            if (_state == PartitionState.Gone)
                arena.Give(page);
            else
                _store.Shard.Heap.AddGranted(page);
            page = next;
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
