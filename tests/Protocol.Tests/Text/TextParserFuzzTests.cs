using System.Diagnostics;
using System.Globalization;
using OrleansCache.Fuzz;

namespace OrleansCache.Protocol.Tests.Text;

public sealed class TextParserFuzzTests
{
    private static readonly string CorpusFolder = Path.Combine(AppContext.BaseDirectory, "corpus");

    [Fact]
    public void KeptOddInputsParseAsThePlainParserSays()
    {
        byte[][] corpus = TextParserFuzzer.ReadCorpus(CorpusFolder).ToArray();
        Assert.True(corpus.Length >= 16, $"corpus not found in {CorpusFolder}");
        foreach (byte[] input in corpus)
        {
            for (int salt = 0; salt < input.Length; salt++)
                Assert.Null(TextParserFuzzer.Check(input, salt));
        }
    }

    [Fact]
    public void MutationsOfCommandsParseAsThePlainParserSays()
    {
        int seed = TestSeed.Next();
        IEnumerable<byte[]> table = CommandTable.Rows.Select(row => ParseResult.Bytes(CommandTable.Expand(row.Line) + "\r\n"));
        var fuzzer = new TextParserFuzzer(seed, table.Concat(TextParserFuzzer.ReadCorpus(CorpusFolder)));
        var clock = Stopwatch.StartNew();
        for (int step = 0; step < 100_000 || clock.Elapsed.TotalSeconds < TestSeed.SoakSeconds; step++)
        {
            string? complaint = fuzzer.Step(out byte[] input);
            Assert.True(complaint is null,
                string.Create(CultureInfo.InvariantCulture, $"seed {seed}, step {step}: {complaint}\ninput {Convert.ToHexString(input)}"));
        }
    }

    [Fact]
    public void GarbageNeverThrows()
    {
        int seed = TestSeed.Next();
        var random = new Random(seed);
        byte[] input = new byte[512];
        for (int step = 0; step < 50_000; step++)
        {
            Span<byte> garbage = input.AsSpan(0, random.Next(input.Length));
            random.NextBytes(garbage);
            string? complaint = TextParserFuzzer.Check(garbage, random.Next());
            Assert.True(complaint is null,
                string.Create(CultureInfo.InvariantCulture, $"seed {seed}, step {step}: {complaint}\ninput {Convert.ToHexString(garbage)}"));
        }
    }
}
