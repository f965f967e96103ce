namespace OrleansCache.Silo.Options;

/// <content>The options of a cluster.</content>
internal static partial class OptionTable
{
    /// <summary>The ports for gateways and for the membership lie above the silo port.</summary>
    private const int SiloPortMax = 63535;

    private static IEnumerable<Option> Cluster() =>
    [
        new()
        {
            Long = "silo-port", Argument = "num", Default = "11111", Group = OptionGroup.Cluster,
            Help = "be a silo of a cluster, which talks to the other silos on this TCP port of the advertised address (docs/security.md)",
            Apply = (o, text) => Values.TryPort(text, 1, out int port) && port <= SiloPortMax ? Done(() => o.SiloPort = port)
                : $"ERROR: Invalid port number {text}.",
        },
        new()
        {
            Long = "join", Argument = "host:port", Kind = OptionKind.List, Group = OptionGroup.Cluster,
            Help = "join the cluster of these silos, by their silo ports (commas, or repeated); one that answers is enough. A name may have several addresses, "
                + "or none yet. Silos that start together take the same list, in any order of start: the first of it founds the cluster (docs/cluster.md)",
            Apply = (o, text) =>
            {
                string[] places = text.Split(',');
                foreach (string place in places)
                {
                    int colon = place.LastIndexOf(':');
                    if (colon <= 0 || !Values.TryPort(place[(colon + 1)..], 1, out int port))
                        return $"\"{place}\" is not HOST:PORT";
                    if (port > SiloPortMax)
                        return $"\"{place}\": a silo port is at most {SiloPortMax}";
                }

                return Done(() => o.Join = [.. places]);
            },
        },
        new()
        {
            Long = "seeds", Argument = "num", Default = "3", Group = OptionGroup.Cluster,
            Help = "without --clustering the silos keep the membership themselves, this many of them: 1, 3, 5 or 7. A majority must live: of three seeds one "
                + "may be lost, of five two",
            Apply = (o, text) => text is "1" or "3" or "5" or "7" ? Done(() => o.SeedCount = text[0] - '0') : $"\"{text}\" is none of 1, 3, 5, 7",
        },
        new()
        {
            Long = "seed-port", Argument = "num", Default = "2000 above the silo port", Group = OptionGroup.Cluster,
            Help = "TCP port at which the other silos ask this one about the membership; at the same distance above the silo port in the whole cluster",
            Apply = (o, text) => Values.TryPort(text, 1, out int port) ? Done(() => o.SeedPort = port) : $"ERROR: Invalid port number {text}.",
        },
        new()
        {
            Long = "data-dir", Argument = "directory", Default = "one in $STATE_DIRECTORY, $XDG_STATE_HOME or ~/.local/state", Group = OptionGroup.Cluster,
            Help = "where this silo keeps its part of the membership (a few KB, no items), so that it comes back as itself; none: in memory only",
            Apply = (o, text) => text.Length == 0 ? "No directory given" : Done(() => o.DataDirectory = text),
        },
        new()
        {
            Long = "join-timeout", Argument = "seconds", Default = "15", Group = OptionGroup.Cluster,
            Help = "a start that has not got into its cluster by then ends (exit code 69)",
            Apply = (o, text) => Values.Count(text, 1, 3600, "The time must be greater than 0", value => o.JoinTimeoutSeconds = value),
        },
        new()
        {
            Long = "drain-timeout", Argument = "seconds", Default = "60", Group = OptionGroup.Cluster,
            Help = "a silo that stops hands its partitions over for at most this long, while others take them; nothing moved for 5 s ends it sooner",
            Apply = (o, text) => Values.Count(text, 0, 86400, "The time must not be negative", value => o.DrainTimeoutSeconds = value),
        },
        new()
        {
            Long = "memory-file-age", Argument = "seconds", Default = "300", Group = OptionGroup.Memory,
            Help = "of a silo with -e: a file whose items were last served longer ago begins empty, because the cluster may have gone on without "
                + "this silo (docs/cluster.md)",
            Apply = (o, text) => Values.Count(text, 1, 31_536_000, "The time must be greater than 0", value => o.MemoryFileAgeSeconds = value),
        },
        new()
        {
            Long = "cluster-secret-file", Argument = "file", Group = OptionGroup.Cluster,
            Help = "file with the secret that all silos and gateways of the cluster share, at least 16 bytes; needed if the cluster reaches beyond "
                + "this machine",
            Apply = (o, text) => text.Length == 0 ? "No path given for the secret" : Done(() => o.ClusterSecretFile = text),
        },
        new()
        {
            Long = "cluster-tls-cert", Argument = "file", Group = OptionGroup.Cluster,
            Help = "TLS between silos and gateways, which all show a certificate: this one's, in PEM format",
            Apply = (o, text) => text.Length == 0 ? "No path given for the certificate" : Done(() => o.ClusterTlsCertificateFile = text),
        },
        new()
        {
            Long = "cluster-tls-key", Argument = "file", Group = OptionGroup.Cluster,
            Help = "its private key, if it does not stand in the file of --cluster-tls-cert",
            Apply = (o, text) => text.Length == 0 ? "No path given for the key" : Done(() => o.ClusterTlsKeyFile = text),
        },
        new()
        {
            Long = "cluster-tls-ca", Argument = "file", Group = OptionGroup.Cluster,
            Help = "the authority that has signed the certificates of all members, and of nobody else, in PEM format",
            Apply = (o, text) => text.Length == 0 ? "No path given for the authority" : Done(() => o.ClusterTlsAuthorityFile = text),
        },
        new()
        {
            Long = "allow-insecure-cluster", Kind = OptionKind.Flag, Group = OptionGroup.Cluster,
            Help = "let a cluster reach beyond this machine with neither secret nor TLS: anyone who reaches its ports reads and writes everything",
            Apply = (o, _) => Done(() => o.AllowInsecureCluster = true),
        },
        new()
        {
            Long = "allow-gateways", Kind = OptionKind.Flag, Group = OptionGroup.Cluster,
            Help = "open the port for gateways that run alone, 1000 above the silo port; closed otherwise",
            Apply = (o, _) => Done(() => o.AllowGateways = true),
        },
        new()
        {
            Long = "silo-listen", Argument = "host", Default = "the advertised address", Group = OptionGroup.Cluster,
            Help = "address of this machine at which the silo listens for others, where the advertised one is translated to it (0.0.0.0 for all)",
            Apply = (o, text) => text.Length == 0 ? "No host given" : Done(() => o.SiloListenHost = text),
        },
        new()
        {
            Long = "clustering", Argument = "name", Group = OptionGroup.Cluster,
            Help = "where the membership lives instead: postgres",
            Apply = (o, text) => text == "postgres" ? Done(() => o.ClusteringName = text)
                : $"\"{text}\" is not a membership store; this version knows postgres",
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
            Long = "replicas", Argument = "num", Default = "1", Group = OptionGroup.Cluster,
            Help = "copies of each partition that other silos keep, 0 to 2; as many silos may be lost at once without losing an item. They count against -m. "
                + "The same for all silos",
            Apply = (o, text) => !Values.TryInteger(text, out long value) ? Values.NotANumber(text)
                : value is < 0 or > 2 ? "The number of replicas must be 0, 1 or 2"
                : Done(() => o.Replicas = (int)value),
        },
        new()
        {
            Long = "replication", Argument = "mode", Default = "sync", Group = OptionGroup.Cluster,
            Help = "sync: a write is answered when the replicas have it; async: at once, and the last moments before a loss may be lost",
            Apply = (o, text) => text switch
            {
                "sync" => Done(() => o.IsReplicationAsynchronous = false),
                "async" => Done(() => o.IsReplicationAsynchronous = true),
                _ => $"\"{text}\" is neither sync nor async",
            },
        },
        new()
        {
            Long = "zone", Argument = "name", Group = OptionGroup.Cluster,
            Help = "failure zone of this silo: replicas of its partitions are kept in other zones, where there are any",
            Apply = (o, text) => text.Length is 0 or > 100 ? "The zone must have 1 to 100 characters" : Done(() => o.Zone = text),
        },
        new()
        {
            Long = "move-limit", Argument = "size", Default = "off", Group = OptionGroup.Cluster,
            Help = "bytes of items that this silo reads per second at most to make copies at others (k, m or g may follow; at least 64k); off: no limit. What "
                + "clients write is not held back. Until `orleanscache moves limit` says otherwise to the whole cluster",
            Apply = (o, text) => text == "off" ? Done(() => o.MoveLimitBytesPerSecond = 0)
                : Values.TryBytes(text, out long bytes) && bytes is >= Limits.MoveLimitBytesMin and <= Limits.MoveLimitBytesMax
                ? Done(() => o.MoveLimitBytesPerSecond = bytes) : $"The limit of moves must be off, or 64k to 1024g bytes per second, not {text}",
        },
        new()
        {
            Long = "wire-version", Argument = "num", Default = "the newest that this version knows", Group = OptionGroup.Cluster,
            Help = "speak at most this wire version to other silos; one such silo keeps the whole cluster at it (docs/cluster.md, Upgrading)",
            Apply = (o, text) => !Values.TryInteger(text, out long value) ? Values.NotANumber(text)
                : value is < 1 or > byte.MaxValue ? "The wire version must be 1 to 255"
                : Done(() => o.WireVersionMax = (byte)value),
        },
    ];
}
