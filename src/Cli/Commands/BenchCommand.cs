using System.Diagnostics;
using System.Globalization;
using System.Text;
using OrleansCache.Cli.Client;
using OrleansCache.Cli.Output;

namespace OrleansCache.Cli.Commands;

/// <summary>`bench`: a small load generator. For a first figure and for comparing settings; docs/benchmarks.md has the ones that count.</summary>
internal static class BenchCommand
{
    public static CliVerb Verb { get; } = new()
    {
        Name = "bench",
        Summary = "a small load generator with percentiles",
        Options =
        [
            new("seconds", "num", "how long (default: 10)"),
            new("connections", "num", "connections, each with a thread (default: 16)"),
            new("pipeline", "num", "commands that a connection sends at once (default: 1)"),
            new("keys", "num", "different keys (default: 10000)"),
            new("value-bytes", "num", "size of a value (default: 100)"),
            new("sets", "percent", "share of sets, the rest are gets (default: 10)"),
            new("prefix", "text", "of the keys (default: bench:)"),
        ],
        Help = """
            Stores every key once, then sets and gets keys at random and prints operations a second and
            the latencies. Its items end by themselves after ten minutes. The generator uses processors,
            too: on the same machine the server gets what it leaves. Do not run it against a cache in
            use: its items evict others.
            """,
        Run = Run,
    };

    private sealed record Load(int Connections, int Pipeline, int Keys, byte[] Value, int SetsPercent, string Prefix);

    private sealed class Worker
    {
        public LatencyHistogram Latencies { get; } = new();

        /// <summary>Read by others while it runs.</summary>
        public long Operations;

        public long Hits;
        public long Gets;
        public long Errors;
    }

    private static int Run(CliContext context)
    {
        int seconds = context.Integer("seconds", 10, 1, 86_400);
        byte[] value = new byte[context.Integer("value-bytes", 100, 0, 16 * 1024 * 1024)];
        new Random(1).NextBytes(value);
        var load = new Load(
            context.Integer("connections", 16, 1, 1024), context.Integer("pipeline", 1, 1, 1000), context.Integer("keys", 10_000, 1, 100_000_000), value,
            context.Integer("sets", 10, 0, 100), context.Text("prefix") ?? "bench:");
        ServerAddress server = context.Server;
        ConnectionOptions options = context.ConnectionOptions();
        if (Encoding.UTF8.GetByteCount(KeyOf(load, load.Keys - 1)) > Limits.KeyBytesMax)
            throw CliException.Usage("--prefix is too long for a key");
        Fill(server, options, load, context);
        var workers = Enumerable.Range(0, load.Connections).Select(_ => new Worker()).ToArray();
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(context.Stop);
        var connections = new List<MemcachedConnection>();
        double elapsed;
        Exception? failure = null;
        try
        {
            for (int i = 0; i < load.Connections; i++)
                connections.Add(MemcachedConnection.Open(server, options));
            Thread[] threads = [.. workers.Select((worker, i) => new Thread(() =>
            {
                try
                {
                    Drive(connections[i], load, worker, i, stop.Token);
                }
                catch (Exception exception) when (exception is CliException or IOException)
                {
                    failure ??= exception;
                    stop.Cancel();
                }
            }))];
            long began = Stopwatch.GetTimestamp();
            foreach (Thread thread in threads)
                thread.Start();
            try
            {
                Watch(context, workers, seconds, stop.Token);
                elapsed = Stopwatch.GetElapsedTime(began).TotalSeconds;
            }
            finally
            {
                stop.Cancel();
                foreach (Thread thread in threads)
                    thread.Join();
            }
        }
        finally
        {
            foreach (MemcachedConnection connection in connections)
                connection.Dispose();
        }

        if (failure is CliException reason)
            throw reason;
        if (failure is not null)
            throw CliException.Unavailable($"{server}: {failure.Message}", failure);
        Report(context, load, workers, elapsed);
        return workers.Sum(worker => worker.Errors) == 0 ? 0 : 1;
    }

    private static string KeyOf(Load load, int number) => string.Create(CultureInfo.InvariantCulture, $"{load.Prefix}{number}");

