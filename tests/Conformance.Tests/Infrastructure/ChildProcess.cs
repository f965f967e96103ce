using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;

namespace OrleansCache.Conformance;

/// <summary>
/// A program that a test started: its output is kept (the newest lines only), and it is ended whatever happens to the test, at the latest when the test
/// process exits.
/// </summary>
public sealed partial class ChildProcess : IDisposable
{
    private const int OutputLinesMax = 300;
    private const int SignalTerminate = 15;
    private const int SignalStop = 19;
    private const int SignalContinue = 18;

    private static readonly ConcurrentDictionary<int, Process> s_live = new();
    private static readonly Lazy<string> s_stateFolder = new(() => Directory.CreateTempSubdirectory("orleanscache-test-state-").FullName);

    private readonly Process _process;
    private readonly Queue<string> _output = new();
    private readonly string _commandLine;

    static ChildProcess() => AppDomain.CurrentDomain.ProcessExit += (_, _) =>
    {
        foreach (Process process in s_live.Values)
            KillQuietly(process);
        try
        {
            if (s_stateFolder.IsValueCreated)
                Directory.Delete(s_stateFolder.Value, recursive: true);
        }
        catch (IOException)
        {
            // A process that has just been killed may still have a file open.
        }
    };

    private ChildProcess(Process process, string commandLine)
    {
        _process = process;
        _commandLine = commandLine;
        Id = process.Id;
    }

    /// <summary>The process's number. It stays readable after the process has ended.</summary>
    public int Id { get; }

    public bool HasExited => _process.HasExited;

    public int ExitCode => _process.ExitCode;

    /// <summary>The command line and the newest lines of what the program printed, both streams together.</summary>
    public string Output
    {
        get
        {
            lock (_output)
            {
                return $"$ {_commandLine}  (pid {Id}{(HasExited ? string.Create(CultureInfo.InvariantCulture, $", exit code {ExitCode}") : "")})\n"
                    + string.Join('\n', _output);
            }
        }
    }

    /// <summary>What the program printed so far, without the command line.</summary>
    public string Printed
    {
        get
        {
            lock (_output)
                return string.Join('\n', _output);
        }
    }

    public static ChildProcess Start(IReadOnlyList<string> command, IReadOnlyDictionary<string, string>? environment = null, string? workingFolder = null)
    {
        var start = new ProcessStartInfo(command[0])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            RedirectStandardInput = true,
            UseShellExecute = false,
            WorkingDirectory = workingFolder ?? Path.GetTempPath(),
        };
        foreach (string argument in command.Skip(1))
            start.ArgumentList.Add(argument);
        // What a silo keeps when nobody says where belongs to nobody's home.
        start.Environment["XDG_STATE_HOME"] = s_stateFolder.Value;
        start.Environment.Remove("STATE_DIRECTORY");
        foreach ((string name, string value) in environment ?? new Dictionary<string, string>())
            start.Environment[name] = value;

        var process = new Process { StartInfo = start };
        process.Start();
        process.StandardInput.Close();
        s_live[process.Id] = process;
        var child = new ChildProcess(process, string.Join(' ', command));
        process.OutputDataReceived += (_, line) => child.Keep(line.Data);
        process.ErrorDataReceived += (_, line) => child.Keep(line.Data);
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        return child;
    }

    /// <summary>Runs a program to its end. A program that does not end within the time is killed and the call throws with its output.</summary>
    public static async Task<(int ExitCode, string Printed, TimeSpan Took)> RunAsync(
        IReadOnlyList<string> command, TimeSpan timeout, IReadOnlyDictionary<string, string>? environment = null, string? workingFolder = null)
    {
        using ChildProcess child = Start(command, environment, workingFolder);
        var watch = Stopwatch.StartNew();
        int exitCode = await child.WaitForExitAsync(timeout);
        return (exitCode, child.Printed, watch.Elapsed);
    }

    /// <summary>Waits for the end of the process and of its output; throws with the output when the time is over.</summary>
    public async Task<int> WaitForExitAsync(TimeSpan timeout)
    {
        using var expiry = new CancellationTokenSource(timeout);
        try
        {
            await _process.WaitForExitAsync(expiry.Token);
        }
        catch (OperationCanceledException)
        {
            throw new TimeoutException($"Not ended within {timeout.TotalSeconds} s:\n{Output}");
        }
        return ExitCode;
    }

    /// <summary>Asks the process to end (SIGTERM).</summary>
    public void Terminate() => Signal(SignalTerminate);

    /// <summary>Freezes the process (SIGSTOP).</summary>
    public void Freeze() => Signal(SignalStop);

    /// <summary>Lets a frozen process go on (SIGCONT).</summary>
    public void Thaw() => Signal(SignalContinue);

    /// <summary>Ends the process at once (SIGKILL).</summary>
    public void Kill() => KillQuietly(_process);

    /// <summary>Resident memory now, from /proc.</summary>
    public long ResidentBytes() => StatusBytes("VmRSS:");

    /// <summary>The most resident memory that the process ever had, from /proc.</summary>
    public long PeakResidentBytes() => StatusBytes("VmHWM:");

    public void Dispose()
    {
        KillQuietly(_process);
        _process.WaitForExit(5000);
        s_live.TryRemove(Id, out _);
        _process.Dispose();
    }

    private long StatusBytes(string name)
    {
        foreach (string line in File.ReadLines($"/proc/{Id}/status"))
        {
            if (line.StartsWith(name, StringComparison.Ordinal))
                return long.Parse(line.AsSpan(name.Length, line.Length - name.Length - " kB".Length).Trim(), CultureInfo.InvariantCulture) * 1024;
        }
        throw new InvalidOperationException($"No {name} for process {Id}:\n{Output}");
    }

    private static void KillQuietly(Process process)
    {
        try
        {
            // The whole tree: a start through a wrapper (runuser, prlimit) must not leave the program behind.
            process.Kill(entireProcessTree: true);
        }
        catch (InvalidOperationException)
        {
            // Ended already.
        }
    }

    private void Keep(string? line)
    {
        if (line is null)
            return;
        lock (_output)
        {
            if (_output.Count == OutputLinesMax)
                _output.Dequeue();
            _output.Enqueue(line);
        }
    }

    private void Signal(int signal)
    {
        if (!HasExited && SendSignal(Id, signal) != 0)
            throw new InvalidOperationException($"Signal {signal} to process {Id}: error {Marshal.GetLastPInvokeError()}\n{Output}");
    }

    [LibraryImport("libc", EntryPoint = "kill", SetLastError = true)]
    private static partial int SendSignal(int processId, int signal);
}
