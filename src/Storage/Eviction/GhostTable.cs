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
/// Algorithm: the hash chooses a bucket; a new entry pushes the others one place on and the oldest out. The fingerprint mixes the slab class in, so an item that
/// comes back with another size is not known. The stamp is what its queue had evicted by then, in steps that the shard chooses.
/// The table doubles while it has fewer than three entries for four items of the shard; it counts against -m.
/// Goals: one cache line an operation; about as many entries as the shard has items. Non-goal: exactness; 1 in 4,000 look-ups finds what was never there.
/// </summary>
internal sealed unsafe class GhostTable : IDisposable
{
    public const int BucketBytes = 32;
    public const int EntriesPerBucket = 8;
    private const int BucketsMin = 256;
    private const uint FromMain = 1u << 15;

    private uint* _entries;
    private uint _mask;

    /// <summary>Entries that it can hold.</summary>
    public long Capacity => _entries is null ? 0 : (_mask + 1L) * EntriesPerBucket;

    /// <summary>Bytes that it takes.</summary>
    public long Bytes => _entries is null ? 0 : (_mask + 1L) * BucketBytes;

    /// <summary>Bytes that <see cref="Grow"/> will add.</summary>
    public long BytesToGrow => _entries is null ? BucketsMin * BucketBytes : Bytes;

    /// <summary>Doubles the table; what it knows, it still knows.</summary>
    public void Grow()
    {
        uint buckets = _entries is null ? BucketsMin : (_mask + 1) * 2;
        uint* larger = (uint*)NativeMemory.AlignedAlloc((nuint)buckets * BucketBytes, 64);
        if (_entries is null)
        {
            NativeMemory.Clear(larger, (nuint)buckets * BucketBytes);
        }
        else
        {
            // Which half an entry belongs to is not known any more: it stands in both, and is pushed out of the wrong one in time.
            NativeMemory.Copy(_entries, larger, (nuint)Bytes);
            NativeMemory.Copy(_entries, (byte*)larger + Bytes, (nuint)Bytes);
            NativeMemory.AlignedFree(_entries);
        }

        _entries = larger;
        _mask = buckets - 1;
    }

    /// <summary>Remembers an item that is evicted.</summary>
    public void Add(ulong hash, int classIndex, Ghost ghost)
    {
        if (_entries is null)
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
        if (_entries is null)
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

    public void Dispose()
    {
        NativeMemory.AlignedFree(_entries);
        _entries = null;
    }

    private uint* BucketOf(ulong hash) => _entries + ((nuint)((uint)(hash >> 32) & _mask) * EntriesPerBucket);

    /// <summary>Never 0, which is an empty entry. Bits of the hash that choose neither bucket nor partition, spread once more.</summary>
    private static uint FingerprintOf(ulong hash, int classIndex)
    {
        uint mixed = ((uint)hash ^ BitOperations.RotateRight((uint)(hash >> 32), 7) ^ ((uint)classIndex * 0x9E37_79B1)) * 0x85EB_CA6B;
        uint fingerprint = mixed >> 17;
        return fingerprint == 0 ? 1 : fingerprint;
    }
}
