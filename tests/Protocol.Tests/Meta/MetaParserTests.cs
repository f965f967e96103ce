using System.Diagnostics;
using System.Globalization;
using OrleansCache.Fuzz;
using OrleansCache.Protocol.Text;

namespace OrleansCache.Protocol.Tests.Meta;

public sealed class MetaParserTests
{
    public static TheoryData<string, string> Table()
    {
        var data = new TheoryData<string, string>();
        foreach ((string line, string expected) in MetaTable.Rows)
            data.Add(line, expected);
        return data;
    }

    [Theory]
    [MemberData(nameof(Table))]
    public void LineMeansWhatItMeansInMemcached(string line, string expected) =>
        Assert.Equal(MetaTable.Expand(expected), MetaParseResult.Of(MetaTable.Expand(line)));

    [Theory]
    [MemberData(nameof(Table))]
    public void PlainParserAgrees(string line, string expected)
    {
        byte[] bytes = ParseResult.Bytes(MetaTable.Expand(line));
        Assert.NotEmpty(expected);
        for (int salt = 0; salt < 2 * bytes.Length; salt++)
            Assert.Null(MetaParserFuzzer.Check(bytes, salt));
    }

    [Theory]
    [MemberData(nameof(Table))]
    public void EveryCutNeedsMoreAndThenTheLineIsThere(string line, string expected)
    {
        byte[] input = ParseResult.Bytes(MetaTable.Expand(line) + "\r\n");
        for (int cut = 0; cut < input.Length; cut++)
        {
            Assert.Equal(TextParseStatus.NeedMore, TextParser.Parse(input.AsSpan(0, cut), ParseResult.DefaultLimits, out _, out int consumed));
            Assert.Equal(0, consumed);
            Assert.Equal(TextParseStatus.Command,
                TextParser.Parse([.. input, .. "ms k 2\r\n"u8], cut, ParseResult.DefaultLimits, out TextCommand command, out consumed));
            Assert.Equal(input.Length, consumed);
            Assert.Equal(TextVerb.Meta, command.Verb);
            Assert.Equal(MetaTable.Expand(expected), MetaParseResult.Of(command.Keys, ParseResult.DefaultLimits));
        }
    }

    [Theory]
    [InlineData("mx k", "ERROR")]
    [InlineData("m", "CLIENT_ERROR bad command line format")]
    [InlineData("mgk v", "ERROR")]
    [InlineData("mg\tk", "ERROR")]
    [InlineData("MG k", "ERROR")]
    [InlineData(" mg k", "ERROR")]
    public void WhatLooksLikeAMetaCommandIsNone(string line, string expected) => Assert.Equal(expected, ParseResult.Of(line + "\r\n"));

    [Fact]
    public void ShortNoOpNeedsItsCarriageReturn()
    {
        Assert.Equal("Meta", ParseResult.Of("mn\r\n"));
        Assert.Equal("CLIENT_ERROR bad command line format", ParseResult.Of("mn\n"));
    }

    [Fact]
    public void RandomLinesParseAsThePlainParserSays()
    {
        int seed = TestSeed.Next();
        var fuzzer = new MetaParserFuzzer(seed);
        var clock = Stopwatch.StartNew();
        for (int step = 0; step < 200_000 || clock.Elapsed.TotalSeconds < TestSeed.SoakSeconds; step++)
        {
            string? complaint = fuzzer.Step(out byte[] input);
            Assert.True(complaint is null,
                string.Create(CultureInfo.InvariantCulture, $"seed {seed}, step {step}: {complaint}\ninput {Convert.ToHexString(input)}"));
        }
    }

    [Fact]
    public void VeryLongLinesAreReadUpToTheirVisiblePart()
    {
        // Tokens behind the first 64 KiB do not exist.
        Assert.Equal("Get[k]", MetaParseResult.Of("mg k" + new string(' ', 70_000) + "v"));
        Assert.Equal("CLIENT_ERROR bad command line format", MetaParseResult.Of("mg" + new string(' ', 70_000) + "k"));
    }
}
