using System.Globalization;
using System.Text;

namespace OrleansCache.Conformance.Differential;

/// <summary>One of the two sides that are compared: its connections, spread over its processes (the gateways of a cluster), and what its replies said so far.</summary>
internal sealed class DifferentialServer(params ServerProcess[] processes) : IDisposable
{
    private RawClient[] _connections = [];
    private CasMemory _memory = new();

    /// <summary>How long a reply may take.</summary>
    public TimeSpan Timeout { get; set; } = TimeSpan.FromSeconds(10);

    /// <summary>Opens fresh connections to an empty server, and forgets all CAS numbers.</summary>
    public async Task ResetAsync(int connections)
    {
        Dispose();
        _memory = new CasMemory();
        _connections = new RawClient[connections];
        for (int i = 0; i < connections; i++)
        {
            _connections[i] = processes[i % processes.Length].Connect();
            _connections[i].Timeout = Timeout;
        }

        await ExecuteAsync([new DifferentialCommand("flush_all\r\n")], 0, new Random(0));
    }

    /// <summary>
    /// Sends the commands on one connection in pieces of random sizes, and reads until the reply to a last `version`.
    /// Returns the replies, one string for each line or value, with ranks in place of CAS numbers.
    /// </summary>
    public async Task<List<string>> ExecuteAsync(IReadOnlyList<DifferentialCommand> commands, int connection, Random segments)
    {
        RawClient client = _connections[connection];
        var text = new StringBuilder();
        foreach (DifferentialCommand command in commands)
            command.Render(text, _memory);
        text.Append("version\r\n");
        byte[] bytes = Encoding.Latin1.GetBytes(text.ToString());

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

        await sending;
        return replies;
    }

    public void Dispose()
    {
        foreach (RawClient connection in _connections)
            connection.Dispose();
        _connections = [];
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
                if (reply.StartsWith("VERSION ", StringComparison.Ordinal))
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
    private bool TryTakeReply(ReadOnlySpan<byte> bytes, out string reply, out int taken)
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
                line = line.Replace(" " + words[4] + "\r", string.Create(CultureInfo.InvariantCulture, $" (cas {_memory.Rank(words[1], words[4])})\r"), StringComparison.Ordinal);
            reply = line + value;
            return true;
        }

        reply = line;
        return true;
    }
}
