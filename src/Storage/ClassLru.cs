namespace OrleansCache.Storage;

/// <summary>
/// The recency list of one slab class in one partition: doubly linked through the items, hot at the head.
/// Algorithm: a read only marks its item (no link is touched); eviction looks at the tail and moves marked items to the head, unmarked, before it takes one.
/// Goal: a read hit writes to no other item's memory. Non-goal: segments; they will replace this type's inside.
/// </summary>
internal unsafe struct ClassLru
{
    public uint Head;
    public uint Tail;
    public long Count;

    public void AddHead(in HandleSpace space, uint handle)
    {
        ItemHeader* item = space.At(handle);
        item->LruPrev = 0;
        item->LruNext = Head;
        if (Head != 0)
            space.At(Head)->LruPrev = handle;
        else
            Tail = handle;
        Head = handle;
        Count++;
    }

    public void Remove(in HandleSpace space, uint handle)
    {
        ItemHeader* item = space.At(handle);
        if (item->LruPrev != 0)
            space.At(item->LruPrev)->LruNext = item->LruNext;
        else
            Head = item->LruNext;
        if (item->LruNext != 0)
            space.At(item->LruNext)->LruPrev = item->LruPrev;
        else
            Tail = item->LruPrev;
        Count--;
    }

    /// <summary>The item has moved to another chunk, its header with it.</summary>
    public void Replace(in HandleSpace space, uint to)
    {
        ItemHeader* item = space.At(to);
        if (item->LruPrev != 0)
            space.At(item->LruPrev)->LruNext = to;
        else
            Head = to;
        if (item->LruNext != 0)
            space.At(item->LruNext)->LruPrev = to;
        else
            Tail = to;
    }

    public void MoveToHead(in HandleSpace space, uint handle)
    {
        if (Head == handle)
            return;
        Remove(in space, handle);
        AddHead(in space, handle);
    }
}
