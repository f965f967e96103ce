namespace OrleansCache.Abstractions.Tests;

public sealed class ExpiryTests
{
    private const uint Now = 1_800_000_000;

    [Theory]
    [InlineData(0, Expiry.Never)]
    [InlineData(1, Now + 1)]
    [InlineData(60, Now + 60)]
    [InlineData(2_592_000, Now + 2_592_000)]
    [InlineData(2_592_001, 2_592_001u)]
    [InlineData(1_800_000_100, 1_800_000_100u)]
    [InlineData(4_294_967_295, uint.MaxValue)]
    [InlineData(4_294_967_296, uint.MaxValue)]
    [InlineData(long.MaxValue, uint.MaxValue)]
    [InlineData(-1, Expiry.Immediately)]
    [InlineData(long.MinValue, Expiry.Immediately)]
    public void ResolveReadsTheArgumentAsMemcachedDoes(long argument, uint expected) => Assert.Equal(expected, Expiry.Resolve(argument, Now));

    [Theory]
    [InlineData(Expiry.Never, false)]
    [InlineData(Expiry.Immediately, true)]
    [InlineData(Now - 1, true)]
    [InlineData(Now, true)]
    [InlineData(Now + 1, false)]
    [InlineData(uint.MaxValue, false)]
    public void AnItemIsGoneFromItsSecondOn(uint expiresAt, bool expected) => Assert.Equal(expected, Expiry.IsExpired(expiresAt, Now));

    [Fact]
    public void NeverIsNeverWhateverTheClock()
    {
        Assert.False(Expiry.IsExpired(Expiry.Resolve(0, Now), uint.MaxValue));
        Assert.False(Expiry.IsExpired(Expiry.Never, 0));
    }

    [Fact]
    public void ThirtyDaysAndOneSecondIsADateLongPast() => Assert.True(Expiry.IsExpired(Expiry.Resolve(Expiry.RelativeSecondsMax + 1, Now), Now));
}
