using System.Runtime.CompilerServices;

namespace OrleansCache.Storage;

/// <summary>
/// Decides which slab class, of which shard, should have a page more and which one a page less: hill climbing by marginal benefit, after Cliffhanger (Cidon, Eisenman,
/// Alizadeh, Katti: NSDI 2016).
/// Algorithm: a class whose evicted item is stored again while it would still be here with <see cref="WindowBytes"/> more memory would have had a hit for a little
/// more memory: it is credited <see cref="CreditBytes"/>, and the class of a page drawn at random pays them. A class that evicts with a whole page to its credit
/// takes one from the class with the least credit. In balance every class gains equally much from its last page; because hits are counted by items and not by
/// bytes, small items that are asked for as often as large ones get more of the memory.
/// Goals: a few numbers a class; no work but on those hits; pages move in well below 1% of stores.
/// Non-goal: to find memory in an emergency; a class without a page takes one whatever its credit.
/// Thread safety: credits are added up without locks; the pages themselves are moved under the shards' locks.
/// </summary>
internal sealed unsafe class PageEconomy
{
    public const int CreditBytes = 2048;
    public const int WindowBytes = 4 * 1024 * 1024;

    /// <summary>Nobody owes or is owed more than so many pages, so that a past of any length is forgotten when the traffic changes.</summary>
    private const int CreditPagesMax = 16;

    private const int DrawsMax = 4;

    private readonly PageArena _arena;
    private readonly int _classCount;
    private readonly long[] _credits;
    private ulong _random;

    public PageEconomy(PageArena arena, int shardCount)
    {
        _arena = arena;
        _classCount = arena.Classes.Count;
        _credits = new long[shardCount * _classCount];
        _random = arena.Options.Seed | 1;
    }

    /// <summary>slabs automove: whether pages move for the sake of more hits.</summary>
    public bool IsEnabled { get; set; } = true;

    /// <summary>An item has come back that would still be here if its class had a little more memory.</summary>
    public void Credit(int shard, int classIndex)
    {
        if (!IsEnabled || !TryDrawPayer(out int payer))
            return;
        Add(UnitOf(shard, classIndex), CreditBytes);
        Add(payer, -CreditBytes);
    }

    /// <summary>Whether a class that evicts may take a page from another one first.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool MayTake(int shard, int classIndex) => Volatile.Read(ref _credits[UnitOf(shard, classIndex)]) >= _arena.PageBytes && IsEnabled;

    /// <summary>What the class has to its credit, in bytes.</summary>
    public long CreditOf(int shard, int classIndex) => Volatile.Read(ref _credits[UnitOf(shard, classIndex)]);

    /// <summary>A page has gone from one class to another.</summary>
    public void Settle(int fromShard, int fromClass, int toShard, int toClass)
    {
        Add(UnitOf(toShard, toClass), -_arena.PageBytes);
        Add(UnitOf(fromShard, fromClass), _arena.PageBytes);
    }

    private int UnitOf(int shard, int classIndex) => (shard * _classCount) + classIndex;

    private void Add(int unit, long bytes)
    {
        ref long credit = ref _credits[unit];
        long most = (long)CreditPagesMax * _arena.PageBytes;
        if (Math.Abs(Volatile.Read(ref credit) + bytes) <= most)
            Interlocked.Add(ref credit, bytes);
    }

    private bool TryDrawPayer(out int payer)
    {
        for (int i = 0; i < DrawsMax; i++)
        {
            if (_arena.TryDescribeRandomPage(NextRandom(), out int shard, out int classIndex))
            {
                payer = UnitOf(shard, classIndex);
                return true;
            }
        }

        payer = 0;
        return false;
    }

    /// <summary>A step of xorshift64. Threads may take the same number; that does no harm.</summary>
    private uint NextRandom()
    {
        ulong random = Volatile.Read(ref _random);
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        Volatile.Write(ref _random, random);
        return (uint)(random >> 32);
    }
}
