namespace OrleansCache.Storage;

// Where chunks and pages come from, and who has to go for them; the order stands at the type.
internal sealed unsafe partial class StoreShard
{
    // ---- chunks ----

    /// <summary>Takes a block for a hash index, zeroed; null if there is no memory for it.</summary>
    public byte* TryTakeIndexBlock(uint now)
    {
        if (!TryTakeChunk(_heap.IndexClass, now, out uint handle))
        {
            AskForPages(1);
            return null;
        }

        byte* block = (byte*)_space.At(handle);
        new Span<byte>(block, HashIndex.BlockBytes).Clear();
        return block;
    }

    public bool TryTakeChunk(int classIndex, uint now, out uint handle) =>
        _heap.TryPop(classIndex, out handle) || (TryRefill(classIndex, now) && _heap.TryPop(classIndex, out handle));

    public void FreeChunks(uint handle)
    {
        ItemHeader* item = _space.At(handle);
        uint next = item->IsChained ? _space.LinkOf(item)->Next : 0;
        _heap.Push(handle);
        while (next != 0)
        {
            uint following = _space.ContinuationAt(next)->Next;
            _heap.Push(next);
            next = following;
        }
    }

    private bool TryRefill(int classIndex, uint now)
    {
        for (int step = 0; step < RefillStepsMax; step++)
        {
            if (_classes[classIndex].FreeHead != 0)
                return true;
            if (_heap.TryTakeFreePage(out uint page))
            {
                _heap.Adopt(page, classIndex);
                return true;
            }

            if (_detached.Count != 0)
            {
                DrainDetached(DrainBucketsPerRefill);
                continue;
            }

            if (_mover.TrySparePage(now, out page))
            {
                AdoptMoved(page, classIndex);
                return true;
            }

            bool isIndex = classIndex == _heap.IndexClass;
            if (!isIndex && !_noEviction && IsTooSmall(classIndex) && TryTakePageOfALargeClass(classIndex, now))
                return true;
            if (!isIndex && !_noEviction && TryTakeForMoreHits(classIndex, now))
                return true;
            if (!isIndex && !_noEviction && _arena.Economy.IsBlind && TryTakePageOfAnOlderClass(classIndex, now))
                return true;
            if (isIndex || (!TryEvict(classIndex, now) && !TryEvictOwner(classIndex, now)))
                return TryTakeAnyPage(classIndex, now);
        }

        return _classes[classIndex].FreeHead != 0 || TryTakeAnyPage(classIndex, now);
    }

    /// <summary>Frees the class's next victim, or an expired item. False if there is none to take.</summary>
    public bool TryEvict(int classIndex, uint now, LossCause cause = LossCause.Evicted)
    {
        ref SlabClass slab = ref _classes[classIndex];
        var context = new EvictionContext(_space, _arena.Eviction, Pins, Guarded);
        uint handle = slab.Queues.FindVictim(in context, now, !_noEviction, ref slab.Counters, out bool isExpired);
        if (handle == 0)
            return false;
        ItemHeader* item = _space.At(handle);
        if (isExpired)
        {
            CountReclaimed(item, ref slab.Counters);
            Remove(handle, LossCause.Expired);
            return true;
        }

        Evict(handle, classIndex, now, cause);
        return true;
    }

    /// <summary>
    /// A class without items of its own holds the later chunks of chains: evicts one of their items, of a few drawn at random the one that is worth least.
    /// False if there is none to take.
    /// </summary>
    public bool TryEvictOwner(int classIndex, uint now)
    {
        if (_noEviction || _classes[classIndex].PageCount == 0)
            return false;
        uint best = 0;
        (uint Reads, uint Access, ulong Cas) bestRank = (uint.MaxValue, uint.MaxValue, ulong.MaxValue);
        for (int draw = 0; draw < OwnerDraws; draw++)
        {
            uint page = _arena.DrawPage(Number, classIndex);
            if (page == 0)
                page = _classes[classIndex].PageHead;
            int chunk = (int)(_arena.Economy.NextRandom() % (uint)_heap.ChunksPerPage(classIndex));
            ContinuationHeader* place = (ContinuationHeader*)(_space.PageStart(page) + (chunk * _sizes.ChunkBytes(classIndex)));
            if (((ItemHeader*)place)->Kind != ChunkKind.Continuation)
                continue;
            uint owner = place->Head;
            ItemHeader* item = _space.At(owner);
            if (owner == Guarded || item->Kind != ChunkKind.Item || Pins.IsPinned(owner))
                continue;

            // Within a second the CAS tells what was stored first: partitions count about equally fast.
            uint reads = (uint)item->Frequency + (item->Queue == QueueId.Main ? 1u : 0);
            (uint Reads, uint Access, ulong Cas) rank = (reads, uint.MaxValue - item->AgeSeconds(now), item->Cas);
            if (rank.CompareTo(bestRank) < 0)
                (best, bestRank) = (owner, rank);
        }

        if (best == 0)
            return false;
        int ownerClass = _space.ClassOf(best);
        Evict(best, ownerClass, now, LossCause.Evicted);
        return true;
    }

