using System.Text;
using OrleansCache.Client.Entries;
using OrleansCache.Protocol.Meta;

namespace OrleansCache.Client.Tests.Entries;

public sealed class CacheKeyTests
{
    [Theory]
    [InlineData("", "plain", "plain", false)]
    [InlineData("app:", "plain", "app:plain", false)]
    [InlineData("", "\u00e4\u4e2d", "\u00e4\u4e2d", false)]
    [InlineData("app:", "two words", "app:two words", true)]
    public void WhatFitsIsStoredUnderItsOwnName(string prefix, string key, string expected, bool isBinary)
    {
        Assert.Equal((expected, isBinary), (Encoding.UTF8.GetString(Encode(prefix, key, out bool binary)), binary));
    }

    /// <summary>Both ends of a rolling upgrade must find the same entries: these bytes never change.</summary>
    [Theory]
    [InlineData("", "01E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855")]
    [InlineData("\u0001", "014BF5122F344554C53BDE2EBB8CD2B7E3D1600AD631C385A5D7CCE23C7785459A")]
    public void WhatDoesNotFitIsHashed(string key, string hex) => Assert.Equal(hex, Convert.ToHexString(Encode("", key, out _)));

    [Fact]
    public void LoneSurrogatesAreKeptApart()
    {
        Assert.Equal(2, Encode("", "\ud800", out _)[0]);
        Assert.NotEqual(Encode("", "\ud800", out _), Encode("", "\ud801", out _));
        Assert.NotEqual(Encode("", "\ud800", out _), Encode("", "\ufffd", out _));
        Assert.Equal(2, Encode("", new string('x', 300) + "\ud800", out _)[0]);
    }

    [Fact]
    public void EveryLengthFitsTheLine()
    {
        var seen = new HashSet<string>();
        foreach (char character in "x \u00e4\u4e2d")
        {
            for (int length = 0; length < 300; length++)
            {
                byte[] key = Encode("p:", new string(character, length), out bool isBinary);
                Assert.InRange(key.Length, 1, isBinary ? MetaRequest.BinaryKeyBytesMax : Limits.KeyBytesMax);
                Assert.True(isBinary || key.AsSpan().IndexOfAnyInRange((byte)0, (byte)' ') < 0);
                Assert.True(seen.Add(Convert.ToHexString(key)) || length == 0);
            }
        }
    }

    [Theory]
    [InlineData("", true)]
    [InlineData("app:", true)]
    [InlineData("two words", false)]
    [InlineData("line\n", false)]
    public void APrefixStandsInTheLine(string prefix, bool isValid) => Assert.Equal(isValid, CacheKey.IsValidPrefix(prefix));

    [Fact]
    public void APrefixIsBounded()
    {
        Assert.True(CacheKey.IsValidPrefix(new string('x', CacheKey.PrefixBytesMax)));
        Assert.False(CacheKey.IsValidPrefix(new string('x', CacheKey.PrefixBytesMax + 1)));
        byte[] longest = Encode(new string('x', CacheKey.PrefixBytesMax), new string('y', 1000), out _);
        Assert.InRange(longest.Length, 1, MetaRequest.BinaryKeyBytesMax);
    }

    private static byte[] Encode(string prefix, string key, out bool isBinary)
    {
        byte[] bytes = new byte[Limits.KeyBytesMax];
        int length = new CacheKey(prefix).Encode(key, bytes, out isBinary);
        return bytes[..length];
    }
}
