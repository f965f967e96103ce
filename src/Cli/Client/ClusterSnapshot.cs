using System.Globalization;

namespace OrleansCache.Cli.Client;

/// <summary>One silo's line of `stats cluster`.</summary>
internal sealed record SiloSnapshot(string Name, bool IsUp, int Partitions, string? Gateway, IReadOnlyDictionary<string, long> Values)
{
    public long this[string name] => Values.GetValueOrDefault(name);

    /// <summary>Hits of its keys, from 0 to 1; null if nothing was read.</summary>
    public double? HitRatio => Ratio(this["get_hits"], this["get_misses"]);

    public bool IsDraining => this["draining"] != 0;

    public static double? Ratio(long hits, long misses) => hits + misses == 0 ? null : (double)hits / (hits + misses);
}

/// <summary>`stats cluster` at one moment: the sums, and the silos in the order of their age.</summary>
internal sealed record ClusterSnapshot(IReadOnlyDictionary<string, long> Sums, IReadOnlyList<SiloSnapshot> Silos)
{
    public long this[string name] => Sums.GetValueOrDefault(name);

    public double? HitRatio => SiloSnapshot.Ratio(this["get_hits"], this["get_misses"]);

    /// <summary>Partitions whose owner answers.</summary>
    public int PartitionsServed => Silos.Where(silo => silo.IsUp).Sum(silo => silo.Partitions);

    public static ClusterSnapshot Read(MemcachedConnection connection) => Parse(connection.ReadStatistics("cluster"));

    public static ClusterSnapshot Parse(IEnumerable<KeyValuePair<string, string>> statistics)
    {
        var sums = new Dictionary<string, long>();
        var silos = new List<SiloSnapshot>();
        foreach ((string name, string text) in statistics)
        {
            if (name.StartsWith("silo:", StringComparison.Ordinal))
                silos.Add(ParseSilo(name[5..], text));
            else if (long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long value))
                sums[name] = value;
        }

        return new ClusterSnapshot(sums, silos);
    }

    /// <summary>The silo that a person means: its name, its gateway, or the only one that begins so.</summary>
    public SiloSnapshot Find(string meant)
    {
        SiloSnapshot[] exact = [.. Silos.Where(silo => silo.Name == meant || silo.Gateway == meant)];
        SiloSnapshot[] found = exact.Length > 0 ? exact : [.. Silos.Where(silo => silo.Name.StartsWith(meant, StringComparison.Ordinal))];
        return found switch
        {
            [var one] => one,
            [] => throw CliException.Usage($"there is no silo {meant}; there are {string.Join(", ", Silos.Select(silo => silo.Name))}"),
            _ => throw CliException.Usage($"{meant} may be {string.Join(" or ", found.Select(silo => silo.Name))}"),
        };
    }

    private static SiloSnapshot ParseSilo(string name, string text)
    {
        string[] words = text.Split(' ');
        int partitions = 0;
        string? gateway = null;
        var values = new Dictionary<string, long>();
        foreach (string word in words.Skip(1))
        {
            int equals = word.IndexOf('=', StringComparison.Ordinal);
            if (equals < 0)
                continue;
            string value = word[(equals + 1)..];
            if (word[..equals] == "gateway")
                gateway = value;
            else if (!long.TryParse(value, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long number))
                continue;
            else if (word[..equals] == "partitions")
                partitions = (int)number;
            else
                values[word[..equals]] = number;
        }

        return new SiloSnapshot(name, words[0] == "up", partitions, gateway, values);
    }
}
