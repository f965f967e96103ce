using System.Globalization;
using OrleansCache.Cli.Client;
using OrleansCache.Cli.Output;

namespace OrleansCache.Cli.Commands;

/// <summary>`keys`: the whole keyspace, as a stream.</summary>
internal static class KeysCommand
{
    public static CliVerb Verb { get; } = new()
    {
        Name = "keys",
        Summary = "list keys of the whole cluster",
        Options =
        [
            new("prefix", "text", "only keys that begin so"),
            new("limit", "num", "at most so many"),
            new("long", "", "with size, time to live and seconds since the last access"),
        ],
        Help = """
            Lists keys, one a line, in no order; --json prints an object a line. The server reads every
            item for it (`lru_crawler metadump`), which takes a second for some millions and does not
            stop others. Servers with -X refuse.
            """,
        Run = Run,
    };

    private static int Run(CliContext context)
    {
        string prefix = context.Text("prefix") ?? "";
        long limit = context.Integer("limit", int.MaxValue, 1, int.MaxValue);
        using MemcachedConnection connection = context.Connect();
        connection.Send("lru_crawler metadump all\r\n"u8);
        string first = connection.ReadLine();
        if (first != "OK")
            throw connection.Unexpected("lru_crawler metadump", first);
        long now = DateTimeOffset.UtcNow.ToUnixTimeSeconds();
        if (context.Has("long") && !context.IsJson)
            context.Out.WriteLine("     BYTES        TTL     ACCESS  KEY");
        for (long count = 0; count < limit;)
        {
            string line = connection.ReadLine();
            if (line == "END")
                break;
            if (!line.StartsWith("key=", StringComparison.Ordinal))
                throw connection.Unexpected("lru_crawler metadump", line);
            string[] words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            string key = Uri.UnescapeDataString(words[0][4..]);
            if (!key.StartsWith(prefix, StringComparison.Ordinal))
                continue;
            count++;
            Write(context, key, words, now);
        }

        context.Out.Flush();
        return 0;
    }

    private static void Write(CliContext context, string key, string[] words, long now)
    {
        if (!context.IsJson && !context.Has("long"))
        {
            context.Out.WriteLine(key);
            return;
        }

        long expires = Number("exp");
        long size = Number("size");
        long access = Math.Max(0, now - Number("la"));
        if (context.IsJson)
        {
            Json.Write(context.Out, writer =>
            {
                writer.WriteStartObject();
                writer.WriteString("key", key);
                writer.WriteNumber("size", size);
                if (expires > 0)
                    writer.WriteNumber("ttl", Math.Max(0, expires - now));
                else
                    writer.WriteNull("ttl");
                writer.WriteNumber("last_access_seconds", access);
                writer.WriteEndObject();
            }, isIndented: false);
            return;
        }

        string ttl = expires > 0 ? Figures.Duration(Math.Max(0, expires - now)) : "never";
        context.Out.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{size,10} {ttl,10} {Figures.Duration(access),10}  {key}"));

        long Number(string name)
        {
            foreach (string word in words)
            {
                if (word.Length > name.Length && word[name.Length] == '=' && word.StartsWith(name, StringComparison.Ordinal))
                    return long.TryParse(word.AsSpan(name.Length + 1), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long value) ? value : 0;
            }

            return 0;
        }
    }
}
