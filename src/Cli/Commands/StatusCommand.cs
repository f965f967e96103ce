using OrleansCache.Cli.Client;
using OrleansCache.Cli.Output;

namespace OrleansCache.Cli.Commands;

/// <summary>How grave a state is: the exit code of `status`, as Nagios and its kind count.</summary>
internal enum Severity
{
    Ok,
    Warning,
    Critical,
}

/// <summary>Something that an operator should know.</summary>
internal sealed record Finding(Severity Severity, string Text)
{
    /// <summary>As it is shown: "warning: ...".</summary>
    public string Line => $"{(Severity == Severity.Ok ? "note" : Severity.ToString().ToLowerInvariant())}: {Text}";
}

/// <summary>`status`: the state of the cluster on one screen, and as an exit code.</summary>
internal static class StatusCommand
{
    public static CliVerb Verb { get; } = new()
    {
        Name = "status",
        Summary = "the cluster on one screen; exit code 0, 1, 2 for scripts and Nagios",
        Options =
        [
            new("silos", "num", "warn if fewer silos than this answer"),
            new("min-hit-ratio", "percent", "warn if the hit ratio since the start is lower"),
        ],
        Help = """
            Shows silos, partitions, memory, hit ratio and what is wrong with them.
            The first line and the exit code are those of a Nagios plugin: 0 OK, 1 WARNING,
            2 CRITICAL. CRITICAL: no answer, or partitions that nobody serves. WARNING: a silo that does
            not answer, seeds that bear no further loss, connections above 90 % of -c, or a limit of the
            options below.
            """,
        Run = Run,
    };

    private static int Run(CliContext context)
    {
        ClusterSnapshot cluster;
        try
        {
            using MemcachedConnection connection = context.Connect();
            cluster = ClusterSnapshot.Read(connection);
        }
        catch (CliException exception) when (exception.ExitCode != 64)
        {
            if (context.IsJson)
            {
                Json.Write(context.Out, writer =>
                {
                    writer.WriteStartObject();
                    writer.WriteString("status", "CRITICAL");
                    writer.WriteString("error", exception.Message);
                    writer.WriteEndObject();
                });
            }
            else
                context.Out.WriteLine($"CRITICAL: {exception.Message}");

            return (int)Severity.Critical;
        }

        List<Finding> findings = Judge(cluster, context.Integer("silos", 0, 0, 10_000), context.Fraction("min-hit-ratio", 0, 0, 100) / 100);
        Severity severity = findings.Count == 0 ? Severity.Ok : findings.Max(finding => finding.Severity);
        if (context.IsJson)
            WriteJson(context, cluster, findings, severity);
        else
            Write(context.Out, context.Surroundings.Columns, cluster, findings, severity);
        return (int)severity;
    }

    internal static List<Finding> Judge(ClusterSnapshot cluster, int silosMin, double hitRatioMin)
    {
        var findings = new List<Finding>();
        long unserved = cluster["partitions"] - cluster.PartitionsServed;
        if (unserved > 0 && cluster["partitions_moving"] < unserved)
            findings.Add(new(Severity.Critical, $"{Figures.Plural(unserved, "partition")} not served"));
        foreach (SiloSnapshot silo in cluster.Silos.Where(silo => !silo.IsUp))
            findings.Add(new(Severity.Warning, $"{silo.Name} does not answer"));
        if (cluster["membership_unreadable"] > 0)
            findings.Add(new(Severity.Warning, $"no majority of the {cluster["seeds"]} seeds answers: nobody can join, and no loss is noticed"));
        else if (cluster["seeds"] >= 3 && cluster["seed"] <= (cluster["seeds"] / 2) + 1 && cluster["seed"] < cluster["seeds"])
            findings.Add(new(Severity.Warning, $"{cluster["seed"]} of {cluster["seeds"]} seeds answer: the membership bears no further loss"));
        if (cluster["silos_answering"] < silosMin)
            findings.Add(new(Severity.Warning, $"{cluster["silos_answering"]} of {silosMin} silos answer"));
        foreach (SiloSnapshot silo in cluster.Silos.Where(silo => silo["max_connections"] > 0 && silo["curr_connections"] * 10 >= silo["max_connections"] * 9))
            findings.Add(new(Severity.Warning, $"{silo.Name}: {silo["curr_connections"]} of {silo["max_connections"]} connections (-c)"));
        if (cluster.HitRatio < hitRatioMin)
            findings.Add(new(Severity.Warning, $"hit ratio {Figures.Percent(cluster.HitRatio)}"));

        // What has happened since the start is no state that an alarm could end with: it is told, without a code.
        foreach (SiloSnapshot silo in cluster.Silos.Where(silo => silo.IsDraining))
            findings.Add(new(Severity.Ok, $"{silo.Name} is draining"));
        if (cluster["moves_paused"] > 0)
            findings.Add(new(Severity.Ok, $"moves are paused, {Figures.Plural(cluster["partitions_to_move"], "partition")} to move"));
        if (cluster["partitions_moving"] > 0)
            findings.Add(new(Severity.Ok, $"{Figures.Plural(cluster["partitions_moving"], "partition")} moving"));
        if (cluster["replica_copies_incomplete"] > 0)
            findings.Add(new(Severity.Ok, $"{Figures.Plural(cluster["replica_copies_incomplete"], "replica")} being made"));
        if (cluster["rejected_connections"] > 0)
            findings.Add(new(Severity.Ok, $"{Figures.Plural(cluster["rejected_connections"], "connection")} rejected since the start (-c)"));
        if (cluster["store_no_memory"] > 0)
            findings.Add(new(Severity.Ok, $"{Figures.Plural(cluster["store_no_memory"], "write")} refused for lack of memory since the start"));
        return findings;
    }

