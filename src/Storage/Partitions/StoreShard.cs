using System.Diagnostics;
using System.Numerics;
using System.Runtime.CompilerServices;

namespace OrleansCache.Storage;

/// <summary>
/// One part of a silo's memory: the chunks, eviction queues, ghosts and counters of a few partitions, behind one lock. A partition is its index, its numbers
/// and its gate; where its items lie and which of them has to go is decided here, over all partitions of the shard together.
/// Where a chunk comes from, in this order: the class's free list; a free page of the arena; chunks of flushed or closed partitions; a page that another class
/// can spare without a death; a page of the class with the least to its credit, if this class has earned one (<see cref="PageEconomy"/>); the class's own
/// victim; any other page. Another shard's lock is only ever tried, never waited for, while this one is held; if all are busy, the caller comes back with pages
/// that it collected holding none (<see cref="PagesWanted"/>).
/// Goals: nothing is allocated per operation; a store that evicts costs a few cache lines. Non-goal: fairness between partitions.
/// Thread safety: every call holds <see cref="Lock"/>, but for those of pins.
/// </summary>
internal sealed unsafe partial class StoreShard : ValueOwner, IDisposable
{
    /// <summary>An item that comes back before its queue has evicted so much more would be here with a little more memory.</summary>
    private const int WindowPercent = 3;
    private const int StampsPerWindowMin = 256;

    /// <summary>Bytes stored that are counted here before the economy hears of them.</summary>
    private const int StoredBytesStep = 256 * 1024;

    /// <summary>Steps that may be needed until a chunk of the wanted class is free.</summary>
    private const int RefillStepsMax = 256;

    /// <summary>Items that a class which is used may hold whatever its credit.</summary>
    private const int ItemsPerClassMin = 16;

    /// <summary>Chunks drawn before the item of one of them has to go.</summary>
    private const int OwnerDraws = 16;

    /// <summary>Buckets of a flushed or closed partition that a store without memory frees before it evicts.</summary>
    private const int DrainBucketsPerRefill = 2;

    /// <summary>Turns of these before a page is given that live items lie on.</summary>
    private const int DrainTurnsPerPage = 32;

    private readonly PageArena _arena;
    private readonly HandleSpace _space;
    private readonly SlabClasses _sizes;
    private readonly SlabHeap _heap;
    private readonly SlabClass[] _classes;
    private readonly PartitionStore?[] _stores;
    private readonly List<DetachedIndex> _detached = [];
    private readonly GhostTable _ghosts;
    private readonly PageMover _mover;
    private readonly int _stampShift;
    private readonly int _windowStamps;
    private long _storedBytes;
    private long _storedItems;
    private readonly bool _noEviction;
    private long _itemCount;
    private long _itemBytes;
    private long _detachedItemCount;
    private bool _waitForPages;

    public StoreShard(PageArena arena, int number)
    {
        Number = number;
        _arena = arena;
        _space = arena.Space;
        _sizes = arena.Classes;
        _heap = new SlabHeap(arena, number);
        _classes = _heap.Classes;
        _stores = new PartitionStore?[(arena.Options.PartitionCount / arena.ShardCount) + 1];
        _mover = new PageMover(arena, this, _heap);
        _ghosts = new GhostTable(arena.GhostBytesPerShardMax);
        long window = Math.Max(StampsPerWindowMin, arena.MemoryBytes / arena.ShardCount * WindowPercent / 100);
        _stampShift = Math.Max(0, BitOperations.Log2((ulong)(window / StampsPerWindowMin)));
        _windowStamps = (int)(window >> _stampShift);
        _noEviction = arena.Options.NoEviction;
        Events = arena.Events;
    }

    /// <summary>Guards everything here, and the partitions of the shard with it.</summary>
    public Lock Lock { get; } = new();

    public int Number { get; }

    public EventLog Events { get; }

    public PinTable Pins { get; } = new();

    /// <summary>Counters that belong to no slab class.</summary>
    public StoreCounters Counters;

    public ItemLedger Ledger = new();

    /// <summary>The slab classes, and behind them the class of index blocks.</summary>
    public SlabClass[] Classes => _classes;

    public SlabHeap Heap => _heap;

    public PageMover Mover => _mover;

    public GhostTable Ghosts => _ghosts;

    /// <summary>An item that the operation under way reads from: it is neither evicted nor moved. 0 if there is none.</summary>
    public uint Guarded { get; set; }

