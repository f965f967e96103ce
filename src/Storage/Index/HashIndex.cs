using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace OrleansCache.Storage;

/// <summary>
/// The hash index of one partition, in blocks of arena memory. A bucket is one cache line:
/// <code>
///  0            12         16                    64
///  +------------+----------+---------------------+
///  | 12 tags    | overflow | 12 handles          |
///  +------------+----------+---------------------+
/// </code>
/// Tag: 8 other bits of the hash, 0 = slot free. What does not fit lies in overflow buckets of the same form, linked behind the first.
/// Growth is linear hashing: one bucket at a time is split, so no operation ever waits for a whole table to be rebuilt and the index is never twice too large.
/// Goals: a hit costs one bucket and the item, a miss usually the bucket alone; about 9 bytes per item. Both lie in memory that no cache holds once
/// there are many items, so a caller that knows several keys in advance lets <see cref="PrefetchBucket"/> and <see cref="PrefetchItems"/> overlap the waiting.
/// Non-goals: shrinking (only <see cref="TakeBlock"/> gives blocks back); thread safety.
/// </summary>
internal unsafe struct HashIndex(PageArena arena)
{
    public const int BucketBytes = 64;
    public const int SlotsPerBucket = 12;

    /// <summary>Bytes of a block: buckets or overflow buckets come so many at a time.</summary>
    public const int BlockBytes = 1024;

    /// <summary>Overflow buckets that one insertion or split may need at most.</summary>
    public const int OverflowBucketsMax = 2;

    /// <summary>Items per bucket on average beyond which a bucket is split.</summary>
    private const int LoadMax = 9;
    private const int BucketShift = 4;
    private const uint BucketMask = (1 << BucketShift) - 1;
    private const int OverflowOffset = 12;
    private const int HandlesOffset = 16;
    private const uint SlotMask = (1 << SlotsPerBucket) - 1;

    private readonly PageArena _arena = arena;
    private readonly HandleSpace _space = arena.Space;

    // Managed, so that Prefetch may read it without the lock: an array that has been replaced stays readable.
    private byte*[] _directory = [];
    private byte*[] _overflowBlocks = [];
    private int _blockCount;
    private int _overflowBlockCount;
    private byte* _freeBucket;
    private int _freeBucketCount;
    private uint _bucketCount;
    private uint _mask;

    public long ItemCount { get; private set; }

    public readonly uint BucketCount => _bucketCount;

    public readonly int BlockCount => _blockCount + _overflowBlockCount;

    /// <summary>Whether it wants to split a bucket.</summary>
    public readonly bool WantsToGrow => ItemCount >= _bucketCount * (long)LoadMax;

    /// <summary>Whether the next <see cref="Split"/> needs a block of buckets.</summary>
    public readonly bool NeedsBlock => (_bucketCount & BucketMask) == 0;

    /// <summary>Whether an insertion or a split may need a block of overflow buckets.</summary>
    public readonly bool NeedsOverflowBlock => _freeBucketCount < OverflowBucketsMax;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly uint Find(ulong hash, ReadOnlySpan<byte> key)
    {
        if (_bucketCount == 0)
            return 0;
        byte* bucket = BucketOf(hash);
        uint matches = MatchesOf(bucket, TagOf(hash));
        while (matches != 0)
        {
            uint handle = Handles(bucket)[BitOperations.TrailingZeroCount(matches)];
            ItemHeader* item = _space.At(handle);
            Prefetch((byte*)item + 64);
            Prefetch((byte*)item + 128);
            if (ItemHeader.KeyEquals(item, key))
                return handle;
            matches &= matches - 1;
        }

        return Overflow(bucket) == 0 ? 0 : FindInOverflow(bucket, hash, key);
    }

    /// <summary>
    /// Asks for the bucket that <see cref="Find"/> will look at. Without the lock: what it reads may be out of date, which makes the wish useless and nothing
    /// else.
    /// </summary>
    public readonly void PrefetchBucket(ulong hash)
    {
        byte* bucket = BucketOfUnlocked(hash);
        if (bucket is not null)
            Prefetch(bucket);
    }

    /// <summary>
    /// Asks for the items that <see cref="Find"/> will compare. Call when <see cref="PrefetchBucket"/> has had time. Without the lock: buckets stay mapped for
    /// as long as the arena lives, and a handle that is out of date leads to a prefetch, which never faults.
    /// </summary>
    public readonly void PrefetchItems(ulong hash)
    {
        byte* bucket = BucketOfUnlocked(hash);
        if (bucket is null)
            return;
        for (uint matches = MatchesOf(bucket, TagOf(hash)); matches != 0; matches &= matches - 1)
        {
            byte* item = (byte*)_space.At(Handles(bucket)[BitOperations.TrailingZeroCount(matches)]);
            Prefetch(item);
            Prefetch(item + 64);
            Prefetch(item + 128);
        }
    }

