using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace OrleansCache.Storage;

/// <summary>
/// The hash index of one partition, in pages of the arena. A bucket is one cache line:
/// <code>
///  0            12         16                    64
///  +------------+----------+---------------------+
///  | 12 tags    | overflow | 12 handles          |
///  +------------+----------+---------------------+
/// </code>
/// Tag: 8 other bits of the hash, 0 = slot free. What does not fit is a list through the items (HashNext) that begins at overflow.
/// Growth is linear hashing: one bucket at a time is split, so no operation ever waits for a whole table to be rebuilt and the index is never twice too large.
/// Goals: a hit costs one line of the index and the item, a miss usually the line alone; about 8 bytes per item. Both lie in memory that no cache holds once
/// there are many items, so whoever knows several keys in advance lets <see cref="PrefetchLine"/> and <see cref="PrefetchItems"/> overlap the waiting.
/// Non-goals: shrinking (only <see cref="Clear"/> gives pages back); thread safety.
/// </summary>
internal unsafe struct HashIndex(HandleSpace space, KeyHasher hasher)
{
    public const int LineBytes = 64;
    public const int SlotsPerLine = 12;

    /// <summary>Items per bucket on average beyond which a bucket is split.</summary>
    private const int LoadMax = 8;
    private const int OverflowOffset = 12;
    private const int HandlesOffset = 16;
    private const uint SlotMask = (1 << SlotsPerLine) - 1;

    private readonly HandleSpace _space = space;
    private readonly KeyHasher _hasher = hasher;
    private readonly int _lineShift = BitOperations.Log2((uint)(space.PageBytes / LineBytes));
    private readonly uint _lineMask = (uint)(space.PageBytes / LineBytes) - 1;

    // Managed, so that Prefetch may read it without the lock: an array that has been replaced stays readable.
    private byte*[] _directory = [];
    private uint _bucketCount;
    private uint _mask;

    public long ItemCount { get; private set; }

    public readonly uint BucketCount => _bucketCount;

    public readonly int PageCount => (int)((_bucketCount + _lineMask) >> _lineShift);

    /// <summary>Whether it wants to split a bucket.</summary>
    public readonly bool WantsToGrow => ItemCount >= _bucketCount * (long)LoadMax;

    /// <summary>Whether the next <see cref="Split"/> needs a page.</summary>
    public readonly bool NeedsPage => (_bucketCount & _lineMask) == 0;

    public readonly byte* PageAt(int index) => _directory[index];

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly uint Find(ulong hash, ReadOnlySpan<byte> key)
    {
        if (_bucketCount == 0)
            return 0;
        byte* line = LineOf(hash);
        uint matches = Vector128.Equals(Vector128.Load(line), Vector128.Create(TagOf(hash))).ExtractMostSignificantBits() & SlotMask;
        while (matches != 0)
        {
            uint handle = Handles(line)[BitOperations.TrailingZeroCount(matches)];
            ItemHeader* item = _space.At(handle);
            Prefetch((byte*)item + 64);
            Prefetch((byte*)item + 128);
            if (ItemHeader.KeyEquals(item, key))
                return handle;
            matches &= matches - 1;
        }

        return Overflow(line) == 0 ? 0 : FindInOverflow(line, key);
    }

    /// <summary>Asks for the line that <see cref="Find"/> will look at. Without the lock: what it reads may be out of date, which makes the wish useless and nothing else.</summary>
    public readonly void PrefetchLine(ulong hash)
    {
        byte* line = LineOfUnlocked(hash);
        if (line is not null)
            Prefetch(line);
    }

    /// <summary>
    /// Asks for the items that <see cref="Find"/> will compare. Call when <see cref="PrefetchLine"/> has had time. Without the lock: lines stay mapped for as long as
    /// the arena lives, and a handle that is out of date leads to a prefetch, which never faults.
    /// </summary>
    public readonly void PrefetchItems(ulong hash)
    {
        byte* line = LineOfUnlocked(hash);
        if (line is null)
            return;
        uint matches = Vector128.Equals(Vector128.Load(line), Vector128.Create(TagOf(hash))).ExtractMostSignificantBits() & SlotMask;
        for (; matches != 0; matches &= matches - 1)
        {
            byte* item = (byte*)_space.At(Handles(line)[BitOperations.TrailingZeroCount(matches)]);
            Prefetch(item);
            Prefetch(item + 64);
            Prefetch(item + 128);
        }
    }

    /// <summary>Adds an item that is not in the index. There must be a bucket (<see cref="AddPage"/>).</summary>
    public void Insert(ulong hash, uint handle)
    {
        InsertInto(LineOf(hash), TagOf(hash), handle);
        ItemCount++;
    }