    /// <summary>Pages that the last call that returned false could use; 0 if it failed for another reason.</summary>
    public int PagesWanted { get; private set; }

    /// <summary>Items that requests can find.</summary>
    public long ItemCount => _itemCount;

    /// <summary>Bytes of keys, values and headers of these items.</summary>
    public long ItemBytes => _itemBytes;

    /// <summary>Flushed or closed partitions whose memory is not free yet. May be read without the lock, as a hint.</summary>
    public bool HasDetached => Volatile.Read(ref _detachedCount) != 0;

    private int _detachedCount;

    /// <summary>The partition's store, if it is open.</summary>
    public PartitionStore? StoreAt(PartitionId id) => _stores[id.Value / _arena.ShardCount];

    public void Attach(PartitionStore store) => _stores[store.Id.Value / _arena.ShardCount] = store;

    /// <summary>Begins an operation: what was released is freed; whether it may come back with pages is noted.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Begin(bool waitForPages)
    {
        _waitForPages = waitForPages;
        PagesWanted = 0;
        if (Pins.HasReleased)
            FreeReleased();
    }

    // ---- items ----

    /// <summary>Takes the chunks of an item and sets its header but for CAS and links. Nothing is taken if it fails.</summary>
    public bool TryAllocate(int keyBytes, uint clientFlags, int valueBytes, uint expiresAt, uint now, out uint handle)
    {
        PagesWanted = 0;
        handle = 0;
        uint flagBit = clientFlags == 0 ? 0 : ItemWord.HasFlags;
        long bytes = _space.FixedBytes + keyBytes + (clientFlags == 0 ? 0 : ItemHeader.FlagsBytes) + (long)valueBytes;
        // Beyond this the rest of the cache would be thrown away for one item.
        if (bytes > (long)_arena.PageCount * _arena.PageBytes / 4 * 3)
            return false;
        int classIndex = _sizes.SingleClassOf(bytes);
        if (classIndex >= 0)
        {
            if (_classes[classIndex].PageCount == 0)
                classIndex = ClassWithAPage(classIndex);
            if (!TryTakeChunk(classIndex, now, out handle))
                return AskForPages(1);
            ItemHeader* item = _space.At(handle);
            item->Word = ((uint)ChunkKind.Building << ItemWord.KindShift) | flagBit | (uint)valueBytes;
            Prepare(item, keyBytes, clientFlags, expiresAt, now);
            return true;
        }

        return TryAllocateChain(keyBytes, clientFlags, valueBytes, bytes + ItemHeader.ChainBytes, expiresAt, now, out handle)
            || AskForPages((int)_sizes.PagesMax(bytes));
    }

    /// <summary>
    /// While memory is full, a size that is asked for for the first time lies in the chunks of a larger class, up to twice as large, until it has been asked
    /// for as often as a page has chunks: a page for a few odd items would cost more than their slack. Where memory is tiny, this keeps classes from taking
    /// each other's pages.
    /// </summary>
    private int ClassWithAPage(int classIndex)
    {
        if (_arena.FreePageHint > 0 || _heap.SparePage != 0 || ++_classes[classIndex].Demand > _heap.ChunksPerPage(classIndex))
        {
            _classes[classIndex].Demand = 0;
            return classIndex;
        }

        int bytesMax = _sizes.ChunkBytes(classIndex) * 2;
        for (int c = classIndex + 1; c < _sizes.Count && _sizes.ChunkBytes(c) <= bytesMax; c++)
        {
            if (_classes[c].PageCount != 0)
                return c;
        }

        return classIndex;
    }

    private bool TryAllocateChain(int keyBytes, uint clientFlags, int valueBytes, long bytes, uint expiresAt, uint now, out uint handle)
    {
        if (!TryTakeChunk(_sizes.HeadClass(bytes), now, out handle))
            return false;
        ItemHeader* head = _space.At(handle);
        head->Word = ((uint)ChunkKind.Building << ItemWord.KindShift) | ItemWord.Chained | (clientFlags == 0 ? 0 : ItemWord.HasFlags);
        Prepare(head, keyBytes, clientFlags, expiresAt, now);
        ChainLink* chain = _space.LinkOf(head);
        chain->ValueLength = valueBytes;
        chain->Next = 0;
        uint* link = &chain->Next;
        int left = valueBytes - ItemChain.HeadValueBytes(in _space, _sizes, handle);
        while (left > 0)
        {
            int classIndex = _sizes.ContinuationClass(left);
            if (!TryTakeChunk(classIndex, now, out uint next))
            {
                FreeChunks(handle);
                handle = 0;
                return false;
            }

            ContinuationHeader* chunk = _space.ContinuationAt(next);
            chunk->Next = 0;
            chunk->Head = handle;
            int used = Math.Min(left, _sizes.ChunkBytes(classIndex) - ContinuationHeader.Bytes);
            chunk->SetUsedBytes(used);
            left -= used;
            *link = next;
            link = &chunk->Next;
        }

        return true;
    }

