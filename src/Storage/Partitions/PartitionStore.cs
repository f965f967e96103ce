using System.Diagnostics;
using System.Runtime.CompilerServices;

namespace OrleansCache.Storage;

/// <summary>
/// The items of one partition: a hash index over items whose chunks, queues and counters belong to the <see cref="StoreShard"/>.
/// Algorithm: find the key in the index, act on the item where it lies, hand a view of it to the sink. A set over an item of the same slab class overwrites
/// it in place; anything else builds a new item first and swaps it in, so that a failure leaves the old one. Expiry is looked at on access, and by
/// <see cref="Reclaim"/> a few buckets at a time. A flush takes the whole index away at once; a scheduled one does so with the first call at or after its time.
/// Every mutation takes the partition's next sequence number; those that change what is stored give the item a CAS made of it, which no other partition gives.
/// Goals: nothing is allocated per operation; a read hit touches one index line and the item; no item is ever refused because memory sits in other
/// slab classes, partitions or shards.
/// Non-goal: thread safety; the shard's lock serialises calls.
/// </summary>
public sealed unsafe partial class PartitionStore : IDisposable
{
    private readonly PageArena _arena;
    private readonly StoreShard _shard;
    private readonly HandleSpace _space;
    private readonly SlabClasses _sizes;
    private readonly SlabClass[] _classes;
    private readonly int _itemBytesMax;
    private readonly ulong _casStep;
    private readonly bool _noCas;
    private readonly bool _hasChecksums;

    /// <summary>What a memory file keeps of the partition; null if there is none.</summary>
    private readonly PartitionRecord* _record;

    private HashIndex _index;
    private ulong _sequence;
    private uint _flushAt = uint.MaxValue;
    private bool _isDisposed;

    public PartitionStore(PageArena arena, PartitionId id)
    {
        ArgumentNullException.ThrowIfNull(arena);
        _ = arena.Hasher; // throws before the seed is known
        Id = id;
        _arena = arena;
        _events = arena.Events;
        _shard = arena.ShardOf(id);
        _space = arena.Space;
        _sizes = arena.Classes;
        _classes = _shard.Classes;
        _index = new HashIndex(arena);
        _itemBytesMax = arena.Options.ItemBytesMax;
        _casStep = (ulong)arena.Options.PartitionCount;
        _noCas = arena.Options.NoCas;
        _hasChecksums = arena.Space.HasChecksums;
        lock (_shard.Lock)
        {
            if (arena.File is not null)
            {
                _record = arena.File.Records + id.Value;
                OpenRecord(arena.File.IsWarm);
            }

            _shard.Attach(this);
        }
    }

    /// <summary>Goes on from what a memory file says of the partition, or begins anew.</summary>
    private void OpenRecord(bool isWarm)
    {
        // What a former life of the partition has left in the pages must not come back with this one.
        while (_shard.DrainDetached(DrainBucketsAtOnce))
        {
        }

        if (isWarm && (_record->Flags & PartitionRecord.OpenFlag) != 0)
        {
            _sequence = _record->Sequence;
            _flushAt = _record->FlushAt == 0 ? uint.MaxValue : _record->FlushAt;
        }
        else
        {
            *_record = new PartitionRecord { KnownEpoch = _record->KnownEpoch, Flags = PartitionRecord.OpenFlag };
        }
    }

    /// <summary>For a memory file: what is held is the newest there is, in this epoch, or may not be so any more. The caller has the shard's lock.</summary>
    internal void MarkServed(long epoch, bool isServed)
    {
        if (_record is null)
            return;
        if (!isServed)
        {
            Volatile.Write(ref _record->Flags, _record->Flags & ~PartitionRecord.ServedFlag);
            return;
        }

        Volatile.Write(ref _record->Epoch, epoch);
        Volatile.Write(ref _record->Flags, _record->Flags | PartitionRecord.ServedFlag);
    }

