using System.Globalization;
using OrleansCache.Gateway.Options;
using OrleansCache.Silo.Options;

namespace OrleansCache.Silo.Tests;

/// <summary>The command line by getopt's rules, and memcached's options in memcached's meanings.</summary>
public sealed class OptionParsingTests
{
    private static readonly Dictionary<string, Func<ServeOptions, object?>> Readers = new()
    {
        ["port"] = o => o.Port,
        ["listen"] = o => o.Listen,
        ["socket"] = o => o.SocketPath,
        ["mode"] = o => Convert.ToString(o.SocketMode, 8),
        ["memory"] = o => o.MemoryBytes,
        ["item"] = o => o.ItemBytesMax,
        ["noeviction"] = o => o.NoEviction,
        ["nocas"] = o => o.NoCas,
        ["flush"] = o => o.FlushEnabled,
        ["factor"] = o => o.GrowthFactor,
        ["chunk"] = o => o.ChunkBytesMin,
        ["connections"] = o => o.ConnectionsMax,
        ["threads"] = o => o.Threads,
        ["backlog"] = o => o.Backlog,
        ["requests"] = o => o.RequestsPerTurnMax,
        ["idle"] = o => o.IdleTimeoutSeconds,
        ["verbosity"] = o => o.Verbosity,
        ["logformat"] = o => o.LogFormat.ToString(),
        ["daemon"] = o => o.Daemon,
        ["pidfile"] = o => o.PidFile,
        ["user"] = o => o.User,
        ["lock"] = o => o.LockMemory,
        ["partitions"] = o => o.PartitionCount,
        ["verb"] = o => o.Verb.ToString(),
        ["transport"] = o => o.Transport.ToString(),
        ["protocol"] = o => o.Protocol.ToString(),
        ["siloport"] = o => o.SiloPort,
        ["join"] = o => string.Join(' ', o.Join),
        ["secret"] = o => o.ClusterSecretFile!,
        ["insecure"] = o => o.AllowInsecureCluster,
        ["gateways"] = o => o.AllowGateways,
        ["drain"] = o => o.DrainTimeoutSeconds,
        ["join-time"] = o => o.JoinTimeoutSeconds,
        ["seeds"] = o => o.SeedCount,
        ["seed-port"] = o => o.SeedPort ?? 0,
        ["data-dir"] = o => o.DataDirectory ?? "",
        ["clusterid"] = o => o.ClusterId,
        ["connection"] = o => o.ConnectionString,
        ["cluster"] = o => o.WantsCluster,
        ["zone"] = o => o.Zone,
        ["udp"] = o => o.UdpPort,
        ["shutdown"] = o => o.ShutdownEnabled,
        ["delimiter"] = o => o.PrefixDelimiter.ToString(),
        ["detail"] = o => o.DetailEnabled,
        ["dumping"] = o => o.DumpingEnabled,
        ["watch"] = o => o.WatchEnabled,
        ["debugtime"] = o => o.DebugTimeEnabled,
        ["napi"] = o => o.NapiIds,
        ["watcherlog"] = o => o.WatcherLogBytesMax,
        ["workerlog"] = o => o.WorkerLogBytesMax,
        ["sizes"] = o => o.TrackSizes,
        ["lru"] = o => string.Create(CultureInfo.InvariantCulture,
            $"{o.Lru.HotPercent} {o.Lru.WarmPercent} {o.Lru.HotAgeFactor} {o.Lru.WarmAgeFactor} {o.Lru.TemporaryTtlSeconds}"),
        ["tuning"] = o => string.Create(
            CultureInfo.InvariantCulture, $"{o.Lru.Tuning.SmallPercent} {o.Lru.Tuning.TempTtlSeconds} {o.Lru.Tuning.IsFlat} {o.Lru.Tuning.MovesPages}"),
        ["crawler"] = o => string.Create(CultureInfo.InvariantCulture, $"{o.Lru.CrawlerEnabled} {o.Lru.CrawlerSleepMicroseconds} {o.Lru.CrawlerItemsMax}"),
        ["slabs"] = o => string.Create(CultureInfo.InvariantCulture,
            $"{o.Lru.SlabReassign} {o.Lru.SlabAutomove} {o.Lru.SlabAutomoveRatio} {o.Lru.SlabAutomoveWindow}"),
    };