    private static byte[] SetOf(Load load, int number, bool isQuiet) =>
        [.. Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture,
            $"set {KeyOf(load, number)} 0 600 {load.Value.Length}{(isQuiet ? " noreply" : "")}\r\n")), .. load.Value, .. "\r\n"u8];

    private static void Fill(ServerAddress server, ConnectionOptions options, Load load, CliContext context)
    {
        using MemcachedConnection connection = MemcachedConnection.Open(server, options);
        string answer = connection.Set(KeyOf(load, 0), load.Value, 0, 600);
        if (answer != "STORED")
            throw connection.Unexpected("set", answer);
        for (int number = 1; number < load.Keys;)
        {
            context.Stop.ThrowIfCancellationRequested();
            using var batch = new MemoryStream();
            for (; number < load.Keys && batch.Length < 256 * 1024; number++)
                batch.Write(SetOf(load, number, isQuiet: true));
            connection.Send(batch.GetBuffer().AsSpan(0, (int)batch.Length));

            // The answer to a command behind them says that they are done.
            connection.Ask("version");
        }
    }

    private static void Drive(MemcachedConnection connection, Load load, Worker worker, int seed, CancellationToken stop)
    {
        var random = new Random(seed);
        using var batch = new MemoryStream();
        bool[] isSet = new bool[load.Pipeline];
        while (!stop.IsCancellationRequested)
        {
            batch.SetLength(0);
            for (int i = 0; i < load.Pipeline; i++)
            {
                int number = random.Next(load.Keys);
                isSet[i] = random.Next(100) < load.SetsPercent;
                batch.Write(isSet[i] ? SetOf(load, number, isQuiet: false) : Encoding.UTF8.GetBytes($"get {KeyOf(load, number)}\r\n"));
            }

            long began = Stopwatch.GetTimestamp();
            connection.Send(batch.GetBuffer().AsSpan(0, (int)batch.Length));
            for (int i = 0; i < load.Pipeline; i++)
                ReadAnswer(connection, worker, isSet[i], load.Value.Length);
            worker.Latencies.Record(Stopwatch.GetElapsedTime(began), load.Pipeline);
            Volatile.Write(ref worker.Operations, worker.Operations + load.Pipeline);
        }
    }

    private static void ReadAnswer(MemcachedConnection connection, Worker worker, bool isSet, int valueBytes)
    {
        string line = connection.ReadLine();
        if (isSet)
        {
            worker.Errors += line == "STORED" ? 0 : 1;
            return;
        }

        worker.Gets++;
        if (line.StartsWith("VALUE ", StringComparison.Ordinal))
        {
            worker.Hits++;
            connection.Skip(valueBytes + 2);
            line = connection.ReadLine();
        }

        worker.Errors += line == "END" ? 0 : 1;
    }

    /// <summary>Until the time is over; on a terminal with a bar.</summary>
    private static void Watch(CliContext context, Worker[] workers, int seconds, CancellationToken stop)
    {
        if (!context.Surroundings.IsTerminal || context.IsJson)
        {
            stop.WaitHandle.WaitOne(TimeSpan.FromSeconds(seconds));
            return;
        }

        using var bar = new ProgressBar(context.Surroundings);
        long last = 0;
        string rate = "";
        for (int tick = 1; tick <= seconds * 10; tick++)
        {
            bar.Show((double)tick / (seconds * 10), rate);
            if (stop.WaitHandle.WaitOne(100))
                return;
            if (tick % 10 != 0)
                continue;
            long now = workers.Sum(worker => Volatile.Read(ref worker.Operations));
            rate = $"{Figures.Count(now - last)} op/s";
            last = now;
        }
    }

    private static void Report(CliContext context, Load load, Worker[] workers, double elapsed)
    {
        var all = new LatencyHistogram();
        foreach (Worker worker in workers)
            all.Add(worker.Latencies);
        long operations = workers.Sum(worker => worker.Operations);
        long gets = workers.Sum(worker => worker.Gets);
        long errors = workers.Sum(worker => worker.Errors);
        double? hits = StatusCommand.Share(workers.Sum(worker => worker.Hits), gets);
        (string Name, double Share)[] percentiles = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("p99.99", 0.9999)];
        if (context.IsJson)
        {
            Json.Write(context.Out, writer =>
            {
                writer.WriteStartObject();
                writer.WriteString("server", context.Server.ToString());
                writer.NumberOrNull("seconds", elapsed);
                writer.WriteNumber("connections", load.Connections);
                writer.WriteNumber("pipeline", load.Pipeline);
                writer.WriteNumber("operations", operations);
                writer.NumberOrNull("operations_per_second", operations / elapsed);
                writer.NumberOrNull("hit_ratio", hits);
                writer.WriteNumber("errors", errors);
                writer.WriteStartObject("latency_microseconds");
                foreach ((string name, double share) in percentiles)
                    writer.NumberOrNull(name, all.Microseconds(share));
                writer.NumberOrNull("max", all.MaxMicroseconds);
                writer.WriteEndObject();
                writer.WriteEndObject();
            });
            return;
        }

        context.Out.WriteLine($"{Figures.Count(operations / elapsed)} op/s");
        context.Out.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"{operations} operations in {elapsed:F1} s, {Figures.Plural(load.Connections, "connection")}, pipeline {load.Pipeline}"));
        context.Out.WriteLine($"hits {Figures.Percent(hits)}, errors {errors}");
        foreach ((string name, double share) in percentiles)
            context.Out.WriteLine($"{name,-8}{Figures.Latency(all.Microseconds(share)),9}");
        context.Out.WriteLine($"{"max",-8}{Figures.Latency(all.MaxMicroseconds),9}");
        if (load.Pipeline > 1)
            context.Out.WriteLine($"(latency of {load.Pipeline} commands sent at once)");
    }
}
