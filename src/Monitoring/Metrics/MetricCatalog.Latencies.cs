using System.Globalization;
using OrleansCache.Gateway.Metering;

namespace OrleansCache.Monitoring.Metrics;

// Latencies: the fine buckets of the gateway, gathered to those that Prometheus keeps.
internal static partial class MetricCatalog
{
    private static readonly (long Nanoseconds, string Text)[] s_bounds =
    [
        .. new[] { 0.00001, 0.00002, 0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2.5, 10 }
            .Select(static seconds => ((long)Math.Round(seconds * 1e9), seconds.ToString("0.#######", CultureInfo.InvariantCulture))),
    ];

    private static MetricFamily Latencies() => new(
        "orleanscache_command_duration_seconds",
        MetricKind.Histogram,
        "s",
        "How long commands took in the gateway, from the turn in which they were received until their reply was sent.",
        static (snapshot, sink) =>
        {
            foreach (CommandLatencies one in snapshot.Commands)
                Add(one, sink);
        });

    /// <summary>A fine bucket belongs to a bound when all of it lies below: so a count is never too high.</summary>
    private static void Add(CommandLatencies one, IMetricSink sink)
    {
        var command = new Label("command", one.Command);
        var outcome = new Label("outcome", one.Outcome);
        int bucket = 0;
        long below = 0;
        foreach ((long nanoseconds, string text) in s_bounds)
        {
            for (; bucket < LatencyBuckets.Count && LatencyBuckets.UpperNanoseconds(bucket) <= nanoseconds; bucket++)
                below += one.Buckets[bucket];
            sink.Add(below, command, outcome, new Label("le", text));
        }

        sink.Add(one.Count, command, outcome, new Label("le", "+Inf"));
        sink.Add(one.SumNanoseconds / 1e9, command, outcome, new Label("sum", ""));
        sink.Add(one.Count, command, outcome, new Label("count", ""));
    }
}
