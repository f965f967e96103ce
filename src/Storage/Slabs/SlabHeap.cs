using System.Diagnostics;

namespace OrleansCache.Storage;

/// <summary>
/// The pages and chunks of one shard, without a word about what lies in them or who has to go: pages of a slab class are cut into chunks; free chunks are on
/// their class's list; a page whose last chunk is freed leaves its class. Blocks of hash indexes are chunks of a class of their own, behind all others.
/// Goals: taking and freeing a chunk are a few writes; an empty page is at everybody's disposal at once.
/// Non-goal: thread safety; the shard's lock serialises calls.
/// </summary>
internal sealed unsafe class SlabHeap
{
    /// <summary>Pages whose use is compared before one is emptied.</summary>
    private const int PagesComparedMax = 32;

    /// <summary>Pages looked at in vain before a class is left alone.</summary>
    private const int PagesRefusedMax = 256;

    private readonly PageArena _arena;
    private readonly HandleSpace _space;
    private readonly SlabClasses _sizes;
    private readonly int _shardPlusOne;
    private readonly SlabClass[] _classes;
    private readonly int[] _surplusFrom;
    private bool _maybeSurplus;
    private uint _emptyingPage;
    private uint _sparePage;
    private uint _grantedHead;
    private int _grantedCount;
    private int _pageCount;

    public SlabHeap(PageArena arena, int shard)
    {
        _arena = arena;
        _space = arena.Space;
        _sizes = arena.Classes;
        _shardPlusOne = shard + 1;
        _classes = new SlabClass[_sizes.Count + 1];
        _surplusFrom = new int[_classes.Length];
        for (int c = 0; c < _classes.Length; c++)
            _surplusFrom[c] = c == IndexClass ? int.MaxValue : SurplusOf(c);
    }

    /// <summary>The class of index blocks.</summary>
    public int IndexClass => _sizes.Count;

    /// <summary>The slab classes, and behind them the class of index blocks.</summary>
    public SlabClass[] Classes => _classes;

    /// <summary>Pages held. May be read without the lock, as a hint.</summary>
    public int PageCount => Volatile.Read(ref _pageCount);

    /// <summary>The page that is being emptied, 0 if none.</summary>
    public uint EmptyingPage => _emptyingPage;

    /// <summary>An empty page that is kept at hand, 0 if none.</summary>
    public uint SparePage => _sparePage;

    public int GrantedCount => _grantedCount;

    public int ChunkBytes(int classIndex) => classIndex == IndexClass ? HashIndex.BlockBytes : _sizes.ChunkBytes(classIndex);

    /// <summary>Chunks of the class that one item may take: of whole pages as many as it is long.</summary>
    public long ChunksPerItemMax(int classIndex) => classIndex == _sizes.PageClass ? Math.Max(1, _arena.Options.ItemBytesMax / _arena.PageBytes) : 1;

    public int ChunksPerPage(int classIndex) => _arena.PageBytes / ChunkBytes(classIndex);

    /// <summary>Takes a free chunk of the class, without looking for a page.</summary>
    public bool TryPop(int classIndex, out uint handle)
    {
        ref SlabClass slab = ref _classes[classIndex];
        handle = slab.FreeHead;
        if (handle == 0)
            return false;
        slab.FreeHead = _space.At(handle)->Next;
        if (slab.FreeHead != 0)
            _space.At(slab.FreeHead)->Prev = 0;
        slab.FreeCount--;
        uint page = _space.PageOf(handle);
        _arena.Info(page)->LiveChunks++;
        if (page == _sparePage)
            _sparePage = 0;
        return true;
    }

    /// <summary>Gives a chunk back.</summary>
    public void Push(uint handle)
    {
        ItemHeader* chunk = _space.At(handle);
        uint page = _space.PageOf(handle);
        ref SlabClass slab = ref _classes[_space.ClassOf(handle)];
        chunk->Word = 0;
        int left = --_arena.Info(page)->LiveChunks;
        if (page == _emptyingPage)
            return; // its chunks are on no list any more
        chunk->Prev = 0;
        chunk->Next = slab.FreeHead;
        if (slab.FreeHead != 0)
            _space.At(slab.FreeHead)->Prev = handle;
        slab.FreeHead = handle;
        slab.FreeCount++;
        if (slab.FreeCount >= _surplusFrom[_space.ClassOf(handle)])
            _maybeSurplus = true;
        if (left != 0)
            return;

        // One empty page stays at hand, so that a store and a delete in turn do not format a page each time.
        ReleaseSpare();
        _sparePage = page;
    }

