using System.Globalization;
using System.Numerics;

namespace OrleansCache.Fuzz;

/// <summary>
/// The classic text protocol's command lines once more, written for plainness: strings, splitting, big integers. An oracle for the fast parser;
/// answers in the words of <see cref="ParseResult"/>. Lines of up to 2,048 bytes only.
/// </summary>
internal static class NaiveTextParser
{
    private const string BadFormat = "CLIENT_ERROR bad command line format";
    private const string BadExptime = "CLIENT_ERROR invalid exptime argument";

    /// <param name="line">The line without its line feed, Latin-1.</param>
    /// <param name="itemBytesMax">-I.</param>
    public static string Parse(string line, int itemBytesMax)
    {
        if (line.Length < 3)
            return BadFormat;
        if (line.EndsWith('\r'))
            line = line[..^1];

        string[] all = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        string[] tokens = all.Take(23).ToArray();
        bool noReply = tokens.Length > 0 && tokens[^1] == "noreply";
        string suffix = noReply ? " noreply" : "";
        string OrSilent(string error) => noReply ? "(silent)" : error;

        switch (line.Split(' ')[0])
        {
            case "mg" or "ms" or "md" or "ma" or "mn" or "me":
                return "Meta"; // NaiveMetaParser goes on.
            case "get" or "gets":
                return tokens.Length < 2 ? BadFormat : Keys(tokens[0] == "get" ? "Get" : "Gets", all.Skip(1));
            case "gat" or "gats":
                if (tokens.Length < 3)
                    return BadFormat;
                return Strict(tokens[1], true, 11, int.MinValue, int.MaxValue) is not { } time
                    ? BadExptime : Keys($"{(tokens[0] == "gat" ? "Gat" : "Gats")} exptime={time}", all.Skip(2));
            case "set" or "add" or "replace" or "append" or "prepend" or "cas":
                if (tokens.Length < 5 || Strict(tokens[4], true, 11, 0, int.MaxValue - 2) is not { } length)
                    return BadFormat;
                string swallow = $" swallow={length + 2}";
                int flagsAt = OffsetOf(line, 2), timeAt = OffsetOf(line, 3);
                if (tokens[1].Length > 250 || LaxFlags(line[flagsAt..]) is not { } flags || LaxTime(line[timeAt..]) is not { } exptime)
                    return OrSilent(BadFormat) + swallow;
                string cas = "";
                if (tokens[0] == "cas")
                {
                    if (tokens.Length < 6 || Strict(tokens[5], false, 22, 0, ulong.MaxValue) is not { } compare)
                        return OrSilent(BadFormat) + swallow;
                    cas = $" cas={compare}";
                }

                if (59 + tokens[1].Length + length + (flags != 0 ? 4 : 0) > itemBytesMax)
                    return OrSilent("SERVER_ERROR object too large for cache") + swallow + (tokens[0] == "set" ? $" delete={tokens[1]}" : "");
                return $"{Capital(tokens[0])}[{tokens[1]}] flags={flags} exptime={exptime} bytes={length}{cas}{suffix}";
            case "incr" or "decr":
                if (tokens.Length < 3)
                    return BadFormat;
                if (tokens[1].Length > 250)
                    return OrSilent(BadFormat);
                return Strict(tokens[2], false, 22, 0, ulong.MaxValue) is { } delta
                    ? $"{Capital(tokens[0])}ement[{tokens[1]}] delta={delta}{suffix}"
                    : OrSilent("CLIENT_ERROR invalid numeric delta argument");
            case "touch":
                if (tokens.Length < 3)
                    return BadFormat;
                if (tokens[1].Length > 250)
                    return OrSilent(BadFormat);
                return Strict(tokens[2], true, 11, int.MinValue, int.MaxValue) is { } until
                    ? $"Touch[{tokens[1]}] exptime={until}{suffix}" : OrSilent(BadExptime);
            case "delete":
                if (tokens.Length < 2)
                    return BadFormat;
                if (tokens[1].Length > 250)
                    return OrSilent(BadFormat);
                return tokens[2..] switch
                {
                    [] or ["0"] or ["noreply"] or ["0", "noreply"] => $"Delete[{tokens[1]}]{suffix}",
                    { Length: > 2 } => OrSilent("ERROR"),
                    _ => OrSilent("CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]"),
                };
            case "quit":
                return "Quit";
            case "version":
                return "Version";
            case "stats":
                return $"Stats[{line[5..].Trim(' ')}]";
        }

        switch (tokens.FirstOrDefault())
        {
            case "flush_all":
                if (tokens.Length == (noReply ? 2 : 1))
                    return "FlushAll 0" + suffix;
                return Strict(tokens[1], true, 11, int.MinValue, int.MaxValue) is { } delay ? $"FlushAll {delay}{suffix}" : OrSilent(BadExptime);
            case "verbosity":
                return tokens.Length > 1 && Strict(tokens[1], false, 11, 0, uint.MaxValue) is { } level ? $"Verbosity {level}{suffix}" : OrSilent(BadFormat);
            case "refresh_certs":
                return "RefreshCerts" + suffix;
            case "config" when tokens is [_, "get", "cluster", ..]:
                return "ConfigGetCluster" + suffix;
            case "shutdown":
                return $"Shutdown {(tokens.Length == 1 ? 0 : tokens is [_, "graceful"] ? 1 : -1)}{suffix}";
            case "drain":
                return tokens.Length == 1 ? "Drain" + suffix : OrSilent("ERROR");
            case "seeds":
                return tokens is [_, "add" or "remove", { Length: <= 250 } silo] ? $"Seeds {(tokens[1] == "add" ? 1 : 0)}[{silo}]{suffix}" : OrSilent("ERROR");
            case "moves" when tokens is [_, "pause" or "resume"]:
                return $"Moves {Capital(tokens[1])} 0{suffix}";
            case "moves" when tokens is [_, "limit", "off"] or [_, "abort", "all"]:
                return $"Moves {Capital(tokens[1])} {(tokens[2] == "all" ? -1 : 0)}{suffix}";
            case "moves":
                return tokens is [_, "limit" or "abort", { } value] && Strict(value, false, 20, 0, long.MaxValue) is { } order
                    ? $"Moves {Capital(tokens[1])} {order}{suffix}" : OrSilent("ERROR");
            case "cache_memlimit":
                return tokens.Length > 1 && Strict(tokens[1], false, 11, 0, uint.MaxValue) is { } megabytes
                    ? $"CacheMemlimit {megabytes}{suffix}" : OrSilent("ERROR");
            case "debugtime" when tokens is [_, "p" or "r", ..]:
                return $"DebugTime {tokens[1]}{suffix}";
            case "debugtime":
                return tokens.Length > 1 && Strict(tokens[1], true, tokens[1][0] == '-' ? 21 : 20, -long.MaxValue, long.MaxValue) is { } seconds
                    ? $"DebugTime {seconds}{suffix}" : OrSilent("ERROR");
        }

        return tokens.Length > 1 && tokens[^1].StartsWith("HTTP/", StringComparison.Ordinal) ? "close" : OrSilent("ERROR");
    }

