using OrleansCache.Protocol.Text;
using static OrleansCache.Fuzz.ParseResult;

namespace OrleansCache.Protocol.Tests.Text;

public sealed class TextParserTests
{
    public static TheoryData<string, string> Table()
    {
        var data = new TheoryData<string, string>();
        foreach ((string line, string expected) in CommandTable.Rows)
            data.Add(line, expected);
        return data;
    }

    [Theory]
    [MemberData(nameof(Table))]
    public void LineMeansWhatItMeansInMemcached(string line, string expected)
    {
        line = CommandTable.Expand(line);
        expected = CommandTable.Expand(expected);
        Assert.Equal(expected, Of(Bytes(line + "\r\n"), DefaultLimits, out int consumed));
        Assert.Equal(line.Length + 2, consumed);
    }

    // A line feed alone ends a line too; but then a line of three letters is too short for memcached even to look at, and one that ends in CR loses it.
    [Theory]
    [MemberData(nameof(Table))]
    public void BareLineFeedEndsALine(string line, string expected)
    {
        line = CommandTable.Expand(line);
        if (line.Length < 3)
            expected = CommandTable.BadFormat;
        if (line.EndsWith('\r'))
            return;
        Assert.Equal(CommandTable.Expand(expected), Of(Bytes(line + "\n"), DefaultLimits, out int consumed));
        Assert.Equal(line.Length + 1, consumed);
    }

    [Theory]
    [MemberData(nameof(Table))]
    public void EveryCutNeedsMoreAndThenParsesAlike(string line, string expected)
    {
        byte[] input = Bytes(CommandTable.Expand(line) + "\r\n");
        for (int cut = 0; cut < input.Length; cut++)
        {
            Assert.Equal("more", Of(input.AsSpan(0, cut), DefaultLimits, out int consumed));
            Assert.Equal(0, consumed);

            TextParseStatus status = TextParser.Parse(input, cut, DefaultLimits, out TextCommand command, out consumed);
            Assert.Equal(CommandTable.Expand(expected), Describe(status, command));
            Assert.Equal(input.Length, consumed);
        }
    }

    [Theory]
    [MemberData(nameof(Table))]
    public void WhatFollowsTheLineDoesNotMatter(string line, string expected)
    {
        byte[] input = Bytes(CommandTable.Expand(line) + "\r\n");
        foreach (string rest in new[] { "\n", "\r\n", "get x\r\n", "9", " noreply\r\n" })
        {
            Assert.Equal(CommandTable.Expand(expected), Of([.. input, .. Bytes(rest)], DefaultLimits, out int consumed));
            Assert.Equal(input.Length, consumed);
        }
    }

    [Fact]
    public void LineWithoutEndIsClosedBehind2048BytesUnlessItIsAGet()
    {
        foreach (string start in new[] { "set k", "gat 0 k", "ge", "getx ", "get\t", "", "delete ", "   gat " })
        {
            Assert.Equal("more", Of(start.PadRight(2048, 'x')));
            Assert.Equal("close", Of(start.PadRight(2049, 'x')));
        }

        foreach (string start in new[] { "get k", "gets k", "   get k", new string(' ', 100) + "get k" })
            Assert.Equal("more", Of(start.PadRight(100_000, 'x')));
        Assert.Equal("close", Of((new string(' ', 101) + "get k").PadRight(2049, 'x')));
        Assert.Equal("close", Of(new string(' ', 2049)));
        Assert.Equal("more", Of(new string(' ', 2048)));
    }

    [Fact]
    public void LongLineThatArrivedWholeIsParsed()
    {
        string keys = string.Concat(Enumerable.Range(0, 1000).Select(i => $" key{i}"));
        string expected = string.Concat(Enumerable.Range(0, 1000).Select(i => $"[key{i}]"));
        Assert.Equal("Get" + expected, Of($"get{keys}\r\n"));
        Assert.Equal("Gats exptime=5" + expected, Of($"gats 5{keys}\r\n"));
        Assert.Equal("ERROR", Of($"delete k{keys}\r\n"));
    }

    [Fact]
    public void GetLineBeyond64KiBHasAllItsKeys()
    {
        string keys = string.Concat(Enumerable.Repeat(" " + new string('k', 249), 1000));
        byte[] input = Bytes($"get{keys}\r\n");
        Assert.Equal(TextParseStatus.Command, TextParser.Parse(input, DefaultLimits, out TextCommand command, out int consumed));
        Assert.Equal(input.Length, consumed);
        int count = 0;
        ReadOnlySpan<byte> rest = command.Keys;
        while (TextParser.TryReadKey(ref rest, out ReadOnlySpan<byte> key))
        {
            Assert.Equal(249, key.Length);
            count++;
        }

        Assert.Equal(1000, count);
    }

