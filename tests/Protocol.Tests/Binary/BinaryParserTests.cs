using System.Globalization;
using System.Text;
using OrleansCache.Conformance;
using OrleansCache.Protocol.Binary;
using OrleansCache.Protocol.Text;
using static OrleansCache.Conformance.BinaryPacket;

namespace OrleansCache.Protocol.Tests.Binary;

public sealed class BinaryParserTests
{
    private const string Closes = "error InvalidArguments closes";
    private static readonly string s_longKey = new('L', 250);
    private static readonly string s_tooLongKey = new('T', 251);

    /// <summary>Packets and what memcached 1.6.45 makes of them: name, packet, meaning.</summary>
    private static readonly (string Name, string Packet, string Meaning)[] s_rows =
    [
        ("get", Of(Get, "k"), "Get Get key=k"),
        ("get with a long key", Of(Get, s_longKey), "Get Get key=" + s_longKey),
        ("get with any bytes", Of(Get, "a b\r\n\0\u00ff"), "Get Get key=a b\r\n\0\u00ff"),
        ("get quiet", Of(GetQ, "k"), "GetQuiet Get key=k"),
        ("getk", Of(GetK, "k"), "GetKey GetKey key=k"),
        ("getkq", Of(GetKQ, "k"), "GetKeyQuiet GetKey key=k"),
        ("get without a key", Of(Get), Closes),
        ("get with extras", Of(Get, "k", "\0\0\0\0"), Closes),
        ("get with a value", Of(Get, "k", "", "v"), Closes),
        ("get with a key that is too long", Of(Get, s_tooLongKey), Closes),
        ("set", Store(Set, "k", "hello", 5, 100), "Set Set key=k value=5 flags=5 exptime=100"),
        ("set with a cas", Store(Set, "k", "hello", cas: 77), "Set Set cas=77 key=k value=5"),
        ("set empty", Store(Set, "k", ""), "Set Set key=k"),
        ("setq", Store(SetQ, "k", "v"), "SetQuiet Set key=k value=1"),
        ("add", Store(Add, "k", "v"), "Add Add key=k value=1"),
        ("addq", Store(AddQ, "k", "v"), "AddQuiet Add key=k value=1"),
        ("replace", Store(Replace, "k", "v"), "Replace Replace key=k value=1"),
        ("replaceq", Store(ReplaceQ, "k", "v"), "ReplaceQuiet Replace key=k value=1"),
        ("set with the latest expiry", Store(Set, "k", "v", uint.MaxValue, uint.MaxValue), "Set Set key=k value=1 flags=4294967295 exptime=4294967295"),
        ("set without extras", Of(Set, "k", "", "v"), Closes),
        ("set with short extras", Of(Set, "k", "\0\0\0\0", "v"), Closes),
        ("set with long extras", Of(Set, "k", "\0\0\0\0\0\0\0\0\0", "v"), Closes),
        ("set without a key", Store(Set, "", "v"), Closes),
        ("setq without a key", Store(SetQ, "", "v"), Closes),
        ("set with a key that is too long", Store(Set, s_tooLongKey, "v"), Closes),
        ("append", Of(Append, "k", "", "v"), "Append Append key=k value=1"),
        ("appendq", Of(AppendQ, "k", "", "v"), "AppendQuiet Append key=k value=1"),
        ("prepend", Of(Prepend, "k", "", "v", cas: 3), "Prepend Prepend cas=3 key=k value=1"),
        ("prependq", Of(PrependQ, "k"), "PrependQuiet Prepend key=k"),
        ("append with extras", Of(Append, "k", "\0\0\0\0\0\0\0\0", "v"), Closes),
        ("append without a key", Of(Append, "", "", "v"), Closes),
        ("delete", Of(Delete, "k", cas: 9), "Delete Delete cas=9 key=k"),
        ("deleteq", Of(DeleteQ, "k"), "DeleteQuiet Delete key=k"),
        ("delete with a value", Of(Delete, "k", "", "v"), Closes),
        ("delete without a key", Of(Delete), Closes),
        ("incr", Count(Increment, "k", 1, 2, 3), "Increment Increment key=k exptime=3 delta=1 initial=2"),
        ("incrq", Count(IncrementQ, "k", 1, 2, uint.MaxValue), "IncrementQuiet Increment key=k exptime=4294967295 delta=1 initial=2"),
        ("decr", Count(Decrement, "k", ulong.MaxValue), "Decrement Decrement key=k delta=18446744073709551615"),
        ("decrq", Count(DecrementQ, "k", 1), "DecrementQuiet Decrement key=k delta=1"),
        ("incr without extras", Of(Increment, "k"), Closes),
        ("incr with a value", Of(Increment, "k", new string('\0', 20), "v"), Closes),
        ("incr without a key", Of(Increment, "", new string('\0', 20)), Closes),
        ("touch", TouchTo(Touch, "k", 60), "Touch Touch key=k exptime=60"),
        ("gat", TouchTo(Gat, "k", 60), "GetAndTouch GetAndTouch key=k exptime=60"),
        ("gatq", TouchTo(GatQ, "k", 60), "GetAndTouchQuiet GetAndTouch key=k exptime=60"),
        ("gatk", TouchTo(GatK, "k", 60), "GetKeyAndTouch GetKeyAndTouch key=k exptime=60"),
        ("gatkq", TouchTo(GatKQ, "k", 60), "GetKeyAndTouchQuiet GetKeyAndTouch key=k exptime=60"),
        ("touch without extras", Of(Touch, "k"), Closes),
        ("touch without a key", TouchTo(Touch, "", 60), Closes),
        ("noop", Of(NoOp), "NoOp NoOp"),
        ("noop with a body", Of(NoOp, "", "", "v"), Closes),
        ("version", Of(BinaryPacket.Version), "Version Version"),
        ("version with a key", Of(BinaryPacket.Version, "k"), Closes),
        ("quit", Of(Quit), "Quit Quit"),
        ("quitq", Of(QuitQ), "QuitQuiet Quit"),
        ("quit with extras", Of(Quit, "", "e"), Closes),
        ("flush", Of(Flush), "Flush Flush"),
        ("flush later", Of(Flush, "", Number(7u)), "Flush Flush exptime=7"),
        ("flushq", Of(FlushQ), "FlushQuiet Flush"),
        ("flush with wrong extras", Of(Flush, "", "\0\0"), Closes),
        ("flush with a key", Of(Flush, "k"), Closes),
        ("flush with a value", Of(Flush, "", "", "v"), Closes),
        ("stat", Of(Stat), "Stat Stat"),
        ("stat items", Of(Stat, "items"), "Stat Stat key=items"),
        ("stat with extras", Of(Stat, "items", "e"), Closes),
        ("verbosity", Of(Verbosity, "", Number(1u)), "Verbosity Verbosity exptime=1"),
        ("verbosity without a level", Of(Verbosity), Closes),
        ("unknown", Of(0x50), "error UnknownCommand"),
        ("unknown with a value", Of(0x1f, "", "", "value"), "error UnknownCommand swallow=5"),
        ("unknown with everything", Of(0xff, "key", "ext", "value"), "error UnknownCommand swallow=5"),
        ("sasl list", Of(SaslList), "error UnknownCommand"),
        ("sasl auth", Of(SaslAuth, "PLAIN", "", "\0u\0p"), "error UnknownCommand swallow=4"),
        ("sasl step", Of(SaslStep, "PLAIN"), "error UnknownCommand"),
        ("sasl auth without a mechanism", Of(SaslAuth, "", "", "\0u\0p"), Closes),
        ("sasl list with a body", Of(SaslList, "k"), Closes),
        ("key longer than the body", Of(Get, "key", bodyLength: 2), "error UnknownCommand closes"),
        ("key and extras longer than the body", Store(Set, "key", "").Replace("\0\0\0\u000b", "\0\0\0\u000a", StringComparison.Ordinal),
            "error UnknownCommand closes"),
        ("2 GiB announced", Of(Set, "k", "\0\0\0\0\0\0\0\0", bodyLength: 0x7fffffff), Closes),
        ("4 GiB announced", Of(0x50, bodyLength: 0xffffffff), Closes),
        ("1 GiB and a byte announced", Of(Get, "k", bodyLength: (1u << 30) + 1), Closes),
        ("1 GiB announced", Of(Set, "k", "\0\0\0\0\0\0\0\0", bodyLength: 1u << 30), "error TooLarge swallow=1073741815 deletes"),
        ("a value that just fits", Of(Set, "k", "\0\0\0\0\0\0\0\0", bodyLength: 9 + 1048516), "Set Set key=k value=1048516"),
        ("a value that is too large", Of(Set, "k", "\0\0\0\0\0\0\0\0", bodyLength: 9 + 1048517), "error TooLarge swallow=1048517 deletes"),
        ("the same with flags", Of(Set, "k", "\0\0\0\u0001\0\0\0\0", bodyLength: 9 + 1048513), "error TooLarge swallow=1048513 deletes"),
        ("the same quiet, with a cas", Of(SetQ, "k", "\0\0\0\0\0\0\0\0", bodyLength: 9 + 1048517, cas: 5), "error TooLarge swallow=1048517 deletes"),
        ("an add that is too large", Of(Add, "k", "\0\0\0\0\0\0\0\0", bodyLength: 9 + 1048517), "error TooLarge swallow=1048517"),
        ("an append that is too large", Of(Append, "k", bodyLength: 1 + 1048517), "error TooLarge swallow=1048517"),
    ];

