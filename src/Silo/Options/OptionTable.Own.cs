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
            Apply = (o, text) => Values.Count(text, 1, Limits.PartitionsMax, "The number of partitions must be greater than 0", value => o.PartitionCount = value),
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
            Long = "http", Argument = "port", State = OptionState.NotYet, Group = OptionGroup.Process,
            Help = "port for metrics, health and administration over HTTP",
        },
        new()
        {
            Long = "silo-port", Argument = "num", Default = "11111", Group = OptionGroup.Cluster,
            Help = "be a silo of a cluster, which talks to the other silos on this TCP port, and to gateways that run alone on the port 1000 above it",
            Apply = (o, text) => Values.TryPort(text, 1, out int port) && port <= 64535 ? Done(() => o.SiloPort = port) : $"ERROR: Invalid port number {text}.",
        },
        new()
        {
            Long = "join", Argument = "host:port", Group = OptionGroup.Cluster,
            Help = "join the cluster whose first silo has this address and silo port (membership in the first silo's memory: for one machine and first steps)",
            Apply = (o, text) =>
            {
                int colon = text.LastIndexOf(':');
                return colon <= 0 || !Values.TryPort(text[(colon + 1)..], 1, out _) ? $"\"{text}\" is not HOST:PORT" : Done(() => o.Join = text);
            },
        },
        new()
        {
            Long = "clustering", Argument = "name", Group = OptionGroup.Cluster,
            Help = "where the membership lives instead: postgres",
            Apply = (o, text) => text == "postgres" ? Done(() => o.ClusteringName = text) : $"\"{text}\" is not a membership store; this version knows postgres",
        },
        new()
        {
            Long = "connection", Argument = "string", Group = OptionGroup.Cluster,
            Help = "connection string of --clustering (better in the environment: other users can see a command line)",
            Apply = (o, text) => text.Length == 0 ? "The connection string is empty" : Done(() => o.ConnectionString = text),
        },
        new()
        {
            Long = "cluster-id", Argument = "name", Default = "orleanscache", Group = OptionGroup.Cluster,
            Help = "name of the cluster; silos of different names do not see each other",
            Apply = (o, text) => text.Length is 0 or > 100 ? "The cluster id must have 1 to 100 characters" : Done(() => o.ClusterId = text),
        },
        new()
        {
            Long = "advertise", Argument = "host", Default = "the address of -l, or 127.0.0.1", Group = OptionGroup.Cluster,
            Help = "name or address under which the other silos reach this one",
            Apply = (o, text) => text.Length == 0 ? "No host given" : Done(() => o.AdvertisedHost = text),
        },
        new()
        {
            Long = "replicas", Argument = "num", Default = "0", Group = OptionGroup.Cluster,
            Help = "copies of each partition in other silos; only 0 in this version",
            Apply = (o, text) => !Values.TryInteger(text, out long value) ? Values.NotANumber(text)
                : value < 0 ? "The number of replicas must not be negative"
                : value > 0 ? "replicas are not supported yet: only --replicas 0"
                : Done(() => o.Replicas = 0),
        },
        new()
        {
            Long = "zone", Argument = "name", Group = OptionGroup.Cluster,
            Help = "failure zone of this silo; recorded for the placement of replicas",
            Apply = (o, text) => text.Length is 0 or > 100 ? "The zone must have 1 to 100 characters" : Done(() => o.Zone = text),
        },
    ];
}
