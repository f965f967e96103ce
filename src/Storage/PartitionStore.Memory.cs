using System.Diagnostics;

namespace OrleansCache.Storage;

/// <summary>
/// Where a store gets its chunks from, in this order: the class's free list; pages granted or free in the arena; the cold end of the class's own list;
/// a page of another class of this partition or of another partition. A page is taken away by evicting all that lies on it.
/// Who gives: once per page's worth of evictions a class asks whether much older items lie elsewhere (this partition's other classes, a sample of the
/// other partitions), and takes a page there if so: memory follows the traffic. A class with nothing to evict takes from whoever is richer, so that a size
/// that was never seen before is stored. Another partition's lock is only ever tried, never waited for, while one is held; if all are busy, the
/// caller comes back with pages that it collected holding none (<see cref="PagesWanted"/>).
/// Bounded: every loop here; a page with a pinned item, or with one that is being filled or copied from, is left alone.
/// </summary>
public sealed unsafe partial class PartitionStore
{
    /// <summary>Items at the tail that one eviction may spare because they were read.</summary>
    private const int SecondChancesMax = 32;

    /// <summary>Evictions that may be needed until a chunk of the wanted class is free.</summary>
    private const int RefillAttemptsMax = 128;

    /// <summary>Cold pages compared before one is taken away, and cold items looked at to find them.</summary>
    private const int TailPagesTriedMax = 4;
    private const int TailItemsTriedMax = 256;

    /// <summary>Other partitions looked at before one is chosen.</summary>
    private const int PartitionsSampled = 4;

    /// <summary>A page moves for age only if the items elsewhere are older by this and by a quarter.</summary>
    private const uint AgeGapSecondsMin = 2;

    /// <summary>Buckets split per stored item while the index catches up.</summary>
    private const int SplitsPerStoreMax = 2;

    /// <summary>For <see cref="TryLendPage"/>: whatever its age.</summary>
    internal const uint AnyAccess = uint.MaxValue;

    private uint _guarded;
    private uint _keptPage;
    private uint _sparePage;
    private uint _grantedHead;
    private int _pageCount;
    private int _pageChunksBuilding;
    private uint _oldestAccess;
    private ulong _random;

    /// <summary>Pages that the last call that returned false could use; 0 if it failed for another reason.</summary>
    internal int PagesWanted { get; private set; }

    /// <summary>Pages held, for chunks and for the index. May be read without the lock, as a hint.</summary>
    internal int PageCount => Volatile.Read(ref _pageCount);

    /// <summary>Last access of the coldest item as last seen. May be read without the lock, as a hint.</summary>
    internal uint OldestAccess => Volatile.Read(ref _oldestAccess);

    /// <summary>Brings pages that belong to nobody along for the next call; what it leaves goes to the arena with <see cref="ReturnGranted"/>.</summary>
    internal void AddGranted(uint page)
    {
        _arena.Info(page)->Next = _grantedHead;
        _grantedHead = page;
    }

    internal void ReturnGranted()
    {
        while (TryTakeGranted(out uint page))
            _arena.Give(page);
    }

    /// <summary>
    /// Another partition wants a page: the spare one, else the one of the coldest item if that was not read after <paramref name="accessMax"/>.
    /// The page belongs to nobody then.
    /// </summary>
    internal bool TryLendPage(uint accessMax, uint now, out uint page)
    {
        if (_released != 0)
            FreeReleased();
        page = _sparePage;
        if (page != 0)
        {
            Detach(page);
            return true;
        }

        if (_noEviction)
            return false;
        int oldest = FindOldestClass(-1, out uint access);
        if (accessMax != AnyAccess && (oldest < 0 || access > accessMax))
            return false;
        page = oldest < 0 ? 0 : EvictPageOf(oldest, now);
        for (int c = _classes.Length - 1; page == 0 && c >= 0; c--)
            page = EvictPageOf(c, now);
        if (page == 0)
            return false;
        FindOldestClass(-1, out _);
        return true;
    }

    // ---- items ----

