using System.Diagnostics;

namespace OrleansCache.Silo.Hosting;

/// <summary>
/// -d. A runtime with threads cannot fork, so the command starts itself once more and stays until the child serves or has failed: then it ends with the
/// child's fate, so that, other than with memcached, a port in use is seen by the user who started the daemon. Until then the child's standard error is a pipe
/// to the parent, which passes the lines on; a line with nothing but the marker says that the child serves.
/// </summary>
internal static class Daemon
{
    /// <summary>The variable that tells the child, and the line by which it says that it serves.</summary>
    public const string Marker = "ORLEANSCACHE_DAEMON_CHILD";

    public static bool IsChild { get; } = Environment.GetEnvironmentVariable(Marker) == "1";

    /// <summary>In the parent.</summary>
    public static int Launch(string[] arguments)
    {
        if (OperatingSystem.IsWindows())
            throw StartException.Usage("-d, --daemon is not supported on this system: run the program as a service");
        // The runtime keeps duplicates of its standard streams for good: inherited, they would hold a pipe of our caller open as long as the daemon lives.
        var start = new ProcessStartInfo(Environment.ProcessPath!)
        {
            RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true,
        };

        // `dotnet OrleansCache.dll` and the program's own executable are both possible.
        if (string.Equals(Path.GetFileNameWithoutExtension(Environment.ProcessPath), "dotnet", StringComparison.OrdinalIgnoreCase))
            start.ArgumentList.Add(Path.Combine(AppContext.BaseDirectory, "OrleansCache.dll"));
        foreach (string argument in arguments)
            start.ArgumentList.Add(argument);
        start.Environment[Marker] = "1";
        using Process child = Process.Start(start) ?? throw new StartException(ExitCode.OperatingSystem, "failed to daemon() in order to daemonize");
        child.StandardInput.Close();
        while (child.StandardError.ReadLine() is { } line)
        {
            if (line == Marker)
                return ExitCode.Ok;
            Console.Error.WriteLine(line);
        }

        child.WaitForExit();
        return child.ExitCode == ExitCode.Ok ? ExitCode.Software : child.ExitCode;
    }

    /// <summary>In the child, as soon as it serves.</summary>
    public static void Detach()
    {
        if (!IsChild)
            return;
        Console.Error.WriteLine(Marker);
        Console.SetError(TextWriter.Null);
        Console.SetOut(TextWriter.Null);
        _ = Posix.NewSession();
        using var nothing = new FileStream("/dev/null", FileMode.Open, FileAccess.ReadWrite);
        int descriptor = (int)nothing.SafeFileHandle.DangerousGetHandle();
        for (int stream = 0; stream <= 2; stream++)
            _ = Posix.Duplicate(descriptor, stream);
    }
}
