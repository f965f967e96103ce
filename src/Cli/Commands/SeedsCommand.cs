using OrleansCache.Cli.Client;
using OrleansCache.Cli.Output;

namespace OrleansCache.Cli.Commands;

/// <summary>`seeds`: the silos that keep the membership, and who should.</summary>
internal static class SeedsCommand
{
    public static CliVerb Verb { get; } = new()
    {
        Name = "seeds",
        Summary = "the silos that keep the membership: list, add, remove",
        Operands = "list | add SILO | remove SILO",
        OperandsMin = 0,
        OperandsMax = 2,
        Help = """
            list (or nothing) shows the silos that keep the cluster's membership: those with a vote, of
            which a majority must be up, and those that could have one. Exit code 2: no majority answers.
            The cluster keeps as many seeds as --seeds says by itself, and replaces one whose silo is gone
            for 30 s; add and remove are for those who know better: SILO is a silo as `silos` lists it.
            A silo that was removed gets no vote until it is added again. Both need silos with -A. With
            --clustering there are no seeds.
            """,
        Run = Run,
    };

    private static int Run(CliContext context)
    {
        using MemcachedConnection connection = context.Connect();
        switch (context.Operands)
        {
            case [] or ["list"]:
                return List(context, connection);
            case ["add" or "remove", var silo]:
                string command = $"seeds {context.Operands[0]} {silo}";
                string answer = connection.Ask(command);
                if (answer != "OK")
                {
                    const string Refusal = "SERVER_ERROR seeds: ";
                    throw answer.StartsWith(Refusal, StringComparison.Ordinal) ? CliException.Refused(answer[Refusal.Length..])
                        : connection.Unexpected(command, answer);
                }

                if (!context.IsJson)
                    context.Out.WriteLine($"{silo} {(context.Operands[0] == "add" ? "has a vote" : "has no vote any more")}");
                return 0;
            default:
                throw CliException.Usage("one of: seeds list, seeds add SILO, seeds remove SILO");
        }
    }

    private static int List(CliContext context, MemcachedConnection connection)
    {
        List<KeyValuePair<string, string>> answer = connection.ReadStatistics("seeds");
        Dictionary<string, string> values = [];
        List<(string Silo, string Vote, string State)> silos = [];
        foreach ((string name, string value) in answer)
        {
            if (name.StartsWith("silo:", StringComparison.Ordinal) && value.Split(' ') is [var vote, var state, ..])
                silos.Add((name[5..], vote, state));
            else
                values[name] = value;
        }

        bool isReadable = values.GetValueOrDefault("membership") != "unreadable";
        if (context.IsJson)
        {
            Json.Write(context.Out, writer =>
            {
                writer.WriteStartObject();
                writer.WriteBoolean("readable", isReadable);
                foreach (string name in (ReadOnlySpan<string>)["seeds", "seeds_wanted", "seeds_majority", "seeds_up"])
                    writer.WriteNumber(name, int.TryParse(values.GetValueOrDefault(name), out int number) ? number : 0);
                writer.WriteStartArray("silos");
                foreach ((string silo, string vote, string state) in silos)
                {
                    writer.WriteStartObject();
                    writer.WriteString("silo", silo);
                    writer.WriteString("vote", vote);
                    writer.WriteString("state", state);
                    writer.WriteEndObject();
                }

                writer.WriteEndArray();
                writer.WriteEndObject();
            });
        }
        else if (silos.Count == 0)
            context.Out.WriteLine("no seeds: the membership lives in a store (--clustering), or this is a single node");
        else
        {
            var table = new TextTable(new("SILO", IsNeeded: true), new("VOTE", IsNeeded: true), new("STATE", IsNeeded: true));
            foreach ((string silo, string vote, string state) in silos)
                table.Add(silo, vote == "seed" ? "yes" : vote == "removed" ? "removed" : "no", state);
            table.Write(context.Out, context.Surroundings.Columns);
            context.Out.WriteLine();
            context.Out.WriteLine($"{values.GetValueOrDefault("seeds_up")} of {values.GetValueOrDefault("seeds")} seeds are up, "
                + $"{values.GetValueOrDefault("seeds_majority")} are needed"
                + (isReadable ? "" : "; no majority answers: nobody can join, and no loss is noticed"));
        }

        return isReadable ? 0 : 2;
    }
}
