using System.Globalization;

namespace OrleansCache.Monitoring.Metrics;

/// <summary>Every metric, in the order in which /metrics tells them.</summary>
internal static partial class MetricCatalog
{
    public static IReadOnlyList<MetricFamily> All { get; } = [.. Own(), .. Memcached()];

    private static MetricFamily Counter(string name, string unit, string help, Func<NodeSnapshot, double> read) =>
        new(name, MetricKind.Counter, unit, help, (snapshot, sink) => sink.Add(read(snapshot)));

    private static MetricFamily Gauge(string name, string unit, string help, Func<NodeSnapshot, double> read) =>
        new(name, MetricKind.Gauge, unit, help, (snapshot, sink) => sink.Add(read(snapshot)));

    /// <summary>One sample for each value of a label.</summary>
    private static MetricFamily Counter(
        string name, string unit, string help, string label, Func<NodeSnapshot, IEnumerable<(string Value, double Number)>> read) =>
        new(name, MetricKind.Counter, unit, help, By(label, read));

    private static MetricFamily Gauge(
        string name, string unit, string help, string label, Func<NodeSnapshot, IEnumerable<(string Value, double Number)>> read) =>
        new(name, MetricKind.Gauge, unit, help, By(label, read));

    private static Action<NodeSnapshot, IMetricSink> By(string label, Func<NodeSnapshot, IEnumerable<(string Value, double Number)>> read) =>
        (snapshot, sink) =>
        {
            foreach ((string value, double number) in read(snapshot))
                sink.Add(number, new Label(label, value));
        };

    /// <summary>One sample for each slab class that holds pages.</summary>
    private static Action<NodeSnapshot, IMetricSink> ByClass(string label, Func<SlabClassStatistics, double> read) =>
        (snapshot, sink) =>
        {
            foreach (SlabClassStatistics slab in snapshot.Store.Classes)
            {
                if (slab.TotalPages > 0)
                    sink.Add(read(slab), new Label(label, Text(slab.ClassId)));
            }
        };

    /// <summary>One sample for each slab class that holds pages, and each value of a second label.</summary>
    private static Action<NodeSnapshot, IMetricSink> ByClass(string label, string second,
        params (string Value, Func<SlabClassStatistics, double> Read)[] reads) =>
        (snapshot, sink) =>
        {
            foreach (SlabClassStatistics slab in snapshot.Store.Classes)
            {
                if (slab.TotalPages == 0)
                    continue;
                foreach ((string value, Func<SlabClassStatistics, double> read) in reads)
                    sink.Add(read(slab), new Label(label, Text(slab.ClassId)), new Label(second, value));
            }
        };

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);

    private static double Flag(bool value) => value ? 1 : 0;

    private static double? Value(SiloStatistics? silo, string name)
    {
        foreach (StatisticValue value in silo?.Values ?? [])
        {
            if (value.Name == name)
                return value.Value;
        }

        return null;
    }
}
