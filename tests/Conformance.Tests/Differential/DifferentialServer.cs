using System.Globalization;
using System.Net.Sockets;
using System.Text;

namespace OrleansCache.Conformance.Differential;

/// <summary>
/// One of the two sides that are compared: its connections, spread over its processes (the gateways of a cluster), and what its replies said so far.
/// </summary>
internal class DifferentialServer(params ServerProcess[] processes) : IDisposable
{
    private RawClient[] _connections = [];

    /// <summary>What the replies said so far.</summary>
    protected CasMemory Memory { get; private set; } = new();

    /// <summary>How long a reply may take.</summary>
    public TimeSpan Timeout { get; set; } = TimeSpan.FromSeconds(10);

    /// <summary>Opens fresh connections to an empty server, and forgets all CAS numbers.</summary>
    public async Task ResetAsync(int connections)
    {
        Dispose();
        Memory = new CasMemory();
        _connections = new RawClient[connections];
        for (int i = 0; i < connections; i++)
            _connections[i] = Connect(i);

        await ExecuteAsync([FlushAll], 0, new Random(0));
    }

    /// <summary>
    /// Sends the commands on one connection in pieces of random sizes, and reads until the reply to a last command, which marks the end.
    /// Returns the replies, one string for each line or value, with ranks in place of CAS numbers.
    /// </summary>
    public async Task<List<string>> ExecuteAsync(IReadOnlyList<DifferentialCommand> commands, int connection, Random segments)
    {
        RawClient client = _connections[connection];
        byte[] bytes = Encoding.Latin1.GetBytes(Render(commands));

        Task sending = SendAsync(client, bytes, segments);
        var replies = new List<string>();
        try
        {
            await ReadAsync(client, replies);
        }
        catch (RawClientException failure)
        {
            // The server did not answer as often as it should: that is a difference like any other.
            replies.Add($"({failure.Message.Split('\n')[0]})");
        }

        try
        {
            await sending;
        }
        catch (SocketException) when (commands[^1].IsLast)
        {
            // The server closed before it had taken everything.
        }

        if (commands.Count > 0 && commands[^1].IsLast)
        {
            client.Dispose();
            _connections[connection] = Connect(connection);
        }

        return replies;
    }

    public void Dispose()
    {
        foreach (RawClient connection in _connections)
            connection.Dispose();
        _connections = [];
    }

    /// <summary>Empties the server.</summary>
    protected virtual DifferentialCommand FlushAll => new("flush_all\r\n");

    /// <summary>The commands as bytes, and behind them one whose reply marks the end.</summary>
    protected virtual string Render(IReadOnlyList<DifferentialCommand> commands)
    {
        var text = new StringBuilder();
        foreach (DifferentialCommand command in commands)
            command.Render(text, Memory);
        return text.Append("version\r\n").ToString();
    }

    protected virtual bool IsEnd(string reply) => reply.StartsWith("VERSION ", StringComparison.Ordinal);

    private RawClient Connect(int index)
    {
        RawClient client = processes[index % processes.Length].Connect();
        client.Timeout = Timeout;
        return client;
    }

    private static async Task SendAsync(RawClient client, ReadOnlyMemory<byte> bytes, Random segments)
    {
        // Mostly few large pieces, sometimes many small ones.
        int pieceMax = segments.Next(4) == 0 ? 40 : 64 * 1024;
        while (!bytes.IsEmpty)
        {
            int piece = Math.Min(bytes.Length, segments.Next(1, pieceMax));
            if (bytes.Length > 20_000)
                piece = Math.Max(piece, Math.Min(bytes.Length, 4000));
            await client.SendAsync(bytes[..piece]);
            bytes = bytes[piece..];
        }
    }