    private void Prepare(ItemHeader* item, int keyBytes, uint clientFlags, uint expiresAt, uint now)
    {
        item->Prev = 0;
        item->Next = 0;
        item->SetKeyLengthAndAccess(keyBytes, now);
        item->ExpiresAt = expiresAt;
        if (clientFlags != 0)
            *(uint*)(_space.ValueOf(item) - ItemHeader.FlagsBytes) = clientFlags;
    }

    /// <summary>Makes a filled item one of its store's: queue and sums. The index is the store's business.</summary>
    public void Link(PartitionStore store, uint handle, QueueId queue)
    {
        ItemHeader* item = _space.At(handle);
        Debug.Assert(item->Kind == ChunkKind.Building);
        ref SlabClass slab = ref _classes[_space.ClassOf(handle)];
        long bytes = _space.RequestedBytes(item);
        uint word = (item->Word & ~(ItemWord.KindMask | ItemWord.QueueMask))
            | ((uint)queue << ItemWord.QueueShift) | ((uint)ChunkKind.Item << ItemWord.KindShift);
        Volatile.Write(ref item->Word, word); // what survives the process is judged by it, so it comes last
        slab.Queues.Add(in _space, handle);
        slab.RequestedBytes += bytes;
        CountUse(handle);
        _itemBytes += bytes;
        _itemCount++;
        _storedBytes += bytes;
        _storedItems++;
        if (_storedBytes >= StoredBytesStep)
        {
            _arena.Economy.AddStored(_storedBytes, _storedItems);
            _storedBytes = 0;
            _storedItems = 0;
        }

        store.ItemBytes += bytes;
        store.ItemCount++;
        Ledger.Linked++;
        Counters.TotalItems++;
    }

    /// <summary>Makes an item that was found in a memory file one of its store's, at the head of the queue that it stood in.</summary>
    public void LinkRestored(PartitionStore store, uint handle)
    {
        long bytes = _space.RequestedBytes(_space.At(handle));
        ref SlabClass slab = ref _classes[_space.ClassOf(handle)];
        slab.Queues.Add(in _space, handle);
        slab.RequestedBytes += bytes;
        _itemBytes += bytes;
        _itemCount++;
        store.ItemBytes += bytes;
        store.ItemCount++;
        Ledger.Linked++;
    }

    /// <summary>Takes an item that its store's index does not hold any more out of queue and sums, and frees its chunks as soon as no pin holds them.</summary>
    public void Unlink(PartitionStore? store, uint handle, LossCause cause)
    {
        ItemHeader* item = _space.At(handle);
        long bytes = _space.RequestedBytes(item);
        ref SlabClass slab = ref _classes[_space.ClassOf(handle)];
        slab.Queues.Remove(in _space, handle);
        slab.RequestedBytes -= bytes;
        if (store is not null)
        {
            _itemBytes -= bytes;
            _itemCount--;
            store.ItemBytes -= bytes;
            store.ItemCount--;
        }
        else
        {
            _detachedItemCount--;
        }

        Ledger.Lose(cause);
        if (Pins.TryOrphan(handle))
            item->Kind = ChunkKind.Orphan;
        else
            FreeChunks(handle);
    }

    /// <summary>An item was stored or read: the classes of all its chunks are of use.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void CountUse(uint handle)
    {
        _classes[_space.ClassOf(handle)].Uses++;
        if (_space.At(handle)->IsChained)
            CountUseOfChain(handle);
    }

    private void CountUseOfChain(uint handle)
    {
        for (uint next = _space.LinkOf(_space.At(handle))->Next; next != 0; next = _space.ContinuationAt(next)->Next)
            _classes[_space.ClassOf(next)].Uses++;
    }

    /// <summary>An item has grown or shrunk where it lies.</summary>
    public void AddBytes(int classIndex, long bytes)
    {
        _classes[classIndex].RequestedBytes += bytes;
        _itemBytes += bytes;
    }

