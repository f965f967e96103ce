using System.Text;
using OrleansCache.Conformance;
using OrleansCache.Protocol.Binary;

namespace OrleansCache.Protocol.Tests.Binary;

public sealed class BinaryReplyTests
{
    [Theory]
    [InlineData(BinaryOpcode.Set, CacheStatus.Ok, "01 00 #7 cas")]
    [InlineData(BinaryOpcode.SetQuiet, CacheStatus.Ok, "")]
    [InlineData(BinaryOpcode.SetQuiet, CacheStatus.Exists, "11 02 #7 [Data exists for key.]")]
    [InlineData(BinaryOpcode.Set, CacheStatus.NotFound, "01 01 #7 [Not found]")]
    [InlineData(BinaryOpcode.Set, CacheStatus.TooLarge, "01 03 #7 [Too large.]")]
    [InlineData(BinaryOpcode.Set, CacheStatus.OutOfMemory, "01 82 #7 [Out of memory allocating item]")]
    [InlineData(BinaryOpcode.Set, CacheStatus.Unavailable, "01 86 #7 [why]")]
    [InlineData(BinaryOpcode.Add, CacheStatus.NotStored, "02 02 #7 [Data exists for key.]")]
    [InlineData(BinaryOpcode.AddQuiet, CacheStatus.NotStored, "12 02 #7 [Data exists for key.]")]
    [InlineData(BinaryOpcode.Replace, CacheStatus.NotStored, "03 01 #7 [Not found]")]
    [InlineData(BinaryOpcode.Append, CacheStatus.NotStored, "0e 05 #7 [Not stored.]")]
    [InlineData(BinaryOpcode.PrependQuiet, CacheStatus.NotStored, "1a 05 #7 [Not stored.]")]
    [InlineData(BinaryOpcode.Prepend, CacheStatus.TooLarge, "0f 05 #7 [Not stored.]")]
    [InlineData(BinaryOpcode.Increment, CacheStatus.Ok, "05 00 #7 cas [\0\0\0\0\0\0\0\u0005]")]
    [InlineData(BinaryOpcode.IncrementQuiet, CacheStatus.Ok, "")]
    [InlineData(BinaryOpcode.Decrement, CacheStatus.NotNumeric, "06 06 #7 [Non-numeric server-side value for incr or decr]")]
    [InlineData(BinaryOpcode.Increment, CacheStatus.OutOfMemory, "05 82 #7 [Out of memory incrementing value]")]
    [InlineData(BinaryOpcode.Touch, CacheStatus.Ok, "1c 00 #7 cas ext=00000009")]
    [InlineData(BinaryOpcode.Touch, CacheStatus.NotFound, "1c 01 #7 [Not found]")]
    [InlineData(BinaryOpcode.DeleteQuiet, CacheStatus.NotFound, "14 01 #7 [Not found]")]
    [InlineData(BinaryOpcode.Get, CacheStatus.NotFound, "00 01 #7 [Not found]")]
    public void ResultIsWrittenAsByMemcached(BinaryOpcode opcode, CacheStatus status, string expected)
    {
        byte[] destination = new byte[BinaryReply.ReplyBytesMax];
        var reply = new CacheReply { Status = status, Cas = status == CacheStatus.Ok ? 3ul : 0, Number = 5, ClientFlags = 9, Reason = "why" };
        int written = BinaryReply.WriteResult(destination, opcode, 7, reply);
        Assert.Equal(expected, BinaryPacket.ShowAll(Encoding.Latin1.GetString(destination, 0, written)));
    }

    [Fact]
    public void HeadersAreExactToTheByte()
    {
        byte[] destination = new byte[BinaryReply.ReplyBytesMax];
        int written = BinaryReply.WriteHitHead(destination, BinaryOpcode.GetKey, "key"u8, 0x01020304, 0x10000, 0x05060708, 0x090a0b0c0d0e0f10);
        Assert.Equal("810c000304000000" + "00010007" + "05060708" + "090a0b0c0d0e0f10" + "01020304" + "6b6579",
            Convert.ToHexStringLower(destination.AsSpan(0, written)));
        written = BinaryReply.WriteError(destination, BinaryOpcode.Get, BinaryStatus.KeyNotFound, 1);
        Assert.Equal("8100000000000001" + "00000009" + "00000001" + "0000000000000000" + "4e6f7420666f756e64",
            Convert.ToHexStringLower(destination.AsSpan(0, written)));
    }

    [Fact]
    public void LongReasonsAreCut()
    {
        byte[] destination = new byte[BinaryReply.ReplyBytesMax];
        int written = BinaryReply.WriteFailure(destination, BinaryOpcode.Get, new string('x', 1000), 1);
        Assert.Equal(BinaryReply.ReplyBytesMax, written);
        Assert.Equal(written, BinaryPacket.WholeReply(destination));
    }

    [Fact]
    public void QuietOpcodesStandForLoudOnes()
    {
        foreach (BinaryOpcode opcode in Enum.GetValues<BinaryOpcode>())
        {
            string name = opcode.ToString();
            bool quiet = name.EndsWith("Quiet", StringComparison.Ordinal);
            Assert.Equal(quiet, BinaryOpcodes.IsQuiet(opcode));
            Assert.Equal(quiet ? name[..^5] : name, BinaryOpcodes.WithoutQuiet(opcode).ToString());
        }

        Assert.Equal(BinaryOpcode.Unknown, BinaryOpcodes.WithoutQuiet((BinaryOpcode)0x1f));
        Assert.Equal(BinaryOpcode.Unknown, BinaryOpcodes.WithoutQuiet((BinaryOpcode)0x25));
        Assert.False(BinaryOpcodes.IsQuiet((BinaryOpcode)0x1f));
    }
}
