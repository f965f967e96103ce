using System.Diagnostics;
using System.Numerics;
using System.Runtime.InteropServices;

namespace OrleansCache.Storage;

/// <summary>
/// The memory of all partitions of this process: one native reservation of about -m bytes, committed by the system as it is first touched, cut into pages.
/// A page belongs to one shard at a time (<see cref="SlabHeap"/>), for chunks of one slab class or for blocks of hash indexes. Free pages are a stack under a
/// small lock, which is the innermost lock of this room; which page to take away when none is free is decided by the shards.
/// -m may change at run time (<see cref="TrySetMemoryLimit"/>), up to what was reserved at the start. When it shrinks, pages that come back are given to the
/// system until the rest fits; that they come back is the business of <see cref="PartitionSet.ReclaimSlice"/>.
/// An address in it is a 32-bit handle: the offset in granules of 8 bytes (more above 32 GiB). Page 0 is never handed out, so that handle 0 can mean none.
/// Goals: what it hands out stays within -m, bookkeeping included; nothing of it is seen by the garbage collector.
/// Non-goal: giving memory back to the system while it is within -m.
/// </summary>
public sealed unsafe partial class PageArena : IDisposable
{
    internal const int GranuleBytesMin = 8;

    /// <summary>Pages are 64 KiB, and smaller where that would be few of them, down to 4 KiB.</summary>
    private const int PageShiftMax = 16;
    private const int PageShiftMin = 12;
    private const int PagesMin = 512;

    /// <summary>Each partition's index takes two blocks as soon as it holds an item; so much is always granted, and as much again for items.</summary>
    private const int BytesPerPartitionMin = 4 * HashIndex.BlockBytes;

    /// <summary>
    /// A shard has at least so much memory, so that its queues are long enough to tell hot from cold; and there are at most so many for each core.
    /// </summary>
    private const long BytesPerShardMin = 32 * 1024 * 1024;
    private const int ShardsPerCoreMax = 4;

    /// <summary>Alignment of the reservation, so that the system can back it with huge pages.</summary>
    private const nuint HugePageBytes = 2 * 1024 * 1024;

    private readonly Lock _freeLock = new();
    private readonly PageInfo* _pages;
    private readonly byte* _classOfPage;
    private void* _reservation;
    private nuint _reservationBytes;
    private uint _freeHead;
    private uint _freeCount;
    private uint _freshNext = 1;
    private uint _retiredHead;
    private uint _retiredCount;
    private int _pageLimit;
    private long _memoryBytes;
    private long _pinnedBytes;
    private long _chargedBytes;
    private KeyHasher? _hasher;
    private bool _isDisposed;

    public PageArena(StoreOptions options, EventLog? events = null)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentOutOfRangeException.ThrowIfLessThan(options.PartitionCount, 1, nameof(options));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(options.PartitionCount, Limits.PartitionsMax, nameof(options));
        Options = options;
        Events = events ?? EventLog.None;
        int pageShift = PageShiftMax;
        while (pageShift > PageShiftMin && options.MemoryBytes >> pageShift < PagesMin)
            pageShift--;
        PageBytes = 1 << pageShift;
        _memoryBytes = options.MemoryBytes;
        _pageLimit = PagesFor(options.MemoryBytes);
        int shift = BitOperations.Log2(GranuleBytesMin);
        while (((long)(_pageLimit + 1) << pageShift) >> shift > uint.MaxValue)
            shift++;

        // Room to grow costs nothing but addresses on Linux; elsewhere it would be memory. It must not cost the items' alignment either.
        long addresses = Math.Min((long)uint.MaxValue << shift, (long)int.MaxValue << pageShift) >> pageShift;
        PageCountMax = _pageLimit;
        if (OperatingSystem.IsLinux() && options.MemoryBytesMax > options.MemoryBytes)
            PageCountMax = (int)Math.Max(_pageLimit, Math.Min(PagesFor(options.MemoryBytesMax), addresses - 1));
        ShardCount = options.ShardCount != 0 ? options.ShardCount : ShardsFor(options);
        byte* start;
        int checksumBytes = 0;
        if (options.MemoryFilePath is { } path)
        {
            PageCountMax = _pageLimit;
            checksumBytes = sizeof(uint);
            File = MemoryFile.Open(path, options, PageBytes, PageCountMax, 1 << shift, ShardCount);
            if (File.IsWarm)
                ShardCount = File.ShardCount;
        }

