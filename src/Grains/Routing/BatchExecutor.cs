using OrleansCache.Storage;

namespace OrleansCache.Grains.Routing;

/// <summary>
/// Executes a batch against this silo's partitions, in order, each operation through its partition's gate. An operation whose partition is not active here
/// is answered with NotOwner and not executed; the rest of the batch goes on. A batch hashed under another seed than this silo's is answered
/// so as a whole. Safe to call from several threads at once.
/// </summary>
public sealed class BatchExecutor(PartitionSet partitions, TimeProvider time) : IBatchExecutor
{
    [ThreadStatic]
    private static ReplyWriter? t_writer;

    /// <summary>Returns the encoded reply. Throws <see cref="InvalidDataException"/> on bytes that are no batch.</summary>
    public ReadOnlyMemory<byte> Execute(ReadOnlyMemory<byte> batch)
    {
        // A writer that an exception left half-filled is not used again.
        ReplyWriter writer = t_writer ?? new ReplyWriter();
        t_writer = null;
        uint now = (uint)time.GetUtcNow().ToUnixTimeSeconds();
        var reader = new BatchReader(batch.Span);
        int partitionCount = partitions.PartitionCount;
        bool foreign = partitions.Hasher is not { } hasher || hasher.Fingerprint != reader.HashFingerprint;
        bool deferred = false;
        int announced = 0;
        Span<ulong> hashes = stackalloc ulong[Limits.PrefetchKeysMax];
        while (true)
        {
            // The store learns of several keys at once, so that the waits for memory overlap.
            if (announced == 0 && !foreign)
            {
                announced = reader.PeekHashes(hashes);
                partitions.Prefetch(hashes[..announced]);
            }

            if (!reader.TryRead(out CacheRequest request))
                break;
            announced--;
            deferred |= writer.Bytes > BatchFormat.ReplyBytesSoftMax;
            if (deferred)
            {
                writer.WriteStatus(BatchFormat.StatusDeferred);
                continue;
            }

            Partition? partition = foreign ? null : partitions.TryGet(PartitionId.OfHash(request.KeyHash, partitionCount));
            if (partition is null || !partition.TryExecute(in request, now, writer))
                writer.WriteStatus(BatchFormat.StatusNotOwner);
            else
                writer.CopyPinned();
        }

        byte[] reply = writer.TakeReply();
        t_writer = writer;
        return reply;
    }
}
