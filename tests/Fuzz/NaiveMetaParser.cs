using System.Globalization;
using System.Numerics;
using OrleansCache.Protocol.Meta;

namespace OrleansCache.Fuzz;

/// <summary>
/// The meta commands' lines once more, written for plainness and in memcached's order of checks: strings, splitting, big integers. An oracle for the fast
/// parser; answers in the words of <see cref="MetaParseResult"/>. Lines of up to 2,048 bytes only.
/// </summary>
internal static class NaiveMetaParser
{
    private const string BadFormat = "CLIENT_ERROR bad command line format";
    private const string BadToken = "CLIENT_ERROR bad token in command line format";
    private const string Alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    /// <param name="line">The line without its end, Latin-1; it begins with the name of a meta command.</param>
    /// <param name="itemBytesMax">-I.</param>
    public static string Parse(string line, int itemBytesMax)
    {
        char name = line[1];
        if (name == 'n')
            return "NoOp";
        string[] tokens = [.. line.Split(' ', StringSplitOptions.RemoveEmptyEntries).Take(23)];
        int first = name == 's' ? 3 : 2;
        if (tokens.Length < first || tokens.Skip(first).Any(token => !(token[0] is > '@' and < '{' || char.IsAsciiDigit(token[0]))))
            return BadFormat;
        long swallow = 0;
        if (name == 's')
        {
            if (Number(tokens[2], true, 11, 0, int.MaxValue - 2) is not { } length)
                return BadFormat;
            swallow = (long)length + 2;
        }

        string key = tokens[1];
        if (name == 'e')
        {
            bool decodes = tokens.Length > 2 && tokens[2] == "b";
            if (key.Length > 250 || (decodes && Decode(key) is null))
                return BadFormat;
            return $"Debug[{(decodes ? Decode(key) + "] (BinaryKey)" : key + "]")}";
        }

        MetaFlags flags = 0;
        int[] times = new int[3];
        ulong[] numbers = [0, 0, 1, 0];
        uint clientFlags = 0;
        string returns = "", opaque = "";
        string? mode = null;
        string? error = Preparse();
        if (error is not null)
            return MetaParseResult.Error(name == 'a' ? "CLIENT_ERROR invalid or duplicate flag" : error, swallow, null);

        (string Modes, CacheOperation Operation)[] operations = name switch
        {
            's' => [("S", CacheOperation.Set), ("E", CacheOperation.Add), ("A", CacheOperation.Append), ("P", CacheOperation.Prepend),
                ("R", CacheOperation.Replace)],
            'a' => [("I+", CacheOperation.Increment), ("D-", CacheOperation.Decrement)],
            _ => [("", CacheOperation.None)],
        };
        CacheOperation operation = operations[0].Operation;
        if (mode is not null && name is 's' or 'a')
        {
            operation = operations.FirstOrDefault(one => mode.Length == 1 && one.Modes.Contains(mode, StringComparison.Ordinal)).Operation;
            if (mode is not null && operation == CacheOperation.None)
                return MetaParseResult.Error($"CLIENT_ERROR invalid mode for m{name} M token", swallow, null);
        }

        int bytes = (int)Math.Max(0, swallow - 2);
        if (name == 's' && 59L + key.Length + bytes + (clientFlags != 0 ? 4 : 0) > itemBytesMax)
            return MetaParseResult.Error("SERVER_ERROR object too large for cache", swallow, key);
        if (opaque.Length > 32)
            return MetaParseResult.Error("CLIENT_ERROR opaque token too long", swallow, null);
        MetaVerb verb = name switch
        {
            'g' => MetaVerb.Get,
            's' => MetaVerb.Set,
            'd' => MetaVerb.Delete,
            _ => MetaVerb.Arithmetic,
        };
        return MetaParseResult.Command(verb, key, operation, bytes, clientFlags, flags, times, numbers, returns, opaque);

        string? Preparse()
        {
            if (key.Length > 250)
                return BadFormat;
            if (tokens.Length > 20)
                return "CLIENT_ERROR options flags are too long";
            string? found = null;
            var seen = new HashSet<char>();
            foreach (string token in tokens.Skip(first))
            {
                char letter = token[0];
                string argument = token[1..];
                if (!seen.Add(letter))
                    return "CLIENT_ERROR duplicate flag";
                if ("stcflhOk".Contains(letter, StringComparison.Ordinal))
                    returns += letter;
                switch (letter)
                {
                    case 'b':
                        flags |= MetaFlags.BinaryKey;
                        if (Decode(tokens[1]) is { } decoded)
                            key = decoded;
                        else
                            found = "CLIENT_ERROR error decoding key";
                        break;
                    case 'T':
                        flags |= MetaFlags.Touch;
                        Time(0);
                        break;
                    case 'N':
                        flags |= MetaFlags.Create | (seen.Contains('T') ? MetaFlags.CreateBehindTouch : 0);
                        Time(1);
                        break;
                    case 'R':
                        flags |= MetaFlags.Recache | (seen.Contains('T') ? MetaFlags.RecacheBehindTouch : 0);
                        Time(2);
                        break;
                    case 'C':
                        flags |= MetaFlags.CompareCas;
                        Unsigned(0, BadToken);
                        break;
                    case 'E':
                        flags |= MetaFlags.ExplicitCas;
                        Unsigned(1, BadToken);
                        break;
                    case 'D':
                        Unsigned(2, "CLIENT_ERROR invalid numeric delta value");
                        break;
                    case 'J':
                        Unsigned(3, "CLIENT_ERROR invalid numeric initial value");
                        break;
                    case 'F':
                        if (argument.Length > 0 && Number(argument, false, 11, 0, uint.MaxValue) is { } value)
                            clientFlags = (uint)value;
                        else
                            found ??= BadFormat;
                        break;
                    case 'M':
                        mode = argument.Length == 0 ? "" : argument[0] == '\0' ? null : argument[..1];
                        break;
                    case 'O':
                        opaque = token;
                        break;
                    case 't':
                        flags |= MetaFlags.ReturnTtl | (seen.Contains('T')
                            ? MetaFlags.TtlBehindTouch : 0) | (seen.Contains('N') ? MetaFlags.TtlBehindCreate : 0);
                        break;
                    case 'v':
                        flags |= MetaFlags.Value;
                        break;
                    case 'q':
                        flags |= MetaFlags.Quiet;
                        break;
                    case 'u':
                        flags |= MetaFlags.NoUpdate;
                        break;
                    case 'I':
                        flags |= MetaFlags.Invalidate;
                        break;
                    case 'x':
                        flags |= MetaFlags.DropValue;
                        break;
                    case 's' or 'c' or 'f' or 'l' or 'h' or 'k' or 'P' or 'L':
                        break;
                    default:
                        return "CLIENT_ERROR invalid flag";
                }

                void Time(int index)
                {
                    if (argument.Length > 0 && Number(argument, true, 11, int.MinValue, int.MaxValue) is { } value)
                        times[index] = (int)value;
                    else
                        found = BadToken;
                }

                void Unsigned(int index, string complaint)
                {
                    if (argument.Length > 0 && Number(argument, false, 22, 0, ulong.MaxValue) is { } value)
                        numbers[index] = (ulong)value;
                    else
                        found = complaint;
                }
            }

            return found;
        }
    }

    private static BigInteger? Number(string token, bool signed, int charactersMax, BigInteger least, BigInteger most)
    {
        string digits = signed && token.StartsWith('-') ? token[1..] : token;
        if (token.Length > charactersMax || digits.Any(character => !char.IsAsciiDigit(character)))
            return null;
        BigInteger value = digits.Length == 0 ? 0 : BigInteger.Parse(digits, CultureInfo.InvariantCulture);
        if (digits.Length < token.Length)
            value = -value;
        return value >= least && value <= most ? value : null;
    }

    private static string? Decode(string text)
    {
        string digits = string.Concat(text.Where(character => character == '=' || Alphabet.Contains(character, StringComparison.Ordinal)));
        if (digits.Length == 0 || digits.Length % 4 != 0)
            return null;
        string key = "";
        foreach (char[] four in digits.Chunk(4))
        {
            int block = four.Aggregate(0, (sum, character) => (sum * 64) + Math.Max(0, Alphabet.IndexOf(character, StringComparison.Ordinal)));
            int padding = four.Count(character => character == '=');
            if (padding > 2)
                return null;
            key += string.Concat((char)((block >> 16) & 255), (char)((block >> 8) & 255), (char)(block & 255))[..(3 - padding)];
            if (padding > 0)
                break;
        }

        return key;
    }
}
