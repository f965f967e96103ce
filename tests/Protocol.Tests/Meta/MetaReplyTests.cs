using OrleansCache.Fuzz;
using OrleansCache.Protocol.Meta;

namespace OrleansCache.Protocol.Tests.Meta;

public sealed class MetaReplyTests
{
    private const uint Now = 1_000_000;

    private static readonly byte[] s_value = "value"u8.ToArray();

    [Theory]
    [InlineData("mg k", "HD")]
    [InlineData("mg k v", "VA 5 +value")]
    [InlineData("mg k s t c f l h O12 k", "HD s5 t30 c77 f7 l10 h1 O12 kk")]
    [InlineData("mg k k Ox v h l f c t s", "VA 5 kk Ox h1 l10 f7 c77 t30 s5 +value")]
    [InlineData("mg k v C77 c", "HD c77")]
    [InlineData("mg k v C78 c", "VA 5 c77 +value")]
    [InlineData("mg k q", "HD")]
    [InlineData("ms k 9 s c k O1", "HD s5 c77 kk O1")]
    [InlineData("ms Zm8= 9 b k", "HD kZm8= b")]
    [InlineData("ms k 9 q s", "")]
    [InlineData("md k k O1 c s t f", "HD kk O1")]
    [InlineData("md k q k", "")]
    [InlineData("ma k t c s f k O", "HD t30 c77 kk O")]
    [InlineData("ma k v t", "VA 20 t30\r\n18446744073709551615")]
    [InlineData("ma k v q", "")]
    [InlineData("me k", "ME k exp=30 la=10 cas=77 fetch=yes cls=3 size=69")]
    public void HitShowsWhatWasAskedForInItsOrder(string line, string expected) =>
        Assert.Equal(expected, Write(line, Item()));

    [Theory]
    [InlineData("mg k v s t c k Oa", CacheStatus.NotFound, "EN kk Oa")]
    [InlineData("mg Zm8= b k", CacheStatus.NotFound, "EN kZm8= b")]
    [InlineData("mg k q k", CacheStatus.NotFound, "")]
    [InlineData("ms k 9 s c k q", CacheStatus.NotStored, "NS s9 c0 kk")]
    [InlineData("ms k 9 q", CacheStatus.Exists, "EX")]
    [InlineData("ms k 9 q c", CacheStatus.NotFound, "NF c0")]
    [InlineData("ms k 9 q", CacheStatus.TooLarge, "SERVER_ERROR object too large for cache")]
    [InlineData("ms k 9 q", CacheStatus.OutOfMemory, "SERVER_ERROR out of memory storing object")]
    [InlineData("md k q Ox", CacheStatus.NotFound, "NF Ox")]
    [InlineData("md k q", CacheStatus.Exists, "EX")]
    [InlineData("ma k q v t c Ox", CacheStatus.NotFound, "NF Ox")]
    [InlineData("ma k v", CacheStatus.Exists, "EX")]
    [InlineData("ma k q", CacheStatus.NotNumeric, "CLIENT_ERROR cannot increment or decrement non-numeric value")]
    [InlineData("ma k", CacheStatus.OutOfMemory, "SERVER_ERROR out of memory")]
    [InlineData("mg k q", CacheStatus.Unavailable, "SERVER_ERROR nobody answers")]
    [InlineData("me k", CacheStatus.NotFound, "EN")]
    [InlineData("me k q Ox k", CacheStatus.NotFound, "EN")]
    public void FailureShowsKeyAndOpaqueAndBreaksTheSilence(string line, CacheStatus status, string expected) =>
        Assert.Equal(expected, Write(line, new CacheReply { Status = status, Reason = "nobody answers" }));

    [Theory]
    [InlineData(ItemFlags.Won, "HD t30 W")]
    [InlineData(ItemFlags.AlreadyWon, "HD t30 Z")]
    [InlineData(ItemFlags.Stale | ItemFlags.Won, "HD t30 X W")]
    [InlineData(ItemFlags.Stale | ItemFlags.AlreadyWon, "HD t30 Z X")]
    public void MarksStandAtTheEnd(ItemFlags flags, string expected)
    {
        CacheReply reply = Item();
        reply.ItemFlags = flags;
        Assert.Equal(expected, Write("mg k t", reply));
    }

    [Fact]
    public void ItemStoredWithAKeyInBase64ShowsItSo()
    {
        CacheReply reply = Item();
        reply.ItemFlags = ItemFlags.BinaryKey;
        Assert.Equal("HD kZm9v b", Write("mg foo k", reply));
        Assert.Equal("ME Zm9v exp=30 la=10 cas=77 fetch=no cls=3 size=71", Write("me foo", reply));
        Assert.Equal("HD kfoo", Write("mg Zm9v b k", Item()));
    }

    // memcached would send the key as it is, line feeds and all.
    [Fact]
    public void KeyThatWouldBreakTheLineIsShownInBase64()
    {
        Assert.Equal("HD kYSBi b", Write("mg YSBi b k", Item()));
        Assert.Equal("HD kYQpi b", Write("mg YQpi b k", Item()));
    }

    [Fact]
    public void TimesNeverGoBelowZero()
    {
        CacheReply reply = Item();
        reply.ExpiresAt = Expiry.Immediately;
        reply.LastAccess = Now + 5;
        Assert.Equal("HD t0 l0", Write("mg k t l", reply));
        reply.ExpiresAt = Expiry.Never;
        Assert.Equal("HD t-1 l0", Write("mg k t l", reply));
    }

    [Fact]
    public void LongestReplyFits()
    {
        string key = Convert.ToBase64String(new byte[186]);
        CacheReply reply = new()
        {
            Status = CacheStatus.Ok, ItemFlags = (ItemFlags)0xFF & ~ItemFlags.Created, ClientFlags = uint.MaxValue, ExpiresAt = uint.MaxValue,
            Cas = ulong.MaxValue,
            Value = ValueView.OfLength(int.MaxValue),
        };
        string text = Write($"mg {key} b v s t c f l h k O{new string('o', 31)}", reply);
        Assert.EndsWith(" b O" + new string('o', 31) + " Z X W +", text, StringComparison.Ordinal);
        Assert.InRange(text.Length, 300, MetaReply.LineBytesMax);
    }

    private static CacheReply Item() => new()
    {
        Status = CacheStatus.Ok,
        ItemFlags = ItemFlags.Fetched,
        ClientFlags = 7,
        ExpiresAt = Now + 30,
        LastAccess = Now - 10,
        Cas = 77,
        Number = ulong.MaxValue,
        SlabClass = 3,
        Value = new ValueView(s_value),
    };

    /// <summary>The line without its end; " +value" if the caller is to write it.</summary>
    private static string Write(string line, CacheReply reply)
    {
        byte[] key = new byte[Limits.KeyBytesMax];
        Assert.True(MetaParser.TryParse(ParseResult.Bytes(line), ParseResult.DefaultLimits, key, out MetaCommand command));
        byte[] target = new byte[MetaReply.LineBytesMax];
        int written = MetaReply.WriteLine(target, new MetaReplyForm(command), command.Key, reply, Now, out bool valueFollows);
        string text = ParseResult.Text(target.AsSpan(0, written));
        Assert.True(text.Length == 0 || text.EndsWith("\r\n", StringComparison.Ordinal));
        return (text.Length == 0 ? text : text[..^2]) + (valueFollows ? " +" + (reply.Value.HasBytes ? ParseResult.Text(reply.Value.Span) : "") : "");
    }
}
