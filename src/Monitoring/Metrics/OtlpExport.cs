using OpenTelemetry;
using OpenTelemetry.Exporter;
using OpenTelemetry.Metrics;
using OpenTelemetry.Resources;

namespace OrleansCache.Monitoring.Metrics;

/// <summary>
/// Sends the meter's instruments to an OpenTelemetry collector, from a thread of its own. An endpoint that is away or hangs costs that thread's time
/// and nothing else: an export ends after <see cref="TimeoutMilliseconds"/>, its numbers are not kept, and the next one tells the newer ones.
/// </summary>
internal sealed class OtlpExport : IDisposable
{
    private const int IntervalMilliseconds = 10_000;
    private const int TimeoutMilliseconds = 5_000;

    /// <summary>How long the end of the process waits for a last export.</summary>
    private const int ShutdownMilliseconds = 500;

    private const int GrpcPort = 4317;

    private readonly MeterProvider _provider;

    public OtlpExport(MonitoringOptions options, string instance, int intervalMilliseconds = IntervalMilliseconds)
    {
        Uri url = options.Otlp!;

        // The port that OpenTelemetry reserves for gRPC, or else HTTP with its usual path.
        bool isGrpc = url.Port == GrpcPort;
        Uri endPoint = isGrpc || url.AbsolutePath.Length > 1 ? url : new Uri(url, "/v1/metrics");
        _provider = Sdk.CreateMeterProviderBuilder()
            .ConfigureResource(resource => resource.AddService("orleanscache", serviceVersion: options.Version, autoGenerateServiceInstanceId: false,
                serviceInstanceId: instance))
            .AddMeter(MeterBridge.MeterName)
            .AddOtlpExporter((exporter, reader) =>
            {
                exporter.Endpoint = endPoint;
                exporter.Protocol = isGrpc ? OtlpExportProtocol.Grpc : OtlpExportProtocol.HttpProtobuf;
                exporter.TimeoutMilliseconds = TimeoutMilliseconds;
                reader.PeriodicExportingMetricReaderOptions.ExportIntervalMilliseconds = intervalMilliseconds;
                reader.PeriodicExportingMetricReaderOptions.ExportTimeoutMilliseconds = TimeoutMilliseconds;
            })
            .Build();
    }

    /// <summary>Takes no longer than <see cref="ShutdownMilliseconds"/> or so, whatever the endpoint does.</summary>
    public void Dispose()
    {
        // What the library does at its end may wait for the endpoint; the process does not.
        Task end = Task.Run(() =>
        {
            _provider.Shutdown(ShutdownMilliseconds);
            _provider.Dispose();
        });
        end.Wait(2 * ShutdownMilliseconds);
    }
}