    [Theory]
    [InlineData("", "port", 11211)]
    [InlineData("", "listen", null)]
    [InlineData("", "memory", 64L << 20)]
    [InlineData("", "item", 1L << 20)]
    [InlineData("", "connections", 1024)]
    [InlineData("", "mode", "700")]
    [InlineData("", "factor", 1.25)]
    [InlineData("", "chunk", 48)]
    [InlineData("", "backlog", 1024)]
    [InlineData("", "requests", 20)]
    [InlineData("", "idle", 0)]
    [InlineData("", "partitions", 256)]
    [InlineData("", "verb", "Serve")]
    [InlineData("help serve", "verb", "Help")]
    [InlineData("help gateway", "verb", "Help")]
    [InlineData("help build", "verb", "Help")]
    [InlineData("gateway --help", "verb", "Help")]
    [InlineData("", "logformat", "Text")]
    [InlineData("--log-format=json", "logformat", "Json")]
    [InlineData("", "cluster", false)]
    [InlineData("-p 11212", "port", 11212)]
    [InlineData("-p11212", "port", 11212)]
    [InlineData("--port=11212", "port", 11212)]
    [InlineData("--port 11212", "port", 11212)]
    [InlineData("--por 11212", "port", 11212)]
    [InlineData("-p -1", "port", -1)]
    [InlineData("-p 1 -p 2", "port", 2)]
    [InlineData("-m64", "memory", 64L << 20)]
    [InlineData("-m 1024", "memory", 1024L << 20)]
    [InlineData("-m 2g", "memory", 2048L << 20)]
    [InlineData("--memory-limit=100", "memory", 100L << 20)]
    [InlineData("-m 1000000", "memory", 1_000_000L << 20)]
    [InlineData("-I 2m", "item", 2L << 20)]
    [InlineData("-I 1k", "item", 1024L)]
    [InlineData("-I 500K", "item", 500L << 10)]
    [InlineData("-I 2000000", "item", 2_000_000L)]
    [InlineData("-m 4096 -I 1024m", "item", 1L << 30)]
    [InlineData("-M", "noeviction", true)]
    [InlineData("-C", "nocas", true)]
    [InlineData("-F", "flush", false)]
    [InlineData("-MCF", "nocas", true)]
    [InlineData("-MCFp11213", "port", 11213)]
    [InlineData("-dv", "verbosity", 1)]
    [InlineData("-dv", "daemon", true)]
    [InlineData("-vvv", "verbosity", 3)]
    [InlineData("-v -v", "verbosity", 2)]
    [InlineData("--verbose", "verbosity", 1)]
    [InlineData("--verb", "verbosity", 1)]
    [InlineData("--verbose=9", "verbosity", 1)]
    [InlineData("-l 127.0.0.1", "listen", "127.0.0.1")]
    [InlineData("-l a,b:1234", "listen", "a,b:1234")]
    [InlineData("-l a -l [::1]:5", "listen", "a,[::1]:5")]
    [InlineData("-s /tmp/x", "socket", "/tmp/x")]
    [InlineData("-a 0777", "mode", "777")]
    [InlineData("-a 660", "mode", "660")]
    [InlineData("-f 1.07", "factor", 1.07)]
    [InlineData("-n 72", "chunk", 72)]
    [InlineData("-c 9", "connections", 9)]
    [InlineData("--conn 9", "connections", 9)]
    [InlineData("-t 3", "threads", 3)]
    [InlineData("-b 5", "backlog", 5)]
    [InlineData("-R 7", "requests", 7)]
    [InlineData("-o idle_timeout=30", "idle", 30)]
    [InlineData("-o modern,idle_timeout=30,no_lru_crawler", "idle", 30)]
    [InlineData("-o idle_timeout=30 -o modern", "idle", 30)]
    [InlineData("-o hashpower=20,slab_reassign,slab_automove=1,lru_maintainer,hash_algorithm=murmur3", "idle", 0)]
    [InlineData("-P /tmp/pid", "pidfile", "/tmp/pid")]
    [InlineData("-u nobody", "user", "nobody")]
    [InlineData("-k", "lock", true)]
    [InlineData("-U 0 -B auto -L -X -W -r", "port", 11211)]
    [InlineData("-B auto", "protocol", "Auto")]
    [InlineData("-B ascii", "protocol", "Ascii")]
    [InlineData("-B binary", "protocol", "Binary")]
    [InlineData("--partitions 16", "partitions", 16)]
    [InlineData("--transport pipelines", "transport", "Pipelines")]
    [InlineData("-U 11300", "udp", 11300)]
    [InlineData("-U 11300", "port", 11300)]
    [InlineData("-U -1", "port", -1)]
    [InlineData("-U 11300 -p 5", "port", 5)]
    [InlineData("-p 0 -U 11300", "port", 0)]
    [InlineData("-p 5 -U 0", "udp", 0)]
    [InlineData("-A", "shutdown", true)]
    [InlineData("-D /", "delimiter", "/")]
    [InlineData("-D::", "delimiter", ":")]
    [InlineData("-D.", "detail", true)]
    [InlineData("", "detail", false)]
    [InlineData("-X", "dumping", false)]
    [InlineData("-W", "watch", false)]
    [InlineData("-t 4 -N 4", "napi", 4)]
    [InlineData("--enable-debugtime", "debugtime", true)]
    [InlineData("-o watcher_logbuf_size=512,worker_logbuf_size=32", "watcherlog", 512L << 10)]
    [InlineData("-o watcher_logbuf_size=512,worker_logbuf_size=32", "workerlog", 32L << 10)]
    [InlineData("-o track_sizes", "sizes", true)]
    [InlineData("-o hot_lru_pct=10,warm_lru_pct=30,hot_max_factor=0.5,warm_max_factor=3,temporary_ttl=99", "lru", "10 30 0.5 3 99")]
    [InlineData("-m 64", "tuning", "5 0 False True")]
    [InlineData("-o hot_lru_pct=10,warm_lru_pct=30,temporary_ttl=99,slab_automove=2", "tuning", "10 99 False True")]
    [InlineData("-o no_lru_maintainer,slab_automove=0", "tuning", "5 0 True False")]
    [InlineData("-o no_lru_maintainer,lru_maintainer,no_slab_automove,slab_automove", "tuning", "5 0 False True")]
    [InlineData("-o no_slab_reassign", "tuning", "5 0 False False")]
    [InlineData("-o no_modern", "tuning", "5 0 True False")]
    [InlineData("-o temporary_ttl=-1", "tuning", "5 0 False True")]
    [InlineData("-o lru_crawler_sleep=7,lru_crawler_tocrawl=4000000000,no_lru_crawler", "crawler", "False 7 4000000000")]
    [InlineData("-o no_slab_reassign,slab_automove=2,slab_automove_ratio=0.5,slab_automove_window=30", "slabs", "False 2 0.5 30")]
    [InlineData("-o no_slab_automove,slab_automove", "slabs", "True 1 0.8 10")]
    [InlineData("-o no_modern", "slabs", "False 0 0.8 10")]
    [InlineData("-o slab_sizes=100-200-500-1000,ext_page_size=8,ext_drop_unread,slab_automove_freeratio=0.02", "idle", 0)]
    [InlineData("serve -p 5", "port", 5)]
    [InlineData("-p 5 serve", "verb", "Serve")]
    [InlineData("-p 5 -- serve", "verb", "Serve")]
    [InlineData("help", "verb", "Help")]
    [InlineData("-h", "verb", "Help")]
    [InlineData("-vh", "verb", "Help")]
    [InlineData("--help --http=3", "verb", "Help")]
    [InlineData("version", "verb", "Version")]
    [InlineData("-V", "verb", "Version")]
    [InlineData("-i", "verb", "License")]
    [InlineData("gateway --join h:1", "verb", "Gateway")]
    [InlineData("gateway --join h:1", "join", "h:1")]
    [InlineData("gateway --join h:1,i:2 --join j:3", "join", "h:1 i:2 j:3")]
    [InlineData("--join h:1 --cluster-secret-file f", "secret", "f")]
    [InlineData("--silo-port 1 --allow-insecure-cluster", "insecure", true)]
    [InlineData("--silo-port 1", "gateways", false)]
    [InlineData("--silo-port 1 --allow-gateways", "gateways", true)]
    [InlineData("--silo-port 1 --drain-timeout 5", "drain", 5)]
    [InlineData("--silo-port 1 --join-timeout 5", "join-time", 5)]
    [InlineData("--join h:1,[::1]:2 --join i:3", "join", "h:1 [::1]:2 i:3")]
    [InlineData("--silo-port 1", "seeds", 3)]
    [InlineData("--seeds 5", "seeds", 5)]
    [InlineData("--silo-port 1", "seed-port", 0)]
    [InlineData("--silo-port 1 --seed-port 99", "seed-port", 99)]
    [InlineData("--silo-port 1 --data-dir none", "data-dir", "none")]
    [InlineData("--silo-port 11111", "cluster", true)]
    [InlineData("--silo-port 11112", "siloport", 11112)]
    [InlineData("--join h:1", "cluster", true)]
    [InlineData("--cluster-id prod --zone a", "clusterid", "prod")]
    [InlineData("--cluster-id prod --zone a", "zone", "a")]
    [InlineData("--clustering postgres --connection Host=db", "connection", "Host=db")]
    [InlineData("--replicas 0", "cluster", true)]
    public void ALineSetsItsOption(string line, string reader, object? expected) => Assert.Equal(expected, Readers[reader](Lines.Read(line)));