    /// <summary>Takes an item out; false if it was not in.</summary>
    public bool Remove(ulong hash, uint handle)
    {
        byte* line = LineOf(hash);
        uint matches = Vector128.Equals(Vector128.Load(line), Vector128.Create(TagOf(hash))).ExtractMostSignificantBits() & SlotMask;
        for (; matches != 0; matches &= matches - 1)
        {
            int slot = BitOperations.TrailingZeroCount(matches);
            if (Handles(line)[slot] != handle)
                continue;
            uint moved = Overflow(line);
            if (moved != 0)
            {
                ItemHeader* item = _space.At(moved);
                Overflow(line) = item->HashNext;
                item->HashNext = 0;
                line[slot] = TagOf(_hasher.Compute(ItemHeader.KeySpan(item)));
            }
            else
            {
                line[slot] = 0;
            }

            Handles(line)[slot] = moved;
            ItemCount--;
            return true;
        }

        for (uint* link = (uint*)(line + OverflowOffset); *link != 0; link = &_space.At(*link)->HashNext)
        {
            if (*link != handle)
                continue;
            *link = _space.At(handle)->HashNext;
            _space.At(handle)->HashNext = 0;
            ItemCount--;
            return true;
        }

        return false;
    }

    /// <summary>Puts another handle in an item's place (same key, same hash).</summary>
    public void Replace(ulong hash, uint oldHandle, uint newHandle)
    {
        byte* line = LineOf(hash);
        uint matches = Vector128.Equals(Vector128.Load(line), Vector128.Create(TagOf(hash))).ExtractMostSignificantBits() & SlotMask;
        for (; matches != 0; matches &= matches - 1)
        {
            int slot = BitOperations.TrailingZeroCount(matches);
            if (Handles(line)[slot] != oldHandle)
                continue;
            Handles(line)[slot] = newHandle;
            return;
        }

        Remove(hash, oldHandle);
        Insert(hash, newHandle);
    }

    /// <summary>Adds a zeroed page of buckets; the first one is used at once, later ones bucket by bucket.</summary>
    public void AddPage(byte* page)
    {
        int count = PageCount;
        if (count == _directory.Length)
        {
            byte*[] larger = new byte*[Math.Max(4, count * 2)];
            Array.Copy(_directory, larger, count);
            _directory = larger;
        }

        _directory[count] = page;
        if (_bucketCount == 0)
        {
            _bucketCount = _lineMask + 1;
            _mask = _lineMask;
        }
        else
        {
            Split();
        }
    }

    /// <summary>Splits one bucket. Not when <see cref="NeedsPage"/>: then <see cref="AddPage"/> does it.</summary>
    public void Split()
    {
        if (_bucketCount == _mask + 1)
            _mask = (_mask << 1) | 1;
        uint target = _bucketCount++;
        byte* from = LineAt(target - ((_mask + 1) >> 1));
        byte* to = LineAt(target);
        for (int slot = 0; slot < SlotsPerLine; slot++)
        {
            if (from[slot] != 0)
                Prefetch((byte*)_space.At(Handles(from)[slot]) + ItemHeader.Bytes);
        }

        for (int slot = 0; slot < SlotsPerLine; slot++)
        {
            if (from[slot] == 0)
                continue;
            uint handle = Handles(from)[slot];
            ulong hash = _hasher.Compute(ItemHeader.KeySpan(_space.At(handle)));
            if (BucketOf(hash) != target)
                continue;
            InsertInto(to, from[slot], handle);
            from[slot] = 0;
            Handles(from)[slot] = 0;
        }

        uint rest = Overflow(from);
        Overflow(from) = 0;
        while (rest != 0)
        {
            ItemHeader* item = _space.At(rest);
            uint next = item->HashNext;
            item->HashNext = 0;
            ulong hash = _hasher.Compute(ItemHeader.KeySpan(item));
            InsertInto(BucketOf(hash) == target ? to : from, TagOf(hash), rest);
            rest = next;
        }
    }

    /// <summary>Forgets everything; the caller gives the pages back.</summary>
    public void Clear()
    {
        _directory = [];
        _bucketCount = 0;
        _mask = 0;
        ItemCount = 0;
    }

