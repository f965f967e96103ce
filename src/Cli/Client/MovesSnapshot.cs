using System.Globalization;

namespace OrleansCache.Cli.Client;

/// <summary>One line of `stats moves`: a partition on its way to another owner, or a copy of it that is being made.</summary>
internal sealed record TransferSnapshot(int Partition, bool IsMove, string State, IReadOnlyDictionary<string, string> Words)
{
    public string From => Words.GetValueOrDefault("from") ?? "";

    public string To => Words.GetValueOrDefault("to") ?? "";

    public string Reason => Words.GetValueOrDefault("reason") ?? "";

    /// <summary>bytes, bytes_total, bytes_per_second, seconds_left; 0 if it is not told.</summary>
    public long this[string name] =>
        long.TryParse(Words.GetValueOrDefault(name), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long value) ? value : 0;
}

/// <summary>`stats moves` at one moment.</summary>
internal sealed record MovesSnapshot(
    IReadOnlyDictionary<string, long> Totals, IReadOnlyList<TransferSnapshot> Transfers, IReadOnlyList<(int Partition, long Seconds)> Aborted)
{
    public long this[string name] => Totals.GetValueOrDefault(name);

    public bool IsPaused => this["paused"] != 0;

    /// <summary>Null: not known.</summary>
    public long? SecondsLeft => this["seconds_left"] is >= 0 and var seconds ? seconds : null;

    public static MovesSnapshot Read(MemcachedConnection connection) => Parse(connection.ReadStatistics("moves"));

    public static MovesSnapshot Parse(IEnumerable<KeyValuePair<string, string>> statistics)
    {
        var totals = new Dictionary<string, long>();
        var transfers = new List<TransferSnapshot>();
        var aborted = new List<(int, long)>();
        foreach ((string name, string text) in statistics)
        {
            if (name.Split(':') is not [var kind, var number] || !int.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out int partition))
            {
                if (long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long value))
                    totals[name] = value;
            }
            else if (kind == "aborted" && long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out long seconds))
                aborted.Add((partition, seconds));
            else if (kind is "move" or "copy")
                transfers.Add(ParseTransfer(partition, kind == "move", text.Split(' ')));
        }

        return new MovesSnapshot(totals, transfers, aborted);
    }

    private static TransferSnapshot ParseTransfer(int partition, bool isMove, string[] words)
    {
        var values = new Dictionary<string, string>();
        foreach (string word in words.Skip(1))
        {
            int equals = word.IndexOf('=', StringComparison.Ordinal);
            if (equals > 0)
                values[word[..equals]] = word[(equals + 1)..];
        }

        return new TransferSnapshot(partition, isMove, words[0], values);
    }
}
