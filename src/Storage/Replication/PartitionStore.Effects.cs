using System.Buffers;
using System.Runtime.CompilerServices;

namespace OrleansCache.Storage;

/// <summary>
/// What the owner of a partition logs for its replicas. Captured by state, in one place: after a request that has changed something (it took a sequence number)
/// the key is looked up, and what is there now is the effect. What only reads is not logged (counts of reads, times of access), nor what replicas do by
/// themselves (expiry) or need not do (evictions: what a replica holds beyond its owner is the newest that was stored).
/// A plain set or a delete that leaves the key absent is logged always: replicas may hold what the owner has evicted.
/// </summary>
public sealed unsafe partial class PartitionStore
{
    /// <summary>Where effects go; null: nowhere. Changed under the lock.</summary>
    internal EffectLog? Effects;

    /// <summary>Effects logged so far.</summary>
    internal long EffectCount { get; private set; }

    /// <summary>The cluster's number of the last flush that had one, carried out or scheduled; 0 = none.</summary>
    internal long FlushNumber { get; private set; }

    /// <summary>As the dispatch without a log. If false, nothing was done and nothing is logged.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private bool DispatchLogged(in CacheRequest request, uint now, ReplySink sink, EffectLog log)
    {
        ulong before = _sequence;
        bool done = (_events.Watched & RequestEvents) == 0 ? Dispatch(in request, now, sink) : DispatchWatched(in request, now, sink);
        if (!done)
            return false;
        bool hasChanged = _sequence != before;
        bool isLoggedIfAbsent = request.Operation == CacheOperation.Delete
            || (request.Operation == CacheOperation.Set && (request.Flags & RequestFlags.CompareCas) == 0);
        if (hasChanged || isLoggedIfAbsent)
            LogKey(in request, hasChanged, now, log);
        return true;
    }

    private void LogKey(in CacheRequest request, bool hasChanged, uint now, EffectLog log)
    {
        uint handle = _index.Find(request.KeyHash, request.Key);
        if (handle != 0 && !hasChanged)
            return;
        ItemHeader* item = handle == 0 ? null : _space.At(handle);
        IBufferWriter<byte> output = log.Begin();
        if (item is null || Expiry.IsExpired(item->ExpiresAt, now))
            EffectFormat.WriteRemove(output, request.Key);
        else if (LeavesValue(in request, item))
            EffectFormat.WriteTouch(output, item, now);
        else
            WritePut(handle, item, output, now);
        EffectCount++;
        log.Commit(request.KeyHash);
    }

    /// <summary>Whether a request that changed something can only have changed the numbers of the item, which is here.</summary>
    private bool LeavesValue(in CacheRequest request, ItemHeader* item) => request.Operation switch
    {
        // What a get has created is empty.
        CacheOperation.Get => (request.Flags & RequestFlags.CreateOnMiss) == 0 || _space.ValueLength(item) != 0,
        CacheOperation.Touch => true,
        CacheOperation.Delete => (request.Flags & RequestFlags.DropValue) == 0,
        _ => false,
    };

    private void WritePut(uint handle, ItemHeader* item, IBufferWriter<byte> output, uint now)
    {
        output.GetSpan(EffectFormat.KindBytes)[0] = (byte)EffectKind.Put;
        output.Advance(EffectFormat.KindBytes);
        WriteItem(handle, item, output, now);
    }

    internal void NoteFlush(long number)
    {
        if (number != 0)
            FlushNumber = number;
    }

    /// <summary>A flush has been carried out or scheduled, or its time has changed.</summary>
    private void LogFlush(bool clears)
    {
        if (Effects is not { } log)
            return;
        EffectFormat.WriteFlush(log.Begin(), clears, ScheduledFlushUnixSeconds, FlushNumber);
        EffectCount++;
        log.CommitFlush();
    }

    /// <summary>
    /// Writes the next items of a scan as puts, before the first ones the state of the flushes, until about <paramref name="bytesMax"/> bytes. Returns false
    /// when the end is reached.
    /// </summary>
    internal bool ExportEffects(ref ExportCursor cursor, IBufferWriter<byte> output, int bytesMax, uint now)
    {
        ArgumentNullException.ThrowIfNull(output);
        SettleBeforePass(now);
        if (cursor.Position == 0)
            EffectFormat.WriteFlush(output, clears: false, ScheduledFlushUnixSeconds, FlushNumber);
        return ExportItems(ref cursor, output, bytesMax, asEffects: true, now);
    }
}
