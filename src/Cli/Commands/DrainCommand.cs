using System.Diagnostics;
using OrleansCache.Cli.Client;
using OrleansCache.Cli.Output;

namespace OrleansCache.Cli.Commands;

/// <summary>`drain`: empties one silo, and waits until it is empty.</summary>
internal static class DrainCommand
{
    private const int PollMilliseconds = 200;

    /// <summary>A silo serves a moment before all have heard of its gateway.</summary>
    private static readonly TimeSpan GatewayTimeMax = TimeSpan.FromSeconds(2);

    public static CliVerb Verb { get; } = new()
    {
        Name = "drain",
        Summary = "hand a silo's partitions to the others, before it is stopped",
        Operands = "SILO",
        OperandsMin = 1,
        OperandsMax = 1,
        Options =
        [
            new("no-wait", "", "return as soon as the silo has begun"),
            new("wait", "seconds", "give up waiting after this long; the silo goes on (default: 300)"),
        ],
        Help = """
            SILO is a silo as `silos` lists it (HOST:PORT), its gateway, or the beginning of one name. The
            silo hands its partitions over, stays a member and a gateway, and takes none back: stop it
            then, or start it again. Its clients notice nothing. The silo must have been started with -A,
            and its gateway must be reachable from here. Exit code 0: it is empty; 1: refused, or not
            empty in time.
            """,
        Run = Run,
    };

    private static int Run(CliContext context)
    {
        using MemcachedConnection connection = context.Connect();
        long began = Stopwatch.GetTimestamp();
        SiloSnapshot silo = ClusterSnapshot.Read(connection).Find(context.Operands[0]);
        while (silo is { IsDraining: false, Gateway: null } && Stopwatch.GetElapsedTime(began) < GatewayTimeMax)
        {
            if (context.Stop.WaitHandle.WaitOne(PollMilliseconds))
                throw new OperationCanceledException(context.Stop);
            silo = ClusterSnapshot.Read(connection).Find(silo.Name);
        }

        if (!silo.IsDraining)
        {
            if (silo.Gateway is null)
                throw CliException.Refused($"{silo.Name} has no gateway that could be asked by TCP: send SIGTERM to it instead");
            using MemcachedConnection target = context.Connect(ServerAddress.Parse(silo.Gateway));
            string answer = target.Ask("drain");
            if (answer == "SERVER_ERROR: drain not enabled")
                throw CliException.Refused($"{silo.Name} was started without -A, which enables drain and shutdown");
            if (answer != "OK")
                throw target.Unexpected("drain", answer);
        }

        if (!context.Has("no-wait"))
            silo = WaitUntilEmpty(context, connection, silo, began);
        double seconds = Stopwatch.GetElapsedTime(began).TotalSeconds;
        if (context.IsJson)
        {
            Json.Write(context.Out, writer =>
            {
                writer.WriteStartObject();
                writer.WriteString("silo", silo.Name);
                writer.WriteBoolean("empty", silo.Partitions == 0);
                writer.WriteNumber("partitions", silo.Partitions);
                writer.NumberOrNull("seconds", seconds);
                writer.WriteEndObject();
            });
        }
        else if (silo.Partitions == 0)
            context.Out.WriteLine($"{silo.Name} is empty after {seconds:F1} s: it can be stopped");
        else if (context.Has("no-wait"))
            context.Out.WriteLine($"{silo.Name} is draining: `orleanscache moves` shows how far it is");

        return silo.Partitions == 0 || context.Has("no-wait") ? 0 : 1;
    }

    private static SiloSnapshot WaitUntilEmpty(CliContext context, MemcachedConnection connection, SiloSnapshot silo, long began)
    {
        var waitMax = TimeSpan.FromSeconds(context.Integer("wait", 300, 1, 86_400));
        int told = -1;
        while (true)
        {
            ClusterSnapshot cluster = ClusterSnapshot.Read(connection);
            SiloSnapshot? now = cluster.Silos.FirstOrDefault(one => one.Name == silo.Name);
            if (now is null || (now.IsUp && now.Partitions == 0 && now["partitions_moving"] == 0 && now["partitions_replicated"] == 0))
                return (now ?? silo) with { Partitions = 0 };
            TimeSpan waited = Stopwatch.GetElapsedTime(began);
            if (waited >= waitMax)
            {
                string left = Figures.Plural(now.Partitions, "partition");
                context.Error.WriteLine($"orleanscache drain: {silo.Name} still has {left} after {waited.TotalSeconds:F0} s");
                return now;
            }

            if (!context.IsJson && now.Partitions != told && (int)waited.TotalSeconds != (int)(waited.TotalSeconds - (PollMilliseconds / 1000.0)))
                context.Out.WriteLine($"{Figures.Plural(told = now.Partitions, "partition")} to go");
            if (context.Stop.WaitHandle.WaitOne(PollMilliseconds))
                throw new OperationCanceledException(context.Stop);
        }
    }
}
