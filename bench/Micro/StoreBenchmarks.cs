using BenchmarkDotNet.Attributes;
using OrleansCache.Storage;

namespace OrleansCache.Benchmarks;

/// <summary>
/// One operation on the store through LocalRouter: hash, partition, gate, index, copy. Keys come in random order, so with 1 M items
/// (about 200 MB) almost every access misses the processor's caches, as in production; with 100 k it is a little kinder.
/// </summary>
public class StoreBenchmarks : IDisposable
{
    private const uint NowUnixSeconds = 1_800_000_000;
    private readonly byte[] _value = new byte[100];
    private readonly CopyingSink _sink = new();
    private byte[] _keys = [];
    private byte[] _absentKeys = [];
    private LocalRouter? _router;
    private RouterChannel? _channel;
    private ulong _random = 88172645463325252;

    [Params(100_000, 1_000_000)]
    public int Items { get; set; }

    [GlobalSetup]
    public void SetUp()
    {
        _keys = TestKeys.Range(0, Items);
        _absentKeys = TestKeys.Range(Items, Items);
        _router = new LocalRouter(new StoreOptions { MemoryBytes = 512L * 1024 * 1024 });
        _channel = _router.OpenChannel(new NoQueue());
        for (int i = 0; i < Items; i++)
            Execute(CacheOperation.Set, RequestFlags.None, _keys.AsSpan(i * TestKeys.Bytes, TestKeys.Bytes), _value);
        if (_sink.LastStatus != CacheStatus.Ok)
            throw new InvalidOperationException($"The store does not take the items: {_sink.LastStatus}");
    }

    [GlobalCleanup]
    public void Dispose()
    {
        _router?.Dispose();
        GC.SuppressFinalize(this);
    }

    [Benchmark]
    public bool GetHit() => Execute(CacheOperation.Get, RequestFlags.ReturnValue, RandomKey(_keys), default);

    [Benchmark]
    public bool GetMiss() => Execute(CacheOperation.Get, RequestFlags.ReturnValue, RandomKey(_absentKeys), default);

    /// <summary>Replaces an item of the same size.</summary>
    [Benchmark]
    public bool SetPresent() => Execute(CacheOperation.Set, RequestFlags.None, RandomKey(_keys), _value);

    [Benchmark]
    public bool Touch() => Execute(CacheOperation.Touch, RequestFlags.None, RandomKey(_keys), default);

    private bool Execute(CacheOperation operation, RequestFlags flags, ReadOnlySpan<byte> key, ReadOnlySpan<byte> value) =>
        _channel!.TryExecute(new CacheRequest { Operation = operation, Flags = flags, Key = key, KeyHash = _channel.Hasher.Compute(key), Value = value },
            NowUnixSeconds, _sink);

    private ReadOnlySpan<byte> RandomKey(byte[] keys)
    {
        _random ^= _random << 13;
        _random ^= _random >> 7;
        _random ^= _random << 17;
        int index = (int)(((_random >> 32) * (uint)Items) >> 32);
        return keys.AsSpan(index * TestKeys.Bytes, TestKeys.Bytes);
    }
}