    /// <summary>Takes the chunks of an item and sets its header but for what <see cref="Fill"/> sets. Nothing is taken if it fails.</summary>
    private bool TryAllocate(int keyBytes, int valueBytes, uint now, out uint handle)
    {
        PagesWanted = 0;
        handle = 0;
        long bytes = ItemHeader.Bytes + keyBytes + (long)valueBytes;
        // Beyond this the rest of the cache would be thrown away for one item.
        if (bytes > (long)_arena.PageCount * PageArena.PageBytes / 4 * 3)
            return false;
        if (_index.WantsToGrow && !TryGrowIndex(now))
            return Want(2);
        if (bytes <= SlabClasses.ContiguousBytesMax)
        {
            int classIndex = _sizes.ClassOf((int)bytes);
            if (!TryTakeChunk(classIndex, now, out handle))
                return Want(1);
            Prepare(handle, classIndex, keyBytes, valueBytes, ItemMarks.None);
            return true;
        }

        return TryAllocateChain(keyBytes, valueBytes, bytes, now, out handle) || Want((int)Chain.PagesMax(bytes));
    }

    private bool TryAllocateChain(int keyBytes, int valueBytes, long bytes, uint now, out uint handle)
    {
        int headClass = Chain.HeadClass(_sizes, bytes);
        if (!TryTakeChunk(headClass, now, out handle))
            return false;
        Prepare(handle, headClass, keyBytes, valueBytes, ItemMarks.Chained);
        ItemHeader* head = _space.At(handle);
        Chain.Next(head, _sizes) = 0;
        uint* link = (uint*)((byte*)head + _sizes.ChunkBytes(headClass) - Chain.LinkBytes);
        _pageChunksBuilding = 1;
        int left = valueBytes - Chain.HeadValueBytes(head, _sizes);
        while (left > 0)
        {
            int classIndex = Chain.ContinuationClass(_sizes, left);
            if (!TryTakeChunk(classIndex, now, out uint next))
            {
                _pageChunksBuilding = 0;
                FreeChunks(handle);
                handle = 0;
                return false;
            }

            ContinuationHeader* chunk = _space.ContinuationAt(next);
            chunk->Kind = ChunkKind.Continuation;
            chunk->ClassIndex = (byte)classIndex;
            chunk->Next = 0;
            chunk->Head = handle;
            chunk->UsedBytes = Math.Min(left, _sizes.ChunkBytes(classIndex) - ContinuationHeader.Bytes);
            left -= chunk->UsedBytes;
            *link = next;
            link = &chunk->Next;
            _pageChunksBuilding++;
        }

        _pageChunksBuilding = 0;
        return true;
    }

    private void Prepare(uint handle, int classIndex, int keyBytes, int valueBytes, ItemMarks marks)
    {
        ItemHeader* item = _space.At(handle);
        item->HashNext = 0;
        item->LruPrev = 0;
        item->LruNext = 0;
        item->Kind = ChunkKind.Building;
        item->ClassIndex = (byte)classIndex;
        item->Marks = marks;
        item->KeyLength = (byte)keyBytes;
        item->ValueLength = valueBytes;
        item->Pins = 0;
    }

    /// <summary>Makes a filled item visible: index (unless it has taken an old one's place there), list, sums.</summary>
    private void Link(uint handle, ulong hash, ulong cas, uint now, bool insert = true)
    {
        ItemHeader* item = _space.At(handle);
        Debug.Assert(item->Kind == ChunkKind.Building);
        item->Kind = ChunkKind.Item;
        item->Cas = cas;
        item->LastAccess = now;
        if (insert)
            _index.Insert(hash, handle);
        ref SlabClass slab = ref _classes[item->ClassIndex];
        slab.Lru.AddHead(in _space, handle);
        slab.RequestedBytes += item->RequestedBytes;
        _itemBytes += item->RequestedBytes;
        _itemCount++;
        _counters.TotalItems++;
    }

    private void Unlink(uint handle)
    {
        ulong hash = KeyHash.Compute(ItemHeader.KeySpan(_space.At(handle)));
        if (!_index.Remove(hash, handle))
            Throw.Corrupt(Id, "an item that is linked is not in the index");
        UnlinkFromList(handle);
    }

    private void Unlink(uint handle, uint replacement, ulong hash)
    {
        _index.Replace(hash, handle, replacement);
        UnlinkFromList(handle);
    }

