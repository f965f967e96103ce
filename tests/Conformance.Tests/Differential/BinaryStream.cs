using static OrleansCache.Conformance.BinaryPacket;

namespace OrleansCache.Conformance.Differential;

/// <summary>
/// Seeded random packets of the binary protocol over few keys, so that they meet. All opcodes, quiet ones too, right and wrong CAS numbers, packets of wrong
/// form, expiries that are decided at once (never, long, past).
/// Non-goals: as of <see cref="CommandStream"/>; and what docs/protocol.md lists as different: unknown opcodes with a key or extras, verbosity, values behind a
/// stat.
/// </summary>
internal sealed class BinaryStream
{
    private const int TooLargeValueBytes = 1024 * 1024;
    private const uint NoCreate = uint.MaxValue;

    private static readonly string s_longKey = new('L', 250);
    private static readonly string s_tooLongKey = new('T', 251);

    private static readonly string[] s_keys = ["k0", "k1", "k2", "k3", "k4", "k5", "a b", "c\r\nd", "\0", "\u0080\u0081\u00ff", s_longKey, "get k0\r\n"];
    private static readonly string[] s_counters = ["c0", "c1", "c2", "c3"];

    // Only here are values large enough to lie in several chunks; see CommandStream.
    private static readonly string[] s_largeKeys = ["v0", "v1", "v2"];

    private static readonly uint[] s_exptimes = [0, 0, 0, 0, 100, 2592000, 2592001, 2147483647, uint.MaxValue];
    private static readonly ulong[] s_deltas = [0, 1, 2, 5, 10, 100, ulong.MaxValue, ulong.MaxValue - 9, 1ul << 63];
    private static readonly ulong[] s_smallDeltas = [0, 1, 2, 5, 10, 100];
    private static readonly ulong[] s_initials = [0, 1, 9, 10, 99, 1000, 999_999_999_999_999_999];

    private readonly Random _random;
    private readonly bool _is1645;
    private readonly bool _hasLargeValues;

    /// <param name="seed">The same seed gives the same stream.</param>
    /// <param name="is1645">The reference answers like 1.6.45; otherwise what changed since is left out.</param>
    /// <param name="hasLargeValues">Now and then a value of up to 1 MiB.</param>
    public BinaryStream(int seed, bool is1645, bool hasLargeValues = true)
    {
        _random = new Random(seed);
        _is1645 = is1645;
        _hasLargeValues = hasLargeValues;
    }

    public DifferentialCommand Next()
    {
        BinaryCommand command = NextPlain();
        if (command.IsRead && s_largeKeys.Contains(command.Keys![0]))
            command = command with { IsLarge = true };

        // Nobody looks at the data type and the reserved field.
        if (_random.Next(50) == 0 && !command.IsLast)
            command = command with { Packet = command.Packet[..5] + "\u0001\u0002\u0003" + command.Packet[8..] };
        return command;
    }

    private BinaryCommand NextPlain()
    {
        switch (_random.Next(2000))
        {
            case < 600:
                string read = AnyKey();
                return new BinaryCommand(Of(Pick(Get, GetK, GetQ, GetKQ, GetQ, GetKQ), read), Keys: [read], IsRead: true);
            case < 760:
                string touched = AnyKey();
                return new BinaryCommand(TouchTo(Pick(Touch, Gat, GatQ, GatK, GatKQ), touched, Pick(s_exptimes)), Keys: [touched], IsRead: true);
            case < 1250:
                return StoreSomething();
            case < 1600:
                return CountSomething();
            case < 1700:
                string deleted = AnyKey();
                return WithCas(Of(Pick(Delete, DeleteQ), deleted), deleted);
            case < 1800:
                return new BinaryCommand(Of(Pick(NoOp, NoOp, BinaryPacket.Version)));
            case < 1812:
                // No delay; see CommandStream.
                return new BinaryCommand(Of(Pick(Flush, FlushQ), extras: Pick("", Number(0u))));
            case < 1860:
                return new BinaryCommand(Of(Stat, Pick("foo", "reset", "resetting", "detail", "detail off", "detail offended", "detail foo", "conns", "item",
                    "itemsx", "cachedump 1 1", "sizes_x")));
            case < 1930:
                return new BinaryCommand(Of(Pick<byte>(0x1f, 0x25, 0x30, 0x50, 0x7f, 0x80, 0xff), value: Value()));
            case < 1960:
                return new BinaryCommand(Pick(Of(SaslList), Of(SaslAuth, "PLAIN", value: "\0user\0password"), Of(SaslStep, "PLAIN", value: Value()),
                    Of(SaslAuth, s_longKey, value: "x")));
            case < 1965 when _hasLargeValues:
                return TooLarge();
            case < 1984:
                return new BinaryCommand(Closing(), Pipelining: Pipelining.Last);
            case < 1985:
                return new BinaryCommand(Of(NoOp) + Of(Get, "k0", value: "more than 24 bytes in all", magic: Pick<byte>(0, 0x81, (byte)'g', 0xff)),
                    Pipelining: Pipelining.LastAndAlone);
            default:
                return new BinaryCommand(Of(Pick(Get, GetK, GetQ), s_longKey), Keys: [s_longKey], IsRead: true);
        }
    }

