using System.Collections.Concurrent;
using System.Diagnostics;

namespace OrleansCache.Storage;

/// <summary>What came of reading a memory file.</summary>
/// <param name="Items">Items that are here again.</param>
/// <param name="Damaged">Items whose structure or checksum was wrong; they are left out.</param>
/// <param name="Expired">Items whose time was over, that were flushed, or whose partition is not held any more.</param>
/// <param name="Seconds">How long it took.</param>
/// <param name="IsComplete">False if the time was over before everything had been looked at; the rest is left out.</param>
public sealed record MemoryFileReport(long Items, long Damaged, long Expired, double Seconds, bool IsComplete);

/// <summary>
/// Finds the items in the pages of a memory file and makes them items of the arena's partitions again, each shard by itself.
/// Algorithm: every chunk that says that it begins an item is checked (lengths, the chain and who claims its chunks, the partition's record, the checksum);
/// then the chunks that no item claims become free, and the items enter index and queue from the one used longest ago on.
/// Goals: whatever the bytes are, no item is taken that was not stored like that, and nothing is read outside of the pages; bounded in time.
/// Non-goal: to keep the order within a queue beyond seconds.
/// </summary>
internal sealed unsafe class MemoryFileReader
{
    /// <summary>Marks a continuation that an item has claimed, while the file is read.</summary>
    private const uint Claimed = ItemWord.Fetched;

    private readonly PageArena _arena;
    private readonly MemoryFile _file;
    private readonly HandleSpace _space;
    private readonly SlabClasses _sizes;
    private readonly uint _now;
    private readonly Stopwatch _clock = Stopwatch.StartNew();
    private readonly TimeSpan _timeMax;
    private long _items, _damaged, _expired, _pagesSeen;
    private volatile bool _isLate;

    public MemoryFileReader(PageArena arena, MemoryFile file, uint nowUnixSeconds, TimeSpan timeMax)
    {
        _arena = arena;
        _file = file;
        _space = arena.Space;
        _sizes = arena.Classes;
        _now = nowUnixSeconds;
        _timeMax = timeMax;
    }

    /// <summary>
    /// Reads everything. <paramref name="progress"/> is called now and then with the share of pages seen and the items found, from any thread.
    /// </summary>
    public MemoryFileReport Read(Action<double, long>? progress)
    {
        var pages = new List<uint>[_arena.ShardCount];
        for (int i = 0; i < pages.Length; i++)
            pages[i] = [];
        int pageCount = 0;
        for (uint page = 1; page <= (uint)_arena.PageCountMax; page++)
        {
            uint entry = _file.PageTable[page];
            int classIndex = (int)(entry & 0xFF) - 1;
            uint shard = entry >> 16;
            if (classIndex < 0 || classIndex >= _sizes.Count || shard >= (uint)pages.Length)
                continue;
            pages[shard].Add(page);
            _arena.SetClass(page, classIndex, (int)shard);
            pageCount++;
        }

        _arena.TakeRestored(pages);
        using var reporter = progress is null ? null : new Timer(_ =>
            progress(pageCount == 0 ? 1 : (double)Interlocked.Read(ref _pagesSeen) / pageCount, Interlocked.Read(ref _items)), null, 1000, 1000);
        Parallel.ForEach(
            Partitioner.Create(0, pages.Length, 1),
            new ParallelOptions { MaxDegreeOfParallelism = Environment.ProcessorCount },
            range =>
            {
                for (int i = range.Item1; i < range.Item2; i++)
                    ReadShard(_arena.Shards[i], pages[i]);
            });
        return new MemoryFileReport(_items, _damaged, _expired, _clock.Elapsed.TotalSeconds, !_isLate);
    }

    private void ReadShard(StoreShard shard, List<uint> pages)
    {
        var found = new List<(uint Age, uint Handle)>();
        lock (shard.Lock)
        {
            foreach (uint page in pages)
                ForgetClaims(page);
            foreach (uint page in pages)
                Examine(page, shard.Number, found);
            foreach (uint page in pages)
                shard.Heap.AdoptRestored(page, (int)(_file.PageTable[page] & 0xFF) - 1, Claimed);

            // Until an item is linked nobody may evict or move it for the sake of the index's memory.
            foreach ((_, uint handle) in found)
                _space.At(handle)->Kind = ChunkKind.Building;

            // The oldest first: what is linked last stands at the queue's head.
            found.Sort(static (a, b) => b.Age.CompareTo(a.Age));
            foreach ((_, uint handle) in found)
                Link(shard, handle);
        }
    }

    /// <summary>A bit that a damaged file has set must not pass for a claim.</summary>
    private void ForgetClaims(uint page)
    {
        int classIndex = (int)(_file.PageTable[page] & 0xFF) - 1;
        int chunkBytes = _sizes.ChunkBytes(classIndex);
        byte* start = _space.PageStart(page);
        for (int i = 0; i < _sizes.ChunksPerPage(classIndex); i++)
        {
            var chunk = (ContinuationHeader*)(start + (i * chunkBytes));
            if (((ItemHeader*)chunk)->Kind == ChunkKind.Continuation)
                chunk->Word &= ~Claimed;
        }
    }