        Classes = new SlabClasses(options.ChunkBytesMin, options.GrowthFactor, 1 << shift, PageBytes, ItemHeader.Bytes + checksumBytes);
        start = File is not null ? File.Pages : TryReserve((nuint)(PageCountMax + 1) << pageShift);
        if (start is null && PageCountMax > _pageLimit)
        {
            PageCountMax = _pageLimit;
            start = TryReserve((nuint)(PageCountMax + 1) << pageShift);
        }

        if (start is null)
            throw new InsufficientMemoryException($"The system refuses to reserve {_reservationBytes} bytes.");
        _pages = (PageInfo*)NativeMemory.AllocZeroed((nuint)PageCountMax + 1, (nuint)sizeof(PageInfo));
        _classOfPage = (byte*)NativeMemory.AllocZeroed((nuint)PageCountMax + 1);
        Space = new HandleSpace(start, shift, pageShift, _classOfPage, checksumBytes);
        var shards = new StoreShard[ShardCount];
        Economy = new PageEconomy(this, ShardCount);
        for (int i = 0; i < shards.Length; i++)
            shards[i] = new StoreShard(this, i);
        _shards = shards;
        if (!options.HashSeed.IsNone)
            UseHashSeed(options.HashSeed);
    }

    private readonly StoreShard[] _shards;

    /// <summary>The file that the pages lie in; null if they lie in memory alone.</summary>
    internal MemoryFile? File { get; }

    /// <summary>
    /// Into so many parts the memory is divided, each with a lock of its own: enough that loops seldom meet, and few, because each has queues of its own.
    /// </summary>
    public int ShardCount { get; }

    internal ReadOnlySpan<StoreShard> Shards => _shards;

    internal PageEconomy Economy { get; }

    /// <summary>What `lru` sets.</summary>
    internal EvictionSettings Eviction { get; } = new();

    /// <summary>What an operator may change while the stores run.</summary>
    internal StoreTuning Tuning
    {
        get => new()
        {
            SmallPercent = Eviction.SmallPercent,
            TempTtlSeconds = Eviction.TempTtlSeconds,
            IsFlat = Eviction.IsFlat,
            MovesPages = Economy.IsEnabled,
        };
        set
        {
            Eviction.SmallPercent = value.SmallPercent;
            Eviction.TempTtlSeconds = value.TempTtlSeconds;
            Eviction.IsFlat = value.IsFlat;
            Economy.IsEnabled = value.MovesPages;
        }
    }

    /// <summary>What a shard's ghosts may take: a 32nd of its memory.</summary>
    internal long GhostBytesPerShardMax => _memoryBytes / ShardCount / 32;

    internal StoreShard ShardOf(PartitionId id) => _shards[id.Value % _shards.Length];

    internal ulong HashOf(ItemHeader* item) => Hasher.Compute(ItemHeader.KeySpan(item));

    public StoreOptions Options { get; }

    /// <summary>Where the stores tell what they do to those who watch.</summary>
    public EventLog Events { get; }

    /// <summary>What hashes the keys of everything stored here. Throws before the seed is known.</summary>
    internal KeyHasher Hasher => _hasher ?? Throw.HashSeedUnknown();

    internal KeyHasher? HasherIfKnown => Volatile.Read(ref _hasher);

    internal void UseHashSeed(HashSeed seed)
    {
        if (File is not null && (!File.IsWarm || File.Seed != seed))
        {
            File.Forget(PageCountMax, Options.PartitionCount);
            File.UseSeed(seed);
        }

        Volatile.Write(ref _hasher, new KeyHasher(seed));
    }

    /// <summary>Bytes of a page, fixed by -m and the number of partitions.</summary>
    public int PageBytes { get; }

    /// <summary>-m as it is now.</summary>
    public long MemoryBytes => Volatile.Read(ref _memoryBytes);

    /// <summary>Pages that can be handed out within -m.</summary>
    public int PageCount => Volatile.Read(ref _pageLimit);

    /// <summary>Pages that there are addresses for.</summary>
    public int PageCountMax { get; }

    /// <summary>Pages that shards may still take.</summary>
    public int FreePageCount => Math.Max(0, PageCount - HeldPageCount);

    /// <summary>As <see cref="FreePageCount"/>, without a lock and perhaps out of date.</summary>
    internal int FreePageHint =>
        Volatile.Read(ref _pageLimit) - (int)(Volatile.Read(ref _freshNext) - 1 - Volatile.Read(ref _freeCount) - Volatile.Read(ref _retiredCount));

    /// <summary>Pages handed out; more than <see cref="PageCount"/> for a while after -m has shrunk.</summary>
    public int HeldPageCount
    {
        get
        {
            lock (_freeLock)
            {
                return HeldPages;
            }
        }
    }

    /// <summary>Changes -m. False if it is beyond what was reserved, or too little for the partitions.</summary>
    public bool TrySetMemoryLimit(long memoryBytes)
    {
        if (memoryBytes < MemoryBytesMin(Options))
            return false;
        lock (_freeLock)
        {
            int pages = memoryBytes > (long)int.MaxValue * PageBytes ? int.MaxValue : PagesFor(memoryBytes - _chargedBytes);
            if (pages > PageCountMax)
                return false;
            Volatile.Write(ref _memoryBytes, memoryBytes);
            Volatile.Write(ref _pageLimit, pages);
        }

        return true;
    }

    /// <summary>After -m has shrunk: gives free pages back to the system, at most so many; true if there is nothing left to give.</summary>
    internal bool Trim(int pagesMax)
    {
        for (int i = 0; i < pagesMax; i++)
        {
            lock (_freeLock)
            {
                if (_freeHead == 0 || HeldPages + (int)_freeCount <= _pageLimit)
                    return true;
                uint page = _freeHead;
                _freeHead = _pages[page].Next;
                _freeCount--;
                Retire(page);
            }
        }

        return false;
    }

    private int HeldPages => (int)(_freshNext - 1 - _freeCount - _retiredCount);

    /// <summary>Pages that were handed out once and that no shard holds now.</summary>
    internal int PoolPageCount
    {
        get
        {
            lock (_freeLock)
            {
                return (int)_freeCount;
            }
        }
    }

    internal SlabClasses Classes { get; }

    internal HandleSpace Space { get; }

    /// <summary>Bytes of items that pins hold now.</summary>
    internal long PinnedBytes => Volatile.Read(ref _pinnedBytes);

    internal PageInfo* Info(uint page)
    {
        Debug.Assert(page != 0 && page <= (uint)PageCountMax);
        return _pages + page;
    }

    /// <summary>Memory that was counted with <see cref="TryCharge"/> has been given back.</summary>
    internal void Uncharge(long bytes)
    {
        lock (_freeLock)
        {
            _chargedBytes -= bytes;
            Volatile.Write(ref _pageLimit, Math.Min(PageCountMax, PagesFor(_memoryBytes - _chargedBytes)));
        }
    }

    /// <summary>Which class holds a page drawn at random; false if none does. Without a lock: what it says may be out of date.</summary>
    internal bool TryDescribeRandomPage(uint random, out int classIndex)
    {
        uint drawn = Volatile.Read(ref _freshNext);
        uint page = drawn <= 1 ? 0 : 1 + (uint)((ulong)random * (drawn - 1) >> 32);
        classIndex = Volatile.Read(ref _classOfPage[page]);
        return Volatile.Read(ref _pages[page].ShardPlusOne) != 0 && classIndex < Classes.Count;
    }

    /// <summary>A page of a class and shard, drawn at random; 0 if a few draws did not find one.</summary>
    internal uint DrawPage(int shard, int classIndex)
    {
        uint drawn = Volatile.Read(ref _freshNext);
        for (int i = 0; i < 16 && drawn > 1; i++)
        {
            uint page = 1 + (uint)((ulong)Economy.NextRandom() * (drawn - 1) >> 32);
            if (_pages[page].ShardPlusOne == shard + 1 && _classOfPage[page] == classIndex)
                return page;
        }

        return 0;
    }

    /// <summary>Counts memory outside of pages against -m; false, and nothing is counted, if that would leave less than half of it for pages.</summary>
    internal bool TryCharge(long bytes)
    {
        lock (_freeLock)
        {
            if ((_chargedBytes + bytes) * 2 > _memoryBytes)
                return false;
            _chargedBytes += bytes;
            Volatile.Write(ref _pageLimit, PagesFor(_memoryBytes - _chargedBytes));
            return true;
        }
    }

    /// <summary>Notes what a page is cut into. What a file says of it comes last: from then on its chunks are looked at when the file is read again.</summary>
    internal void SetClass(uint page, int classIndex, int shard)
    {
        _classOfPage[page] = (byte)classIndex;
        if (File is not null && classIndex < Classes.Count)
            Volatile.Write(ref File.PageTable[page], (uint)(classIndex + 1) | ((uint)shard << 16));
    }

    /// <summary>The page belongs to no class any more.</summary>
    internal void ClearClass(uint page)
    {
        _classOfPage[page] = 0;
        if (File is not null)
            Volatile.Write(ref File.PageTable[page], 0);
    }

    /// <summary>Hands out the pages of a memory file that hold something, before any other page is taken.</summary>
    internal void TakeRestored(List<uint>[] pagesOfShards)
    {
        var held = pagesOfShards.SelectMany(static pages => pages).ToHashSet();
        lock (_freeLock)
        {
            // The index's pages may have been taken already, from the front: they hold nothing of the file, because a page is cleared when it is taken.
            uint last = held.Count == 0 ? 0 : held.Max();
            for (; _freshNext <= last; _freshNext++)
            {
                if (held.Contains(_freshNext))
                    continue;
                _pages[_freshNext].Next = _freeHead;
                _freeHead = _freshNext;
                _freeCount++;
            }
        }
    }

    internal bool TryTake(out uint page)
    {
        lock (_freeLock)
        {
            if (HeldPages >= _pageLimit)
            {
                page = 0;
                return false;
            }

            if (_freeHead != 0)
            {
                page = _freeHead;
                _freeHead = _pages[page].Next;
                _freeCount--;
                return true;
            }

            if (_retiredHead != 0)
            {
                page = _retiredHead;
                _retiredHead = _pages[page].Next;
                _retiredCount--;
                return true;
            }

            if (_freshNext <= (uint)PageCountMax)
            {
                page = _freshNext++;
                return true;
            }
        }

        page = 0;
        return false;
    }

    internal void Give(uint page)
    {
        PageInfo* info = Info(page);
        lock (_freeLock)
        {
            *info = default;
            ClearClass(page);
            if (HeldPages > _pageLimit)
            {
                Retire(page);
                return;
            }

            info->Next = _freeHead;
            _freeHead = page;
            _freeCount++;
        }
    }

    /// <summary>False if pins would hold more than a quarter of the arena.</summary>
    internal bool TryAddPinned(long bytes)
    {
        if (Interlocked.Add(ref _pinnedBytes, bytes) <= (long)PageCount * PageBytes / 4)
            return true;
        Interlocked.Add(ref _pinnedBytes, -bytes);
        return false;
    }

    internal void AddPinned(long bytes) => Interlocked.Add(ref _pinnedBytes, bytes);

    internal void RemovePinned(long bytes) => Interlocked.Add(ref _pinnedBytes, -bytes);

    /// <summary>Frees the reservation. Nothing that points into it may be used any more.</summary>
    public void Dispose()
    {
        if (_isDisposed)
            return;
        _isDisposed = true;
        if (File is not null)
            File.Dispose();
        else
            Release();
        foreach (StoreShard shard in _shards)
            shard.Dispose();
        NativeMemory.Free(_pages);
        NativeMemory.Free(_classOfPage);
        _reservation = null;
    }

    private int PagesFor(long memoryBytes) => checked((int)(Math.Max(memoryBytes, MemoryBytesMin(Options)) / (PageBytes + sizeof(PageInfo) + 1)));

    private static long MemoryBytesMin(StoreOptions options) => Math.Max((long)options.PartitionCount * BytesPerPartitionMin, 64 << PageShiftMin);

    private static int ShardsFor(StoreOptions options)
    {
        long most = Math.Min(Math.Min(options.MemoryBytes / BytesPerShardMin, (long)Environment.ProcessorCount * ShardsPerCoreMax), options.PartitionCount);
        return 1 << BitOperations.Log2((uint)Math.Clamp(most, 1, 1 << 16));
    }

    /// <summary>Under the lock: the page's memory goes back to the system, its number waits for a larger -m.</summary>
    private void Retire(uint page)
    {
        if (OperatingSystem.IsLinux() && File is null)
            _ = Advise(Space.PageStart(page), (nuint)PageBytes, AdviceDontNeed);
        _pages[page].Next = _retiredHead;
        _retiredHead = page;
        _retiredCount++;
    }

    /// <summary>Null if the system refuses.</summary>
    private byte* TryReserve(nuint bytes)
    {
        _reservationBytes = bytes + HugePageBytes;
        if (OperatingSystem.IsLinux())
        {
            _reservation = Map(null, _reservationBytes, ProtReadWrite, MapPrivateAnonymousNoReserve, -1, 0);
            if ((nint)_reservation == -1)
            {
                _reservation = null;
                return null;
            }
        }
        else
        {
            _reservation = NativeMemory.Alloc(_reservationBytes);
        }

        byte* start = (byte*)(((nuint)_reservation + HugePageBytes - 1) & ~(HugePageBytes - 1));
        if (OperatingSystem.IsLinux())
            _ = Advise(start, bytes, AdviceHugePages); // a wish: without it only the address translation is slower
        return start;
    }

    private void Release()
    {
        if (OperatingSystem.IsLinux())
            _ = Unmap(_reservation, _reservationBytes);
        else
            NativeMemory.Free(_reservation);
    }

    private const int ProtReadWrite = 0x1 | 0x2;
    private const int MapPrivateAnonymousNoReserve = 0x02 | 0x20 | 0x4000;
    private const int AdviceDontNeed = 4;
    private const int AdviceHugePages = 14;

    [LibraryImport("libc", EntryPoint = "mmap")]
    private static partial void* Map(void* address, nuint length, int protection, int flags, int fileDescriptor, nint offset);

    [LibraryImport("libc", EntryPoint = "munmap")]
    private static partial int Unmap(void* address, nuint length);

    [LibraryImport("libc", EntryPoint = "madvise")]
    private static partial int Advise(void* address, nuint length, int advice);
}

/// <summary>What is known about a page. Guarded by the lock of the shard that holds it, and by the arena's while it is free.</summary>
internal struct PageInfo
{
    /// <summary>Links of the list that holds the page: its class's, or (only Next) the free pages'.</summary>
    public uint Next;
    public uint Prev;

    /// <summary>1 + the shard that holds it; 0 if none.</summary>
    public int ShardPlusOne;

    /// <summary>Chunks that are not free.</summary>
    public ushort LiveChunks;
}