    /// <summary>Takes an item out that would otherwise have stayed, counts it, and remembers it as a ghost.</summary>
    public void Evict(uint handle, int classIndex, uint now, LossCause cause)
    {
        ItemHeader* item = _space.At(handle);
        if (_detached.Count != 0 && !IsPresent(item, handle))
        {
            Remove(handle, cause); // it was flushed before, and that is what it counts as
            return;
        }

        ref SlabClassCounters counters = ref _classes[classIndex].Counters;
        counters.Evicted++;
        counters.EvictedTimeSeconds = item->AgeSeconds(now);
        if (item->ExpiresAt != Expiry.Never)
            counters.EvictedNonzero++;
        if (!item->Has(ItemWord.Fetched))
            counters.EvictedUnfetched++;
        if (item->Frequency != 0)
            counters.EvictedActive++;
        PublishEviction(item, handle, now);
        if (_ghosts.Capacity < _itemCount && _ghosts.CanGrow && _arena.TryCharge(GhostTable.GrowthBytes) && !_ghosts.Grow())
            _arena.Uncharge(GhostTable.GrowthBytes);
        if (item->Queue != QueueId.Temp)
        {
            bool isFromMain = item->Queue == QueueId.Main;
            ref ClassQueues queues = ref _classes[classIndex].Queues;
            ref long evicted = ref isFromMain ? ref queues.MainEvictedBytes : ref queues.SmallEvictedBytes;
            evicted += _space.RequestedBytes(item);
            _ghosts.Add(_arena.HashOf(item), classIndex, new Ghost(isFromMain, StampOf(evicted)));
        }

        Remove(handle, cause);
    }

    /// <summary>
    /// Frees up to so many items that have expired at the ends of the queues, and returns their number. Items with the same time to live expire in the order in
    /// which they stand there, so most of what expires needs no search.
    /// </summary>
    public int ReclaimTails(uint now, int itemsMax)
    {
        if (_detached.Count != 0)
            return 0; // what was flushed goes first, by another way
        int freed = 0;
        for (int c = 0; c < _sizes.Count && freed < itemsMax; c++)
        {
            ref SlabClass slab = ref _classes[c];
            while (freed < itemsMax && (TryReclaimTail(slab.Queues.Small.Tail, now, ref slab.Counters)
                || TryReclaimTail(slab.Queues.Main.Tail, now, ref slab.Counters)
                || TryReclaimTail(slab.Queues.Temp.Tail, now, ref slab.Counters)))
                freed++;
        }

        return freed;
    }

    private bool TryReclaimTail(uint handle, uint now, ref SlabClassCounters counters)
    {
        if (handle == 0)
            return false;
        ItemHeader* item = _space.At(handle);
        if (item->ExpiresAt == Expiry.Never || StoreOf(_arena.HashOf(item)) is not { } store || !Expiry.IsExpired(item->ExpiresAt, store.ExpiryTime(now)))
            return false;
        CountCrawled(item, ref counters);
        Remove(handle, LossCause.Expired);
        return true;
    }

    /// <summary>An item that the background search has found expired.</summary>
    public static void CountCrawled(ItemHeader* item, ref SlabClassCounters counters)
    {
        counters.CrawlerReclaimed++;
        if (!item->Has(ItemWord.Fetched))
            counters.ExpiredUnfetched++;
    }

    public static void CountReclaimed(ItemHeader* item, ref SlabClassCounters counters)
    {
        counters.Reclaimed++;
        if (!item->Has(ItemWord.Fetched))
            counters.ExpiredUnfetched++;
    }

