using System.Buffers;
using System.Globalization;
using System.Text;

namespace OrleansCache.Monitoring.Metrics;

/// <summary>Writes a snapshot in Prometheus's text format (0.0.4), or as OpenMetrics 1.0. For one scrape.</summary>
internal sealed class PrometheusText(bool isOpenMetrics) : IMetricSink
{
    public const string TextType = "text/plain; version=0.0.4; charset=utf-8";
    public const string OpenMetricsType = "application/openmetrics-text; version=1.0.0; charset=utf-8";

    private readonly ArrayBufferWriter<byte> _buffer = new(64 * 1024);
    private string _name = "";

    public ReadOnlyMemory<byte> Bytes => _buffer.WrittenMemory;

    /// <summary>Whether a client that sent this Accept header takes OpenMetrics. Prometheus does, and names it first.</summary>
    public static bool WantsOpenMetrics(string? accept) => accept?.Contains("application/openmetrics-text", StringComparison.OrdinalIgnoreCase) == true;

    public void Write(NodeSnapshot snapshot)
    {
        foreach (MetricFamily family in MetricCatalog.All)
            Write(family, snapshot);
        if (isOpenMetrics)
            Text("# EOF\n");
    }

    public void Add(double value, params ReadOnlySpan<Label> labels) => Sample(_name, value, labels);

    private void Write(MetricFamily family, NodeSnapshot snapshot)
    {
        bool isCounter = family.Kind == MetricKind.Counter;
        string sample = isCounter ? family.Name + "_total" : family.Name;
        string title = isOpenMetrics ? family.Name : sample;
        string type = family.Kind switch
        {
            MetricKind.Counter => "counter",
            MetricKind.Histogram => "histogram",
            MetricKind.OddCounter => isOpenMetrics ? "unknown" : "counter",
            _ => "gauge",
        };

        // A family without samples keeps its two lines: they tell that it exists.
        Text($"# HELP {title} {family.Help}\n# TYPE {title} {type}\n");
        if (family.Kind == MetricKind.Histogram)
        {
            family.Collect(snapshot, new HistogramSink(this, family.Name));
        }
        else
        {
            _name = sample;
            family.Collect(snapshot, this);
        }
    }

    private void Sample(string name, double value, ReadOnlySpan<Label> labels)
    {
        Text(name);
        if (labels.Length > 0)
        {
            for (int i = 0; i < labels.Length; i++)
            {
                Text(i == 0 ? "{" : ",");
                Text(labels[i].Name);
                Text("=\"");
                Text(Escape(labels[i].Value));
                Text("\"");
            }

            Text("}");
        }

        Text(" ");
        Number(value);
        Text("\n");
    }

    private static string Escape(string value) =>
        value.AsSpan().IndexOfAny('\\', '"', '\n') < 0 ? value : value.Replace("\\", "\\\\", StringComparison.Ordinal)
            .Replace("\"", "\\\"", StringComparison.Ordinal).Replace("\n", "\\n", StringComparison.Ordinal);

    private void Number(double value)
    {
        Span<byte> target = _buffer.GetSpan(32);
        bool isWhole = value == Math.Floor(value) && Math.Abs(value) < 1e15;
        int length;
        if (isWhole)
            ((long)value).TryFormat(target, out length, default, CultureInfo.InvariantCulture);
        else if (double.IsPositiveInfinity(value))
            length = Encoding.UTF8.GetBytes("+Inf", target);
        else
            value.TryFormat(target, out length, "R", CultureInfo.InvariantCulture);
        _buffer.Advance(length);
    }

    private void Text(string text)
    {
        int length = Encoding.UTF8.GetBytes(text, _buffer.GetSpan(text.Length * 3));
        _buffer.Advance(length);
    }

    /// <summary>
    /// A sample here is one line of a histogram: its last label says which (le, or sum or count), as <see cref="MetricCatalog"/> hands them over.
    /// </summary>
    private sealed class HistogramSink(PrometheusText text, string name) : IMetricSink
    {
        public void Add(double value, params ReadOnlySpan<Label> labels)
        {
            Label last = labels[^1];
            if (last.Name == "le")
                text.Sample(name + "_bucket", value, labels);
            else
                text.Sample(name + "_" + last.Name, value, labels[..^1]);
        }
    }
}
