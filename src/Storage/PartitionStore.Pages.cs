using System.Runtime.CompilerServices;

namespace OrleansCache.Storage;

/// <summary>Where pages come from and go to: eviction, moves between classes and partitions, the index's pages. The rules stand at PartitionStore.Memory.cs.</summary>
public sealed unsafe partial class PartitionStore
{
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

            if (slab.EvictionsSinceMove + 1 >= _sizes.ChunksPerPage(classIndex) || IsYoung(slab.Lru.Tail, now))
            {
                slab.EvictionsSinceMove = 0;
                if (TryTakeColderPage(classIndex, now))
                    return true;
            }

            if (!TryEvictTail(classIndex, now) && !TryTakeAnyPage(classIndex, now))
                return false;
        }

        return slab.FreeHead != 0 || TryTakeAnyPage(classIndex, now);
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
                slab.Counters.LruTailReflocked++;
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
                slab.Counters.MovesWithinLru++;
                MoveToHead(ref slab, handle);
                continue;
            }

            slab.EvictionsSinceMove += 1 + (item->IsChained ? item->ValueLength / _arena.PageBytes : 0);
            ref SlabClassCounters counters = ref slab.Counters;
            counters.Evicted++;
            counters.EvictedTimeSeconds = Age(item->LastAccess, now);
            if (item->ExpiresAt != Expiry.Never)
                counters.EvictedNonzero++;
            if ((item->Marks & ItemMarks.Fetched) == 0)
                counters.EvictedUnfetched++;
            if ((item->Marks & ItemMarks.Referenced) != 0)
                counters.EvictedActive++;
            TellEviction(item, now);
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

    /// <summary>Takes a page that costs nothing, or one from where items are much colder than this class's own coldest.</summary>
    private bool TryTakeColderPage(int classIndex, uint now)
    {
        if (TryGiveUpFreePage(now, out uint page))
        {
            AdoptMoved(page, classIndex);
            return true;
        }

        if (_noEviction || _classes[classIndex].Lru.Tail == 0)
            return false;
        Coldness own = ColdnessOf(_classes[classIndex].Lru.Tail, now);
        int coldestClass = FindColdestClass(classIndex, now, out Coldness coldest);
        Partition? other = SampleColdest(now, out Coldness elsewhere);
        if (other is not null && elsewhere.IsMuchColderThan(in own) && (coldestClass < 0 || elsewhere.IsColderThan(in coldest))
            && other.TryLendPage(own, now, out page))
        {
            AdoptMoved(page, classIndex);
            return true;
        }

        return coldestClass >= 0 && coldest.IsMuchColderThan(in own) && TryMovePage(coldestClass, classIndex, now);
    }

    /// <summary>The class has nothing to evict: takes a page from whoever has the coldest items, this partition or another; in the end from anyone.</summary>
    private bool TryTakeAnyPage(int classIndex, uint now)
    {
        if (!TryTakeAnyPage(now, out uint page))
            return false;
        AdoptMoved(page, classIndex);
        return true;
    }

    private bool TryTakeAnyPage(uint now, out uint page)
    {
        if (TryGiveUpFreePage(now, out page))
            return true;
        if (_noEviction)
            return false;
        int coldestClass = FindColdestClass(-1, now, out Coldness coldest);
        Partition? other = SampleColdest(now, out Coldness elsewhere);
        if (other is not null && (coldestClass < 0 || elsewhere.IsColderThan(in coldest)) && other.TryLendPage(null, now, out page))
            return true;
        page = coldestClass < 0 ? 0 : EmptyPageOf(coldestClass, now);
        for (int c = 0; c < _classes.Length && page == 0; c++)
            page = EmptyPageOf(c, now);
        if (page != 0)
            return true;

        ReadOnlySpan<Partition?> lenders = _arena.Lenders;
        int first = (int)(NextRandom() % (uint)lenders.Length);
        for (int i = 0; i < lenders.Length; i++)
        {
            Partition? lender = lenders[(first + i) % lenders.Length];
            if (lender is not null && !ReferenceEquals(lender.Store, this) && lender.TryLendPage(null, now, out page))
                return true;
        }

        return false;
    }

    /// <summary>A page that no item has to die for: the empty one, or one of a class whose other pages have room for all that lies on it.</summary>
    private bool TryGiveUpFreePage(uint now, out uint page)
    {
        page = _sparePage;
        if (page != 0)
        {
            Detach(page);
            return true;
        }

        for (int c = 0; c < _classes.Length; c++)
        {
            if (_classes[c].FreeCount < _sizes.ChunksPerPage(c))
                continue;
            page = EmptyPageOf(c, now);
            if (page != 0)
                return true;
        }

        return false;
    }

    private bool TryMovePage(int fromClass, int toClass, uint now)
    {
        uint page = EmptyPageOf(fromClass, now);
        if (page == 0)
            return false;
        AdoptMoved(page, toClass);
        return true;
    }

    private void AdoptMoved(uint page, int classIndex)
    {
        _counters.SlabsMoved++;
        Adopt(page, classIndex);
    }

    /// <summary>Of a few other partitions the one with the coldest items.</summary>
    private Partition? SampleColdest(uint now, out Coldness coldest)
    {
        Partition? best = null;
        coldest = default;
        ReadOnlySpan<Partition?> lenders = _arena.Lenders;
        for (int i = 0; i < PartitionsSampled; i++)
        {
            Partition? lender = lenders[(int)(NextRandom() % (uint)lenders.Length)];
            if (lender is null || ReferenceEquals(lender.Store, this))
                continue;
            Coldness coldness = lender.Store.ColdestHint(now);
            if (best is not null && !coldness.IsColderThan(in coldest))
                continue;
            best = lender;
            coldest = coldness;
        }

        return best;
    }

    /// <summary>The class with the coldest item, -1 if all are empty; also refreshes the hint for other partitions.</summary>
    private int FindColdestClass(int except, uint now, out Coldness coldest)
    {
        int best = -1;
        uint bestHandle = 0;
        coldest = default;
        for (int c = 0; c < _classes.Length; c++)
        {
            // With a class's only page all its items would go, so there the warmest one counts.
            uint handle = _classes[c].PageCount == 1 ? _classes[c].Lru.Head : _classes[c].Lru.Tail;
            if (c == except || handle == 0)
                continue;
            Coldness coldness = ColdnessOf(handle, now);
            if (best >= 0 && !coldness.IsColderThan(in coldest))
                continue;
            best = c;
            bestHandle = handle;
            coldest = coldness;
        }

        // Without anything to lend it looks as warm as can be.
        Volatile.Write(ref _coldestAccess, bestHandle == 0 ? now : _space.At(bestHandle)->LastAccess);
        Volatile.Write(ref _coldestCas, bestHandle == 0 ? _sequence : _space.At(bestHandle)->Cas);
        return best;
    }

    private Coldness ColdnessOf(uint handle, uint now)
    {
        ItemHeader* item = _space.At(handle);
        return new Coldness(Age(item->LastAccess, now), MutationsSince(item->Cas));
    }

    /// <summary>Whether an item is too young to die before others have been asked.</summary>
    private bool IsYoung(uint handle, uint now) =>
        handle != 0 && MutationsSince(_space.At(handle)->Cas) < YoungMutationsMax && Age(_space.At(handle)->LastAccess, now) < YoungSecondsMax;

    /// <summary>How many changes ago an item was stored; 0 if its number was given by a client or there are none.</summary>
    private ulong MutationsSince(ulong cas)
    {
        ulong sequence = Volatile.Read(ref _sequence);
        return _noCas || cas > sequence ? 0 : sequence - cas;
    }

    /// <summary>
    /// Empties a page of the class and detaches it; 0 if each has something that must stay. Of a few pages of cold items and a few young ones the one with the
    /// fewest chunks in use; if none of them can be had, any page.
    /// </summary>
    private uint EmptyPageOf(int classIndex, uint now)
    {
        ref SlabClass slab = ref _classes[classIndex];
        uint best = 0;
        int bestLive = int.MaxValue;
        uint handle = slab.Lru.Tail;
        for (int i = 0; i < TailPagesTriedMax && handle != 0; i++)
        {
            Consider(_space.PageOf(handle));
            handle = _space.At(handle)->LruPrev;
        }

        // A whole page's chunks are moved by evicting the coldest item only, so there is nothing to compare.
        uint page = classIndex == _sizes.PageClass && best != 0 ? 0 : slab.PageHead;
        for (int i = 0; i < ListPagesTriedMax && page != 0; i++)
        {
            Consider(page);
            page = _arena.Info(page)->Next;
        }

        while (best == 0 && page != 0)
        {
            Consider(page);
            page = _arena.Info(page)->Next;
        }

        if (best != 0)
            EmptyPage(classIndex, best, now);
        return best;

        void Consider(uint candidate)
        {
            int live = _arena.Info(candidate)->LiveChunks;
            if (live < bestLive && MayEmpty(classIndex, candidate))
                (best, bestLive) = (candidate, live);
        }
    }

    private bool MayEmpty(int classIndex, uint page)
    {
        int chunkBytes = _sizes.ChunkBytes(classIndex);
        byte* start = _space.PageStart(page);
        byte* end = start + (_sizes.ChunksPerPage(classIndex) * chunkBytes);
        for (byte* chunk = start; chunk < end; chunk += chunkBytes)
        {
            if (((ItemHeader*)chunk)->Kind == ChunkKind.Free)
                continue;
            uint handle = OwnerOf(chunk);
            ItemHeader* item = _space.At(handle);
            if (item->Kind != ChunkKind.Item || handle == _guarded || Volatile.Read(ref item->Pins) != 0)
                return false;
        }

        return true;
    }

    /// <summary>The item to which a chunk in use belongs.</summary>
    private uint OwnerOf(byte* chunk) =>
        ((ItemHeader*)chunk)->Kind == ChunkKind.Continuation ? ((ContinuationHeader*)chunk)->Head : _space.HandleOf(chunk);

    /// <summary>Moves all that lies on the page to other pages of the class, evicts what is coldest to make room for it, and detaches the page.</summary>
    private void EmptyPage(int classIndex, uint page, uint now)
    {
        ref SlabClass slab = ref _classes[classIndex];
        int chunkBytes = _sizes.ChunkBytes(classIndex);
        byte* start = _space.PageStart(page);
        byte* end = start + (_sizes.ChunksPerPage(classIndex) * chunkBytes);
        int evictions = slab.EvictionsSinceMove;
        Withdraw(page);
        _keptPage = page;
        for (byte* chunk = start; chunk < end; chunk += chunkBytes)
        {
            while (((ItemHeader*)chunk)->Kind != ChunkKind.Free)
            {
                uint owner = OwnerOf(chunk);
                if (Expiry.IsExpired(_space.At(owner)->ExpiresAt, now))
                    EvictForPage(owner, now);
                else if (slab.FreeHead != 0)
                    MoveChunk(chunk, ref slab);
                else if (slab.Lru.Tail == owner || slab.Lru.Tail == 0 || _noEviction || IsColder(owner, slab.Lru.Tail) || !TryEvictTail(classIndex, now))
                    EvictForPage(owner, now);
            }
        }

        _keptPage = 0;
        slab.EvictionsSinceMove = evictions;
        DetachFromList(page);
    }

    private void EvictForPage(uint handle, uint now)
    {
        ItemHeader* item = _space.At(handle);
        if (Expiry.IsExpired(item->ExpiresAt, now))
        {
            _counters.SlabReassignInlineReclaim++;
            CountReclaimed(item);
        }
        else
        {
            _counters.SlabReassignEvictions++;
            TellEviction(item, now);
        }

        Unlink(handle);
    }

    private bool IsColder(uint handle, uint than)
    {
        ItemHeader* item = _space.At(handle);
        ItemHeader* other = _space.At(than);
        return item->LastAccess != other->LastAccess ? item->LastAccess < other->LastAccess : item->Cas < other->Cas;
    }

    /// <summary>Moves a chunk of an item that nobody holds on to into a free chunk of its class; the index, the lists and its chain follow.</summary>
    private void MoveChunk(byte* chunk, ref SlabClass slab)
    {
        uint from = _space.HandleOf(chunk);
        uint to = PopFree(ref slab);
        byte* target = (byte*)_space.At(to);
        int chunkBytes = _sizes.ChunkBytes(((ItemHeader*)chunk)->ClassIndex);
        Buffer.MemoryCopy(chunk, target, chunkBytes, chunkBytes);
        if (((ItemHeader*)chunk)->Kind == ChunkKind.Continuation)
        {
            uint* link = (uint*)Unsafe.AsPointer(ref Chain.Next(_space.At(((ContinuationHeader*)chunk)->Head), _sizes));
            while (*link != from)
                link = &_space.ContinuationAt(*link)->Next;
            *link = to;
            _counters.SlabReassignChunkRescues++;
        }
        else
        {
            _counters.SlabReassignRescues++;
            var item = (ItemHeader*)target;
            item->HashNext = 0;
            _index.Replace(_arena.Hasher.Compute(ItemHeader.KeySpan(item)), from, to);
            slab.Lru.Replace(in _space, to);
            if (_exportNext == from)
                _exportNext = to;
            for (uint next = item->IsChained ? Chain.Next(item, _sizes) : 0; next != 0; next = _space.ContinuationAt(next)->Next)
                _space.ContinuationAt(next)->Head = to;
        }

        ((ItemHeader*)chunk)->Kind = ChunkKind.Free;
        _arena.Info(_space.PageOf(from))->LiveChunks--;
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
        Withdraw(page);
        DetachFromList(page);
    }

    /// <summary>Takes the page's free chunks off the class's free list.</summary>
    private void Withdraw(uint page)
    {
        int classIndex = _arena.Info(page)->ClassIndex;
        ref SlabClass slab = ref _classes[classIndex];
        int chunkBytes = _sizes.ChunkBytes(classIndex);
        byte* start = _space.PageStart(page);
        byte* end = start + (_sizes.ChunksPerPage(classIndex) * chunkBytes);
        for (byte* place = start; place < end; place += chunkBytes)
        {
            var chunk = (ItemHeader*)place;
            if (chunk->Kind != ChunkKind.Free)
                continue;
            if (chunk->LruPrev != 0)
                _space.At(chunk->LruPrev)->LruNext = chunk->LruNext;
            else
                slab.FreeHead = chunk->LruNext;
            if (chunk->LruNext != 0)
                _space.At(chunk->LruNext)->LruPrev = chunk->LruPrev;
            slab.FreeCount--;
        }
    }

    private void DetachFromList(uint page)
    {
        PageInfo* info = _arena.Info(page);
        if (info->LiveChunks != 0)
            Throw.Corrupt(Id, "a page in use is taken out of its class");
        ref SlabClass slab = ref _classes[info->ClassIndex];
        if (info->Prev != 0)
            _arena.Info(info->Prev)->Next = info->Next;
        else
            slab.PageHead = info->Next;
        if (info->Next != 0)
            _arena.Info(info->Next)->Prev = info->Prev;
        slab.PageCount--;
        Volatile.Write(ref _pageCount, _pageCount - 1);
        *info = default;
        if (_sparePage == page)
            _sparePage = 0;
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
            new Span<byte>(start, _arena.PageBytes).Clear();
            _index.AddPage(start);
        }

        return true;
    }

    private bool TryTakeIndexPage(uint now, out uint page) => TryTakeFreePage(out page) || TryTakeAnyPage(now, out page);

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