    /// <summary>Whether the index holds this very item.</summary>
    public readonly bool Contains(ulong hash, uint handle)
    {
        if (_bucketCount == 0)
            return false;
        for (byte* bucket = BucketOf(hash); bucket is not null; bucket = NextBucket(bucket))
        {
            if (SlotOf(bucket, hash, handle) >= 0)
                return true;
        }

        return false;
    }

    /// <summary>Adds an item that is not in the index. There must be a bucket, and no need of an overflow block.</summary>
    public void Insert(ulong hash, uint handle)
    {
        InsertInto(BucketOf(hash), TagOf(hash), handle);
        ItemCount++;
    }

    /// <summary>Takes an item out; false if it was not in.</summary>
    public bool Remove(ulong hash, uint handle)
    {
        if (_bucketCount == 0)
            return false;
        byte* first = BucketOf(hash);
        for (byte* bucket = first; bucket is not null; bucket = NextBucket(bucket))
        {
            int slot = SlotOf(bucket, hash, handle);
            if (slot < 0)
                continue;
            bucket[slot] = 0;
            Handles(bucket)[slot] = 0;
            ItemCount--;
            if (Overflow(first) != 0)
                FillHole(first, bucket, slot);
            return true;
        }

        return false;
    }

    /// <summary>Puts another handle in an item's place (same key, same hash); false if it was not in.</summary>
    public readonly bool Replace(ulong hash, uint oldHandle, uint newHandle)
    {
        if (_bucketCount == 0)
            return false;
        for (byte* bucket = BucketOf(hash); bucket is not null; bucket = NextBucket(bucket))
        {
            int slot = SlotOf(bucket, hash, oldHandle);
            if (slot < 0)
                continue;
            Handles(bucket)[slot] = newHandle;
            return true;
        }

        return false;
    }

    /// <summary>Adds a zeroed block of buckets; the first one is used at once, later ones bucket by bucket.</summary>
    public void AddBlock(byte* block)
    {
        Append(ref _directory, ref _blockCount, block);
        if (_bucketCount == 0)
        {
            _bucketCount = BucketMask + 1;
            _mask = BucketMask;
        }
        else
        {
            Split();
        }
    }

    /// <summary>Adds a block of overflow buckets.</summary>
    public void AddOverflowBlock(byte* block)
    {
        Append(ref _overflowBlocks, ref _overflowBlockCount, block);
        for (int i = (int)BucketMask; i >= 0; i--)
            FreeBucket(block + (i * BucketBytes));
    }

    /// <summary>Splits one bucket. Not when <see cref="NeedsBlock"/> (then <see cref="AddBlock"/> does it) or <see cref="NeedsOverflowBlock"/>.</summary>
    public void Split()
    {
        if (_bucketCount == _mask + 1)
            _mask = (_mask << 1) | 1;
        uint target = _bucketCount++;
        byte* from = BucketAt(target - ((_mask + 1) >> 1));
        byte* to = BucketAt(target);
        for (byte* bucket = from; bucket is not null; bucket = NextBucket(bucket))
        {
            for (uint taken = TakenIn(bucket); taken != 0; taken &= taken - 1)
                Prefetch((byte*)_space.At(Handles(bucket)[BitOperations.TrailingZeroCount(taken)]) + ItemHeader.Bytes);
        }

        for (uint taken = TakenIn(from); taken != 0; taken &= taken - 1)
        {
            int slot = BitOperations.TrailingZeroCount(taken);
            uint handle = Handles(from)[slot];
            if (BucketNumberOf(_arena.HashOf(_space.At(handle))) != target)
                continue;
            InsertInto(to, from[slot], handle);
            from[slot] = 0;
            Handles(from)[slot] = 0;
        }

        uint rest = Overflow(from);
        Overflow(from) = 0;
        byte* copy = stackalloc byte[BucketBytes];
        while (rest != 0)
        {
            // The overflow bucket is free for others before its items need buckets: so a split takes no more than it gives but for one.
            byte* bucket = (byte*)_space.At(rest);
            Buffer.MemoryCopy(bucket, copy, BucketBytes, BucketBytes);
            FreeBucket(bucket);
            rest = Overflow(copy);
            for (uint taken = TakenIn(copy); taken != 0; taken &= taken - 1)
            {
                int slot = BitOperations.TrailingZeroCount(taken);
                uint handle = Handles(copy)[slot];
                InsertInto(BucketNumberOf(_arena.HashOf(_space.At(handle))) == target ? to : from, copy[slot], handle);
            }
        }
    }

