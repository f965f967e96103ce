using System.Buffers;

namespace OrleansCache.Storage;

/// <summary>
/// A partition that is held more than once. The owner's is active and logs effects (<see cref="Effects"/>). A replica is sealed, has a store of its own and
/// applies them; it evicts as memory demands, so it may hold less than its owner, and never anything older.
/// </summary>
public sealed partial class Partition
{
    private long _logPosition;

    /// <summary>
    /// Where what requests and flushes do is logged; null: nowhere. Belongs to the owner: a partition that becomes a replica loses it.
    /// </summary>
    public EffectLog? Effects
    {
        get => Volatile.Read(ref _store.Effects);
        set
        {
            lock (_gate)
            {
                _store.Effects = value;
            }
        }
    }

    /// <summary>Whether this is a replica: sealed, and fed by <see cref="Apply"/>. Ends when the partition is activated.</summary>
    public bool IsReplica => _store.IsReplica;

    /// <summary>Of a replica, or of what was one: the position in the owner's log up to which everything is here.</summary>
    public long LogPosition => Volatile.Read(ref _logPosition);

    /// <summary>The cluster's number of the last flush that had one, carried out or scheduled; 0 = none known.</summary>
    public long FlushNumber => Read(static store => store.FlushNumber);

    /// <summary>
    /// As <see cref="TryExecute"/>, without asking the log whether the request may be answered now: for callers who keep the reply until the replicas have
    /// what was logged. <paramref name="isLogged"/> says whether anything was (a scheduled flush that was due counts, even if the result is false).
    /// </summary>
    public bool TryExecuteLogged(in CacheRequest request, uint nowUnixSeconds, ReplySink sink, out bool isLogged)
    {
        int pagesWanted;
        lock (_gate)
        {
            isLogged = false;
            if (_state != PartitionState.Active)
                return false;
            long before = _store.EffectCount;
            bool done = _store.TryExecute(in request, nowUnixSeconds, sink, waitForPages: true);
            isLogged = _store.EffectCount != before;
            if (done)
                return true;
            pagesWanted = _store.Shard.PagesWanted;
        }

        return TryExecuteWithPages(in request, nowUnixSeconds, sink, pagesWanted, asksLog: false, ref isLogged);
    }

    /// <summary>
    /// Makes a sealed partition a replica in this epoch: its items are what the log held up to this position. A memory file does not bring them back any more.
    /// False if the partition is not sealed.
    /// </summary>
    public bool BecomeReplica(long epoch, long position)
    {
        lock (_gate)
        {
            if (_state != PartitionState.Sealed)
                return false;
            Epoch = epoch;
            _store.MarkServed(epoch, false);
            MarkReplica();
            Volatile.Write(ref _logPosition, position);
            return true;
        }
    }

    /// <summary>
    /// Writes the next items of a scan as effects, for a new replica's copy, until about <paramref name="bytesMax"/> bytes (one item may exceed it); the first
    /// part begins with the state of the flushes. Returns false when the end is reached. The cursor tells the log position at which the part was read: what the
    /// log holds behind it goes to the replica after the part, and what it holds up to it before.
    /// </summary>
    public bool ExportEffects(ref ExportCursor cursor, IBufferWriter<byte> output, int bytesMax, uint nowUnixSeconds)
    {
        lock (_gate)
        {
            if (_state == PartitionState.Gone)
                return false;
            bool more = _store.ExportEffects(ref cursor, output, bytesMax, nowUnixSeconds);
            cursor.LogPosition = _store.Effects?.Position ?? _logPosition;
            return more;
        }
    }

