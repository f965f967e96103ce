using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using OrleansCache.Cli.Client;
using OrleansCache.Cli.Output;

namespace OrleansCache.Cli.Commands;

/// <summary>`check`: what goes wrong later, looked for before.</summary>
internal static class CheckCommand
{
    /// <summary>Settings that all silos of a cluster should share.</summary>
    private static readonly string[] s_commonSettings =
        ["item_size_max", "evictions", "cas_enabled", "flush_enabled", "dump_enabled", "auth_enabled_ascii", "auth_enabled_sasl", "binding_protocol",
            "ssl_enabled", "idle_timeout"];

    public static CliVerb Verb { get; } = new()
    {
        Name = "check",
        Summary = "look for what goes wrong later: options, limits, clock, network",
        Operands = "[-- SERVE OPTIONS]",
        Options = [new("no-server", "", "look at this machine only")],
        Help = """
            Without operands: asks a running cluster. Does every silo answer, from here as well as from the
            others? Do versions, clocks and settings agree? Is there room for the connections?
            Behind "--" stand options of `serve` or `gateway`, as on the machine that will run them: are
            they valid, are the ports free, does memory suffice, are there descriptors for -c, do the silos
            of --join answer? Nothing is started. Exit code: 0 fine, 1 warnings, 2 something will fail.
            """,
        Run = Run,
    };

    internal sealed record Result(Severity Severity, string What, string Text);

    private static int Run(CliContext context)
    {
        var results = new List<Result>();
        if (context.Rest.Count > 0)
            CheckOptions(context, results);
        CheckMachine(results);
        if (context.Rest.Count == 0 && !context.Has("no-server"))
            CheckCluster(context, results);
        Severity severity = results.Max(result => result.Severity);
        if (context.IsJson)
        {
            Json.Write(context.Out, writer =>
            {
                writer.WriteStartObject();
                writer.WriteString("status", severity.ToString().ToUpperInvariant());
                writer.WriteStartArray("results");
                foreach (Result result in results)
                {
                    writer.WriteStartObject();
                    writer.WriteString("severity", result.Severity.ToString().ToUpperInvariant());
                    writer.WriteString("what", result.What);
                    writer.WriteString("text", result.Text);
                    writer.WriteEndObject();
                }

                writer.WriteEndArray();
                writer.WriteEndObject();
            });
        }
        else
        {
            foreach (Result result in results)
            {
                string mark = result.Severity switch { Severity.Ok => "ok", Severity.Warning => "WARN", _ => "FAIL" };
                context.Out.WriteLine($"{mark,-5} {result.What}: {result.Text}");
            }
        }

        return (int)severity;
    }

    private static void CheckOptions(CliContext context, List<Result> results)
    {
        PlannedServer planned = context.Surroundings.ReadServerOptions(context.Rest);
        if (planned.Error is not null)
        {
            results.Add(new(Severity.Critical, "options", planned.Error));
            return;
        }

        results.Add(new(Severity.Ok, "options", "valid"));
        foreach (string warning in planned.Warnings)
            results.Add(new(Severity.Warning, "options", warning.StartsWith("WARNING: ", StringComparison.Ordinal) ? warning[9..] : warning));
        long machine = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
        double needed = (planned.MemoryBytes * 1.1) + (150 << 20);
        if (planned.MemoryBytes > 0)
        {
            results.Add(new(
                needed > machine ? Severity.Critical : needed > 0.9 * machine ? Severity.Warning : Severity.Ok,
                "memory",
                $"-m {Figures.Bytes(planned.MemoryBytes)} needs about {Figures.Bytes((long)needed)}; this machine or container has {Figures.Bytes(machine)}"));
        }

        if (ReadLimit("Max open files") is { } files)
        {
            long wanted = planned.ConnectionsMax + 260L;
            results.Add(new(
                files < wanted ? Severity.Warning : Severity.Ok, "descriptors",
                string.Create(CultureInfo.InvariantCulture, $"-c {planned.ConnectionsMax} needs about {wanted} open files; the limit is {files}")));
        }

        foreach ((string what, string host, int port) in planned.Ports)
            results.Add(CheckPort(what, host, port));
        foreach (string peer in planned.Peers)
            results.Add(CheckPeer(peer));
    }