    private async Task ReadAsync(RawClient client, List<string> replies)
    {
        byte[] buffer = [];
        int length = 0, position = 0;
        while (true)
        {
            while (TryTakeReply(buffer.AsSpan(position, length - position), out string reply, out int taken))
            {
                position += taken;
                if (IsEnd(reply))
                {
                    if (position < length)
                        replies.Add("(more than asked for) " + Encoding.Latin1.GetString(buffer, position, length - position));
                    return;
                }

                replies.Add(reply);
            }

            bool open = await client.ReadChunkAsync((chunk, count) =>
            {
                if (length + count > buffer.Length)
                    Array.Resize(ref buffer, Math.Max(buffer.Length * 2, length + count));
                chunk.CopyTo(buffer.AsSpan(length));
                length += count;
            });
            if (!open)
            {
                replies.Add("(closed) " + Encoding.Latin1.GetString(buffer, position, length - position));
                return;
            }
        }
    }

    /// <summary>A line, or a VALUE line with its data, exactly as it came but for the CAS number.</summary>
    protected virtual bool TryTakeReply(ReadOnlySpan<byte> bytes, out string reply, out int taken)
    {
        reply = "";
        taken = bytes.IndexOf((byte)'\n') + 1;
        if (taken == 0)
            return false;

        string line = Encoding.Latin1.GetString(bytes[..taken]);
        string[] words = line.TrimEnd('\r', '\n').Split(' ');
        if (words[0] == "VALUE" && words.Length is 4 or 5 && int.TryParse(words[3], NumberStyles.None, CultureInfo.InvariantCulture, out int valueLength))
        {
            if (bytes.Length < taken + valueLength + 2)
                return false;
            string value = Encoding.Latin1.GetString(bytes.Slice(taken, valueLength + 2));
            taken += valueLength + 2;
            if (words.Length == 5)
                line = line.Replace(" " + words[4] + "\r", string.Create(CultureInfo.InvariantCulture, $" (cas {Memory.Rank(words[1], words[4])})\r"),
                    StringComparison.Ordinal);
            reply = line + value;
            return true;
        }

        if (words[0] == "VA" && words.Length > 1 && int.TryParse(words[1], NumberStyles.None, CultureInfo.InvariantCulture, out int metaLength))
        {
            if (bytes.Length < taken + metaLength + 2)
                return false;
            reply = Meta(words) + Encoding.Latin1.GetString(bytes.Slice(taken, metaLength + 2));
            taken += metaLength + 2;
            return true;
        }

        reply = words[0] is "HD" or "EN" or "NF" or "NS" or "EX" or "ME"
            ? Meta(words) + (line.EndsWith("\r\n", StringComparison.Ordinal) ? "" : "(no CR)") : line;
        return true;
    }

    /// <summary>
    /// A reply of the meta protocol with ranks in place of CAS numbers (the key stands in every line that shows one), and without what differs from server to
    /// server and from second to second: the slab class, the age of an access; of the times to live only which of the streams' times they come from.
    /// </summary>
    private string Meta(string[] words)
    {
        if (words[0] == "ME" && words.Length == 8)
        {
            return $"ME {words[1]} cas=({Memory.Rank(words[1], words[4][4..])}) {words[5]} {words[7]}";
        }

        int first = words[0] == "VA" ? 2 : 1;
        int keyAt = Array.FindIndex(words, Math.Min(first, words.Length), word => word.StartsWith('k'));
        string key = keyAt < 0 ? "" : words[keyAt][1..];
        if (keyAt >= 0 && keyAt + 1 < words.Length && words[keyAt + 1] == "b")
            key = Encoding.Latin1.GetString(Convert.FromBase64String(key));
        for (int i = first; i < words.Length; i++)
        {
            string word = words[i];
            if (word.Length < 2 || !long.TryParse(word.AsSpan(1), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long number))
                continue;
            words[i] = word[0] switch
            {
                'c' => string.Create(CultureInfo.InvariantCulture, $"c({Memory.Rank(key, word[1..])})"),
                'l' => "l",
                't' when number > 1_000_000 => string.Create(CultureInfo.InvariantCulture, $"t(about {(number + 500_000) / 1_000_000} million)"),
                't' when number > 1000 => "t(thousands)",
                't' when number > 0 => "t(up to 1000)",
                _ => word,
            };
        }

        return string.Join(' ', words) + "\r\n";
    }
}
