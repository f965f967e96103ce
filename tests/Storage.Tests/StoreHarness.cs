using System.Text;

namespace OrleansCache.Storage.Tests;

/// <summary>Remembers the last reply.</summary>
internal sealed class RecordingSink : ReplySink
{
    private readonly byte[] _buffer;

    public RecordingSink(int bytesMax = 4 * 1024 * 1024) => _buffer = new byte[bytesMax];

    public int Calls { get; private set; }
    public CacheStatus Status { get; private set; }
    public ItemFlags ItemFlags { get; private set; }
    public uint ClientFlags { get; private set; }
    public uint ExpiresAt { get; private set; }
    public uint LastAccess { get; private set; }
    public ulong Cas { get; private set; }
    public ulong Number { get; private set; }
    public int ValueLength { get; private set; }
    public bool HasValue { get; private set; }
    public bool WasContiguous { get; private set; }
    public bool PinNext { get; set; }
    public PinnedValue Pinned { get; private set; }
    public bool DidPin { get; private set; }

    public ReadOnlySpan<byte> Value => _buffer.AsSpan(0, HasValue ? ValueLength : 0);

    public string Text => Encoding.Latin1.GetString(Value);

    public override void OnReply(in CacheReply reply)
    {
        Calls++;
        Status = reply.Status;
        ItemFlags = reply.ItemFlags;
        ClientFlags = reply.ClientFlags;
        ExpiresAt = reply.ExpiresAt;
        LastAccess = reply.LastAccess;
        Cas = reply.Cas;
        Number = reply.Number;
        ValueLength = reply.Value.Length;
        HasValue = reply.Value.HasBytes;
        WasContiguous = reply.Value.IsContiguous;
        if (HasValue)
            reply.Value.CopyTo(_buffer);
        DidPin = false;
        if (PinNext)
        {
            PinNext = false;
            DidPin = reply.Value.TryPin(out PinnedValue pinned);
            Pinned = pinned;
        }
    }
}

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
        Arena = new PageArena(Options);
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

/// <summary>The seed of a random test: from the environment, else fresh; it stands in every assert message.</summary>
internal static class TestSeed
{
    public static int Next() => int.TryParse(Environment.GetEnvironmentVariable("ORLEANSCACHE_TEST_SEED"), out int seed) ? seed : Environment.TickCount;
}
