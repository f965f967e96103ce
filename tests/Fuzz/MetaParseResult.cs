using System.Globalization;
using System.Text;
using OrleansCache.Protocol.Meta;
using OrleansCache.Protocol.Text;

namespace OrleansCache.Fuzz;

/// <summary>Parses a meta line and says in one string all that came out of it. Bytes are written as Latin-1.</summary>
public static class MetaParseResult
{
    public static string Of(string line) => Of(ParseResult.Bytes(line), ParseResult.DefaultLimits);

    /// <param name="line">Without its end.</param>
    /// <param name="limits">Options.</param>
    public static string Of(ReadOnlySpan<byte> line, TextLimits limits)
    {
        byte[] key = new byte[Limits.KeyBytesMax];
        bool valid = MetaParser.TryParse(line, limits, key, out MetaCommand command);
        if (!valid)
        {
            return Error(
                ParseResult.Text(command.ErrorLine).TrimEnd('\r', '\n'), command.SwallowBytes, command.DeleteKeyOnError ? ParseResult.Text(command.Key) : null);
        }

        if (command.Verb == MetaVerb.NoOp)
            return "NoOp";
        return Command(
            command.Verb, ParseResult.Text(command.Key), command.Operation, command.ValueLength, command.ClientFlags, command.Flags,
            [command.Exptime, command.CreateExptime, command.RecacheExptime], [command.CompareCas, command.NewCas, command.Delta, command.InitialValue],
            command.Returns.ToString(), ParseResult.Text(command.Opaque));
    }

    public static string Error(string error, long swallow, string? deletedKey) =>
        error + (swallow > 0 ? string.Create(CultureInfo.InvariantCulture, $" swallow={swallow}") : "") + (deletedKey is null ? "" : $" delete={deletedKey}");

    public static string Command(
        MetaVerb verb, string key, CacheOperation operation, int bytes, uint clientFlags, MetaFlags flags, int[] times, ulong[] numbers, string returns,
            string opaque)
    {
        var text = new StringBuilder($"{verb}[{key}]");
        if (verb is MetaVerb.Set or MetaVerb.Arithmetic)
            text.Append(' ').Append(operation);
        if (verb == MetaVerb.Set)
            text.Append(CultureInfo.InvariantCulture, $" bytes={bytes}");
        if (clientFlags != 0)
            text.Append(CultureInfo.InvariantCulture, $" F={clientFlags}");
        if (verb == MetaVerb.Arithmetic)
            text.Append(CultureInfo.InvariantCulture, $" D={numbers[2]} J={numbers[3]}");
        (MetaFlags Flag, string Value)[] arguments =
        [
            (MetaFlags.Touch, $"T={times[0]}"), (MetaFlags.Create, $"N={times[1]}"), (MetaFlags.Recache, $"R={times[2]}"),
            (MetaFlags.CompareCas, $"C={numbers[0]}"),
            (MetaFlags.ExplicitCas, $"E={numbers[1]}"),
        ];
        foreach ((MetaFlags flag, string value) in arguments)
        {
            if ((flags & flag) != 0)
                text.Append(' ').Append(value);
        }

        MetaFlags rest = flags & ~(MetaFlags.Touch | MetaFlags.Create | MetaFlags.Recache | MetaFlags.CompareCas | MetaFlags.ExplicitCas | MetaFlags.ReturnTtl);
        if (rest != 0)
            text.Append(" (").Append(rest).Append(')');
        if (returns.Length > 0)
            text.Append(" -> ").Append(returns);
        if (opaque.Length > 0)
            text.Append(" opaque=").Append(opaque);
        return text.ToString();
    }
}
