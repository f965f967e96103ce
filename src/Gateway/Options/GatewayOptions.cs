using System.Net;
using OrleansCache.Gateway.Passwords;
using OrleansCache.Gateway.Tls;

namespace OrleansCache.Gateway.Options;

/// <summary>How bytes reach the sessions.</summary>
public enum TransportKind
{
    /// <summary>Epoll where it exists (Linux), else Pipelines.</summary>
    Auto = 0,

    /// <summary>Own epoll loops. Linux only.</summary>
    Epoll,

    /// <summary>System.IO.Pipelines over Kestrel's socket transport.</summary>
    Pipelines,
}

/// <summary>What a gateway is started with; memcached's options in memcached's meanings.</summary>
public sealed record GatewayOptions
{
    /// <summary>-l and -p: where to listen by TCP, see <see cref="GatewayServer.EndPoints"/>. May be empty if there is a UNIX socket.</summary>
    public IReadOnlyList<ListenerOptions> Listeners { get; init; } = [];

    /// <summary>-B: for the UNIX socket, and for what `stats settings` shows.</summary>
    public WireProtocol Protocol { get; init; }

    /// <summary>-Y: text connections must log in first. Null: nobody need.</summary>
    public PasswordCheck? TextPasswords { get; init; }

    /// <summary>-S: binary connections must log in first. Null: SASL is off.</summary>
    public PasswordCheck? SaslPasswords { get; init; }

    /// <summary>-Z: the certificates of the listeners that speak TLS; must be there if one does.</summary>
    public TlsCertificates? Tls { get; init; }

    /// <summary>-s: path of a UNIX socket to listen on. A socket file that nobody listens on any more is replaced.</summary>
    public string? UnixSocketPath { get; init; }

    /// <summary>-a: permission bits of the socket file.</summary>
    public int UnixSocketMode { get; init; } = 0b111_000_000;

    /// <summary>-t: I/O loops.</summary>
    public int Threads { get; init; } = 4;

    /// <summary>-c: connections beyond this get an error and are closed.</summary>
    public int ConnectionsMax { get; init; } = 1024;

    /// <summary>-I.</summary>
    public int ItemBytesMax { get; init; } = Limits.ItemBytesDefault;

    /// <summary>
    /// -o read_buf_mem_limit: bytes that the buffers of all connections may hold, in which requests arrive and replies wait. Values that are sent from the
    /// store's memory are not in it.
    /// </summary>
    public long BufferBytesMax { get; init; } = Limits.BufferBytesDefault;

    /// <summary>Descriptors that the process keeps for itself, for `stats`.</summary>
    public int ReservedDescriptors { get; init; }

    /// <summary>-o idle_timeout: a connection that was silent for so long is closed; 0 = never.</summary>
    public int IdleTimeoutSeconds { get; init; }

    public TransportKind Transport { get; init; }

    /// <summary>False with -F: flush_all is refused.</summary>
    public bool FlushEnabled { get; init; } = true;

    /// <summary>
    /// -R: requests of one connection that are carried out at most before its neighbours get their turn. The bytes of a turn are bounded, too: <see
    /// cref="Limits.OutputBytesPerTurn"/>.
    /// </summary>
    public int RequestsPerEvent { get; init; } = 20;

    /// <summary>-b.</summary>
    public int Backlog { get; init; } = 1024;

    /// <summary>-v at the start; `verbosity` changes it, see <see cref="VerbosityChanged"/>.</summary>
    public int Verbosity { get; init; }

    /// <summary>`verbosity` has been sent: the log level follows. Called on an I/O loop; does not block.</summary>
    public Action<int>? VerbosityChanged { get; init; }

    /// <summary>
    /// -U: where to answer datagrams. Never with <see cref="TextPasswords"/> or <see cref="SaslPasswords"/>: a datagram cannot log in, and its sender's address
    /// can be forged.
    /// </summary>
    public IReadOnlyList<IPEndPoint> UdpEndPoints { get; init; } = [];

    /// <summary>-A: what `shutdown` (false) and `shutdown graceful` (true) do; null: the command is refused. Called on an I/O loop; does not block.</summary>
    public Action<bool>? Shutdown { get; init; }

    /// <summary>-A: what `drain` does; null: the command is refused. Returns why it cannot be, or null. Called on an I/O loop; does not block.</summary>
    public Func<string?>? Drain { get; init; }

    /// <summary>-D: what ends the prefix of a key in `stats detail`.</summary>
    public char PrefixDelimiter { get; init; } = ':';

    /// <summary>-D: `stats detail` counts from the start.</summary>
    public bool DetailEnabled { get; init; }

    /// <summary>False with -X: no stats cachedump, stats detail, lru_crawler metadump and mgdump.</summary>
    public bool DumpingEnabled { get; init; } = true;

    /// <summary>Latencies of commands are measured, and keys sampled: see <see cref="GatewayServer.ReadCommands"/>.</summary>
    public bool MeterCommands { get; init; }

    /// <summary>False with -W: watch is refused.</summary>
    public bool WatchEnabled { get; init; } = true;

    /// <summary>-o watcher_logbuf_size: bytes that a watcher may be behind.</summary>
    public int WatcherLogBytesMax { get; init; } = 256 * 1024;

    /// <summary>-o worker_logbuf_size: bytes of log that an I/O loop keeps until they are passed on to the watchers.</summary>
    public int WorkerLogBytesMax { get; init; } = 64 * 1024;

    /// <summary>-o track_sizes: `stats sizes` counts from the start.</summary>
    public bool TrackSizes { get; init; }

    /// <summary>-o lru_*, slab_* and the like, as they are at the start; the commands `lru`, `lru_crawler` and `slabs` change them.</summary>
    public LruSettings Lru { get; init; } = new();

    /// <summary>For tests: the clock that the gateway was started with, which `debugtime` stops and moves. Null: there is no such command.</summary>
    public DebugClock? DebugClock { get; init; }

    /// <summary>What `stats settings` shows beyond, or instead of, what the gateway knows itself; in this order behind the gateway's own lines.</summary>
    public IReadOnlyList<KeyValuePair<string, string>> Settings { get; init; } = [];

    /// <summary>What `version` answers. Clients parse it, so it begins with memcached's number.</summary>
    public string Version { get; init; } = "1.6.45";
}
