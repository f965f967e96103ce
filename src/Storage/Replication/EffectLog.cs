using System.Buffers;

namespace OrleansCache.Storage;

/// <summary>
/// Where the owner of a partition writes what its requests have done to the items: effects (the state afterwards), in the order in which they took effect.
/// Every call holds the partition's lock: nothing here waits or calls the partition.
/// </summary>
public abstract class EffectLog
{
    /// <summary>
    /// Position of the last effect committed. A part of a copy carries it (<see cref="ExportCursor.LogPosition"/>), read under the same lock. Whoever copies
    /// partitions overrides it.
    /// </summary>
    public virtual long Position => 0;

    /// <summary>Asked before a request executes on the direct way: false turns it away, because its reply has to wait for a replica.</summary>
    public abstract bool MayAnswerNow(in CacheRequest request);

    /// <summary>
    /// An item was read for the first time since it came, or since eviction has spared it last. No effect: nothing waits for it, and it may be dropped.
    /// </summary>
    public virtual void NoteRead(ReadOnlySpan<byte> key)
    {
    }

    /// <summary>One effect begins: takes its bytes, until <see cref="Commit"/> or <see cref="CommitFlush"/>.</summary>
    public abstract IBufferWriter<byte> Begin();

    /// <summary>The effect is complete. It concerns the key with this hash.</summary>
    public abstract void Commit(ulong keyHash);

    /// <summary>The effect is complete. It concerns all keys.</summary>
    public abstract void CommitFlush();
}