    /// <summary>
    /// Applies a block of effects to this replica: those from position <paramref name="first"/> to <paramref name="last"/> of the owner's log. They must follow
    /// what is here; a block that is here already is Ok. With <paramref name="first"/> = 0 it is a part of a copy, read at position <paramref name="last"/>:
    /// a copy's first part (its first effect is the state of the flushes) sets the position, at each other one the replica must stand at it.
    /// An item without memory leaves its key absent. The lock is held for the whole block, so blocks are to be small.
    /// </summary>
    /// <param name="epoch">The epoch of the owner who sends it; must be that of this replica.</param>
    /// <param name="first">Position of the first effect, from 1; 0 = a part of a copy.</param>
    /// <param name="last">Position of the last effect.</param>
    /// <param name="sequence">The owner's sequence number after the last effect.</param>
    /// <param name="effects">What an <see cref="EffectLog"/> was given, or <see cref="ExportEffects"/> has written.</param>
    /// <param name="nowUnixSeconds">This silo's time.</param>
    public ApplyStatus Apply(long epoch, long first, long last, ulong sequence, ReadOnlySpan<byte> effects, uint nowUnixSeconds)
    {
        bool isMalformed = first < 0 || last < first || !_store.AreEffects(effects);
        int granted = 0;
        uint pages = 0;
        for (int attempt = 1; ; attempt++)
        {
            int pagesWanted;
            lock (_gate)
            {
                GrantOrReturn(pages);
                try
                {
                    // Looked at anew in every round: the lock was free in between.
                    if (_state != PartitionState.Sealed || !_store.IsReplica || Epoch != epoch)
                        return ApplyStatus.Refused;
                    if (isMalformed)
                        return ApplyStatus.Malformed;
                    if (first != 0 && last <= _logPosition)
                        return ApplyStatus.Ok;
                    if (first != 0 ? first != _logPosition + 1 : last != _logPosition && (last < _logPosition || !EffectFormat.BeginsCopy(effects)))
                        return ApplyStatus.OutOfOrder;
                    bool isLastRound = attempt > PageRoundsMax || (attempt > 1 && granted == 0);
                    if (_store.Apply(effects, sequence, nowUnixSeconds, waitForPages: !isLastRound))
                    {
                        Volatile.Write(ref _logPosition, last);
                        return ApplyStatus.Ok;
                    }

                    pagesWanted = _store.Shard.PagesWanted;
                }
                finally
                {
                    _store.Shard.Heap.ReturnGranted();
                }
            }

            granted = CollectPages(pagesWanted, nowUnixSeconds, out pages);
        }
    }

    /// <summary>
    /// Keys were read at the owner: each its length (1 to 250) in a byte, then the key. Does nothing if this is no replica of that epoch.
    /// </summary>
    public void ApplyReads(long epoch, ReadOnlySpan<byte> keys, uint nowUnixSeconds)
    {
        lock (_gate)
        {
            if (_state == PartitionState.Sealed && _store.IsReplica && Epoch == epoch)
                _store.ApplyReads(keys, nowUnixSeconds);
        }
    }

    /// <summary>Ends being a replica: nothing more is applied. Held in this epoch from now on, and still sealed.</summary>
    public void Fence(long epoch)
    {
        lock (_gate)
        {
            if (_state != PartitionState.Sealed)
                return;
            Epoch = epoch;
            _store.IsReplica = false;
        }
    }

    /// <summary>The replica of another owner from now on, who names another epoch and has exactly the same log; false if it has not.</summary>
    public bool Rename(long epoch, long position)
    {
        lock (_gate)
        {
            if (_state != PartitionState.Sealed || !_store.IsReplica || _logPosition != position)
                return false;
            Epoch = epoch;
            return true;
        }
    }

    /// <summary>
    /// What is held has gone through the cluster's flushes up to this number. With a time, that is when the scheduled one fires.
    /// </summary>
    public void NoteFlush(uint atUnixSeconds, long flushNumber)
    {
        lock (_gate)
        {
            if (_state == PartitionState.Gone || _store.IsReplica)
                return;
            if (atUnixSeconds != 0)
                _store.RescheduleFlush(atUnixSeconds, flushNumber);
            else
                _store.NoteFlush(flushNumber);
        }
    }

    /// <summary>Runs something under the partition's lock; what it does there is short, and waits for nothing.</summary>
    public void RunLocked<T>(T state, Action<T> action)
    {
        ArgumentNullException.ThrowIfNull(action);
        lock (_gate)
        {
            action(state);
        }
    }

    private void MarkReplica()
    {
        _store.Effects = null;
        _store.IsReplica = true;
    }
}