    private void UnlinkFromList(uint handle)
    {
        ItemHeader* item = _space.At(handle);
        ref SlabClass slab = ref _classes[item->ClassIndex];
        if (handle == _exportNext)
            _exportNext = item->LruPrev;
        slab.Lru.Remove(in _space, handle);
        slab.RequestedBytes -= item->RequestedBytes;
        _itemBytes -= item->RequestedBytes;
        _itemCount--;
        if (Volatile.Read(ref item->Pins) == 0 || !BecomesOrphan(item))
            FreeChunks(handle);
    }

    private void MoveToHead(ref SlabClass slab, uint handle)
    {
        if (handle == _exportNext)
            _exportNext = _space.At(handle)->LruPrev;
        slab.Lru.MoveToHead(in _space, handle);
    }

    // ---- chunks ----

    private bool TryTakeChunk(int classIndex, uint now, out uint handle)
    {
        ref SlabClass slab = ref _classes[classIndex];
        if (slab.FreeHead == 0 && !TryRefill(classIndex, now))
        {
            handle = 0;
            return false;
        }

        handle = slab.FreeHead;
        slab.FreeHead = _space.At(handle)->LruNext;
        if (slab.FreeHead != 0)
            _space.At(slab.FreeHead)->LruPrev = 0;
        slab.FreeCount--;
        uint page = _space.PageOf(handle);
        _arena.Info(page)->LiveChunks++;
        if (page == _sparePage)
            _sparePage = 0;
        return true;
    }

    private void FreeChunks(uint handle)
    {
        ItemHeader* item = _space.At(handle);
        uint next = item->IsChained ? Chain.Next(item, _sizes) : 0;
        FreeChunk(handle, item->ClassIndex);
        while (next != 0)
        {
            ContinuationHeader* chunk = _space.ContinuationAt(next);
            uint following = chunk->Next;
            FreeChunk(next, chunk->ClassIndex);
            next = following;
        }
    }

    private void FreeChunk(uint handle, int classIndex)
    {
        ItemHeader* chunk = _space.At(handle);
        ref SlabClass slab = ref _classes[classIndex];
        chunk->Kind = ChunkKind.Free;
        chunk->LruPrev = 0;
        chunk->LruNext = slab.FreeHead;
        if (slab.FreeHead != 0)
            _space.At(slab.FreeHead)->LruPrev = handle;
        slab.FreeHead = handle;
        slab.FreeCount++;
        uint page = _space.PageOf(handle);
        if (--_arena.Info(page)->LiveChunks != 0 || page == _keptPage)
            return;

        // One empty page stays at hand, so that a store and a delete in turn do not format a page each time.
        if (_sparePage != 0)
            ReleaseSpare();
        _sparePage = page;
    }

    // ---- pages ----

    private bool TryRefill(int classIndex, uint now)
    {
        ref SlabClass slab = ref _classes[classIndex];
        for (int attempt = 0; attempt < RefillAttemptsMax; attempt++)
        {
            if (slab.FreeHead != 0)
                return true;
            if (TryTakeFreePage(out uint page))
            {
                Adopt(page, classIndex);
                return true;
            }

            if (_sparePage != 0)
            {
                // An empty page of another class of ours.
                page = _sparePage;
                Detach(page);
                Adopt(page, classIndex);
                return true;
            }

            if (slab.EvictionsSinceMove >= _sizes.ChunksPerPage(classIndex))
            {
                if (TryTakeOlderPage(classIndex, now))
                {
                    slab.EvictionsSinceMove -= _sizes.ChunksPerPage(classIndex);
                    return true;
                }

                slab.EvictionsSinceMove = 0;
            }

            if (!TryEvictTail(classIndex, now) && (_noEviction || !TryTakeAnyPage(classIndex, now)))
                return false;
        }

        return slab.FreeHead != 0 || (!_noEviction && TryTakeAnyPage(classIndex, now));
    }

