namespace OrleansCache.Silo.Options;

/// <content>The options that memcached does not have.</content>
internal static partial class OptionTable
{
    private static IEnumerable<Option> Own() =>
    [
        new()
        {
            Long = "transport", Argument = "name", Default = "auto", Group = OptionGroup.Connections,
            Help = "I/O loops: epoll (Linux), pipelines (every system), or auto",
            Apply = (o, text) =>
            {
                switch (text)
                {
                    case "auto":
                        o.Transport = TransportChoice.Auto;
                        return null;
                    case "epoll" when !OperatingSystem.IsLinux():
                        return "epoll is a facility of Linux; use pipelines or auto here";
                    case "epoll":
                        o.Transport = TransportChoice.Epoll;
                        return null;
                    case "pipelines":
                        o.Transport = TransportChoice.Pipelines;
                        return null;
                    default:
                        return $"\"{text}\" is none of auto, epoll, pipelines";
                }
            },
        },
        new()
        {
            Long = "partitions", Argument = "num", Default = "256", Group = OptionGroup.Memory,
            Help = "parts into which the keyspace is cut; the same for all silos of a cluster, and fixed for its life",
            Apply = (o, text) =>
                Values.Count(text, 1, Limits.PartitionsMax, "The number of partitions must be greater than 0", value => o.PartitionCount = value),
        },
        new()
        {
            Long = "log-format", Argument = "name", Default = "text", Group = OptionGroup.Process,
            Help = "what is said on standard error: text, or json (an object a line: time, level, category, message and its figures)",
            Apply = (o, text) => text switch
            {
                "text" => Done(() => o.LogFormat = Hosting.LogFormat.Text),
                "json" => Done(() => o.LogFormat = Hosting.LogFormat.Json),
                _ => $"\"{text}\" is neither text nor json",
            },
        },
        new()
        {
            Long = "settings", Argument = "file", Group = OptionGroup.Process,
            Help = "JSON file with long option names as keys: {\"port\": 11212, \"memory-limit\": 256, \"disable-cas\": true}",
            Apply = (o, text) => text.Length == 0 ? "No path given for the settings file" : Done(() => o.SettingsFile = text),
        },
        new()
        {
            Long = "enable-debugtime", Kind = OptionKind.Flag, Group = OptionGroup.Commands, IsHidden = true,
            Help = "enable the text command debugtime, which stops and moves this process's clock; for tests",
            Apply = (o, _) => Done(() => o.DebugTimeEnabled = true),
        },
        new()
        {
            Long = "http", Argument = "[host:]port", Group = OptionGroup.Monitoring,
            Help = "serve metrics, health, JSON and a dashboard over HTTP (docs/http.md); without a host at 127.0.0.1. "
                + "Beyond loopback only with --http-token-file or -Y",
            Apply = (o, text) => HttpPlace.TryParse(text, out string? host, out int port) ? Done(() => (o.HttpHost, o.HttpPort) = (host, port))
                : $"\"{text}\" is neither PORT nor HOST:PORT",
        },
        new()
        {
            Long = "otlp", Argument = "url", Group = OptionGroup.Monitoring,
            Help = "send metrics to this OpenTelemetry collector every 10 s: http://HOST:4318 (HTTP) or http://HOST:4317 (gRPC)",
            Apply = (o, text) => Uri.TryCreate(text, UriKind.Absolute, out Uri? url) && url.Scheme is "http" or "https"
                ? Done(() => o.Otlp = url) : $"\"{text}\" is not an http:// or https:// URL",
        },
        new()
        {
            Long = "http-token-file", Argument = "file", Group = OptionGroup.Monitoring,
            Help = "file with a token of at least 16 bytes; who reads over HTTP (but for health) must show it",
            Apply = (o, text) => text.Length == 0 ? "No path given for the token" : Done(() => o.HttpTokenFile = text),
        },
        .. Cluster(),
    ];
}
