using OrleansCache.Ownership.Replication;
using OrleansCache.Storage;

namespace OrleansCache.Ownership.Routing;

/// <summary>
/// Executes a batch against this silo's partitions, in order, each operation through its partition's gate. An operation whose partition is not active here
/// is answered with NotOwner and not executed; the rest of the batch goes on, but for later operations of that partition: once refused, a partition is refused
/// to the end of the batch, even if its gate opens meanwhile, because the sender tries the refused ones again after this batch. A batch hashed under another
/// seed than this silo's, which then does not own what the batch means, is answered so as a whole. Safe to call from several threads at once.
/// </summary>
public sealed class BatchExecutor(PartitionSet partitions, TimeProvider time, FreezeDetector? freeze = null)
{
    [ThreadStatic]
    private static ReplyWriter? t_writer;

    /// <summary>A bit per partition that this batch has found closed; made by the first that ever is. Only bits below the partition count are set.</summary>
    [ThreadStatic]
    private static ulong[]? t_refused;

    /// <summary>For tests: called before each operation, to change gates there as another thread could.</summary>
    internal Action? BeforeOperation { get; set; }

    /// <summary>Returns the encoded reply. Throws <see cref="InvalidDataException"/> on bytes that are no batch.</summary>
    public PooledBytes Execute(ReadOnlySpan<byte> batch) => Execute(batch, out _);

    /// <summary>
    /// As the other. <paramref name="unacknowledged"/>: the results that may not leave yet, in ascending order; null if all may.
    /// </summary>
    internal PooledBytes Execute(ReadOnlySpan<byte> batch, out List<UnacknowledgedResult>? unacknowledged)
    {
        unacknowledged = null;
        // A writer that an exception left half-filled is not used again.
        ReplyWriter writer = t_writer ?? new ReplyWriter();
        t_writer = null;
        uint now = (uint)time.GetUtcNow().ToUnixTimeSeconds();
        var reader = new BatchReader(batch);
        int partitionCount = partitions.PartitionCount;
        bool mayServe = freeze?.MayServeNow() != false && partitions.Hasher is { } hasher && hasher.Fingerprint == reader.HashFingerprint;
        bool deferred = false;
        int announced = 0;
        ulong[]? refused = null;
        Span<ulong> hashes = stackalloc ulong[Limits.PrefetchKeysMax];
        while (true)
        {
            // The store learns of several keys at once, so that the waits for memory overlap.
            if (announced == 0 && mayServe)
            {
                announced = reader.PeekHashes(hashes);
                partitions.Prefetch(hashes[..announced]);
            }

            if (!reader.TryRead(out CacheRequest request))
                break;
            announced--;
            BeforeOperation?.Invoke();
            deferred |= writer.Bytes > BatchFormat.ReplyBytesSoftMax;
            if (deferred)
            {
                writer.WriteStatus(BatchFormat.StatusDeferred);
                continue;
            }

            PartitionId id = PartitionId.OfHash(request.KeyHash, partitionCount);
            if (!mayServe || (refused is not null && IsRefused(refused, id.Value)))
            {
                writer.WriteStatus(BatchFormat.StatusNotOwner);
            }
            else if (partitions.TryGet(id) is { } partition
                && (partition.TryExecute(in request, now, writer) || TryExecuteLogged(partition, in request, now, writer, ref unacknowledged)))
            {
                writer.CopyPinned();
            }
            else
            {
                refused ??= EmptySet(partitionCount);
                refused[id.Value >> 6] |= 1UL << id.Value;
                writer.WriteStatus(BatchFormat.StatusNotOwner);
            }
        }

        PooledBytes reply = writer.TakeReply();
        t_writer = writer;
        return reply;
    }

    /// <summary>The partition has copies: what the reply tells must be there as well.</summary>
    private static bool TryExecuteLogged(
        Partition partition, in CacheRequest request, uint now, ReplyWriter writer, ref List<UnacknowledgedResult>? unacknowledged)
    {
        int index = writer.Count;
        if (partition.Effects is not PartitionLog log || log.IsOverloaded || !partition.TryExecuteLogged(in request, now, writer, out _))
            return false;
        long need = log.NeedOf(request.KeyHash);
        if (log.Acknowledged < need)
            (unacknowledged ??= []).Add(new UnacknowledgedResult(index, log, need));
        return true;
    }

    private static bool IsRefused(ulong[] refused, int partition) => (refused[partition >> 6] >> partition & 1) != 0;

    private static ulong[] EmptySet(int partitionCount)
    {
        int words = (partitionCount + 63) >> 6;
        if (t_refused is not { } set || set.Length < words)
            return t_refused = new ulong[words];
        Array.Clear(set);
        return set;
    }
}
