namespace OrleansCache.Storage;

public sealed unsafe partial class PartitionStore
{
    /// <summary>
    /// Walks everything and throws with a description if anything contradicts itself: pages and their owners, chunks and free lists, chains,
    /// recency lists, index, sums. Costs as much as the store is large.
    /// </summary>
    public void CheckIntegrity()
    {
        if (_guarded != 0 || _keptPage != 0 || _grantedHead != 0)
            Throw.Corrupt(Id, "something of an operation was left behind");
        FreeReleased();
        long items = 0, itemBytes = 0, orphans = 0, chainChunks = 0, continuations = 0;
        int pages = _index.PageCount;
        bool spareSeen = _sparePage == 0;
        for (int c = 0; c < _classes.Length; c++)
        {
            CheckPages(c, ref orphans, ref continuations, ref spareSeen);
            CheckFreeList(c);
            CheckLru(c, ref itemBytes, ref chainChunks);
            items += _classes[c].Lru.Count;
            pages += _classes[c].PageCount;
        }

        Check(spareSeen, "the spare page is in no class");
        Check(items == _itemCount, $"{items} items in the lists, {_itemCount} counted");
        Check(itemBytes == _itemBytes, $"{itemBytes} bytes in the lists, {_itemBytes} counted");
        Check(pages == _pageCount, $"{pages} pages found, {_pageCount} counted");
        Check(orphans <= Volatile.Read(ref _pinnedItems), $"{orphans} orphans, {_pinnedItems} pinned items");
        Check(chainChunks == continuations, $"{continuations} continuation chunks in pages, {chainChunks} in chains");
        CheckIndex();
    }

    private void CheckPages(int classIndex, ref long orphans, ref long continuations, ref bool spareSeen)
    {
        ref SlabClass slab = ref _classes[classIndex];
        int chunkBytes = _sizes.ChunkBytes(classIndex);
        int pages = 0, free = 0;
        long items = 0;
        uint before = 0;
        for (uint page = slab.PageHead; page != 0; page = _arena.Info(page)->Next)
        {
            PageInfo* info = _arena.Info(page);
            Check(info->OwnerPlusOne == Id.Value + 1 && info->ClassIndex == classIndex && !info->IsIndex, $"page {page} of class {classIndex} says otherwise");
            Check(info->Prev == before, $"page {page} is wrongly linked");
            before = page;
            int live = 0;
            for (int i = 0; i < _sizes.ChunksPerPage(classIndex); i++)
            {
                ItemHeader* chunk = (ItemHeader*)(_space.PageStart(page) + (i * chunkBytes));
                uint handle = _space.HandleOf(chunk);
                switch (chunk->Kind)
                {
                    case ChunkKind.Free:
                        free++;
                        continue;
                    case ChunkKind.Item:
                        items++;
                        break;
                    case ChunkKind.Orphan:
                        orphans++;
                        if (chunk->IsChained)
                            continuations -= CheckChain(handle);
                        break;
                    case ChunkKind.Continuation:
                        continuations++;
                        break;
                    default:
                        Throw.Corrupt(Id, $"chunk {handle} is {chunk->Kind} outside of an operation");
                        break;
                }

                Check(chunk->ClassIndex == classIndex, $"chunk {handle} of class {classIndex} says {chunk->ClassIndex}");
                live++;
            }

            Check(live == info->LiveChunks, $"page {page} has {live} chunks in use, {info->LiveChunks} counted");
            Check(live > 0 || page == _sparePage, $"page {page} is empty, but neither spare nor given back");
            Check(page != _sparePage || live == 0, $"the spare page {page} is in use");
            spareSeen |= page == _sparePage;
            pages++;
        }

        Check(pages == slab.PageCount, $"class {classIndex} has {pages} pages, {slab.PageCount} counted");
        Check(free == slab.FreeCount, $"class {classIndex} has {free} free chunks, {slab.FreeCount} counted");
        Check(items == slab.Lru.Count, $"class {classIndex} has {items} items in pages, {slab.Lru.Count} counted");
    }

    private void CheckFreeList(int classIndex)
    {
        ref SlabClass slab = ref _classes[classIndex];
        int count = 0;
        uint before = 0;
        for (uint handle = slab.FreeHead; handle != 0; handle = _space.At(handle)->LruNext)
        {
            ItemHeader* chunk = _space.At(handle);
            Check(chunk->Kind == ChunkKind.Free && chunk->LruPrev == before, $"free chunk {handle} of class {classIndex} is wrongly linked");
            before = handle;
            Check(++count <= slab.FreeCount, $"the free list of class {classIndex} is too long");
        }

        Check(count == slab.FreeCount, $"the free list of class {classIndex} has {count} chunks, {slab.FreeCount} counted");
    }

