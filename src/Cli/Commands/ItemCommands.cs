using System.Text;
using OrleansCache.Cli.Client;
using OrleansCache.Cli.Output;

namespace OrleansCache.Cli.Commands;

/// <summary>`get`, `set`, `delete`: a quick look at an item.</summary>
internal static class ItemCommands
{
    public static CliVerb Get { get; } = new()
    {
        Name = "get",
        Summary = "print the value of a key",
        Operands = "KEY...",
        OperandsMin = 1,
        OperandsMax = 1000,
        Help = """
            Prints the value, and a line feed if it is text; of several keys each on a line of
            its own. With --json key, flags, size and value (in base64 if it is no UTF-8).
            Exit code 1 if a key is not there.
            """,
        Run = RunGet,
    };

    public static CliVerb Set { get; } = new()
    {
        Name = "set",
        Summary = "store a value",
        Operands = "KEY [VALUE]",
        OperandsMin = 1,
        OperandsMax = 2,
        Options = [new("ttl", "seconds", "time to live (default: 0, no end)"), new("flags", "num", "client flags (default: 0)")],
        Help = "Stores the value, or without one what standard input has. Exit code 1 if the server refuses.",
        Run = RunSet,
    };

    public static CliVerb Delete { get; } = new()
    {
        Name = "delete",
        Summary = "delete keys",
        Operands = "KEY...",
        OperandsMin = 1,
        OperandsMax = 1000,
        Help = "Deletes the keys. Exit code 1 if one was not there.",
        Run = RunDelete,
    };

    private static int RunGet(CliContext context)
    {
        using MemcachedConnection connection = context.Connect();
        int missing = 0;
        foreach (string key in context.Operands)
        {
            if (connection.Get(key) is not { } item)
            {
                missing++;
                context.Error.WriteLine($"orleanscache get: {key}: not there");
                continue;
            }

            string? text = AsText(item.Value);
            if (context.IsJson)
            {
                Json.Write(context.Out, writer =>
                {
                    writer.WriteStartObject();
                    writer.WriteString("key", key);
                    writer.WriteNumber("flags", item.Flags);
                    writer.WriteNumber("size", item.Value.Length);
                    if (text is null)
                        writer.WriteBase64String("value_base64", item.Value);
                    else
                        writer.WriteString("value", text);
                    writer.WriteEndObject();
                }, isIndented: false);
            }
            else if (text is null && context.Surroundings.IsTerminal)
                context.Out.WriteLine($"({Figures.Bytes(item.Value.Length)} that are no text; redirect the output, or --json)");
            else if (text is not null)
                context.Out.WriteLine(text);
            else
            {
                context.Out.Flush();
                using Stream output = context.Surroundings.OpenOutput();
                output.Write(item.Value);
            }
        }

        return missing == 0 ? 0 : 1;
    }

    private static int RunSet(CliContext context)
    {
        string key = context.Operands[0];
        byte[] value = context.Operands.Count == 2 ? Encoding.UTF8.GetBytes(context.Operands[1]) : ReadInput(context);
        using MemcachedConnection connection = context.Connect();
        string answer = connection.Set(key, value, (uint)context.Integer("flags", 0, 0, int.MaxValue), context.Integer("ttl", 0, -1, int.MaxValue));
        if (answer != "STORED")
            throw connection.Unexpected("set", answer);
        return Tell(context, key, "stored", true);
    }

    private static int RunDelete(CliContext context)
    {
        using MemcachedConnection connection = context.Connect();
        int missing = 0;
        foreach (string key in context.Operands)
        {
            string answer = connection.Ask($"delete {MemcachedConnection.CheckKey(key)}");
            if (answer is not ("DELETED" or "NOT_FOUND"))
                throw connection.Unexpected("delete", answer);
            missing += answer == "DELETED" ? 0 : 1;
            Tell(context, key, "deleted", answer == "DELETED");
        }

        return missing == 0 ? 0 : 1;
    }

    private static int Tell(CliContext context, string key, string what, bool isDone)
    {
        if (context.IsJson)
        {
            Json.Write(context.Out, writer =>
            {
                writer.WriteStartObject();
                writer.WriteString("key", key);
                writer.WriteBoolean(what, isDone);
                writer.WriteEndObject();
            }, isIndented: false);
        }
        else if (!isDone)
            context.Error.WriteLine($"orleanscache {context.Verb.Name}: {key}: not there");

        return isDone ? 0 : 1;
    }

    private static byte[] ReadInput(CliContext context)
    {
        using Stream input = context.Surroundings.OpenInput();
        using var bytes = new MemoryStream();
        byte[] buffer = new byte[64 * 1024];
        for (int length; (length = input.Read(buffer)) > 0;)
        {
            bytes.Write(buffer, 0, length);
            if (bytes.Length > Limits.ItemBytesMax)
                throw CliException.Refused("standard input has more than a gigabyte");
        }

        return bytes.ToArray();
    }

    /// <summary>Null if it is no UTF-8, or holds control characters that would move a terminal.</summary>
    private static string? AsText(byte[] value)
    {
        try
        {
            string text = new UTF8Encoding(false, throwOnInvalidBytes: true).GetString(value);
            return text.Any(character => char.IsControl(character) && character is not ('\n' or '\r' or '\t')) ? null : text;
        }
        catch (DecoderFallbackException)
        {
            return null;
        }
    }
}