    /// <summary>Takes a block away from an index that is used no more; null when none is left.</summary>
    public byte* TakeBlock()
    {
        _bucketCount = 0;
        _mask = 0;
        _freeBucket = null;
        _freeBucketCount = 0;
        ItemCount = 0;
        if (_blockCount > 0)
            return _directory[--_blockCount];
        return _overflowBlockCount > 0 ? _overflowBlocks[--_overflowBlockCount] : null;
    }

    /// <summary>Copies the handles of one bucket out, as many as fit, those of its overflow buckets among them; returns how many there are.</summary>
    public readonly int ReadBucket(uint bucketNumber, Span<uint> handles)
    {
        int count = 0;
        for (byte* bucket = BucketAt(bucketNumber); bucket is not null; bucket = NextBucket(bucket))
        {
            for (uint taken = TakenIn(bucket); taken != 0 && count < handles.Length; taken &= taken - 1)
                handles[count++] = Handles(bucket)[BitOperations.TrailingZeroCount(taken)];
        }

        return count;
    }

    /// <summary>Adds all handles of one bucket to a list.</summary>
    public readonly void ReadBucket(uint bucketNumber, List<uint> handles)
    {
        for (byte* bucket = BucketAt(bucketNumber); bucket is not null; bucket = NextBucket(bucket))
        {
            for (uint taken = TakenIn(bucket); taken != 0; taken &= taken - 1)
                handles.Add(Handles(bucket)[BitOperations.TrailingZeroCount(taken)]);
        }
    }

    /// <summary>
    /// The bucket that holds the items of one place in the scan order, and the part of that order that is its own. The order is the bucket half of the hash
    /// with its bits reversed: then a bucket, however many of the low bits number it, is one interval, and splitting it halves the interval. So a place keeps
    /// its meaning when the index grows, and in another index of the same items.
    /// </summary>
    public readonly uint FindScanInterval(uint order, out uint start, out ulong end)
    {
        uint bucketNumber = BucketNumberOf((ulong)Reverse(order) << 32);
        uint half = (_mask >> 1) + 1;
        int bits = BitOperations.PopCount(_mask);
        if (bucketNumber < half && bucketNumber + half >= _bucketCount)
            bits--;
        ulong length = 1UL << (32 - bits);
        start = order & ~(uint)(length - 1);
        end = start + length;
        return bucketNumber;
    }

    /// <summary>A hash's place in the scan order.</summary>
    public static uint ScanOrderOf(ulong hash) => Reverse((uint)(hash >> 32));

    /// <summary>Copies a bucket's tags out, 0 where a slot is free.</summary>
    public readonly void ReadTags(uint bucketNumber, Span<byte> tags) => new ReadOnlySpan<byte>(BucketAt(bucketNumber), SlotsPerBucket).CopyTo(tags);

    /// <summary>The bucket of a hash, and the tag that it has there.</summary>
    public readonly uint FindTag(ulong hash, out byte tag)
    {
        tag = TagOf(hash);
        return BucketNumberOf(hash);
    }