    /// <summary>Numbers that may have been given are not given again: after a memory file was not closed in order, or items were lost.</summary>
    internal void SkipSequence(ulong count) => SetSequence(_sequence + count);

    /// <summary>Makes an item that was found in a memory file one of this partition; false if there is a newer one, or no memory for the index.</summary>
    internal bool TryLinkRestored(ulong hash, uint handle, uint now)
    {
        ItemHeader* item = _space.At(handle);
        uint other = _index.Find(hash, ItemHeader.KeySpan(item));
        if (other != 0)
        {
            // The process ended between the new item and the end of the old one.
            if (_space.At(other)->Cas >= item->Cas)
                return false;
            Unlink(hash, other, LossCause.Replaced);
        }

        if (!TryGrowIndex(now))
            return false;
        _index.Insert(hash, handle);
        item->Kind = ChunkKind.Item;
        _shard.LinkRestored(this, handle);
        if (!item->Has(ItemWord.ExplicitCas))
            SetSequence(Math.Max(_sequence, item->Cas / _casStep));
        return true;
    }

    private void SetSequence(ulong sequence)
    {
        _sequence = sequence;
        if (_record is not null)
            _record->Sequence = sequence;
    }

    private void SetFlushAt(uint atUnixSeconds)
    {
        _flushAt = atUnixSeconds;
        if (_record is not null)
            _record->FlushAt = ScheduledFlushUnixSeconds;
    }

    public PartitionId Id { get; }

    internal PageArena Arena => _arena;

    internal StoreShard Shard => _shard;

    internal ref HashIndex Index => ref _index;

    /// <summary>May be read without the lock, as a hint.</summary>
    internal long BucketCount => _index.BucketCount;

    /// <summary>Items held, those expired but not yet reclaimed included.</summary>
    public long ItemCount { get; internal set; }

    /// <summary>Bytes of keys, values and headers held.</summary>
    public long ItemBytes { get; internal set; }

    /// <summary>The sequence number that the last mutation took.</summary>
    public ulong LastCas => _sequence;

    /// <summary>How many changes ago the partition gave this CAS; 0 if it did not.</summary>
    internal ulong ChangesSince(ulong cas) => cas / _casStep > _sequence ? 0 : _sequence - (cas / _casStep);

    /// <summary>When the scheduled flush fires, or 0.</summary>
    public uint ScheduledFlushUnixSeconds => _flushAt == uint.MaxValue ? 0 : _flushAt;

    /// <summary>
    /// Executes one request and calls the sink exactly once. Where no memory can be had without waiting for another partition, answers OutOfMemory.
    /// </summary>
    public void Execute(in CacheRequest request, uint nowUnixSeconds, ReplySink sink) => TryExecute(in request, nowUnixSeconds, sink, waitForPages: false);

    /// <summary>See <see cref="HashIndex.PrefetchBucket"/>. Without the lock.</summary>
    internal void PrefetchBucket(ulong keyHash) => _index.PrefetchBucket(keyHash);

    /// <summary>See <see cref="HashIndex.PrefetchItems"/>. Without the lock.</summary>
    internal void PrefetchItems(ulong keyHash) => _index.PrefetchItems(keyHash);

