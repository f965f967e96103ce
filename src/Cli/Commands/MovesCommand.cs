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
        Summary = "partitions that move: list, pause, resume, abort, limit",
        Operands = "list | pause | resume | abort PARTITION|all | limit BYTES|off",
        OperandsMin = 0,
        OperandsMax = 2,
        Options = [new("follow", "", "with list: go on until Ctrl+C, a line whenever something has moved")],
        Help = """
            list (or nothing) shows for each silo: partitions on their way to it or from it now, and what
            it has taken over and handed over since it started. Then each partition that moves, and each
            copy that is being made, with its reason (balance, drain, repair), how far it is and the time
            that is left at the present rate; and when every partition will be where it belongs. With
            --follow a line a second while partitions move (with --json: an object a line).

            pause: nothing moves for balance any more, and copies under way for it rest. Copies that
            replace lost ones, and what leaves a silo that drains or stops, go on. resume ends that.
            abort gives up the move of a partition for balance, or all of them: what has been copied is
            dropped, the owner stays, and the move is not begun again for 5 minutes, or until resume.
            limit: bytes of items that each silo reads per second to make copies (k, m or g may follow, at
            least 64k). Writes are never held back, nor is a silo that stops: it has --drain-timeout.
            All of them need a gateway with -A, and hold for the whole cluster until it is stopped as a
            whole, whatever becomes of the coordinator; only what was given up is forgotten with it.
            Exit code 0: done, and every silo knows it; 1: refused, or not known everywhere yet.
            """,
        Run = Run,
    };

    private static int Run(CliContext context)
    {
        string command;
        string done;
        switch (context.Operands)
        {
            case [] or ["list"]:
                return List(context);
            case ["pause"]:
                (command, done) = ("pause", "paused: nothing moves for balance until `orleanscache moves resume`");
                break;
            case ["resume"]:
                (command, done) = ("resume", "moves go on");
                break;
            case ["abort", "all"]:
                (command, done) = ("abort all", "all moves for balance are given up for 5 minutes, or until `orleanscache moves resume`");
                break;
            case ["abort", var partition] when int.TryParse(partition, NumberStyles.None, CultureInfo.InvariantCulture, out int number):
                command = string.Create(CultureInfo.InvariantCulture, $"abort {number}");
                done = $"the move of partition {partition} is given up for 5 minutes, or until `orleanscache moves resume`";
                break;
            case ["limit", "off" or "0"]:
                (command, done) = ("limit off", "moves are not slowed down any more");
                break;
            case ["limit", var size]:
                if (!ByteSize.TryParse(size, out long bytes))
                    throw CliException.Usage($"\"{size}\" is no number of bytes, as in 10m, and not off");
                command = string.Create(CultureInfo.InvariantCulture, $"limit {bytes}");
                done = $"each silo reads at most {Figures.Bytes(bytes)} per second to make copies";
                break;
            default:
                throw CliException.Usage("one of: moves list, moves pause, moves resume, moves abort PARTITION|all, moves limit BYTES|off");
        }

        if (context.Has("follow"))
            throw CliException.Usage("--follow goes with moves list");
        using MemcachedConnection connection = context.Connect();
        string answer = connection.Ask($"moves {command}");
        if (answer != "OK")
        {
            const string Refusal = "SERVER_ERROR moves: ";
            throw answer.StartsWith(Refusal, StringComparison.Ordinal) ? CliException.Refused(answer[Refusal.Length..])
                : connection.Unexpected($"moves {command}", answer);
        }

        if (!context.IsJson)
            context.Out.WriteLine(done);
        return 0;
    }

    private static int List(CliContext context)
    {
        using MemcachedConnection connection = context.Connect();
        ClusterSnapshot cluster = ClusterSnapshot.Read(connection);
        Write(context, cluster, MovesSnapshot.Read(connection));
        if (!context.Has("follow"))
            return 0;
        ClusterSnapshot last = cluster;
        while (!context.Stop.WaitHandle.WaitOne(TimeSpan.FromSeconds(1)))
        {
            ClusterSnapshot next = ClusterSnapshot.Read(connection);
            MovesSnapshot moves = MovesSnapshot.Read(connection);
            if (next["partitions_taken_over"] != last["partitions_taken_over"] || next["partitions_moving"] > 0 || next["silos"] != last["silos"]
                || moves["transfers"] > 0)
                WriteStep(context, last, next, moves);
            last = next;
        }

        return 0;
    }

    private static void Write(CliContext context, ClusterSnapshot cluster, MovesSnapshot moves)
    {
        if (context.IsJson)
        {
            WriteJson(context, cluster, moves);
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
        if (moves.Transfers.Count > 0)
        {
            context.Out.WriteLine();
            WriteTransfers(context, moves);
        }

        context.Out.WriteLine();
        context.Out.WriteLine(SumUp(moves));
        if (moves.IsPaused)
            context.Out.WriteLine("paused: nothing moves for balance until `orleanscache moves resume`");
        if (moves["limit_bytes_per_second"] is > 0 and var limit)
            context.Out.WriteLine($"limited to {Figures.Bytes(limit)} per second and silo");
        foreach ((int partition, long seconds) in moves.Aborted)
            context.Out.WriteLine($"the move of partition {partition} was given up, for {Figures.Duration(seconds)} more");
    }

    private static void WriteTransfers(CliContext context, MovesSnapshot moves)
    {
        var table = new TextTable(
            new("PARTITION", IsNumber: true, IsNeeded: true), new("FROM", IsNeeded: true), new("TO", IsNeeded: true), new("WHAT"), new("WHY", IsNeeded: true),
            new("DONE", IsNumber: true, IsNeeded: true), new("OF", IsNumber: true), new("PER S", IsNumber: true), new("LEFT", IsNumber: true, IsNeeded: true),
            new("STATE", IsNeeded: true));
        foreach (TransferSnapshot transfer in moves.Transfers)
        {
            long total = transfer["bytes_total"];
            table.Add(
                Figures.Count(transfer.Partition), transfer.From, transfer.To, transfer.IsMove ? "move" : "copy", transfer.Reason,
                total == 0 ? "-" : Figures.Percent((double)transfer["bytes"] / total), Figures.Bytes(total), Figures.Bytes(transfer["bytes_per_second"]),
                transfer["seconds_left"] < 0 ? "-" : Figures.Duration(transfer["seconds_left"]), transfer.State.Replace('_', ' '));
        }

        table.Write(context.Out, context.Surroundings.Columns);
    }

    private static string SumUp(MovesSnapshot moves)
    {
        if (moves["partitions_to_move"] == 0)
            return moves["transfers"] == 0 ? "every partition is where it belongs"
                : $"every partition is where it belongs; copies have {Figures.Bytes(moves["bytes_left"])} to go";
        string left = moves.IsPaused ? "" : moves.SecondsLeft is { } seconds ? $", about {Figures.Duration(seconds)} left" : ", time left not known yet";
        return $"{Figures.Plural(moves["partitions_to_move"], "partition")} to move, {Figures.Bytes(moves["bytes_per_second"])} per second{left}";
    }

    private static void WriteJson(CliContext context, ClusterSnapshot cluster, MovesSnapshot moves) => Json.Write(context.Out, writer =>
    {
        writer.WriteStartObject();
        writer.WriteBoolean("paused", moves.IsPaused);
        foreach (string name in (ReadOnlySpan<string>)["limit_bytes_per_second", "partitions_to_move", "bytes_left", "bytes_per_second"])
            writer.WriteNumber(name, moves[name]);
        WriteSeconds("seconds_left", moves.SecondsLeft);
        writer.WriteStartArray("transfers");
        foreach (TransferSnapshot transfer in moves.Transfers)
        {
            writer.WriteStartObject();
            writer.WriteNumber("partition", transfer.Partition);
            writer.WriteString("kind", transfer.IsMove ? "move" : "copy");
            writer.WriteString("from", transfer.From);
            writer.WriteString("to", transfer.To);
            writer.WriteString("reason", transfer.Reason);
            writer.WriteString("state", transfer.State);
            foreach (string name in (ReadOnlySpan<string>)["bytes", "bytes_total", "bytes_per_second"])
                writer.WriteNumber(name, transfer[name]);
            WriteSeconds("seconds_left", transfer["seconds_left"] is >= 0 and var seconds ? seconds : null);
            writer.WriteEndObject();
        }

        writer.WriteEndArray();
        writer.WriteStartArray("aborted");
        foreach ((int partition, long seconds) in moves.Aborted)
        {
            writer.WriteStartObject();
            writer.WriteNumber("partition", partition);
            writer.WriteNumber("seconds", seconds);
            writer.WriteEndObject();
        }

        writer.WriteEndArray();
        writer.WriteStartArray("silos");
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
        writer.WriteEndObject();

        void WriteSeconds(string name, long? seconds)
        {
            if (seconds is { } known)
                writer.WriteNumber(name, known);
            else
                writer.WriteNull(name);
        }
    }, isIndented: !context.Has("follow"));

    private static void WriteStep(CliContext context, ClusterSnapshot last, ClusterSnapshot next, MovesSnapshot moves)
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
                writer.WriteNumber("partitions_to_move", moves["partitions_to_move"]);
                if (moves.SecondsLeft is { } seconds)
                    writer.WriteNumber("seconds_left", seconds);
                else
                    writer.WriteNull("seconds_left");
                writer.WriteEndObject();
            }, isIndented: false);
        }
        else
        {
            string time = DateTime.Now.ToString("HH:mm:ss", CultureInfo.InvariantCulture);
            string silos = Figures.Plural(next["silos"], "silo");
            context.Out.WriteLine($"{time} {silos}; {next["partitions_moving"]} moving, {partitions} moved, {Figures.Bytes(bytes)}; {SumUp(moves)}");
        }

        context.Out.Flush();
    }
}
