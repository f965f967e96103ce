using System.Globalization;
using System.Text.Json;

namespace OrleansCache.HitRatio;

/// <summary>What an ideal policy hits.</summary>
public sealed record PolicyResult(double Ratio, double SecondHalfRatio);

/// <summary>What a server hits, and its own statistics after the replay.</summary>
public sealed record ServerResult(
    double Ratio,
    double SecondHalfRatio,
    double RssMiB,
    double Seconds,
    long Sets,
    long CurrentItems,
    long Evictions,
    long PagesMoved,
    long FailedSets,
    string? FirstFailure,
    string Version);

/// <summary>One case with its results by name.</summary>
public sealed record Row(string Trace, int MemoryMiB, int Scale, int Requests, int Keys)
{
    /// <summary>The place of the case in the list of cases.</summary>
    internal int Index { get; init; }

    public Dictionary<string, ServerResult> Servers { get; } = [];

    public Dictionary<string, PolicyResult> Policies { get; } = [];
}

/// <summary>Collects rows, from several threads, and prints them as a table in the order of the cases.</summary>
public sealed class Report(Suite suite, string[] serverNames)
{
    private static readonly JsonSerializerOptions JsonOptions = new() { WriteIndented = true };

    private readonly List<Row> _rows = [];

    public IReadOnlyList<Row> Rows => [.. _rows.OrderBy(row => row.Index)];

    private bool HasBothServers => serverNames.Contains(Comparison.Memcached) && serverNames.Contains(Comparison.Ours);

    public void Add(Row row)
    {
        lock (_rows)
        {
            _rows.Add(row);
            Console.Error.WriteLine($"[{_rows.Count}/{suite.Cases.Count}] {Line(row)}");
        }
    }

    public string ToJson() => JsonSerializer.Serialize(Rows, JsonOptions);

    public void Print(TextWriter output)
    {
        IReadOnlyList<Row> rows = Rows;
        output.WriteLine(suite.Description);
        foreach (string name in serverNames)
            output.WriteLine($"{name}: version {rows[0].Servers[name].Version}");
        output.WriteLine();
        output.WriteLine(Header());
        foreach (Row row in rows)
            output.WriteLine(Line(row));
        output.WriteLine(MeanLine(rows));
        PrintVerdict(output, rows);
    }

    private static string Ratio(double ratio) => ratio.ToString("F4", CultureInfo.InvariantCulture).PadLeft(10);

    private static string Points(double difference) => (100 * difference).ToString("+0.00;-0.00", CultureInfo.InvariantCulture).PadLeft(8);

    private static double Difference(Row row) => row.Servers[Comparison.Ours].Ratio - row.Servers[Comparison.Memcached].Ratio;

    private static string Name(Row row) => $"{row.Trace} -m {row.MemoryMiB} x{row.Scale}";

    private string Header()
    {
        string line = "case".PadRight(24) + "requests".PadLeft(10);
        line += string.Concat(serverNames.Select(name => name.PadLeft(10)));
        line += HasBothServers ? "points".PadLeft(8) : "";
        line += string.Concat(suite.PolicyNames.Select(name => name.PadLeft(10)));
        line += string.Concat(serverNames.Select(name => ("half:" + name[..3]).PadLeft(10)));
        line += string.Concat(serverNames.Select(name => ("RSS:" + name[..3]).PadLeft(9)));
        line += string.Concat(serverNames.Select(name => ("moves:" + name[..3]).PadLeft(11)));
        return line + string.Concat(serverNames.Select(name => ("failed:" + name[..3]).PadLeft(11)));
    }

    private string Line(Row row)
    {
        string line = Name(row).PadRight(24) + row.Requests.ToString(CultureInfo.InvariantCulture).PadLeft(10);
        line += string.Concat(serverNames.Select(name => Ratio(row.Servers[name].Ratio)));
        line += HasBothServers ? Points(Difference(row)) : "";
        line += string.Concat(suite.PolicyNames.Select(name => Ratio(row.Policies[name].Ratio)));
        line += string.Concat(serverNames.Select(name => Ratio(row.Servers[name].SecondHalfRatio)));
        line += string.Concat(serverNames.Select(name => row.Servers[name].RssMiB.ToString("F0", CultureInfo.InvariantCulture).PadLeft(9)));
        line += string.Concat(serverNames.Select(name => row.Servers[name].PagesMoved.ToString(CultureInfo.InvariantCulture).PadLeft(11)));
        return line + string.Concat(serverNames.Select(name => row.Servers[name].FailedSets.ToString(CultureInfo.InvariantCulture).PadLeft(11)));
    }

    private string MeanLine(IReadOnlyList<Row> rows)
    {
        string line = "mean".PadRight(34);
        line += string.Concat(serverNames.Select(name => Ratio(rows.Average(row => row.Servers[name].Ratio))));
        line += HasBothServers ? Points(rows.Average(Difference)) : "";
        line += string.Concat(suite.PolicyNames.Select(name => Ratio(rows.Average(row => row.Policies[name].Ratio))));
        return line + string.Concat(serverNames.Select(name => Ratio(rows.Average(row => row.Servers[name].SecondHalfRatio))));
    }

    private void PrintVerdict(TextWriter output, IReadOnlyList<Row> rows)
    {
        output.WriteLine();
        if (HasBothServers)
        {
            Row worst = rows.MinBy(Difference)!;
            int behind = rows.Count(row => Difference(row) < -0.005);
            output.WriteLine($"ours against memcached: mean {Points(rows.Average(Difference)).Trim()} points, "
                + $"worst {Points(Difference(worst)).Trim()} ({Name(worst)}), {behind} of {rows.Count} cases more than 0.5 below");
        }

        foreach (string name in serverNames.Where(_ => suite.PolicyNames.Contains("s3-fifo")))
        {
            double mean = rows.Average(row => row.Servers[name].Ratio - row.Policies["s3-fifo"].Ratio);
            output.WriteLine($"{name} against ideal S3-FIFO: mean {Points(mean).Trim()} points");
        }
    }
}
