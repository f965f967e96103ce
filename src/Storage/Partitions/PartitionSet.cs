using System.Numerics;

namespace OrleansCache.Storage;

/// <summary>
/// The partitions that this process holds, by number, over one arena. Reading is an array access without a lock; opening and closing are serialised.
/// Counters belong to the arena's shards and stay when partitions are closed, so that what monitors read never runs backwards.
/// </summary>
public sealed class PartitionSet : IDisposable
{
    /// <summary>Pages that one slice takes back after -m has shrunk: 16 to 64 MiB.</summary>
    private const int ShrinkPagesMax = 4096;

    /// <summary>Buckets whose items are freed under one hold of a shard's lock: some tens of microseconds.</summary>
    internal const int DrainBucketsMax = 64;

    private readonly Partition?[] _partitions;
    private readonly Lock _changes = new();
    private long _flushes;
    private int _shrinkNext;
    private long _crawls;
    private long _wakes;
    private volatile bool _isCrawling;
    private bool _disposed;

    public PartitionSet(StoreOptions options, EventLog? events = null)
    {
        ArgumentNullException.ThrowIfNull(options);
        Options = options;
        Arena = new PageArena(options, events);
        _partitions = new Partition?[options.PartitionCount];
    }

    public StoreOptions Options { get; }
    public PageArena Arena { get; }

    /// <summary>Where the stores tell what they do to those who watch.</summary>
    public EventLog Events => Arena.Events;
    public int PartitionCount => _partitions.Length;

    /// <summary>What hashes the keys of everything stored here; null before the seed is known.</summary>
    public KeyHasher? Hasher => Arena.HasherIfKnown;

    /// <summary>
    /// Sets the seed of the key hash, which must be known before the first partition is opened. Throws if partitions are open under
    /// another one: their items lie where it has put them.
    /// </summary>
    public void UseHashSeed(HashSeed seed)
    {
        lock (_changes)
        {
            if (Hasher?.Seed == seed)
                return;
            if (Array.Exists(_partitions, static partition => partition is not null))
                throw new InvalidOperationException("Partitions are open under another seed of the key hash.");
            while (DrainSlice(DrainBucketsMax))
            {
                // What has been flushed or closed is found under the former seed.
            }

            Arena.UseHashSeed(seed);
        }
    }

