using System.Diagnostics;
using System.Globalization;
using System.Text;
using OrleansCache.Cli.Client;
using OrleansCache.Cli.Output;

namespace OrleansCache.Cli.Commands;

/// <summary>`top`: what happens now, a frame a second.</summary>
internal static class TopCommand
{
    public static CliVerb Verb { get; } = new()
    {
        Name = "top",
        Summary = "what happens now: rates of the cluster and of each silo, live",
        Options =
        [
            new("interval", "seconds", "between two frames (default: 1)"),
            new("count", "num", "end after so many frames"),
        ],
        Help = """
            Shows operations a second, hits, evictions and moves of the cluster and of each silo. q or
            Ctrl+C ends it. Works in tmux, in a narrow terminal (fewer columns) and without colours
            (NO_COLOR, TERM=dumb). Redirected, it prints one frame after the other; with --json an object
            a line.
            """,
        Run = Run,
    };

    /// <summary>What has happened between two snapshots.</summary>
    internal sealed record Rates(ClusterSnapshot Before, ClusterSnapshot Now, double Seconds)
    {
        public double Cluster(string name) => Math.Max(0, Now[name] - Before[name]) / Seconds;

        public double Silo(SiloSnapshot silo, string name) =>
            Before.Silos.FirstOrDefault(one => one.Name == silo.Name) is { IsUp: true } before && silo.IsUp
                ? Math.Max(0, silo[name] - before[name]) / Seconds : 0;

        /// <summary>Of the reads in between; null if there were none.</summary>
        public double? HitRatio => SiloSnapshot.Ratio((long)(Cluster("get_hits") * Seconds), (long)(Cluster("get_misses") * Seconds));
    }

    private static int Run(CliContext context)
    {
        var interval = TimeSpan.FromSeconds(context.Integer("interval", 1, 1, 3600));
        int frames = context.Integer("count", context.Surroundings.IsTerminal && !context.IsJson ? int.MaxValue : 1, 1, int.MaxValue);
        MemcachedConnection? connection = context.Connect();
        try
        {
            ClusterSnapshot before = ClusterSnapshot.Read(connection);
            long beforeAt = Stopwatch.GetTimestamp();
            if (context.Surroundings.IsTerminal && !context.IsJson)
            {
                using var screen = new Screen(context.Surroundings);
                screen.Show(Frame(context.Server, new Rates(before, before, 1), context.Surroundings.ReadColumns()));
                Loop(screen.Show);
            }
            else
            {
                Loop(frame =>
                {
                    foreach (string line in frame)
                        context.Out.WriteLine(line);
                    context.Out.Flush();
                });
            }

            void Loop(Action<List<string>> show)
            {
                for (int frame = 0; frame < frames && !IsStopped(context, interval); frame++)
                {
                    ClusterSnapshot now;
                    try
                    {
                        connection ??= context.Connect();
                        now = ClusterSnapshot.Read(connection);
                    }
                    catch (CliException exception) when (exception.ExitCode == 69)
                    {
                        // It may come back; a screen that is watched should say so and go on.
                        connection?.Dispose();
                        connection = null;
                        show([$"{exception.Message}", "trying again"]);
                        continue;
                    }

                    long at = Stopwatch.GetTimestamp();
                    var rates = new Rates(before, now, Math.Max(0.001, Stopwatch.GetElapsedTime(beforeAt, at).TotalSeconds));
                    if (context.IsJson)
                        WriteJson(context, rates);
                    else
                        show(Frame(context.Server, rates, context.Surroundings.ReadColumns()));
                    (before, beforeAt) = (now, at);
                }
            }
        }
        finally
        {
            connection?.Dispose();
        }

        return 0;
    }

