using System.Globalization;
using OrleansCache.Cli;
using OrleansCache.Silo.Options;

namespace OrleansCache.Silo;

/// <summary>
/// The commands for operators (src/Cli), as this program runs them. Nothing of that room is loaded unless one of its verbs is called:
/// <see cref="Names"/> repeats their names, and a test keeps it true.
/// </summary>
internal static class Operator
{
    public static string[] Names { get; } = ["status", "top", "silos", "moves", "drain", "seeds", "keys", "get", "set", "delete", "bench", "check"];

    /// <summary>Whether the arguments call one: `status ...` or `help status`.</summary>
    public static bool IsCalledBy(IReadOnlyList<string> arguments) =>
        arguments.Count > 0 && (Names.Contains(arguments[0]) || (arguments.Count == 2 && arguments[0] == "help" && Names.Contains(arguments[1])));

    public static int Run(string[] arguments)
    {
        using var stop = new CancellationTokenSource();
        Console.CancelKeyPress += (_, key) =>
        {
            key.Cancel = true;
            stop.Cancel();
        };
        bool isTerminal = !Console.IsOutputRedirected && Environment.GetEnvironmentVariable("TERM") is not (null or "" or "dumb");
        using var output = new StreamWriter(Console.OpenStandardOutput(), bufferSize: 64 * 1024) { AutoFlush = !Console.IsOutputRedirected };
        int code = CommandLine.Run(arguments[0] == "help" ? [arguments[1], "--help"] : arguments, new CliSurroundings
        {
            Out = output,
            Error = Console.Error,
            OpenInput = Console.OpenStandardInput,
            OpenOutput = Console.OpenStandardOutput,
            Environment = Environment.GetEnvironmentVariable,
            Columns = ReadColumns(),
            CurrentColumns = ReadColumns,
            CurrentRows = () => Console.WindowHeight,
            ReadKey = Console.IsInputRedirected ? null : () => Console.KeyAvailable ? Console.ReadKey(intercept: true).KeyChar : null,
            IsTerminal = isTerminal,
            HasColours = isTerminal && string.IsNullOrEmpty(Environment.GetEnvironmentVariable("NO_COLOR")),
            ReadServerOptions = ReadServerOptions,
            Stop = stop.Token,
        });
        try
        {
            output.Flush();
        }
        catch (IOException)
        {
            // The reader of a pipe has seen enough.
        }

        return code;
    }

    /// <summary>Of the terminal; a pipe gets whole lines, unless COLUMNS says otherwise.</summary>
    private static int ReadColumns()
    {
        if (int.TryParse(Environment.GetEnvironmentVariable("COLUMNS"), NumberStyles.None, CultureInfo.InvariantCulture, out int columns) && columns >= 20)
            return columns;
        try
        {
            return Console.IsOutputRedirected || Console.WindowWidth < 20 ? 200 : Console.WindowWidth;
        }
        catch (IOException)
        {
            return 80;
        }
    }

    private static PlannedServer ReadServerOptions(IReadOnlyList<string> arguments)
    {
        try
        {
            ServeOptions options = OptionReader.Read(arguments, Environment.GetEnvironmentVariable);
            if (options.Verb is not (Verb.Serve or Verb.Gateway))
                return new PlannedServer("only options of serve and gateway can be checked", [], 0, 0, [], []);
            Hosting.StoreSetup.CheckMemory(options);
            var ports = new List<(string What, string Host, int Port)>();
            if (options.SocketPath is null && ListenSpec.TryParse(options.Listen ?? "127.0.0.1", options.Port, out List<ListenSpec> places, out _))
                ports.AddRange(places.Where(place => place.Port > 0).Select(place => ("port for clients (-p, -l)", place.Host ?? "0.0.0.0", place.Port)));
            if (options.WantsCluster && options.Verb == Verb.Serve)
            {
                string host = options.SiloListenHost ?? options.AdvertisedHost ?? ports.Select(port => port.Host).FirstOrDefault("127.0.0.1");
                ports.Add(("port for silos (--silo-port)", host, options.SiloPort));
                if (options.ClusteringName is null)
                    ports.Add(("port for the membership (--seed-port)", host, options.SeedPort ?? options.SiloPort + 2000));
                if (options.AllowGateways)
                    ports.Add(("port for gateways (--allow-gateways)", host, options.SiloPort + 1000));
            }

            return new PlannedServer(null, options.Warnings, options.Verb == Verb.Serve ? options.MemoryBytes : 0, options.ConnectionsMax, ports, options.Join);
        }
        catch (StartException exception)
        {
            return new PlannedServer(exception.Message, [], 0, 0, [], []);
        }
    }
}
