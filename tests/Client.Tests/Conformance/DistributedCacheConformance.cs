using System.Buffers;
using System.Text;
using Microsoft.Extensions.Caching.Distributed;
using OrleansCache.Client.Tests.Support;

namespace OrleansCache.Client.Tests.Conformance;

/// <summary>What IDistributedCache and IBufferDistributedCache promise, for every way to the cache.</summary>
public abstract class DistributedCacheConformance
{
    private static readonly DistributedCacheEntryOptions s_forever = new();
    private static int s_keys;
    private readonly CacheUnderTest _cache;

    protected DistributedCacheConformance(CacheFixture fixture) => _cache = fixture.Cache;

    private IBufferDistributedCache Cache => _cache.Cache;

    [Fact]
    public async Task WhatIsSetIsGot()
    {
        string key = NewKey();
        byte[] value = Encoding.UTF8.GetBytes("some value");
        Assert.Null(await Cache.GetAsync(key));
        await Cache.SetAsync(key, value, s_forever);
        Assert.Equal(value, await Cache.GetAsync(key));
        Assert.Equal(value, Cache.Get(key));
        await Cache.SetAsync(key, [1], s_forever);
        Assert.Equal([1], await Cache.GetAsync(key));
    }

    [Fact]
    public async Task TheWaysThatBlockDoTheSame()
    {
        string key = NewKey();
        Cache.Set(key, [1, 2], s_forever);
        Assert.Equal([1, 2], Cache.Get(key));
        Cache.Refresh(key);
        Cache.Set(key, new ReadOnlySequence<byte>([3, 4, 5]), s_forever);
        var writer = new ArrayBufferWriter<byte>();
        Assert.True(Cache.TryGet(key, writer));
        Assert.Equal([3, 4, 5], writer.WrittenSpan.ToArray());
        Cache.Remove(key);
        Assert.Null(Cache.Get(key));
        Assert.False(await Cache.TryGetAsync(key, writer));
        Assert.Equal(3, writer.WrittenCount);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(1000)]
    [InlineData(16 * 1024)]
    [InlineData(100_000)]
    [InlineData(1_000_000)]
    public async Task ValuesOfAnySizeComeBack(int length)
    {
        string key = NewKey();
        byte[] value = new byte[length];
        new Random(length).NextBytes(value);
        await Cache.SetAsync(key, value, s_forever);
        Assert.Equal(value, await Cache.GetAsync(key));
        var writer = new ArrayBufferWriter<byte>();
        writer.Write("before"u8);
        Assert.True(await Cache.TryGetAsync(key, writer));
        Assert.Equal([.. "before"u8, .. value], writer.WrittenSpan.ToArray());

        await Cache.SetAsync(key, value,
            new DistributedCacheEntryOptions { SlidingExpiration = TimeSpan.FromHours(1), AbsoluteExpirationRelativeToNow = TimeSpan.FromHours(2) });
        Assert.Equal(value, await Cache.GetAsync(key));
        writer.Clear();
        Assert.True(await Cache.TryGetAsync(key, writer));
        Assert.Equal(value, writer.WrittenSpan.ToArray());
    }

    [Fact]
    public async Task AValueInPiecesIsStoredWhole()
    {
        string key = NewKey();
        ReadOnlySequence<byte> pieces = Sequence.Of([1, 2, 3], [], [4], [5, 6, 7, 8]);
        await Cache.SetAsync(key, pieces, s_forever);
        Assert.Equal([1, 2, 3, 4, 5, 6, 7, 8], await Cache.GetAsync(key));
    }

    [Fact]
    public async Task RemovingWhatIsNotThereIsFine()
    {
        string key = NewKey();
        await Cache.RemoveAsync(key);
        await Cache.RefreshAsync(key);
        await Cache.SetAsync(key, [1], s_forever);
        await Cache.RemoveAsync(key);
        Assert.Null(await Cache.GetAsync(key));
    }

    private static readonly string[] s_strings =
    [
        "plain", "with space", "tab\tand\r\nline end", "nul\0", "\u00e4\u00f6\u00fc \u4e2d\u6587 \ud83d\ude00", "",
        "\u0001begins like a hash", "\u0002too", new('x', 250), new('x', 251), new('y', 100_000), new(' ', 186),
        new(' ', 187), new('\u00e4', 125), new('\u00e4', 126), "\ud800", "\ud801", "\udc00 lone " + new string('z', 300), "\u007f",
        "noreply", "b", "q", "0",
    ];