    public static TheoryData<string> Names => new(s_rows.Select(row => row.Name));

    [Theory]
    [MemberData(nameof(Names))]
    public void PacketMeansWhatItMeansInMemcached(string name)
    {
        (_, string packet, string meaning) = Row(name);
        byte[] input = Encoding.Latin1.GetBytes(packet);
        Assert.Equal(meaning, Parse(input, out int consumed));
        Assert.Equal(HeadLength(input), consumed);
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void EveryCutOfTheHeadNeedsMore(string name)
    {
        byte[] input = Encoding.Latin1.GetBytes(Row(name).Packet);
        for (int cut = 0; cut < HeadLength(input); cut++)
        {
            Assert.Equal("more", Parse(input.AsSpan(0, cut), out int consumed));
            Assert.Equal(0, consumed);
            Assert.InRange(BinaryParser.HeadBytes(input.AsSpan(0, cut)), cut + 1, HeadLength(input));
        }
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void WhatFollowsTheHeadDoesNotMatter(string name)
    {
        (_, string packet, string meaning) = Row(name);
        byte[] input = Encoding.Latin1.GetBytes(packet);
        Assert.Equal(meaning, Parse(input.AsSpan(0, HeadLength(input)), out _));
        Assert.Equal(meaning, Parse([.. input, .. "get k\r\n"u8], out _));
    }

    [Theory]
    [InlineData(0x81)]
    [InlineData(0)]
    [InlineData('g')]
    public void OtherFirstBytesClose(byte magic)
    {
        Assert.Equal("close", Parse([magic], out _));
        Assert.Equal("close", Parse(Encoding.Latin1.GetBytes(Of(Get, "k", magic: magic)), out int consumed));
        Assert.Equal(0, consumed);
    }

    [Fact]
    public void DataTypeAndReservedFieldAreNotLookedAt()
    {
        byte[] input = Encoding.Latin1.GetBytes(Of(Get, "k", opaque: 0x01020304));
        (input[5], input[6], input[7]) = (1, 2, 3);
        Assert.Equal(BinaryParseStatus.Command, BinaryParser.Parse(input, new TextLimits(1 << 20), BinaryAccess.Open, out BinaryCommand command, out _));
        Assert.Equal(0x01020304u, command.Opaque);
    }

    [Fact]
    public void FlushIsRefusedWhereItIsDisabled() =>
        Assert.Equal("error AuthError", Parse(Encoding.Latin1.GetBytes(Of(FlushQ, "", Number(1u))), out _, new TextLimits(1 << 20, FlushEnabled: false)));

    [Fact]
    public void BeforeAuthenticationOnlyThatAndTheVersionAreAllowed()
    {
        for (int opcode = 0; opcode < 256; opcode++)
        {
            string meaning = Parse(Encoding.Latin1.GetBytes(Of((byte)opcode)), out _, access: BinaryAccess.Locked);
            string expected = (byte)opcode switch
            {
                SaslList => "SaslListMechanisms SaslListMechanisms",
                SaslAuth or SaslStep => Closes,
                BinaryPacket.Version => "Version Version",
                _ => "error AuthError closes",
            };
            Assert.Equal(expected, meaning);
        }
    }

    [Theory]
    [InlineData(BinaryAccess.Locked)]
    [InlineData(BinaryAccess.Unlocked)]
    public void AuthenticationIsReadWhereItIsWanted(BinaryAccess access)
    {
        Assert.Equal("SaslAuthenticate SaslAuthenticate key=PLAIN value=4",
            Parse(Encoding.Latin1.GetBytes(Of(SaslAuth, "PLAIN", "", "\0u\0p")), out _, access: access));
        Assert.Equal("SaslStep SaslStep key=PLAIN value=4", Parse(Encoding.Latin1.GetBytes(Of(SaslStep, "PLAIN", "", "\0u\0p")), out _, access: access));
        Assert.Equal("error InvalidArguments swallow=4",
            Parse(Encoding.Latin1.GetBytes(Of(SaslAuth, new string('M', 33), "", "\0u\0p")), out _, access: access));
        Assert.Equal("error OutOfMemory swallow=100000",
            Parse(Encoding.Latin1.GetBytes(Of(SaslAuth, "PLAIN", "", new string('p', 100_000))), out _, access: access));
    }

    [Fact]
    public void RandomBytesNeverThrowAndNeverConsumeMoreThanTheyAre()
    {
        int seed = TestSeed.Next();
        var random = new Random(seed);
        byte[] input = new byte[400];
        for (int i = 0; i < 100_000; i++)
        {
            random.NextBytes(input);
            input[0] = 0x80;
            input[2] = (byte)random.Next(2);
            if (random.Next(2) == 0)
                (input[8], input[9], input[10]) = (0, 0, (byte)random.Next(2));
            int length = random.Next(input.Length);
            BinaryParseStatus status = BinaryParser.Parse(input.AsSpan(0, length), new TextLimits(1 << 20), (BinaryAccess)random.Next(3),
                out BinaryCommand command, out int consumed);
            Assert.True(consumed <= length, $"seed {seed}");
            if (status == BinaryParseStatus.Command)
                Assert.True(command.ValueLength >= 0 && command.Key.Length <= 250 && command.Verb != BinaryOpcode.Unknown, $"seed {seed}");
        }
    }

    private static (string Name, string Packet, string Meaning) Row(string name) => s_rows.Single(row => row.Name == name);

    private static int HeadLength(byte[] packet) => 24 + packet[4] + (packet[2] << 8) + packet[3];

    private static string Parse(ReadOnlySpan<byte> input, out int consumed, TextLimits? limits = null, BinaryAccess access = BinaryAccess.Open)
    {
        BinaryParseStatus status = BinaryParser.Parse(input, limits ?? new TextLimits(1 << 20), access, out BinaryCommand command, out consumed);
        var text = new StringBuilder();
        switch (status)
        {
            case BinaryParseStatus.NeedMore:
                return "more";
            case BinaryParseStatus.Close:
                return "close";
            case BinaryParseStatus.Error:
                text.Append("error ").Append(command.Error);
                Add("swallow", (ulong)command.SwallowBytes);
                text.Append(command.CloseAfterError ? " closes" : "").Append(command.DeleteKeyOnError ? " deletes" : "");
                return text.ToString();
        }

        text.Append(command.Opcode).Append(' ').Append(command.Verb);
        Add("cas", command.Cas);
        if (!command.Key.IsEmpty)
            text.Append(" key=").Append(Encoding.Latin1.GetString(command.Key));
        Add("value", (ulong)command.ValueLength);
        Add("flags", command.ClientFlags);
        Add("exptime", command.Exptime);
        Add("delta", command.Delta);
        Add("initial", command.InitialValue);
        return text.ToString();

        void Add(string name, ulong number)
        {
            if (number != 0)
                text.Append(CultureInfo.InvariantCulture, $" {name}={number}");
        }
    }
}
