using OrleansCache.Protocol.Text;

namespace OrleansCache.Protocol.Meta;

/// <summary>
/// Parses a line of the meta protocol, which <see cref="TextParser"/> has recognised by its first two letters. Keeps no state and allocates nothing.
/// </summary>
/// <remarks>
/// Algorithm: one pass over the tokens; a bit set finds duplicates and gives the few flags their place whose order matters. Once anything is wrong, the line is
/// looked at again in memcached's order of checks, out of line, because that decides which of several mistakes is told and whether the data block is swallowed.
/// Goals: the verdicts of memcached 1.6.45 (docs/protocol.md lists them); a refused line has no effect.
/// Non-goals: deciding what a valid command does; flags that the command makes no use of are accepted, as there.
/// </remarks>
public static class MetaParser
{
    /// <summary>Tokens of a line, command and key included; more are refused.</summary>
    private const int TokensMax = 20;

    /// <summary>
    /// Flags are told apart by bits from this character on; memcached lets no other than letters and digits begin a flag, and no digit is one.
    /// </summary>
    private const int FirstFlag = 'A' - 1;

    private const byte Space = (byte)' ';

    /// <summary>Reads a whole line. False: it is refused, and <see cref="MetaCommand.ErrorLine"/> says how.</summary>
    /// <param name="line">The line without its end.</param>
    /// <param name="limits">The options that matter.</param>
    /// <param name="keyBuffer">Takes a key that came in base64: <see cref="Limits.KeyBytesMax"/> bytes.</param>
    /// <param name="command">Filled according to the result.</param>
    public static bool TryParse(ReadOnlySpan<byte> line, in TextLimits limits, Span<byte> keyBuffer, out MetaCommand command)
    {
        command = default;
        line = TextTokens.Clamp(line);
        command.Verb = ReadVerb(line);
        if (command.Verb == MetaVerb.NoOp)
            return true;

        int position = 2;
        if (!TryReadToken(line, ref position, out command.Key))
            return Fail(ref command, TextErrors.BadFormat);
        if (command.Verb == MetaVerb.Set && !TryReadLength(line, ref position, out command.ValueLength))
            return Fail(ref command, TextErrors.BadFormat);
        if (command.Verb == MetaVerb.Debug)
            return ParseDebug(line, position, keyBuffer, ref command);
        if (command.Key.Length > Limits.KeyBytesMax)
            return Refuse(line, ref command, TextErrors.BadFormat);

        ReadOnlySpan<byte> error = default;
        ReadOnlySpan<byte> text = command.Key;
        ulong seen = 0;
        int count = command.Verb == MetaVerb.Set ? 3 : 2;
        byte mode = 0;
        command.Delta = 1;
        while (TryReadToken(line, ref position, out ReadOnlySpan<byte> token))
        {
            count++;
            byte letter = token[0];
            uint index = (uint)(letter - FirstFlag);
            if (index >= 64)
                return Refuse(line, ref command, MetaErrors.InvalidFlag);
            if (((seen >> (int)index) & 1) != 0)
                return Refuse(line, ref command, MetaErrors.DuplicateFlag);
            switch (letter)
            {
                case (byte)'v':
                    command.Flags |= MetaFlags.Value;
                    break;
                case (byte)'k':
                    command.Returns.Add(MetaReturns.Key);
                    break;
                case (byte)'O':
                    command.Opaque = token;
                    command.Returns.Add(MetaReturns.Opaque);
                    break;
                case (byte)'q':
                    command.Flags |= MetaFlags.Quiet;
                    break;
                case (byte)'s':
                    command.Returns.Add(MetaReturns.Size);
                    break;
                case (byte)'t':
                    command.Returns.Add(MetaReturns.Ttl);
                    command.Flags |= MetaFlags.ReturnTtl | (IsSeen(seen, 'T') ? MetaFlags.TtlBehindTouch : 0)
                        | (IsSeen(seen, 'N') ? MetaFlags.TtlBehindCreate : 0);
                    break;
                case (byte)'c':
                    command.Returns.Add(MetaReturns.Cas);
                    break;
                case (byte)'f':
                    command.Returns.Add(MetaReturns.ClientFlags);
                    break;
                case (byte)'h':
                    command.Returns.Add(MetaReturns.Fetched);
                    break;
                case (byte)'l':
                    command.Returns.Add(MetaReturns.LastAccess);
                    break;
                case (byte)'u':
                    command.Flags |= MetaFlags.NoUpdate;
                    break;
                case (byte)'b':
                    command.Flags |= MetaFlags.BinaryKey;
                    int decoded = Base64Key.Decode(text, keyBuffer);
                    command.Key = keyBuffer[..decoded];
                    if (decoded == 0)
                        error = MetaErrors.BadKey;
                    break;
                case (byte)'T':
                    command.Flags |= MetaFlags.Touch;
                    if (!TryReadInt32(token, out command.Exptime))
                        error = MetaErrors.BadToken;
                    break;
                case (byte)'N':
                    command.Flags |= MetaFlags.Create | (IsSeen(seen, 'T') ? MetaFlags.CreateBehindTouch : 0);
                    if (!TryReadInt32(token, out command.CreateExptime))
                        error = MetaErrors.BadToken;
                    break;
                case (byte)'R':
                    command.Flags |= MetaFlags.Recache | (IsSeen(seen, 'T') ? MetaFlags.RecacheBehindTouch : 0);
                    if (!TryReadInt32(token, out command.RecacheExptime))
                        error = MetaErrors.BadToken;
                    break;
                case (byte)'F':
                    // The one mistake without a message of its own.
                    if (token.Length < 2 || !TextNumbers.TryReadUInt32(token[1..], out command.ClientFlags))
                        error = error.IsEmpty ? TextErrors.BadFormat : error;
                    break;
                case (byte)'C':
                    command.Flags |= MetaFlags.CompareCas;
                    if (!TryReadUInt64(token, out command.CompareCas))
                        error = MetaErrors.BadToken;
                    break;
                case (byte)'E':
                    command.Flags |= MetaFlags.ExplicitCas;
                    if (!TryReadUInt64(token, out command.NewCas))
                        error = MetaErrors.BadToken;
                    break;
                case (byte)'J':
                    if (!TryReadUInt64(token, out command.InitialValue))
                        error = MetaErrors.BadInitial;
                    break;
                case (byte)'D':
                    if (!TryReadUInt64(token, out command.Delta))
                        error = MetaErrors.BadDelta;
                    break;
                case (byte)'M':
                    // What stands behind the mode does not matter; a mode that is missing is the space or line end behind the letter, and no mode.
                    mode = token.Length > 1 ? token[1] : Space;
                    break;
                case (byte)'I':
                    command.Flags |= MetaFlags.Invalidate;
                    break;
                case (byte)'x':
                    command.Flags |= MetaFlags.DropValue;
                    break;
                case (byte)'P' or (byte)'L':
                    // For proxies between the client and the server.
                    break;
                default:
                    return Refuse(line, ref command, MetaErrors.InvalidFlag);
            }

            seen |= 1UL << (int)index;
        }

        if (!error.IsEmpty || count > TokensMax)
            return Refuse(line, ref command, error);
        return Finish(mode, limits, ref command);
    }

