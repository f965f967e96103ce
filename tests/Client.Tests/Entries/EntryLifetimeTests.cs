using Microsoft.Extensions.Caching.Distributed;
using OrleansCache.Client.Entries;

namespace OrleansCache.Client.Tests.Entries;

public sealed class EntryLifetimeTests
{
    private static readonly DateTimeOffset s_now = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

    [Theory]
    [InlineData(null, null, 0u, 0)]
    [InlineData(60.0, null, 0u, 60)]
    [InlineData(0.2, null, 0u, 1)]
    [InlineData(60.2, null, 0u, 61)]
    [InlineData(2592000.0, null, 0u, 2592000)]
    [InlineData(2592001.0, null, 0u, 1767225600 + 2592001)]
    [InlineData(null, 60.0, 0x5000_003Cu, 60)]
    [InlineData(null, 0.01, 0x5000_0001u, 1)]
    [InlineData(600.0, 60.0, 0x6000_003Cu, 60)]
    [InlineData(30.0, 60.0, 0x6000_003Cu, 30)]
    [InlineData(1e9, null, 0u, 0)]
    public void ExpiriesInMemcachedsTerms(double? absoluteSeconds, double? slidingSeconds, uint flags, long exptime)
    {
        EntryLifetime lifetime = EntryLifetime.Of(Options(absoluteSeconds, slidingSeconds), s_now);
        Assert.Equal(flags, lifetime.ClientFlags);
        Assert.Equal(exptime, lifetime.Exptime);
        Assert.Equal(absoluteSeconds is not null && slidingSeconds is not null, lifetime.HasDeadline);
        Assert.False(lifetime.IsOver);
    }

    [Fact]
    public void TheRelativeExpiryCountsBeforeTheAbsoluteOne()
    {
        var options = new DistributedCacheEntryOptions { AbsoluteExpiration = s_now.AddDays(1), AbsoluteExpirationRelativeToNow = TimeSpan.FromSeconds(5) };
        Assert.Equal(5, EntryLifetime.Of(options, s_now).Exptime);
    }

    [Fact]
    public void TheEndOfTimeIsNoOverflow()
    {
        Assert.Equal(0, EntryLifetime.Of(new DistributedCacheEntryOptions { AbsoluteExpirationRelativeToNow = TimeSpan.MaxValue }, s_now).Exptime);
        Assert.Equal(0, EntryLifetime.Of(new DistributedCacheEntryOptions { AbsoluteExpiration = DateTimeOffset.MaxValue }, s_now).Exptime);
        EntryLifetime both =
            EntryLifetime.Of(new DistributedCacheEntryOptions { AbsoluteExpiration = DateTimeOffset.MaxValue, SlidingExpiration = TimeSpan.MaxValue }, s_now);
        Assert.True(both.HasDeadline);
        Assert.NotNull(EntryLifetime.Extend(both.ClientFlags, both.DeadlineMilliseconds, 5, s_now));
    }

    [Theory]
    [InlineData(60, null)]
    [InlineData(59, 60L)]
    [InlineData(1, 60L)]
    [InlineData(61, null)]
    public void ASlidingEntryIsExtendedWhenASecondIsGained(long secondsToLive, long? exptime) =>
        Assert.Equal(exptime, EntryLifetime.Extend(0x5000_003C, 0, secondsToLive, s_now));

    [Fact]
    public void TheDeadlineBoundsTheExtension()
    {
        long deadline = s_now.AddSeconds(20).ToUnixTimeMilliseconds();
        Assert.Equal(20, EntryLifetime.Extend(0x6000_003C, deadline, 10, s_now));
        Assert.Null(EntryLifetime.Extend(0x6000_003C, deadline, 20, s_now));
        Assert.Null(EntryLifetime.Extend(0x6000_003C, deadline, 5, s_now.AddSeconds(20)));
    }

    [Theory]
    [InlineData(0u)]
    [InlineData(1u)]
    [InlineData(0xffffu)]
    [InlineData(0x7000_0001u)]
    [InlineData(uint.MaxValue)]
    public void FlagsOfOtherClientsMeanNothing(uint flags)
    {
        Assert.False(EntryLifetime.IsSliding(flags));
        Assert.False(EntryLifetime.IsWithDeadline(flags));
    }

    private static DistributedCacheEntryOptions Options(double? absoluteSeconds, double? slidingSeconds) => new()
    {
        AbsoluteExpirationRelativeToNow = absoluteSeconds is { } absolute ? TimeSpan.FromSeconds(absolute) : null,
        SlidingExpiration = slidingSeconds is { } sliding ? TimeSpan.FromSeconds(sliding) : null,
    };
}
