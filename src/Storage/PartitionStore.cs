using System.Diagnostics;
using System.Runtime.CompilerServices;

namespace OrleansCache.Storage;

/// <summary>
/// The items of one partition: slab classes and a hash index over pages that it borrows from the <see cref="PageArena"/>.
/// Algorithm: find the key in the index, act on the item where it lies, hand a view of it to the sink. A set over an item of the same slab class overwrites
/// it in place; anything else builds a new item first and swaps it in, so that a failure leaves the old one. Expiry is looked at on access, and by
/// <see cref="Reclaim"/> a few buckets at a time. A flush drops all pages at once; a scheduled one does so with the first call at or after its time.
/// Every mutation takes the next sequence number; those that change what is stored give it to the item as its CAS.
/// Goals: nothing is allocated per operation; a read hit touches one index line and the item; no item is ever refused because memory sits in other
/// slab classes or partitions (see PartitionStore.Memory.cs).
/// Non-goal: thread safety; the partition's lock serialises calls. Only Unpin, and reads of pinned values, may come from other threads.
/// </summary>
public sealed unsafe partial class PartitionStore : ValueOwner, IDisposable
{
    private readonly PageArena _arena;
    private readonly HandleSpace _space;
    private readonly SlabClasses _sizes;
    private readonly SlabClass[] _classes;
    private readonly int _itemBytesMax;
    private readonly bool _noCas;
    private readonly bool _noEviction;

    private HashIndex _index;
    private StoreCounters _counters;
    private ulong _sequence;
    private uint _flushAt = uint.MaxValue;
    private long _itemCount;
    private long _itemBytes;
    private bool _waitForPages;

    public PartitionStore(PageArena arena, PartitionId id)
    {
        ArgumentNullException.ThrowIfNull(arena);
        Id = id;
        _arena = arena;
        _events = arena.Events;
        _space = arena.Space;
        _sizes = arena.Classes;
        _classes = new SlabClass[_sizes.Count];
        _index = new HashIndex(_space, arena.Hasher);
        _itemBytesMax = arena.Options.ItemBytesMax;
        _noCas = arena.Options.NoCas;
        _noEviction = arena.Options.NoEviction;
        _random = ((arena.Options.Seed * 0x9E3779B97F4A7C15) + (ulong)id.Value) | 1;
    }

    public PartitionId Id { get; }

    internal PageArena Arena => _arena;

    /// <summary>May be read without the lock, as a hint.</summary>
    internal long BucketCount => _index.BucketCount;

    /// <summary>Items held, those expired but not yet reclaimed included.</summary>
    public long ItemCount => _itemCount;

    /// <summary>Bytes of keys, values and headers held.</summary>
    public long ItemBytes => _itemBytes;

    /// <summary>The sequence number that the last mutation took.</summary>
    public ulong LastCas => _sequence;

    /// <summary>When the scheduled flush fires, or 0.</summary>
    public uint ScheduledFlushUnixSeconds => _flushAt == uint.MaxValue ? 0 : _flushAt;

    /// <summary>Executes one request and calls the sink exactly once. Where no memory can be had without waiting for another partition, answers OutOfMemory.</summary>
    public void Execute(in CacheRequest request, uint nowUnixSeconds, ReplySink sink) => TryExecute(in request, nowUnixSeconds, sink, waitForPages: false);

    /// <summary>See <see cref="HashIndex.PrefetchLine"/>. Without the lock.</summary>
    internal void PrefetchLine(ulong keyHash) => _index.PrefetchLine(keyHash);

    /// <summary>See <see cref="HashIndex.PrefetchItems"/>. Without the lock.</summary>
    internal void PrefetchItems(ulong keyHash) => _index.PrefetchItems(keyHash);