    /// <summary>Frees one item at the cold end: an expired one if the last few hold one, else the coldest that was not read lately. False if there is none to take.</summary>
    private bool TryEvictTail(int classIndex, uint now)
    {
        ref SlabClass slab = ref _classes[classIndex];
        for (int spared = 0; ; spared++)
        {
            uint handle = slab.Lru.Tail;
            if (handle == 0)
                return false;
            ItemHeader* item = _space.At(handle);
            bool last = spared >= Math.Min(SecondChancesMax, slab.Lru.Count);
            if (handle == _guarded || Volatile.Read(ref item->Pins) != 0)
            {
                if (last)
                    return false;
                MoveToHead(ref slab, handle);
                continue;
            }

            if (Expiry.IsExpired(item->ExpiresAt, now))
            {
                CountReclaimed(item);
                Unlink(handle);
                return true;
            }

            if (_noEviction)
                return false;
            if ((item->Marks & ItemMarks.Referenced) != 0 && !last)
            {
                item->Marks &= ~ItemMarks.Referenced;
                MoveToHead(ref slab, handle);
                continue;
            }

            slab.EvictionsSinceMove += 1 + (item->IsChained ? item->ValueLength / PageArena.PageBytes : 0);
            ref SlabClassCounters counters = ref slab.Counters;
            counters.Evicted++;
            counters.EvictedTimeSeconds = Age(item->LastAccess, now);
            if (item->ExpiresAt != Expiry.Never)
                counters.EvictedNonzero++;
            if ((item->Marks & ItemMarks.Fetched) == 0)
                counters.EvictedUnfetched++;
            if ((item->Marks & ItemMarks.Referenced) != 0)
                counters.EvictedActive++;
            Unlink(handle);
            return true;
        }
    }

    private void CountReclaimed(ItemHeader* item)
    {
        ref SlabClassCounters counters = ref _classes[item->ClassIndex].Counters;
        counters.Reclaimed++;
        if ((item->Marks & ItemMarks.Fetched) == 0)
            counters.ExpiredUnfetched++;
    }

    /// <summary>Takes a page from where items are much older than this class's own coldest.</summary>
    private bool TryTakeOlderPage(int classIndex, uint now)
    {
        uint tail = _classes[classIndex].Lru.Tail;
        if (tail == 0)
            return false;
        uint ownAge = Age(_space.At(tail)->LastAccess, now);
        int oldestClass = FindOldestClass(classIndex, out uint oldestAccess);
        uint oldestAge = oldestClass < 0 ? 0 : Age(oldestAccess, now);
        Partition? other = SampleOldest(out uint otherAccess);
        if (other is not null && Age(otherAccess, now) > oldestAge && IsMuchOlder(Age(otherAccess, now), ownAge) && other.TryLendPage(otherAccess, now, out uint page))
        {
            _counters.SlabsMoved++;
            Adopt(page, classIndex);
            return true;
        }

        return oldestClass >= 0 && IsMuchOlder(oldestAge, ownAge) && TryMovePage(oldestClass, classIndex, now);

        static bool IsMuchOlder(uint age, uint than) => age >= than + AgeGapSecondsMin && age > than + (than / 4);
    }

    /// <summary>The class has nothing to evict: takes a page from whoever is richer, this partition or another; in the end from anyone.</summary>
    private bool TryTakeAnyPage(int classIndex, uint now)
    {
        if (TrySampleRicher(now, out uint page))
        {
            _counters.SlabsMoved++;
            Adopt(page, classIndex);
            return true;
        }

        int oldest = FindOldestClass(-1, out _);
        if (oldest >= 0 && TryMovePage(oldest, classIndex, now))
            return true;
        for (int c = 0; c < _classes.Length; c++)
        {
            if (TryMovePage(c, classIndex, now))
                return true;
        }

        ReadOnlySpan<Partition?> lenders = _arena.Lenders;
        int first = (int)(NextRandom() % (uint)lenders.Length);
        for (int i = 0; i < lenders.Length; i++)
        {
            Partition? lender = lenders[(first + i) % lenders.Length];
            if (lender is null || ReferenceEquals(lender.Store, this) || !lender.TryLendPage(AnyAccess, now, out page))
                continue;
            _counters.SlabsMoved++;
            Adopt(page, classIndex);
            return true;
        }

        return false;
    }

    private bool TryMovePage(int fromClass, int toClass, uint now)
    {
        uint page = EvictPageOf(fromClass, now);
        if (page == 0)
            return false;
        _counters.SlabsMoved++;
        Adopt(page, toClass);
        return true;
    }

