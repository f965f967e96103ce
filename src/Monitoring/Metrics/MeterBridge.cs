using System.Diagnostics.Metrics;

namespace OrleansCache.Monitoring.Metrics;

/// <summary>
/// The product's own metrics as instruments of System.Diagnostics.Metrics, in a meter called "OrleansCache": for OTLP, dotnet-counters, and whoever
/// else listens in the process.
/// The names are those of /metrics, without _total. Nothing is read unless somebody collects. A histogram is told as what it consists of: counters
/// for its buckets, sum and count.
/// </summary>
internal sealed class MeterBridge : IDisposable
{
    public const string MeterName = "OrleansCache";

    private readonly Meter _meter;

    public MeterBridge(NodeReader reader)
    {
        _meter = new Meter(MeterName, reader.Options.Version);
        foreach (MetricFamily family in MetricCatalog.All.Where(static family => !family.Name.StartsWith("memcached_", StringComparison.Ordinal)))
            Add(family, reader);
    }

    public void Dispose() => _meter.Dispose();

    private void Add(MetricFamily family, NodeReader reader)
    {
        switch (family.Kind)
        {
            case MetricKind.Gauge:
                _meter.CreateObservableGauge(family.Name, () => Measure(family, reader), family.Unit, family.Help);
                break;
            case MetricKind.Histogram:
                _meter.CreateObservableCounter(family.Name + "_bucket", () => Measure(family, reader, "le"), "{command}", family.Help);
                _meter.CreateObservableCounter(family.Name + "_sum", () => Measure(family, reader, "sum"), family.Unit, family.Help);
                _meter.CreateObservableCounter(family.Name + "_count", () => Measure(family, reader, "count"), "{command}", family.Help);
                break;
            default:
                _meter.CreateObservableCounter(family.Name, () => Measure(family, reader), family.Unit, family.Help);
                break;
        }
    }

    private static List<Measurement<double>> Measure(MetricFamily family, NodeReader reader, string? part = null)
    {
        var sink = new MeasurementSink(part);
        family.Collect(reader.Read(), sink);
        return sink.Measurements;
    }

    private sealed class MeasurementSink(string? part) : IMetricSink
    {
        public List<Measurement<double>> Measurements { get; } = [];

        public void Add(double value, params ReadOnlySpan<Label> labels)
        {
            if (part is not null && labels[^1].Name != part)
                return;
            var tags = new List<KeyValuePair<string, object?>>(labels.Length);
            foreach (Label label in labels)
            {
                if (label.Value.Length > 0)
                    tags.Add(new KeyValuePair<string, object?>(label.Name, label.Value));
            }

            Measurements.Add(new Measurement<double>(value, tags));
        }
    }
}
