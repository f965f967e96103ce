using OrleansCache.Protocol.Meta;
using OrleansCache.Protocol.Text;

namespace OrleansCache.Fuzz;

/// <summary>
/// Seeded fuzzing of <see cref="MetaParser"/>: lines of right, wrong, odd and damaged tokens. Checks that it does not throw, hands out spans inside the line or
/// the key buffer, and agrees with <see cref="NaiveMetaParser"/>; and that <see cref="TextParser"/> hands it exactly the line. Non-goal: coverage guidance.
/// </summary>
public sealed class MetaParserFuzzer(int seed)
{
    private static readonly string[] Names = ["mg", "mg", "ms", "ms", "md", "ma", "ma", "me", "mn"];

    private static readonly string[] Words =
    [
        "b", "v", "k", "s", "t", "c", "f", "h", "l", "u", "q", "x", "I", "P", "L", "O", "O1", "Oabc", "T0", "T30", "T-1", "T-", "N0", "N60", "R30", "F5",
        "F4294967295",
        "C1", "C0", "E7", "E0", "D5", "J9", "MS", "ME", "MA", "MP", "MR", "MI", "M+", "MD", "M-", "T", "N", "R", "F", "C", "E", "D", "J", "M", "MEE", "Mz",
        "T5x", "T2147483648",
        "N99999999999", "R000000000001", "F4294967296", "F-1", "C18446744073709551616", "C00000000000000000000001", "E-1", "D1x", "J ", "S1", "W", "X", "Z",
        "1", "0", "-1", "{", "@", "_", "~",
        "\u0001", "\u00ff", "\r", "\0", new('O', 32), new('O', 33), "a",
    ];

    private static readonly string[] Keys =
        ["k", "foo", "Zm9v", "Zm8=", "Zg==", "Z===", "====", "Zm9vZg==AAAA", "Z.m-9_v", "!!!", "A", new('K', 250), new('K', 251), new('K', 248), "\u00ff\t"];

    private static readonly string[] Lengths = ["0", "1", "2", "-", "-1", "x", "S2", "1048516", "1048517", "2147483645", "2147483646", "000000000001", "T0"];

    private readonly Random _random = new(seed);

    /// <summary>Makes and checks one line. Returns what is wrong with the parser, or null.</summary>
    public string? Step(out byte[] input)
    {
        string name = Pick(Names);
        var tokens = new List<string> { name };
        if (_random.Next(20) != 0)
            tokens.Add(Pick(Keys));
        if (name == "ms" && _random.Next(20) != 0)
            tokens.Add(Pick(Lengths));
        for (int words = _random.Next(12) == 0 ? _random.Next(30) : _random.Next(7); words > 0; words--)
            tokens.Add(Pick(Words));
        string line = string.Join(_random.Next(10) == 0 ? "  " : " ", tokens);
        if (_random.Next(4) == 0)
        {
            int at = _random.Next(2, line.Length + 1);
            line = line[..at] + Pick(" ", "0", "-", "b", "=", "\0", ((char)_random.Next(256)).ToString()) + line[at..];
            line = line.Replace("\n", "", StringComparison.Ordinal);
        }

        input = ParseResult.Bytes(line);
        return Check(input, _random.Next());
    }

    /// <summary>Checks one line without its end. Returns what is wrong with the parser, or null.</summary>
    public static string? Check(byte[] line, int salt)
    {
        try
        {
            var limits = new TextLimits((salt & 1) == 0 ? Limits.ItemBytesDefault : 4096);
            byte[] whole = [.. line, .. "\r\n"u8];
            TextParseStatus status = TextParser.Parse(whole, limits, out TextCommand command, out int consumed);
            if (command.Verb != TextVerb.Meta)
                return line is [(byte)'m', _, (byte)' ', ..] ? $"not taken for a meta command, but {ParseResult.Describe(status, command)}" : null;
            if (status != TextParseStatus.Command || consumed != whole.Length || !command.Keys.SequenceEqual(line))
                return $"{status}, consumed {consumed} of {whole.Length}, line of {command.Keys.Length}";
            int cut = (int)((uint)salt % (uint)whole.Length);
            if (TextParser.Parse(whole.AsSpan(0, cut), limits, out _, out _) != TextParseStatus.NeedMore)
                return $"does not need more at cut {cut}";

            string expected = NaiveMetaParser.Parse(ParseResult.Text(line), limits.ItemBytesMax);
            string said = MetaParseResult.Of(line, limits);
            if (said != expected)
                return $"{said}, expected {expected}";
            byte[] buffer = new byte[Limits.KeyBytesMax];
            if (MetaParser.TryParse(line, limits, buffer, out MetaCommand meta) && meta.Verb != MetaVerb.NoOp)
            {
                if (meta.Key.Length is 0 or > Limits.KeyBytesMax || !(meta.Key.Overlaps(line) || meta.Key.Overlaps(buffer)))
                    return $"{said}: key of {meta.Key.Length} bytes, or elsewhere";
                if (!MetaParser.TryPeek(line, out ReadOnlySpan<byte> key, out int length) || (meta.Verb == MetaVerb.Set ? meta.ValueLength : -1) != length)
                    return $"{said}: a peek sees a key of {key.Length} bytes and a length of {length}";
            }

            return null;
        }
        catch (Exception exception)
        {
            return exception.ToString();
        }
    }

    private T Pick<T>(params T[] choices) => choices[_random.Next(choices.Length)];
}
