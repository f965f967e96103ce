using OrleansCache.Cli.Client;
using OrleansCache.Cli.Output;

namespace OrleansCache.Cli.Commands;

/// <summary>`silos`: a line for each.</summary>
internal static class SilosCommand
{
    public static CliVerb Verb { get; } = new()
    {
        Name = "silos",
        Summary = "a line for each silo",
        Help = """
            Lists the silos, the oldest first: its state, partitions, items, memory in use and of -m, hit
            ratio, connections, uptime, and where its gateway listens. HITS and ITEMS count the keys that
            the silo owns, CONN the clients of its gateway. A narrow terminal gets fewer columns.
            """,
        Run = Run,
    };

    internal static TextTable Table(ClusterSnapshot cluster)
    {
        var table = new TextTable(
            new("SILO", IsNeeded: true), new("STATE", IsNeeded: true), new("PARTS", IsNumber: true, IsNeeded: true), new("ITEMS", IsNumber: true),
                new("MEMORY", IsNumber: true),
            new("FULL", IsNumber: true), new("HITS", IsNumber: true), new("CONN", IsNumber: true), new("UPTIME", IsNumber: true), new("GATEWAY"));
        foreach (SiloSnapshot silo in cluster.Silos)
        {
            bool up = silo.IsUp;
            table.Add(
                silo.Name, SiloJson.StateOf(silo), Figures.Count(silo.Partitions), up ? Figures.Count(silo["curr_items"]) : "-",
                up ? Figures.Bytes(silo["bytes"]) : "-", up ? Figures.Percent(StatusCommand.Share(silo["bytes"], silo["limit_maxbytes"])) : "-",
                up ? Figures.Percent(silo.HitRatio) : "-", up ? Figures.Count(silo["curr_connections"]) : "-", up ? Figures.Duration(silo["uptime"])
                    : "-", silo.Gateway ?? "-");
        }

        return table;
    }

    private static int Run(CliContext context)
    {
        using MemcachedConnection connection = context.Connect();
        ClusterSnapshot cluster = ClusterSnapshot.Read(connection);
        if (!context.IsJson)
        {
            Table(cluster).Write(context.Out, context.Surroundings.Columns);
            return 0;
        }

        Json.Write(context.Out, writer =>
        {
            writer.WriteStartArray();
            foreach (SiloSnapshot silo in cluster.Silos)
                SiloJson.Write(writer, silo);
            writer.WriteEndArray();
        });
        return 0;
    }
}
