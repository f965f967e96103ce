using System.Diagnostics;

namespace OrleansCache.Storage;

/// <summary>
/// Where a store gets its chunks from, in this order: the class's free list; pages granted or free in the arena; the cold end of the class's own list;
/// a page of another class of this partition or of another partition.
/// A page is taken away by moving its items to free chunks of their class; where none is free, the class's coldest items make room. So what dies for a page is
/// what is coldest, wherever it lies. A class with a page's worth of free chunks gives a page up before anything dies.
/// Who gives: once per page's worth of evictions, and before it evicts a very young item, a class asks whether much colder items lie elsewhere (this partition's other classes, a sample of the
/// other partitions), and takes a page there if so: memory follows the traffic. A class with nothing to evict takes from whoever is coldest, so that a size
/// that was never seen before is stored. Cold means: not read for long; within the same few seconds, stored many changes ago (<see cref="Coldness"/>).
/// Another partition's lock is only ever tried, never waited for, while one is held; if all are busy, the
/// caller comes back with pages that it collected holding none (<see cref="PagesWanted"/>).
/// Bounded: every loop here; a page with a pinned item, or with one that is being filled or copied from, is left alone.
/// </summary>
public sealed unsafe partial class PartitionStore
{
    /// <summary>Items at the tail that one eviction may spare because they were read.</summary>
    private const int SecondChancesMax = 32;

    /// <summary>Evictions that may be needed until a chunk of the wanted class is free.</summary>
    private const int RefillAttemptsMax = 128;

    /// <summary>Pages compared before one is taken away: those of the coldest items, and the youngest of the class, which are the emptiest.</summary>
    private const int TailPagesTriedMax = 4;
    private const int ListPagesTriedMax = 32;

    /// <summary>An item stored so few changes and seconds ago is evicted only if none elsewhere is much colder.</summary>
    private const ulong YoungMutationsMax = 64;
    private const uint YoungSecondsMax = 2;

    /// <summary>Other partitions looked at before one is chosen.</summary>
    private const int PartitionsSampled = 4;

    /// <summary>Buckets split per stored item while the index catches up.</summary>
    private const int SplitsPerStoreMax = 2;

    private uint _guarded;
    private uint _keptPage;
    private uint _sparePage;
    private uint _grantedHead;
    private int _pageCount;
    private uint _coldestAccess;
    private ulong _coldestCas;
    private ulong _random;

    /// <summary>Pages that the last call that returned false could use; 0 if it failed for another reason.</summary>
    internal int PagesWanted { get; private set; }

    /// <summary>Pages held, for chunks and for the index. May be read without the lock, as a hint.</summary>
    internal int PageCount => Volatile.Read(ref _pageCount);

    /// <summary>The coldest item as last seen. May be read without the lock, as a hint.</summary>
    internal Coldness ColdestHint(uint now) =>
        new(Age(Volatile.Read(ref _coldestAccess), now), MutationsSince(Volatile.Read(ref _coldestCas)));

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
    /// Another partition wants a page: an empty one, else one of the class with the coldest items, if they are much colder than <paramref name="than"/>.
    /// The page belongs to nobody then.
    /// </summary>
    internal bool TryLendPage(Coldness? than, uint now, out uint page)
    {
        if (_released != 0)
            FreeReleased();
        if (TryGiveUpFreePage(now, out page))
            return true;
        if (_noEviction)
            return false;
        int coldest = FindColdestClass(-1, now, out Coldness coldness);
        if (than is { } limit && (coldest < 0 || !coldness.IsMuchColderThan(in limit)))
            return false;
        page = coldest < 0 ? 0 : EmptyPageOf(coldest, now);
        for (int c = _classes.Length - 1; page == 0 && c >= 0; c--)
            page = EmptyPageOf(c, now);
        if (page == 0)
            return false;
        FindColdestClass(-1, now, out _);
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
        if (bytes > (long)_arena.PageCount * _arena.PageBytes / 4 * 3)
            return false;
        if (_index.WantsToGrow && !TryGrowIndex(now))
            return Want(2);
        if (bytes <= _sizes.ContiguousBytesMax)
        {
            int classIndex = _sizes.ClassOf((int)bytes);
            if (!TryTakeChunk(classIndex, now, out handle))
                return Want(1);
            Prepare(handle, classIndex, keyBytes, valueBytes, ItemMarks.None);
            return true;
        }

        return TryAllocateChain(keyBytes, valueBytes, bytes, now, out handle) || Want((int)Chain.PagesMax(_sizes, bytes));
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
        int left = valueBytes - Chain.HeadValueBytes(head, _sizes);
        while (left > 0)
        {
            int classIndex = Chain.ContinuationClass(_sizes, left);
            if (!TryTakeChunk(classIndex, now, out uint next))
            {
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
        }

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
        ulong hash = _arena.Hasher.Compute(ItemHeader.KeySpan(_space.At(handle)));
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

        handle = PopFree(ref slab);
        return true;
    }

    private uint PopFree(ref SlabClass slab)
    {
        uint handle = slab.FreeHead;
        slab.FreeHead = _space.At(handle)->LruNext;
        if (slab.FreeHead != 0)
            _space.At(slab.FreeHead)->LruPrev = 0;
        slab.FreeCount--;
        uint page = _space.PageOf(handle);
        _arena.Info(page)->LiveChunks++;
        if (page == _sparePage)
            _sparePage = 0;
        return handle;
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
        uint page = _space.PageOf(handle);
        int left = --_arena.Info(page)->LiveChunks;
        if (page == _keptPage)
            return; // it is being emptied: its chunks are on no list any more
        chunk->LruPrev = 0;
        chunk->LruNext = slab.FreeHead;
        if (slab.FreeHead != 0)
            _space.At(slab.FreeHead)->LruPrev = handle;
        slab.FreeHead = handle;
        slab.FreeCount++;
        if (left != 0)
            return;

        // One empty page stays at hand, so that a store and a delete in turn do not format a page each time.
        if (_sparePage != 0)
            ReleaseSpare();
        _sparePage = page;
    }
}
