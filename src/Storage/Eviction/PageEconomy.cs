using System.Runtime.CompilerServices;

namespace OrleansCache.Storage;

/// <summary>
/// Decides which slab class should have a page more and which one a page less: hill climbing by marginal benefit, after Cliffhanger (Cidon, Eisenman, Alizadeh,
/// Katti: NSDI 2016).
/// Algorithm: a class whose evicted item is stored again while it would still be here with 3% more memory would have had a hit for a little
/// more memory: it is credited <see cref="CreditBytes"/>, and the class of a page drawn at random pays them. A class that evicts with a whole page to its
/// credit takes one from the class with the least credit. In balance every class gains equally much from its last page; because hits are counted by items and
/// not by bytes, small items that are asked for as often as large ones get more of the memory.
/// A class that is hardly used any more (sizes have shifted) cannot pay fast enough: each time an eighth of the memory has been stored, classes with less than
/// a twentieth of the mean use of a page are marked as idle, and a class that must evict takes their pages first.
/// Where next to nothing comes back the credits say nothing; then pages follow the age of what is evicted (<see cref="IsBlind"/>).
/// Goals: a few numbers a class; no work but on those hits; pages move in well below 1% of stores.
/// Non-goal: to find memory in an emergency; a class without a page takes one whatever its credit.
/// Thread safety: numbers are added up without locks; the pages themselves are moved under the shards' locks.
/// </summary>
internal sealed unsafe class PageEconomy
{
    public const int CreditBytes = 2048;

    /// <summary>Nobody owes or is owed more than so many pages, so that a past of any length is forgotten when the traffic changes.</summary>
    private const int CreditPagesMax = 16;

    private const int DrawsMax = 4;
    private const int None = -1;
    private const int ReviewsPerMemory = 8;
    private const double IdleShare = 0.05;
    private const double UnusedMax = 1;

    /// <summary>Fewer than one in so many stores brings an item back: no signal.</summary>
    private const int BlindShare = 500;

    /// <summary>Idle classes that one review lists; the next one finds the others.</summary>
    private const int IdleMax = 256;

    private readonly PageArena _arena;
    private readonly int _classCount;
    private readonly long[] _credits;
    private readonly Lock _reviewLock = new();
    private readonly long[] _usesSeen;
    private readonly double[] _recentUses;
    private readonly int[] _pagesSeen;
    private readonly int[][] _idleBuffers;
    private int[] _idle;
    private double _idleUsesPerPage;
    private long _storedBytes;
    private long _storedItems;
    private long _returns;
    private bool _isBlind = true;
    private ulong _random;

    public PageEconomy(PageArena arena, int shardCount)
    {
        _arena = arena;
        _classCount = arena.Classes.Count;
        _credits = new long[_classCount];
        _usesSeen = new long[shardCount * _classCount];
        _recentUses = new double[shardCount * _classCount];
        _pagesSeen = new int[shardCount * _classCount];
        _random = arena.Options.Seed | 1;
        _idleBuffers = [new int[(shardCount * _classCount) + 1], new int[(shardCount * _classCount) + 1]];
        foreach (int[] buffer in _idleBuffers)
            buffer[0] = None;
        _idle = _idleBuffers[0];
    }

    /// <summary>slabs automove: whether pages move for the sake of more hits.</summary>
    public bool IsEnabled { get; set; } = true;

