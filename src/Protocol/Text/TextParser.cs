using System.Buffers.Binary;
using System.Runtime.CompilerServices;

namespace OrleansCache.Protocol.Text;

/// <summary>What the parser must know of the options.</summary>
/// <param name="ItemBytesMax">-I.</param>
/// <param name="FlushEnabled">False with -F: flush_all answers CLIENT_ERROR flush_all not allowed.</param>
public readonly record struct TextLimits(int ItemBytesMax, bool FlushEnabled = true);

/// <summary>
/// Parses the classic text protocol: bytes in, one command line out. Knows no I/O, keeps no state and allocates nothing.
/// Incomplete input consumes nothing, so that the same line parses alike however it was cut into segments.
/// </summary>
/// <remarks>
/// Algorithm: one vectorised search for the line feed; the first four bytes, read as an integer, choose the command; get with plain keys and storage
/// commands with plain numbers are read in one pass over the line. Whatever is not plain (signs, tabs, noreply, too many tokens, errors) goes out of
/// line to a tokenizer with memcached 1.6.45's rules, so that the odd forms mean exactly what they mean there (docs/protocol.md lists them).
/// Goals: the verdicts of memcached 1.6.45, tens of nanoseconds for get and set, time linear in the input.
/// Non-goals: the binary protocol, and the meta commands beyond their names; waiting for the data block; deciding what a valid command does.
/// </remarks>
public static partial class TextParser
{
    private const byte Space = (byte)' ';

    /// <summary>Parses the first line of <paramref name="input"/>.</summary>
    /// <param name="input">What has been received and not yet consumed, contiguous.</param>
    /// <param name="limits">The options that matter.</param>
    /// <param name="command">Filled according to the status.</param>
    /// <param name="consumed">Bytes of the line with its end; 0 with NeedMore and with Close for want of a line end.</param>
    public static TextParseStatus Parse(ReadOnlySpan<byte> input, in TextLimits limits, out TextCommand command, out int consumed) =>
        Parse(input, 0, limits, out command, out consumed);

    /// <summary>
    /// Parses the first line of <paramref name="input"/>, of which a part is known to hold no line end: a long line that arrives in many pieces is searched
    /// once.
    /// </summary>
    /// <param name="input">What has been received and not yet consumed, contiguous.</param>
    /// <param name="scannedBytes">Length of the input for which the last call answered NeedMore and which has only grown since; 0 if unknown.</param>
    /// <param name="limits">The options that matter.</param>
    /// <param name="command">Filled according to the status.</param>
    /// <param name="consumed">Bytes of the line with its end; 0 with NeedMore and with Close for want of a line end.</param>
    public static TextParseStatus Parse(ReadOnlySpan<byte> input, int scannedBytes, in TextLimits limits, out TextCommand command, out int consumed)
    {
        command = default;
        int lineFeed = input[scannedBytes..].IndexOf((byte)'\n') + scannedBytes;
        if (lineFeed < scannedBytes)
            return Incomplete(input, ref command, out consumed);

        consumed = lineFeed + 1;

        // memcached refuses lines below four bytes, line end included, before it looks at them.
        if (lineFeed < 3)
            return Fail(ref command, TextErrors.BadFormat);
        if (lineFeed >= Limits.GetLineBytesMax)
            return FailAndClose(ref command, TextErrors.LineTooLong);

        int textLength = lineFeed - (input[lineFeed - 1] == '\r' ? 1 : 0);
        ReadOnlySpan<byte> text = input[..textLength];
        switch (ReadPrefix(text))
        {
            case Prefix.Get:
                return ParseGet(TextVerb.Get, text, 4, ref command);
            case Prefix.Set:
                return ParseStorage(TextVerb.Set, text, 4, limits, ref command);
            case Prefix.Add:
                return ParseStorage(TextVerb.Add, text, 4, limits, ref command);
            case Prefix.Cas:
                return ParseStorageTokens(TextVerb.Cas, text, limits, ref command);
            case Prefix.Gets when IsSpaceAt(text, 4):
                return ParseGet(TextVerb.Gets, text, 5, ref command);
            default:
                return ParseByName(text, limits, ref command);
        }
    }

    /// <summary>Takes the next key from the rest of a get line; false when there is none left.</summary>
    public static bool TryReadKey(ref ReadOnlySpan<byte> keys, out ReadOnlySpan<byte> key)
    {
        ReadOnlySpan<byte> rest = keys;
        int start = 0;
        while ((uint)start < (uint)rest.Length && rest[start] == Space)
            start++;
        rest = rest[start..];
        if (rest.IsEmpty)
        {
            keys = default;
            key = default;
            return false;
        }

        int end = rest.IndexOf(Space);
        if (end < 0)
        {
            key = rest;
            keys = default;
        }
        else
        {
            key = rest[..end];
            keys = rest[(end + 1)..];
        }

        return true;
    }

