using System.Globalization;

namespace OrleansCache.Conformance.Differential;

/// <summary>
/// Seeded random commands of the classic text protocol over few keys, so that they meet. All verbs, right and wrong forms, noreply, values that counters
/// take and do not take, expiries that are decided at once (never, long, past, negative).
/// Non-goals: expiry that happens while the stream runs (the servers' clocks tick apart; a test of its own does that), and closing commands.
/// </summary>
internal sealed class CommandStream
{
    private const int TooLargeValueBytes = 1024 * 1024;

    private static readonly string s_longKey = new('L', 250);
    private static readonly string s_tooLongKey = new('T', 251);

    private static readonly string[] s_keys = ["k0", "k1", "k2", "k3", "k4", "k5", "a\tb\u0001", "\u00ff\u0080", s_longKey, "noreply", "0"];
    private static readonly string[] s_counters = ["c0", "c1", "c2", "c3"];

    // Only here are values large enough to lie in several chunks, and no counter command comes near: where that begins differs (docs/protocol.md).
    private static readonly string[] s_largeKeys = ["v0", "v1", "v2"];

    internal static readonly string[] Numbers =
    [
        "0", "1", "9", "10", "99", "100", "999", "18446744073709551615", "18446744073709551610", "9999999999999999999", "5 ", " 5", "007", "12 abc", "+5",
    ];

    /// <summary>
    /// Below 2^63: above it servers older than 1.6.45 look for a minus behind the value too, in whatever memory (other items' headers) is there.
    /// </summary>
    internal static readonly string[] SmallNumbers = [.. Numbers.Where(number => number.Length < 19)];

    // None is only white space: a counter command would then read on in memory that memcached has not written.
    internal static readonly string[] Texts =
    [
        "", "a", "abc", "5x", "-5", "x5", "184467440737095516150", "18446744073709551616", "x\r\n", "END\r\n", "VALUE k0 0 1\r\nx\r\nEND\r\n", "\0\0\0", "5\t6",
        "5\0", "-0",
        "99999999999999999999", "000000000000000000000000000005",
    ];

    private static readonly string[] s_deltas =
        ["0", "1", "2", "5", "10", "100", "18446744073709551615", "18446744073709551606", "9223372036854775808", "0000000001"];

    private static readonly string[] s_smallDeltas = [.. s_deltas.Where(delta => delta.Length < 19)];

    private static readonly string[] s_exptimes = ["0", "0", "0", "0", "100", "2592000", "2592001", "-1", "-100", "2147483647"];

    /// <summary>Lines without a data block that all 1.6 servers answer alike.</summary>
    private static readonly string[] s_oddLines =
    [
        "ab", "abc", "    ", "GET k0", "Get k0", "foo bar", "get\tk0", "getx k0", " flush_all abc", "flush_all abc", "flush_all abc noreply",
        "flush_all noreply 0",
        "verbosity abc", "verbosity -1", "verbosity noreply", "verbosity 0", "verbosity 0 noreply", "stats foo", "stats noreply", "stats reset", "quits",
        "versions",
        "gat abc k0", "gats abc k0", "incr c0 abc", "incr c0 -1", "incr c0 18446744073709551616", "decr c0 5x", "incr c0 noreply", "incr {T} 1", "touch k0 abc",
        "touch k0 noreply",
        "touch {T} 0", "delete {T}", "delete k0 0", "delete k0 0 noreply", "incr c0 0000000000000000000001", "shutdownx", "lru_crawlerx",
    ];

    /// <summary>
    /// Lines without a data block that 1.6.45 answers in its own way (docs/protocol.md): missing and surplus arguments, noreply, short lines.
    /// </summary>
    private static readonly string[] s_oddLinesOf1645 =
    [
        "", "a", " ", " get k0", " version", "foo noreply", "HTTP/1.1", "foo HTTP/1.1 noreply", "get", "get ", "gets", "gat", "gat 0", "gat - k0",
        "gat 99999999999 k0", "set k0 0 0",
        "set k0 0 0 noreply", "set k0 0 0 000000000001", "add k0", "cas k0 0 0", "append", "set", "incr", "incr c0", "incr noreply", "incr c0 1 2 3",
        "incr c0 00000000000000000000001",
        "decr c0 1 x noreply", "touch", "touch k0", "touch k0 2147483648", "touch k0 100 100 noreply", "delete", "delete noreply",
        "flush_all 2147483648", "verbosity", "verbosity 4294967296", "shutdown", "shutdown noreply", "set k0 0 0 -1", "set k0 0 0 1x", "set k0 0 0 2147483646",
        "incr c0 1 x x x x x x x x x x x x x x x x x x x noreply y",
    ];