    [Theory]
    [InlineData("-p", "option requires an argument -- 'p'")]
    [InlineData("--port", "option '--port' requires an argument")]
    [InlineData("-q", "invalid option -- 'q'")]
    [InlineData("-vq", "invalid option -- 'q'")]
    [InlineData("--foo", "unrecognized option '--foo'")]
    [InlineData("--prto=1", "did you mean '--port'?")]
    [InlineData("--memory-limt=1", "did you mean '--memory-limit'?")]
    [InlineData("--mem=1", "option '--mem' is ambiguous; possibilities: '--memory-limit' '--memory-file'")]
    [InlineData("--disable-cas=1", "option '--disable-cas' doesn't allow an argument")]
    [InlineData("-p x", "\"x\" is not a number")]
    [InlineData("-p 65536", "ERROR: Invalid port number 65536.")]
    [InlineData("-p -2", "ERROR: Invalid port number -2.")]
    [InlineData("-m x", "is not a number of megabytes")]
    [InlineData("-m 64k", "is not a number of megabytes")]
    [InlineData("-m 0", "-m, --memory-limit: 0 megabytes hold no item")]
    [InlineData("-port 11212", "'-port' has one dash too few: did you mean '--port'?")]
    [InlineData("-memory-limit=64", "did you mean '--memory-limit=64'?")]
    [InlineData("--prot 11212", "(for the TCP port: --port 11212)")]
    [InlineData("--log-format xml", "\"xml\" is neither text nor json")]
    [InlineData("help serv", "did you mean 'serve'?")]
    [InlineData("help serve now", "unexpected argument 'serve'")]
    [InlineData("-m 1", "Cannot set item size limit higher than 1/2 of memory max.")]
    [InlineData("-m -1", "is not a number of megabytes")]
    [InlineData("-m 99999999999999999999", "is not a number of megabytes")]
    [InlineData("-I 512", "Item max size cannot be less than 1024 bytes.")]
    [InlineData("-I 33m", "Cannot set item size limit higher than 1/2 of memory max.")]
    [InlineData("-m 8000 -I 1025m", "Cannot set item size limit higher than a gigabyte.")]
#if CLUSTER
    [InlineData("--silo-port 11111 -I 17m", "Cannot set item size limit higher than 16m in a cluster: items cross between silos in one message.")]
#endif
    [InlineData("-I k", "is not a size")]
    [InlineData("-c 0", "Maximum connections must be greater than 0")]
    [InlineData("-c x", "\"x\" is not a number")]
    [InlineData("-t 0", "Number of threads must be greater than 0")]
    [InlineData("-t 5000", "is more than the largest value, 1024")]
    [InlineData("-n 0", "Chunk size must be greater than 0")]
    [InlineData("-f 1", "Factor must be greater than 1")]
    [InlineData("-f 1,5", "\"1,5\" is not a number")]
    [InlineData("-R 0", "Number of requests per event must be greater than 0")]
    [InlineData("-a 999", "is not an octal access mask")]
    [InlineData("-B foo", "Invalid value for binding protocol: foo")]
    [InlineData("-U 65536", "ERROR: Invalid port number 65536.")]
    [InlineData("-U x", "\"x\" is not a number")]
    [InlineData("--memory-file=", "No path given for the memory file")]
    [InlineData("--memory-file-age 0", "The time must be greater than 0")]
    [InlineData("--prefix-delimiter=", "No delimiter specified")]
    [InlineData("-D é", "The delimiter must be a visible ASCII character")]
    [InlineData("-N 0", "Maximum number of NAPI IDs must be greater than 0")]
    [InlineData("-t 2 -N 3", "Number of napi_ids(3) cannot be greater than number of threads(2)")]
    [InlineData("-o hot_lru_pct=80", "hot_lru_pct must be > 1 and < 80")]
    [InlineData("-o warm_lru_pct=61", "hot_lru_pct + warm_lru_pct cannot be more than 80% combined")]
    [InlineData("-o hot_lru_pct=50,warm_lru_pct=40", "hot_lru_pct + warm_lru_pct cannot be more than 80% combined")]
    [InlineData("-o temporary_ttl=5,no_lru_maintainer", "temporary_ttl requires lru_maintainer to be enabled")]
    [InlineData("-o slab_sizes=100-90", "slab size 90 cannot be lower than or equal to a previous class size")]
    [InlineData("-o slab_sizes=100-104", "slab size 104 must be at least 8 bytes larger than previous class")]
    [InlineData("-o slab_sizes=10", "slab size 10 is out of valid range")]
    [InlineData("-o slab_sizes", "Missing slab_sizes argument")]
    [InlineData("-o proxy_config=x", "-o proxy_config cannot be used here: ")]
    [InlineData("-o watcher_logbuf_size=x", "watcher_logbuf_size: \"x\" is not a number")]
    [InlineData("--http :80", "is neither PORT nor HOST:PORT")]
    [InlineData("--http ::1:80", "is neither PORT nor HOST:PORT")]
    [InlineData("--http 70000", "is neither PORT nor HOST:PORT")]
    [InlineData("--http-token-file f", "--http-token-file belongs to --http, which is missing")]
    [InlineData("--otlp collector:4317", "is not an http:// or https:// URL")]
    [InlineData("-o foo", "Illegal suboption \"foo\"")]
    [InlineData("-o modern,foo=1", "Illegal suboption \"foo=1\"")]
    [InlineData("-o idle_timeout", "Missing numeric argument for idle_timeout")]
    [InlineData("-o hashpower=4", "Initial hashtable multiplier of 4 is too low")]
    [InlineData("-o slab_automove=3", "slab_automove must be between 0 and 2")]
    [InlineData("-o ext_path=/x:1G", "-o ext_path cannot be used here: ")]
    [InlineData("-l [::1", "Invalid IPV6 address")]
    [InlineData("-l 127.0.0.1:x", "Invalid port number: \"x\"")]
    [InlineData("-l notls:127.0.0.1", "'notls' option is valid only when SSL is enabled")]
    [InlineData("-l mtls:127.0.0.1", "'mtls' option is valid only when SSL is enabled")]
    [InlineData("-l btls:proto[ascii]:tag_a_:127.0.0.1:1", "'btls' option is valid only when SSL is enabled")]
    [InlineData("-Z -p 0", "ERROR: You cannot enable SSL without a TCP port.")]
    [InlineData("-Z -o ssl_chain_cert", "Missing ssl_chain_cert argument")]
    [InlineData("-Z -o ssl_chain_cert=", "Missing ssl_chain_cert argument")]
    [InlineData("-Z -o ssl_verify_mode=x", "could not parse argument to ssl_verify_mode")]
    [InlineData("-Z -o ssl_verify_mode=4", "Invalid ssl_verify_mode. Use help to see valid options.")]
    [InlineData("-Z -o ssl_min_version=4", "Invalid ssl_min_version. Use help to see valid options.")]
    [InlineData("-Z -o ssl_min_version=tlsv2", "could not parse argument to ssl_min_version")]
    [InlineData("-Z -o ssl_keyformat=ENGINE", "ssl_keyformat: keys in an engine cannot be used here; PEM and DER can")]
    [InlineData("-Z -o ssl_keyformat=3", "could not parse argument to ssl_keyformat")]
    [InlineData("-Z -o ssl_wbuf_size=-1", "could not parse argument to ssl_wbuf_size")]
    [InlineData("-S -B ascii", "ERROR: You cannot allow the ASCII protocol while using SASL.")]
    [InlineData("-S -B auto", "ERROR: You cannot allow the ASCII protocol while using SASL.")]
    [InlineData("-Y f -B binary", "ERROR: You cannot allow the BINARY protocol while using ascii authentication tokens.")]
    [InlineData("-Y f -B auto", "ERROR: You cannot allow the BINARY protocol while using ascii authentication tokens.")]
    [InlineData("-Y f -l proto[binary]:127.0.0.1", "Cannot use binary protocol when ascii authentication enabled")]
    [InlineData("-l proto[binaryx]:127.0.0.1", "Invalid protocol spec: \"proto[binaryx]:127.0.0.1\"")]
    [InlineData("-l tag[123456789]:127.0.0.1", "Listener tags must be between 1 and 8 characters")]
    [InlineData("serf", "did you mean 'serve'?")]
    [InlineData("serve now", "unexpected argument 'now'")]
    [InlineData("test", "./orleanscache test")]
    [InlineData("--partitions 0", "must be greater than 0")]
    [InlineData("--partitions 16385", "is more than the largest value, 16384")]
    [InlineData("--transport quic", "none of auto, epoll, pipelines")]
    [InlineData("--join here", "is not HOST:PORT")]
    [InlineData("--join h:0", "is not HOST:PORT")]
    [InlineData("--join h:1,i", "is not HOST:PORT")]
    [InlineData("--join h:64000", "a silo port is at most 63535")]
    [InlineData("--silo-port 1 --seeds 4", "is none of 1, 3, 5, 7")]
    [InlineData("--silo-port 11111 --seed-port 11111", "must lie above the silo port")]
    [InlineData("--silo-port 1 --cluster-tls-cert c", "needs --cluster-tls-cert and --cluster-tls-ca")]
    [InlineData("--silo-port 70000", "Invalid port number")]
    [InlineData("--clustering redis --connection x", "this version knows postgres")]
    [InlineData("--clustering postgres", "--clustering needs --connection")]
    [InlineData("gateway", "a gateway needs a cluster: --join HOST:PORT")]
    [InlineData("--connection x", "--connection belongs to --clustering")]
    [InlineData("--clustering postgres --connection x --join h:1", "exclude each other")]
    [InlineData("--settings /nowhere/at/all.json", "No such file or directory")]
    public void AWrongLineIsAUsageErrorWithItsReason(string line, string reason)
    {
        StartException exception = Assert.Throws<StartException>(() => Lines.Read(line));

        Assert.Contains(reason, exception.Message, StringComparison.Ordinal);
        Assert.Equal(ExitCode.Usage, exception.Code);
    }