    private void CheckLru(int classIndex, ref long itemBytes, ref long chainChunks)
    {
        ref SlabClass slab = ref _classes[classIndex];
        long count = 0, bytes = 0;
        uint before = 0;
        for (uint handle = slab.Lru.Head; handle != 0; handle = _space.At(handle)->LruNext)
        {
            ItemHeader* item = _space.At(handle);
            Check(item->Kind == ChunkKind.Item && item->ClassIndex == classIndex, $"item {handle} does not belong into the list of class {classIndex}");
            Check(item->LruPrev == before, $"item {handle} is wrongly linked");
            Check((item->Pins & ItemHeader.OrphanBit) == 0, $"item {handle} is linked, but an orphan");
            Check(item->KeyLength is > 0 and <= Limits.KeyBytesMax && item->ValueLength >= 0, $"item {handle} has impossible lengths");
            if (item->IsChained)
                chainChunks += CheckChain(handle);
            else
                Check(item->RequestedBytes <= _sizes.ChunkBytes(classIndex), $"item {handle} is larger than its chunk");
            ulong hash = _arena.Hasher.Compute(ItemHeader.KeySpan(item));
            Check(_index.Find(hash, ItemHeader.KeySpan(item)) == handle, $"item {handle} is not found under its key");
            bytes += item->RequestedBytes;
            before = handle;
            Check(++count <= slab.Lru.Count, $"the list of class {classIndex} is too long");
        }

        Check(slab.Lru.Tail == before, $"the tail of class {classIndex} is wrong");
        Check(count == slab.Lru.Count, $"the list of class {classIndex} has {count} items, {slab.Lru.Count} counted");
        Check(bytes == slab.RequestedBytes, $"class {classIndex} has {bytes} bytes, {slab.RequestedBytes} counted");
        itemBytes += bytes;
    }

    /// <summary>Returns the number of continuations.</summary>
    private int CheckChain(uint handle)
    {
        ItemHeader* item = _space.At(handle);
        int count = 0;
        long bytes = Chain.HeadValueBytes(item, _sizes);
        for (uint next = Chain.Next(item, _sizes); next != 0; next = _space.ContinuationAt(next)->Next)
        {
            ContinuationHeader* chunk = _space.ContinuationAt(next);
            Check(chunk->Kind == ChunkKind.Continuation && chunk->Head == handle, $"chunk {next} does not belong to the chain of {handle}");
            Check(chunk->UsedBytes > 0 && chunk->UsedBytes <= _sizes.ChunkBytes(chunk->ClassIndex) - ContinuationHeader.Bytes, $"chunk {next} has an impossible length");
            bytes += chunk->UsedBytes;
            count++;
            Check(bytes <= item->ValueLength, $"the chain of {handle} is too long");
        }

        Check(bytes == item->ValueLength, $"the chain of {handle} holds {bytes} bytes, not {item->ValueLength}");
        return count;
    }

    private void CheckIndex()
    {
        long count = 0;
        Span<uint> handles = stackalloc uint[1024];
        for (uint bucket = 0; bucket < _index.BucketCount; bucket++)
        {
            int found = _index.ReadBucket(bucket, handles);
            foreach (uint handle in handles[..found])
            {
                ItemHeader* item = _space.At(handle);
                Check(item->Kind == ChunkKind.Item, $"the index holds {handle}, which is {item->Kind}");
                Check(_index.Find(_arena.Hasher.Compute(ItemHeader.KeySpan(item)), ItemHeader.KeySpan(item)) == handle, $"the index holds {handle} in the wrong bucket or twice");
                count++;
            }
        }

        Check(count == _index.ItemCount && count == _itemCount, $"the index has {count} items, {_index.ItemCount} and {_itemCount} counted");
        for (int i = 0; i < _index.PageCount; i++)
        {
            PageInfo* info = _arena.Info(_space.PageOf(_space.HandleOf(_index.PageAt(i))));
            Check(info->IsIndex && info->OwnerPlusOne == Id.Value + 1, $"page {i} of the index says otherwise");
        }
    }

    private void Check(bool condition, string what)
    {
        if (!condition)
            Throw.Corrupt(Id, what);
    }
}
