using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using OrleansCache.Conformance;

namespace OrleansCache.Cluster.Tests;

/// <summary>A PostgreSQL on a free port of 127.0.0.1 with its data in a temporary folder. It can be stopped and started again.</summary>
public sealed class PostgresServer : IAsyncDisposable
{
    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(60);

    private readonly string _folder;
    private ChildProcess? _process;

    private PostgresServer(string folder, int port)
    {
        _folder = folder;
        Port = port;
    }

    public int Port { get; }

    /// <summary>What --connection takes.</summary>
    public string ConnectionString =>
        string.Create(CultureInfo.InvariantCulture, $"Host=127.0.0.1;Port={Port};Database=postgres;Username=postgres;Timeout=5;Command Timeout=5");

    public string Output => _process?.Output ?? "PostgreSQL is not running";

    /// <summary>Null where PostgreSQL can be started, otherwise what is missing.</summary>
    public static string? WhyNot()
    {
        if (Binaries() is null)
            return "PostgreSQL's initdb and postgres are not installed in /usr/lib/postgresql";
        return Environment.UserName == "root" && Setpriv is null ? "PostgreSQL does not run as root and there is no setpriv" : null;
    }

    public static async Task<PostgresServer> StartAsync()
    {
        string folder = Directory.CreateTempSubdirectory("orleanscache-postgres-").FullName;
        var server = new PostgresServer(folder, TestPorts.Next());
        try
        {
            if (Environment.UserName == "root")
                await RunAsync(["chown", "postgres", folder], folder);
            await RunAsync(
                [.. AsPostgres(), Path.Combine(Binaries()!, "initdb"), "-D", Path.Combine(folder, "data"), "-U", "postgres", "-A", "trust", "-E", "UTF8",
                    "--locale=C", "--no-sync"],
                folder);
            await server.ResumeAsync();
            return server;
        }
        catch
        {
            await server.DisposeAsync();
            throw;
        }
    }

    /// <summary>Starts it (again) and waits until it takes connections.</summary>
    public async Task ResumeAsync()
    {
        _process = ChildProcess.Start(
            [
                .. AsPostgres(), Path.Combine(Binaries()!, "postgres"), "-D", Path.Combine(_folder, "data"), "-h", "127.0.0.1",
                "-p", Port.ToString(CultureInfo.InvariantCulture), "-k", _folder, "-F",
            ],
            workingFolder: _folder);
        string[] ask =
        [
            Path.Combine(Binaries()!, "pg_isready"), "-h", "127.0.0.1", "-p", Port.ToString(CultureInfo.InvariantCulture), "-U", "postgres", "-t", "5",
        ];
        var watch = Stopwatch.StartNew();
        while ((await ChildProcess.RunAsync(ask, s_timeout)).ExitCode != 0)
        {
            if (_process.HasExited || watch.Elapsed > s_timeout)
                throw new InvalidOperationException($"PostgreSQL does not take connections:\n{Output}");
            await Task.Delay(50);
        }
    }

    /// <summary>Ends it at once, as a crash would; its data stay.</summary>
    public async Task StopAsync()
    {
        if (_process is { } process)
        {
            process.Kill();
            await process.WaitForExitAsync(s_timeout);
            process.Dispose();
            _process = null;
            var watch = Stopwatch.StartNew();
            while (await AcceptsAsync())
            {
                if (watch.Elapsed > s_timeout)
                    throw new TimeoutException("PostgreSQL still takes connections");
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        await StopAsync();
        try
        {
            Directory.Delete(_folder, recursive: true);
        }
        catch (IOException)
        {
            // A process of PostgreSQL that is just ending may still write; the folder is a temporary one.
        }
    }

    private static string? Binaries() =>
        Directory.Exists("/usr/lib/postgresql")
            ? Directory.GetDirectories("/usr/lib/postgresql").Select(version => Path.Combine(version, "bin")).Order()
                .LastOrDefault(folder => File.Exists(Path.Combine(folder, "initdb")) && File.Exists(Path.Combine(folder, "postgres")))
            : null;

    private static string? Setpriv =>
        File.Exists("/usr/bin/setpriv") ? "/usr/bin/setpriv" : File.Exists("/bin/setpriv") ? "/bin/setpriv" : null;

    // setpriv replaces itself, so that the process that we started is PostgreSQL.
    private static string[] AsPostgres() =>
        Environment.UserName == "root" ? [Setpriv!, "--reuid", "postgres", "--regid", "postgres", "--clear-groups"] : [];

    private static async Task RunAsync(string[] command, string folder)
    {
        (int exitCode, string printed, _) = await ChildProcess.RunAsync(command, s_timeout, workingFolder: folder);
        if (exitCode != 0)
            throw new InvalidOperationException($"$ {string.Join(' ', command)}\n{printed}");
    }

    private async Task<bool> AcceptsAsync()
    {
        try
        {
            using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            await socket.ConnectAsync(new IPEndPoint(IPAddress.Loopback, Port));
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }
}
