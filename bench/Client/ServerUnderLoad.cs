using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace OrleansCache.ClientBenchmark;

/// <summary>A server process on a free port of 127.0.0.1, with its CPU time.</summary>
internal sealed class ServerUnderLoad : IDisposable
{
    private readonly Process _process;

    private ServerUnderLoad(Process process, int port)
    {
        _process = process;
        Port = port;
    }

    public int Port { get; }

    public TimeSpan Processor
    {
        get
        {
            _process.Refresh();
            return _process.TotalProcessorTime;
        }
    }

    public static Task<ServerUnderLoad> StartRedisAsync(int port) =>
        StartAsync(port, "redis-server", "--port", Text(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no");

    public static Task<ServerUnderLoad> StartOrleansCacheAsync(int port)
    {
        string path = Path.GetFullPath(Path.Combine(AppContext.BaseDirectory, "..", "..", "OrleansCache.Silo", "release", "OrleansCache.dll"));
        return StartAsync(port, "dotnet", path, "serve", "-l", "127.0.0.1", "-p", Text(port), "-m", "256");
    }

    public static Task<ServerUnderLoad> StartMemcachedAsync(int port) =>
        StartAsync(port, Environment.GetEnvironmentVariable("MEMCACHED")
            ?? "memcached", "-l", "127.0.0.1", "-p", Text(port), "-m", "256", "-u", Environment.UserName == "root" ? "nobody" : Environment.UserName);

    public void Dispose()
    {
        if (!_process.HasExited)
            _process.Kill();
        _process.WaitForExit();
        _process.Dispose();
    }

    private static async Task<ServerUnderLoad> StartAsync(int port, string program, params string[] arguments)
    {
        var start = new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        Process process = Process.Start(start) ?? throw new InvalidOperationException($"{program} does not start");

        // Also when the benchmark fails: nothing is left running.
        AppDomain.CurrentDomain.UnhandledException += (_, _) => process.Kill();
        AppDomain.CurrentDomain.ProcessExit += (_, _) => KillQuietly(process);
        process.OutputDataReceived += static (_, _) => { };
        process.ErrorDataReceived += static (_, _) => { };
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        var server = new ServerUnderLoad(process, port);
        var watch = Stopwatch.StartNew();
        while (true)
        {
            using var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
            try
            {
                await socket.ConnectAsync(IPAddress.Loopback, port);
                return server;
            }
            catch (SocketException) when (watch.Elapsed < TimeSpan.FromSeconds(20) && !process.HasExited)
            {
                await Task.Delay(20);
            }
        }
    }

    private static void KillQuietly(Process process)
    {
        try
        {
            process.Kill();
        }
        catch (InvalidOperationException)
        {
            // It has ended, or has been disposed of.
        }
    }

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
}
