using OrleansCache.Gateway.Options;

namespace OrleansCache.Silo.Options;

/// <summary>
/// Every option of `serve` and `gateway`. The single source: parsing, the environment, the settings file, the help text and docs/options.md read this table.
/// The rows with <see cref="Option.IsMemcached"/> carry memcached 1.6's letters, names and meanings; where a value is wrong, its words too.
/// </summary>
internal static partial class OptionTable
{
    private const int LoopsMax = 1024;

    public static IReadOnlyList<Option> All { get; } = [.. Memcached(), .. Own()];

    /// <summary>Those that a person is told of.</summary>
    public static IEnumerable<Option> Shown => All.Where(option => !option.IsHidden);

    public static Option? ByLetter(char letter) => All.FirstOrDefault(option => option.Short == letter && letter != '\0');

    private static IEnumerable<Option> Memcached() =>
    [
        new()
        {
            Short = 'p', Long = "port", Argument = "num", Default = "11211", Group = OptionGroup.Listening, IsMemcached = true,
            Help = "TCP port to listen on; -1 takes any free one",
            Apply = (o, text) =>
            {
                if (!Values.TryInteger(text, out long value))
                    return Values.NotANumber(text);
                if (value is < -1 or > 65535)
                    return $"ERROR: Invalid port number {text}.";
                o.Port = (int)value;
                o.PortGiven = true;
                return null;
            },
        },
        new()
        {
            Short = 'l', Long = "listen", Kind = OptionKind.List, Argument = "addr", Default = "127.0.0.1", Group = OptionGroup.Listening, IsMemcached = true,
            Help = "addresses to listen on, separated by commas: host, host:port, [v6], [v6]:port, or * for every interface. "
                + "(memcached's own default is every interface; here that has to be said.)",
            Apply = (o, text) => ListenSpec.TryParse(text, o.Port, out _, out string? error) ? Done(() => o.Listen = text) : error,
        },
        new()
        {
            Short = 's', Long = "unix-socket", Argument = "file", Group = OptionGroup.Listening, IsMemcached = true,
            Help = "UNIX socket to listen on (disables network support)",
            Apply = (o, text) => text.Length == 0 ? "No path given for the UNIX socket" : Done(() => o.SocketPath = text),
        },
        new()
        {
            Short = 'a', Long = "unix-mask", Argument = "mask", Default = "700", Group = OptionGroup.Listening, IsMemcached = true,
            Help = "access mask of the UNIX socket, in octal",
            Apply = (o, text) => Values.TryOctal(text, out int mode) ? Done(() => o.SocketMode = mode) : $"\"{text}\" is not an octal access mask such as 700",
        },
        new()
        {
            Short = 'U', Long = "udp-port", Argument = "num", Default = "0, off", Group = OptionGroup.Listening, IsMemcached = true,
            Help = "UDP port to answer datagrams on, at the addresses of -l; -1 takes any free one. Without -p it is the TCP port too. "
                + "A reply of more than 64 KiB is refused, and there is no UDP with authentication",
            Apply = (o, text) => !Values.TryInteger(text, out long value) ? Values.NotANumber(text)
                : value is < -1 or > 65535 ? $"ERROR: Invalid port number {text}."
                : Done(() => o.UdpPort = (int)value),
        },
        new()
        {
            Short = 'm', Long = "memory-limit", Argument = "num", Default = "64", Group = OptionGroup.Memory, IsMemcached = true,
            Help = "memory for items in megabytes (or with g: -m 2g)",
            Apply = (o, text) => Values.TryMegabytes(text, out long bytes) ? Done(() => o.MemoryBytes = bytes) : $"\"{text}\" is not a number of megabytes",
        },
        new()
        {
            Short = 'I', Long = "max-item-size", Argument = "num", Default = "1m, min: 1k, max: 1024m", Group = OptionGroup.Memory, IsMemcached = true,
            Help = "largest item, with its key and header; bytes, or with k or m",
            Apply = (o, text) => Values.TryBytes(text, out long bytes) ? Done(() => o.ItemBytesMax = bytes) : $"\"{text}\" is not a size such as 1m",
        },
        new()
        {
            Short = 'M', Long = "disable-evictions", Kind = OptionKind.Flag, Group = OptionGroup.Memory, IsMemcached = true,
            Help = "return an error when the memory is exhausted, instead of evicting",
            Apply = (o, _) => Done(() => o.NoEviction = true),
        },
        new()
        {
            Short = 'f', Long = "slab-growth-factor", Argument = "num", Default = "1.25", Group = OptionGroup.Memory, IsMemcached = true,
            Help = "growth factor from one chunk size to the next",
            Apply = (o, text) => !Values.TryFraction(text, out double value) ? Values.NotANumber(text)
                : value <= 1.0 ? "Factor must be greater than 1"
                : Done(() => o.GrowthFactor = value),
        },
        new()
        {
            Short = 'n', Long = "slab-min-size", Argument = "bytes", Default = "48", Group = OptionGroup.Memory, IsMemcached = true,
            Help = "least space for key, value and flags in a chunk",
            Apply = (o, text) => Values.Count(text, 1, Limits.ItemBytesMin, "Chunk size must be greater than 0", value => o.ChunkBytesMin = value),
        },
        new()
        {
            Short = 'k', Long = "lock-memory", Kind = OptionKind.Flag, Group = OptionGroup.Memory, IsMemcached = true,
            Help = "lock the process's pages into memory as they are used; a warning if the system refuses",
            Apply = (o, _) => Done(() => o.LockMemory = true),
        },
        new()
        {
            Short = 'L', Long = "enable-largepages", Kind = OptionKind.Flag, State = OptionState.NoEffect, Group = OptionGroup.Memory, IsMemcached = true,
            Help = "large memory pages: left to the kernel's transparent huge pages",
        },
        new()
        {
            Short = 'c', Long = "conn-limit", Argument = "num", Default = "1024", Group = OptionGroup.Connections, IsMemcached = true,
            Help = "most connections at a time",
            Apply = (o, text) => Values.Count(text, 1, int.MaxValue, "Maximum connections must be greater than 0", value => o.ConnectionsMax = value),
        },
        new()
        {
            Short = 't', Long = "threads", Argument = "num", Default = "one per processor", Group = OptionGroup.Connections, IsMemcached = true,
            Help = "I/O threads",
            Apply = (o, text) => Values.Count(text, 1, LoopsMax, "Number of threads must be greater than 0", value =>
            {
                o.Threads = value;
                if (value > 64)
                    o.Warnings.Add("WARNING: Setting a high number of worker threads is not recommended. Set this value to the number of cores in "
                        + "your machine or less.");
            }),
        },
        new()
        {
            Short = 'b', Long = "listen-backlog", Argument = "num", Default = "1024", Group = OptionGroup.Connections, IsMemcached = true,
            Help = "limit of the queue of connections that wait to be accepted",
            Apply = (o, text) => Values.Count(text, 1, int.MaxValue, "The backlog must be greater than 0", value => o.Backlog = value),
        },
        new()
        {
            Short = 'R', Long = "max-reqs-per-event", Argument = "num", Default = "20", Group = OptionGroup.Connections, IsMemcached = true,
            Help = "requests of one connection that are processed before its neighbours have their turn",
            Apply = (o, text) =>
                Values.Count(text, 1, int.MaxValue, "Number of requests per event must be greater than 0", value => o.RequestsPerTurnMax = value),
        },
        new()
        {
            Short = 'B', Long = "protocol", Argument = "name", Default = "auto", Group = OptionGroup.Commands, IsMemcached = true,
            Help = "protocol: auto (a connection's first byte decides), ascii or binary",
            Apply = (o, text) => text switch
            {
                "auto" => Done(() => (o.Protocol, o.ProtocolGiven) = (WireProtocol.Auto, true)),
                "ascii" => Done(() => (o.Protocol, o.ProtocolGiven) = (WireProtocol.Ascii, true)),
                "binary" => Done(() => (o.Protocol, o.ProtocolGiven) = (WireProtocol.Binary, true)),
                _ => $"Invalid value for binding protocol: {text}\n -- should be one of auto, binary, or ascii"
                    + (Values.TryInteger(text, out _) ? $" (for the TCP port: --port {text})" : ""),
            },
        },
        new()
        {
            Short = 'C', Long = "disable-cas", Kind = OptionKind.Flag, Group = OptionGroup.Commands, IsMemcached = true,
            Help = "disable use of CAS",
            Apply = (o, _) => Done(() => o.NoCas = true),
        },
        new()
        {
            Short = 'F', Long = "disable-flush-all", Kind = OptionKind.Flag, Group = OptionGroup.Commands, IsMemcached = true,
            Help = "disable the flush_all command",
            Apply = (o, _) => Done(() => o.FlushEnabled = false),
        },
        new()
        {
            Short = 'X', Long = "disable-dumping", Kind = OptionKind.Flag, Group = OptionGroup.Commands, IsMemcached = true,
            Help = "disable stats cachedump, stats detail, lru_crawler metadump and lru_crawler mgdump",
            Apply = (o, _) => Done(() => o.DumpingEnabled = false),
        },
        new()
        {
            Short = 'W', Long = "disable-watch", Kind = OptionKind.Flag, Group = OptionGroup.Commands, IsMemcached = true,
            Help = "disable the watch command (live logging)",
            Apply = (o, _) => Done(() => o.WatchEnabled = false),
        },
        new()
        {
            Short = 'A', Long = "enable-shutdown", Kind = OptionKind.Flag, Group = OptionGroup.Commands, IsMemcached = true,
            Help = "enable the text commands shutdown, drain, seeds and moves, which anybody who can connect may send",
            Apply = (o, _) => Done(() => o.ShutdownEnabled = true),
        },
        new()
        {
            Short = 'D', Long = "prefix-delimiter", Argument = "char", Default = ":", Group = OptionGroup.Commands, IsMemcached = true,
            Help = "what ends the prefix of a key, for stats detail; given, it also switches the counting on",
            Apply = (o, text) => text.Length == 0 ? "No delimiter specified"
                : text[0] is < '!' or > '~' ? "The delimiter must be a visible ASCII character"
                : Done(() => (o.PrefixDelimiter, o.DetailEnabled) = (text[0], true)),
        },
        .. Security(),
        new()
        {
            Short = 'e', Long = "memory-file", Argument = "file", Group = OptionGroup.Memory, IsMemcached = true,
            Help = "keep the items in this file too, so that a restart finds them again, after kill -9 as well; best on a memory file system "
                + "(/dev/shm), because the "
                + "system writes what changes to any other. It takes -m at once, and begins empty with other options. In a silo: after the whole "
                + "cluster was down (docs/cluster.md)",
            Apply = (o, text) => text.Length == 0 ? "No path given for the memory file" : Done(() => o.MemoryFilePath = Path.GetFullPath(text)),
        },
        new()
        {
            Short = 'N', Long = "napi-ids", Argument = "num", State = OptionState.NoEffect, Group = OptionGroup.Connections, IsMemcached = true,
            Help = "choice of the thread by the network card's queue: connections are dealt out to the threads in turn",
            Apply = (o, text) => Values.Count(text, 1, int.MaxValue, "Maximum number of NAPI IDs must be greater than 0", value => o.NapiIds = value),
        },
        new()
        {
            Short = 'o', Long = "extended", Kind = OptionKind.List, Argument = "a,b=c", Group = OptionGroup.Process, IsMemcached = true,
            Help = "memcached's extended options, separated by commas; listed below",
            Apply = ExtendedOptions.Apply,
        },
        new()
        {
            Short = 'd', Long = "daemon", Kind = OptionKind.Flag, Group = OptionGroup.Process, IsMemcached = true,
            Help = "run as a daemon; the command returns when the daemon serves, or with its error",
            Apply = (o, _) => Done(() => o.Daemon = true),
        },
        new()
        {
            Short = 'P', Long = "pidfile", Argument = "file", Group = OptionGroup.Process, IsMemcached = true,
            Help = "save the process id in this file; removed at the end",
            Apply = (o, text) => text.Length == 0 ? "No path given for the pid file" : Done(() => o.PidFile = text),
        },
        new()
        {
            Short = 'u', Long = "user", Argument = "user", Group = OptionGroup.Process, IsMemcached = true,
            Help = "assume the identity of this user (only when run as root, which here may also serve as it is)",
            Apply = (o, text) => text.Length == 0 ? "No user given" : Done(() => o.User = text),
        },
        new()
        {
            Short = 'r', Long = "enable-coredumps", Kind = OptionKind.Flag, Group = OptionGroup.Process, IsMemcached = true,
            Help = "raise the limit of core files as far as it goes",
            Apply = (o, _) => Done(() => o.CoreDumps = true),
        },
        new()
        {
            Short = 'v', Long = "verbose", Kind = OptionKind.Counter, Group = OptionGroup.Process, IsMemcached = true,
            Help = "-v says more than warnings, joins, leaves and moves; -vv much more (with stack traces), -vvv everything",
            Apply = (o, text) => Values.Count(text, 0, 100, "Verbosity must not be negative", value => o.Verbosity = value),
        },
        new()
        {
            Short = 'h', Long = "help", Kind = OptionKind.Flag, Group = OptionGroup.Process, IsMemcached = true,
            Help = "print this help and exit",
            Apply = (o, _) => Done(() => o.Verb = Verb.Help),
        },
        new()
        {
            Short = 'V', Long = "version", Kind = OptionKind.Flag, Group = OptionGroup.Process, IsMemcached = true,
            Help = "print the version and exit",
            Apply = (o, _) => Done(() => o.Verb = Verb.Version),
        },
        new()
        {
            Short = 'i', Long = "license", Kind = OptionKind.Flag, Group = OptionGroup.Process, IsMemcached = true,
            Help = "print what this program is built from and exit",
            Apply = (o, _) => Done(() => o.Verb = Verb.License),
        },
    ];

    private static string? Done(Action action)
    {
        action();
        return null;
    }
}
