using System.Numerics;
using System.Runtime.InteropServices;

namespace OrleansCache.Storage;

/// <summary>What a <see cref="GhostTable"/> knows of an item: the queue that it was evicted from, and the stamp that it got.</summary>
internal readonly record struct Ghost(bool IsFromMain, ushort Stamp);

/// <summary>
/// What a shard has evicted lately, as fingerprints: a key that comes back while it is remembered was evicted too early.
/// <code>
///  bucket, 32 bytes: 8 entries, newest first: 0 fingerprint (15 bits), from main (1 bit) | 2 stamp(2)
/// </code>
/// Algorithm: the hash chooses a bucket; a new entry pushes the others one place on and the oldest out. The fingerprint mixes the slab class in, so an item
/// that comes back with another size is not known. The stamp is what its queue had evicted by then, in steps that the shard chooses.
/// Growth is linear hashing: <see cref="Grow"/> adds a few buckets, each a copy of the one that it splits off, because to which of the two an entry belongs is
/// not known any more; it is pushed out of the wrong one in time. Addresses for the largest table are taken at once, memory as it is touched.
/// Goals: one cache line an operation; about as many entries as the shard has items. Non-goal: exactness; 1 in 4,000 look-ups finds what was never there.
/// </summary>
internal sealed unsafe class GhostTable : IDisposable
{
    public const int BucketBytes = 32;
    public const int EntriesPerBucket = 8;

    /// <summary>Bytes that <see cref="Grow"/> adds.</summary>
    public const int GrowthBytes = 16 * 1024;

    private const int BucketsPerGrowth = GrowthBytes / BucketBytes;
    private const uint FromMain = 1u << 15;

    private readonly uint _bucketsMax;
    private uint* _entries;
    private uint _count;
    private uint _mask;

    public GhostTable(long bytesMax) => _bucketsMax = (uint)Math.Min(bytesMax / GrowthBytes * BucketsPerGrowth, 1u << 30);

    /// <summary>Entries that it can hold.</summary>
    public long Capacity => (long)_count * EntriesPerBucket;

    /// <summary>Bytes that it takes.</summary>
    public long Bytes => (long)_count * BucketBytes;

    public bool CanGrow => _count < _bucketsMax;

    /// <summary>Adds some buckets; what the table knows, it still knows. False if the system refuses the memory.</summary>
    public bool Grow()
    {
        if (_entries is null && !TryReserve())
            return false;
        if (_count == 0)
        {
            _count = BucketsPerGrowth;
            _mask = BucketsPerGrowth - 1;
            return true;
        }

        for (int i = 0; i < BucketsPerGrowth; i++)
        {
            if (_count == _mask + 1)
                _mask = (_mask << 1) | 1;
            uint from = _count - ((_mask + 1) >> 1);
            NativeMemory.Copy(_entries + ((nuint)from * EntriesPerBucket), _entries + ((nuint)_count * EntriesPerBucket), BucketBytes);
            _count++;
        }

        return true;
    }

    /// <summary>Forgets everything and gives the memory back.</summary>
    public void Clear()
    {
        NativeMemory.Free(_entries);
        _entries = null;
        _count = 0;
        _mask = 0;
    }

    /// <summary>Remembers an item that is evicted.</summary>
    public void Add(ulong hash, int classIndex, Ghost ghost)
    {
        if (_count == 0)
            return;
        uint* bucket = BucketOf(hash);
        for (int i = EntriesPerBucket - 1; i > 0; i--)
            bucket[i] = bucket[i - 1];
        bucket[0] = ((uint)ghost.Stamp << 16) | (ghost.IsFromMain ? FromMain : 0) | FingerprintOf(hash, classIndex);
    }

    /// <summary>Whether the item was evicted lately, and how; the item is forgotten.</summary>
    public bool TryTake(ulong hash, int classIndex, out Ghost ghost)
    {
        ghost = default;
        if (_count == 0)
            return false;
        uint* bucket = BucketOf(hash);
        uint fingerprint = FingerprintOf(hash, classIndex);
        for (int i = 0; i < EntriesPerBucket; i++)
        {
            uint entry = bucket[i];
            if ((entry & (FromMain - 1)) != fingerprint)
                continue;
            ghost = new Ghost((entry & FromMain) != 0, (ushort)(entry >> 16));
            for (; i < EntriesPerBucket - 1; i++)
                bucket[i] = bucket[i + 1];
            bucket[EntriesPerBucket - 1] = 0;
            return true;
        }

        return false;
    }

    public void Dispose() => Clear();

    private bool TryReserve()
    {
        try
        {
            _entries = (uint*)NativeMemory.AllocZeroed((nuint)_bucketsMax * BucketBytes);
            return true;
        }
        catch (OutOfMemoryException)
        {
            return false; // without ghosts the cache is a little worse, and nothing else
        }
    }

    private uint* BucketOf(ulong hash)
    {
        uint bucket = (uint)(hash >> 32) & _mask;
        if (bucket >= _count)
            bucket &= _mask >> 1;
        return _entries + ((nuint)bucket * EntriesPerBucket);
    }

    /// <summary>Never 0, which is an empty entry. Bits of the hash that choose neither bucket nor partition, spread once more.</summary>
    private static uint FingerprintOf(ulong hash, int classIndex)
    {
        uint mixed = ((uint)hash ^ BitOperations.RotateRight((uint)(hash >> 32), 7) ^ ((uint)classIndex * 0x9E37_79B1)) * 0x85EB_CA6B;
        uint fingerprint = mixed >> 17;
        return fingerprint == 0 ? 1 : fingerprint;
    }
}