    /// <summary>Finds a page that costs nothing: one brought along, a free one of the arena, or an empty one of another class.</summary>
    public bool TryTakeFreePage(out uint page)
    {
        page = _grantedHead;
        if (page != 0)
        {
            _grantedHead = _arena.Info(page)->Next;
            _grantedCount--;
            return true;
        }

        if (_arena.TryTake(out page))
            return true;
        page = _sparePage;
        if (page == 0)
            return false;
        Detach(page);
        return true;
    }

    /// <summary>Cuts a page that belongs to nobody into free chunks of a class.</summary>
    public void Adopt(uint page, int classIndex)
    {
        ref SlabClass slab = ref _classes[classIndex];
        PageInfo* info = _arena.Info(page);
        info->LiveChunks = 0;
        Enlist(page, info, ref slab);

        int chunkBytes = ChunkBytes(classIndex);
        int count = ChunksPerPage(classIndex);
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
            chunk->Word = 0;
            chunk->Prev = before;
            chunk->Next = next;
            before = handle;
            handle = next;
        }

        if (rest != 0)
            _space.At(rest)->Prev = before;
        _arena.SetClass(page, classIndex, _shardPlusOne - 1);
    }

    /// <summary>
    /// Takes a page of a memory file over: its items and the continuations marked as claimed stay, all other chunks are free. A page without any goes to the
    /// arena.
    /// </summary>
    public void AdoptRestored(uint page, int classIndex, uint claimed)
    {
        ref SlabClass slab = ref _classes[classIndex];
        PageInfo* info = _arena.Info(page);
        int chunkBytes = ChunkBytes(classIndex);
        byte* start = _space.PageStart(page);
        byte* end = start + (ChunksPerPage(classIndex) * chunkBytes);
        info->LiveChunks = 0;
        for (byte* place = start; place < end; place += chunkBytes)
        {
            var chunk = (ItemHeader*)place;
            if (chunk->Kind == ChunkKind.Item)
                info->LiveChunks++;
            else if (chunk->Kind == ChunkKind.Continuation && (chunk->Word & claimed) != 0)
                info->LiveChunks++;
            else
                chunk->Word = 0;
        }

        if (info->LiveChunks == 0)
        {
            _arena.Give(page);
            return;
        }

        Enlist(page, info, ref slab);
        _arena.SetClass(page, classIndex, _shardPlusOne - 1);
        for (byte* place = start; place < end; place += chunkBytes)
        {
            var chunk = (ItemHeader*)place;
            if (chunk->Kind == ChunkKind.Continuation)
                chunk->Word &= ~claimed;
            if (chunk->Kind != ChunkKind.Free)
                continue;
            uint handle = _space.HandleOf(place);
            chunk->Prev = 0;
            chunk->Next = slab.FreeHead;
            if (slab.FreeHead != 0)
                _space.At(slab.FreeHead)->Prev = handle;
            slab.FreeHead = handle;
            slab.FreeCount++;
        }
    }

    /// <summary>Takes a page whose chunks are all free out of its class; it belongs to nobody then.</summary>
    public void Detach(uint page)
    {
        RemoveFreeChunks(page);
        Unlist(page);
    }

    /// <summary>Gives the page kept at hand to the arena.</summary>
    public void ReleaseSpare()
    {
        uint page = _sparePage;
        if (page == 0)
            return;
        Detach(page);
        _arena.Give(page);
    }

    /// <summary>Makes an empty page the one kept at hand.</summary>
    public void KeepSpare(uint page)
    {
        ReleaseSpare();
        _sparePage = page;
    }

    /// <summary>Takes a page's free chunks off their list; those freed from now on go on no list either, until <see cref="EndEmptying"/>.</summary>
    public void BeginEmptying(uint page)
    {
        Debug.Assert(_emptyingPage == 0, "one page is emptied at a time");
        RemoveFreeChunks(page);
        _emptyingPage = page;
        if (_sparePage == page)
            _sparePage = 0;
    }

    /// <summary>Takes the page that was emptied out of its class; it belongs to nobody then.</summary>
    public void EndEmptying()
    {
        uint page = _emptyingPage;
        _emptyingPage = 0;
        Unlist(page);
    }

    /// <summary>
    /// Of the class's first pages the one with the fewest chunks in use that <paramref name="mayEmpty"/> allows; 0 if none of a good many is allowed.
    /// </summary>
    public uint FindEmptiestPage(int classIndex, Func<uint, bool> mayEmpty)
    {
        uint best = 0;
        int bestLive = int.MaxValue;
        int seen = 0;
        for (uint page = _classes[classIndex].PageHead; page != 0 && seen < (best == 0 ? PagesRefusedMax : PagesComparedMax); page = _arena.Info(page)->Next)
        {
            seen++;
            int live = _arena.Info(page)->LiveChunks;
            if (live < bestLive && mayEmpty(page))
                (best, bestLive) = (page, live);
        }

        return best;
    }

    /// <summary>A class with so many free chunks that one of its pages can go without a death.</summary>
    public bool TryFindSurplus(out int classIndex)
    {
        for (classIndex = 0; _maybeSurplus && classIndex < IndexClass; classIndex++)
        {
            if (_classes[classIndex].FreeCount >= _surplusFrom[classIndex])
            {
                _surplusFrom[classIndex] = SurplusOf(classIndex);
                return true;
            }
        }

        _maybeSurplus = false;
        return false;
    }

    /// <summary>None of the class's pages can be emptied now: it is asked again when it has more free chunks.</summary>
    public void ForgetSurplus(int classIndex) => _surplusFrom[classIndex] = _classes[classIndex].FreeCount + SurplusOf(classIndex);

    /// <summary>A page's worth, and a quarter more, so that a class does not give a page away and ask for it back.</summary>
    private int SurplusOf(int classIndex) => ChunksPerPage(classIndex) + Math.Max(1, ChunksPerPage(classIndex) / 4);

    /// <summary>Brings a page that belongs to nobody along for the next call.</summary>
    public void AddGranted(uint page)
    {
        _arena.Info(page)->Next = _grantedHead;
        _grantedHead = page;
        _grantedCount++;
    }

    /// <summary>Gives the pages that were brought along and not used to the arena.</summary>
    public void ReturnGranted()
    {
        while (_grantedHead != 0)
        {
            uint page = _grantedHead;
            _grantedHead = _arena.Info(page)->Next;
            _grantedCount--;
            _arena.Give(page);
        }
    }

    /// <summary>Puts a page at the head of its class's list.</summary>
    private void Enlist(uint page, PageInfo* info, ref SlabClass slab)
    {
        info->ShardPlusOne = _shardPlusOne;
        info->Prev = 0;
        info->Next = slab.PageHead;
        if (slab.PageHead != 0)
            _arena.Info(slab.PageHead)->Prev = page;
        slab.PageHead = page;
        slab.PageCount++;
        Volatile.Write(ref _pageCount, _pageCount + 1);
    }

    private void RemoveFreeChunks(uint page)
    {
        int classIndex = _space.ClassOf(_space.HandleOf(_space.PageStart(page)));
        ref SlabClass slab = ref _classes[classIndex];
        int chunkBytes = ChunkBytes(classIndex);
        byte* start = _space.PageStart(page);
        byte* end = start + (ChunksPerPage(classIndex) * chunkBytes);
        for (byte* place = start; place < end; place += chunkBytes)
        {
            var chunk = (ItemHeader*)place;
            if (chunk->Kind != ChunkKind.Free)
                continue;
            if (chunk->Prev != 0)
                _space.At(chunk->Prev)->Next = chunk->Next;
            else
                slab.FreeHead = chunk->Next;
            if (chunk->Next != 0)
                _space.At(chunk->Next)->Prev = chunk->Prev;
            slab.FreeCount--;
        }
    }

    private void Unlist(uint page)
    {
        PageInfo* info = _arena.Info(page);
        if (info->LiveChunks != 0)
            Throw.ArenaCorrupt("a page in use is taken out of its class");
        ref SlabClass slab = ref _classes[_space.ClassOf(_space.HandleOf(_space.PageStart(page)))];
        if (info->Prev != 0)
            _arena.Info(info->Prev)->Next = info->Next;
        else
            slab.PageHead = info->Next;
        if (info->Next != 0)
            _arena.Info(info->Next)->Prev = info->Prev;
        slab.PageCount--;
        Volatile.Write(ref _pageCount, _pageCount - 1);
        *info = default;
        _arena.ClearClass(page);
        if (_sparePage == page)
            _sparePage = 0;
    }
}
