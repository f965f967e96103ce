using System.Globalization;
using System.Text;

namespace OrleansCache.Chaos;

/// <summary>Figures for people.</summary>
internal static class Report
{
    /// <summary>A wait that a client would notice; what takes less is not told apart.</summary>
    private const double NoticedMilliseconds = 100;

    public static string LineOf(int number, double nowMilliseconds, FaultResult result) => string.Create(CultureInfo.InvariantCulture,
        $"{nowMilliseconds / 1000,7:f1} s  {number,3}  {result.What,-28}  affected {Median(result.Affected),5:f0} / {Worst(result.Affected),5:f0} ms   "
            + $"others read {Worst(result.OtherReads),5:f0}, write {Worst(result.OtherWrites),5:f0} ms   "
            + $"errors {result.Refusals}, cut {result.CutConnections}, missing {result.Misses}   whole after {result.RepairedSeconds:f1} s");

    public static string TableOf(IReadOnlyList<FaultResult> results)
    {
        var table = new StringBuilder();
        table.Append("                     affected keys, ms             other keys, ms: longest read   longest write");
        table.AppendLine("                        cut connec-    whole again, s");
        table.Append("fault        times   keys  median    p95   worst    median   worst   >100   median   worst   >100");
        table.AppendLine("   errors    tions  missing   median  worst");
        foreach (IGrouping<FaultKind, FaultResult> kind in results.GroupBy(static result => result.Kind).OrderBy(static group => group.Key))
        {
            double[] affected = [.. kind.SelectMany(static result => result.Affected)];
            double[] reads = [.. kind.SelectMany(static result => result.OtherReads)];
            double[] writes = [.. kind.SelectMany(static result => result.OtherWrites)];
            double[] repaired = [.. kind.Select(static result => result.RepairedSeconds)];
            table.AppendLine(string.Create(CultureInfo.InvariantCulture,
                $"{kind.Key.Name(),-12} {kind.Count(),5}  {affected.Length,5}  {Median(affected),6:f0} {At(affected, 0.95),6:f0}  {Worst(affected),6:f0}    "
                    + $"{Median(reads),6:f0}  {Worst(reads),6:f0}  {Noticed(reads)}   {Median(writes),6:f0}  {Worst(writes),6:f0}  {Noticed(writes)}   "
                    + $"{kind.Sum(static result => result.Refusals),6}  {kind.Sum(static result => result.CutConnections),7}  "
                    + $"{kind.Sum(static result => result.Misses),7}   {Median(repaired),6:f1} {Worst(repaired),6:f1}"));
        }

        return table.ToString();
    }

    public static string SummaryOf(Findings findings) => string.Create(CultureInfo.InvariantCulture,
        $"{findings.Operations} operations; acknowledged writes lost {findings.Lost}, items missing {findings.Misses}, stale values {findings.Stale}, "
            + $"foreign values {findings.Foreign}; errors answered {findings.Refusals}, connections cut {findings.Cuts}, "
            + $"unanswered writes that took effect late {findings.Late}");

    private static double Median(IReadOnlyCollection<double> values) => At(values, 0.5);

    private static double Worst(IReadOnlyCollection<double> values) => values.Count == 0 ? 0 : values.Max();

    private static double At(IReadOnlyCollection<double> values, double share)
    {
        double[] sorted = [.. values.Order()];
        return sorted.Length == 0 ? 0 : sorted[Math.Min(sorted.Length - 1, (int)(share * sorted.Length))];
    }

    private static string Noticed(double[] values) => string.Create(CultureInfo.InvariantCulture,
        $"{(values.Length == 0 ? 0 : 100.0 * values.Count(static value => value > NoticedMilliseconds) / values.Length),4:f0}%");
}