    /// <summary>Of a few other partitions the one with the coldest items.</summary>
    private Partition? SampleOldest(out uint oldestAccess)
    {
        Partition? best = null;
        oldestAccess = uint.MaxValue;
        ReadOnlySpan<Partition?> lenders = _arena.Lenders;
        for (int i = 0; i < PartitionsSampled; i++)
        {
            Partition? lender = lenders[(int)(NextRandom() % (uint)lenders.Length)];
            if (lender is null || ReferenceEquals(lender.Store, this) || lender.Store.OldestAccess >= oldestAccess)
                continue;
            best = lender;
            oldestAccess = lender.Store.OldestAccess;
        }

        return best;
    }

    private bool TrySampleRicher(uint now, out uint page)
    {
        page = 0;
        Partition? best = null;
        int pages = _pageCount - _pageChunksBuilding;
        ReadOnlySpan<Partition?> lenders = _arena.Lenders;
        for (int i = 0; i < PartitionsSampled; i++)
        {
            Partition? lender = lenders[(int)(NextRandom() % (uint)lenders.Length)];
            if (lender is null || ReferenceEquals(lender.Store, this) || lender.Store.PageCount <= pages)
                continue;
            best = lender;
            pages = lender.Store.PageCount;
        }

        return best is not null && best.TryLendPage(AnyAccess, now, out page);
    }

    /// <summary>The class whose coldest item was not read for the longest time, -1 if all are empty; also refreshes the hint for other partitions.</summary>
    private int FindOldestClass(int except, out uint oldestAccess)
    {
        int oldest = -1;
        oldestAccess = uint.MaxValue;
        uint ownOldest = uint.MaxValue;
        for (int c = 0; c < _classes.Length; c++)
        {
            uint tail = _classes[c].Lru.Tail;
            if (tail == 0)
                continue;
            uint access = _space.At(tail)->LastAccess;
            ownOldest = Math.Min(ownOldest, access);
            if (c == except || access >= oldestAccess)
                continue;
            oldest = c;
            oldestAccess = access;
        }

        Volatile.Write(ref _oldestAccess, ownOldest);
        return oldest;
    }

    /// <summary>
    /// Empties a page of the class and detaches it; 0 if each has something that must stay. Of the pages of a few cold items the one with the fewest items
    /// that were read lately; if none can be had, any page.
    /// </summary>
    private uint EvictPageOf(int classIndex, uint now)
    {
        ref SlabClass slab = ref _classes[classIndex];
        uint best = 0;
        int bestMarked = int.MaxValue;
        int pagesTried = 0;
        uint handle = slab.Lru.Tail;
        for (int i = 0; i < TailItemsTriedMax && handle != 0 && pagesTried < TailPagesTriedMax && bestMarked > 0; i++)
        {
            ItemHeader* item = _space.At(handle);
            if ((item->Marks & ItemMarks.Referenced) == 0 || i == 0)
            {
                uint page = _space.PageOf(handle);
                pagesTried++;
                int marked = CountMarked(classIndex, page);
                if (marked < bestMarked)
                    (best, bestMarked) = (page, marked);
            }

            handle = item->LruPrev;
        }

        if (best != 0 && TryEvictPage(classIndex, best, now))
            return best;
        for (uint page = slab.PageHead; page != 0; page = _arena.Info(page)->Next)
        {
            if (TryEvictPage(classIndex, page, now))
                return page;
        }

        return 0;
    }

    /// <summary>Items on a page that were read lately; int.MaxValue if the page must stay.</summary>
    private int CountMarked(int classIndex, uint page)
    {
        int chunkBytes = _sizes.ChunkBytes(classIndex);
        byte* start = _space.PageStart(page);
        byte* end = start + (_sizes.ChunksPerPage(classIndex) * chunkBytes);
        int marked = 0;
        for (byte* chunk = start; chunk < end; chunk += chunkBytes)
        {
            if (!MayEvict((ItemHeader*)chunk))
                return int.MaxValue;
            if (((ItemHeader*)chunk)->Kind == ChunkKind.Item && (((ItemHeader*)chunk)->Marks & ItemMarks.Referenced) != 0)
                marked++;
        }

        return marked;
    }