    [Theory]
    [InlineData("--join h:1", "--join")]
    [InlineData("--silo-port 1", "--silo-port")]
    [InlineData("--clustering postgres --connection x", "--clustering")]
    [InlineData("--cluster-id x", "--cluster-id")]
    [InlineData("--replicas 0", "--replicas")]
    [InlineData("gateway", "`gateway`")]
    public void WithoutClusterSupportAClusterOptionSaysSo(string line, string named)
    {
        StartException exception = Assert.Throws<StartException>(() => OptionReader.Read(Lines.Split(line), _ => null, hasCluster: false));

        Assert.StartsWith("this build has no cluster support (Cluster=false): ", exception.Message, StringComparison.Ordinal);
        Assert.Contains(named, exception.Message, StringComparison.Ordinal);
        Assert.Equal(ExitCode.Usage, exception.Code);
    }

    [Theory]
    [InlineData("127.0.0.1", "127.0.0.1|11211")]
    [InlineData("127.0.0.1:5", "127.0.0.1|5")]
    [InlineData("a,b:5;c", "a|11211 b|5 c|11211")]
    [InlineData("a,a,a:11211", "a|11211")]
    [InlineData("*", "*|11211")]
    [InlineData("*:7", "*|7")]
    [InlineData("::1", "::1|11211")]
    [InlineData("[::1]", "::1|11211")]
    [InlineData("[::1]:9", "::1|9")]
    [InlineData("proto[ascii]:127.0.0.1:6", "127.0.0.1|6")]
    [InlineData("proto[binary]:127.0.0.1:6", "127.0.0.1|6")]
    [InlineData("proto[negotiating]:tag[web]:127.0.0.1:6", "127.0.0.1|6")]
    [InlineData("tag_tools_:127.0.0.1:6", "127.0.0.1|6")]
    [InlineData("host:-1", "host|0")]
    public void ListenersAreReadInMemcachedsGrammar(string text, string expected)
    {
        Assert.True(ListenSpec.TryParse(text, 11211, out List<ListenSpec> listeners, out string? error), error);
        Assert.Equal(expected, string.Join(" ", listeners.Select(listener => $"{listener.Host ?? "*"}|{listener.Port}")));
    }

