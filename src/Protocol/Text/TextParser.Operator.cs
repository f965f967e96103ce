namespace OrleansCache.Protocol.Text;

// The operator's commands.
public static partial class TextParser
{
    private const int DigitsMax = 20;

    /// <summary>shutdown, drain, seeds, cache_memlimit and debugtime, or <see cref="TextParseStatus.NeedMore"/> if it is none of them.</summary>
    private static TextParseStatus ParseOperator(ReadOnlySpan<byte> text, in TextTokens tokens, ref TextCommand command)
    {
        ReadOnlySpan<byte> name = tokens[text, 0];
        ReadOnlySpan<byte> argument = tokens[text, 1];
        if (name.SequenceEqual("shutdown"u8))
        {
            command.Verb = TextVerb.Shutdown;
            command.Exptime = tokens.Count == 1 ? 0 : tokens.Count == 2 && argument.SequenceEqual("graceful"u8) ? 1 : -1;
            return TextParseStatus.Command;
        }

        if (name.SequenceEqual("drain"u8))
        {
            command.Verb = TextVerb.Drain;
            return tokens.Count == 1 ? TextParseStatus.Command : Fail(ref command, TextErrors.UnknownCommand);
        }

        if (name.SequenceEqual("seeds"u8))
        {
            command.Verb = TextVerb.Seeds;
            bool adds = argument.SequenceEqual("add"u8);
            if (tokens.Count != 3 || !(adds || argument.SequenceEqual("remove"u8)) || tokens[text, 2].Length > Limits.KeyBytesMax)
                return Fail(ref command, TextErrors.UnknownCommand);
            command.Exptime = adds ? 1 : 0;
            command.Key = tokens[text, 2];
            return TextParseStatus.Command;
        }

        if (name.SequenceEqual("cache_memlimit"u8))
        {
            command.Verb = TextVerb.CacheMemlimit;
            if (tokens.Count < 2 || !TextNumbers.TryReadUInt32(argument, out uint megabytes))
                return Fail(ref command, TextErrors.UnknownCommand);
            command.Exptime = megabytes;
            return TextParseStatus.Command;
        }

        if (name.SequenceEqual("debugtime"u8))
        {
            command.Verb = TextVerb.DebugTime;
            if (tokens.Count < 2)
                return Fail(ref command, TextErrors.UnknownCommand);
            if (argument.SequenceEqual("p"u8) || argument.SequenceEqual("r"u8))
            {
                command.ClientFlags = argument[0];
                return TextParseStatus.Command;
            }

            bool isNegative = argument[0] == '-';
            ReadOnlySpan<byte> digits = isNegative ? argument[1..] : argument;
            if (digits.Length > DigitsMax || !TextNumbers.TryReadUInt64(digits, out ulong seconds) || seconds > long.MaxValue)
                return Fail(ref command, TextErrors.UnknownCommand);
            command.Exptime = isNegative ? -(long)seconds : (long)seconds;
            return TextParseStatus.Command;
        }

        return TextParseStatus.NeedMore;
    }
}
