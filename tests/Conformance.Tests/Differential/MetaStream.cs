using System.Globalization;
using System.Text;

namespace OrleansCache.Conformance.Differential;

/// <summary>
/// Seeded random commands of the meta protocol, mixed with the classic ones of <see cref="CommandStream"/> on the same keys: every flag in every order, right
/// and wrong; stale and created items and who wins them; CAS numbers given and seen; keys in base64; data blocks that are cut, too long, or of another length
/// than announced. Left out is what docs/protocol.md lists as different: opaques that are too long beside an effect, T and E of an ma whose counter gets
/// longer, raw keys that would break a line, t behind a T in the past; and what older servers do not know.
/// </summary>
internal sealed class MetaStream
{
    // All but the last are keys of CommandStream, too.
    private static readonly string[] s_keys = ["k0", "k1", "k2", "k3", "k4", "k5", "c0", "c1", "c2", "noreply", "0", "mk"];

    // Counters of 20 digits never get longer.
    private static readonly string[] s_paddedCounters = ["p0", "p1"];

    // Only ever stored by ms with b, so that their bytes never stand in a line.
    private static readonly string[] s_binaryKeys = ["\0\u0001\u0002", "a b\r\n", "\u00ff\u00fe", "k0 "];

    // None is only white space; see CommandStream.
    private static readonly string[] s_values =
        ["", "0", "1", "5", "9", "10", "99", "007", "12 abc", "x", "abc", "x\r\n", "HD\r\n", "VA 2 c5\r\n", "5 ", "18446744073709551615", "EN\r\nMN\r\n"];

    /// <summary>See <see cref="CommandStream"/>: no numbers above 2^63 for older servers.</summary>
    private static readonly string[] s_smallValues = [.. s_values.Where(value => value.Length < 19)];

    private static readonly string[] s_times = ["0", "100", "10000", "10000", "2592000", "2147483647"];
    private static readonly string[] s_pastTimes = ["-1", "-100", "2592001"];
    private static readonly string[] s_recacheTimes = ["0", "30", "5000", "20000", "-1", "2592001"];
    private static readonly string[] s_numbers = ["0", "1", "2", "10", "99", "18446744073709551615", "0000000000000000000007"];
    private static readonly string[] s_smallNumbers = ["0", "1", "2", "10", "99"];

    private static readonly string[] s_wrongFlags =
    [
        "S1", "W", "X", "Z", "a", "y", "1", "T", "Tx", "T5x", "N", "Nabc", "R", "Rx", "C", "Cx", "C18446744073709551616", "F", "Fx", "Dx", "D", "J", "Jx", "Mz",
        "Me",
    ];

    private static readonly string[] s_wrongFlagsOf1645 =
        ["E", "Ex", "T2147483648", "N99999999999", "T+5", "C00000000000000000000001", "F4294967296", "F-1", "D-1", "E-1", "M", "MQx", "-", "{", "\u0001",
            "\u00ff", "\t"];

    private static readonly string[] s_lines =
    [
        "mn", "mn x", "mx k0", "mgk k0", "mg\tk0", "MG k0", "mg {T}", "mg {T} v q", "mg k0 b b", "mg === b", "mg k b v", "mg !!! b v", "me {T}",
        "mg k0 v q s v", "mg k0 T5 T6",
        "ma k0 b", "ma c0 Mx", "ma c0 q q", "mg k0 u O12345678901234567890123456789012", "md k0 O12345678901234567890123456789012 q", "me k0 q q k x",
        "mn q O1",
    ];

    private static readonly string[] s_linesOf1645 =
    [
        "mg", "ms", "md", "ma", "me", "mg ", "ms k0", "md {T}", "ma {T}", "md k0 y", "md k0 v v", "md !!! b",
        "mg k0 v s t c f h l k O q u b P L F5 J5 D5 I x M", "ma k0 -", "me k0 -",
        "mg k0 a a a a a a a a a a a a a a a a a a", "ms k0 -1", "ms k0 1x", "ms k0 S2", "ms k0 2147483646", "mg k0 P L Px",
    ];

    private readonly Random _random;
    private readonly bool _is1645;
    private readonly CommandStream _classic;

    /// <param name="seed">The same seed gives the same stream.</param>
    /// <param name="is1645">The reference answers like 1.6.45; otherwise what older ones do not know is left out.</param>
    public MetaStream(int seed, bool is1645)
    {
        _random = new Random(seed);
        _is1645 = is1645;
        _classic = new CommandStream(unchecked(seed + 1), is1645, hasLargeValues: false);
    }