    /// <summary>Keeps the items of a page that are whole and still wanted; the heads of all others become free chunks.</summary>
    private void Examine(uint page, int shard, List<(uint Age, uint Handle)> found)
    {
        Interlocked.Increment(ref _pagesSeen);
        _isLate |= _clock.Elapsed > _timeMax;
        int classIndex = (int)(_file.PageTable[page] & 0xFF) - 1;
        int chunkBytes = _sizes.ChunkBytes(classIndex);
        byte* start = _space.PageStart(page);
        for (int i = 0; i < _sizes.ChunksPerPage(classIndex); i++)
        {
            var item = (ItemHeader*)(start + (i * chunkBytes));
            if (item->Kind == ChunkKind.Continuation)
                continue;
            if (item->Kind != ChunkKind.Item || _isLate)
            {
                item->Word = 0;
                continue;
            }

            uint handle = _space.HandleOf(item);
            if (!IsWhole(item, handle, chunkBytes, shard))
                Interlocked.Increment(ref _damaged);
            else if (!IsWanted(item, shard))
                Interlocked.Increment(ref _expired);
            else if (!Claim(handle))
                Interlocked.Increment(ref _damaged);
            else
            {
                Interlocked.Increment(ref _items);
                found.Add((item->AgeSeconds(_now), handle));
                continue;
            }

            item->Word = 0;
        }
    }

    private bool IsWhole(ItemHeader* item, uint handle, int chunkBytes, int shard)
    {
        int keyBytes = item->KeyLength;
        if (keyBytes is 0 or > Limits.KeyBytesMax || item->Queue > QueueId.Temp)
            return false;
        int offset = _space.ValueOffset(item);
        if (offset > chunkBytes)
            return false;
        if (item->IsChained ? !IsChainWhole(item, handle, chunkBytes - offset, shard) : offset + (long)_space.ValueLength(item) > chunkBytes)
            return false;
        return *_space.ChecksumOf(item) == ItemChecksum.Compute(in _space, _sizes, handle);
    }

    private bool IsChainWhole(ItemHeader* item, uint head, long headBytes, int shard)
    {
        long length = _space.ValueLength(item);
        if (length < headBytes || length > Limits.ItemBytesMax)
            return false;
        long seen = headBytes;
        for (uint next = _space.LinkOf(item)->Next; next != 0;)
        {
            if (!IsChunk(next, shard, out int room))
                return false;
            ContinuationHeader* chunk = _space.ContinuationAt(next);
            if (_space.At(next)->Kind != ChunkKind.Continuation || chunk->Head != head
                || chunk->UsedBytes == 0 || chunk->UsedBytes > room - ContinuationHeader.Bytes)
                return false;
            seen += chunk->UsedBytes;
            if (seen > length)
                return false; // also ends a ring
            next = chunk->Next;
        }

        return seen == length;
    }

    /// <summary>Whether a handle from the file is the beginning of a chunk of a page of this shard.</summary>
    private bool IsChunk(uint handle, int shard, out int chunkBytes)
    {
        chunkBytes = 0;
        uint page = _space.PageOf(handle);
        if (page == 0 || page > (uint)_arena.PageCountMax)
            return false;
        uint entry = _file.PageTable[page];
        int classIndex = (int)(entry & 0xFF) - 1;
        if (classIndex < 0 || classIndex >= _sizes.Count || entry >> 16 != (uint)shard)
            return false;
        chunkBytes = _sizes.ChunkBytes(classIndex);
        long offset = (byte*)_space.At(handle) - _space.PageStart(page);
        return offset % chunkBytes == 0 && offset / chunkBytes < _sizes.ChunksPerPage(classIndex);
    }

    private bool IsWanted(ItemHeader* item, int shard)
    {
        if (Expiry.IsExpired(item->ExpiresAt, _now))
            return false;
        PartitionId id = PartitionId.OfHash(_arena.HashOf(item), _arena.Options.PartitionCount);
        if (_arena.ShardOf(id).Number != shard)
            return false;
        PartitionRecord* record = _file.Records + id.Value;
        if ((record->Flags & PartitionRecord.OpenFlag) == 0)
            return false;

        // A CAS that says nothing about the time is taken for old while a flush was under way.
        return item->Cas == 0 || item->Has(ItemWord.ExplicitCas)
            ? (record->Flags & PartitionRecord.FlushPendingFlag) == 0
            : item->Cas > record->FlushedCas;
    }

    /// <summary>Claims the chunks of an item's chain; false if another item has claimed one.</summary>
    private bool Claim(uint handle)
    {
        ItemHeader* item = _space.At(handle);
        if (!item->IsChained)
            return true;
        for (uint next = _space.LinkOf(item)->Next; next != 0; next = _space.ContinuationAt(next)->Next)
        {
            if ((_space.ContinuationAt(next)->Word & Claimed) != 0)
                return false;
            _space.ContinuationAt(next)->Word |= Claimed;
        }

        return true;
    }

    private void Link(StoreShard shard, uint handle)
    {
        ItemHeader* item = _space.At(handle);
        ulong hash = _arena.HashOf(item);
        PartitionStore? store = shard.StoreAt(PartitionId.OfHash(hash, _arena.Options.PartitionCount));
        if (store is not null && store.TryLinkRestored(hash, handle, _now))
            return;
        Interlocked.Decrement(ref _items);
        Interlocked.Increment(ref _expired);
        shard.FreeChunks(handle);
    }
}
