using System.Globalization;

namespace OrleansCache.Silo.Hosting;

/// <summary>-P: written under a temporary name and moved into place, so that a reader never finds it empty; removed at the end if it is still ours.</summary>
internal sealed class PidFile : IDisposable
{
    private readonly string _path;

    private PidFile(string path) => _path = path;

    /// <summary>Writes the file. memcached only warns when it cannot; so does this, because the cache itself is fine.</summary>
    public static PidFile? Write(string path)
    {
        try
        {
            if (File.Exists(path) && int.TryParse(File.ReadAllText(path).Trim(), CultureInfo.InvariantCulture, out int old) && IsRunning(old))
                Console.Error.WriteLine($"WARNING: The pid file contained the following (running) pid: {old}");
            string temporary = path + ".tmp";
            File.WriteAllText(temporary, Environment.ProcessId.ToString(CultureInfo.InvariantCulture) + "\n");
            File.Move(temporary, path, overwrite: true);
            return new PidFile(path);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or ArgumentException)
        {
            Console.Error.WriteLine($"WARNING: Could not write the pid file {path}: {exception.Message}");
            return null;
        }
    }

    public void Dispose()
    {
        try
        {
            if (File.ReadAllText(_path).Trim() == Environment.ProcessId.ToString(CultureInfo.InvariantCulture))
                File.Delete(_path);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            // Somebody else has taken the file away or over: nothing of ours is left to remove.
        }
    }

    private static bool IsRunning(int processId)
    {
        if (processId == Environment.ProcessId)
            return false;
        try
        {
            using var process = System.Diagnostics.Process.GetProcessById(processId);
            return !process.HasExited;
        }
        catch (Exception exception) when (exception is ArgumentException or InvalidOperationException)
        {
            return false;
        }
    }
}