    public DifferentialCommand Next()
    {
        switch (_random.Next(1000))
        {
            case < 280:
                return _classic.Next();
            case < 560:
                return Get();
            case < 740:
                return Store();
            case < 820:
                return Delete();
            case < 910:
                return Count();
            case < 935:
                return Debug();
            case < 950:
                return Invalid();
            case < 965:
                return BadDataChunk();
            case < 966:
                return TooLarge();
            case < 975:
                return new DifferentialCommand("mn\r\n");
            default:
                string line = Pick(_is1645 && _random.Next(2) == 0 ? s_linesOf1645 : s_lines).Replace("{T}", new string('T', 251), StringComparison.Ordinal);
                return new DifferentialCommand(Line(line), Keys: ["k0", "c0"], IsRead: true, Pipelining: line.StartsWith("ma", StringComparison.Ordinal)
                    ? Pipelining.NotBehindReadOfKey : Pipelining.Free);
        }
    }

    private DifferentialCommand Get()
    {
        (string key, string shown, bool isBinary) = _random.Next(10) == 0 ? Padded() : Key(_random.Next(10) == 0);
        var flags = new List<string>();
        Maybe(flags, 2, "v");
        foreach (string flag in new[] { "s", "f", "h", "l", "k" })
            Maybe(flags, 4, flag);
        Maybe(flags, 3, "t");
        Maybe(flags, 5, "q");
        Maybe(flags, 6, "u");
        Maybe(flags, 20, "P");
        Maybe(flags, 20, "Lx");
        Opaque(flags);
        WithCas(flags);
        bool mayCreate = !s_binaryKeys.Contains(key);
        if (mayCreate && _random.Next(6) == 0)
            flags.Add("N" + Time(flags));
        if (_random.Next(8) == 0)
            flags.Add("T" + Time(flags));
        if (_random.Next(5) == 0)
            flags.Add("R" + Pick(s_recacheTimes));
        if (_is1645 && _random.Next(20) == 0)
            flags.Add(Pick("D5", "J6", "I", "x", "Mz", "F9", "MS"));
        if (_is1645 && mayCreate && _random.Next(10) == 0)
            flags.Add("E" + ExplicitCas());
        return _is1645 && _random.Next(8) == 0
            ? WithSeenCas("mg " + shown, flags, isBinary, "", key, isRead: true)
            : Command("mg " + shown, flags, isBinary, "", key, isRead: true);
    }

    private DifferentialCommand Store()
    {
        bool isPadded = _random.Next(12) == 0;
        (string key, string shown, bool isBinary) = isPadded ? Padded() : Key(_random.Next(10) == 0);
        bool isOdd = s_binaryKeys.Contains(key);
        string value = isPadded ? _random.Next(1000).ToString("D20", CultureInfo.InvariantCulture)
            : _random.Next(12) == 0 ? new string((char)('a' + _random.Next(26)), _random.Next(3000)) : Pick(_is1645 ? s_values : s_smallValues);
        var flags = new List<string>();
        Maybe(flags, 5, "q");
        Maybe(flags, 4, "k");
        if (_is1645)
            Maybe(flags, 4, "s");
        Maybe(flags, 30, "v");
        Maybe(flags, 30, "t");
        Opaque(flags);
        WithCas(flags);
        if (_random.Next(3) == 0)
            flags.Add("T" + (_random.Next(8) == 0 ? Pick(s_pastTimes) : Pick(s_times)));
        if (_random.Next(3) == 0)
            flags.Add("F" + Pick("0", "1", "77", "4294967295"));
        if (_random.Next(3) == 0)
        {
            string mode = isOdd || isPadded ? Pick("MS", "ME", "MR") : Pick("MS", "ME", "MA", "MP", "MR");
            flags.Add(mode);
            if (_is1645 && (mode is "MA" or "MP") && _random.Next(2) == 0)
                flags.Add("N" + Pick(s_times));
        }

        if (_is1645 && _random.Next(10) == 0)
            flags.Add("E" + ExplicitCas());
        string line = string.Create(CultureInfo.InvariantCulture, $"ms {shown} {value.Length}");
        if (_random.Next(4) != 0)
            return Command(line, flags, isBinary, value + "\r\n", key);
        Maybe(flags, 2, "I");
        return WithSeenCas(line, flags, isBinary, value + "\r\n", key);
    }

