using OrleansCache.Gateway.Buffers;
using OrleansCache.Protocol.Binary;

namespace OrleansCache.Gateway.Stats;

/// <summary>The statistics as the binary protocol sends them: the text protocol's lines, each in a packet of its own with the name as its key. Cold.</summary>
internal static class BinaryStats
{
    private const string DetailDump = "detail dump";

    /// <summary>
    /// The text protocol's words for a group. Null: memcached's binary protocol does not know it (it has fewer groups than the text protocol).
    /// </summary>
    public static string? Arguments(string group)
    {
        // memcached compares the beginning of what the client sent with these names, and the rest exactly.
        foreach (string name in (ReadOnlySpan<string>)["reset", "settings"])
        {
            if (group.StartsWith(name, StringComparison.Ordinal))
                return name;
        }

        if (group.StartsWith("detail", StringComparison.Ordinal))
        {
            foreach (string name in (ReadOnlySpan<string>)[DetailDump, "detail on", "detail off"])
            {
                if (group.StartsWith(name, StringComparison.Ordinal))
                    return name;
            }

            return null;
        }

        return group is "" or "items" or "slabs" or "sizes" or "cluster" or "seeds" or "moves" or "memory" ? group : null;
    }

    /// <summary>Writes the packets for <paramref name="text"/>. False, and nothing is written, if it is an error line.</summary>
    public static bool TryWrite(OutputList output, string arguments, ReadOnlySpan<byte> text, uint opaque)
    {
        if (arguments == DetailDump && !IsError(text))
        {
            Write(output, "detailed"u8, text, opaque);
            Write(output, default, default, opaque);
            return true;
        }

        if (IsError(text))
            return false;
        while (!text.IsEmpty)
        {
            int end = text.IndexOf((byte)'\n');
            ReadOnlySpan<byte> line = (end < 0 ? text : text[..end]).TrimEnd("\r"u8);
            text = end < 0 ? default : text[(end + 1)..];
            if (!line.StartsWith("STAT "u8))
                continue;
            line = line["STAT ".Length..];
            int space = line.IndexOf((byte)' ');
            Write(output, space < 0 ? line : line[..space], space < 0 ? default : line[(space + 1)..], opaque);
        }

        Write(output, default, default, opaque);
        return true;
    }

    private static bool IsError(ReadOnlySpan<byte> text) =>
        text.StartsWith("ERROR"u8) || text.StartsWith("CLIENT_ERROR"u8) || text.StartsWith("SERVER_ERROR"u8);

    private static void Write(OutputList output, ReadOnlySpan<byte> name, ReadOnlySpan<byte> value, uint opaque)
    {
        int body = name.Length + value.Length;
        Span<byte> destination = output.Reserve(BinaryReply.HeaderBytes + body);
        BinaryReply.WriteHeader(destination, BinaryOpcode.Stat, BinaryStatus.Success, 0, name.Length, body, opaque, 0);
        name.CopyTo(destination[BinaryReply.HeaderBytes..]);
        value.CopyTo(destination[(BinaryReply.HeaderBytes + name.Length)..]);
        output.Commit(BinaryReply.HeaderBytes + body);
    }
}
