namespace OrleansCache.Tests;

public sealed class ByteSizeTests
{
    [Theory]
    [InlineData("0", 0)]
    [InlineData("1500", 1500)]
    [InlineData("64k", 64 << 10)]
    [InlineData("20M", 20 << 20)]
    [InlineData("1g", 1 << 30)]
    public void SizesAreReadWithTheirLetters(string text, long bytes)
    {
        Assert.True(ByteSize.TryParse(text, out long read));
        Assert.Equal(bytes, read);
    }

    [Fact]
    public void ANumberWithoutALetterCountsTheUnit()
    {
        Assert.True(ByteSize.TryParse("64", out long bytes, unit: 1 << 20));
        Assert.Equal(64 << 20, bytes);
    }

    [Theory]
    [InlineData("")]
    [InlineData("m")]
    [InlineData("-1")]
    [InlineData("1.5m")]
    [InlineData("10x")]
    [InlineData("99999999999g")]
    public void WhatIsNoSizeIsRefused(string text) => Assert.False(ByteSize.TryParse(text, out _));
}