    private DifferentialCommand Delete()
    {
        (string key, string shown, bool isBinary) = Key(_random.Next(10) == 0);
        var flags = new List<string>();
        Maybe(flags, 5, "q");
        Maybe(flags, 4, "k");
        Maybe(flags, 30, "v");
        Opaque(flags);
        if (_random.Next(5) != 0)
            flags.Add("I");
        if (_random.Next(3) == 0)
            flags.Add("T" + (_random.Next(8) == 0 ? Pick(s_pastTimes) : Pick(s_times)));
        if (_is1645)
        {
            if (!s_binaryKeys.Contains(key))
                Maybe(flags, 6, "x");
            Maybe(flags, 10, "F5");
            if (_random.Next(8) == 0)
                flags.Add("E" + ExplicitCas());
        }

        return _random.Next(4) == 0 ? WithSeenCas("md " + shown, flags, isBinary, "", key) : Command("md " + shown, flags, isBinary, "", key);
    }

    private DifferentialCommand Count()
    {
        bool isPadded = _random.Next(3) == 0;
        (string key, string shown, bool isBinary) = isPadded ? Padded() : Show(Pick("c0", "c1", "c2", "c3", "k0", "k1"));
        var flags = new List<string>();
        Maybe(flags, 2, "v");
        Maybe(flags, 4, "t");
        Maybe(flags, 6, "q");
        Maybe(flags, 5, "k");
        Maybe(flags, 30, "s");
        Opaque(flags);
        WithCas(flags);
        if (_random.Next(2) == 0)
            flags.Add(Pick("MI", "M+", "MD", "M-"));
        if (_random.Next(2) == 0)
            flags.Add("D" + Pick(_is1645 ? s_numbers : s_smallNumbers));
        if (_random.Next(4) == 0)
        {
            // Older servers are not quiet about a counter that they create.
            if (!_is1645)
                flags.Remove("q");
            flags.Add("N" + Time(flags));
            flags.Add("J" + (isPadded ? (_is1645 ? "10000000000000000000" : "1000000000000000000") : Pick(_is1645 ? s_numbers : s_smallNumbers)));
            if (isPadded && _random.Next(2) == 0)
                flags.Add("T" + Pick(s_times));
        }
        else if (isPadded && _random.Next(4) == 0)
        {
            flags.Add("T" + Time(flags));
            if (_is1645 && _random.Next(3) == 0)
                flags.Add("E" + ExplicitCas());
        }

        DifferentialCommand command = _random.Next(6) == 0
            ? WithSeenCas("ma " + shown, flags, isBinary, "", key) : Command("ma " + shown, flags, isBinary, "", key);
        return command with { Pipelining = Pipelining.NotBehindReadOfKey };
    }

    private DifferentialCommand Debug()
    {
        (string key, string shown, bool isBinary) = Key(_random.Next(10) == 0);
        string flags = !isBinary ? Pick("", " q", " k v q", " x b") : _is1645 ? " b " + Pick("q", "x", "b") : Pick(" b", " b x");
        return new DifferentialCommand(Line($"me {shown}{flags}"), Keys: [key]);
    }

    /// <summary>Right flags and at least one wrong one.</summary>
    private DifferentialCommand Invalid()
    {
        string verb = Pick("mg", "mg", "ms", "ma", _is1645 ? "md" : "mg");
        var flags = new List<string> { Pick(_is1645 && _random.Next(2) == 0 ? s_wrongFlagsOf1645 : s_wrongFlags) };
        if (verb is "mg" or "md" && flags[0][0] == 'M')
            flags[0] = "S2"; // They make no use of a mode.
        Maybe(flags, 2, "q");
        Maybe(flags, 3, "O7");
        Maybe(flags, 3, "k");
        Maybe(flags, 4, "k");
        if (_is1645)
            Maybe(flags, 4, Pick(s_wrongFlags));
        Shuffle(flags);

        string value = Pick("x", "mn", "abc\r\nmn");
        string line = verb == "ms" ? string.Create(CultureInfo.InvariantCulture, $"ms k0 {value.Length}") : verb + " k0";
        return new DifferentialCommand(
            Line($"{line} {string.Join(' ', flags)}") + (verb == "ms" ? value + "\r\n" : ""), Keys: ["k0"], IsRead: true,
            Pipelining: verb == "ma" ? Pipelining.NotBehindReadOfKey : Pipelining.Free);
    }

