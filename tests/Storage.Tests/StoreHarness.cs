using System.Text;
using OrleansCache.Events;

namespace OrleansCache.Storage.Tests;

/// <summary>A store of its own with short words for requests.</summary>
internal sealed class StoreHarness : IDisposable
{
    public const uint Start = 1_000_000_000;

    /// <summary>The same in every run: what is random in a test takes the test's own seed.</summary>
    public static readonly HashSeed HashSeed = new(0x0123456789ABCDEF, 0xFEDCBA9876543210);
    private static readonly KeyHasher s_hasher = new(HashSeed);

    public StoreHarness(StoreOptions? options = null)
    {
        Options = (options ?? new StoreOptions { PartitionCount = 1, MemoryBytes = 64 * 1024 * 1024 }) with { HashSeed = HashSeed };
        Arena = new PageArena(Options, new RingEventLog());
        Store = new PartitionStore(Arena, new PartitionId(0));
    }

    public StoreOptions Options { get; }
    public PageArena Arena { get; }
    public PartitionStore Store { get; }
    public RecordingSink Reply { get; } = new();
    public uint Now { get; set; } = Start;

    public static ulong Hash(ReadOnlySpan<byte> key) => s_hasher.Compute(key);

    public static CacheRequest Request(CacheOperation operation, ReadOnlySpan<byte> key, ReadOnlySpan<byte> value = default) =>
        new() { Operation = operation, Key = key, KeyHash = Hash(key), Value = value };

    public static CacheRequest Request(CacheOperation operation, string key, string value = "") =>
        Request(operation, Encoding.Latin1.GetBytes(key), Encoding.Latin1.GetBytes(value));

    public CacheStatus Run(in CacheRequest request)
    {
        int calls = Reply.Calls;
        Store.Execute(in request, Now, Reply);
        Assert.Equal(calls + 1, Reply.Calls);
        return Reply.Status;
    }

    public CacheStatus Set(string key, string value, uint flags = 0, uint expiresAt = 0)
    {
        CacheRequest request = Request(CacheOperation.Set, key, value);
        request.ClientFlags = flags;
        request.ExpiresAt = expiresAt;
        return Run(in request);
    }

    public CacheStatus Set(string key, byte[] value)
    {
        CacheRequest request = Request(CacheOperation.Set, Encoding.Latin1.GetBytes(key), value);
        return Run(in request);
    }

    public CacheStatus Store2(CacheOperation operation, string key, string value, RequestFlags flags = 0, ulong cas = 0)
    {
        CacheRequest request = Request(operation, key, value);
        request.Flags = flags;
        request.CompareCas = cas;
        return Run(in request);
    }

    public string? Get(string key, RequestFlags flags = 0)
    {
        CacheRequest request = Request(CacheOperation.Get, key);
        request.Flags = flags | RequestFlags.ReturnValue;
        return Run(in request) == CacheStatus.Ok ? Reply.Text : null;
    }

    public CacheStatus Delete(string key)
    {
        CacheRequest request = Request(CacheOperation.Delete, key);
        return Run(in request);
    }

    public CacheStatus Increment(string key, ulong delta)
    {
        CacheRequest request = Request(CacheOperation.Increment, key);
        request.Delta = delta;
        return Run(in request);
    }

    public CacheStatus Decrement(string key, ulong delta)
    {
        CacheRequest request = Request(CacheOperation.Decrement, key);
        request.Delta = delta;
        return Run(in request);
    }

    public StoreStatistics Statistics(bool perClass = false)
    {
        var statistics = new StoreStatistics();
        foreach (StoreShard shard in Arena.Shards)
            shard.AddStatistics(statistics, perClass, Now);
        return statistics;
    }

    public static byte[] Bytes(int count, int seed = 1)
    {
        byte[] bytes = new byte[count];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    public void CheckIntegrity()
    {
        foreach (StoreShard shard in Arena.Shards)
            shard.CheckIntegrity();
    }

    /// <summary>Frees what flushes and closed partitions have left to be freed, and the page that each shard keeps at hand.</summary>
    public void Settle()
    {
        foreach (StoreShard shard in Arena.Shards)
        {
            while (shard.DrainDetached(64))
            {
            }

            shard.Heap.ReleaseSpare();
        }
    }

    public void Dispose()
    {
        CheckIntegrity();
        Store.Dispose();
        Settle();
        CheckIntegrity();
        Assert.Equal(Arena.PageCount, Arena.FreePageCount);
        Arena.Dispose();
    }
}