    /// <summary>The lines of one frame, in plain text.</summary>
    internal static List<string> Frame(ServerAddress server, Rates rates, int columns)
    {
        ClusterSnapshot now = rates.Now;
        var lines = new List<string>();
        string time = DateTime.Now.ToString("HH:mm:ss", CultureInfo.InvariantCulture);
        lines.Add($"orleanscache top  {server}  {time}");
        List<Finding> findings = StatusCommand.Judge(now, 0, 0);
        AddWrapped([
            $"{Figures.Count(rates.Cluster("cmd_get") + rates.Cluster("cmd_set") + rates.Cluster("cmd_touch"))} op/s",
            $"get {Figures.Count(rates.Cluster("cmd_get"))}/s",
            $"set {Figures.Count(rates.Cluster("cmd_set"))}/s",
            $"hits {Figures.Percent(rates.HitRatio ?? now.HitRatio)}",
        ]);
        AddWrapped([
            $"evicted {Figures.Count(rates.Cluster("evictions"))}/s",
            $"in {Figures.Bytes((long)rates.Cluster("bytes_read"))}/s",
            $"out {Figures.Bytes((long)rates.Cluster("bytes_written"))}/s",
            $"conn {Figures.Count(now["curr_connections"])}",
        ]);
        AddWrapped([
            $"{now["silos_answering"]}/{Figures.Plural(now["silos"], "silo")}",
            $"{now.PartitionsServed}/{now["partitions"]} parts",
            $"moving {now["partitions_moving"]}",
            $"items {Figures.Count(now["curr_items"])}",
            $"mem {Figures.Bytes(now["bytes"])}/{Figures.Bytes(now["limit_maxbytes"])}",
        ]);
        lines.Add("");
        var table = new TextTable(
            new("SILO", IsNeeded: true), new("PARTS", IsNumber: true, IsNeeded: true), new("OP/S", IsNumber: true, IsNeeded: true),
                new("HITS", IsNumber: true), new("EVICT/S", IsNumber: true),
            new("MOVING", IsNumber: true), new("MEMORY", IsNumber: true), new("CONN", IsNumber: true), new("STATE"));
        foreach (SiloSnapshot silo in now.Silos)
        {
            double hits = rates.Silo(silo, "get_hits");
            double misses = rates.Silo(silo, "get_misses");
            table.Add(
                silo.Name, Figures.Count(silo.Partitions), silo.IsUp ? Figures.Count(rates.Silo(silo, "cmd_get") + rates.Silo(silo, "cmd_set")) : "-",
                hits + misses > 0 ? Figures.Percent(hits / (hits + misses)) : Figures.Percent(silo.HitRatio), Figures.Count(rates.Silo(silo, "evictions")),
                Figures.Count(silo["partitions_moving"]), Figures.Bytes(silo["bytes"]), Figures.Count(silo["curr_connections"]), SiloJson.StateOf(silo));
        }

        lines.AddRange(table.Lines(columns));
        if (findings.Count > 0)
            lines.Add("");
        lines.AddRange(findings.Select(finding => finding.Line));
        return [.. lines.Select(line => line.Length <= columns ? line : line[..columns])];

        void AddWrapped(string[] parts)
        {
            var line = new StringBuilder();
            foreach (string part in parts)
            {
                if (line.Length > 0 && line.Length + 2 + part.Length > columns)
                {
                    lines.Add(line.ToString());
                    line.Clear();
                }

                line.Append(line.Length > 0 ? "  " : "").Append(part);
            }

            lines.Add(line.ToString());
        }
    }

    /// <summary>Waits for the next frame; true if a key or a signal ends it.</summary>
    private static bool IsStopped(CliContext context, TimeSpan interval)
    {
        long began = Stopwatch.GetTimestamp();
        while (Stopwatch.GetElapsedTime(began) < interval)
        {
            if (context.Stop.WaitHandle.WaitOne(TimeSpan.FromMilliseconds(Math.Min(50, interval.TotalMilliseconds))))
                return true;
            if (context.Surroundings.ReadKey?.Invoke() is 'q' or 'Q')
                return true;
        }

        return false;
    }

    private static void WriteJson(CliContext context, Rates rates)
    {
        Json.Write(context.Out, writer =>
        {
            writer.WriteStartObject();
            foreach (string name in (ReadOnlySpan<string>)["cmd_get", "cmd_set", "get_hits", "get_misses", "evictions", "bytes_read", "bytes_written",
                "partitions_taken_over", "bytes_taken_over"])
                writer.NumberOrNull(name + "_per_second", rates.Cluster(name));
            writer.NumberOrNull("hit_ratio", rates.HitRatio);
            writer.WriteStartArray("silos");
            foreach (SiloSnapshot silo in rates.Now.Silos)
                SiloJson.Write(writer, silo);
            writer.WriteEndArray();
            writer.WriteEndObject();
        }, isIndented: false);
        context.Out.Flush();
    }
}