    [Fact]
    public void ListenersSayWhatTheySpeak()
    {
        Assert.True(ListenSpec.TryParse("proto[ascii]:a,proto[binary]:b,proto[negotiating]:c,d", 1, out List<ListenSpec> listeners, out _));
        Assert.Equal([WireProtocol.Ascii, WireProtocol.Binary, WireProtocol.Auto, null], listeners.Select(listener => listener.Protocol));
    }

    /// <summary>The letters and names of memcached 1.6.45, so that no command line written for it fails here as unknown.</summary>
    [Fact]
    public void EveryOptionOfMemcachedIsKnown()
    {
        const string Letters = "aAZpsUmMckhiVrvdluPfntDLRCbBISFXWYeoN";
        const string WithValue = "apsUmcluPfntDRbBIYeoN";
        string[] names =
        [
            "unix-mask", "enable-shutdown", "enable-ssl", "port", "unix-socket", "udp-port", "memory-limit", "disable-evictions", "conn-limit",
            "lock-memory", "help", "license", "version", "enable-coredumps", "verbose", "daemon", "listen", "user", "pidfile", "slab-growth-factor",
            "slab-min-size", "threads", "enable-largepages", "max-reqs-per-event", "disable-cas", "listen-backlog", "protocol", "max-item-size",
            "enable-sasl", "disable-flush-all", "disable-dumping", "disable-watch", "auth-file", "memory-file", "extended", "napi-ids",
        ];

        Assert.All(Letters, letter => Assert.NotNull(OptionTable.ByLetter(letter)));
        Assert.All(Letters, letter => Assert.Equal(WithValue.Contains(letter, StringComparison.Ordinal), OptionTable.ByLetter(letter)!.TakesValue));
        Assert.All(names, name => Assert.Contains(OptionTable.All, option => option.Long == name && option.IsMemcached));
    }

