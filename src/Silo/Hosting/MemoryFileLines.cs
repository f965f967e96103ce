using System.Globalization;
using OrleansCache.Storage;

namespace OrleansCache.Silo.Hosting;

/// <summary>What a person is told about the memory file (-e) at the start.</summary>
internal static class MemoryFileLines
{
    /// <summary>A sign of life while a large file is read.</summary>
    public static void WriteProgress(double share, long items) =>
        Console.Error.WriteLine(string.Create(CultureInfo.InvariantCulture, $"orleanscache: reading the memory file: {share:P0}, {items:N0} items"));

    /// <summary>Of a silo: what its cluster has made of the file.</summary>
    public static void WriteDecision(string? path, int restored, int kept) =>
        Console.Error.WriteLine(restored == 0
            ? $"orleanscache: the memory file {path} begins empty: the cluster lives, or has newer items"
            : string.Create(CultureInfo.InvariantCulture,
                $"orleanscache: the cluster goes on from memory files: {restored} of the {kept} partitions in {path} are served again"));

    public static void Write(string? path, string? refusal, MemoryFileReport? report)
    {
        if (refusal is not null)
            Console.Error.WriteLine($"orleanscache: the memory file {path} begins empty: {refusal}");
        if (report is null)
            return;
        string left = report.IsComplete ? "" : "; the rest was not looked at, because the time was over";
        Console.Error.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"orleanscache: {report.Items:N0} items from the memory file in {report.Seconds:F2} s; left out: {report.Damaged:N0} damaged, "
                + $"{report.Expired:N0} expired or flushed{left}"));
    }
}