    /// <summary>The first four bytes of a command line as a little-endian integer.</summary>
    private static class Prefix
    {
        public const uint Get = 'g' | ('e' << 8) | ('t' << 16) | (' ' << 24);
        public const uint Set = 's' | ('e' << 8) | ('t' << 16) | (' ' << 24);
        public const uint Add = 'a' | ('d' << 8) | ('d' << 16) | (' ' << 24);
        public const uint Cas = 'c' | ('a' << 8) | ('s' << 16) | (' ' << 24);
        public const uint Gets = 'g' | ('e' << 8) | ('t' << 16) | ('s' << 24);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint ReadPrefix(ReadOnlySpan<byte> text) => text.Length >= 4 ? BinaryPrimitives.ReadUInt32LittleEndian(text) : 0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool IsSpaceAt(ReadOnlySpan<byte> text, int index) => (uint)index < (uint)text.Length && text[index] == Space;

    /// <summary>There is no line feed: wait, unless the line has grown longer than memcached lets it.</summary>
    private static TextParseStatus Incomplete(ReadOnlySpan<byte> input, ref TextCommand command, out int consumed)
    {
        consumed = 0;
        if (input.Length <= Limits.LineBytesMax)
            return TextParseStatus.NeedMore;

        // Only a multi-get may be longer; up to 100 spaces before it are forgiven here (and refused when the line is complete).
        int spaces = input[..^6].IndexOfAnyExcept(Space);
        if (spaces is < 0 or > 100 || !(input[spaces..].StartsWith("get "u8) || input[spaces..].StartsWith("gets "u8)))
            return TextParseStatus.Close;
        if (input.Length < Limits.GetLineBytesMax)
            return TextParseStatus.NeedMore;

        consumed = input.Length;
        return FailAndClose(ref command, TextErrors.LineTooLong);
    }

    /// <summary>get, gets: keys from <paramref name="start"/> on.</summary>
    private static TextParseStatus ParseGet(TextVerb verb, ReadOnlySpan<byte> text, int start, ref TextCommand command)
    {
        ReadOnlySpan<byte> keys = text[start..];
        command.Verb = verb;
        command.Keys = keys;

        // One key without spaces around it is the usual case.
        if ((uint)(keys.Length - 1) < Limits.KeyBytesMax && !keys.Contains(Space))
            return TextParseStatus.Command;
        return ParseKeys(text, ref command);
    }

    /// <summary>Checks every key before the first is executed, so that a refused line has no effect at all.</summary>
    private static TextParseStatus ParseKeys(ReadOnlySpan<byte> text, ref TextCommand command)
    {
        // memcached's tokenizer sees only the start of a very long line: the first key must begin there.
        ReadOnlySpan<byte> rest = command.Keys;
        int unseen = text.Length - TextTokens.Clamp(text).Length;
        if (rest[..Math.Max(0, rest.Length - unseen)].IndexOfAnyExcept(Space) < 0)
            return Fail(ref command, TextErrors.BadFormat);

        while (TryReadKey(ref rest, out ReadOnlySpan<byte> key))
        {
            if (key.Length > Limits.KeyBytesMax)
                return Fail(ref command, TextErrors.BadFormat);
        }

        return TextParseStatus.Command;
    }