    /// <summary>By number: test frameworks do not take every string.</summary>
    public static TheoryData<int> Strings => [.. Enumerable.Range(0, s_strings.Length)];

    [Theory]
    [MemberData(nameof(Strings))]
    public async Task AnyStringIsAKey(int number)
    {
        string key = s_strings[number];
        byte[] value = Encoding.UTF8.GetBytes($"{key.Length}");
        await Cache.SetAsync(key, value, new DistributedCacheEntryOptions { SlidingExpiration = TimeSpan.FromMinutes(10) });
        Assert.Equal(value, await Cache.GetAsync(key));
        await _cache.AdvanceAsync(TimeSpan.FromMinutes(1));
        await Cache.RefreshAsync(key);
        Assert.Equal(value, await Cache.GetAsync(key));
        await Cache.RemoveAsync(key);
        Assert.Null(await Cache.GetAsync(key));
    }

    [Fact]
    public async Task KeysThatAreAlikeAreDifferentEntries()
    {
        for (int i = 0; i < s_strings.Length; i++)
            await Cache.SetAsync(s_strings[i], [(byte)i], s_forever);
        for (int i = 0; i < s_strings.Length; i++)
            Assert.Equal(i, Assert.Single((await Cache.GetAsync(s_strings[i]))!));
    }

    [Fact]
    public async Task AnAbsoluteExpiryEndsTheEntry()
    {
        string key = NewKey();
        await Cache.SetAsync(key, [1], new DistributedCacheEntryOptions { AbsoluteExpiration = _cache.Time.GetUtcNow().AddMinutes(10) });
        await _cache.AdvanceAsync(TimeSpan.FromMinutes(9));
        Assert.NotNull(await Cache.GetAsync(key));
        await _cache.AdvanceAsync(TimeSpan.FromSeconds(62));
        Assert.Null(await Cache.GetAsync(key));
    }

