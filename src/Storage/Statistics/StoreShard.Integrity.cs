namespace OrleansCache.Storage;

internal sealed unsafe partial class StoreShard
{
    /// <summary>
    /// Walks everything and throws with a description if anything contradicts itself: pages and their owners, chunks and free lists, chains, queues, indexes,
    /// sums, and that every item that came in is here or has been counted as lost. Costs as much as the shard is large.
    /// </summary>
    public void CheckIntegrity()
    {
        Check(Guarded == 0 && _heap.EmptyingPage == 0 && _heap.GrantedCount == 0, "something of an operation was left behind");
        int pinned = Pins.Count; // before: readers may let go meanwhile
        FreeReleased();
        long items = 0, itemBytes = 0, orphans = 0, chainChunks = 0, continuations = 0, blocks = 0;
        int pages = 0;
        bool spareSeen = _heap.SparePage == 0;
        for (int c = 0; c < _classes.Length; c++)
        {
            CheckFreeList(c);
            pages += _classes[c].PageCount;
            if (c == _heap.IndexClass)
                continue;
            CheckPages(c, ref orphans, ref continuations, ref spareSeen);
            CheckQueue(c, QueueId.Small, _classes[c].Queues.Small, ref itemBytes, ref chainChunks);
            CheckQueue(c, QueueId.Main, _classes[c].Queues.Main, ref itemBytes, ref chainChunks);
            CheckQueue(c, QueueId.Temp, _classes[c].Queues.Temp, ref itemBytes, ref chainChunks);
            items += _classes[c].Queues.Count;
        }

        long found = 0, foundBytes = 0;
        foreach (PartitionStore? store in _stores)
        {
            if (store is null)
                continue;
            CheckIndex(ref store.Index, store.Id);
            Check(store.Index.ItemCount == store.ItemCount, $"the index of partition {store.Id} has {store.Index.ItemCount} items, {store.ItemCount} counted");
            found += store.ItemCount;
            foundBytes += store.ItemBytes;
            blocks += store.Index.BlockCount;
        }

        Check(found == _itemCount && foundBytes == _itemBytes, $"{found} items of {foundBytes} bytes in the partitions, {_itemCount} of {_itemBytes} counted");
        long waiting = 0;
        foreach (DetachedIndex detached in _detached)
        {
            blocks += detached.Index.BlockCount;
            waiting += CountFrom(detached);
        }

        Check(items == _itemCount + waiting, $"{items} items in the queues, {_itemCount} counted, {waiting} wait to be freed");
        Check(waiting == _detachedItemCount, $"{waiting} items wait to be freed, {_detachedItemCount} counted");
        Check(waiting != 0 || itemBytes == _itemBytes, $"{itemBytes} bytes in the queues, {_itemBytes} counted");
        Check(Ledger.Linked == items + Ledger.LostInAll, $"{Ledger.Linked} items came in, {items} are here, {Ledger.LostInAll} were lost");
        Check(blocks == IndexBlockCount, $"{blocks} blocks in the indexes, {IndexBlockCount} in use");
        Check(spareSeen || _classes[_heap.IndexClass].FreeCount >= _heap.ChunksPerPage(_heap.IndexClass), "the spare page is in no class");
        Check(pages == _heap.PageCount, $"{pages} pages found, {_heap.PageCount} counted");
        Check(orphans <= pinned, $"{orphans} orphans, {pinned} pinned items");
        Check(chainChunks == continuations, $"{continuations} continuation chunks in pages, {chainChunks} in chains");
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
            uint first = _space.HandleOf(_space.PageStart(page));
            Check(info->ShardPlusOne == Number + 1 && _space.ClassOf(first) == classIndex, $"page {page} of class {classIndex} says otherwise");
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
                        Check(false, $"chunk {handle} is {chunk->Kind} outside of an operation");
                        break;
                }