    /// <summary>Copies the handles of one bucket out, as many as fit; returns how many there are.</summary>
    public readonly int ReadBucket(uint bucket, Span<uint> handles)
    {
        byte* line = LineAt(bucket);
        int count = 0;
        for (int slot = 0; slot < SlotsPerLine; slot++)
        {
            if (line[slot] != 0 && count < handles.Length)
                handles[count++] = Handles(line)[slot];
        }

        for (uint handle = Overflow(line); handle != 0 && count < handles.Length; handle = _space.At(handle)->HashNext)
            handles[count++] = handle;
        return count;
    }

    /// <summary>
    /// The bucket that holds the items of one place in the scan order, and the part of that order that is its own. The order is the bucket half of the hash with its bits
    /// reversed: then a bucket, however many of the low bits number it, is one interval, and splitting it halves the interval. So a place keeps its meaning when the index
    /// grows, and in another index of the same items.
    /// </summary>
    public readonly uint FindScanInterval(uint order, out uint start, out ulong end)
    {
        uint bucket = BucketOf((ulong)Reverse(order) << 32);
        uint half = (_mask >> 1) + 1;
        int bits = BitOperations.PopCount(_mask);
        if (bucket < half && bucket + half >= _bucketCount)
            bits--;
        ulong length = 1UL << (32 - bits);
        start = order & ~(uint)(length - 1);
        end = start + length;
        return bucket;
    }

    /// <summary>A hash's place in the scan order.</summary>
    public static uint ScanOrderOf(ulong hash) => Reverse((uint)(hash >> 32));

    /// <summary>Copies a bucket's tags out, 0 where a slot is free.</summary>
    public readonly void ReadTags(uint bucket, Span<byte> tags) => new ReadOnlySpan<byte>(LineAt(bucket), SlotsPerLine).CopyTo(tags);

    /// <summary>The bucket of a hash, and the tag that it has there.</summary>
    public readonly uint FindTag(ulong hash, out byte tag)
    {
        tag = TagOf(hash);
        return BucketOf(hash);
    }

    /// <summary>An index that has no lines but knows where each hash would lie.</summary>
    public readonly HashIndex WithoutPages()
    {
        HashIndex copy = this;
        copy._directory = [];
        return copy;
    }

    /// <summary>Adds all handles of one bucket to a list.</summary>
    public readonly void ReadBucket(uint bucket, List<uint> handles)
    {
        byte* line = LineAt(bucket);
        for (int slot = 0; slot < SlotsPerLine; slot++)
        {
            if (line[slot] != 0)
                handles.Add(Handles(line)[slot]);
        }

        for (uint handle = Overflow(line); handle != 0; handle = _space.At(handle)->HashNext)
            handles.Add(handle);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private readonly uint FindInOverflow(byte* line, ReadOnlySpan<byte> key)
    {
        uint handle = Overflow(line);
        while (handle != 0)
        {
            ItemHeader* item = _space.At(handle);
            if (ItemHeader.KeyEquals(item, key))
                return handle;
            handle = item->HashNext;
        }

        return 0;
    }

    private readonly void InsertInto(byte* line, byte tag, uint handle)
    {
        uint free = Vector128.Equals(Vector128.Load(line), Vector128<byte>.Zero).ExtractMostSignificantBits() & SlotMask;
        if (free != 0)
        {
            int slot = BitOperations.TrailingZeroCount(free);
            line[slot] = tag;
            Handles(line)[slot] = handle;
            return;
        }

        _space.At(handle)->HashNext = Overflow(line);
        Overflow(line) = handle;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly byte* LineOf(ulong hash) => LineAt(BucketOf(hash));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly byte* LineAt(uint bucket) => _directory[bucket >> _lineShift] + ((bucket & _lineMask) * LineBytes);

    /// <summary>As <see cref="LineOf"/>, but bucket count and directory may belong to different moments; null if there is no such line.</summary>
    private readonly byte* LineOfUnlocked(ulong hash)
    {
        byte*[] directory = _directory;
        uint bucket = BucketOf(hash);
        uint page = bucket >> _lineShift;
        if (page >= (uint)directory.Length || directory[page] is null)
            return null;
        return directory[page] + ((bucket & _lineMask) * LineBytes);
    }

    /// <summary>Buckets take the hash's high half; its low bits have chosen the partition.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly uint BucketOf(ulong hash)
    {
        uint bucket = (uint)(hash >> 32) & _mask;
        return bucket < _bucketCount ? bucket : bucket & (_mask >> 1);
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

    private static ref uint Overflow(byte* line) => ref *(uint*)(line + OverflowOffset);

    private static uint* Handles(byte* line) => (uint*)(line + HandlesOffset);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Prefetch(byte* address)
    {
        if (Sse.IsSupported)
            Sse.Prefetch0(address);
    }
}