    /// <summary>
    /// Every command but the few that <see cref="Parse(ReadOnlySpan{byte}, in TextLimits, out TextCommand, out int)"/> knows by its first bytes.
    /// </summary>
    private static TextParseStatus ParseByName(ReadOnlySpan<byte> text, in TextLimits limits, ref TextCommand command)
    {
        int nameLength = text.IndexOf(Space);
        ReadOnlySpan<byte> name = nameLength < 0 ? text : text[..nameLength];
        switch (name.Length)
        {
            case 2:
                if (name[0] == 'm' && name[1] is (byte)'g' or (byte)'s' or (byte)'d' or (byte)'a' or (byte)'n' or (byte)'e')
                {
                    command.Keys = text;
                    return Succeed(TextVerb.Meta, ref command);
                }

                break;
            case 3:
                if (name.SequenceEqual("gat"u8))
                    return ParseGat(TextVerb.Gat, text, ref command);

                // Without a space behind the name there can be no arguments.
                if (name.SequenceEqual("get"u8) || name.SequenceEqual("set"u8) || name.SequenceEqual("add"u8) || name.SequenceEqual("cas"u8))
                    return Fail(ref command, TextErrors.BadFormat);
                break;
            case 4:
                if (name.SequenceEqual("incr"u8))
                    return ParseArithmetic(TextVerb.Increment, text, ref command);
                if (name.SequenceEqual("decr"u8))
                    return ParseArithmetic(TextVerb.Decrement, text, ref command);
                if (name.SequenceEqual("gats"u8))
                    return ParseGat(TextVerb.Gats, text, ref command);
                if (name.SequenceEqual("gets"u8))
                    return Fail(ref command, TextErrors.BadFormat);
                if (name.SequenceEqual("quit"u8))
                    return Succeed(TextVerb.Quit, ref command);
                break;
            case 5:
                if (name.SequenceEqual("touch"u8))
                    return ParseTouch(text, ref command);
                if (name.SequenceEqual("stats"u8))
                {
                    command.Keys = text[5..].Trim(Space);
                    return Succeed(TextVerb.Stats, ref command);
                }

                break;
            case 6:
                if (name.SequenceEqual("delete"u8))
                    return ParseDelete(text, ref command);
                if (name.SequenceEqual("append"u8))
                    return ParseStorage(TextVerb.Append, text, 7, limits, ref command);
                break;
            case 7:
                if (name.SequenceEqual("replace"u8))
                    return ParseStorage(TextVerb.Replace, text, 8, limits, ref command);
                if (name.SequenceEqual("prepend"u8))
                    return ParseStorage(TextVerb.Prepend, text, 8, limits, ref command);
                if (name.SequenceEqual("version"u8))
                    return Succeed(TextVerb.Version, ref command);
                break;
        }

        return ParseSecondTable(text, limits, ref command);
    }

    /// <summary>
    /// The commands that memcached looks up by their first token, wherever that begins: spaces before them do not matter, and noreply counts even for unknown
    /// ones.
    /// </summary>
    private static TextParseStatus ParseSecondTable(ReadOnlySpan<byte> text, in TextLimits limits, ref TextCommand command)
    {
        TextTokens tokens = TextTokens.Read(text);
        command.NoReply = tokens.EndsWithNoReply(text);
        ReadOnlySpan<byte> name = tokens[text, 0];
        if (name.SequenceEqual("flush_all"u8))
        {
            command.Verb = TextVerb.FlushAll;
            if (!limits.FlushEnabled)
                return Fail(ref command, TextErrors.FlushNotAllowed);
            if (tokens.Count == (command.NoReply ? 2 : 1))
                return TextParseStatus.Command;
            if (!TextNumbers.TryReadInt32(tokens[text, 1], out int delay))
                return Fail(ref command, TextErrors.InvalidExptime);
            command.Exptime = delay;
            return TextParseStatus.Command;
        }

        if (name.SequenceEqual("watch"u8) && tokens.StartOf(0) == 0)
        {
            // No spaces before it, and noreply is a word like another.
            command.NoReply = false;
            command.Keys = text[5..].Trim(Space);
            return Succeed(TextVerb.Watch, ref command);
        }

        if (name.SequenceEqual("verbosity"u8))
        {
            command.Verb = TextVerb.Verbosity;
            if (tokens.Count < 2 || !TextNumbers.TryReadUInt32(tokens[text, 1], out uint level))
                return Fail(ref command, TextErrors.BadFormat);
            command.Exptime = level;
            return TextParseStatus.Command;
        }

        if (name.SequenceEqual("refresh_certs"u8))
            return Succeed(TextVerb.RefreshCerts, ref command);
        TextParseStatus status = ParseOperator(text, tokens, ref command);
        if (status != TextParseStatus.NeedMore)
            return status;
        if (name.SequenceEqual("lru_crawler"u8))
            return WithArguments(TextVerb.LruCrawler, text, tokens, ref command);
        if (name.SequenceEqual("slabs"u8))
            return WithArguments(TextVerb.Slabs, text, tokens, ref command);
        if (name.SequenceEqual("lru"u8))
            return WithArguments(TextVerb.Lru, text, tokens, ref command);
        if (name.SequenceEqual("config"u8) && tokens.Count >= 3 && tokens[text, 1].SequenceEqual("get"u8) && tokens[text, 2].SequenceEqual("cluster"u8))
            return Succeed(TextVerb.ConfigGetCluster, ref command);
        if (tokens.Count > 1 && tokens[text, tokens.Count - 1].StartsWith("HTTP/"u8))
            return TextParseStatus.Close;
        return Fail(ref command, TextErrors.UnknownCommand);
    }

