using OrleansCache.Protocol.Text;
using static OrleansCache.Protocol.Tests.Text.ParseResult;

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
}
