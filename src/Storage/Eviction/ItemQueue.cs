namespace OrleansCache.Storage;

/// <summary>A first-in-first-out queue of items, doubly linked through them: new ones enter at the head, eviction looks at the tail.</summary>
internal unsafe struct ItemQueue
{
    public uint Head;
    public uint Tail;
    public long Count;

    public void AddHead(in HandleSpace space, uint handle)
    {
        ItemHeader* item = space.At(handle);
        item->Prev = 0;
        item->Next = Head;
        if (Head != 0)
            space.At(Head)->Prev = handle;
        else
            Tail = handle;
        Head = handle;
        Count++;
    }

    public void Remove(in HandleSpace space, uint handle)
    {
        ItemHeader* item = space.At(handle);
        if (item->Prev != 0)
            space.At(item->Prev)->Next = item->Next;
        else
            Head = item->Next;
        if (item->Next != 0)
            space.At(item->Next)->Prev = item->Prev;
        else
            Tail = item->Prev;
        Count--;
    }

    /// <summary>The item has moved to another chunk, its header with it.</summary>
    public void Replace(in HandleSpace space, uint to)
    {
        ItemHeader* item = space.At(to);
        if (item->Prev != 0)
            space.At(item->Prev)->Next = to;
        else
            Head = to;
        if (item->Next != 0)
            space.At(item->Next)->Prev = to;
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
