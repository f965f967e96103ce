using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace OrleansCache.HitRatio.Replay;

/// <summary>A cache server that this program started, listening on loopback. Dispose ends it; so does the end of this program.</summary>
public sealed class ServerProcess : IDisposable
{
    private const int StartTimeoutMilliseconds = 30_000;
    private const int OutputCharactersMax = 4_000;

    private readonly Process _process;
    private readonly Queue<string> _outputLines = new();

    private ServerProcess(IReadOnlyList<string> command, int port)
    {
        EndPoint = new IPEndPoint(IPAddress.Loopback, port);
        if (IsListening())
            throw new InvalidOperationException($"port {port} is taken");
        _process = new Process
        {
            StartInfo = new ProcessStartInfo(command[0], command.Skip(1)) { RedirectStandardOutput = true, RedirectStandardError = true },
        };
        _process.OutputDataReceived += (_, line) => Keep(line.Data);
        _process.ErrorDataReceived += (_, line) => Keep(line.Data);
        _process.Start();
        AppDomain.CurrentDomain.ProcessExit += OnExit;
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
    }

    public IPEndPoint EndPoint { get; }

    public int Pid => _process.Id;

    /// <summary>
    /// Starts memcached (any executable), or a build of OrleansCache (a .dll, run by dotnet), with the same memory and two threads.
    /// Returns when it accepts connections.
    /// </summary>
    public static ServerProcess Start(string path, string extraOptions, int memoryMiB, int port)
    {
        bool isOurs = path.EndsWith(".dll", StringComparison.Ordinal);
        string[] program = isOurs ? ["dotnet", path] : [path];
        // memcached refuses to run as root without being told a user.
        string[] user = !isOurs && Environment.UserName == "root" ? ["-u", "root"] : [];
        string memory = memoryMiB.ToString(CultureInfo.InvariantCulture);
        string[] options = ["-m", memory, "-p", port.ToString(CultureInfo.InvariantCulture), "-l", "127.0.0.1", "-U", "0", "-t", "2", "-c", "1024"];
        var server = new ServerProcess([.. program, .. options, .. user, .. extraOptions.Split(' ', StringSplitOptions.RemoveEmptyEntries)], port);
        try
        {
            server.WaitUntilListening();
            return server;
        }
        catch
        {
            server.Dispose();
            throw;
        }
    }

    public void Dispose()
    {
        AppDomain.CurrentDomain.ProcessExit -= OnExit;
        OnExit(null, EventArgs.Empty);
        _process.WaitForExit();
        _process.Dispose();
    }

    private void OnExit(object? sender, EventArgs e)
    {
        if (!_process.HasExited)
            _process.Kill();
    }

    private void WaitUntilListening()
    {
        long start = Stopwatch.GetTimestamp();
        while (!IsListening())
        {
            // The only sign of a server that is ready, of whatever make, is that it accepts; so it is asked again and again.
            if (_process.WaitForExit(50))
                throw new InvalidOperationException($"the server ended with {_process.ExitCode}: {Output()}");
            if (Stopwatch.GetElapsedTime(start).TotalMilliseconds > StartTimeoutMilliseconds)
                throw new TimeoutException($"the server does not accept on {EndPoint}: {Output()}");
        }
    }

    private bool IsListening()
    {
        using var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
        try
        {
            socket.Connect(EndPoint);
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    private void Keep(string? line)
    {
        if (line is null)
            return;
        lock (_outputLines)
        {
            _outputLines.Enqueue(line);
            while (_outputLines.Sum(kept => kept.Length) > OutputCharactersMax)
                _outputLines.Dequeue();
        }
    }

    private string Output()
    {
        lock (_outputLines)
            return string.Join(Environment.NewLine, _outputLines);
    }
}
