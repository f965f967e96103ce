using OrleansCache.Protocol.Text;

namespace OrleansCache.Fuzz;

/// <summary>
/// Seeded mutation fuzzing of <see cref="TextParser"/>. Each step takes an input of the pool, mutates it, parses every line of it and checks that
/// the parser does not throw, consumes exactly one line, hands out spans inside that line, says the same whatever was scanned before or follows,
/// asks for more at every cut, and agrees with <see cref="NaiveTextParser"/>. Non-goal: coverage guidance.
/// </summary>
public sealed class TextParserFuzzer
{
    private const int InputBytesMax = 4096;

    private static readonly string[] Words =
    [
        "get", "gets", "gat", "gats", "set", "add", "replace", "append", "prepend", "cas", "incr", "decr", "touch", "delete", "flush_all", "verbosity",
        "version", "quit", "stats", "shutdown", "drain", "seeds", "moves", "pause", "limit", "abort", "off", "all", "graceful", "cache_memlimit", "debugtime",
        "p", "noreply", "HTTP/1.1", "0", "1", "-1", "-",
        "+1", "100",
        "1048516", "1048517", "2147483645", "2147483646", "2147483647",
        "2147483648", "-2147483648", "-2147483649", "4294967295", "4294967296", "9223372036854775807", "9223372036854775808", "-9223372036854775808",
        "18446744073709551615", "18446744073709551616", "-18446744073709551615", "00000000001", "000000000001", "999999999", "1000000000", "k", "foo",
        new('K', 250), new('K', 251), "a\tb", "\t", "\0", "\r", "\n", "\r\n", " ", "  ", "5\t", "5\0",
    ];

    private readonly List<byte[]> _pool = [];
    private readonly Random _random;

    /// <param name="seed">The same seed and pool give the same run.</param>
    /// <param name="pool">Inputs to start from, beside the built-in words.</param>
    public TextParserFuzzer(int seed, IEnumerable<byte[]> pool)
    {
        _random = new Random(seed);
        _pool.AddRange(pool);
        _pool.Add(ParseResult.Bytes("get foo\r\n"));
        _pool.Add(ParseResult.Bytes("set foo 1 2 3\r\n"));
    }

    /// <summary>Reads every file of a corpus folder; none if there is no such folder.</summary>
    public static IEnumerable<byte[]> ReadCorpus(string folder) =>
        Directory.Exists(folder) ? Directory.EnumerateFiles(folder).Order(StringComparer.Ordinal).Select(File.ReadAllBytes) : [];

    /// <summary>Mutates and checks one input. Returns what is wrong with the parser, or null.</summary>
    public string? Step(out byte[] input)
    {
        input = Mutate(_pool[_random.Next(_pool.Count)]);
        return Check(input, _random.Next());
    }

    /// <summary>Checks one input. Returns what is wrong with the parser, or null.</summary>
    /// <param name="input">Any bytes; all lines of it are parsed.</param>
    /// <param name="salt">Chooses cuts and limits.</param>
    public static string? Check(ReadOnlySpan<byte> input, int salt)
    {
        while (true)
        {
            var limits = new TextLimits((salt & 1) == 0 ? Limits.ItemBytesDefault : 4096);
            string? complaint;
            try
            {
                complaint = CheckLine(input, salt, limits, out int consumed);
                input = input[consumed..];
            }
            catch (Exception exception)
            {
                return exception.ToString();
            }

            if (complaint is not null)
                return complaint;
            if (input.IndexOf((byte)'\n') < 0)
                return null;
        }
    }