    // Only the first 65,533 bytes are cut into tokens: a first key behind them is none.
    [Fact]
    public void FirstKeyMustBeginInTheFirst64KiB()
    {
        Assert.Equal("Get[k]", Of("get" + new string(' ', 65_529) + "k\r\n"));
        Assert.Equal(CommandTable.BadFormat, Of("get" + new string(' ', 65_530) + "k\r\n"));
        Assert.Equal(CommandTable.BadFormat, Of("delete" + new string(' ', 65_530) + "k\r\n"));
    }

    [Fact]
    public void GetLineBeyondTheLimitIsRefusedAndClosesTheConnection()
    {
        const string refused = "SERVER_ERROR out of memory reading request close";
        byte[] input = new byte[Limits.GetLineBytesMax + 1];
        input.AsSpan().Fill((byte)'k');
        "get "u8.CopyTo(input);
        Assert.Equal("more", Of(input.AsSpan(0, Limits.GetLineBytesMax - 1)));
        Assert.Equal(refused, Of(input.AsSpan(0, Limits.GetLineBytesMax)));
        input[^1] = (byte)'\n';
        Assert.Equal(refused, Of(input));
    }

    [Fact]
    public void LongGetLineInPiecesIsSearchedOnce()
    {
        byte[] input = Bytes("get " + string.Concat(Enumerable.Repeat("k ", 2000)) + "\r\n");
        for (int length = 1; length < input.Length; length++)
            Assert.Equal(TextParseStatus.NeedMore, TextParser.Parse(input.AsSpan(0, length), length - 1, DefaultLimits, out _, out _));

        // What was scanned before is not looked at again: a line feed there stays unseen.
        Assert.Equal(TextParseStatus.NeedMore, TextParser.Parse("get a\nget b"u8, 6, DefaultLimits, out _, out _));
        Assert.Equal(TextParseStatus.Command, TextParser.Parse(input, input.Length - 1, DefaultLimits, out _, out int consumed));
        Assert.Equal(input.Length, consumed);
    }

    [Fact]
    public void ItemLimitIsTheOptions()
    {
        var limits = new TextLimits(2048);
        Assert.Equal("Set[k] flags=0 exptime=0 bytes=1988", Of("set k 0 0 1988\r\n"u8, limits, out _));
        Assert.Equal("SERVER_ERROR object too large for cache swallow=1991 delete=k", Of("set k 0 0 1989\r\n"u8, limits, out _));
    }

    [Theory]
    [InlineData("flush_all", "CLIENT_ERROR flush_all not allowed")]
    [InlineData("flush_all abc", "CLIENT_ERROR flush_all not allowed")]
    [InlineData("flush_all noreply", CommandTable.Silent)]
    public void WithoutFlushFlushAllIsRefused(string line, string expected) =>
        Assert.Equal(expected, Of(Bytes(line + "\r\n"), new TextLimits(Limits.ItemBytesDefault, FlushEnabled: false), out _));

    [Fact]
    public void PipelinedCommandsAreReadOneByOne()
    {
        ReadOnlySpan<byte> input = "get a\r\nincr b 1\nversion\r\n\r\nquit\r\nge"u8;
        string[] expected = ["Get[a]", "Increment[b] delta=1", "Version", CommandTable.BadFormat, "Quit", "more"];
        foreach (string one in expected)
        {
            Assert.Equal(one, Of(input, DefaultLimits, out int consumed));
            input = input[consumed..];
        }

        Assert.Equal(2, input.Length);
    }

    [Fact]
    public void KeysAreTakenOneByOneUntilNoneIsLeft()
    {
        ReadOnlySpan<byte> keys = "  a  bc "u8;
        Assert.True(TextParser.TryReadKey(ref keys, out ReadOnlySpan<byte> key));
        Assert.Equal("a"u8, key);
        Assert.True(TextParser.TryReadKey(ref keys, out key));
        Assert.Equal("bc"u8, key);
        Assert.False(TextParser.TryReadKey(ref keys, out key));
        Assert.True(key.IsEmpty);
        Assert.False(TextParser.TryReadKey(ref keys, out _));
    }

    [Fact]
    public void ParsingAllocatesNothing()
    {
        byte[][] inputs = CommandTable.Rows.Select(row => Bytes(CommandTable.Expand(row.Line) + "\r\n")).ToArray();
        int parsed = 0;
        List<long> rounds = new(100_000);
        while (parsed < 100_000)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            foreach (byte[] input in inputs)
            {
                TextParser.Parse(input, DefaultLimits, out TextCommand command, out int consumed);
                ReadOnlySpan<byte> keys = command.Keys;
                while (TextParser.TryReadKey(ref keys, out _))
                    consumed++;
                parsed += consumed > 0 ? 1 : 0;
            }

            rounds.Add(GC.GetAllocatedBytesForCurrentThread() - before);
        }

        // The runtime allocates where it compiles anew, whenever that is; a parser that does, does it in every round.
        Assert.True(rounds.Count > 100, $"{rounds.Count} rounds");
        Assert.Equal(0, rounds.Min());
    }
}