    private static string Capital(string name) => char.ToUpperInvariant(name[0]) + name[1..];

    private static string Keys(string name, IEnumerable<string> keys) =>
        keys.Any(key => key.Length > 250) ? BadFormat : name + string.Concat(keys.Select(key => $"[{key}]"));

    private static BigInteger? Strict(string token, bool signed, int lengthMax, BigInteger min, BigInteger max)
    {
        if (token.Length > lengthMax)
            return null;
        string digits = signed && token.StartsWith('-') ? token[1..] : token;
        if (!digits.All(char.IsAsciiDigit))
            return null;
        BigInteger value = BigInteger.Parse("0" + digits, CultureInfo.InvariantCulture);
        if (digits.Length < token.Length)
            value = -value;
        return value < min || value > max ? null : value;
    }

    private static BigInteger? LaxFlags(string text)
    {
        if (Lax(text) is not { } value || BigInteger.Abs(value) > ulong.MaxValue)
            return null;

        // strtoul wraps a negative number round; what still looks negative as a signed long is refused if a minus was written.
        BigInteger wrapped = value.Sign < 0 ? value + (BigInteger.One << 64) : value;
        return value.Sign < 0 && wrapped >= BigInteger.One << 63 ? null : wrapped & uint.MaxValue;
    }

    private static BigInteger? LaxTime(string text)
    {
        if (Lax(text) is not { } value || value < long.MinValue || value > long.MaxValue)
            return null;
        return unchecked((int)(uint)(value & uint.MaxValue));
    }

    private static BigInteger? Lax(string text)
    {
        const string whiteSpace = " \t\n\v\f\r";
        text = text.TrimStart(whiteSpace.ToCharArray());
        string sign = text.Length > 0 && text[0] is '-' or '+' ? text[..1] : "";
        text = text[sign.Length..];
        string digits = new(text.TakeWhile(char.IsAsciiDigit).ToArray());
        if (digits.Length == 0
            || (digits.Length < text.Length && text[digits.Length] != '\0' && !whiteSpace.Contains(text[digits.Length], StringComparison.Ordinal)))
            return null;
        BigInteger value = BigInteger.Parse(digits, CultureInfo.InvariantCulture);
        return sign == "-" ? -value : value;
    }

    private static int OffsetOf(string line, int token)
    {
        int position = 0;
        while (true)
        {
            while (line[position] == ' ')
                position++;
            if (token-- == 0)
                return position;
            position = line.IndexOf(' ', position);
        }
    }
}