    private static Result CheckPort(string what, string host, int port)
    {
        string place = string.Create(CultureInfo.InvariantCulture, $"{host}:{port}");
        try
        {
            IPAddress address = IPAddress.TryParse(host, out IPAddress? literal) ? literal : Dns.GetHostAddresses(host)[0];
            using var probe = new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
            probe.Bind(new IPEndPoint(address, port));
            return new(Severity.Ok, what, $"{place} is free");
        }
        catch (Exception exception) when (exception is SocketException or IndexOutOfRangeException)
        {
            return new(Severity.Critical, what, $"{place}: {exception.Message}");
        }
    }

    private static Result CheckPeer(string peer)
    {
        try
        {
            ServerAddress address = ServerAddress.Parse(peer);
            using var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
            using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(3));
            long began = Stopwatch.GetTimestamp();
            socket.ConnectAsync(address.Host, address.Port, limit.Token).AsTask().GetAwaiter().GetResult();
            return new(Severity.Ok, "network", $"{peer} accepts connections ({Figures.Latency(Stopwatch.GetElapsedTime(began).TotalMicroseconds)})");
        }
        catch (Exception exception) when (exception is SocketException or OperationCanceledException)
        {
            return new(Severity.Critical, "network", $"{peer}: {(exception is SocketException ? exception.Message : "no answer within 3 s")}");
        }
    }

    private static void CheckMachine(List<Result> results)
    {
        if (ReadNumber("/proc/sys/net/core/somaxconn") is { } backlog && backlog < 1024)
            results.Add(new(Severity.Warning, "backlog", $"net.core.somaxconn is {backlog}: bursts of new connections are refused beyond it (-b has 1024)"));
        if (ReadNumber("/proc/sys/vm/overcommit_memory") == 2)
            results.Add(new(Severity.Warning, "memory", "vm.overcommit_memory is 2: address space counts as memory, and a start may be refused"));
        if (ReadNumber("/proc/sys/vm/swappiness") is > 10 && HasSwap())
            results.Add(new(Severity.Warning, "swap", "the machine may swap a cache out: vm.swappiness=1, or no swap"));
        if (ReadLimit("Max open files") is { } files)
            results.Add(new(files < 1300 ? Severity.Warning : Severity.Ok, "limits", $"{files} open files"));
        string? clock = ReadText("/sys/devices/system/clocksource/clocksource0/current_clocksource");
        if (clock is not null)
            results.Add(new(clock is "tsc" or "kvm-clock" or "arch_sys_counter" or "hyperv_clocksource_tsc_page" ? Severity.Ok : Severity.Warning,
                "clock source", clock));
    }

    private static void CheckCluster(CliContext context, List<Result> results)
    {
        ClusterSnapshot cluster;
        try
        {
            using MemcachedConnection connection = context.Connect();
            cluster = ClusterSnapshot.Read(connection);
        }
        catch (CliException exception) when (exception.ExitCode != 64)
        {
            results.Add(new(Severity.Critical, "server", exception.Message));
            return;
        }

        List<Finding> findings = StatusCommand.Judge(cluster, 0, 0);
        results.AddRange(findings.Select(finding => new Result(finding.Severity, "cluster", finding.Text)));
        if (findings.Count == 0)
        {
            string served = $"{cluster.PartitionsServed} of {cluster["partitions"]} partitions served";
            results.Add(new(Severity.Ok, "cluster", $"{Figures.Plural(cluster["silos"], "silo")}, {served}"));
        }
        var settings = new List<(string Silo, Dictionary<string, string> Values)>();
        var versions = new List<(string Silo, string Version)>();
        foreach (SiloSnapshot silo in cluster.Silos)
        {
            // A single node without TCP has no address to tell, and has answered already.
            ServerAddress server = silo.Gateway is { } gateway ? ServerAddress.Parse(gateway) : context.Server;
            if (silo.Gateway is null && cluster.Silos.Count > 1)
            {
                results.Add(new(Severity.Warning, "network", $"{silo.Name} has no gateway for clients"));
                continue;
            }

            CheckGateway(context, silo.Name, server, results, settings, versions);
        }

        if (cluster.Silos.Count == 1)
            return;
        if (versions.Select(version => version.Version).Distinct().Count() > 1)
            results.Add(new(Severity.Warning, "versions", string.Join(", ", versions.Select(version => $"{version.Silo} {version.Version}"))));
        foreach (string name in s_commonSettings)
        {
            string[] values = [.. settings.Select(one => one.Values.GetValueOrDefault(name, "-")).Distinct()];
            if (values.Length <= 1)
                continue;
            IEnumerable<string> each = settings.Select(one => $"{one.Silo} {one.Values.GetValueOrDefault(name, "-")}");
            results.Add(new(Severity.Warning, "settings", $"{name} differs: {string.Join(", ", each)}"));
        }
    }

    private static void CheckGateway(
        CliContext context, string silo, ServerAddress server, List<Result> results, List<(string Silo, Dictionary<string, string> Values)> settings,
        List<(string Silo, string Version)> versions)
    {
        try
        {
            long began = Stopwatch.GetTimestamp();
            using MemcachedConnection connection = context.Connect(server);
            double connected = Stopwatch.GetElapsedTime(began).TotalMicroseconds;
            Dictionary<string, string> statistics = ToDictionary(connection.ReadStatistics());
            double here = DateTimeOffset.UtcNow.ToUnixTimeMilliseconds() / 1000.0;
            settings.Add((silo, ToDictionary(connection.ReadStatistics("settings"))));
            versions.Add((silo, statistics.GetValueOrDefault("version", "?")));
            results.Add(new(connected > 50_000 ? Severity.Warning : Severity.Ok, "network",
                $"{silo}: gateway {server} answers ({Figures.Latency(connected)})"));

            // The server tells whole seconds.
            if (long.TryParse(statistics.GetValueOrDefault("time"), CultureInfo.InvariantCulture, out long time))
            {
                double apart = here < time ? time - here : here > time + 1 ? here - time - 1 : 0;
                string text = string.Create(CultureInfo.InvariantCulture,
                    $"{silo}: {(apart == 0 ? "agrees with this machine" : $"{apart:F1} s apart from this machine")}");
                results.Add(new(apart > 1 ? Severity.Critical : apart > 0.5 ? Severity.Warning : Severity.Ok, "clock",
                    text + (apart > 0.5 ? ": expiry counts by the silo's clock (NTP)" : "")));
            }
        }
        catch (CliException exception) when (exception.ExitCode != 64)
        {
            results.Add(new(Severity.Critical, "network", $"{silo}: {exception.Message}"));
        }
    }

    private static Dictionary<string, string> ToDictionary(List<KeyValuePair<string, string>> values)
    {
        var all = new Dictionary<string, string>();
        foreach ((string name, string value) in values)
            all[name] = value;
        return all;
    }

    private static long? ReadLimit(string name)
    {
        string? line = ReadText("/proc/self/limits")?.Split('\n').FirstOrDefault(line => line.StartsWith(name, StringComparison.Ordinal));
        string? soft = line?[name.Length..].Split(' ', StringSplitOptions.RemoveEmptyEntries).FirstOrDefault();
        return soft == "unlimited" ? long.MaxValue : long.TryParse(soft, CultureInfo.InvariantCulture, out long value) ? value : null;
    }

    private static bool HasSwap() => (ReadText("/proc/swaps")?.Split('\n', StringSplitOptions.RemoveEmptyEntries).Length ?? 0) > 1;

    private static long? ReadNumber(string path) => long.TryParse(ReadText(path), CultureInfo.InvariantCulture, out long value) ? value : null;

    private static string? ReadText(string path)
    {
        try
        {
            return File.ReadAllText(path).Trim();
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }
}