    private bool TryEvictPage(int classIndex, uint page, uint now)
    {
        int chunkBytes = _sizes.ChunkBytes(classIndex);
        byte* start = _space.PageStart(page);
        byte* end = start + (_sizes.ChunksPerPage(classIndex) * chunkBytes);
        for (byte* chunk = start; chunk < end; chunk += chunkBytes)
        {
            if (!MayEvict((ItemHeader*)chunk))
                return false;
        }

        _keptPage = page;
        for (byte* chunk = start; chunk < end; chunk += chunkBytes)
        {
            ChunkKind kind = ((ItemHeader*)chunk)->Kind;
            if (kind == ChunkKind.Free)
                continue;
            uint handle = kind == ChunkKind.Continuation ? ((ContinuationHeader*)chunk)->Head : _space.HandleOf(chunk);
            ItemHeader* item = _space.At(handle);
            if (Expiry.IsExpired(item->ExpiresAt, now))
                CountReclaimed(item);
            else
                _counters.SlabReassignEvictions++;
            Unlink(handle);
        }

        _keptPage = 0;
        Detach(page);
        return true;
    }

    private bool MayEvict(ItemHeader* chunk)
    {
        if (chunk->Kind == ChunkKind.Free)
            return true;
        uint handle = chunk->Kind == ChunkKind.Continuation ? ((ContinuationHeader*)chunk)->Head : _space.HandleOf(chunk);
        ItemHeader* item = _space.At(handle);
        return item->Kind == ChunkKind.Item && handle != _guarded && Volatile.Read(ref item->Pins) == 0;
    }

    /// <summary>Cuts a page that belongs to nobody into free chunks of a class.</summary>
    private void Adopt(uint page, int classIndex)
    {
        ref SlabClass slab = ref _classes[classIndex];
        PageInfo* info = _arena.Info(page);
        info->OwnerPlusOne = Id.Value + 1;
        info->ClassIndex = (byte)classIndex;
        info->IsIndex = false;
        info->LiveChunks = 0;
        info->Prev = 0;
        info->Next = slab.PageHead;
        if (slab.PageHead != 0)
            _arena.Info(slab.PageHead)->Prev = page;
        slab.PageHead = page;
        slab.PageCount++;
        Volatile.Write(ref _pageCount, _pageCount + 1);

        int chunkBytes = _sizes.ChunkBytes(classIndex);
        int count = _sizes.ChunksPerPage(classIndex);
        byte* start = _space.PageStart(page);
        uint before = 0;
        uint handle = _space.HandleOf(start);
        slab.FreeCount += count;
        uint rest = slab.FreeHead;
        slab.FreeHead = handle;
        for (int i = 0; i < count; i++)
        {
            ItemHeader* chunk = _space.At(handle);
            uint next = i + 1 < count ? _space.HandleOf((byte*)chunk + chunkBytes) : rest;
            chunk->Kind = ChunkKind.Free;
            chunk->LruPrev = before;
            chunk->LruNext = next;
            before = handle;
            handle = next;
        }

        if (rest != 0)
            _space.At(rest)->LruPrev = before;
    }

    /// <summary>Takes a page whose chunks are all free out of its class; it belongs to nobody then.</summary>
    private void Detach(uint page)
    {
        PageInfo* info = _arena.Info(page);
        if (info->LiveChunks != 0)
            Throw.Corrupt(Id, "a page in use is taken out of its class");
        int classIndex = info->ClassIndex;
        ref SlabClass slab = ref _classes[classIndex];
        int chunkBytes = _sizes.ChunkBytes(classIndex);
        int count = _sizes.ChunksPerPage(classIndex);
        byte* start = _space.PageStart(page);
        for (int i = 0; i < count; i++)
        {
            ItemHeader* chunk = (ItemHeader*)(start + (i * chunkBytes));
            if (chunk->LruPrev != 0)
                _space.At(chunk->LruPrev)->LruNext = chunk->LruNext;
            else
                slab.FreeHead = chunk->LruNext;
            if (chunk->LruNext != 0)
                _space.At(chunk->LruNext)->LruPrev = chunk->LruPrev;
        }

        slab.FreeCount -= count;
        DetachFromList(ref slab, info);
        if (_sparePage == page)
            _sparePage = 0;
    }