    internal static void Write(TextWriter output, int columns, ClusterSnapshot cluster, List<Finding> findings, Severity severity)
    {
        string[] causes = [.. findings.Where(finding => finding.Severity == severity && severity != Severity.Ok).Select(finding => finding.Text)];
        string state = severity.ToString().ToUpperInvariant();
        string first = causes.Length > 0 ? string.Join("; ", causes)
            : $"{Figures.Plural(cluster["silos"], "silo")}, {cluster["partitions"]} partitions, hit ratio {Figures.Percent(cluster.HitRatio)}";
        output.WriteLine($"{state}: {first}");
        output.WriteLine();
        Row("silos", $"{cluster["silos"]}, {cluster["silos_answering"]} answering");
        if (cluster["seeds"] > 0)
            Row("seeds", $"{cluster["seeds"]}, {cluster["seed"]} answering");
        Row("partitions", $"{cluster["partitions"]}, {cluster.PartitionsServed} served");
        if (cluster["replica_copies"] > 0)
            Row("replicas", $"{cluster["replica_copies"]}, {cluster["replica_copies"] - cluster["replica_copies_incomplete"]} complete");
        Row("items", Figures.Count(cluster["curr_items"]));
        (long used, long limit) = (cluster["bytes"], cluster["limit_maxbytes"]);
        Row("memory", $"{Figures.Bytes(used)} of {Figures.Bytes(limit)}, {Figures.Percent(Share(used, limit))}");
        Row("hit ratio", $"{Figures.Percent(cluster.HitRatio)} of {Figures.Count(cluster["get_hits"] + cluster["get_misses"])} reads");
        Row("evictions", Figures.Count(cluster["evictions"]));
        Row("connections", $"{cluster["curr_connections"]} of {cluster["max_connections"]}");
        Row("up for", Figures.Duration(cluster["uptime"]));
        output.WriteLine();
        SilosCommand.Table(cluster).Write(output, columns);
        if (findings.Count > 0)
            output.WriteLine();
        foreach (Finding finding in findings)
            output.WriteLine(finding.Line);

        void Row(string name, string value) => output.WriteLine($"{name,-12}{value}");
    }

    internal static double? Share(long part, long whole) => whole <= 0 ? null : (double)part / whole;

    private static void WriteJson(CliContext context, ClusterSnapshot cluster, List<Finding> findings, Severity severity) => Json.Write(context.Out, writer =>
    {
        writer.WriteStartObject();
        writer.WriteString("status", severity.ToString().ToUpperInvariant());
        writer.WriteStartArray("findings");
        foreach (Finding finding in findings)
        {
            writer.WriteStartObject();
            writer.WriteString("severity", finding.Severity.ToString().ToUpperInvariant());
            writer.WriteString("text", finding.Text);
            writer.WriteEndObject();
        }

        writer.WriteEndArray();
        writer.WriteNumber("partitions_served", cluster.PartitionsServed);
        writer.NumberOrNull("hit_ratio", cluster.HitRatio);
        foreach ((string name, long value) in cluster.Sums)
            writer.WriteNumber(name, value);
        writer.WriteStartArray("silo_list");
        foreach (SiloSnapshot silo in cluster.Silos)
            SiloJson.Write(writer, silo);
        writer.WriteEndArray();
        writer.WriteEndObject();
    });
}