    /// <summary>Storage commands with {n} for the length, that 1.6.45 refuses and whose data it swallows; or accepts where older ones do not.</summary>
    private static readonly string[] s_oddStoresOf1645 =
    [
        "set k0 -1 0 {n}", "set k0 5x 0 {n}", "set k0 0 abc {n}", "set k0 0 abc {n} noreply", "set {T} 0 0 {n}", "add {T} 0 0 {n} noreply", "cas k0 0 0 {n}",
        "cas k0 0 0 {n} noreply",
        "cas k0 0 0 {n} -1", "set k0 18446744073709551616 0 {n}", "set k0 0 99999999999999999999 {n}", "set k0 0 0 {n} a b", "set k0 0 0 {n} noreply x",
        "set k0 0 0 {n} x noreply",
        "append k0 x 0 {n}",
    ];

    /// <summary>Storage commands in odd forms that all 1.6 servers accept.</summary>
    private static readonly string[] s_oddStores =
    [
        "set k0 4294967296 0 {n}", "set k1 4294967297 0 {n}", "set k2 18446744073709551615 0 {n}", "set k3 -0 0 {n}", "set k0 +5 +0 {n}", "set k1 \t5 0 {n}",
        "set k2 5\tx 0 {n}",
        "set k3 0 4294967396 {n}", "set k4 0 0 000{n}", "set k5 4294967295 -1 {n}", "set k0  7  0  {n} ",
    ];

    private readonly Random _random;
    private readonly bool _is1645;
    private readonly bool _hasLargeValues;

    /// <param name="seed">The same seed gives the same stream.</param>
    /// <param name="is1645">The reference answers like 1.6.45; otherwise forms that changed since are left out.</param>
    /// <param name="hasLargeValues">Now and then a value of up to 1 MiB.</param>
    public CommandStream(int seed, bool is1645, bool hasLargeValues = true)
    {
        _random = new Random(seed);
        _is1645 = is1645;
        _hasLargeValues = hasLargeValues;
    }

    public DifferentialCommand Next()
    {
        switch (_random.Next(1000))
        {
            case < 200:
                return Read(_random.Next(3) == 0 ? "gets" : "get", "");
            case < 230:
                return Read("gets", "", 1);
            case < 280:
                return Read(_random.Next(2) == 0 ? "gat" : "gats", Pick(s_exptimes) + " ");
            case < 550:
                return Store();
            case < 620:
                return CompareAndSwap();
            case < 780:
                return Count();
            case < 820:
                string touched = AnyKey();
                return new DifferentialCommand(Line($"touch {touched} {Pick(s_exptimes)}{NoReply()}"), Keys: [touched]);
            case < 880:
                string deleted = AnyKey();
                if (!_is1645 && deleted == "noreply")
                    deleted = "k0"; // Where noreply must stand in its place, it is a key here.
                return new DifferentialCommand(Line($"delete {deleted}{NoReply()}"), Keys: [deleted]);
            case < 886:
                // No delay: a later flush_all revives in memcached what an earlier one hid but has not removed yet, by the second it came in.
                return new DifferentialCommand(Line($"flush_all{Pick("", " 0", " -1", _is1645 ? " 0 0" : "")}{NoReply()}"));
            case < 940:
                string odd = Expand(Pick(_is1645 && _random.Next(2) == 0 ? s_oddLinesOf1645 : s_oddLines));
                return odd.Contains("cr c0", StringComparison.Ordinal)
                    ? new DifferentialCommand(Line(odd), Keys: ["c0"], Pipelining: Pipelining.NotBehindReadOfKey)
                    : new DifferentialCommand(Line(odd), Keys: ["k0"], IsRead: true);
            case < 965:
                return OddStore();
            case < 985:
                return BadDataChunk();
            case < 990:
                // Behind the key that is too long nothing is touched, so that only the reply matters.
                return new DifferentialCommand(Line($"{Pick("get", "gets", "gat 0", "gats 100")} {s_tooLongKey}{Pick("", " k0", " noreply")}"), IsRead: true,
                    Pipelining: Pipelining.Alone);
            case < 991 when _hasLargeValues:
                return TooLarge();
            default:
                return new DifferentialCommand(
                    Line($"set k{_random.Next(6)} 0 0 {Pick(_is1645 ? "99999999999" : "-2", _is1645 ? "+1" : "-2", "abc", "5x", "-2")}") + "unread body\r\n");
        }
    }