    /// <summary>A command whose executor reads the arguments: words that depend on each other.</summary>
    private static TextParseStatus WithArguments(TextVerb verb, ReadOnlySpan<byte> text, in TextTokens tokens, ref TextCommand command)
    {
        command.Verb = verb;
        command.Keys = tokens.Count > 1 ? TextTokens.Clamp(text)[tokens.StartOf(1)..] : default;
        return TextParseStatus.Command;
    }

    private static TextParseStatus ParseGat(TextVerb verb, ReadOnlySpan<byte> text, ref TextCommand command)
    {
        // gat takes no noreply: the word is a key.
        TextTokens tokens = TextTokens.Read(text, countMax: 3);
        if (tokens.Count < 3)
            return Fail(ref command, TextErrors.BadFormat);
        if (!TextNumbers.TryReadInt32(tokens[text, 1], out int exptime))
            return Fail(ref command, TextErrors.InvalidExptime);

        command.Verb = verb;
        command.Exptime = exptime;
        command.Keys = text[tokens.StartOf(2)..];
        return ParseKeys(text, ref command);
    }

    private static TextParseStatus ParseArithmetic(TextVerb verb, ReadOnlySpan<byte> text, ref TextCommand command)
    {
        if (!TryReadKeyed(verb, text, tokensMin: 3, ref command, out TextTokens tokens))
            return TextParseStatus.Error;
        return TextNumbers.TryReadUInt64(tokens[text, 2], out command.Delta) ? TextParseStatus.Command : Fail(ref command, TextErrors.InvalidDelta);
    }

    private static TextParseStatus ParseTouch(ReadOnlySpan<byte> text, ref TextCommand command)
    {
        if (!TryReadKeyed(TextVerb.Touch, text, tokensMin: 3, ref command, out TextTokens tokens))
            return TextParseStatus.Error;
        bool valid = TextNumbers.TryReadInt32(tokens[text, 2], out int exptime);
        command.Exptime = exptime;
        return valid ? TextParseStatus.Command : Fail(ref command, TextErrors.InvalidExptime);
    }

    /// <summary>Behind the key only 0 and noreply may stand: 1.6.18's rule, which memccapable tests, where 1.6.45 ignores anything.</summary>
    private static TextParseStatus ParseDelete(ReadOnlySpan<byte> text, ref TextCommand command)
    {
        if (!TryReadKeyed(TextVerb.Delete, text, tokensMin: 2, ref command, out TextTokens tokens))
            return TextParseStatus.Error;
        if (tokens.Count == 2)
            return TextParseStatus.Command;
        if (tokens.Count > 4)
            return Fail(ref command, TextErrors.UnknownCommand);
        bool holdIsZero = tokens[text, 2].SequenceEqual("0"u8);
        bool isValid = tokens.Count == 3 ? holdIsZero || command.NoReply : holdIsZero && command.NoReply;
        return isValid ? TextParseStatus.Command : Fail(ref command, TextErrors.DeleteUsage);
    }

    private static bool TryReadKeyed(TextVerb verb, ReadOnlySpan<byte> text, int tokensMin, ref TextCommand command, out TextTokens tokens)
    {
        tokens = TextTokens.Read(text);
        if (tokens.Count < tokensMin)
        {
            // Too few tokens are found before noreply is looked for, so this error always shows.
            Fail(ref command, TextErrors.BadFormat);
            return false;
        }

        command.Verb = verb;
        command.NoReply = tokens.EndsWithNoReply(text);
        command.Key = tokens[text, 1];
        if (command.Key.Length <= Limits.KeyBytesMax)
            return true;

        Fail(ref command, TextErrors.BadFormat);
        return false;
    }

    private static TextParseStatus Succeed(TextVerb verb, ref TextCommand command)
    {
        command.Verb = verb;
        return TextParseStatus.Command;
    }

    private static TextParseStatus Fail(ref TextCommand command, ReadOnlySpan<byte> errorLine)
    {
        command.ErrorLine = command.NoReply ? default : errorLine;
        return TextParseStatus.Error;
    }

    private static TextParseStatus FailAndClose(ref TextCommand command, ReadOnlySpan<byte> errorLine)
    {
        command.ErrorLine = errorLine;
        command.CloseAfterError = true;
        return TextParseStatus.Error;
    }
}
