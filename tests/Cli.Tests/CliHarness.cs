using System.Net;
using Microsoft.Extensions.Logging.Abstractions;
using OrleansCache.Gateway;
using OrleansCache.Gateway.Options;
using OrleansCache.Storage;

namespace OrleansCache.Cli.Tests;

/// <summary>A single node on a free port, and commands that are sent to it.</summary>
public sealed class CliHarness : IAsyncLifetime, IDisposable
{
    private readonly LocalRouter _router = new(new StoreOptions { PartitionCount = 16, MemoryBytes = 16 * 1024 * 1024 });
    private readonly GatewayServer _server;

    public CliHarness() => _server = new GatewayServer(
        new GatewayOptions { Listeners = [new ListenerOptions(new IPEndPoint(IPAddress.Loopback, 0))], Threads = 1 }, _router, NullLoggerFactory.Instance,
            TimeProvider.System);

    public string Server => _server.EndPoints[0].ToString()!;

    public Task InitializeAsync() => _server.StartAsync(CancellationToken.None);

    public async Task DisposeAsync() => await _server.DisposeAsync();

    public void Dispose() => _router.Dispose();

    /// <summary>Runs a command against the node.</summary>
    internal CliResult Run(params string[] arguments) => RunAt(Server, 80, null, arguments);

    /// <summary>Runs a command against some server.</summary>
    internal static CliResult RunAt(string server, int columns, byte[]? input, params string[] arguments)
    {
        using var output = new StringWriter();
        using var error = new StringWriter();
        var raw = new MemoryStream();
        int code = CommandLine.Run(arguments, new CliSurroundings
        {
            Out = output,
            Error = error,
            OpenInput = () => new MemoryStream(input ?? []),
            OpenOutput = () => raw,
            Environment = name => name == "ORLEANSCACHE_SERVER" ? server : null,
            Columns = columns,
            ReadServerOptions = options => options[0] == "bad" ? new PlannedServer("bad is bad", [], 0, 0, [], [])
                : new PlannedServer(null, ["WARNING: careful"], 64 << 20, 1024, [("port for clients", "127.0.0.1", 0)], []),
        });
        return new CliResult(code, output.ToString(), error.ToString(), raw.ToArray());
    }
}

/// <summary>What a command has left behind.</summary>
internal sealed record CliResult(int Code, string Out, string Error, byte[] Raw)
{
    public string[] Lines => Out.Split('\n', StringSplitOptions.RemoveEmptyEntries);
}