    /// <summary>
    /// The key of a line and the length of the data block behind it (-1 if there is none), for those who only want to know what comes. Not checked; a key in
    /// base64 as it stands.
    /// </summary>
    public static bool TryPeek(ReadOnlySpan<byte> line, out ReadOnlySpan<byte> key, out int valueLength)
    {
        valueLength = -1;
        int position = 2;
        MetaVerb verb = ReadVerb(line);
        if (!TryReadToken(line, ref position, out key) || verb == MetaVerb.NoOp)
            return false;
        return verb != MetaVerb.Set || TryReadLength(line, ref position, out valueLength);
    }

    private static MetaVerb ReadVerb(ReadOnlySpan<byte> line) => line[1] switch
    {
        (byte)'g' => MetaVerb.Get,
        (byte)'s' => MetaVerb.Set,
        (byte)'d' => MetaVerb.Delete,
        (byte)'a' => MetaVerb.Arithmetic,
        (byte)'e' => MetaVerb.Debug,
        _ => MetaVerb.NoOp,
    };

    /// <summary>Modes, and the mistakes that are found only when all flags are right.</summary>
    private static bool Finish(byte mode, in TextLimits limits, ref MetaCommand command)
    {
        if (command.Verb == MetaVerb.Set)
        {
            command.Operation = mode switch
            {
                0 or (byte)'S' => CacheOperation.Set,
                (byte)'E' => CacheOperation.Add,
                (byte)'A' => CacheOperation.Append,
                (byte)'P' => CacheOperation.Prepend,
                (byte)'R' => CacheOperation.Replace,
                _ => CacheOperation.None,
            };
            command.SwallowBytes = (long)command.ValueLength + 2;
            if (command.Operation == CacheOperation.None)
                return Fail(ref command, MetaErrors.BadSetMode);
            if (Limits.IsItemTooLarge(command.Key.Length, command.ValueLength, command.ClientFlags, limits.ItemBytesMax))
            {
                command.DeleteKeyOnError = true;
                return Fail(ref command, TextErrors.TooLarge);
            }
        }
        else if (command.Verb == MetaVerb.Arithmetic)
        {
            command.Operation = mode switch
            {
                0 or (byte)'I' or (byte)'+' => CacheOperation.Increment,
                (byte)'D' or (byte)'-' => CacheOperation.Decrement,
                _ => CacheOperation.None,
            };
            if (command.Operation == CacheOperation.None)
                return Fail(ref command, MetaErrors.BadArithmeticMode);
        }

        if (command.Opaque.Length > Limits.OpaqueBytesMax)
            return Fail(ref command, MetaErrors.OpaqueTooLong);
        command.SwallowBytes = 0;
        return true;
    }

