using System.Globalization;
using System.Text;

namespace OrleansCache.Chaos;

/// <summary>Figures for people.</summary>
internal static class Report
{
    /// <summary>A wait that a client would notice; what takes less is not told apart.</summary>
    private const double NoticedMilliseconds = 100;

    public static string LineOf(int number, double nowMilliseconds, FaultResult result)
    {
        string line = string.Create(CultureInfo.InvariantCulture,
            $"{nowMilliseconds / 1000,7:f1} s  {number,3}  {result.What,-28}  affected {Median(result.Affected),5:f0} / {Worst(result.Affected),5:f0} ms   "
                + $"others read {Worst(result.OtherReads),5:f0}, write {Worst(result.OtherWrites),5:f0} ms   "
                + $"errors {result.Refusals}, cut {result.CutConnections}, missing {result.Misses}   whole after {result.RepairedSeconds:f1} s");
        return result.Network is { } network ? $"{line}\n{LineOf(network)}" : line;
    }

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

    /// <summary>Empty if no link was injured.</summary>
    public static string NetworkTableOf(IReadOnlyList<FaultResult> results)
    {
        var table = new StringBuilder();
        table.AppendLine();
        table.AppendLine("             whole without, s   at the silos concerned: last value, s  old values  until, s   errors     cut   errors elsewhere,");
        table.AppendLine("fault         median   worst                                  (worst)               (worst)                     of others' keys");
        foreach (IGrouping<FaultKind, FaultResult> kind in
            results.Where(static result => result.Network is not null).GroupBy(static result => result.Kind).OrderBy(static group => group.Key))
        {
            NetworkResult[] networks = [.. kind.Select(static result => result.Network!)];
            double[] without = [.. networks.Select(static network => network.WholeWithoutSeconds).OfType<double>()];
            table.AppendLine(string.Create(CultureInfo.InvariantCulture,
                $"{kind.Key.Name(),-12}  {Median(without),6:f1}  {Worst(without),6:f1}  "
                    + $"{networks.Max(static network => network.LastAnswerSeconds),39:f1}  {networks.Sum(static network => network.OldValues),10}  "
                    + $"{networks.Max(static network => network.LastOldSeconds),8:f1}  {networks.Sum(static network => network.Refusals),7}  "
                    + $"{networks.Sum(static network => network.CutConnections),6}   {networks.Sum(static network => network.ForeignRefusals),17}"));
        }

        return table.ToString();
    }

    private static string LineOf(NetworkResult network) => string.Create(CultureInfo.InvariantCulture,
        $"               {(network.WholeWithoutSeconds is { } seconds ? $"others whole without it after {seconds:f1} s, " : "")}"
            + $"{network.Packets} packets lost, errors of others' keys {network.ForeignRefusals}; there: last value after {network.LastAnswerSeconds:f1} s, "
            + $"old values {network.OldValues} (until {network.LastOldSeconds:f1} s), errors {network.Refusals}, cut {network.CutConnections}; "
            + $"then {string.Join("; ", network.Ends)}");

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
