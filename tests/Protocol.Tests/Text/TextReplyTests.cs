using System.Text;
using OrleansCache.Protocol.Text;

namespace OrleansCache.Protocol.Tests.Text;

public sealed class TextReplyTests
{
    private static string Result(TextVerb verb, CacheStatus status, ulong number = 0, string? reason = null)
    {
        var reply = new CacheReply { Status = status, Number = number, Reason = reason };
        byte[] destination = new byte[TextReply.LineBytesMax];
        return Encoding.Latin1.GetString(destination, 0, TextReply.WriteResult(destination, verb, reply));
    }

    [Theory]
    [InlineData(TextVerb.Set, CacheStatus.Ok, "STORED")]
    [InlineData(TextVerb.Set, CacheStatus.TooLarge, "SERVER_ERROR object too large for cache")]
    [InlineData(TextVerb.Set, CacheStatus.OutOfMemory, "SERVER_ERROR out of memory storing object")]
    [InlineData(TextVerb.Add, CacheStatus.Ok, "STORED")]
    [InlineData(TextVerb.Add, CacheStatus.NotStored, "NOT_STORED")]
    [InlineData(TextVerb.Replace, CacheStatus.NotStored, "NOT_STORED")]
    [InlineData(TextVerb.Append, CacheStatus.Ok, "STORED")]
    [InlineData(TextVerb.Append, CacheStatus.NotStored, "NOT_STORED")]
    [InlineData(TextVerb.Append, CacheStatus.TooLarge, "NOT_STORED")]
    [InlineData(TextVerb.Prepend, CacheStatus.TooLarge, "NOT_STORED")]
    [InlineData(TextVerb.Cas, CacheStatus.Ok, "STORED")]
    [InlineData(TextVerb.Cas, CacheStatus.Exists, "EXISTS")]
    [InlineData(TextVerb.Cas, CacheStatus.NotFound, "NOT_FOUND")]
    [InlineData(TextVerb.Touch, CacheStatus.Ok, "TOUCHED")]
    [InlineData(TextVerb.Touch, CacheStatus.NotFound, "NOT_FOUND")]
    [InlineData(TextVerb.Delete, CacheStatus.Ok, "DELETED")]
    [InlineData(TextVerb.Delete, CacheStatus.NotFound, "NOT_FOUND")]
    [InlineData(TextVerb.Increment, CacheStatus.NotFound, "NOT_FOUND")]
    [InlineData(TextVerb.Increment, CacheStatus.NotNumeric, "CLIENT_ERROR cannot increment or decrement non-numeric value")]
    [InlineData(TextVerb.Decrement, CacheStatus.OutOfMemory, "SERVER_ERROR out of memory")]
    [InlineData(TextVerb.Get, CacheStatus.Unavailable, "SERVER_ERROR partition unavailable")]
    public void EveryStatusHasItsLine(TextVerb verb, CacheStatus status, string expected) => Assert.Equal(expected + "\r\n", Result(verb, status));

    [Theory]
    [InlineData(0UL, "0")]
    [InlineData(10UL, "10")]
    [InlineData(ulong.MaxValue, "18446744073709551615")]
    public void CounterIsItsDecimalNumber(ulong number, string expected)
    {
        Assert.Equal(expected + "\r\n", Result(TextVerb.Increment, CacheStatus.Ok, number));
        Assert.Equal(expected + "\r\n", Result(TextVerb.Decrement, CacheStatus.Ok, number));
    }

    [Theory]
    [InlineData("owner away", "SERVER_ERROR owner away\r\n")]
    [InlineData("a\r\nSTORED\r\n\0\x7f", "SERVER_ERROR a??STORED????\r\n")]
    [InlineData("", "SERVER_ERROR \r\n")]
    public void ReasonOfAnUnavailableOwnerStaysOnItsLine(string reason, string expected) =>
        Assert.Equal(expected, Result(TextVerb.Set, CacheStatus.Unavailable, reason: reason));

    [Theory]
    [InlineData('x')]
    [InlineData('\u00e9')]
    [InlineData('\ud83d')]
    public void LongReasonIsCutToTheLine(char character)
    {
        byte[] destination = new byte[TextReply.LineBytesMax];
        int written = TextReply.WriteServerError(destination, new string(character, 1000));
        Assert.InRange(written, TextReply.LineBytesMax - 4, TextReply.LineBytesMax);
        Assert.Equal((byte)'\n', destination[written - 1]);
        Assert.Equal(written - 1, destination.AsSpan(0, written).IndexOf((byte)'\n'));
        Assert.False(new UTF8Encoding(false, false).GetString(destination, 0, written).Contains('\0', StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("foo", 0u, 0, false, 0ul, "VALUE foo 0 0\r\n")]
    [InlineData("foo", 7u, 12345, false, 9ul, "VALUE foo 7 12345\r\n")]
    [InlineData("foo", uint.MaxValue, int.MaxValue, true, ulong.MaxValue, "VALUE foo 4294967295 2147483647 18446744073709551615\r\n")]
    [InlineData("foo", 0u, 5, true, 0ul, "VALUE foo 0 5 0\r\n")]
    public void ValueHeaderNamesKeyFlagsBytesAndCas(string key, uint flags, int length, bool withCas, ulong cas, string expected)
    {
        byte[] destination = new byte[TextReply.ValueHeaderBytesMax];
        int written = TextReply.WriteValueHeader(destination, Encoding.Latin1.GetBytes(key), flags, length, withCas, cas);
        Assert.Equal(expected, Encoding.Latin1.GetString(destination, 0, written));
    }

    [Fact]
    public void LongestValueHeaderJustFits()
    {
        byte[] destination = new byte[TextReply.ValueHeaderBytesMax];
        Assert.Equal(destination.Length,
            TextReply.WriteValueHeader(destination, new byte[Limits.KeyBytesMax], uint.MaxValue, int.MaxValue, true, ulong.MaxValue));
        Assert.ThrowsAny<ArgumentException>(() =>
            TextReply.WriteValueHeader(destination.AsSpan(1), new byte[Limits.KeyBytesMax], uint.MaxValue, int.MaxValue, true, ulong.MaxValue));
    }

    [Fact]
    public void WritingAllocatesNothing()
    {
        byte[] destination = new byte[TextReply.ValueHeaderBytesMax];
        byte[] key = "foo"u8.ToArray();
        long before = 0;
        for (int i = 0; i < 100_000; i++)
        {
            // The first call may allocate: it compiles.
            if (i == 1)
                before = GC.GetAllocatedBytesForCurrentThread();
            TextReply.WriteValueHeader(destination, key, (uint)i, i, true, (ulong)i);
            TextReply.WriteResult(destination, TextVerb.Increment, new CacheReply { Status = CacheStatus.Ok, Number = (ulong)i });
            TextReply.WriteResult(destination, TextVerb.Set, new CacheReply { Status = CacheStatus.Unavailable, Reason = "owner away" });
        }

        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }
}
