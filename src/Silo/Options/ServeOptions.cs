using OrleansCache.Gateway.Options;
using OrleansCache.Gateway.Tls;

namespace OrleansCache.Silo.Options;

/// <summary>What the process is asked to be.</summary>
internal enum Verb
{
    Serve,
    Gateway,
    Help,
    Version,
    License,

    /// <summary>Not in the help: prints docs/options.md.</summary>
    OptionsPage,

    /// <summary>Not in the help: prints orleanscache(1).</summary>
    ManualPage,

    CompletionBash,
    CompletionZsh,
}

/// <summary>Which I/O loops the gateway uses.</summary>
internal enum TransportChoice
{
    Auto,
    Epoll,
    Pipelines,
}

/// <summary>All options after the command line, the environment and the settings file have been read; memcached's defaults.</summary>
internal sealed partial class ServeOptions
{
    public Verb Verb { get; set; } = Verb.Serve;

    /// <summary>0: no TCP; -1: any free port.</summary>
    public int Port { get; set; } = 11211;

    /// <summary>-l as it was given, null if it was not.</summary>
    public string? Listen { get; set; }

    public string? SocketPath { get; set; }

    public int SocketMode { get; set; } = 0x1C0; // 0700

    public long MemoryBytes { get; set; } = 64L * 1024 * 1024;

    /// <summary>A long, so that the checks see what was asked for.</summary>
    public long ItemBytesMax { get; set; } = Limits.ItemBytesDefault;

    public bool NoEviction { get; set; }

    public bool NoCas { get; set; }

    public int ChunkBytesMin { get; set; } = 48;

    public double GrowthFactor { get; set; } = 1.25;

    public bool LockMemory { get; set; }

    public int ConnectionsMax { get; set; } = 1024;

    /// <summary>Descriptors that the process needs beside its clients' connections; set before it serves.</summary>
    public int ReservedDescriptors { get; set; }

    /// <summary>I/O loops.</summary>
    public int Threads { get; set; } = Environment.ProcessorCount;

    public WireProtocol Protocol { get; set; }

    /// <summary>-B was given: memcached's checks of -Y and -S ask for it.</summary>
    public bool ProtocolGiven { get; set; }

    public string? AuthFile { get; set; }

    public bool SaslEnabled { get; set; }

    public bool TlsEnabled { get; set; }

    public TlsOptions Tls { get; set; } = new();

    public int RequestsPerTurnMax { get; set; } = 20;

    public int Backlog { get; set; } = 1024;

    public int IdleTimeoutSeconds { get; set; }

    public TransportChoice Transport { get; set; } = TransportChoice.Auto;

    public bool FlushEnabled { get; set; } = true;

    public int Verbosity { get; set; }

    public Hosting.LogFormat LogFormat { get; set; }

    public bool Daemon { get; set; }

    public bool CoreDumps { get; set; }

    public string? PidFile { get; set; }

    /// <summary>-e; null: none.</summary>
    public string? MemoryFilePath { get; set; }

    /// <summary>--memory-file-age.</summary>
    public int MemoryFileAgeSeconds { get; set; } = 300;

    public string? User { get; set; }

    public string? SettingsFile { get; set; }

    /// <summary>--http; null: no HTTP port. Its port 0 is any free one.</summary>
    public string? HttpHost { get; set; }

    public int HttpPort { get; set; }

    public string? HttpTokenFile { get; set; }

    /// <summary>--otlp; null: metrics are sent nowhere.</summary>
    public Uri? Otlp { get; set; }

    public int PartitionCount { get; set; } = Limits.PartitionsDefault;

    /// <summary>First of the cluster options that was given, as messages name it; null if none was: then the node stands alone.</summary>
    public string? ClusterOption { get; set; }

    /// <summary>HOST:PORT each.</summary>
    public List<string> Join { get; set; } = [];

    /// <summary>--seeds.</summary>
    public int SeedCount { get; set; } = 3;

    /// <summary>--seed-port; null: above the silo port, as usual.</summary>
    public int? SeedPort { get; set; }

    /// <summary>--data-dir as it was given; null if it was not.</summary>
    public string? DataDirectory { get; set; }

    public int JoinTimeoutSeconds { get; set; } = 15;

    public int DrainTimeoutSeconds { get; set; } = 60;

    public string? ClusterSecretFile { get; set; }

    public string? ClusterTlsCertificateFile { get; set; }

    public string? ClusterTlsKeyFile { get; set; }

    public string? ClusterTlsAuthorityFile { get; set; }

    public bool AllowInsecureCluster { get; set; }

    public bool AllowGateways { get; set; }

    /// <summary>Where the silo's ports listen, if not at the advertised address.</summary>
    public string? SiloListenHost { get; set; }

    public string? ClusteringName { get; set; }

    public string? ConnectionString { get; set; }

    public string ClusterId { get; set; } = "orleanscache";

    public int SiloPort { get; set; } = 11111;

    public string? AdvertisedHost { get; set; }

    public int Replicas { get; set; } = 1;

    public bool IsReplicationAsynchronous { get; set; }

    public string? Zone { get; set; }

    /// <summary>--move-limit; 0: none.</summary>
    public long MoveLimitBytesPerSecond { get; set; }

    /// <summary>--wire-version; null: the newest.</summary>
    public byte? WireVersionMax { get; set; }

    /// <summary>What was accepted with a remark; printed before the node starts.</summary>
    public List<string> Warnings { get; } = [];

    public bool WantsCluster => Verb == Verb.Gateway || ClusterOption is not null;
}