    private BinaryCommand StoreSomething()
    {
        string key = Key();
        string value = Value();
        if (_random.Next(20) == 0)
        {
            key = Pick(s_largeKeys);
            value = new string((char)('A' + _random.Next(26)), _hasLargeValues && _random.Next(10) == 0 ? 50_000 : 2000);
        }

        byte opcode = Pick(Set, SetQ, Set, SetQ, Set, Add, AddQ, Replace, ReplaceQ, Append, AppendQ, Prepend, PrependQ);
        return WithCas(
            opcode is Append or AppendQ or Prepend or PrependQ
                ? Of(opcode, key, value: value) : Store(opcode, key, value, Pick(0u, 0u, 1u, 77u, uint.MaxValue), Pick(s_exptimes)), key);
    }

    private BinaryCommand CountSomething()
    {
        string key = _random.Next(5) == 0 ? Key() : Pick(s_counters);
        uint exptime = _random.Next(3) == 0 ? NoCreate : Pick(s_exptimes);
        return WithCas(Count(Pick(Increment, IncrementQ, Decrement, DecrementQ), key, Pick(_is1645 ? s_deltas : s_smallDeltas), Pick(s_initials), exptime),
            key) with
        {
            Pipelining = Pipelining.NotBehindReadOfKey,
        };
    }

    /// <summary>Mostly without a CAS to compare, otherwise with one that was right at some time, or never.</summary>
    private BinaryCommand WithCas(string packet, string key) => _random.Next(10) switch
    {
        < 6 => new BinaryCommand(packet, Keys: [key]),
        < 8 => new BinaryCommand(packet, key, 0, [key]),
        8 => new BinaryCommand(packet, key, 1, [key]),
        _ => new BinaryCommand(packet[..16] + Number(99_999_999_999_999ul) + packet[24..], Keys: [key]),
    };

    /// <summary>Around the largest value that fits.</summary>
    private BinaryCommand TooLarge()
    {
        string key = Pick(s_largeKeys);
        int fits = TooLargeValueBytes - 59 - key.Length;
        string value = new('V', Pick(fits, fits + 1, TooLargeValueBytes, fits / 2));
        byte opcode = Pick(Set, SetQ, Add, Append);
        return WithCas(opcode == Append ? Of(opcode, key, value: value) : Store(opcode, key, value), key);
    }

    /// <summary>Something behind which the connection is closed.</summary>
    private string Closing() => _random.Next(15) switch
    {
        0 => Of(Pick(Get, GetQ, GetK, Delete, DeleteQ)),
        1 => Of(Pick(Get, GetKQ, Delete), "k0", "\0\0\0\0"),
        2 => Of(Pick(Get, GetQ, DeleteQ), "k0", value: "value"),
        3 => Of(Pick(Get, GetQ, Set, Append, Touch, Increment, NoOp), s_tooLongKey),
        4 => Of(Pick(Set, SetQ, Add, Replace), "k0", Pick("", "\0\0\0\0", new string('\0', 9), new string('\0', 20)), "value"),
        5 => Store(Pick(Set, SetQ, AddQ), "", "value"),
        6 => Of(Pick(Append, PrependQ), "k0", "\0\0\0\0\0\0\0\0", "value"),
        7 => Of(Pick(Increment, DecrementQ), "c0", Pick("", "\0\0\0\0\0\0\0\0", new string('\0', 40))),
        8 => Of(Pick(Increment, DecrementQ), "c0", new string('\0', 20), "value"),
        9 => Of(Pick(Touch, Gat, GatKQ), "k0", Pick("", "\0\0\0\0\0\0\0\0")),
        10 => Of(Pick(NoOp, BinaryPacket.Version, Quit, QuitQ, SaslList), Pick("", "k0"), value: "value"),
        11 => Of(Pick(Flush, FlushQ), Pick("", "k0"), "\0\0", Pick("", "value")),
        12 => Of(Pick<byte>(Get, Set, Append, Increment, 0x50), "k0", Pick("", "\0\0\0\0\0\0\0\0"), bodyLength: 1),
        13 => Of(Pick(Quit, QuitQ)),
        _ => _is1645
            ? Of(Pick<byte>(Set, Get, NoOp, 0x50), "k0", bodyLength: Pick(0x7fffffffu, 0x80000000u, (1u << 30) + 1, uint.MaxValue))
            : Of(Stat, "k0", "e"),
    };

    private string Key() => _random.Next(4) == 0 ? Pick(s_counters) : Pick(s_keys);

    private string AnyKey() => _random.Next(10) == 0 ? Pick(s_largeKeys) : Key();

    /// <summary>As of the text stream.</summary>
    private string Value() => _random.Next(10) switch
    {
        < 5 => Pick(_is1645 ? CommandStream.Numbers : CommandStream.SmallNumbers),
        < 8 => Pick(CommandStream.Texts) is var text && (_is1645 || !text.Contains('-', StringComparison.Ordinal)) ? text : "",
        _ => new string((char)('a' + _random.Next(26)), _random.Next(300)),
    };

    private T Pick<T>(params T[] choices) => choices[_random.Next(choices.Length)];
}