    /// <summary>Takes an item of whichever partition out, its index included.</summary>
    public void Remove(uint handle, LossCause cause)
    {
        ulong hash = _arena.HashOf(_space.At(handle));
        PartitionStore? store = StoreOf(hash);
        if (store is not null && store.RemoveFromIndex(hash, handle))
        {
            Unlink(store, handle, cause);
            return;
        }

        DetachedIndex detached = FindDetached(hash, handle);
        detached.Index.Remove(hash, handle);
        Unlink(null, handle, detached.Cause);
    }

    /// <summary>An item has moved to another chunk of its class: its index and its queue follow.</summary>
    public void Follow(uint from, uint to)
    {
        ItemHeader* item = _space.At(to);
        ulong hash = _arena.HashOf(item);
        PartitionStore? store = StoreOf(hash);
        if (store is null || !store.ReplaceInIndex(hash, from, to))
            FindDetached(hash, from).Index.Replace(hash, from, to);
        _classes[_space.ClassOf(to)].Queues.Replace(in _space, to);
    }

    /// <summary>
    /// The queue for a new item: what was evicted lately and comes back has proven itself, and its class learns that it could use more memory.
    /// </summary>
    public QueueId QueueOfNew(ulong hash, uint handle, uint now)
    {
        int classIndex = _space.ClassOf(handle);
        uint expiresAt = _space.At(handle)->ExpiresAt;
        if (!_ghosts.TryTake(hash, classIndex, out Ghost ghost))
            return _arena.Eviction.QueueOf(expiresAt, now, isGhost: false);
        ref ClassQueues queues = ref _classes[classIndex].Queues;
        ushort stamp = StampOf(ghost.IsFromMain ? queues.MainEvictedBytes : queues.SmallEvictedBytes);
        int age = (ushort)(stamp - ghost.Stamp);
        if (age <= ((long)_classes[classIndex].PageCount * _arena.PageBytes * WindowPercent / 100) >> _stampShift)
            queues.Learn(ghost.IsFromMain, _arena.Eviction.SmallPercent);
        if (!ghost.IsFromMain && age <= _windowStamps)
            Credit(handle, classIndex);

        // What has been given up once in the main queue has to prove itself anew.
        return _arena.Eviction.QueueOf(expiresAt, now, !ghost.IsFromMain);
    }

    /// <summary>The classes of an item's chunks share its credit by their size.</summary>
    private void Credit(uint handle, int classIndex)
    {
        ItemHeader* item = _space.At(handle);
        if (!item->IsChained)
        {
            _arena.Economy.Credit(classIndex);
            return;
        }

        long bytes = _space.RequestedBytes(item);
        _arena.Economy.Credit(classIndex, PageEconomy.CreditBytes * _sizes.ChunkBytes(classIndex) / bytes);
        for (uint next = _space.LinkOf(item)->Next; next != 0; next = _space.ContinuationAt(next)->Next)
            _arena.Economy.Credit(_space.ClassOf(next), PageEconomy.CreditBytes * (long)_space.ContinuationAt(next)->UsedBytes / bytes);
    }

    // ---- flushed and closed partitions ----

    /// <summary>Takes a store's items away at once; their memory comes back in turns.</summary>
    public void Detach(PartitionStore store, HashIndex index, LossCause cause)
    {
        _itemCount -= store.ItemCount;
        _itemBytes -= store.ItemBytes;
        _detachedItemCount += store.ItemCount;
        store.ItemCount = 0;
        store.ItemBytes = 0;
        if (index.BlockCount == 0)
            return;
        _detached.Add(new DetachedIndex(store.Id, index, cause));
        Volatile.Write(ref _detachedCount, _detached.Count);
    }

    /// <summary>Removes a store that is closed; its items have been detached before.</summary>
    public void Forget(PartitionStore store)
    {
        ref PartitionStore? slot = ref _stores[store.Id.Value / _arena.ShardCount];
        if (ReferenceEquals(slot, store))
            slot = null;
    }

