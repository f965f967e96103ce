namespace OrleansCache.Protocol.Text;

// The operator's commands.
public static partial class TextParser
{
    private const int DigitsMax = 20;

    /// <summary>shutdown, drain, seeds, moves, cache_memlimit and debugtime, or <see cref="TextParseStatus.NeedMore"/> if it is none of them.</summary>
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

        if (name.SequenceEqual("moves"u8))
            return ParseMoves(text, in tokens, ref command);

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

    /// <summary>moves pause, moves resume, moves limit BYTES|off, moves abort PARTITION|all.</summary>
    private static TextParseStatus ParseMoves(ReadOnlySpan<byte> text, in TextTokens tokens, ref TextCommand command)
    {
        command.Verb = TextVerb.Moves;
        ReadOnlySpan<byte> order = tokens[text, 1];
        ReadOnlySpan<byte> value = tokens[text, 2];
        MoveOrderKind kind = order.SequenceEqual("pause"u8) ? MoveOrderKind.Pause
            : order.SequenceEqual("resume"u8) ? MoveOrderKind.Resume
            : order.SequenceEqual("limit"u8) ? MoveOrderKind.Limit
            : order.SequenceEqual("abort"u8) ? MoveOrderKind.Abort : MoveOrderKind.None;
        bool takesValue = kind is MoveOrderKind.Limit or MoveOrderKind.Abort;
        if (kind == MoveOrderKind.None || tokens.Count != (takesValue ? 3 : 2))
            return Fail(ref command, TextErrors.UnknownCommand);
        command.ClientFlags = (uint)kind;
        if (!takesValue)
            return TextParseStatus.Command;
        if (kind == MoveOrderKind.Limit && value.SequenceEqual("off"u8))
            command.Exptime = 0;
        else if (kind == MoveOrderKind.Abort && value.SequenceEqual("all"u8))
            command.Exptime = MoveOrder.All;
        else if (value.Length <= DigitsMax && TextNumbers.TryReadUInt64(value, out ulong number) && number <= long.MaxValue)
            command.Exptime = (long)number;
        else
            return Fail(ref command, TextErrors.UnknownCommand);
        return TextParseStatus.Command;
    }
}
