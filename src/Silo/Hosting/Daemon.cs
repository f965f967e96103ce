using System.Diagnostics;

namespace OrleansCache.Silo.Hosting;

/// <summary>
/// -d. A runtime with threads cannot fork, so the command starts itself once more and stays until the child serves or has failed: then it ends with the
/// child's fate, so that, other than with memcached, a port in use is seen by whoever started the daemon. The child says that it serves by detaching from the
/// standard streams: the pipe to its parent ends.
/// </summary>
internal static class Daemon
{
    private const string Marker = "ORLEANSCACHE_DAEMON_CHILD";

    public static bool IsChild { get; } = Environment.GetEnvironmentVariable(Marker) == "1";

    /// <summary>In the parent.</summary>
    public static int Launch(string[] arguments)
    {
        if (OperatingSystem.IsWindows())
            throw StartException.Usage("-d, --daemon is not supported on this system: run the program as a service");
        var start = new ProcessStartInfo(Environment.ProcessPath!)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };

        // `dotnet OrleansCache.dll` and the program's own executable are both possible.
        if (string.Equals(Path.GetFileNameWithoutExtension(Environment.ProcessPath), "dotnet", StringComparison.OrdinalIgnoreCase))
            start.ArgumentList.Add(typeof(Daemon).Assembly.Location);
        foreach (string argument in arguments)
            start.ArgumentList.Add(argument);
        start.Environment[Marker] = "1";
        using Process child = Process.Start(start) ?? throw new StartException(ExitCode.OperatingSystem, "failed to daemon() in order to daemonize");
        child.StandardInput.Close();
        child.ErrorDataReceived += (_, line) =>
        {
            if (line.Data is not null)
                Console.Error.WriteLine(line.Data);
        };
        child.BeginErrorReadLine();
        bool serves = child.StandardOutput.ReadToEnd().Contains(Marker, StringComparison.Ordinal);
        if (serves)
            return ExitCode.Ok;
        child.WaitForExit();
        return child.ExitCode == ExitCode.Ok ? ExitCode.Software : child.ExitCode;
    }

    /// <summary>In the child, as soon as it serves.</summary>
    public static void Detach()
    {
        if (!IsChild)
            return;
        Console.Out.WriteLine(Marker);
        Console.Out.Flush();
        _ = Posix.NewSession();
        using var nothing = new FileStream("/dev/null", FileMode.Open, FileAccess.ReadWrite);
        int descriptor = (int)nothing.SafeFileHandle.DangerousGetHandle();
        for (int stream = 0; stream <= 2; stream++)
            _ = Posix.Duplicate(descriptor, stream);
    }
}