    /// <summary>Frees the items of up to so many buckets of flushed and closed partitions; false if nothing is left to free.</summary>
    public bool DrainDetached(int bucketsMax)
    {
        Span<uint> handles = stackalloc uint[256];
        while (bucketsMax > 0 && _detached.Count != 0)
        {
            DetachedIndex detached = _detached[^1];
            for (; bucketsMax > 0 && detached.NextBucket < detached.Index.BucketCount; bucketsMax--)
            {
                int count = detached.Index.ReadBucket(detached.NextBucket, handles);
                foreach (uint handle in handles[..count])
                {
                    if (count == handles.Length)
                        detached.Index.Remove(_arena.HashOf(_space.At(handle)), handle);
                    Unlink(null, handle, detached.Cause);
                }

                if (count < handles.Length)
                    detached.NextBucket++;
            }

            if (bucketsMax == 0)
                break;

            // All items are free; now the blocks, of which eight or so cost as much as a bucket of items.
            byte* block = null;
            for (int i = 0; i < 8; i++)
            {
                block = detached.Index.TakeBlock();
                if (block is null)
                    break;
                detached.NextBucket = 0;
                _heap.Push(_space.HandleOf(block));
            }

            bucketsMax--;
            if (block is not null)
                continue;
            _detached.Remove(detached);
            if (_arena.File is not null && !_detached.Exists(other => other.Id == detached.Id))
                _arena.File.Records[detached.Id.Value].Flags &= ~PartitionRecord.FlushPendingFlag;
            Volatile.Write(ref _detachedCount, _detached.Count);
        }

        if (_detached.Count != 0)
            return true;
        if (_itemCount == 0)
            _heap.ReleaseSpare();
        return false;
    }

    /// <summary>Whether requests can find the item.</summary>
    private bool IsPresent(ItemHeader* item, uint handle)
    {
        ulong hash = _arena.HashOf(item);
        return StoreOf(hash) is { } store && store.Index.Contains(hash, handle);
    }

    private PartitionStore? StoreOf(ulong hash) =>
        _stores[PartitionId.OfHash(hash, _arena.Options.PartitionCount).Value / _arena.ShardCount];

    private DetachedIndex FindDetached(ulong hash, uint handle)
    {
        PartitionId partition = PartitionId.OfHash(hash, _arena.Options.PartitionCount);
        foreach (DetachedIndex detached in _detached)
        {
            if (detached.Holds(partition, hash, handle))
                return detached;
        }

        Throw.ArenaCorrupt($"item {handle} is in no index");
        return null!;
    }

    // ---- pins ----

    /// <inheritdoc/>
    protected override bool TryPin(uint handle)
    {
        long bytes = _space.RequestedBytes(_space.At(handle));
        if (!_arena.TryAddPinned(bytes))
            return false;
        if (!Pins.Pin(handle))
            _arena.RemovePinned(bytes); // counted with its first pin
        return true;
    }

    /// <inheritdoc/>
    protected override void Unpin(uint handle)
    {
        long bytes = _space.RequestedBytes(_space.At(handle));
        if (!Pins.Unpin(handle))
            return;
        _arena.RemovePinned(bytes);

        // The next holder of the lock frees what was released; if nobody holds it, that is now.
        if (!Pins.HasReleased || !Lock.TryEnter())
            return;
        try
        {
            FreeReleased();
        }
        finally
        {
            Lock.Exit();
        }
    }

    /// <inheritdoc/>
    protected override void CopyTo(uint handle, int offset, Span<byte> destination) =>
        ItemChain.CopyTo(in _space, _sizes, handle, offset, destination);

    /// <inheritdoc/>
    protected override byte* GetRun(uint handle, int offset, out int length)
    {
        var cursor = default(ValueCursor);
        return ItemChain.GetRun(in _space, _sizes, handle, offset, ref cursor, out length);
    }

    /// <inheritdoc/>
    protected override byte* GetRun(uint handle, int offset, ref ValueCursor cursor, out int length) =>
        ItemChain.GetRun(in _space, _sizes, handle, offset, ref cursor, out length);

    public void FreeReleased()
    {
        while (Pins.TryTakeReleased(out uint handle))
            FreeChunks(handle);
        if (_itemCount == 0)
            _heap.ReleaseSpare();
    }

    public void Dispose() => _ghosts.Dispose();

    private void PublishEviction(ItemHeader* item, uint handle, uint now)
    {
        if ((Events.Watched & EventKinds.Evictions) == 0)
            return;
        long ttl = item->ExpiresAt == Expiry.Never ? -1 : (long)item->ExpiresAt - now;
        Events.ItemEvicted(
            ItemHeader.KeySpan(item), item->Has(ItemWord.Fetched), ttl, (int)item->AgeSeconds(now), _space.ClassOf(handle) + 1, _space.ValueLength(item));
    }
}