    /// <summary>
    /// As <see cref="Execute"/>; but with <paramref name="waitForPages"/>, where memory could be had by waiting for other partitions, returns false:
    /// then nothing was done, the sink was not called, and the shard's <see cref="StoreShard.PagesWanted"/> says how many pages to bring along.
    /// </summary>
    internal bool TryExecute(in CacheRequest request, uint nowUnixSeconds, ReplySink sink, bool waitForPages)
    {
        ArgumentNullException.ThrowIfNull(sink);
        Debug.Assert(request.Key.Length is > 0 and <= Limits.KeyBytesMax, "a request's key is bounded where it is built");
        Debug.Assert(request.KeyHash == _arena.Hasher.Compute(request.Key), "a request's hash is set where it is built");
        if (nowUnixSeconds >= _flushAt)
            FireScheduledFlush();
        _shard.Begin(waitForPages);
        if (Effects is { } log)
            return DispatchLogged(in request, nowUnixSeconds, sink, log);
        return (_events.Watched & RequestEvents) == 0 ? Dispatch(in request, nowUnixSeconds, sink) : DispatchWatched(in request, nowUnixSeconds, sink);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private bool Dispatch(in CacheRequest request, uint nowUnixSeconds, ReplySink sink)
    {
        switch (request.Operation)
        {
            case CacheOperation.Get:
                return ExecuteGet(in request, nowUnixSeconds, sink);
            case CacheOperation.Touch:
                return ExecuteTouch(in request, nowUnixSeconds, sink);
            case CacheOperation.Set:
            case CacheOperation.Add:
            case CacheOperation.Replace:
            case CacheOperation.Append:
            case CacheOperation.Prepend:
                return ExecuteStore(in request, nowUnixSeconds, sink);
            case CacheOperation.Delete:
                return ExecuteDelete(in request, nowUnixSeconds, sink);
            case CacheOperation.Increment:
            case CacheOperation.Decrement:
                return ExecuteArithmetic(in request, nowUnixSeconds, sink);
            default:
                return Answer(sink, CacheStatus.NotFound);
        }
    }

    /// <summary>
    /// Drops everything stored so far, now (0 or not in the future) or at the given time; then also what is stored until that time. What is stored straight
    /// after a flush stays. A later call replaces a scheduled flush whose time has not come.
    /// </summary>
    public void FlushAll(uint atUnixSeconds, uint nowUnixSeconds, long flushNumber = 0)
    {
        // Nobody may have come by since the time of the former one.
        if (nowUnixSeconds >= _flushAt)
            FireScheduledFlush();
        SetSequence(_sequence + 1);
        SetFlushAt(atUnixSeconds > nowUnixSeconds ? atUnixSeconds : uint.MaxValue);
        NoteFlush(flushNumber);
        bool isNow = atUnixSeconds <= nowUnixSeconds;
        if (isNow)
            FlushNow();
        LogFlush(clears: isNow);
    }

    /// <summary>Sets the time of the scheduled flush, whatever it was; a time that is past takes effect with the next request.</summary>
    public void RescheduleFlush(uint atUnixSeconds, long flushNumber = 0)
    {
        SetFlushAt(Math.Max(atUnixSeconds, 1)); // 0 is "none" wherever it is written down
        NoteFlush(flushNumber);
        LogFlush(clears: false);
    }

    /// <summary>
    /// Looks at up to <paramref name="bucketsMax"/> hash buckets for expired items, frees them and returns their number. The next call goes on from there.
    /// Also carries out a scheduled flush that is due, and takes back what pins have released.
    /// </summary>
    public int Reclaim(uint nowUnixSeconds, int bucketsMax)
    {
        SettleBeforePass(nowUnixSeconds);
        nowUnixSeconds = ExpiryTime(nowUnixSeconds);
        int reclaimed = 0;
        Span<uint> handles = stackalloc uint[BucketItemsMax];
        for (uint left = Math.Min((uint)bucketsMax, _index.BucketCount); left > 0; left--)
        {
            if (_reclaimBucket >= _index.BucketCount)
                _reclaimBucket = 0;
            int count = _index.ReadBucket(_reclaimBucket++, handles);
            foreach (uint handle in handles[..count])
            {
                if (TryReclaim(handle, nowUnixSeconds))
                    reclaimed++;
            }
        }

        return reclaimed;
    }

    /// <summary>
    /// Items of one bucket that <see cref="Reclaim"/> looks at in one round; a bucket that is longer has its rest looked at when it has shrunk or been split.
    /// </summary>
    private const int BucketItemsMax = 64;
    private uint _reclaimBucket;

    /// <summary>
    /// Drops all items: nobody finds them from now on, and their memory comes back in turns (<see cref="StoreShard.DrainDetached"/>). Counters and the
    /// sequence stay.
    /// </summary>
    public void Clear() => Clear(LossCause.Flushed);

    private void Clear(LossCause cause)
    {
        if (_record is not null)
        {
            // Before anything else: what is taken away now must not come back, whenever the process ends.
            _record->FlushedCas = (_sequence * _casStep) + (ulong)Id.Value;
            _record->Flags = cause == LossCause.Closed ? 0 : _record->Flags | PartitionRecord.FlushPendingFlag;
        }

        HashIndex index = _index;
        _index = new HashIndex(_arena);
        _reclaimBucket = 0;
        _shard.Detach(this, index, cause);

        // What is small is gone at once; the rest must not stall those who wait for the lock.
        _shard.DrainDetached(DrainBucketsAtOnce);
    }

    /// <summary>Buckets whose items a flush frees before it returns: some tens of microseconds.</summary>
    private const int DrainBucketsAtOnce = 64;

    /// <summary>Gives everything up.</summary>
    public void Dispose()
    {
        lock (_shard.Lock)
        {
            if (_isDisposed)
                return;
            _isDisposed = true;
            Clear(LossCause.Closed);
            _shard.Forget(this);
        }
    }

    /// <summary>Takes an item out of the index; false if it is not in.</summary>
    internal bool RemoveFromIndex(ulong hash, uint handle) => _index.Remove(hash, handle);

    /// <summary>An item has moved; false if the index does not hold it.</summary>
    internal bool ReplaceInIndex(ulong hash, uint from, uint to) => _index.Replace(hash, from, to);

    private void SettleBeforePass(uint now)
    {
        if (now >= _flushAt && !IsReplica)
            FireScheduledFlush();
        if (_shard.Pins.HasReleased)
            _shard.FreeReleased();
    }

    private void FireScheduledFlush()
    {
        SetFlushAt(uint.MaxValue);
        FlushNow();
        LogFlush(clears: true);
    }

    // ---- helpers of the operations ----

    /// <summary>The item under the request's key, or 0; one that has expired is freed on the way.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private uint FindLive(in CacheRequest request, uint now)
    {
        uint handle = _index.Find(request.KeyHash, request.Key);
        if (handle == 0)
            return _flushed is null ? 0 : CountFlushed(request.KeyHash);
        if (!Expiry.IsExpired(_space.At(handle)->ExpiresAt, now))
            return handle;
        _shard.Counters.GetExpired++;
        Unlink(request.KeyHash, handle, LossCause.Expired);
        return 0;
    }

    /// <summary>A read: counts it in the item, and writes only if that changes anything, so that hot lines stay clean.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Bump(ItemHeader* item, uint now, bool fetched = true)
    {
        uint word = item->Word;
        uint counted = word | (fetched ? ItemWord.Fetched : 0);
        if ((word & ItemWord.FrequencyMask) != ItemWord.FrequencyMask)
            counted += ItemWord.FrequencyOne;
        if (counted != word)
            item->Word = counted;
        item->SetAccess(now);
    }

    private static void AddRead(ItemHeader* item)
    {
        if ((item->Word & ItemWord.FrequencyMask) != ItemWord.FrequencyMask)
            item->Word += ItemWord.FrequencyOne;
    }

    private ValueView View(uint handle, ItemHeader* item) => item->IsChained
        ? new ValueView(_space.LinkOf(item)->ValueLength, _shard, handle)
        : new ValueView(new ReadOnlySpan<byte>(_space.ValueOf(item), (int)(item->Word & ItemWord.LengthMask)), _shard, handle);

    private static uint MarksOf(in CacheRequest request) => (request.Flags & RequestFlags.BinaryKey) != 0 ? ItemWord.BinaryKey : 0;

    private ulong NextCas(in CacheRequest request, ItemHeader* item)
    {
        SetSequence(_sequence + 1);
        item->Word &= ~ItemWord.ExplicitCas;
        if (_noCas)
            return 0;
        if ((request.Flags & RequestFlags.ExplicitCas) == 0)
            return (_sequence * _casStep) + (ulong)Id.Value;
        item->Word |= ItemWord.ExplicitCas;
        return request.NewCas;
    }

    private void SetCas(uint handle, ulong cas)
    {
        _space.At(handle)->Cas = cas;
        if (_hasChecksums)
            ItemChecksum.Set(in _space, _sizes, handle);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void SetExpiry(ItemHeader* item, uint expiresAt)
    {
        if (_hasChecksums)
            ItemChecksum.ChangeExpiry(in _space, item, expiresAt);
        item->ExpiresAt = expiresAt;
    }

    private bool CanOverwrite(uint handle, int keyBytes, uint clientFlags, int valueBytes)
    {
        long bytes = _space.FixedBytes + keyBytes + (clientFlags == 0 ? 0 : ItemHeader.FlagsBytes) + (long)valueBytes;
        return !_space.At(handle)->IsChained && _sizes.SingleClassOf(bytes) == _space.ClassOf(handle) && !_shard.Pins.IsPinned(handle);
    }

    /// <summary>Takes the chunks of an item with the request's key, and writes the key.</summary>
    private bool TryAllocate(in CacheRequest request, uint clientFlags, int valueBytes, uint expiresAt, uint now, out uint handle)
    {
        if (!TryGrowIndex(now) || !_shard.TryAllocate(request.Key.Length, clientFlags, valueBytes, expiresAt, now, out handle))
        {
            handle = 0;
            return false;
        }

        request.Key.CopyTo(new Span<byte>(ItemHeader.KeyOf(_space.At(handle)), request.Key.Length));
        return true;
    }

    /// <summary>Allocates for a set: if all else fails the old value gives its memory, because a failed set would delete it anyway.</summary>
    private bool TryAllocateFor(in CacheRequest request, ref uint old, uint clientFlags, uint expiresAt, uint now, out uint handle)
    {
        _shard.Guarded = old;
        bool allocated = TryAllocate(in request, clientFlags, request.Value.Length, expiresAt, now, out handle);
        _shard.Guarded = 0;
        if (allocated || _shard.PagesWanted != 0 || old == 0 || request.Operation != CacheOperation.Set)
            return allocated;
        Unlink(request.KeyHash, old, LossCause.Deleted);
        old = 0;
        if (TryAllocate(in request, clientFlags, request.Value.Length, expiresAt, now, out handle))
            return true;
        SetSequence(_sequence + 1); // the old value is gone
        return false;
    }

    /// <summary>Puts a filled item in the place of the old one (0 if there is none).</summary>
    private void Swap(uint old, uint handle, in CacheRequest request, uint now)
    {
        if (old == 0)
        {
            LinkNew(handle, in request, now);
            return;
        }

        ItemHeader* item = _space.At(handle);
        ItemHeader* oldItem = _space.At(old);
        item->Word |= oldItem->Word & ItemWord.FrequencyMask;
        AddRead(item);
        item->Cas = NextCas(in request, item);
        QueueId queue = _arena.Eviction.QueueOf(item->ExpiresAt, now, isGhost: oldItem->Queue == QueueId.Main);
        if (_hasChecksums)
            ItemChecksum.Set(in _space, _sizes, handle);
        _index.Replace(request.KeyHash, old, handle);
        _shard.Unlink(this, old, LossCause.Replaced);
        _shard.Link(this, handle, queue);
    }

    /// <summary>Makes a filled item visible under a key that is not there.</summary>
    private void LinkNew(uint handle, in CacheRequest request, uint now)
    {
        ItemHeader* item = _space.At(handle);
        item->Cas = NextCas(in request, item);
        if (_hasChecksums)
            ItemChecksum.Set(in _space, _sizes, handle);
        _index.Insert(request.KeyHash, handle);
        _shard.Link(this, handle, _shard.QueueOfNew(request.KeyHash, handle, now));
    }

    private void Unlink(ulong hash, uint handle, LossCause cause)
    {
        if (!_index.Remove(hash, handle))
            Throw.Corrupt(Id, "an item that is linked is not in the index");
        _shard.Unlink(this, handle, cause);
    }

    /// <summary>
    /// Splits buckets until the index has caught up, a few at a time. False only if no item can be inserted, and there is no memory to change that.
    /// </summary>
    private bool TryGrowIndex(uint now)
    {
        for (int i = 0; i < SplitsPerStoreMax; i++)
        {
            if (_index.NeedsOverflowBlock)
            {
                byte* lines = _shard.TryTakeIndexBlock(now);
                if (lines is null)
                    return false;
                _index.AddOverflowBlock(lines);
            }

            if (!_index.WantsToGrow)
                return true;
            if (!_index.NeedsBlock)
            {
                _index.Split();
                continue;
            }

            byte* block = _shard.TryTakeIndexBlock(now);
            if (block is null)
                return _index.BucketCount != 0;
            _index.AddBlock(block);
        }

        return !_index.NeedsOverflowBlock || TryAddOverflowBlock(now);
    }

    private bool TryAddOverflowBlock(uint now)
    {
        byte* lines = _shard.TryTakeIndexBlock(now);
        if (lines is null)
            return false;
        _index.AddOverflowBlock(lines);
        return true;
    }

    /// <summary>Buckets split per stored item while the index catches up.</summary>
    private const int SplitsPerStoreMax = 2;

    /// <summary>
    /// The item is too large, or there is no memory for it: a plain set then also deletes the old value, so that nobody reads what was to be replaced.
    /// </summary>
    private bool FailStore(in CacheRequest request, uint now, ReplySink sink, CacheStatus status, bool count = false)
    {
        if (count)
        {
            _shard.Counters.StoreNoMemory++;
            _classes[ClassOfRequest(in request)].Counters.OutOfMemory++;
        }

        if (request.Operation == CacheOperation.Set && (request.Flags & RequestFlags.CompareCas) == 0)
        {
            uint old = FindLive(in request, now);
            if (old != 0)
            {
                SetSequence(_sequence + 1);
                Unlink(request.KeyHash, old, LossCause.Deleted);
            }
        }

        return Answer(sink, status);
    }

    /// <summary>memcached counts a storage command as soon as it has memory for it, stored or not, in the class of what the client sent.</summary>
    private void CountSet(in CacheRequest request) => _classes[ClassOfRequest(in request)].Counters.CmdSet++;

    private int ClassOfRequest(in CacheRequest request)
    {
        long bytes = _space.FixedBytes + request.Key.Length + (request.ClientFlags == 0 ? 0 : ItemHeader.FlagsBytes) + (long)request.Value.Length;
        int classIndex = _sizes.SingleClassOf(bytes);
        return classIndex >= 0 ? classIndex : _sizes.HeadClass(bytes + ItemHeader.ChainBytes);
    }

    private static bool Answer(ReplySink sink, CacheStatus status)
    {
        CacheReply reply = default;
        reply.Status = status;
        sink.OnReply(in reply);
        return true;
    }

    private bool AnswerItem(ReplySink sink, ItemHeader* item, ref CacheReply reply) => AnswerItem(sink, item, item->ExpiresAt, ref reply);

    private bool AnswerItem(ReplySink sink, ItemHeader* item, uint shownExpiresAt, ref CacheReply reply)
    {
        reply.Status = CacheStatus.Ok;
        reply.ClientFlags = _space.ClientFlags(item);
        reply.ExpiresAt = shownExpiresAt;
        reply.Cas = item->Cas;
        reply.Value = ValueView.OfLength(_space.ValueLength(item));
        sink.OnReply(in reply);
        return true;
    }
}