    /// <summary>Lengths that lie: what is left over, or what was taken too much, meets the next commands.</summary>
    private DifferentialCommand BadDataChunk()
    {
        string value = new('v', _random.Next(12));
        string header = Line(string.Create(CultureInfo.InvariantCulture, $"ms {Pick(s_keys)} {value.Length}{Pick("", " q", " k O1", " ME", " T100")}"));
        return new DifferentialCommand(header + value + Pick("xx", "\n\n", "\rx", "\n\r", "xxleft over\r\n", "xxleft over\n", "xxmn\r\n"));
    }

    private DifferentialCommand TooLarge()
    {
        int fits = (1024 * 1024) - 59 - 2;
        int length = Pick(fits, fits + 1, fits + 1);
        return new DifferentialCommand(
            Line(string.Create(CultureInfo.InvariantCulture, $"ms {Pick("v0", "v1")} {length}{Pick("", " q", " MA", " ME O1", " k")}"))
                + new string('V', length) + "\r\n",
            Keys: ["v0", "v1"]);
    }

    private DifferentialCommand Command(string line, List<string> flags, bool isBinary, string block, string key, bool isRead = false)
    {
        if (isBinary)
            flags.Add("b");
        Shuffle(flags);
        return new DifferentialCommand(Line(string.Concat(line, flags.Count == 0 ? "" : Pick(" ", " ", " ", "  "), string.Join(' ', flags))) + block,
            Keys: [key], IsRead: isRead);
    }

    /// <summary>With C: the number that was seen last under the key, an older one, or 0.</summary>
    private DifferentialCommand WithSeenCas(string line, List<string> flags, bool isBinary, string block, string key, bool isRead = false)
    {
        if (isBinary)
            flags.Add("b");
        Shuffle(flags);
        string head = line + string.Concat(flags.Select(flag => " " + flag)) + " C";
        return _random.Next(5) switch
        {
            0 => new DifferentialCommand(head + "0\r\n" + block, Keys: [key], IsRead: isRead),
            1 => new DifferentialCommand(head, key, 1, "\r\n" + block, [key], isRead),
            _ => new DifferentialCommand(head, key, 0, "\r\n" + block, [key], isRead),
        };
    }

    /// <summary>c, and then k, so that the reply says whose number it is.</summary>
    private void WithCas(List<string> flags)
    {
        if (_random.Next(3) != 0)
            return;
        flags.Add("c");
        if (!flags.Contains("k"))
            flags.Add("k");
    }

    private void Opaque(List<string> flags)
    {
        if (_random.Next(5) == 0)
            flags.Add("O" + Pick("", "1", "abc", "\u00ff", new string('o', 31)));
    }

    /// <summary>A time; in the past only if t does not show what is left of it.</summary>
    private string Time(List<string> flags) => !flags.Contains("t") && _random.Next(8) == 0 ? Pick(s_pastTimes) : Pick(s_times);

    private string ExplicitCas() => Pick("0", "1000000000000001", "1000000000000002", "1000000000000003");

    private (string Key, string Shown, bool IsBinary) Key(bool odd)
    {
        if (!odd)
            return Show(Pick(s_keys));
        string key = Pick(s_binaryKeys);
        return (key, Base64(key), true);
    }

    private (string Key, string Shown, bool IsBinary) Padded() => Show(Pick(s_paddedCounters));

    private (string Key, string Shown, bool IsBinary) Show(string key) => _random.Next(5) == 0 ? (key, Base64(key), true) : (key, key, false);

    private static string Base64(string key) => Convert.ToBase64String(Encoding.Latin1.GetBytes(key));

    private void Maybe(List<string> flags, int oneIn, string flag)
    {
        if (_random.Next(oneIn) == 0)
            flags.Add(flag);
    }

    private void Shuffle(List<string> flags)
    {
        for (int i = flags.Count - 1; i > 0; i--)
        {
            int other = _random.Next(i + 1);
            (flags[i], flags[other]) = (flags[other], flags[i]);
        }
    }

    private string Line(string text) => text + (_random.Next(10) == 0 && text.Length > 2 ? "\n" : "\r\n");

    private T Pick<T>(params T[] choices) => choices[_random.Next(choices.Length)];
}