    /// <summary>An index that has no buckets but knows where each hash would lie.</summary>
    public readonly HashIndex WithoutPages()
    {
        HashIndex copy = this;
        copy._directory = [];
        copy._overflowBlocks = [];
        return copy;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private readonly uint FindInOverflow(byte* first, ulong hash, ReadOnlySpan<byte> key)
    {
        for (byte* bucket = NextBucket(first); bucket is not null; bucket = NextBucket(bucket))
        {
            for (uint matches = MatchesOf(bucket, TagOf(hash)); matches != 0; matches &= matches - 1)
            {
                uint handle = Handles(bucket)[BitOperations.TrailingZeroCount(matches)];
                if (ItemHeader.KeyEquals(_space.At(handle), key))
                    return handle;
            }
        }

        return 0;
    }

    private void InsertInto(byte* bucket, byte tag, uint handle)
    {
        while (true)
        {
            uint free = ~TakenIn(bucket) & SlotMask;
            if (free != 0)
            {
                int slot = BitOperations.TrailingZeroCount(free);
                bucket[slot] = tag;
                Handles(bucket)[slot] = handle;
                return;
            }

            byte* next = NextBucket(bucket);
            if (next is null)
            {
                next = TakeBucket();
                Overflow(bucket) = _space.HandleOf(next);
            }

            bucket = next;
        }
    }

    /// <summary>Moves an item of the last overflow bucket into a hole, so that only the last one is in part empty; frees that one when it is empty.</summary>
    private void FillHole(byte* first, byte* holed, int slot)
    {
        byte* before = first;
        byte* last = NextBucket(first);
        for (byte* next = NextBucket(last); next is not null; next = NextBucket(last))
        {
            before = last;
            last = next;
        }

        uint taken = TakenIn(last);
        if (holed != last)
        {
            int source = BitOperations.TrailingZeroCount(taken);
            holed[slot] = last[source];
            Handles(holed)[slot] = Handles(last)[source];
            last[source] = 0;
            Handles(last)[source] = 0;
            taken &= taken - 1;
        }

        if (taken != 0)
            return;
        Overflow(before) = 0;
        FreeBucket(last);
    }

    private void FreeBucket(byte* bucket)
    {
        new Span<byte>(bucket, BucketBytes).Clear();
        *(byte**)(bucket + HandlesOffset) = _freeBucket;
        _freeBucket = bucket;
        _freeBucketCount++;
    }

    private byte* TakeBucket()
    {
        byte* bucket = _freeBucket;
        if (bucket is null)
            Throw.ArenaCorrupt("an index has run out of overflow buckets");
        _freeBucket = *(byte**)(bucket + HandlesOffset);
        *(byte**)(bucket + HandlesOffset) = null;
        _freeBucketCount--;
        return bucket;
    }

    private static void Append(ref byte*[] blocks, ref int count, byte* block)
    {
        if (count == blocks.Length)
        {
            byte*[] larger = new byte*[Math.Max(2, count * 2)];
            Array.Copy(blocks, larger, count);
            blocks = larger;
        }

        blocks[count++] = block;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int SlotOf(byte* bucket, ulong hash, uint handle)
    {
        for (uint matches = MatchesOf(bucket, TagOf(hash)); matches != 0; matches &= matches - 1)
        {
            int slot = BitOperations.TrailingZeroCount(matches);
            if (Handles(bucket)[slot] == handle)
                return slot;
        }

        return -1;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint MatchesOf(byte* bucket, byte tag) =>
        Vector128.Equals(Vector128.Load(bucket), Vector128.Create(tag)).ExtractMostSignificantBits() & SlotMask;

    private static uint TakenIn(byte* bucket) => ~MatchesOf(bucket, 0) & SlotMask;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly byte* NextBucket(byte* bucket) => Overflow(bucket) == 0 ? null : (byte*)_space.At(Overflow(bucket));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly byte* BucketOf(ulong hash) => BucketAt(BucketNumberOf(hash));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly byte* BucketAt(uint bucketNumber) => _directory[bucketNumber >> BucketShift] + ((bucketNumber & BucketMask) * BucketBytes);

    /// <summary>As <see cref="BucketOf"/>, but bucket count and directory may belong to different moments; null if there is no such bucket.</summary>
    private readonly byte* BucketOfUnlocked(ulong hash)
    {
        byte*[] directory = _directory;
        uint bucketNumber = BucketNumberOf(hash);
        uint page = bucketNumber >> BucketShift;
        if (page >= (uint)directory.Length || directory[page] is null)
            return null;
        return directory[page] + ((bucketNumber & BucketMask) * BucketBytes);
    }

    /// <summary>Buckets take the hash's high half; its low bits have chosen the partition.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly uint BucketNumberOf(ulong hash)
    {
        uint bucketNumber = (uint)(hash >> 32) & _mask;
        return bucketNumber < _bucketCount ? bucketNumber : bucketNumber & (_mask >> 1);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static byte TagOf(ulong hash)
    {
        byte tag = (byte)(hash >> 24);
        return tag == 0 ? (byte)1 : tag;
    }

    /// <summary>The bits in the opposite order.</summary>
    private static uint Reverse(uint value)
    {
        value = ((value >> 1) & 0x5555_5555) | ((value & 0x5555_5555) << 1);
        value = ((value >> 2) & 0x3333_3333) | ((value & 0x3333_3333) << 2);
        value = ((value >> 4) & 0x0F0F_0F0F) | ((value & 0x0F0F_0F0F) << 4);
        return BinaryPrimitives.ReverseEndianness(value);
    }

    private static ref uint Overflow(byte* bucket) => ref *(uint*)(bucket + OverflowOffset);

    private static uint* Handles(byte* bucket) => (uint*)(bucket + HandlesOffset);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Prefetch(byte* address)
    {
        if (Sse.IsSupported)
            Sse.Prefetch0(address);
    }
}
