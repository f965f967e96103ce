namespace OrleansCache.Silo.Options;

/// <summary>What options must fulfil together; in memcached's words where they are its rules.</summary>
internal static class OptionChecks
{
    /// <summary>memcached's default of hot_lru_pct, for its rule about the sum.</summary>
    private const int MemcachedHotPercent = 20;

    public static void Check(ServeOptions options, bool hasCluster)
    {
        if (options.ItemBytesMax < Limits.ItemBytesMin)
            throw StartException.Usage("Item max size cannot be less than 1024 bytes.");
        if (options.MemoryBytes == 0)
            throw StartException.Usage("-m, --memory-limit: 0 megabytes hold no item; at least twice -I are needed");
        if (options.ItemBytesMax > options.MemoryBytes / 2)
            throw StartException.Usage("Cannot set item size limit higher than 1/2 of memory max.");
        if (options.ItemBytesMax > Limits.ItemBytesMax)
            throw StartException.Usage("Cannot set item size limit higher than a gigabyte.");
        if (options.WantsCluster && options.ItemBytesMax > Limits.ClusterItemBytesMax)
            throw StartException.Usage("Cannot set item size limit higher than 16m in a cluster: items cross between silos in one message.");
        if (options.UdpPort != 0 && !options.PortGiven)
            options.Port = options.UdpPort;
        if (options.NapiIds > options.Threads)
            throw StartException.Usage(Values.Invariant($"Number of napi_ids({options.NapiIds}) cannot be greater than number of threads({options.Threads})"));
        if ((options.Lru.HotPercent ?? MemcachedHotPercent) + options.Lru.WarmPercent > 80)
            throw StartException.Usage("hot_lru_pct + warm_lru_pct cannot be more than 80% combined");
        if (options.Lru.TemporaryEnabled && !options.Lru.MaintainerEnabled)
            throw StartException.Usage("temporary_ttl requires lru_maintainer to be enabled");
        SecurityChecks.Check(options);
        if (options.SocketPath is null && options.UdpPort == 0 && options.Port == 0
            && (options.Listen is null || !options.Listen.Contains(':', StringComparison.Ordinal)))
            options.Warnings.Add("WARNING: nothing to listen on: -p 0 switches TCP off, and there is no -U and no -s");

        if (options.HttpTokenFile is not null && options.HttpHost is null)
            throw StartException.Usage("--http-token-file belongs to --http, which is missing");

        if (options.AdvertisedHost is { } advertised && !IsLoopback(advertised) && options.SocketPath is null && ListensOnLoopbackOnly(options))
        {
            options.Warnings.Add($"WARNING: other silos reach this one at {advertised} (--advertise), but memcached clients only from this machine: "
                + $"-l {advertised} (or -l 0.0.0.0) lets others in");
        }

        if (options.ConnectionString is not null && options.ClusteringName is null)
            throw StartException.Usage("--connection belongs to --clustering, which is missing");
        if (options.ClusteringName is not null && options.ConnectionString is null)
            throw StartException.Usage("--clustering needs --connection");
        if (options.Join.Count > 0 && options.ClusteringName is not null)
            throw StartException.Usage("--join and --clustering exclude each other: with a membership store a silo finds the others there");
        if (options.SeedPort is { } seedPort && (seedPort <= options.SiloPort || (options.AllowGateways && seedPort == options.SiloPort + 1000)))
            throw StartException.Usage("--seed-port must lie above the silo port, and is not the port for gateways");
        if ((options.ClusterTlsCertificateFile ?? options.ClusterTlsKeyFile ?? options.ClusterTlsAuthorityFile) is not null
            && (options.ClusterTlsCertificateFile is null || options.ClusterTlsAuthorityFile is null))
        {
            throw StartException.Usage(
                "TLS between silos needs --cluster-tls-cert and --cluster-tls-ca (and --cluster-tls-key, if the key does not stand with the certificate)");
        }

        if (options.Verb == Verb.Gateway && !hasCluster)
            throw StartException.Usage("this build has no cluster support (Cluster=false): `gateway` needs the Orleans packages. "
                + OptionReader.WithoutCluster);
        if (options.Verb == Verb.Gateway && options.Join.Count == 0 && options.ClusteringName is null)
            throw StartException.Usage("a gateway needs a cluster: --join HOST:PORT of its silos, or --clustering and --connection");
    }

    private static bool ListensOnLoopbackOnly(ServeOptions options) =>
        options.Listen is null || (ListenSpec.TryParse(options.Listen, options.Port, out List<ListenSpec> places, out _)
            && places.TrueForAll(place => place.Host is { } host && IsLoopback(host)));

    /// <summary>Without asking for names: a start must not wait for that here.</summary>
    private static bool IsLoopback(string host) => host == "localhost"
        || (System.Net.IPAddress.TryParse(host, out System.Net.IPAddress? address) && System.Net.IPAddress.IsLoopback(address));
}
