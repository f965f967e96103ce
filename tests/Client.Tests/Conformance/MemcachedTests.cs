using System.Text;
using Microsoft.Extensions.Caching.Distributed;
using OrleansCache.Client.Tests.Support;
using OrleansCache.Conformance;

namespace OrleansCache.Client.Tests.Conformance;

/// <summary>The same client on a memcached: what it sends is memcached's protocol, and not only what OrleansCache makes of it.</summary>
public sealed class MemcachedTests
{
    [MemcachedFact]
    public async Task EntriesOfAllKindsAreStoredReadExtendedAndRemoved()
    {
        await using ServerProcess server = await ServerProcess.StartAsync(ServerKind.Memcached);
        await using var client = new OrleansCacheClient(TestOptions.For([$"127.0.0.1:{server.Port}"]));
        DistributedCacheEntryOptions[] lifetimes =
        [
            new(),
            new() { AbsoluteExpirationRelativeToNow = TimeSpan.FromMinutes(10) },
            new() { AbsoluteExpirationRelativeToNow = TimeSpan.FromDays(300) },
            new() { SlidingExpiration = TimeSpan.FromMinutes(10) },
            new() { SlidingExpiration = TimeSpan.FromMinutes(10), AbsoluteExpirationRelativeToNow = TimeSpan.FromHours(1) },
        ];
        foreach (string key in (string[])["plain", "two words", "", new('x', 250), new('y', 1000), "\u00e4", "\ud800"])
        {
            foreach (DistributedCacheEntryOptions lifetime in lifetimes)
            {
                foreach (int length in (int[])[0, 1, 1000, 100_000])
                {
                    byte[] value = new byte[length];
                    new Random(length).NextBytes(value);
                    await client.SetAsync(key, value, lifetime);
                    Assert.Equal(value, await client.GetAsync(key));
                }

                await client.RefreshAsync(key);
                Assert.NotNull(await client.GetAsync(key));
                await client.RemoveAsync(key);
                Assert.Null(await client.GetAsync(key));
            }
        }
    }

    [MemcachedFact]
    public async Task AReadGivesASlidingEntryItsWholeTimeBack()
    {
        await using ServerProcess server = await ServerProcess.StartAsync(ServerKind.Memcached);
        await using var client = new OrleansCacheClient(TestOptions.For([$"127.0.0.1:{server.Port}"]));
        using RawClient raw = server.Connect();
        await client.SetAsync("k", Encoding.ASCII.GetBytes("v"), new DistributedCacheEntryOptions { SlidingExpiration = TimeSpan.FromMinutes(10) });
        Assert.Equal("HD t600", await raw.CommandAsync("mg k T600 t"));
        await raw.CommandAsync("mg k T100");
        await client.RefreshAsync("k");
        Assert.InRange(int.Parse((await raw.CommandAsync("mg k t"))["HD t".Length..], System.Globalization.CultureInfo.InvariantCulture), 500, 600);
    }

    [MemcachedFact]
    public async Task AValueThatIsTooLargeIsAnError()
    {
        await using ServerProcess server = await ServerProcess.StartAsync(ServerKind.Memcached);
        await using var client = new OrleansCacheClient(TestOptions.For([$"127.0.0.1:{server.Port}"]));
        OrleansCacheException failure =
            await Assert.ThrowsAsync<OrleansCacheException>(() => client.SetAsync("k", new byte[2 << 20], new DistributedCacheEntryOptions()));
        Assert.Equal(OrleansCacheError.ValueTooLarge, failure.Error);
        await client.SetAsync("k", [1], new DistributedCacheEntryOptions());
        Assert.Equal([1], await client.GetAsync("k"));
    }

    [AttributeUsage(AttributeTargets.Method)]
    private sealed class MemcachedFactAttribute : FactAttribute
    {
        public MemcachedFactAttribute()
        {
            if (!File.Exists(ServerUnderTest.MemcachedPath))
                Skip = $"No memcached at {ServerUnderTest.MemcachedPath} (apt-get install memcached)";
        }
    }
}