    /// <summary>The names of memcached 1.6.45's -o, TLS, the proxy and external storage among them.</summary>
    [Fact]
    public void EveryExtendedOptionOfMemcachedIsKnown()
    {
        const string Names =
            "maxconns_fast hashpower no_hashexpand slab_reassign slab_automove slab_automove_ratio slab_automove_window tail_repair_time "
                + "hash_algorithm lru_crawler "
            + "lru_crawler_sleep lru_crawler_tocrawl lru_maintainer hot_lru_pct warm_lru_pct hot_max_factor warm_max_factor temporary_ttl "
            + "idle_timeout watcher_logbuf_size "
            + "worker_logbuf_size slab_sizes slab_chunk_max track_sizes no_inline_ascii_resp modern no_modern no_chunked_items no_slab_reassign "
            + "no_slab_automove "
            + "no_maxconns_fast inline_ascii_resp no_lru_crawler no_lru_maintainer no_drop_privileges drop_privileges relaxed_privileges "
            + "resp_obj_mem_limit read_buf_mem_limit "
            + "ssl_chain_cert ssl_key ssl_verify_mode ssl_keyformat ssl_ciphers ssl_ca_cert ssl_wbuf_size ssl_session_cache ssl_kernel_tls ssl_min_version "
            + "proxy_config proxy_arg proxy_uring proxy_memprofile sock_cookie_id ext_page_size ext_wbuf_size ext_threads ext_io_depth ext_path "
            + "ext_item_size ext_item_age "
            + "ext_low_ttl ext_recache_rate ext_compact_under ext_drop_under ext_max_sleep ext_max_frag ext_drop_unread slab_automove_freeratio";

        Assert.All(Names.Split(' '), name => Assert.Single(ExtendedOptions.All, option => option.Name == name));
    }

    [Fact]
    public void NoLetterAndNoNameStandsForTwoOptions()
    {
        Assert.Equal(OptionTable.All.Count, OptionTable.All.Select(option => option.Long).Distinct().Count());
        Assert.Equal(
            OptionTable.All.Count(option => option.Short != '\0'),
            OptionTable.All.Where(option => option.Short != '\0').Select(option => option.Short).Distinct().Count());
        Assert.All(OptionTable.All, option => Assert.True(option.State != OptionState.Works || option.Apply is not null, option.Long));
    }
}
