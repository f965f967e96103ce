namespace OrleansCache.Protocol.Text;

public static partial class TextParser
{
    /// <summary>Longest run of digits that the fast way reads: it cannot overflow 32 bits.</summary>
    private const int PlainDigitsMax = 9;

    /// <summary>
    /// set, add, replace, append, prepend in their plain form "name key flags exptime bytes", one space between, short numbers without signs.
    /// Anything else starts again with the tokenizer.
    /// </summary>
    private static TextParseStatus ParseStorage(TextVerb verb, ReadOnlySpan<byte> text, int start, in TextLimits limits, ref TextCommand command)
    {
        if ((uint)start <= (uint)text.Length)
        {
            ReadOnlySpan<byte> rest = text[start..];
            int keyLength = rest.IndexOf(Space);
            int position = keyLength + 1;
            if ((uint)(keyLength - 1) < Limits.KeyBytesMax
                && TryReadPlain(rest, ref position, out uint clientFlags) && position < rest.Length
                && TryReadPlain(rest, ref position, out uint exptime) && position < rest.Length
                && TryReadPlain(rest, ref position, out uint valueLength) && position == rest.Length + 1)
            {
                command.Verb = verb;
                command.Key = rest[..keyLength];
                command.ClientFlags = clientFlags;
                command.Exptime = exptime;
                command.ValueLength = (int)valueLength;
                return Limits.IsItemTooLarge(keyLength, valueLength, clientFlags, limits.ItemBytesMax)
                    ? FailTooLarge(ref command)
                    : TextParseStatus.Command;
            }
        }

        return ParseStorageTokens(verb, text, limits, ref command);
    }

    /// <summary>Reads digits up to a space or the end; on success <paramref name="position"/> stands one behind that.</summary>
    private static bool TryReadPlain(ReadOnlySpan<byte> text, ref int position, out uint value)
    {
        uint sum = 0;
        int start = position;
        int i = start;
        for (; (uint)i < (uint)text.Length; i++)
        {
            uint digit = (uint)(text[i] - '0');
            if (digit > 9)
            {
                if (text[i] != Space)
                    goto NotPlain;
                break;
            }

            sum = (sum * 10) + digit;
        }

        if ((uint)(i - start - 1) < PlainDigitsMax)
        {
            value = sum;
            position = i + 1;
            return true;
        }

    NotPlain:
        value = 0;
        return false;
    }

    /// <summary>
    /// Storage commands in every other form, with memcached's order of checks: it decides which mistakes swallow the data block and which are silent.
    /// </summary>
    private static TextParseStatus ParseStorageTokens(TextVerb verb, ReadOnlySpan<byte> text, in TextLimits limits, ref TextCommand command)
    {
        TextTokens tokens = TextTokens.Read(text);

        // Without a valid length nobody knows how much to swallow, and noreply has not been looked for: the data block will be read as commands.
        if (tokens.Count < 5 || !TextNumbers.TryReadInt32(tokens[text, 4], out int valueLength) || valueLength is < 0 or > int.MaxValue - 2)
            return Fail(ref command, TextErrors.BadFormat);

        command.Verb = verb;
        command.Key = tokens[text, 1];
        command.ValueLength = valueLength;
        command.NoReply = tokens.EndsWithNoReply(text);
        if (command.Key.Length > Limits.KeyBytesMax
            || !TextNumbers.TryReadLaxUInt32(text[tokens.StartOf(2)..], out command.ClientFlags)
            || !TextNumbers.TryReadLaxInt32(text[tokens.StartOf(3)..], out int exptime)
            || (verb == TextVerb.Cas && (tokens.Count < 6 || !TextNumbers.TryReadUInt64(tokens[text, 5], out command.Cas))))
        {
            command.SwallowBytes = (long)valueLength + 2;
            return Fail(ref command, TextErrors.BadFormat);
        }

        command.Exptime = exptime;
        return Limits.IsItemTooLarge(command.Key.Length, valueLength, command.ClientFlags, limits.ItemBytesMax)
            ? FailTooLarge(ref command)
            : TextParseStatus.Command;
    }

    private static TextParseStatus FailTooLarge(ref TextCommand command)
    {
        command.SwallowBytes = (long)command.ValueLength + 2;
        command.IsTooLarge = true;
        command.DeleteKeyOnError = command.Verb == TextVerb.Set;
        return Fail(ref command, TextErrors.TooLarge);
    }
}
