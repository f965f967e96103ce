namespace OrleansCache.Monitoring.Metrics;

internal enum MetricKind
{
    /// <summary>Only rises, but for a restart and `stats reset`.</summary>
    Counter,
    Gauge,

    /// <summary>
    /// A counter whose name does not end in _total, because others gave it that name: OpenMetrics does not allow that, and calls it unknown there.
    /// </summary>
    OddCounter,

    /// <summary>Buckets, a count and a sum.</summary>
    Histogram,
}

/// <summary>A metric and how it is read from a snapshot. Label values are names of ours, numbers, or silos' addresses; never what a client has sent.</summary>
/// <param name="Name">In Prometheus's manner, without _total.</param>
/// <param name="Kind">What it is.</param>
/// <param name="Unit">In OpenTelemetry's manner.</param>
/// <param name="Help">One sentence.</param>
/// <param name="Collect">Hands over every sample.</param>
internal sealed record MetricFamily(string Name, MetricKind Kind, string Unit, string Help, Action<NodeSnapshot, IMetricSink> Collect);

/// <summary>Takes the samples of one family.</summary>
internal interface IMetricSink
{
    void Add(double value, params ReadOnlySpan<Label> labels);
}

/// <summary>A label and its value.</summary>
internal readonly record struct Label(string Name, string Value);