    private ushort StampOf(long evictedBytes) => (ushort)(evictedBytes >> _stampShift);

    /// <summary>After -m has shrunk: ghosts that take too large a part of it are forgotten.</summary>
    public void TrimGhosts()
    {
        long bytes = _ghosts.Bytes;
        if (bytes <= _arena.GhostBytesPerShardMax)
            return;
        _ghosts.Clear();
        _arena.Uncharge(bytes);
    }

    // ---- pages ----

    /// <summary>
    /// A class that is used holds at least a few items, whatever its credit: otherwise each of them would go as soon as the next one comes.
    /// Not beyond an eighth of the memory.
    /// </summary>
    private bool IsTooSmall(int classIndex) => _classes[classIndex].Queues.Count < ItemsPerClassMin
        && (long)_classes[classIndex].PageCount * _heap.ChunksPerPage(classIndex) < ItemsPerClassMin * _heap.ChunksPerItemMax(classIndex)
        && _classes[classIndex].PageCount < _heap.PageCount / 8;

    /// <summary>
    /// What this class would evict is young beside the number of items that there are: takes a page of the class whose next victim is much older, if there is
    /// one. Age is counted in changes of the item's partition.
    /// </summary>
    private bool TryTakePageOfAnOlderClass(int classIndex, uint now)
    {
        ref SlabClass slab = ref _classes[classIndex];
        uint tail = slab.Queues.NextToLeave;
        if (tail == 0 || --slab.AgeCheckIn > 0)
            return false;
        if (!TryGetAge(tail, out ulong own, out long items) || own * YoungShare >= (ulong)items)
        {
            slab.AgeCheckIn = _heap.ChunksPerPage(classIndex) / 8;
            return false;
        }

        int donor = -1;
        ulong oldest = own * OlderFactor;
        for (int c = 0; c < _sizes.Count; c++)
        {
            uint other = _classes[c].Queues.NextToLeave;
            if (c != classIndex && _classes[c].PageCount > 1 && other != 0 && TryGetAge(other, out ulong age, out _) && age > oldest)
                (donor, oldest) = (c, age);
        }

        if (donor < 0 || !TryTakePageOf(this, donor, now, out uint page))
        {
            slab.AgeCheckIn = _heap.ChunksPerPage(classIndex) / 4;
            return false;
        }

        AdoptMoved(page, classIndex);
        return true;
    }

    /// <summary>How many changes ago an item was stored, and how many items its partition has; false where its CAS does not tell.</summary>
    private bool TryGetAge(uint handle, out ulong age, out long items)
    {
        ItemHeader* item = _space.At(handle);
        PartitionStore? store = StoreOf(_arena.HashOf(item));
        (age, items) = (0, store?.ItemCount ?? 0);
        if (store is null || item->Cas == 0 || item->Has(ItemWord.ExplicitCas))
            return false;
        age = store.ChangesSince(item->Cas);
        return true;
    }

    private const int YoungShare = 2;
    private const int OlderFactor = 2;

    private bool TryTakePageOfALargeClass(int classIndex, uint now)
    {
        int donor = -1;
        for (int c = 0; c < _sizes.Count; c++)
        {
            if (c != classIndex && _classes[c].PageCount > 1 && _classes[c].Queues.Count > ItemsPerClassMin * 2
                && (donor < 0 || _arena.Economy.CreditOf(c) < _arena.Economy.CreditOf(donor)))
                donor = c;
        }

        if (donor < 0 || !TryTakePageOf(this, donor, now, out uint page))
            return false;
        AdoptMoved(page, classIndex);
        return true;
    }

    /// <summary>Takes a page of a class that is hardly used, or one that this class has earned.</summary>
    private bool TryTakeForMoreHits(int classIndex, uint now)
    {
        PageEconomy economy = _arena.Economy;
        if (economy.HasIdle && economy.TryFindIdle(Number, classIndex, out int shard, out int idle)
            && TryTakePageOf(_arena.Shards[shard], idle, now, out uint page))
        {
            AdoptMoved(page, classIndex);
            return true;
        }

        if (!economy.MayTake(classIndex) || !TryFindDonor(classIndex, out int donor) || economy.CreditOf(donor) > -_arena.PageBytes / 2)
            return false;
        for (int i = 0; i < _arena.ShardCount; i++)
        {
            StoreShard candidate = _arena.Shards[(Number + i) % _arena.ShardCount];
            if (Volatile.Read(ref candidate._classes[donor].PageCount) <= 1 || !TryTakePageOf(candidate, donor, now, out page))
                continue;
            economy.Settle(donor, classIndex);
            AdoptMoved(page, classIndex);
            return true;
        }

        return false;
    }

