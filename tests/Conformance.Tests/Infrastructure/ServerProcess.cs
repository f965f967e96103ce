using System.Diagnostics;
using System.Net;
using System.Net.Sockets;

namespace OrleansCache.Conformance;

/// <summary>
/// One running server: OrleansCache or memcached on a port of 127.0.0.1. Started means that it answered `version`. Disposing ends it, and complains when
/// it had died before.
/// </summary>
public sealed class ServerProcess : IAsyncDisposable
{
    private static readonly TimeSpan s_startTimeout = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan s_stopTimeout = TimeSpan.FromSeconds(10);

    private readonly ChildProcess _process;
    private bool _endedByTest;

    private ServerProcess(ChildProcess process, int port)
    {
        _process = process;
        Port = port;
    }

    public int Port { get; }

    public int Id => _process.Id;

    /// <summary>What the server printed, for the messages of failing tests.</summary>
    public string Output => _process.Output;

    public bool HasExited => _process.HasExited;

    public long ResidentBytes => _process.ResidentBytes();

    public long PeakResidentBytes => _process.PeakResidentBytes();

    /// <summary>Starts the server under test with these memcached options.</summary>
    public static Task<ServerProcess> StartAsync(params string[] arguments) =>
        StartAsync(ServerUnderTest.IsMemcached ? ServerKind.Memcached : ServerKind.OrleansCache, arguments);

    /// <summary>Starts a server of the given kind and waits until it answers.</summary>
    public static Task<ServerProcess> StartAsync(ServerKind kind, params string[] arguments) => StartAsync(kind, null, isGuarded: false, arguments);

    /// <summary>
    /// Starts the server under test with options by which it wants TLS or a login, and waits until it accepts connections: it would not answer everybody.
    /// </summary>
    public static Task<ServerProcess> StartGuardedAsync(params string[] arguments) =>
        StartGuardedAsync(ServerUnderTest.IsMemcached ? ServerKind.Memcached : ServerKind.OrleansCache, null, arguments);

    /// <summary>The same for a server of the given kind, with further variables in its environment.</summary>
    public static Task<ServerProcess> StartGuardedAsync(ServerKind kind, IReadOnlyDictionary<string, string>? environment, params string[] arguments) =>
        StartAsync(kind, environment, isGuarded: true, arguments);

    private static async Task<ServerProcess> StartAsync(ServerKind kind, IReadOnlyDictionary<string, string>? environment, bool isGuarded, string[] arguments)
    {
        for (int attempt = 1; ; attempt++)
        {
            int port = TestPorts.Next();
            ServerProcess server = Launch(ServerUnderTest.CommandLine(kind, port, arguments), port, environment);
            try
            {
                if (isGuarded)
                    await server.WaitUntilAcceptingAsync(s_startTimeout);
                else
                    await server.WaitUntilServingAsync(s_startTimeout);
                return server;
            }
            catch (ServerFailedException) when (attempt < 3 && server.Output.Contains("in use", StringComparison.OrdinalIgnoreCase))
            {
                server._process.Dispose(); // Another process took the port between our probe and the server's bind.
            }
            catch
            {
                server._process.Dispose();
                throw;
            }
        }
    }

    /// <summary>Starts a command line without waiting for anything. For starts that must fail, and for silos that are started side by side.</summary>
    public static ServerProcess Launch(IReadOnlyList<string> command, int port, IReadOnlyDictionary<string, string>? environment = null)
    {
        if (!ServerUnderTest.IsMemcached && !File.Exists(ServerUnderTest.OrleansCachePath))
            throw new FileNotFoundException($"The server is not built: {ServerUnderTest.OrleansCachePath}");
        return new ServerProcess(ChildProcess.Start(command, environment), port);
    }

    /// <summary>Waits until the server accepts a connection and answers `version`.</summary>
    public async Task WaitUntilServingAsync(TimeSpan timeout)
    {
        await WaitUntilAcceptingAsync(timeout);
        using RawClient client = Connect();
        Assert.StartsWith("VERSION ", await client.CommandAsync("version"), StringComparison.Ordinal);
    }

    private async Task WaitUntilAcceptingAsync(TimeSpan timeout)
    {
        var watch = Stopwatch.StartNew();
        while (true)
        {
            if (_process.HasExited)
            {
                await _process.WaitForExitAsync(s_stopTimeout); // Collects the rest of the output.
                _endedByTest = true;
                throw new ServerFailedException($"The server ended instead of serving:\n{Output}");
            }
            try
            {
                using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
                await socket.ConnectAsync(new IPEndPoint(IPAddress.Loopback, Port));
                break;
            }
            catch (SocketException error)
            {
                if (watch.Elapsed > timeout)
                    throw new ServerFailedException(
                        $"The server does not accept connections after {timeout.TotalSeconds} s ({error.SocketErrorCode}):\n{Output}");
                // Nobody tells when a port opens: ask again shortly.
                await Task.Delay(10);
            }
        }
    }

    /// <summary>Opens a raw connection.</summary>
    public RawClient Connect() => new(this);

    /// <summary>Sends SIGTERM and waits for the end. Returns the exit code.</summary>
    public Task<int> TerminateAsync() => TerminateAsync(s_stopTimeout);

    /// <summary>Sends SIGTERM and waits that long for the end. Returns the exit code.</summary>
    public Task<int> TerminateAsync(TimeSpan timeout)
    {
        _endedByTest = true;
        _process.Terminate();
        return _process.WaitForExitAsync(timeout);
    }

    /// <summary>Waits for a server that is expected to end by itself. Returns the exit code.</summary>
    public Task<int> WaitForExitAsync(TimeSpan timeout)
    {
        _endedByTest = true;
        return _process.WaitForExitAsync(timeout);
    }

    /// <summary>Freezes the process (SIGSTOP).</summary>
    public void Freeze() => _process.Freeze();

    /// <summary>Lets a frozen process go on (SIGCONT).</summary>
    public void Thaw() => _process.Thaw();

    /// <summary>Sends SIGKILL and waits for the end.</summary>
    public Task KillAsync()
    {
        _endedByTest = true;
        _process.Kill();
        return _process.WaitForExitAsync(s_stopTimeout);
    }

    /// <summary>True when disposing may kill instead of asking to stop: for tests that are not about stopping.</summary>
    public bool KillOnDispose { get; set; }

    public async ValueTask DisposeAsync()
    {
        bool died = _process.HasExited && !_endedByTest;
        string output = Output;
        try
        {
            if (!_process.HasExited)
            {
                if (KillOnDispose)
                    _process.Kill();
                else
                    _process.Terminate();
                await _process.WaitForExitAsync(s_stopTimeout);
            }
        }
        finally
        {
            _process.Dispose();
        }
        if (died)
            throw new ServerFailedException($"The server died during the test:\n{output}");
    }
}

/// <summary>The server did not start, or ended by itself. The message carries its output.</summary>
public sealed class ServerFailedException(string message) : Exception(message);