    /// <summary>Whether classes are marked as idle. A hint.</summary>
    public bool HasIdle
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Volatile.Read(ref _idle)[0] != None && IsEnabled;
    }

    /// <summary>
    /// Hardly anything that was evicted is asked for again (a filling, a stream of writes): then credits are noise, and the age of what is evicted tells better
    /// who has too little.
    /// </summary>
    public bool IsBlind
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Volatile.Read(ref _isBlind) && IsEnabled;
    }

    /// <summary>An item has come back that would still be here if its class had a little more memory.</summary>
    public void Credit(int classIndex, long bytes = CreditBytes)
    {
        Interlocked.Increment(ref _returns);
        if (!IsEnabled || !TryDrawPayer(out int payer))
            return;
        Add(classIndex, bytes);
        Add(payer, -bytes);
    }

    /// <summary>Whether a class that evicts may take a page from another one first.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool MayTake(int classIndex) => Volatile.Read(ref _credits[classIndex]) >= _arena.PageBytes && IsEnabled;

    /// <summary>What the class has to its credit, in bytes.</summary>
    public long CreditOf(int classIndex) => Volatile.Read(ref _credits[classIndex]);

    /// <summary>A page has gone from one class to another.</summary>
    public void Settle(int fromClass, int toClass)
    {
        Add(toClass, -_arena.PageBytes);
        Add(fromClass, _arena.PageBytes);
    }

    /// <summary>So many bytes have been stored. Reviews the use of all classes when it is time.</summary>
    public void AddStored(long bytes, long items)
    {
        Interlocked.Add(ref _storedItems, items);
        if (Interlocked.Add(ref _storedBytes, bytes) < _arena.MemoryBytes / ReviewsPerMemory || !_reviewLock.TryEnter())
            return;
        try
        {
            Interlocked.Exchange(ref _storedBytes, 0);
            Volatile.Write(ref _isBlind, Interlocked.Exchange(ref _returns, 0) * BlindShare < Interlocked.Exchange(ref _storedItems, 0));
            Review();
        }
        finally
        {
            _reviewLock.Exit();
        }
    }

    /// <summary>An idle class that still has a page to give and is not the one that asks; false if there is none.</summary>
    public bool TryFindIdle(int exceptShard, int exceptClass, out int shard, out int classIndex)
    {
        int[] idle = Volatile.Read(ref _idle);
        bool isBlind = Volatile.Read(ref _isBlind); // then large items would look idle beside small ones, so only what is not used at all is
        foreach (int unit in idle)
        {
            if (unit == None)
                break;
            (shard, classIndex) = (unit / _classCount, unit % _classCount);
            if (shard == exceptShard && classIndex == exceptClass)
                break; // what follows is no worse
            int pages = Volatile.Read(ref _arena.Shards[shard].Classes[classIndex].PageCount);
            if (pages > 1 && _recentUses[unit] < (isBlind ? UnusedMax : _idleUsesPerPage * pages))
                return true;
        }

        (shard, classIndex) = (-1, -1);
        return false;
    }

    private void Review()
    {
        double uses = 0;
        long pages = 0;
        foreach (StoreShard shard in _arena.Shards)
        {
            for (int c = 0; c < _classCount; c++)
            {
                int unit = (shard.Number * _classCount) + c;
                ref SlabClass slab = ref shard.Classes[c];
                long now = Volatile.Read(ref slab.Uses);
                _recentUses[unit] = (_recentUses[unit] / 2) + (now - _usesSeen[unit]);
                _usesSeen[unit] = now;
                int held = Volatile.Read(ref slab.PageCount);
                _pagesSeen[unit] = held > 1 && _pagesSeen[unit] == 0 ? -held : held; // the first time it may just have begun
                uses += _recentUses[unit];
                pages += held;
            }
        }

        _idleUsesPerPage = pages == 0 ? 0 : uses / pages * IdleShare;

        // Readers may still look at the former list; the one before it is free.
        int[] idle = ReferenceEquals(_idle, _idleBuffers[0]) ? _idleBuffers[1] : _idleBuffers[0];
        int count = 0;
        for (int unit = 0; unit < _pagesSeen.Length; unit++)
        {
            if (_pagesSeen[unit] <= 1 || _recentUses[unit] >= _idleUsesPerPage * _pagesSeen[unit])
                continue;
            if (count == IdleMax)
                break;
            int place = count++;
            for (; place > 0 && UsesPerPage(unit) < UsesPerPage(idle[place - 1]); place--)
                idle[place] = idle[place - 1];
            idle[place] = unit;
        }

        idle[count] = None;
        Volatile.Write(ref _idle, idle);
    }

    private double UsesPerPage(int unit) => _recentUses[unit] / _pagesSeen[unit];

    private void Add(int classIndex, long bytes)
    {
        ref long credit = ref _credits[classIndex];
        long most = (long)CreditPagesMax * _arena.PageBytes;
        if (Math.Abs(Volatile.Read(ref credit) + bytes) <= most)
            Interlocked.Add(ref credit, bytes);
    }

    private bool TryDrawPayer(out int payer)
    {
        for (int i = 0; i < DrawsMax; i++)
        {
            if (_arena.TryDescribeRandomPage(NextRandom(), out payer))
                return true;
        }

        payer = 0;
        return false;
    }

    /// <summary>A step of xorshift64. Threads may take the same number; that does no harm.</summary>
    public uint NextRandom()
    {
        ulong random = Volatile.Read(ref _random);
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        Volatile.Write(ref _random, random);
        return (uint)(random >> 32);
    }
}
