namespace OrleansCache.Storage;

/// <summary>
/// What a replica does with its owner's effects. They are applied in order and without a condition: the owner has decided already. So applying a block again
/// from its start, or one that the state has gone through already together with all that follow it, ends in the same state.
/// </summary>
public sealed unsafe partial class PartitionStore
{
    /// <summary>
    /// A replica keeps what has expired so much longer, in seconds: its clock may go before the owner's, whose touch may still be on its way.
    /// </summary>
    private const uint ReplicaExpiryGraceSeconds = 60;

    /// <summary>Of a partition whose owner is elsewhere: a scheduled flush waits for the owner to fire it.</summary>
    internal bool IsReplica { get; set; }

    /// <summary>The time by which a pass judges what has expired.</summary>
    internal uint ExpiryTime(uint now) => IsReplica ? now - Math.Min(now, ReplicaExpiryGraceSeconds) : now;

    /// <summary>Whether the bytes are effects from the first to the last, of keys that belong to this partition. Needs no lock.</summary>
    internal bool AreEffects(ReadOnlySpan<byte> effects)
    {
        KeyHasher hasher = _arena.Hasher;
        int partitionCount = _arena.Options.PartitionCount;
        var reader = new EffectFormat.Reader(effects);
        while (reader.Read())
        {
            if (reader.Kind != EffectKind.Flush && PartitionId.OfHash(hasher.Compute(reader.Item.Key), partitionCount) != Id)
                return false;
        }

        return !reader.IsMalformed;
    }

    /// <summary>
    /// Applies effects that <see cref="AreEffects"/> has let through. With <paramref name="waitForPages"/>, returns false at an item for which the shard's
    /// PagesWanted would help; then all of it is to be applied again. Otherwise an item without memory leaves its key absent, never with an older value.
    /// </summary>
    internal bool Apply(ReadOnlySpan<byte> effects, ulong sequence, uint now, bool waitForPages)
    {
        _shard.Begin(waitForPages);
        var reader = new EffectFormat.Reader(effects);
        while (reader.Read())
        {
            ExportedItem item = reader.Item;
            switch (reader.Kind)
            {
                case EffectKind.Put:
                    if (!TryApplyPut(in item, now))
                        return false;
                    break;
                case EffectKind.Remove:
                    ulong hash = _arena.Hasher.Compute(item.Key);
                    uint handle = _index.Find(hash, item.Key);
                    if (handle != 0)
                        Unlink(hash, handle, LossCause.Deleted);
                    break;
                case EffectKind.Touch:
                    ApplyTouch(in item);
                    break;
                default:
                    if (reader.Clears)
                        FlushNow();
                    SetFlushAt(reader.FlushAt == 0 ? uint.MaxValue : reader.FlushAt);
                    FlushNumber = reader.FlushNumber;
                    break;
            }
        }

        SetSequence(Math.Max(_sequence, sequence));
        return true;
    }

    /// <summary>
    /// The owner's clients have read these keys: their items count as read here as well, so that memory keeps what is in use, whoever serves it. Keys are as in
    /// <see cref="EffectFormat"/>; bytes that are none end it.
    /// </summary>
    internal void ApplyReads(ReadOnlySpan<byte> keys, uint now)
    {
        var reader = new EffectFormat.KeyReader(keys);
        while (reader.Read())
        {
            uint handle = _index.Find(_arena.Hasher.Compute(reader.Key), reader.Key);
            if (handle != 0)
                Bump(_space.At(handle), now);
        }
    }

    private bool TryApplyPut(in ExportedItem source, uint now)
    {
        ulong hash = _arena.Hasher.Compute(source.Key);
        uint old = _index.Find(hash, source.Key);
        bool isExpired = Expiry.IsExpired(source.ExpiresAt, ExpiryTime(now));
        if (!isExpired && TryStoreExported(hash, in source, old, now))
        {
            NoteCas(in source);
            return true;
        }

        if (!isExpired && _shard.PagesWanted != 0)
            return false;
        if (old != 0)
            Unlink(hash, old, LossCause.Deleted);

        // What the old item held may be enough.
        if (!isExpired && old != 0 && TryStoreExported(hash, in source, 0, now))
            NoteCas(in source);
        return true;
    }

    private void ApplyTouch(in ExportedItem source)
    {
        uint handle = _index.Find(_arena.Hasher.Compute(source.Key), source.Key);
        if (handle == 0)
            return; // evicted here
        ItemHeader* item = _space.At(handle);
        item->Word = (item->Word & ~ExportFormat.WordMask) | ExportFormat.WordOf(source.Marks);
        item->SetAccess(source.LastAccess);
        SetExpiry(item, source.ExpiresAt);
        if (item->Cas != source.Cas)
            SetCas(handle, source.Cas);
        NoteCas(in source);
    }

    /// <summary>A memory file tells by the sequence what a flush has taken: it must not be behind what is stored.</summary>
    private void NoteCas(in ExportedItem source)
    {
        if ((source.Marks & ItemMarks.ExplicitCas) == 0)
            SetSequence(Math.Max(_sequence, source.Cas / _casStep));
    }
}
