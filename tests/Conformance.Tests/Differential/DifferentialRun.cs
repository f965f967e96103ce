using System.Diagnostics;
using System.Globalization;
using System.Text;

namespace OrleansCache.Conformance.Differential;

/// <summary>
/// Sends one stream to two servers and compares the replies byte by byte. A difference is made small before it is told: the shortest tail of the stream that
/// still shows it, sent command by command to emptied servers, less every command that is not needed.
/// </summary>
internal sealed class DifferentialRun(DifferentialServer reference, DifferentialServer tested, int connections = 3)
{
    private const int PipelineDepthMax = 40;
    private static readonly TimeSpan s_shorteningTime = TimeSpan.FromSeconds(20);
    private static readonly TimeSpan s_shorteningTimeout = TimeSpan.FromSeconds(2);

    /// <summary>Whether the reference has the grammar of 1.6.45: older ones answer a get without keys with ERROR.</summary>
    public static async Task<bool> Is1645Async(ServerProcess server)
    {
        using RawClient client = server.Connect();
        return await client.CommandAsync("get") != "ERROR";
    }

    /// <summary>Runs as many commands as are wanted. Returns null if all replies were alike, otherwise what to tell.</summary>
    public async Task<string?> CompareAsync(Func<DifferentialCommand> next, int count, int seed)
    {
        var random = new Random(seed);
        var sent = new List<List<DifferentialCommand>>();
        await ResetAsync();
        var batch = new List<DifferentialCommand>();
        int depth = 1;
        for (int i = 0; i < count; i++)
        {
            DifferentialCommand command = next();
            if (batch.Count >= depth || !MayFollow(batch, command))
            {
                sent.Add(batch);
                if (await DifferenceAsync(batch, random) is { } difference)
                    return await ExplainAsync(sent, difference);
                batch = [];
                depth = random.Next(3) == 0 ? random.Next(1, PipelineDepthMax) : random.Next(1, 4);
            }

            batch.Add(command);
        }

        sent.Add(batch);
        return await DifferenceAsync(batch, random) is { } last ? await ExplainAsync(sent, last) : null;
    }

    /// <summary>Sends each command by itself to emptied servers. Returns the first difference, or null.</summary>
    public async Task<string?> CompareSinglyAsync(IReadOnlyList<DifferentialCommand> commands)
    {
        await ResetAsync();
        var random = new Random(0);
        foreach (DifferentialCommand command in commands)
        {
            if (await DifferenceAsync([command], random) is { } difference)
                return difference;
        }

        return null;
    }

    private static bool MayFollow(List<DifferentialCommand> batch, DifferentialCommand command)
    {
        if (batch.Count == 0)
            return true;
        if (batch[^1].IsLast)
            return false;
        return command.Pipelining switch
        {
            Pipelining.Alone or Pipelining.LastAndAlone => false,
            Pipelining.Last => batch[^1].Pipelining != Pipelining.Alone && !batch.Any(earlier => earlier.IsLarge),
            Pipelining.NotBehindReadOfKey => batch[^1].Pipelining != Pipelining.Alone
                && !batch.Any(earlier => earlier.IsRead && earlier.Keys is { } keys && command.Keys is { } wanted && keys.Intersect(wanted).Any()),
            _ => batch[^1].Pipelining != Pipelining.Alone,
        };
    }

    private async Task ResetAsync()
    {
        await reference.ResetAsync(connections);
        await tested.ResetAsync(connections);
    }

    private async Task<string?> DifferenceAsync(List<DifferentialCommand> batch, Random random)
    {
        int connection = random.Next(connections);
        int segments = random.Next();
        Task<List<string>> expecting = reference.ExecuteAsync(batch, connection, new Random(segments));
        Task<List<string>> getting = tested.ExecuteAsync(batch, connection, new Random(segments));
        List<string> expected = await expecting;
        List<string> got = await getting;
        if (batch is [{ Pipelining: Pipelining.Alone }])
        {
            expected = WithoutStrayLine(expected);
            got = WithoutStrayLine(got);
        }

        int same = expected.Zip(got).TakeWhile(pair => pair.First == pair.Second).Count();
        if (same == expected.Count && same == got.Count)
            return null;

        var text = new StringBuilder("Commands of one write:\n");
        foreach (DifferentialCommand command in batch)
            text.Append("  ").Append(command).Append('\n');
        text.Append(CultureInfo.InvariantCulture, $"Replies alike: {same}. Then memcached:\n");
        foreach (string reply in expected.Skip(same).Take(3))
            text.Append("  ").Append(DifferentialCommand.Show(reply)).Append('\n');
        text.Append("and the tested server:\n");
        foreach (string reply in got.Skip(same).Take(3))
            text.Append("  ").Append(DifferentialCommand.Show(reply)).Append('\n');
        return text.ToString();
    }

    /// <summary>
    /// 1.6.45 answers a get with a long key with the error, an empty line more, and with noreply only with the empty line; others with the error
    /// (docs/protocol.md).
    /// </summary>
    private static List<string> WithoutStrayLine(List<string> replies) =>
        replies.Where(reply => reply != "\r\n").DefaultIfEmpty("CLIENT_ERROR bad command line format\r\n").ToList();

    private async Task<string> ExplainAsync(List<List<DifferentialCommand>> sent, string difference)
    {
        List<DifferentialCommand> commands = sent.SelectMany(batch => batch).ToList();
        var clock = Stopwatch.StartNew();
        reference.Timeout = tested.Timeout = s_shorteningTimeout;
        for (int tail = 1; clock.Elapsed < s_shorteningTime; tail = Math.Min(tail * 4, commands.Count))
        {
            List<DifferentialCommand> candidate = commands[Math.Max(0, commands.Count - tail)..];
            if (await CompareSinglyAsync(candidate) is { } found)
                return difference + "\nShortest way found, each command by itself:\n" + await ShortenAsync(candidate, found, clock);
            if (tail == commands.Count)
                break;
        }

        return difference + "\nIt does not show when the commands are sent one by one.";
    }

    private async Task<string> ShortenAsync(List<DifferentialCommand> commands, string difference, Stopwatch clock)
    {
        for (int chunk = Math.Max(1, commands.Count / 2); ; chunk = Math.Max(1, chunk / 2))
        {
            bool smaller = false;
            for (int start = 0; start < commands.Count && clock.Elapsed < s_shorteningTime;)
            {
                List<DifferentialCommand> candidate = [.. commands[..start], .. commands.Skip(start + chunk)];
                if (candidate.Count > 0 && await CompareSinglyAsync(candidate) is { } found)
                    (commands, difference, smaller) = (candidate, found, true);
                else
                    start += chunk;
            }

            if ((chunk == 1 && !smaller) || clock.Elapsed >= s_shorteningTime)
                break;
        }

        return string.Concat(commands.Select(command => $"  {command}\n")) + "\n" + difference;
    }
}
