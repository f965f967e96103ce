using System.Buffers;
using Microsoft.Extensions.Caching.Distributed;
using StackExchange.Redis;

namespace OrleansCache.ClientBenchmark;

/// <summary>One way to a cache. What it returns says whether the value was found.</summary>
internal abstract class Target
{
    public abstract ValueTask SetAsync(string key, byte[] value);

    public abstract ValueTask<bool> GetAsync(string key, int worker);
}

/// <summary>A provider of IBufferDistributedCache, by its methods without arrays.</summary>
internal sealed class ProviderTarget(IBufferDistributedCache cache) : Target
{
    private static readonly DistributedCacheEntryOptions s_options = new() { AbsoluteExpirationRelativeToNow = TimeSpan.FromHours(1) };

    private readonly ArrayBufferWriter<byte>[] _writers = [.. Enumerable.Range(0, 256).Select(_ => new ArrayBufferWriter<byte>(4096))];

    public override ValueTask SetAsync(string key, byte[] value) => cache.SetAsync(key, new ReadOnlySequence<byte>(value), s_options);

    public override ValueTask<bool> GetAsync(string key, int worker)
    {
        ArrayBufferWriter<byte> writer = _writers[worker];
        writer.ResetWrittenCount();
        return cache.TryGetAsync(key, writer);
    }
}

/// <summary>StackExchange.Redis as it is, without a provider of IDistributedCache in between.</summary>
internal sealed class RedisTarget(IDatabase database) : Target
{
    private static readonly TimeSpan s_expiry = TimeSpan.FromHours(1);

    public override async ValueTask SetAsync(string key, byte[] value) => await database.StringSetAsync(key, value, s_expiry).ConfigureAwait(false);

    public override async ValueTask<bool> GetAsync(string key, int worker)
    {
        RedisValue value = await database.StringGetAsync(key).ConfigureAwait(false);
        return value.HasValue;
    }
}