    /// <summary>
    /// Opens a partition that is not open, empty. Sealed is for one whose items are still to be imported, and for a replica. Throws if it is open already, or
    /// no seed is known.
    /// </summary>
    /// <param name="id">The partition.</param>
    /// <param name="epoch">The epoch in which it is held.</param>
    /// <param name="state">Whether its gate is open.</param>
    /// <param name="isReplica">Whether it applies the effects of an owner elsewhere.</param>
    /// <param name="sequence">
    /// CAS numbers begin above it: of a partition whose items were lost with their silos, no number is given again that a client may still hold.
    /// </param>
    public Partition Open(PartitionId id, long epoch, PartitionState state = PartitionState.Active, bool isReplica = false, ulong sequence = 0)
    {
        ArgumentOutOfRangeException.ThrowIfEqual((int)state, (int)PartitionState.Gone, nameof(state));
        if (isReplica && state != PartitionState.Sealed)
            throw new ArgumentException("A replica is sealed.", nameof(state));
        lock (_changes)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            if (_partitions[id.Value] is not null)
                throw new InvalidOperationException($"Partition {id} is open already.");
            if (Hasher is null)
                Throw.HashSeedUnknown();
            var store = new PartitionStore(Arena, id);
            if (sequence != 0)
                store.SkipSequence(sequence);
            var partition = new Partition(store, epoch, state, isReplica);
            Volatile.Write(ref _partitions[id.Value], partition);
            return partition;
        }
    }

    /// <summary>
    /// A sequence number that no partition has reached that was opened before this time, unless it has had 100,000 changes a second ever since.
    /// </summary>
    public static ulong SequenceAt(DateTimeOffset time) => (ulong)(time - DateTimeOffset.UnixEpoch).Ticks / (TimeSpan.TicksPerMillisecond / 100);

    /// <summary>The seed of the key hash in the memory file, if that holds items that could be read.</summary>
    public HashSeed? MemoryFileSeed => Arena.File is { IsWarm: true } file ? file.Seed : null;

    /// <summary>Why the memory file begins empty although it was not; null where there is nothing to say.</summary>
    public string? MemoryFileRefusal => Arena.File?.Refusal;

    /// <summary>
    /// Makes what the memory file holds of the open partitions their items again; null if it holds nothing. Once, after the partitions have been opened and
    /// before anybody uses them. What has not been looked at when <paramref name="timeMax"/> is over is left out.
    /// </summary>
    public MemoryFileReport? ReadMemoryFile(uint nowUnixSeconds, TimeSpan timeMax, Action<double, long>? progress = null)
    {
        if (Arena.File is not { IsWarm: true } file)
            return null;
        lock (_changes)
        {
            MemoryFileReport report = new MemoryFileReader(Arena, file, nowUnixSeconds, timeMax).Read(progress);
            foreach (Partition? partition in _partitions)
            {
                if (!file.WasClosed)
                    partition?.Store.SkipSequence(SequencesSkipped);
            }

            file.EndReading();
            return report;
        }
    }

    /// <summary>What a silo's memory file has brought along; null if it has none, or a new one.</summary>
    public MemoryFileContent? Kept { get; private set; }

    /// <summary>
    /// Of a silo, before it joins its cluster: opens the partitions that the memory file says it served, sealed, with their items, and says which
    /// (<see cref="Kept"/>). The cluster decides what becomes of each: <see cref="Partition.Activate"/>, or <see cref="Close"/>. Until then it can be read
    /// again.
    /// </summary>
    public MemoryFileReport? ReadKept(uint nowUnixSeconds, TimeSpan timeMax, Action<double, long>? progress = null)
    {
        if (Arena.File is not { IsOld: true } file)
            return null;
        var content = new MemoryFileContent(PartitionCount);
        Kept = content;
        if (!file.IsWarm)
            return null;
        content.Read(file);
        if (content.Seed.IsNone)
            return null;
        UseHashSeed(content.Seed);
        for (int i = 0; i < PartitionCount; i++)
        {
            if (content.Epochs[i] != 0)
                Open(new PartitionId(i), content.Epochs[i], PartitionState.Sealed);
        }

        return ReadMemoryFile(nowUnixSeconds, timeMax, progress);
    }

    /// <summary>The memory file remembers what this silo knows of its cluster: in which epochs partitions are held, wherever they are.</summary>
    public void NoteTable(long term, ReadOnlySpan<long> epochs)
    {
        if (Arena.File is not { } file)
            return;
        file.TableTerm = term;
        file.NoteEpochs(epochs);
    }

    /// <summary>The memory file remembers how many silos the cluster has.</summary>
    public void NoteSiloCount(int count)
    {
        if (count > 0 && Arena.File is { } file)
            file.SiloCount = count;
    }

    /// <summary>The memory file remembers that what it holds is being served now.</summary>
    public void NoteServing(uint nowUnixSeconds)
    {
        lock (_changes)
        {
            if (!_disposed && Arena.File is { } file)
                file.LastSeen = nowUnixSeconds;
        }
    }

    /// <summary>Turns all requests away for good; what lies in a memory file stays there for the next start.</summary>
    public void Abandon()
    {
        foreach (Partition? partition in _partitions)
            partition?.Abandon();
    }

    /// <summary>More changes than a partition can have seen between two times that the system wrote its record to disk.</summary>
    private const ulong SequencesSkipped = 1 << 24;

    /// <summary>The partition if it is here, in whatever state.</summary>
    public Partition? TryGet(PartitionId id) => Volatile.Read(ref _partitions[id.Value]);

    /// <summary>
    /// Hint that requests with these hashes follow: first asks for all their index lines, then for all their items, so that the waits for memory overlap.
    /// Takes no lock, changes nothing.
    /// </summary>
    public void Prefetch(ReadOnlySpan<ulong> keyHashes)
    {
        foreach (ulong hash in keyHashes)
            TryGet(PartitionId.OfHash(hash, _partitions.Length))?.Store.PrefetchBucket(hash);
        foreach (ulong hash in keyHashes)
            TryGet(PartitionId.OfHash(hash, _partitions.Length))?.Store.PrefetchItems(hash);
    }

    /// <summary>Drops the partition and gives its pages back; false if it was not here. The time is not needed by what is closed today.</summary>
    public bool Close(PartitionId id, uint nowUnixSeconds = 0)
    {
        _ = nowUnixSeconds;
        lock (_changes)
        {
            Partition? partition = _partitions[id.Value];
            if (partition is null)
                return false;
            Volatile.Write(ref _partitions[id.Value], null);
            partition.Close();
            return true;
        }
    }

    /// <summary>Flushes every partition that is here, at once or at the given time.</summary>
    public void FlushAll(uint atUnixSeconds, uint nowUnixSeconds)
    {
        Interlocked.Increment(ref _flushes);
        foreach (Partition? slot in _partitions)
            slot?.FlushAll(atUnixSeconds, nowUnixSeconds);
    }

    /// <summary>The sums over all shards. Each is read at a slightly different moment.</summary>
    public StoreStatistics ReadStatistics(uint nowUnixSeconds, bool perClass)
    {
        var total = new StoreStatistics { LimitMaxBytes = Arena.MemoryBytes };
        foreach (StoreShard shard in Arena.Shards)
        {
            lock (shard.Lock)
            {
                shard.AddStatistics(total, perClass, nowUnixSeconds);
            }
        }

        // Read without locks: a sum of moments as well.
        foreach (Partition? partition in _partitions)
        {
            if (partition is not { IsReplica: true })
                continue;
            total.ReplicaItems += partition.Store.ItemCount;
            total.ReplicaBytes += partition.Store.ItemBytes;
        }

        total.CurrItems = Math.Max(0, total.CurrItems - total.ReplicaItems);
        total.CmdFlush = Interlocked.Read(ref _flushes);
        total.CrawlerStarts = Interlocked.Read(ref _crawls);
        total.MaintainerWakes = Interlocked.Read(ref _wakes);
        total.IsCrawling = _isCrawling;
        total.PoolPages = Arena.PoolPageCount;
        total.ShardCount = Arena.ShardCount;
        total.PageBytes = Arena.PageBytes;
        total.PinnedBytes = Arena.PinnedBytes;
        for (int c = 0; c < total.Classes.Length; c++)
            total.Classes[c].CreditBytes = Arena.Economy.CreditOf(c);
        total.PageBytesFree = (long)Arena.FreePageCount * Arena.PageBytes;
        long slots = total.HashBytes / HashIndex.BucketBytes * HashIndex.SlotsPerBucket;
        total.HashPowerLevel = slots == 0 ? 0 : BitOperations.Log2((ulong)slots);
        return total;
    }

    /// <summary>Sets all counters to 0.</summary>
    public void ResetStatistics()
    {
        Interlocked.Exchange(ref _flushes, 0);
        Interlocked.Exchange(ref _crawls, 0);
        Interlocked.Exchange(ref _wakes, 0);
        foreach (StoreShard shard in Arena.Shards)
        {
            lock (shard.Lock)
            {
                shard.ResetStatistics();
            }
        }
    }

    /// <summary>Runs <see cref="Partition.Reclaim"/> over every partition; returns the number of items freed.</summary>
    public long Reclaim(uint nowUnixSeconds, int bucketsMaxPerPartition)
    {
        long reclaimed = 0;
        foreach (Partition? slot in _partitions)
            reclaimed += slot?.Reclaim(nowUnixSeconds, bucketsMaxPerPartition) ?? 0;
        return reclaimed;
    }

    /// <summary>
    /// Frees what has expired at the ends of every shard's queues, so many items under one hold of its lock; returns the number of items freed.
    /// </summary>
    public long ReclaimTails(uint nowUnixSeconds, int itemsMax)
    {
        long reclaimed = 0;
        foreach (StoreShard shard in Arena.Shards)
        {
            int freed;
            do
            {
                lock (shard.Lock)
                {
                    freed = shard.ReclaimTails(nowUnixSeconds, itemsMax);
                }

                reclaimed += freed;
            }
            while (freed == itemsMax);
        }

        return reclaimed;
    }

    /// <summary>
    /// Runs one of <paramref name="slices"/> steps of a round over each partition's buckets, however large it is: in as many turns as it takes, of at most
    /// <paramref name="bucketsMax"/> buckets under one lock.
    /// </summary>
    public long ReclaimSlice(uint nowUnixSeconds, int slices, int bucketsMax)
    {
        ShrinkSlice(nowUnixSeconds);
        long reclaimed = 0;
        foreach (Partition? slot in _partitions)
        {
            if (slot is null)
                continue;
            for (long left = (slot.Store.BucketCount / slices) + 1; left > 0; left -= bucketsMax)
                reclaimed += slot.Reclaim(nowUnixSeconds, (int)Math.Min(left, bucketsMax));
        }

        return reclaimed;
    }

    /// <summary>
    /// After -m has shrunk: takes at most so many pages from the shards in turn, each under its lock alone, until the rest fits. What the shard would evict
    /// next goes first. With -M nothing is thrown away, so only empty pages come back.
    /// </summary>
    internal void ShrinkSlice(uint nowUnixSeconds, int pagesMax = ShrinkPagesMax)
    {
        ReadOnlySpan<StoreShard> shards = Arena.Shards;
        foreach (StoreShard shard in shards)
        {
            lock (shard.Lock)
            {
                shard.TrimGhosts();
            }
        }

        int refused = 0;
        for (int i = 0; i < pagesMax && refused < shards.Length && Arena.HeldPageCount > Arena.PageCount;)
        {
            _shrinkNext = (_shrinkNext + 1) % shards.Length;
            StoreShard shard = shards[_shrinkNext];
            uint page;
            lock (shard.Lock)
            {
                if (!shard.TryGivePage(nowUnixSeconds, out page, LossCause.MemoryLimit))
                    page = 0;
            }

            if (page == 0)
            {
                refused++;
                continue;
            }

            Arena.Give(page);
            i++;
            refused = 0;
        }

        Arena.Trim(pagesMax);
    }

    /// <summary>Flushed or closed partitions wait for their memory to be freed.</summary>
    internal bool HasDetached
    {
        get
        {
            foreach (StoreShard shard in Arena.Shards)
            {
                if (shard.HasDetached)
                    return true;
            }

            return false;
        }
    }

    /// <summary>Frees memory of flushed and closed partitions, so many buckets in each shard; true if some is left.</summary>
    internal bool DrainSlice(int bucketsMax)
    {
        bool more = false;
        foreach (StoreShard shard in Arena.Shards)
        {
            if (!shard.HasDetached)
                continue;
            lock (shard.Lock)
            {
                more |= shard.DrainDetached(bucketsMax);
            }
        }

        return more;
    }

    /// <summary>Throws with a description if a shard or the arena contradicts itself.</summary>
    public void CheckIntegrity()
    {
        foreach (StoreShard shard in Arena.Shards)
        {
            lock (shard.Lock)
            {
                shard.CheckIntegrity();
            }
        }
    }

    /// <summary>
    /// As <see cref="CheckIntegrity"/>, and that every page of the arena is free or held by a shard. Only where nothing is under way and no value is pinned.
    /// </summary>
    public void CheckIntegrityAtRest()
    {
        CheckIntegrity();
        long held = 0;
        foreach (StoreShard shard in Arena.Shards)
            held += shard.Heap.PageCount;
        if (held != Arena.HeldPageCount)
            Throw.ArenaCorrupt($"{held} pages are held, but {Arena.HeldPageCount} were handed out");
        if (Arena.PinnedBytes != 0)
            Throw.ArenaCorrupt($"{Arena.PinnedBytes} bytes are still pinned");
    }

    /// <summary>Closes all partitions and frees the arena. No request and no pinned value may be under way any more.</summary>
    public void Dispose()
    {
        lock (_changes)
        {
            if (_disposed)
                return;
            for (int i = 0; i < _partitions.Length; i++)
            {
                // What lies in a file stays there for the next start.
                if (Arena.File is not null)
                    _partitions[i]?.Abandon();
                else
                    Close(new PartitionId(i));
            }

            _disposed = true;
            Arena.Dispose();
        }
    }

    /// <summary>A pass over all partitions begins.</summary>
    internal void CountCrawl() => Interlocked.Increment(ref _crawls);

    /// <summary>The background work wakes.</summary>
    internal void CountWake() => Interlocked.Increment(ref _wakes);

    internal void SetCrawling(bool isCrawling) => _isCrawling = isCrawling;
}