    /// <summary>me knows b only, as the first flag; what else stands there does not matter.</summary>
    private static bool ParseDebug(ReadOnlySpan<byte> line, int position, Span<byte> keyBuffer, ref MetaCommand command)
    {
        if (command.Key.Length > Limits.KeyBytesMax || HasImpossibleFlag(line, 2, out _))
            return Fail(ref command, TextErrors.BadFormat);
        if (TryReadToken(line, ref position, out ReadOnlySpan<byte> flag) && flag is [(byte)'b'])
        {
            int decoded = Base64Key.Decode(command.Key, keyBuffer);
            if (decoded == 0)
                return Fail(ref command, TextErrors.BadFormat);
            command.Key = keyBuffer[..decoded];
            command.Flags = MetaFlags.BinaryKey;
        }

        return true;
    }

    /// <summary>A line with at least one mistake: finds the one that memcached tells.</summary>
    private static bool Refuse(ReadOnlySpan<byte> line, ref MetaCommand command, ReadOnlySpan<byte> error)
    {
        bool isSet = command.Verb == MetaVerb.Set;

        // memcached's tokenizer gives up on such a flag, and does not know the data block's length then.
        if (HasImpossibleFlag(line, isSet ? 3 : 2, out int count))
            return Fail(ref command, TextErrors.BadFormat);
        if (isSet)
            command.SwallowBytes = (long)command.ValueLength + 2;
        if (command.Verb == MetaVerb.Arithmetic)
            error = MetaErrors.InvalidOrDuplicateFlag;
        else if (count > TokensMax && command.Key.Length <= Limits.KeyBytesMax)
            error = MetaErrors.TooManyFlags;
        return Fail(ref command, error);
    }

    private static bool HasImpossibleFlag(ReadOnlySpan<byte> line, int firstFlag, out int count)
    {
        TextTokens tokens = TextTokens.Read(line);
        count = tokens.Count;
        for (int i = firstFlag; i < count; i++)
        {
            if (line[tokens.StartOf(i)] is not ((> 64 and < 123) or (>= (byte)'0' and <= (byte)'9')))
                return true;
        }

        return false;
    }

    private static bool Fail(ref MetaCommand command, ReadOnlySpan<byte> errorLine)
    {
        command.ErrorLine = errorLine;
        return false;
    }

    private static bool IsSeen(ulong seen, char letter) => ((seen >> (letter - FirstFlag)) & 1) != 0;

    private static bool TryReadLength(ReadOnlySpan<byte> line, scoped ref int position, out int length)
    {
        length = 0;
        return TryReadToken(line, ref position, out ReadOnlySpan<byte> token)
            && TextNumbers.TryReadInt32(token, out length) && length is >= 0 and <= int.MaxValue - 2;
    }

    private static bool TryReadInt32(ReadOnlySpan<byte> flag, out int value)
    {
        value = 0;
        return flag.Length > 1 && TextNumbers.TryReadInt32(flag[1..], out value);
    }

    private static bool TryReadUInt64(ReadOnlySpan<byte> flag, out ulong value)
    {
        value = 0;
        return flag.Length > 1 && TextNumbers.TryReadUInt64(flag[1..], out value);
    }

    private static bool TryReadToken(ReadOnlySpan<byte> line, scoped ref int position, out ReadOnlySpan<byte> token)
    {
        int start = position;
        while ((uint)start < (uint)line.Length && line[start] == Space)
            start++;
        int end = start;
        while ((uint)end < (uint)line.Length && line[end] != Space)
            end++;
        position = end;
        token = line[start..end];
        return end > start;
    }
}
