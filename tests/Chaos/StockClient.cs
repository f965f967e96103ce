using System.Globalization;
using OrleansCache.Conformance;

namespace OrleansCache.Chaos;

/// <summary>
/// Stock pymemcache beside the clients of our own, where Python has it: a program of its own that checks its values and says at the end what it saw.
/// </summary>
internal sealed class StockClient
{
    private static readonly TimeSpan s_probeMax = TimeSpan.FromSeconds(20);
    private static readonly TimeSpan s_endMax = TimeSpan.FromSeconds(60);

    private readonly ChildProcess _process;
    private readonly string _gatewaysFile;

    private StockClient(ChildProcess process, string name, string gatewaysFile)
    {
        _process = process;
        _gatewaysFile = gatewaysFile;
        Name = name;
    }

    public string Name { get; }

    /// <summary>Null if it is not installed.</summary>
    public static StockClient? Start(Fleet fleet)
    {
        string python = Environment.GetEnvironmentVariable("ORLEANSCACHE_PYTHON") is { Length: > 0 } named ? named : "/usr/bin/python3";
        try
        {
            (int exitCode, string printed, _) = ChildProcess.RunAsync(
                [python, "-c", "import pymemcache; print('pymemcache', pymemcache.__version__)"], s_probeMax).GetAwaiter().GetResult();
            if (exitCode != 0)
                return null;
            string file = fleet.WriteGateways();
            var process = ChildProcess.Start([python, Path.Combine(AppContext.BaseDirectory, "pymemcache_checker.py"), file]);
            return new StockClient(process, printed.Trim(), file);
        }
        catch (Exception exception) when (exception is System.ComponentModel.Win32Exception or TimeoutException)
        {
            return null;
        }
    }

    /// <summary>Returns whether it found nothing wrong.</summary>
    public async Task<bool> StopAsync()
    {
        File.Delete(_gatewaysFile);
        int exitCode = await _process.WaitForExitAsync(s_endMax);
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{Name}: {_process.Printed.Trim()}"));
        _process.Dispose();
        return exitCode == 0;
    }
}