    private DifferentialCommand Read(string verb, string argument, int keysMax = 6)
    {
        string[] keys = new string[_random.Next(1, keysMax + 1)];
        for (int i = 0; i < keys.Length; i++)
            keys[i] = AnyKey();
        return new DifferentialCommand(Line($"{verb} {argument}{string.Join(_random.Next(10) == 0 ? "  " : " ", keys)}"), Keys: keys, IsRead: true);
    }

    private DifferentialCommand Store()
    {
        string key = Key();
        string verb = Pick("set", "set", "set", "set", "add", "replace", "append", "prepend");
        string value = Value();
        if (_random.Next(20) == 0)
        {
            key = Pick(s_largeKeys);
            value = new string((char)('A' + _random.Next(26)), _hasLargeValues && _random.Next(10) == 0 ? 50_000 : 2000);
        }

        return new DifferentialCommand(
            Line(string.Create(CultureInfo.InvariantCulture, $"{verb} {key} {Flags()} {Pick(s_exptimes)} {value.Length}{NoReply()}")) + value + "\r\n",
            Keys: [key]);
    }

    private DifferentialCommand CompareAndSwap()
    {
        string key = Key();
        string value = Value();
        string head = string.Create(CultureInfo.InvariantCulture, $"cas {key} {Flags()} {Pick(s_exptimes)} {value.Length} ");
        string tail = $"{NoReply()}\r\n{value}\r\n";
        return _random.Next(5) switch
        {
            0 => new DifferentialCommand(head + "0" + tail, Keys: [key]),
            1 => new DifferentialCommand(head, key, 1, tail, [key]),
            _ => new DifferentialCommand(head, key, 0, tail, [key]),
        };
    }

    private DifferentialCommand Count()
    {
        string key = _random.Next(5) == 0 ? Key() : Pick(s_counters);
        return new DifferentialCommand(Line($"{Pick("incr", "decr")} {key} {Pick(_is1645 ? s_deltas : s_smallDeltas)}{NoReply()}"), Keys: [key],
            Pipelining: Pipelining.NotBehindReadOfKey);
    }

    private DifferentialCommand OddStore()
    {
        string value = Value();
        string form = Pick(_is1645 && _random.Next(2) == 0 ? s_oddStoresOf1645 : s_oddStores);
        return new DifferentialCommand(Line(Expand(form).Replace("{n}", value.Length.ToString(CultureInfo.InvariantCulture), StringComparison.Ordinal)) + value
            + "\r\n");
    }

    /// <summary>A data block that does not end in CRLF where it should. What is left over is a line that no server knows.</summary>
    private DifferentialCommand BadDataChunk()
    {
        string key = Key();
        string value = new('v', _random.Next(20));
        string header = Line(string.Create(CultureInfo.InvariantCulture, $"{Pick("set", "add", "append")} {key} 0 0 {value.Length}{NoReply()}"));
        return new DifferentialCommand(header + value + Pick("xx", "\n\n", "\rx", "\n\r", "xxleft over\r\n", "xxleft over\n"), Keys: [key]);
    }

    /// <summary>Around the largest value that fits.</summary>
    private DifferentialCommand TooLarge()
    {
        string key = Pick(s_largeKeys);
        int fits = TooLargeValueBytes - 59 - key.Length;
        int length = Pick(fits, fits + 1, TooLargeValueBytes, fits / 2);
        return new DifferentialCommand(
            Line(string.Create(CultureInfo.InvariantCulture, $"{Pick("set", "add", "append")} {key} 0 0 {length}{NoReply()}")) + new string('V', length)
                + "\r\n",
            Keys: [key]);
    }

    private string Key() => _random.Next(4) == 0 ? Pick(s_counters) : Pick(s_keys);

    private string AnyKey() => _random.Next(10) == 0 ? Pick(s_largeKeys) : Key();

    private string Flags() => Pick("0", "0", "1", "77", "4294967295");

    /// <summary>For older servers no value has a minus (see <see cref="SmallNumbers"/>).</summary>
    private string Value() => _random.Next(10) switch
    {
        < 5 => Pick(_is1645 ? Numbers : SmallNumbers),
        < 8 => Pick(Texts) is var text && (_is1645 || !text.Contains('-', StringComparison.Ordinal)) ? text : "",
        _ => new string((char)('a' + _random.Next(26)), _random.Next(300)),
    };

    private string NoReply() => _random.Next(7) == 0 ? " noreply" : "";

    private string Line(string text) => text + (_random.Next(10) == 0 && text.Length > 2 ? "\n" : "\r\n");

    private static string Expand(string text) => text.Replace("{T}", s_tooLongKey, StringComparison.Ordinal);

    private T Pick<T>(params T[] choices) => choices[_random.Next(choices.Length)];
}
