using System.Globalization;
using OrleansCache.Cli.Client;
using OrleansCache.Cli.Output;

namespace OrleansCache.Cli.Commands;

/// <summary>`moves`: partitions on their way, and those that have moved.</summary>
internal static class MovesCommand
{
    public static CliVerb Verb { get; } = new()
    {
        Name = "moves",
        Summary = "partitions that move now, and how many have moved",
        Options = [new("follow", "", "go on until Ctrl+C: a line whenever something has moved")],
        Help = """
            For each silo: partitions on their way to it or from it now, and what it has taken over and
            handed over since it started, in partitions and bytes. With --follow a line a second while
            partitions move (with --json: an object a line).
            """,
        Run = Run,
    };

    private static int Run(CliContext context)
    {
        using MemcachedConnection connection = context.Connect();
        ClusterSnapshot cluster = ClusterSnapshot.Read(connection);
        Write(context, cluster);
        if (!context.Has("follow"))
            return 0;
        ClusterSnapshot last = cluster;
        while (!context.Stop.WaitHandle.WaitOne(TimeSpan.FromSeconds(1)))
        {
            ClusterSnapshot next = ClusterSnapshot.Read(connection);
            if (next["partitions_taken_over"] != last["partitions_taken_over"] || next["partitions_moving"] > 0 || next["silos"] != last["silos"])
                WriteStep(context, last, next);
            last = next;
        }

        return 0;
    }

    private static void Write(CliContext context, ClusterSnapshot cluster)
    {
        if (context.IsJson)
        {
            Json.Write(context.Out, writer =>
            {
                writer.WriteStartArray();
                foreach (SiloSnapshot silo in cluster.Silos)
                {
                    writer.WriteStartObject();
                    writer.WriteString("silo", silo.Name);
                    writer.WriteString("state", SiloJson.StateOf(silo));
                    writer.WriteNumber("partitions", silo.Partitions);
                    foreach (string name in (ReadOnlySpan<string>)["partitions_moving", "partitions_taken_over", "bytes_taken_over",
                        "partitions_handed_over", "bytes_handed_over"])
                        writer.WriteNumber(name, silo[name]);
                    writer.WriteEndObject();
                }

                writer.WriteEndArray();
            }, isIndented: !context.Has("follow"));
            return;
        }

        var table = new TextTable(
            new("SILO", IsNeeded: true), new("PARTS", IsNumber: true, IsNeeded: true), new("MOVING", IsNumber: true, IsNeeded: true),
                new("IN", IsNumber: true), new("BYTES IN", IsNumber: true),
            new("OUT", IsNumber: true), new("BYTES OUT", IsNumber: true), new("STATE"));
        foreach (SiloSnapshot silo in cluster.Silos)
        {
            table.Add(
                silo.Name, Figures.Count(silo.Partitions), Figures.Count(silo["partitions_moving"]), Figures.Count(silo["partitions_taken_over"]),
                    Figures.Bytes(silo["bytes_taken_over"]),
                Figures.Count(silo["partitions_handed_over"]), Figures.Bytes(silo["bytes_handed_over"]), SiloJson.StateOf(silo));
        }

        table.Write(context.Out, context.Surroundings.Columns);
    }

    private static void WriteStep(CliContext context, ClusterSnapshot last, ClusterSnapshot next)
    {
        long partitions = Math.Max(0, next["partitions_taken_over"] - last["partitions_taken_over"]);
        long bytes = Math.Max(0, next["bytes_taken_over"] - last["bytes_taken_over"]);
        if (context.IsJson)
        {
            Json.Write(context.Out, writer =>
            {
                writer.WriteStartObject();
                writer.WriteNumber("silos", next["silos"]);
                writer.WriteNumber("partitions_moving", next["partitions_moving"]);
                writer.WriteNumber("partitions_moved", partitions);
                writer.WriteNumber("bytes_moved", bytes);
                writer.WriteEndObject();
            }, isIndented: false);
        }
        else
        {
            string time = DateTime.Now.ToString("HH:mm:ss", CultureInfo.InvariantCulture);
            string silos = Figures.Plural(next["silos"], "silo");
            context.Out.WriteLine($"{time} {silos}; {next["partitions_moving"]} moving, {partitions} moved, {Figures.Bytes(bytes)}");
        }

        context.Out.Flush();
    }
}