    private void DetachFromList(ref SlabClass slab, PageInfo* info)
    {
        if (info->Prev != 0)
            _arena.Info(info->Prev)->Next = info->Next;
        else
            slab.PageHead = info->Next;
        if (info->Next != 0)
            _arena.Info(info->Next)->Prev = info->Prev;
        slab.PageCount--;
        Volatile.Write(ref _pageCount, _pageCount - 1);
        *info = default;
    }

    private void ReleaseSpare()
    {
        uint page = _sparePage;
        if (page == 0)
            return;
        Detach(page);
        _arena.Give(page);
    }

    /// <summary>No item is pinned or orphaned: forgets all of them at once.</summary>
    private void DropAllItemPages()
    {
        for (int c = 0; c < _classes.Length; c++)
        {
            ref SlabClass slab = ref _classes[c];
            uint page = slab.PageHead;
            while (page != 0)
            {
                uint next = _arena.Info(page)->Next;
                _arena.Give(page);
                page = next;
            }

            slab.PageHead = 0;
            Volatile.Write(ref _pageCount, _pageCount - slab.PageCount);
            slab.PageCount = 0;
            slab.FreeHead = 0;
            slab.FreeCount = 0;
            slab.Lru = default;
            slab.RequestedBytes = 0;
            slab.EvictionsSinceMove = 0;
        }

        _sparePage = 0;
        _itemBytes = 0;
        _itemCount = 0;
    }

    private void GiveIndexPage(uint page)
    {
        Volatile.Write(ref _pageCount, _pageCount - 1);
        _arena.Give(page);
    }

    /// <summary>Splits buckets until the index has caught up, a few at a time. False only if there is no bucket at all, and no page for one.</summary>
    private bool TryGrowIndex(uint now)
    {
        for (int i = 0; i < SplitsPerStoreMax && _index.WantsToGrow; i++)
        {
            if (!_index.NeedsPage)
            {
                _index.Split();
                continue;
            }

            if (!TryTakeIndexPage(now, out uint page))
                return _index.BucketCount != 0;
            PageInfo* info = _arena.Info(page);
            *info = default;
            info->OwnerPlusOne = Id.Value + 1;
            info->IsIndex = true;
            Volatile.Write(ref _pageCount, _pageCount + 1);
            byte* start = _space.PageStart(page);
            new Span<byte>(start, PageArena.PageBytes).Clear();
            _index.AddPage(start);
        }

        return true;
    }

    private bool TryTakeIndexPage(uint now, out uint page)
    {
        if (TryTakeFreePage(out page))
            return true;
        page = _sparePage;
        if (page != 0)
        {
            Detach(page);
            return true;
        }

        if (_noEviction)
            return false;
        if (TrySampleRicher(now, out page))
            return true;
        for (int c = FindOldestClass(-1, out _); c >= 0 && page == 0; c--)
            page = EvictPageOf(c, now);
        for (int c = 0; c < _classes.Length && page == 0; c++)
            page = EvictPageOf(c, now);
        ReadOnlySpan<Partition?> lenders = _arena.Lenders;
        for (int i = 0; i < lenders.Length && page == 0; i++)
        {
            if (lenders[i] is { } lender && !ReferenceEquals(lender.Store, this))
                lender.TryLendPage(AnyAccess, now, out page);
        }

        return page != 0;
    }

    private bool TryTakeFreePage(out uint page) => TryTakeGranted(out page) || _arena.TryTake(out page);

    private bool TryTakeGranted(out uint page)
    {
        page = _grantedHead;
        if (page == 0)
            return false;
        _grantedHead = _arena.Info(page)->Next;
        return true;
    }

    /// <summary>Notes that the call could go on with pages brought along; always false.</summary>
    private bool Want(int pages)
    {
        PagesWanted = _waitForPages && !_noEviction ? pages : 0;
        return false;
    }

    private static uint Age(uint access, uint now) => now > access ? now - access : 0;

    /// <summary>A step of xorshift64.</summary>
    private uint NextRandom()
    {
        _random ^= _random << 13;
        _random ^= _random >> 7;
        _random ^= _random << 17;
        return (uint)(_random >> 32);
    }
}