    [Fact]
    public async Task AnExpiryRelativeToNowEndsTheEntryHoweverOftenItIsRead()
    {
        string key = NewKey();
        await Cache.SetAsync(key, [1], new DistributedCacheEntryOptions { AbsoluteExpirationRelativeToNow = TimeSpan.FromMinutes(3) });
        for (int minute = 0; minute < 2; minute++)
        {
            await _cache.AdvanceAsync(TimeSpan.FromMinutes(1));
            Assert.NotNull(await Cache.GetAsync(key));
            await Cache.RefreshAsync(key);
        }

        await _cache.AdvanceAsync(TimeSpan.FromSeconds(62));
        Assert.Null(await Cache.GetAsync(key));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task ASlidingExpiryIsExtendedByReadsAndRefreshes(bool byRead)
    {
        string key = NewKey();
        await Cache.SetAsync(key, [1], new DistributedCacheEntryOptions { SlidingExpiration = TimeSpan.FromMinutes(10) });
        for (int i = 0; i < 4; i++)
        {
            await _cache.AdvanceAsync(TimeSpan.FromMinutes(8));
            if (byRead)
                Assert.Equal([1], await Cache.GetAsync(key));
            else
                await Cache.RefreshAsync(key);
            await SettleAsync(key);
        }

        Assert.Equal([1], await Cache.GetAsync(key));
        await _cache.AdvanceAsync(TimeSpan.FromMinutes(11));
        Assert.Null(await Cache.GetAsync(key));
    }

    [Fact]
    public async Task AReadIntoAWriterExtendsToo()
    {
        string key = NewKey();
        await Cache.SetAsync(key, [1], new DistributedCacheEntryOptions { SlidingExpiration = TimeSpan.FromMinutes(10) });
        for (int i = 0; i < 3; i++)
        {
            await _cache.AdvanceAsync(TimeSpan.FromMinutes(8));
            Assert.True(await Cache.TryGetAsync(key, new ArrayBufferWriter<byte>()));
            await SettleAsync(key);
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task ASlidingExpiryDoesNotReachBeyondTheAbsoluteOne(bool byRead)
    {
        string key = NewKey();
        byte[] value = [9, 8, 7];
        await Cache.SetAsync(key, value,
            new DistributedCacheEntryOptions { SlidingExpiration = TimeSpan.FromMinutes(10), AbsoluteExpirationRelativeToNow = TimeSpan.FromMinutes(25) });
        for (int i = 0; i < 3; i++)
        {
            await _cache.AdvanceAsync(TimeSpan.FromMinutes(8));
            if (byRead)
                Assert.Equal(value, await Cache.GetAsync(key));
            else
                await Cache.RefreshAsync(key);
            await SettleAsync(key);
        }

        await _cache.AdvanceAsync(TimeSpan.FromSeconds(62));
        Assert.Null(await Cache.GetAsync(key));
    }

    [Fact]
    public async Task WithBothTheSlidingExpiryEndsTheEntryThatNobodyReads()
    {
        string key = NewKey();
        await Cache.SetAsync(key, [1],
            new DistributedCacheEntryOptions { SlidingExpiration = TimeSpan.FromMinutes(10), AbsoluteExpirationRelativeToNow = TimeSpan.FromHours(25) });
        await _cache.AdvanceAsync(TimeSpan.FromMinutes(11));
        Assert.Null(await Cache.GetAsync(key));
    }

    [Fact]
    public async Task ExpiriesBeyondThirtyDaysAreKept()
    {
        string absolute = NewKey(), sliding = NewKey(), endless = NewKey(), slidingForAges = NewKey();
        await Cache.SetAsync(absolute, [1], new DistributedCacheEntryOptions { AbsoluteExpirationRelativeToNow = TimeSpan.FromDays(60) });
        await Cache.SetAsync(sliding, [2], new DistributedCacheEntryOptions { SlidingExpiration = TimeSpan.FromDays(45) });
        await Cache.SetAsync(endless, [3], new DistributedCacheEntryOptions { AbsoluteExpiration = DateTimeOffset.MaxValue });
        await Cache.SetAsync(slidingForAges, [4], new DistributedCacheEntryOptions { SlidingExpiration = TimeSpan.MaxValue });
        await _cache.AdvanceAsync(TimeSpan.FromDays(40));
        Assert.Equal([1], await Cache.GetAsync(absolute));
        Assert.Equal([2], await Cache.GetAsync(sliding));
        await SettleAsync(sliding);
        await _cache.AdvanceAsync(TimeSpan.FromDays(21));
        Assert.Null(await Cache.GetAsync(absolute));
        Assert.Equal([2], await Cache.GetAsync(sliding));
        Assert.Equal([3], await Cache.GetAsync(endless));
        Assert.Equal([4], await Cache.GetAsync(slidingForAges));
    }

    [Fact]
    public async Task AnEntryThatIsOverAlreadyReplacesTheFormerOneByNothing()
    {
        string key = NewKey();
        await Cache.SetAsync(key, [1], s_forever);
        await Cache.SetAsync(key, [2], new DistributedCacheEntryOptions { AbsoluteExpiration = _cache.Time.GetUtcNow().AddSeconds(-1) });
        Assert.Null(await Cache.GetAsync(key));
        await Cache.SetAsync(key, [1], s_forever);
        await Cache.SetAsync(key, [2],
            new DistributedCacheEntryOptions { AbsoluteExpiration = DateTimeOffset.MinValue, SlidingExpiration = TimeSpan.FromMinutes(1) });
        Assert.Null(await Cache.GetAsync(key));
    }

    [Fact]
    public async Task AnExpiryOfLessThanASecondIsOneOfASecond()
    {
        string key = NewKey();
        await Cache.SetAsync(key, [1], new DistributedCacheEntryOptions { AbsoluteExpirationRelativeToNow = TimeSpan.FromMilliseconds(1) });
        await _cache.AdvanceAsync(TimeSpan.FromSeconds(2));
        Assert.Null(await Cache.GetAsync(key));
    }

    [Fact]
    public async Task ANewEntryHasItsOwnExpiry()
    {
        string key = NewKey();
        await Cache.SetAsync(key, [1], new DistributedCacheEntryOptions { SlidingExpiration = TimeSpan.FromMinutes(1) });
        await Cache.SetAsync(key, [2], s_forever);
        await _cache.AdvanceAsync(TimeSpan.FromHours(1));
        Assert.Equal([2], await Cache.GetAsync(key));
    }

    [Fact]
    public async Task AValueThatTheServerRefusesIsAnErrorThatSaysSo()
    {
        string key = NewKey();
        byte[] value = new byte[1100 * 1024];
        OrleansCacheException failure = await Assert.ThrowsAsync<OrleansCacheException>(() => Cache.SetAsync(key, value, s_forever));
        Assert.Equal(OrleansCacheError.ValueTooLarge, failure.Error);
        Assert.Contains("1126400 bytes", failure.Message, StringComparison.Ordinal);
        Assert.Null(await Cache.GetAsync(key));
        await Cache.SetAsync(key, [1], s_forever);
        Assert.Equal([1], await Cache.GetAsync(key));
    }

    [Fact]
    public async Task WrongArgumentsAreRefused()
    {
        await Assert.ThrowsAsync<ArgumentNullException>(async () => await Cache.GetAsync(null!));
        await Assert.ThrowsAsync<ArgumentNullException>(async () => await Cache.SetAsync(null!, [], s_forever));
        await Assert.ThrowsAsync<ArgumentNullException>(async () => await Cache.SetAsync("k", null!, s_forever));
        await Assert.ThrowsAsync<ArgumentNullException>(async () => await Cache.SetAsync("k", [], null!));
        await Assert.ThrowsAsync<ArgumentNullException>(async () => await Cache.RefreshAsync(null!));
        await Assert.ThrowsAsync<ArgumentNullException>(async () => await Cache.RemoveAsync(null!));
        await Assert.ThrowsAsync<ArgumentNullException>(async () => await Cache.TryGetAsync("k", null!));
    }

    [Fact]
    public async Task ACancelledCallDoesNothing()
    {
        string key = NewKey();
        using var cancelled = new CancellationTokenSource();
        await cancelled.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () => await Cache.SetAsync(key, [1], s_forever, cancelled.Token));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () => await Cache.GetAsync(key, cancelled.Token));
        Assert.Null(await Cache.GetAsync(key));
    }

    [Fact]
    public async Task AWriterThatFailsIsItsOwnersProblemAndNobodyElses()
    {
        string key = NewKey();
        await Cache.SetAsync(key, [1, 2, 3], s_forever);
        await Assert.ThrowsAsync<InvalidTimeZoneException>(async () => await Cache.TryGetAsync(key, new FailingWriter()));
        Assert.Equal([1, 2, 3], await Cache.GetAsync(key));
    }

    [Fact]
    public async Task ManyCallersAtOnceGetEachTheirOwn()
    {
        const int Callers = 64, Rounds = 100;
        string prefix = NewKey();
        await Task.WhenAll(Enumerable.Range(0, Callers).Select(caller => Task.Run(async () =>
        {
            var random = new Random(caller);
            for (int round = 0; round < Rounds; round++)
            {
                string key = $"{prefix}-{caller}";
                byte[] value = new byte[random.Next(3000)];
                random.NextBytes(value);
                await Cache.SetAsync(key, value, s_forever);
                Assert.Equal(value, await Cache.GetAsync(key));
                if (round % 10 == 9)
                {
                    await Cache.RemoveAsync(key);
                    Assert.Null(await Cache.GetAsync(key));
                }
            }
        })));
    }

    [Fact]
    public async Task CallersThatGiveUpDisturbNobody()
    {
        string key = NewKey();
        byte[] value = new byte[50_000];
        new Random(1).NextBytes(value);
        await Cache.SetAsync(key, value, s_forever);
        await Task.WhenAll(Enumerable.Range(0, 32).Select(caller => Task.Run(async () =>
        {
            for (int round = 0; round < 50; round++)
            {
                using var source = new CancellationTokenSource();
                Task<byte[]?> read = Cache.GetAsync(key, source.Token);
                if ((caller + round) % 2 == 0)
                    await source.CancelAsync();
                try
                {
                    Assert.Equal(value, await read);
                }
                catch (OperationCanceledException) when (source.IsCancellationRequested)
                {
                }
            }
        })));
        Assert.Equal(value, await Cache.GetAsync(key));
    }

    /// <summary>An extension is sent behind the read that caused it; what is answered behind it comes later than it, on each of the connections.</summary>
    private async Task SettleAsync(string key)
    {
        for (int i = 0; i < 4; i++)
            await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => Cache.GetAsync("settle-" + key)));
    }

    private string NewKey() => $"{GetType().Name}-{Interlocked.Increment(ref s_keys)}";

    private sealed class FailingWriter : IBufferWriter<byte>
    {
        public void Advance(int count) => throw new InvalidTimeZoneException();

        public Memory<byte> GetMemory(int sizeHint = 0) => throw new InvalidTimeZoneException();

        public Span<byte> GetSpan(int sizeHint = 0) => throw new InvalidTimeZoneException();
    }
}