    private static string? CheckLine(ReadOnlySpan<byte> input, int salt, TextLimits limits, out int consumed)
    {
        int lineFeed = input.IndexOf((byte)'\n');
        TextParseStatus status = TextParser.Parse(input, limits, out TextCommand command, out consumed);
        if (lineFeed < 0)
        {
            bool mayClose = input.Length > Limits.LineBytesMax;
            return status == TextParseStatus.NeedMore || (mayClose && status == TextParseStatus.Close)
                ? (consumed == 0 ? null : "consumed of an unfinished line") : $"{status} without a line end";
        }

        string said = ParseResult.Describe(status, command);
        if (consumed != lineFeed + 1)
            return $"{said}: consumed {consumed}, line has {lineFeed + 1}";
        ReadOnlySpan<byte> line = input[..consumed];
        if (!IsInside(command.Key, line) || !IsInside(command.Keys, line))
            return $"{said}: span outside of the line";
        if (status == TextParseStatus.Command && command.SwallowBytes != 0)
            return $"{said}: swallows after a valid command";
        if (command.Key.Length > Limits.KeyBytesMax && status == TextParseStatus.Command)
            return $"{said}: key too long";

        int cut = (int)((uint)salt % (uint)line.Length);
        if (cut <= Limits.LineBytesMax && TextParser.Parse(line[..cut], limits, out _, out int consumedOfCut) is var early
            && (early != TextParseStatus.NeedMore || consumedOfCut != 0))
            return $"{said}: {early} at cut {cut}";
        TextParseStatus again = TextParser.Parse(line, cut, limits, out TextCommand repeated, out int consumedAgain);
        string saidAgain = ParseResult.Describe(again, repeated);
        if (saidAgain != said || consumedAgain != consumed)
            return $"{said}, but after a cut at {cut}: {saidAgain}";

        if (line.Length > Limits.LineBytesMax)
            return null;
        string expected = NaiveTextParser.Parse(ParseResult.Text(line[..^1]), limits.ItemBytesMax);
        return expected == said ? null : $"{said}, expected {expected}";
    }

    private static bool IsInside(ReadOnlySpan<byte> part, ReadOnlySpan<byte> whole) =>
        part.IsEmpty || (whole.Overlaps(part, out int offset) && offset >= 0 && offset + part.Length <= whole.Length);

    private byte[] Mutate(byte[] original)
    {
        List<byte> bytes = [.. original];
        for (int mutations = _random.Next(1, 6); mutations > 0; mutations--)
        {
            int at = _random.Next(bytes.Count + 1);
            switch (_random.Next(8))
            {
                case 0 when at < bytes.Count:
                    bytes[at] = (byte)_random.Next(256);
                    break;
                case 1 when at < bytes.Count:
                    bytes.RemoveRange(at, _random.Next(1, Math.Min(8, bytes.Count - at) + 1));
                    break;
                case 2:
                    bytes.Insert(at, (byte)" \t\r\n0-+\0"[_random.Next(8)]);
                    break;
                case 3:
                    bytes.InsertRange(at, ParseResult.Bytes(Words[_random.Next(Words.Length)]));
                    break;
                case 4:
                    ReplaceToken(bytes, at);
                    break;
                case 5:
                    byte[] other = _pool[_random.Next(_pool.Count)];
                    bytes.InsertRange(at, other.AsSpan(0, _random.Next(other.Length + 1)));
                    break;
                case 6 when bytes.Count > 0:
                    byte[] copy = [.. bytes.GetRange(0, Math.Min(bytes.Count, 64))];
                    for (int times = _random.Next(1, 30); times > 0 && bytes.Count < InputBytesMax; times--)
                        bytes.InsertRange(at, copy);
                    break;
                default:
                    bytes.Clear();
                    for (int words = _random.Next(1, 9); words > 0; words--)
                    {
                        bytes.AddRange(ParseResult.Bytes(Words[_random.Next(Words.Length)]));
                        bytes.Add((byte)' ');
                    }

                    bytes.AddRange("\r\n"u8);
                    break;
            }
        }

        if (_random.Next(8) != 0)
            bytes.Add((byte)'\n');
        return [.. bytes.Take(InputBytesMax)];
    }

    private void ReplaceToken(List<byte> bytes, int at)
    {
        int start = at, end = at;
        while (start > 0 && bytes[start - 1] != ' ')
            start--;
        while (end < bytes.Count && bytes[end] is not ((byte)' ' or (byte)'\r' or (byte)'\n'))
            end++;
        if (end > start)
            bytes.RemoveRange(start, end - start);
        bytes.InsertRange(start, ParseResult.Bytes(Words[_random.Next(Words.Length)]));
    }
}
