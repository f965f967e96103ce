using System.Text;
using OrleansCache.Protocol.Meta;
using OrleansCache.Protocol.Text;

namespace OrleansCache.Protocol.Tests.Meta;

/// <summary>What a client writes is what the server reads, and the other way round.</summary>
public sealed class MetaClientSideTests
{
    private static readonly TextLimits s_limits = new() { ItemBytesMax = Limits.ItemBytesDefault };

    [Theory]
    [InlineData(true, null, "key")]
    [InlineData(false, 0L, "key")]
    [InlineData(true, 2_000_000_000L, "key")]
    public void TheServerReadsAGet(bool withValue, long? exptime, string key)
    {
        byte[] buffer = new byte[MetaRequest.LineBytesMax];
        int length = MetaRequest.WriteGet(buffer, Encoding.ASCII.GetBytes(key), isBase64: false, withValue, exptime);
        MetaCommand command = Parse(buffer.AsSpan(0, length));
        Assert.Equal(MetaVerb.Get, command.Verb);
        Assert.Equal(key, Encoding.ASCII.GetString(command.Key));
        Assert.Equal(withValue, command.Has(MetaFlags.Value));
        Assert.Equal("ft", command.Returns.ToString());
        Assert.Equal(exptime is not null, command.Has(MetaFlags.Touch));
        Assert.Equal(exptime ?? 0, command.Exptime);

        // The time to live is the one from before.
        Assert.False(command.Has(MetaFlags.TtlBehindTouch));
    }

    [Fact]
    public void TheServerReadsASetAndADeleteOfTheLongestKeys()
    {
        byte[] buffer = new byte[MetaRequest.LineBytesMax];
        byte[] plain = Encoding.ASCII.GetBytes(new string('k', Limits.KeyBytesMax));
        int length = MetaRequest.WriteSet(buffer, plain, isBase64: false, 1000, uint.MaxValue, int.MaxValue);
        MetaCommand command = Parse(buffer.AsSpan(0, length));
        Assert.Equal(MetaVerb.Set, command.Verb);
        Assert.Equal(plain, command.Key.ToArray());
        Assert.Equal(1000, command.ValueLength);
        Assert.Equal(uint.MaxValue, command.ClientFlags);
        Assert.Equal(int.MaxValue, command.Exptime);

        byte[] binary = [.. Enumerable.Range(0, MetaRequest.BinaryKeyBytesMax).Select(i => (byte)i)];
        byte[] wireKey = new byte[Limits.KeyBytesMax];
        int wireBytes = MetaRequest.EncodeKey(binary, wireKey);
        length = MetaRequest.WriteDelete(buffer, wireKey.AsSpan(0, wireBytes), isBase64: true);
        command = Parse(buffer.AsSpan(0, length));
        Assert.Equal(MetaVerb.Delete, command.Verb);
        Assert.True(command.Has(MetaFlags.BinaryKey));
        Assert.Equal(binary, command.Key.ToArray());
    }

    [Theory]
    [InlineData("HD\r\n", MetaReplyKind.Done, 0u, -1)]
    [InlineData("HD f4294967295 t0\r\n", MetaReplyKind.Done, uint.MaxValue, 0)]
    [InlineData("HD f1 t-1 W Z X kabc O1\r\n", MetaReplyKind.Done, 1u, -1)]
    [InlineData("EN\r\n", MetaReplyKind.NotFound, 0u, -1)]
    [InlineData("NF kx\r\n", MetaReplyKind.NotFound, 0u, -1)]
    [InlineData("NS\r\n", MetaReplyKind.NotStored, 0u, -1)]
    [InlineData("EX\r\n", MetaReplyKind.Exists, 0u, -1)]
    [InlineData("MN\r\n", MetaReplyKind.NoOp, 0u, -1)]
    [InlineData("ERROR\r\n", MetaReplyKind.Error, 0u, -1)]
    [InlineData("END\r\n", MetaReplyKind.Other, 0u, -1)]
    [InlineData("STORED\r\n", MetaReplyKind.Other, 0u, -1)]
    public void ALineIsReadWhereverItIsSplit(string text, MetaReplyKind kind, uint flags, long secondsToLive)
    {
        byte[] input = Encoding.ASCII.GetBytes(text);
        for (int length = 0; length < input.Length; length++)
            Assert.Equal(0, MetaReplyLine.Read(input.AsSpan(0, length), out _));
        Assert.Equal(input.Length, MetaReplyLine.Read([.. input, .. "HD\r\n"u8], out MetaReplyLine line));
        Assert.Equal(kind, line.Kind);
        Assert.Equal(flags, line.ClientFlags);
        Assert.Equal(secondsToLive, line.SecondsToLive);
    }

    [Theory]
    [InlineData("VA 5 f3 t77\r\n", 5)]
    [InlineData("VA 0\r\n", 0)]
    [InlineData("VA 1073741824 s1\r\n", 1 << 30)]
    public void AValueIsAnnounced(string text, int bytes)
    {
        Assert.Equal(text.Length, MetaReplyLine.Read(Encoding.ASCII.GetBytes(text), out MetaReplyLine line));
        Assert.Equal(MetaReplyKind.Value, line.Kind);
        Assert.Equal(bytes, line.ValueBytes);
    }

    [Theory]
    [InlineData("SERVER_ERROR object too large for cache\r\n", MetaReplyKind.ServerError, "object too large for cache")]
    [InlineData("CLIENT_ERROR bad data chunk\r\n", MetaReplyKind.ClientError, "bad data chunk")]
    public void AnErrorHasItsReason(string text, MetaReplyKind kind, string reason)
    {
        MetaReplyLine.Read(Encoding.ASCII.GetBytes(text), out MetaReplyLine line);
        Assert.Equal(kind, line.Kind);
        Assert.Equal(reason, Encoding.ASCII.GetString(line.Text));
    }

    [Theory]
    [InlineData("\n")]
    [InlineData("\r\n")]
    [InlineData("HD\n")]
    [InlineData("VA\r\n")]
    [InlineData("VA x\r\n")]
    [InlineData("VA -1\r\n")]
    [InlineData("VA 99999999999\r\n")]
    [InlineData("VA 5x\r\n")]
    [InlineData("HD fx\r\n")]
    [InlineData("HD t\r\n")]
    public void DamageIsFound(string text) => Assert.Throws<InvalidDataException>(() => MetaReplyLine.Read(Encoding.ASCII.GetBytes(text), out _));

    [Fact]
    public void ALineWithoutEndIsDamage() => Assert.Throws<InvalidDataException>(() => MetaReplyLine.Read(new byte[MetaReplyLine.BytesMax], out _));

    private static MetaCommand Parse(ReadOnlySpan<byte> line)
    {
        Assert.True(line.EndsWith("\r\n"u8));
        Assert.True(MetaParser.TryParse(line[..^2].ToArray(), s_limits, new byte[Limits.KeyBytesMax], out MetaCommand command));
        return command;
    }
}
