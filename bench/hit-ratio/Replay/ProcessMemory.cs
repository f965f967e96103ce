using System.Globalization;

namespace OrleansCache.HitRatio.Replay;

/// <summary>The resident memory of a process, as Linux counts it.</summary>
public static class ProcessMemory
{
    public static double RssMiB(int pid)
    {
        string line = File.ReadLines($"/proc/{pid}/status").First(line => line.StartsWith("VmRSS:", StringComparison.Ordinal));
        return double.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries)[^2], CultureInfo.InvariantCulture) / 1024;
    }
}
