using System.Diagnostics;

namespace OrleansCache.Storage;

/// <summary>
/// Empties pages of one shard, so that they can go to another class, shard, or back to the arena.
/// Algorithm: of a class's pages the one with the fewest chunks in use that holds nothing pinned, under construction or read from. Its items move to free
/// chunks of their class; where there are none, the class evicts by its own policy to make room. So what dies for a page is what would have died next, wherever
/// it lies. Bounded by the chunks of a page, at most about 800. Guarded by the shard's lock.
/// </summary>
internal sealed unsafe class PageMover
{
    private readonly PageArena _arena;
    private readonly HandleSpace _space;
    private readonly StoreShard _shard;
    private readonly SlabHeap _heap;
    private readonly Func<uint, bool> _mayEmpty;

    public PageMover(PageArena arena, StoreShard shard, SlabHeap heap)
    {
        _arena = arena;
        _space = arena.Space;
        _shard = shard;
        _heap = heap;
        _mayEmpty = MayEmpty;
    }

    /// <summary>Takes a page from a class whose other pages have room for all that lies on it, so that nothing has to die.</summary>
    public bool TrySparePage(uint now, out uint page)
    {
        page = 0;
        while (_heap.TryFindSurplus(out int classIndex))
        {
            page = EmptyPageOf(classIndex, now);
            if (page != 0)
                return true;
            _heap.ForgetSurplus(classIndex);
        }

        return false;
    }

    /// <summary>Empties a page of the class; it belongs to nobody then. 0 if each holds something that must stay.</summary>
    public uint EmptyPageOf(int classIndex, uint now, LossCause cause = LossCause.PageMoved)
    {
        uint page = _heap.FindEmptiestPage(classIndex, _mayEmpty);
        if (page != 0)
            EmptyPage(classIndex, page, now, cause);
        return page;
    }

    private bool MayEmpty(uint page)
    {
        int classIndex = _space.ClassOf(_space.HandleOf(_space.PageStart(page)));
        int chunkBytes = _heap.ChunkBytes(classIndex);
        byte* start = _space.PageStart(page);
        byte* end = start + (_heap.ChunksPerPage(classIndex) * chunkBytes);
        for (byte* chunk = start; chunk < end; chunk += chunkBytes)
        {
            if (((ItemHeader*)chunk)->Kind == ChunkKind.Free)
                continue;
            uint handle = OwnerOf(chunk);
            if (_space.At(handle)->Kind != ChunkKind.Item || handle == _shard.Guarded || _shard.Pins.IsPinned(handle))
                return false;
        }

        return true;
    }

    /// <summary>The item to which a chunk in use belongs.</summary>
    private uint OwnerOf(byte* chunk) =>
        ((ItemHeader*)chunk)->Kind == ChunkKind.Continuation ? ((ContinuationHeader*)chunk)->Head : _space.HandleOf(chunk);

    private void EmptyPage(int classIndex, uint page, uint now, LossCause cause)
    {
        int chunkBytes = _heap.ChunkBytes(classIndex);
        byte* start = _space.PageStart(page);
        byte* end = start + (_heap.ChunksPerPage(classIndex) * chunkBytes);
        _heap.BeginEmptying(page);
        for (byte* chunk = start; chunk < end; chunk += chunkBytes)
        {
            while (((ItemHeader*)chunk)->Kind != ChunkKind.Free)
            {
                uint owner = OwnerOf(chunk);
                ItemHeader* item = _space.At(owner);
                if (Expiry.IsExpired(item->ExpiresAt, now))
                {
                    _shard.Counters.SlabReassignInlineReclaim++;
                    StoreShard.CountReclaimed(item, ref _shard.Classes[_space.ClassOf(owner)].Counters);
                    _shard.Remove(owner, LossCause.Expired);
                }
                else if (_heap.TryPop(classIndex, out uint to))
                {
                    MoveChunk(chunk, to, chunkBytes);
                }
                else if (!_shard.TryEvict(classIndex, now, cause == LossCause.MemoryLimit ? cause : LossCause.Evicted)
                    && !_shard.TryEvictOwner(classIndex, now))
                {
                    _shard.Counters.SlabReassignEvictions++;
                    _shard.Evict(owner, _space.ClassOf(owner), now, cause);
                }
            }
        }

        _heap.EndEmptying();
    }

    /// <summary>Moves a chunk of an item that nobody holds on to; the index, the queue and its chain follow.</summary>
    private void MoveChunk(byte* chunk, uint to, int chunkBytes)
    {
        uint from = _space.HandleOf(chunk);
        byte* target = (byte*)_space.At(to);
        Debug.Assert(from != to, "the page's own chunks are on no list");
        Buffer.MemoryCopy(chunk, target, chunkBytes, chunkBytes);
        if (((ItemHeader*)chunk)->Kind == ChunkKind.Continuation)
        {
            uint* link = &_space.LinkOf(_space.At(((ContinuationHeader*)chunk)->Head))->Next;
            while (*link != from)
                link = &_space.ContinuationAt(*link)->Next;
            *link = to;
            _shard.Counters.SlabReassignChunkRescues++;
        }
        else
        {
            _shard.Counters.SlabReassignRescues++;
            var item = (ItemHeader*)target;
            _shard.Follow(from, to);
            for (uint next = item->IsChained ? _space.LinkOf(item)->Next : 0; next != 0; next = _space.ContinuationAt(next)->Next)
                _space.ContinuationAt(next)->Head = to;
        }

        ((ItemHeader*)chunk)->Word = 0;
        _arena.Info(_space.PageOf(from))->LiveChunks--;
    }
}