    /// <summary>
    /// As <see cref="Execute"/>; but with <paramref name="waitForPages"/>, where memory could be had by waiting for other partitions, returns false:
    /// then nothing was done, the sink was not called, and <see cref="PagesWanted"/> says how many pages to bring along (<see cref="AddGranted"/>).
    /// </summary>
    internal bool TryExecute(in CacheRequest request, uint nowUnixSeconds, ReplySink sink, bool waitForPages)
    {
        ArgumentNullException.ThrowIfNull(sink);
        Debug.Assert(request.Key.Length is > 0 and <= Limits.KeyBytesMax, "whoever builds a request bounds its key");
        Debug.Assert(request.KeyHash == _arena.Hasher.Compute(request.Key), "whoever builds a request sets its hash");
        if (nowUnixSeconds >= _flushAt)
            FireScheduledFlush();
        if (_released != 0)
            FreeReleased();
        _waitForPages = waitForPages;
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
    public void FlushAll(uint atUnixSeconds, uint nowUnixSeconds)
    {
        // Nobody may have come by since the time of the former one.
        if (nowUnixSeconds >= _flushAt)
            FireScheduledFlush();
        _sequence++;
        _flushAt = uint.MaxValue;
        if (atUnixSeconds > nowUnixSeconds)
            _flushAt = atUnixSeconds;
        else
            FlushNow();
    }

    /// <summary>Sets the time of the scheduled flush, whatever it was; a time that is past takes effect with the next request.</summary>
    public void RescheduleFlush(uint atUnixSeconds) => _flushAt = atUnixSeconds;

    /// <summary>
    /// Looks at up to <paramref name="bucketsMax"/> hash buckets for expired items, frees them and returns their number. The next call goes on from there.
    /// Also carries out a scheduled flush that is due, and takes back what pins have released.
    /// </summary>
    public int Reclaim(uint nowUnixSeconds, int bucketsMax)
    {
        if (nowUnixSeconds >= _flushAt)
            FireScheduledFlush();
        if (_released != 0)
            FreeReleased();
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

    /// <summary>Items of one bucket that <see cref="Reclaim"/> looks at in one round; a bucket that is longer has its rest looked at when it has shrunk or been split.</summary>
    private const int BucketItemsMax = 64;
    private uint _reclaimBucket;

    /// <summary>Drops all items and gives all pages back that no pin holds. Counters and the sequence stay.</summary>
    public void Clear()
    {
        if (Volatile.Read(ref _pinnedItems) != 0)
        {
            // Someone may still be sending an item: then each item goes its own way, so that those become orphans.
            for (int c = 0; c < _classes.Length; c++)
            {
                while (_classes[c].Lru.Tail != 0)
                    Unlink(_classes[c].Lru.Tail);
            }

            ReleaseSpare();
        }
        else
        {
            FreeReleased();
            DropAllItemPages();
        }

        for (int i = 0; i < _index.PageCount; i++)
            GiveIndexPage(_space.PageOf(_space.HandleOf(_index.PageAt(i))));
        _index.Clear();
        _reclaimBucket = 0;
        _exportNext = 0;
    }

    private void FireScheduledFlush()
    {
        _flushAt = uint.MaxValue;
        FlushNow();
    }

    // ---- the operations ----

    private bool ExecuteGet(in CacheRequest request, uint now, ReplySink sink)
    {
        uint handle = FindLive(in request, now);
        if (handle == 0)
            return ExecuteGetMiss(in request, now, sink);

        ItemHeader* item = _space.At(handle);
        ref SlabClass slab = ref _classes[item->ClassIndex];
        CacheReply reply = default;
        reply.Status = CacheStatus.Ok;
        reply.ClientFlags = item->ClientFlags;
        reply.LastAccess = item->LastAccess;
        reply.Cas = item->Cas;
        RequestFlags flags = request.Flags;
        reply.SlabClass = (byte)(item->ClassIndex + 1);
        ItemMarks marks = item->Marks;
        uint formerExpiresAt = item->ExpiresAt;
        if ((marks & ItemMarks.Fetched) != 0)
            reply.ItemFlags = ItemFlags.Fetched;
        if ((flags & RequestFlags.Touch) != 0)
        {
            item->ExpiresAt = request.ExpiresAt;
            _sequence++;
            slab.Counters.TouchHits++;
        }
        else if ((flags & (RequestFlags.Peek | RequestFlags.TakeToken)) != RequestFlags.Peek)
        {
            slab.Counters.GetHits++;
        }

        if ((flags & RequestFlags.Recache) != 0 || (marks & (ItemMarks.Stale | ItemMarks.TokenSent | ItemMarks.BinaryKey)) != 0)
            reply.ItemFlags |= HandToken(item, in request, formerExpiresAt);
        reply.ExpiresAt = (flags & RequestFlags.FormerExpiry) == 0 ? item->ExpiresAt : formerExpiresAt;
        if ((flags & RequestFlags.Peek) == 0)
            Bump(item, now);
        bool matches = (flags & RequestFlags.CompareCas) != 0 && item->Cas == request.CompareCas;
        reply.Value = (flags & RequestFlags.ReturnValue) != 0 && !matches ? View(handle, item) : ValueView.OfLength(item->ValueLength);
        sink.OnReply(in reply);
        return true;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private bool ExecuteGetMiss(in CacheRequest request, uint now, ReplySink sink)
    {
        if ((request.Flags & RequestFlags.CreateOnMiss) != 0)
        {
            if (TryAllocate(request.Key.Length, 0, now, out uint handle))
            {
                ItemHeader* item = _space.At(handle);
                Fill(item, in request, 0, request.CreateExpiresAt);
                item->Marks |= ItemMarks.TokenSent;
                Link(handle, request.KeyHash, NextCas(in request), now);
                ref SlabClassCounters counters = ref _classes[item->ClassIndex].Counters;
                if ((request.Flags & RequestFlags.Touch) != 0)
                    counters.TouchHits++;
                else
                    counters.GetHits++;
                var created = new CacheReply
                {
                    Status = CacheStatus.Ok,
                    ItemFlags = ItemFlags.Won | ItemFlags.Created,
                    SlabClass = (byte)(item->ClassIndex + 1),
                    ExpiresAt = item->ExpiresAt,
                    LastAccess = now,
                    Cas = item->Cas,
                };

                // The command that creates an item also reads it.
                if ((request.Flags & RequestFlags.Peek) == 0)
                    Bump(item, now);
                sink.OnReply(in created);
                return true;
            }

            if (PagesWanted != 0)
                return false;
        }

        // memcached's count: an mg with T that misses is a get, a gat that misses a touch, and me is neither.
        switch (request.Flags & (RequestFlags.Touch | RequestFlags.Peek | RequestFlags.TakeToken))
        {
            case RequestFlags.Touch:
                _counters.TouchMisses++;
                break;
            case RequestFlags.Peek:
                break;
            default:
                _counters.GetMisses++;
                break;
        }

        return Answer(sink, CacheStatus.NotFound);
    }

    /// <summary>
    /// Meta: who sees a stale or soon expiring item first gets the right to replace it (W), the others see that someone has it (Z).
    /// Also says whether the item's key came in base64.
    /// </summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private ItemFlags HandToken(ItemHeader* item, in CacheRequest request, uint formerExpiresAt)
    {
        ItemFlags shown = (item->Marks & ItemMarks.BinaryKey) != 0 ? ItemFlags.BinaryKey : ItemFlags.None;
        bool sent = (item->Marks & ItemMarks.TokenSent) != 0;
        uint expiresAt = (request.Flags & RequestFlags.RecacheBeforeTouch) != 0 ? formerExpiresAt : item->ExpiresAt;
        bool won = !sent && (request.Flags & RequestFlags.Recache) != 0 && expiresAt != Expiry.Never && expiresAt < request.RecacheBefore;
        if (sent)
            shown |= ItemFlags.AlreadyWon;
        if ((item->Marks & ItemMarks.Stale) != 0)
        {
            shown |= ItemFlags.Stale;
            won |= !sent;
        }

        // A plain get looks at stale items without taking part in the race.
        const RequestFlags TakesPart = RequestFlags.Recache | RequestFlags.TakeToken | RequestFlags.CreateOnMiss;
        if (won && (request.Flags & TakesPart) != 0)
        {
            shown |= ItemFlags.Won;
            item->Marks |= ItemMarks.TokenSent;
            _sequence++;
        }

        return shown;
    }

    private bool ExecuteTouch(in CacheRequest request, uint now, ReplySink sink)
    {
        uint handle = FindLive(in request, now);
        if (handle == 0)
        {
            _counters.TouchMisses++;
            return Answer(sink, CacheStatus.NotFound);
        }

        ItemHeader* item = _space.At(handle);
        CacheReply reply = default;
        reply.LastAccess = item->LastAccess;
        _sequence++;
        item->ExpiresAt = request.ExpiresAt;
        Bump(item, now);
        _classes[item->ClassIndex].Counters.TouchHits++;
        return AnswerItem(sink, item, ref reply);
    }

    private bool ExecuteStore(in CacheRequest request, uint now, ReplySink sink)
    {
        if (Limits.IsItemTooLarge(request.Key.Length, request.Value.Length, request.ClientFlags, _itemBytesMax))
        {
            _counters.StoreTooLarge++;
            return FailStore(in request, now, sink, CacheStatus.TooLarge);
        }

        uint old = FindLive(in request, now);
        CacheOperation operation = request.Operation;
        bool comparesCas = (request.Flags & RequestFlags.CompareCas) != 0;
        ItemMarks marks = (request.Flags & RequestFlags.BinaryKey) != 0 ? ItemMarks.BinaryKey : ItemMarks.None;
        if (old == 0)
        {
            switch (operation)
            {
                case CacheOperation.Set when !comparesCas:
                case CacheOperation.Add:
                    return Store(in request, 0, request.ClientFlags, request.ExpiresAt, marks, now, sink);
                case CacheOperation.Append or CacheOperation.Prepend when (request.Flags & RequestFlags.CreateOnMiss) != 0:
                    return Store(in request, 0, request.ClientFlags, request.CreateExpiresAt, marks, now, sink);
                case CacheOperation.Set:
                case CacheOperation.Replace when comparesCas:
                    _counters.CasMisses++;
                    CountSet(in request);
                    return Answer(sink, CacheStatus.NotFound);
                default:
                    CountSet(in request);
                    return Answer(sink, CacheStatus.NotStored);
            }
        }

        ItemHeader* item = _space.At(old);
        switch (operation)
        {
            case CacheOperation.Add:
                CountSet(in request);
                Bump(item, now, fetched: false);
                return Answer(sink, CacheStatus.NotStored);

            case CacheOperation.Append:
            case CacheOperation.Prepend:
                if (comparesCas && request.CompareCas != 0 && !_noCas && request.CompareCas != item->Cas)
                {
                    CountSet(in request);
                    return Answer(sink, CacheStatus.Exists);
                }

                return Extend(in request, old, now, sink);

            default:
                uint expiresAt = request.ExpiresAt;
                if (comparesCas)
                {
                    ref SlabClassCounters counters = ref _classes[item->ClassIndex].Counters;
                    bool comparable = !_noCas && request.CompareCas != 0;
                    if (comparable && (request.Flags & RequestFlags.Invalidate) != 0 && request.CompareCas < item->Cas)
                    {
                        // The value replaced is newer than the one the client saw: store, but say so to those who read it.
                        expiresAt = item->ExpiresAt;
                        marks |= ItemMarks.Stale | (item->Marks & ItemMarks.TokenSent);
                    }
                    else if (!comparable || request.CompareCas != item->Cas)
                    {
                        counters.CasBadValue++;
                        CountSet(in request);
                        return Answer(sink, CacheStatus.Exists);
                    }

                    if (!Store(in request, old, request.ClientFlags, expiresAt, marks, now, sink))
                        return false;
                    counters.CasHits++;
                    return true;
                }

                return Store(in request, old, request.ClientFlags, expiresAt, marks, now, sink);
        }
    }

    /// <summary>Stores the request's value in place of <paramref name="old"/> (0 if there is none) and answers.</summary>
    private bool Store(in CacheRequest request, uint old, uint clientFlags, uint expiresAt, ItemMarks marks, uint now, ReplySink sink)
    {
        uint handle;
        ItemHeader* item;
        CacheReply reply = default;
        if (old != 0 && CanOverwrite(item = _space.At(old), request.Value.Length))
        {
            handle = old;
            ref SlabClass slab = ref _classes[item->ClassIndex];
            slab.RequestedBytes += request.Value.Length - item->ValueLength;
            _itemBytes += request.Value.Length - item->ValueLength;
            Fill(item, in request, clientFlags, expiresAt);
            item->ValueLength = request.Value.Length;
            item->Marks = marks;
            item->Cas = NextCas(in request);
            item->LastAccess = now;
            MoveToHead(ref slab, handle);
            request.Value.CopyTo(new Span<byte>(ItemHeader.ValueOf(item), request.Value.Length));
            _counters.TotalItems++;
            slab.Counters.CmdSet++;
        }
        else
        {
            if (!TryAllocateFor(in request, ref old, request.Value.Length, now, out handle))
                return PagesWanted == 0 && FailStore(in request, now, sink, CacheStatus.OutOfMemory, count: true);
            item = _space.At(handle);
            Fill(item, in request, clientFlags, expiresAt);
            item->Marks |= marks;
            var writer = new ValueWriter(in _space, _sizes, handle);
            writer.Write(request.Value);
            Swap(old, handle, in request, now);
            _classes[item->ClassIndex].Counters.CmdSet++;
        }

        return AnswerItem(sink, item, ref reply);
    }

    /// <summary>Append and prepend: a new item of both parts, with the old one's flags and expiry.</summary>
    private bool Extend(in CacheRequest request, uint old, uint now, ReplySink sink)
    {
        ItemHeader* oldItem = _space.At(old);
        long length = (long)oldItem->ValueLength + request.Value.Length;
        // As memcached: what does not fit together is not stored, and the old value stays.
        if (Limits.IsItemTooLarge(request.Key.Length, length, oldItem->ClientFlags, _itemBytesMax))
        {
            CountSet(in request);
            return Answer(sink, CacheStatus.NotStored);
        }

        _guarded = old;
        bool allocated = TryAllocate(request.Key.Length, (int)length, now, out uint handle);
        _guarded = 0;
        if (!allocated)
        {
            if (PagesWanted != 0)
                return false;
            CountSet(in request);
            return Answer(sink, CacheStatus.NotStored);
        }

        ItemHeader* item = _space.At(handle);
        Fill(item, in request, oldItem->ClientFlags, oldItem->ExpiresAt);
        var writer = new ValueWriter(in _space, _sizes, handle);
        if (request.Operation == CacheOperation.Prepend)
            writer.Write(request.Value);
        var cursor = default(ValueCursor);
        for (int offset = 0; offset < oldItem->ValueLength;)
        {
            byte* run = GetRun(old, offset, ref cursor, out int runBytes);
            writer.Write(new ReadOnlySpan<byte>(run, runBytes));
            offset += runBytes;
        }

        if (request.Operation == CacheOperation.Append)
            writer.Write(request.Value);
        CountSet(in request);
        Swap(old, handle, in request, now);
        CacheReply reply = default;
        return AnswerItem(sink, item, ref reply);
    }

    private bool ExecuteDelete(in CacheRequest request, uint now, ReplySink sink)
    {
        uint handle = FindLive(in request, now);
        bool isRefusedStore = (request.Flags & RequestFlags.RefusedStore) != 0;
        if (handle == 0)
        {
            if (!isRefusedStore)
                _counters.DeleteMisses++;
            return Answer(sink, CacheStatus.NotFound);
        }

        ItemHeader* item = _space.At(handle);
        if ((request.Flags & RequestFlags.CompareCas) != 0 && item->Cas != request.CompareCas)
        {
            _counters.DeleteMisses++;
            return Answer(sink, CacheStatus.Exists);
        }

        if ((request.Flags & (RequestFlags.DropValue | RequestFlags.Invalidate)) != 0)
            return Invalidate(in request, handle, now, sink);

        _sequence++;
        if (!isRefusedStore)
            _classes[item->ClassIndex].Counters.DeleteHits++;
        Unlink(handle);
        return Answer(sink, CacheStatus.Ok);
    }

    /// <summary>Meta delete that keeps the key: x leaves an empty item, I marks it as stale.</summary>
    private bool Invalidate(in CacheRequest request, uint handle, uint now, ReplySink sink)
    {
        ItemHeader* item = _space.At(handle);
        if ((request.Flags & RequestFlags.DropValue) != 0)
        {
            ulong cas = item->Cas;
            _guarded = handle;
            bool allocated = TryAllocate(request.Key.Length, 0, now, out uint empty);
            _guarded = 0;
            if (!allocated)
                return PagesWanted == 0 && Answer(sink, CacheStatus.OutOfMemory);
            Fill(_space.At(empty), in request, request.ClientFlags, request.ExpiresAt);
            Swap(handle, empty, in request, now);
            handle = empty;
            item = _space.At(handle);
            if ((request.Flags & RequestFlags.ExplicitCas) == 0)
                item->Cas = cas;
        }

        if ((request.Flags & RequestFlags.Invalidate) != 0)
        {
            if ((request.Flags & RequestFlags.Touch) != 0)
                item->ExpiresAt = request.ExpiresAt;
            item->Marks = (item->Marks | ItemMarks.Stale) & ~ItemMarks.TokenSent;
            item->Cas = NextCas(in request);
        }
        else
        {
            _classes[item->ClassIndex].Counters.DeleteHits++;
        }

        CacheReply reply = default;
        return AnswerItem(sink, item, ref reply);
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
        _counters.GetExpired++;
        Unlink(handle);
        return 0;
    }

    /// <summary>A read: marks the item, and writes only if that changes anything, so that hot lines stay clean.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Bump(ItemHeader* item, uint now, bool fetched = true)
    {
        ItemMarks marks = item->Marks | ItemMarks.Referenced | (fetched ? ItemMarks.Fetched : 0);
        if (marks != item->Marks)
            item->Marks = marks;
        if (item->LastAccess != now)
            item->LastAccess = now;
    }

    private ValueView View(uint handle, ItemHeader* item) => item->IsChained
        ? new ValueView(item->ValueLength, this, handle)
        : new ValueView(new ReadOnlySpan<byte>(ItemHeader.ValueOf(item), item->ValueLength), this, handle);

    /// <summary>Key and what the client gives; all else was set by the allocation. (Over an old item the key is the same.)</summary>
    private static void Fill(ItemHeader* item, in CacheRequest request, uint clientFlags, uint expiresAt)
    {
        item->ClientFlags = clientFlags;
        item->ExpiresAt = expiresAt;
        if (item->Kind == ChunkKind.Building)
            request.Key.CopyTo(new Span<byte>(ItemHeader.KeyOf(item), request.Key.Length));
    }

    private ulong NextCas(in CacheRequest request)
    {
        _sequence++;
        return _noCas ? 0 : (request.Flags & RequestFlags.ExplicitCas) != 0 ? request.NewCas : _sequence;
    }

    private bool CanOverwrite(ItemHeader* item, int valueBytes)
    {
        int bytes = ItemHeader.Bytes + item->KeyLength + valueBytes;
        return bytes <= _sizes.ContiguousBytesMax && !item->IsChained && _sizes.ClassOf(bytes) == item->ClassIndex && Volatile.Read(ref item->Pins) == 0;
    }

    /// <summary>Allocates for a set: if all else fails the old value gives its memory, because a failed set would delete it anyway.</summary>
    private bool TryAllocateFor(in CacheRequest request, ref uint old, int valueBytes, uint now, out uint handle)
    {
        _guarded = old;
        bool allocated = TryAllocate(request.Key.Length, valueBytes, now, out handle);
        _guarded = 0;
        if (allocated || PagesWanted != 0 || old == 0 || request.Operation != CacheOperation.Set)
            return allocated;
        Unlink(old);
        old = 0;
        return TryAllocate(request.Key.Length, valueBytes, now, out handle);
    }

    /// <summary>Puts a filled item in the place of the old one (0 if there is none).</summary>
    private void Swap(uint old, uint handle, in CacheRequest request, uint now)
    {
        ulong cas = NextCas(in request);
        if (old != 0)
            Unlink(old, replacement: handle, request.KeyHash);
        Link(handle, request.KeyHash, cas, now, insert: old == 0);
    }

    /// <summary>The item is too large, or there is no memory for it: a plain set then also deletes the old value, so that nobody reads what was to be replaced.</summary>
    private bool FailStore(in CacheRequest request, uint now, ReplySink sink, CacheStatus status, bool count = false)
    {
        if (count)
        {
            _counters.StoreNoMemory++;
            _classes[ClassOfRequest(in request)].Counters.OutOfMemory++;
        }

        if (request.Operation == CacheOperation.Set && (request.Flags & RequestFlags.CompareCas) == 0)
        {
            uint old = FindLive(in request, now);
            if (old != 0)
            {
                _sequence++;
                Unlink(old);
            }
        }

        return Answer(sink, status);
    }

    /// <summary>memcached counts a storage command as soon as it has memory for it, stored or not, in the class of what the client sent.</summary>
    private void CountSet(in CacheRequest request) => _classes[ClassOfRequest(in request)].Counters.CmdSet++;

    private int ClassOfRequest(in CacheRequest request)
    {
        int bytes = ItemHeader.Bytes + request.Key.Length + request.Value.Length;
        return bytes <= _sizes.ContiguousBytesMax ? _sizes.ClassOf(bytes) : _sizes.PageClass;
    }

    private static bool Answer(ReplySink sink, CacheStatus status)
    {
        CacheReply reply = default;
        reply.Status = status;
        sink.OnReply(in reply);
        return true;
    }

    private static bool AnswerItem(ReplySink sink, ItemHeader* item, ref CacheReply reply) => AnswerItem(sink, item, item->ExpiresAt, ref reply);

    private static bool AnswerItem(ReplySink sink, ItemHeader* item, uint shownExpiresAt, ref CacheReply reply)
    {
        reply.Status = CacheStatus.Ok;
        reply.ClientFlags = item->ClientFlags;
        reply.ExpiresAt = shownExpiresAt;
        reply.Cas = item->Cas;
        reply.Value = ValueView.OfLength(item->ValueLength);
        sink.OnReply(in reply);
        return true;
    }
}