    /// <summary>Empties a page of a class, here or in another shard if that is not busy.</summary>
    private bool TryTakePageOf(StoreShard shard, int classIndex, uint now, out uint page)
    {
        page = 0;
        if (shard == this)
        {
            page = _mover.EmptyPageOf(classIndex, now);
            return page != 0;
        }

        if (!shard.Lock.TryEnter())
            return false;
        try
        {
            page = shard._mover.EmptyPageOf(classIndex, now);
        }
        finally
        {
            shard.Lock.Exit();
        }

        return page != 0;
    }

    /// <summary>The class with the least to its credit that has more than one page somewhere. What is read of other shards may be out of date.</summary>
    private bool TryFindDonor(int except, out int donor)
    {
        donor = -1;
        long least = long.MaxValue;
        for (int c = 0; c < _sizes.Count; c++)
        {
            long credit = _arena.Economy.CreditOf(c);
            if (c == except || credit >= least)
                continue;
            foreach (StoreShard shard in _arena.Shards)
            {
                if (Volatile.Read(ref shard._classes[c].PageCount) <= 1)
                    continue;
                (donor, least) = (c, credit);
                break;
            }
        }

        return donor >= 0;
    }

    /// <summary>The class has nothing to evict: takes a page from wherever one can be had.</summary>
    private bool TryTakeAnyPage(int classIndex, uint now)
    {
        if (_noEviction)
            return false;
        uint page = EmptyAnyPage(now);
        if (page == 0)
        {
            ReadOnlySpan<StoreShard> shards = _arena.Shards;
            for (int i = 1; i < shards.Length && page == 0; i++)
            {
                StoreShard other = shards[(Number + i) % shards.Length];
                if (!other.Lock.TryEnter())
                    continue;
                try
                {
                    other.TryGivePage(now, out page);
                }
                finally
                {
                    other.Lock.Exit();
                }
            }
        }

        // What others gave back meanwhile has gone to the arena.
        if (page == 0 && !_heap.TryTakeFreePage(out page))
            return false;
        AdoptMoved(page, classIndex);
        return true;
    }

    /// <summary>Gives a page away that belongs to nobody then: an empty one, or one whose items have to go.</summary>
    public bool TryGivePage(uint now, out uint page, LossCause cause = LossCause.PageMoved)
    {
        if (Pins.HasReleased)
            FreeReleased();
        for (int i = 0; i < DrainTurnsPerPage && _detached.Count != 0 && _heap.SparePage == 0; i++)
            DrainDetached(DrainBucketsPerRefill);
        page = _heap.SparePage;
        if (page != 0)
        {
            _heap.Detach(page);
            return true;
        }

        if (_mover.TrySparePage(now, out page))
            return true;
        page = _noEviction ? 0 : EmptyAnyPage(now, cause);
        return page != 0;
    }

    /// <summary>Empties a page of the class with the least credit, if need be of any class; 0 if each holds something that must stay.</summary>
    private uint EmptyAnyPage(uint now, LossCause cause = LossCause.PageMoved)
    {
        int least = -1;
        for (int c = 0; c < _sizes.Count; c++)
        {
            if (_classes[c].PageCount > 1 && (least < 0 || _arena.Economy.CreditOf(c) < _arena.Economy.CreditOf(least)))
                least = c;
        }

        uint page = least < 0 ? 0 : _mover.EmptyPageOf(least, now, cause);
        for (int c = _sizes.Count - 1; page == 0 && c >= 0; c--)
            page = _mover.EmptyPageOf(c, now, cause);
        return page;
    }

    private void AdoptMoved(uint page, int classIndex)
    {
        Counters.SlabsMoved++;
        _heap.Adopt(page, classIndex);
    }

    /// <summary>Notes that the call could go on with pages brought along; always false.</summary>
    private bool AskForPages(int pages)
    {
        PagesWanted = _waitForPages && !_noEviction ? pages : 0;
        return false;
    }
}
