using System.Diagnostics.Metrics;
using OrleansCache.Client.Wire;
using OrleansCache.Protocol.Meta;

namespace OrleansCache.Client;

/// <summary>The instruments of the meter <c>OrleansCache.Client</c>. Costs nothing while nobody listens, and never allocates.</summary>
internal sealed class ClientMetrics : IDisposable
{
    public const string MeterName = "OrleansCache.Client";

    private readonly Meter _meter;
    private readonly Counter<long> _operations;
    private readonly Histogram<double> _duration;
    private readonly Counter<long> _lost;

    public ClientMetrics(IMeterFactory? factory)
    {
        _meter = factory?.Create(MeterName) ?? new Meter(MeterName);
        _operations = _meter.CreateCounter<long>("orleanscache.client.operations", "{operation}", "Operations that have ended, by operation and outcome.");
        _duration = _meter.CreateHistogram<double>("orleanscache.client.operation.duration", "s", "From the call to the reply.");
        _lost = _meter.CreateCounter<long>("orleanscache.client.connections.lost", "{connection}", "Connections that ended unasked.");
    }

    /// <summary>Whether anybody wants to know.</summary>
    public bool IsEnabled => _operations.Enabled || _duration.Enabled;

    public void Observe(Func<int> connections, Func<int> pending)
    {
        _meter.CreateObservableUpDownCounter("orleanscache.client.connections", connections, "{connection}", "Open connections to gateways.");
        _meter.CreateObservableUpDownCounter("orleanscache.client.pending", pending, "{operation}", "Operations that wait for replies.");
    }

    public void OnReply(WireCommand command, MetaReplyKind kind, TimeSpan elapsed)
    {
        KeyValuePair<string, object?> operation = new("operation", NameOf(command));
        string outcome = kind switch
        {
            MetaReplyKind.Value when command == WireCommand.Get => "hit",
            MetaReplyKind.NotFound => "miss",
            MetaReplyKind.Done or MetaReplyKind.Value => "ok",
            _ => "refused",
        };
        _operations.Add(1, operation, new("outcome", outcome));
        _duration.Record(elapsed.TotalSeconds, operation);
    }

    public void OnFailed(WireCommand command, Exception exception)
    {
        if (exception is OrleansCacheException failure)
            OnFailed(command, failure.Error);
    }

    public void OnFailed(WireCommand command, OrleansCacheError error)
    {
        string outcome = error switch
        {
            OrleansCacheError.TimedOut => "timeout",
            OrleansCacheError.Busy => "busy",
            OrleansCacheError.OutcomeUnknown => "unknown",
            _ => "unavailable",
        };
        _operations.Add(1, new("operation", NameOf(command)), new("outcome", outcome));
    }

    public void OnConnectionLost() => _lost.Add(1);

    public void Dispose() => _meter.Dispose();

    private static string NameOf(WireCommand command) => command switch
    {
        WireCommand.Get => "get",
        WireCommand.Set => "set",
        WireCommand.Remove => "remove",
        WireCommand.Discover => "discover",
        WireCommand.Extend => "extend",
        _ => "refresh",
    };
}
