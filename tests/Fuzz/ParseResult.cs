using System.Globalization;
using System.Text;
using OrleansCache.Protocol.Text;

namespace OrleansCache.Fuzz;

/// <summary>Parses a line and says in one string all that came out of it, so that tables of expectations stay readable. Bytes are written as Latin-1.</summary>
public static class ParseResult
{
    public static readonly TextLimits DefaultLimits = new(Limits.ItemBytesDefault);

    public static byte[] Bytes(string latin1) => Encoding.Latin1.GetBytes(latin1);

    public static string Text(ReadOnlySpan<byte> bytes) => Encoding.Latin1.GetString(bytes);

    public static string Of(ReadOnlySpan<byte> input, TextLimits limits, out int consumed)
    {
        TextParseStatus status = TextParser.Parse(input, limits, out TextCommand command, out consumed);
        return Describe(status, command);
    }

    public static string Of(ReadOnlySpan<byte> input) => Of(input, DefaultLimits, out _);

    public static string Of(string latin1) => Of(Bytes(latin1));

    public static string Describe(TextParseStatus status, in TextCommand command)
    {
        switch (status)
        {
            case TextParseStatus.NeedMore:
                return "more";
            case TextParseStatus.Close:
                return "close";
            case TextParseStatus.Error:
                var error = new StringBuilder(command.ErrorLine.IsEmpty ? "(silent)" : Text(command.ErrorLine).TrimEnd('\r', '\n'));
                if (command.SwallowBytes != 0)
                    error.Append(CultureInfo.InvariantCulture, $" swallow={command.SwallowBytes}");
                if (command.DeleteKeyOnError)
                    error.Append(CultureInfo.InvariantCulture, $" delete={Text(command.Key)}");
                if (command.CloseAfterError)
                    error.Append(" close");
                return error.ToString();
        }

        var text = new StringBuilder(command.Verb.ToString());
        switch (command.Verb)
        {
            case TextVerb.Get or TextVerb.Gets or TextVerb.Gat or TextVerb.Gats:
                if (command.Verb is TextVerb.Gat or TextVerb.Gats)
                    text.Append(CultureInfo.InvariantCulture, $" exptime={command.Exptime}");
                ReadOnlySpan<byte> keys = command.Keys;
                while (TextParser.TryReadKey(ref keys, out ReadOnlySpan<byte> key))
                    text.Append('[').Append(Text(key)).Append(']');
                break;
            case TextVerb.Set or TextVerb.Add or TextVerb.Replace or TextVerb.Append or TextVerb.Prepend or TextVerb.Cas:
                text.Append(CultureInfo.InvariantCulture,
                    $"[{Text(command.Key)}] flags={command.ClientFlags} exptime={command.Exptime} bytes={command.ValueLength}");
                if (command.Verb == TextVerb.Cas)
                    text.Append(CultureInfo.InvariantCulture, $" cas={command.Cas}");
                break;
            case TextVerb.Increment or TextVerb.Decrement:
                text.Append(CultureInfo.InvariantCulture, $"[{Text(command.Key)}] delta={command.Delta}");
                break;
            case TextVerb.Touch:
                text.Append(CultureInfo.InvariantCulture, $"[{Text(command.Key)}] exptime={command.Exptime}");
                break;
            case TextVerb.Delete:
                text.Append(CultureInfo.InvariantCulture, $"[{Text(command.Key)}]");
                break;
            case TextVerb.Seeds:
                text.Append(CultureInfo.InvariantCulture, $" {command.Exptime}[{Text(command.Key)}]");
                break;
            case TextVerb.Moves:
                text.Append(CultureInfo.InvariantCulture, $" {(MoveOrderKind)command.ClientFlags} {command.Exptime}");
                break;
            case TextVerb.DebugTime when command.ClientFlags != 0:
                text.Append(CultureInfo.InvariantCulture, $" {(char)command.ClientFlags}");
                break;
            case TextVerb.FlushAll or TextVerb.Verbosity or TextVerb.Shutdown or TextVerb.CacheMemlimit or TextVerb.DebugTime:
                text.Append(CultureInfo.InvariantCulture, $" {command.Exptime}");
                break;
            case TextVerb.Stats:
                text.Append(CultureInfo.InvariantCulture, $"[{Text(command.Keys)}]");
                break;
        }

        return command.NoReply ? text.Append(" noreply").ToString() : text.ToString();
    }
}