                live++;
            }

            Check(live == info->LiveChunks, $"page {page} has {live} chunks in use, {info->LiveChunks} counted");
            Check(live > 0 || page == _heap.SparePage, $"page {page} is empty, but neither spare nor given back");
            Check(page != _heap.SparePage || live == 0, $"the spare page {page} is in use");
            spareSeen |= page == _heap.SparePage;
            pages++;
        }

        Check(pages == slab.PageCount, $"class {classIndex} has {pages} pages, {slab.PageCount} counted");
        Check(free == slab.FreeCount, $"class {classIndex} has {free} free chunks, {slab.FreeCount} counted");
        Check(items == slab.Queues.Count, $"class {classIndex} has {items} items in pages, {slab.Queues.Count} counted");
    }

    private void CheckFreeList(int classIndex)
    {
        ref SlabClass slab = ref _classes[classIndex];
        int count = 0;
        uint before = 0;
        for (uint handle = slab.FreeHead; handle != 0; handle = _space.At(handle)->Next)
        {
            ItemHeader* chunk = _space.At(handle);
            Check(chunk->Kind == ChunkKind.Free && chunk->Prev == before, $"free chunk {handle} of class {classIndex} is wrongly linked");
            before = handle;
            Check(++count <= slab.FreeCount, $"the free list of class {classIndex} is too long");
        }

        Check(count == slab.FreeCount, $"the free list of class {classIndex} has {count} chunks, {slab.FreeCount} counted");
    }

    private void CheckQueue(int classIndex, QueueId id, ItemQueue queue, ref long itemBytes, ref long chainChunks)
    {
        long count = 0;
        uint before = 0;
        for (uint handle = queue.Head; handle != 0; handle = _space.At(handle)->Next)
        {
            ItemHeader* item = _space.At(handle);
            Check(item->Kind == ChunkKind.Item && item->Queue == id
                && _space.ClassOf(handle) == classIndex, $"item {handle} does not belong into queue {id} of class {classIndex}");
            Check(item->Prev == before, $"item {handle} of class {classIndex} is wrongly linked");
            if (item->IsChained)
                chainChunks += CheckChain(handle);
            if (_space.HasChecksums)
                Check(*_space.ChecksumOf(item) == ItemChecksum.Compute(in _space, _sizes, handle), $"the checksum of item {handle} is wrong");
            itemBytes += _space.RequestedBytes(item);
            before = handle;
            Check(++count <= queue.Count, $"queue {id} of class {classIndex} is too long");
        }

        Check(queue.Tail == before, $"the tail of queue {id} of class {classIndex} is wrong");
        Check(count == queue.Count, $"queue {id} of class {classIndex} has {count} items, {queue.Count} counted");
    }

    /// <summary>Returns the number of continuations.</summary>
    private int CheckChain(uint handle)
    {
        ItemHeader* item = _space.At(handle);
        int count = 0;
        long bytes = ItemChain.HeadValueBytes(in _space, _sizes, handle);
        int length = _space.ValueLength(item);
        for (uint next = _space.LinkOf(item)->Next; next != 0; next = _space.ContinuationAt(next)->Next)
        {
            ContinuationHeader* chunk = _space.ContinuationAt(next);
            Check(_space.At(next)->Kind == ChunkKind.Continuation && chunk->Head == handle, $"chunk {next} does not belong to the chain of {handle}");
            int room = _sizes.ChunkBytes(_space.ClassOf(next)) - ContinuationHeader.Bytes;
            Check(chunk->UsedBytes > 0 && chunk->UsedBytes <= room, $"chunk {next} has an impossible length");
            bytes += chunk->UsedBytes;
            count++;
            Check(bytes <= length, $"the chain of {handle} is too long");
        }

        Check(bytes == length, $"the chain of {handle} holds {bytes} bytes, not {length}");
        return count;
    }

    private void CheckIndex(ref HashIndex index, PartitionId id)
    {
        long count = 0;
        var handles = new List<uint>();
        for (uint bucket = 0; bucket < index.BucketCount; bucket++)
        {
            handles.Clear();
            index.ReadBucket(bucket, handles);
            foreach (uint handle in handles)
            {
                ItemHeader* item = _space.At(handle);
                Check(item->Kind == ChunkKind.Item, $"the index of partition {id} holds {handle}, which is {item->Kind}");
                ulong hash = _arena.HashOf(item);
                Check(index.Find(hash, ItemHeader.KeySpan(item)) == handle, $"the index of partition {id} holds {handle} in the wrong bucket or twice");
                Check(PartitionId.OfHash(hash, _arena.Options.PartitionCount) == id, $"item {handle} does not belong into partition {id}");
                count++;
            }
        }

        Check(count == index.ItemCount, $"the index of partition {id} has {count} items, {index.ItemCount} counted");
    }

    private static long CountFrom(DetachedIndex detached)
    {
        long count = 0;
        var handles = new List<uint>();
        for (uint bucket = detached.NextBucket; bucket < detached.Index.BucketCount; bucket++)
        {
            handles.Clear();
            detached.Index.ReadBucket(bucket, handles);
            count += handles.Count;
        }

        return count;
    }

    private void Check(bool condition, string what)
    {
        if (!condition)
            Throw.ArenaCorrupt($"shard {Number}: {what}");
    }
}
