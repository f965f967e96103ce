using System.Globalization;
using System.Net;
using System.Text;
using OrleansCache.Gateway.Options;
using OrleansCache.Gateway.Tls;

namespace OrleansCache.Gateway.Stats;

/// <summary>
/// The replies of `stats`, with memcached 1.6.45's names, order and formats; docs/statistics.md says what each means here. Names of parts that this server does
/// not have are kept with the value that is true of it, because monitors ask for them. Cold: builds strings.
/// </summary>
internal static class StatsText
{
    /// <summary>Whether the reply takes longer than an I/O loop should be held up for: then <see cref="BuildAsync"/> must make it.</summary>
    public static bool TakesLong(GatewayShared shared, string arguments) => SubCommand(arguments) switch
    {
        "sizes" => shared.TracksSizes,
        "cluster" or "seeds" or "moves" => true,
        _ => false,
    };

    /// <summary>As <see cref="Build"/>, elsewhere.</summary>
    public static async Task<byte[]> BuildAsync(GatewayShared shared, uint nowUnixSeconds, string arguments)
    {
        if (SubCommand(arguments) == "cluster")
            return await ClusterText.StatisticsAsync(shared).ConfigureAwait(false);
        if (SubCommand(arguments) == "seeds")
            return await ClusterText.SeedsAsync(shared).ConfigureAwait(false);
        if (SubCommand(arguments) == "moves")
            return await ClusterText.MovesAsync(shared).ConfigureAwait(false);
        if (!TakesLong(shared, arguments))
            return Build(shared, nowUnixSeconds, arguments);
        var text = new Writer();
        foreach ((int size, long count) in await shared.Router.Stores.ReadSizesAsync(CancellationToken.None).ConfigureAwait(false))
            text.Add(Number(size), count);
        return text.End();
    }

    /// <summary>The whole reply. <paramref name="asker"/> is the connection that asks, if it is one that `stats conns` shows.</summary>
    public static byte[] Build(GatewayShared shared, uint nowUnixSeconds, string arguments, ConnectionInfo? asker = null)
    {
        string[] words = arguments.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        if (words.Length == 0)
            return General(shared, nowUnixSeconds);

        // memcached compares only as many characters as the client sent, so `stats set` means settings.
        string name = words[0];
        if (IsPrefix(name, "reset"))
        {
            shared.ResetCounters();
            shared.Router.ResetStatistics();
            shared.Router.Events.ResetStatistics();
            return Line("RESET");
        }

        if (IsPrefix(name, "detail"))
            return Detail(shared, words);
        if (IsPrefix(name, "settings"))
            return Settings(shared);
        if (IsPrefix(name, "cachedump"))
            return CacheDump(shared, words);
        if (IsPrefix(name, "conns"))
            return Connections(shared, nowUnixSeconds, asker);
        if (IsPrefix(name, "extstore"))
            return Line("END");
        switch (name)
        {
            case "items":
                return Items(shared);
            case "slabs":
                return Slabs(shared);
            case "memory":
                return MemoryText.Build(shared.Router.ReadStatistics(perClass: true));
            case "sizes":
                return Line("STAT sizes_status disabled\r\nEND"); // if not, BuildAsync answers
            case "sizes_disable":
                shared.TracksSizes = false;
                return Line("STAT sizes_status disabled\r\nEND");
            case "sizes_enable":
                shared.TracksSizes = true;
                return Line("STAT sizes_status enabled\r\nEND");
            default:
                return Line("ERROR");
        }
    }

    private static string SubCommand(string arguments) => arguments.Split(' ', 2)[0];

    private static bool IsPrefix(string word, string name) => name.StartsWith(word, StringComparison.Ordinal);

    private static byte[] Line(string text) => Encoding.ASCII.GetBytes(text + "\r\n");

    private static byte[] Detail(GatewayShared shared, string[] words)
    {
        if (!shared.Options.DumpingEnabled)
            return Line("CLIENT_ERROR stats detail not allowed");
        if (words.Length < 2)
            return Line(DetailUsage);
        if (IsPrefix(words[1], "on") || IsPrefix(words[1], "off"))
        {
            shared.Detail.IsEnabled = IsPrefix(words[1], "on");
            return Line("OK");
        }

        return IsPrefix(words[1], "dump") ? shared.Detail.Dump() : Line(DetailUsage);
    }

    private const string DetailUsage = "CLIENT_ERROR usage: stats detail on|off|dump";

    private static byte[] CacheDump(GatewayShared shared, string[] words)
    {
        if (!shared.Options.DumpingEnabled)
            return Line("CLIENT_ERROR stats cachedump not allowed");
        if (words.Length < 3)
            return Line("CLIENT_ERROR bad command line");
        if (!uint.TryParse(words[1], NumberStyles.None, CultureInfo.InvariantCulture, out uint id)
            || !uint.TryParse(words[2], NumberStyles.None, CultureInfo.InvariantCulture, out uint limit))
            return Line("CLIENT_ERROR bad command line format");
        IStoreAdmin stores = shared.Router.Stores;
        if (id >= Math.Max(Limits.SlabClassIdsMin, stores.ClassCount + 1))
            return Line("CLIENT_ERROR Illegal slab id");
        var text = new StringBuilder();
        foreach (ClassItem item in stores.ReadClass((int)id, limit is 0 or > int.MaxValue ? int.MaxValue : (int)limit, Limits.CacheDumpBytesMax))
        {
            text.Append("ITEM ").Append(Encoding.Latin1.GetString(item.Key))
                .Append(CultureInfo.InvariantCulture, $" [{item.ValueBytes} b; {item.ExpiresAt} s]\r\n");
            if (text.Length > Limits.CacheDumpBytesMax)
                break;
        }

        return Encoding.Latin1.GetBytes(text.Append("END\r\n").ToString());
    }

    private static byte[] General(GatewayShared shared, uint now)
    {
        GatewayStatistics gateway = shared.ReadStatistics();
        StoreStatistics store = shared.ReadStores();
        LruSettings lru = shared.Lru;
        Environment.ProcessCpuUsage cpu = Environment.CpuUsage;
        var text = new Writer();
        text.Add("pid", Environment.ProcessId);
        text.Add("uptime", Math.Max(0, now - shared.StartedAt.ToUnixTimeSeconds()));
        text.Add("time", now);
        text.Add("version", shared.Options.Version);
        text.Add("libevent", "2.1.12-stable");
        text.Add("pointer_size", IntPtr.Size * 8);
        text.Add("rusage_user", Seconds(cpu.UserTime));
        text.Add("rusage_system", Seconds(cpu.PrivilegedTime));
        text.Add("max_connections", gateway.ConnectionsMax);
        text.Add("curr_connections", gateway.ConnectionsCurrent);
        text.Add("total_connections", gateway.ConnectionsTotal);
        text.Add("rejected_connections", gateway.ConnectionsRejected);
        text.Add("connection_structures", gateway.ConnectionsCurrent);
        text.Add("response_obj_oom", gateway.Counters.RepliesRefused);
        text.Add("response_obj_count", gateway.ReplyBuffers);
        text.Add("response_obj_bytes", gateway.ReplyBufferBytes);
        text.Add("read_buf_count", gateway.ReadBuffers);
        text.Add("read_buf_bytes", gateway.ReadBufferBytes);
        text.Add("read_buf_bytes_free", gateway.ReadBufferBytesFree);
        text.Add("read_buf_oom", gateway.Counters.ReadBuffersRefused);
        text.Add("reserved_fds", shared.Options.ReservedDescriptors);
        text.Add("cmd_get", store.CmdGet);
        text.Add("cmd_set", store.CmdSet);
        text.Add("cmd_flush", gateway.Counters.CmdFlush);
        text.Add("cmd_touch", store.CmdTouch);
        text.Add("cmd_meta", gateway.Counters.CmdMeta);
        text.Add("get_hits", store.GetHits);
        text.Add("get_misses", store.GetMisses);
        text.Add("get_expired", store.GetExpired);
        text.Add("get_flushed", store.GetFlushed);
        text.Add("delete_misses", store.DeleteMisses);
        text.Add("delete_hits", store.DeleteHits);
        text.Add("incr_misses", store.IncrMisses);
        text.Add("incr_hits", store.IncrHits);
        text.Add("decr_misses", store.DecrMisses);
        text.Add("decr_hits", store.DecrHits);
        text.Add("cas_misses", store.CasMisses);
        text.Add("cas_hits", store.CasHits);
        text.Add("cas_badval", store.CasBadValue);
        text.Add("touch_hits", store.TouchHits);
        text.Add("touch_misses", store.TouchMisses);
        text.Add("store_too_large", store.StoreTooLarge + gateway.Counters.StoresTooLarge);
        text.Add("store_no_memory", store.StoreNoMemory);
        text.Add("auth_cmds", gateway.Counters.AuthCmds);
        text.Add("auth_errors", gateway.Counters.AuthErrors);
        if (shared.Options.IdleTimeoutSeconds > 0)
            text.Add("idle_kicks", gateway.Counters.ConnectionsIdleKicked);
        if (shared.Options.UdpEndPoints.Count > 0)
        {
            text.Add("udp_datagrams", gateway.Counters.Datagrams);
            text.Add("udp_dropped", gateway.Counters.DatagramsDropped);
            text.Add("udp_refused", gateway.Counters.DatagramsRefused);
            text.Add("udp_unsent", gateway.Counters.DatagramsUnsent);
        }

        text.Add("bytes_read", gateway.Counters.BytesRead);
        text.Add("bytes_written", gateway.Counters.BytesWritten);
        text.Add("limit_maxbytes", store.LimitMaxBytes);
        text.Add("accepting_conns", gateway.Accepting ? 1 : 0);
        text.Add("listen_disabled_num", gateway.ListenDisabled);
        text.Add("time_in_listen_disabled_us", gateway.ListenDisabledMicroseconds);
        text.Add("threads", gateway.Threads);
        text.Add("conn_yields", gateway.Counters.ConnectionYields);
        text.Add("hash_power_level", store.HashPowerLevel);
        text.Add("hash_bytes", store.HashBytes);
        text.Add("hash_is_expanding", 0);
        if (lru.SlabReassign)
        {
            text.Add("slab_reassign_rescues", store.SlabReassignRescues);
            text.Add("slab_reassign_chunk_rescues", store.SlabReassignChunkRescues);
            text.Add("slab_reassign_inline_reclaim", store.SlabReassignInlineReclaim);
            text.Zero("slab_reassign_busy_items", "slab_reassign_busy_deletes", "slab_reassign_busy_nomem");
            text.Add("slab_reassign_last_busy_status", "none");
            text.Add("slab_reassign_running", 0);
            text.Add("slabs_moved", store.SlabsMoved);
        }

        if (lru.CrawlerEnabled)
        {
            text.Add("lru_crawler_running", store.IsCrawling || gateway.Dumps > 0 ? 1 : 0);
            text.Add("lru_crawler_starts", store.CrawlerStarts + gateway.DumpsStarted);
        }

        if (lru.MaintainerEnabled)
            text.Add("lru_maintainer_juggles", store.MaintainerWakes);
        text.Add("malloc_fails", 0);
        EventLogStatistics log = shared.Router.Events.ReadStatistics();
        text.Add("log_worker_dropped", log.Dropped);
        text.Add("log_worker_written", log.Written);
        text.Add("log_watcher_skipped", log.Skipped);
        text.Add("log_watcher_sent", log.Sent);
        text.Add("log_watchers", log.Feeds);
        if (shared.Options.Tls is { } tls)
        {
            if (tls.Options.SessionCache)
                text.Add("ssl_new_sessions", shared.Tls.NewSessions);
            text.Add("ssl_handshake_errors", shared.Tls.HandshakeErrors);
            text.Add("ssl_proto_errors", shared.Tls.ProtocolErrors);
            text.Add("time_since_server_cert_refresh", Math.Max(0, now - tls.Current.ReadAt.ToUnixTimeSeconds()));
        }

        text.Zero("unexpected_napi_ids", "round_robin_fallback");
        text.Add("bytes", store.Bytes);
        text.Add("curr_items", store.CurrItems);
        text.Add("total_items", store.TotalItems);
        text.Add("slab_global_page_pool", store.PoolPages);
        text.Add("expired_unfetched", store.ExpiredUnfetched);
        text.Add("evicted_unfetched", store.EvictedUnfetched);
        if (lru.MaintainerEnabled)
            text.Add("evicted_active", store.EvictedActive);
        text.Add("evictions", store.Evictions);
        text.Add("reclaimed", store.Reclaimed);
        text.Add("crawler_reclaimed", store.CrawlerReclaimed);
        text.Add("crawler_items_checked", store.CrawlerItemsChecked);
        text.Add("lrutail_reflocked", store.LruTailReflocked);
        if (lru.MaintainerEnabled)
        {
            text.Add("moves_to_cold", 0);
            text.Add("moves_to_warm", store.MovesToWarm);
            text.Add("moves_within_lru", store.MovesWithinLru);
            text.Add("direct_reclaims", store.Evictions + store.Reclaimed);
            text.Add("lru_bumps_dropped", 0);
        }

        return text.End();
    }

    private static byte[] Settings(GatewayShared shared)
    {
        var text = new Writer();
        foreach ((string name, string value) in ReadSettings(shared))
            text.Add(name, value);
        return text.End();
    }

    /// <summary>The lines of `stats settings`.</summary>
    public static List<KeyValuePair<string, string>> ReadSettings(GatewayShared shared)
    {
        GatewayOptions options = shared.Options;
        LruSettings lru = shared.Lru;
        IPEndPoint? tcp = options.Listeners.Count > 0 ? options.Listeners[0].EndPoint : null;
        StoreStatistics store = shared.Router.ReadStatistics(perClass: false);
        var settings = new List<KeyValuePair<string, string>>
        {
            new("maxbytes", Number(store.LimitMaxBytes)),
            new("maxconns", Number(options.ConnectionsMax)),
            new("tcpport", Number(tcp?.Port ?? 0)),
            new("udpport", Number(options.UdpEndPoints.Count > 0 ? options.UdpEndPoints[0].Port : 0)),
            new("inter", tcp is null || tcp.Address.Equals(IPAddress.Any) ? "NULL" : tcp.Address.ToString()),
            new("verbosity", Number(shared.Verbosity)),
            new("oldest", "0"),
            new("evictions", "on"),
            new("domain_socket", options.UnixSocketPath ?? "NULL"),
            new("umask", Convert.ToString(options.UnixSocketMode, 8)),
            new("shutdown_command", YesNo(options.Shutdown is not null)),
            new("growth_factor", "1.25"),
            new("chunk_size", "48"),
            new("num_threads", Number(options.Threads)),
            new("num_threads_per_udp", Number(options.Threads)),
            new("stat_key_prefix", options.PrefixDelimiter.ToString()),
            new("detail_enabled", YesNo(shared.Detail.IsEnabled)),
            new("reqs_per_event", Number(options.RequestsPerEvent)),
            new("cas_enabled", "yes"),
            new("tcp_backlog", Number(options.Backlog)),
            new("binding_protocol", options.Protocol switch { WireProtocol.Ascii => "ascii", WireProtocol.Binary => "binary", _ => "auto-negotiate" }),
            new("auth_enabled_sasl", options.SaslPasswords is null ? "no" : "yes"),
            new("auth_enabled_ascii", YesNo(options.TextPasswords is not null)),
            new("item_size_max", Number(options.ItemBytesMax)),
            new("maxconns_fast", "yes"),
            new("hashpower_init", Number(lru.HashPowerAtStart)),
            new("slab_reassign", YesNo(lru.SlabReassign)),
            new("slab_automove", Number(lru.SlabAutomove)),
            new("slab_automove_ratio", Hundredths(lru.SlabAutomoveRatio)),
            new("slab_automove_window", Number(lru.SlabAutomoveWindow)),
            new("slab_chunk_max", Number(lru.SlabChunkBytesMax)),
            new("lru_crawler", YesNo(lru.CrawlerEnabled)),
            new("lru_crawler_sleep", Number(lru.CrawlerSleepMicroseconds)),
            new("lru_crawler_tocrawl", Number(lru.CrawlerItemsMax)),
            new("tail_repair_time", Number(lru.TailRepairSeconds)),
            new("flush_enabled", YesNo(options.FlushEnabled)),
            new("dump_enabled", YesNo(options.DumpingEnabled)),
            new("hash_algorithm", "wyhash"),
            new("lru_maintainer_thread", YesNo(lru.MaintainerEnabled)),
            new("lru_segmented", YesNo(lru.IsSegmented)),
            new("hot_lru_pct", Number(lru.HotPercent ?? StoreTuning.SmallPercentDefault)),
            new("warm_lru_pct", Number(lru.WarmPercent)),
            new("hot_max_factor", Hundredths(lru.HotAgeFactor)),
            new("warm_max_factor", Hundredths(lru.WarmAgeFactor)),
            new("temp_lru", YesNo(lru.TemporaryEnabled)),
            new("temporary_ttl", Number(lru.TemporaryTtlSeconds)),
            new("idle_timeout", Number(options.IdleTimeoutSeconds)),
            new("watcher_logbuf_size", Number(options.WatcherLogBytesMax)),
            new("worker_logbuf_size", Number(options.WorkerLogBytesMax)),
            new("read_buf_mem_limit", Number(options.BufferBytesMax)),
            new("track_sizes", YesNo(shared.TracksSizes)),
            new("inline_ascii_response", "no"),
            new("slab_automove_freeratio", lru.SlabAutomoveFreeRatio.ToString("F3", CultureInfo.InvariantCulture)),
            new("num_napi_ids", "0"),
            new("memory_file", "(null)"),
            new("client_flags_size", "4"),
        };
        settings.InsertRange(settings.FindIndex(static s => s.Key == "num_napi_ids"), Tls(options.Tls?.Options));
        foreach (KeyValuePair<string, string> own in options.Settings)
        {
            int known = settings.FindIndex(s => s.Key == own.Key);
            if (known >= 0)
                settings[known] = own;
            else
                settings.Add(own);
        }

        return settings;
    }

    private static List<KeyValuePair<string, string>> Tls(TlsOptions? given)
    {
        TlsOptions options = given ?? new TlsOptions();
        return
        [
            new("ssl_enabled", given is null ? "no" : "yes"),
            new("ssl_chain_cert", options.ChainFile ?? "(null)"),
            new("ssl_key", options.KeyFile ?? "(null)"),

            // OpenSSL's bits: verify, fail without a certificate, ask once.
            new("ssl_verify_mode", options.VerifyMode switch { 2 => "3", 3 => "7", _ => Number(options.VerifyMode) }),
            new("ssl_keyformat", Number((int)options.KeyFormat)),
            new("ssl_ciphers", options.Ciphers ?? "NULL"),
            new("ssl_ca_cert", options.ClientAuthoritiesFile ?? "NULL"),
            new("ssl_wbuf_size", Number(options.WriteBufferBytes)),
            new("ssl_session_cache", options.SessionCache ? "yes" : "no"),
            new("ssl_kernel_tls", options.KernelTls ? "yes" : "no"),
            new("ssl_min_version", options.MinVersionName),
        ];
    }

    private static byte[] Items(GatewayShared shared)
    {
        var text = new Writer();
        LruSettings lru = shared.Lru;
        foreach (SlabClassStatistics slab in shared.Router.ReadStatistics(perClass: true).Classes)
        {
            if (slab.Items == 0)
                continue;
            text.Prefix = $"items:{slab.ClassId}:";
            text.Add("number", slab.Items);
            if (lru.MaintainerEnabled)
            {
                // The small, the main and the temp queue.
                text.Add("number_hot", slab.ItemsHot);
                text.Add("number_warm", slab.ItemsWarm);
                text.Add("number_cold", 0);
                if (lru.TemporaryEnabled)
                    text.Add("number_temp", slab.ItemsTemp);
                text.Add("age_hot", slab.AgeSecondsHot);
                text.Add("age_warm", slab.AgeSecondsWarm);
            }

            text.Add("age", slab.AgeSeconds);
            text.Add("mem_requested", slab.MemRequested);
            text.Add("evicted", slab.Evicted);
            text.Add("evicted_nonzero", slab.EvictedNonzero);
            text.Add("evicted_time", slab.EvictedTimeSeconds);
            text.Add("outofmemory", slab.OutOfMemory);
            text.Add("tailrepairs", 0);
            text.Add("reclaimed", slab.Reclaimed);
            text.Add("expired_unfetched", slab.ExpiredUnfetched);
            text.Add("evicted_unfetched", slab.EvictedUnfetched);
            if (lru.MaintainerEnabled)
                text.Add("evicted_active", slab.EvictedActive);
            text.Add("crawler_reclaimed", slab.CrawlerReclaimed);
            text.Add("crawler_items_checked", slab.CrawlerItemsChecked);
            text.Add("lrutail_reflocked", slab.LruTailReflocked);
            if (lru.MaintainerEnabled)
            {
                text.Add("moves_to_cold", 0);
                text.Add("moves_to_warm", slab.MovesToWarm);
                text.Add("moves_within_lru", slab.MovesWithinLru);
                text.Add("direct_reclaims", slab.Evicted + slab.Reclaimed);
                text.Add("hits_to_hot", slab.HitsHot);
                text.Add("hits_to_warm", slab.HitsWarm);
                text.Add("hits_to_cold", 0);
                text.Add("hits_to_temp", slab.HitsTemp);
            }
        }

        return text.End();
    }

    private static byte[] Slabs(GatewayShared shared)
    {
        StoreStatistics store = shared.Router.ReadStatistics(perClass: true);
        var text = new Writer();
        int active = 0;
        foreach (SlabClassStatistics slab in store.Classes)
        {
            if (slab.TotalPages == 0)
                continue;
            active++;
            text.Prefix = $"{slab.ClassId}:";
            text.Add("chunk_size", slab.ChunkBytes);
            text.Add("chunks_per_page", slab.ChunksPerPage);
            text.Add("total_pages", slab.TotalPages);
            text.Add("total_chunks", slab.UsedChunks + slab.FreeChunks);
            text.Add("used_chunks", slab.UsedChunks);
            text.Add("free_chunks", slab.FreeChunks);
            text.Add("free_chunks_end", 0);
            text.Add("get_hits", slab.GetHits);
            text.Add("cmd_set", slab.CmdSet);
            text.Add("delete_hits", slab.DeleteHits);
            text.Add("incr_hits", slab.IncrHits);
            text.Add("decr_hits", slab.DecrHits);
            text.Add("cas_hits", slab.CasHits);
            text.Add("cas_badval", slab.CasBadValue);
            text.Add("touch_hits", slab.TouchHits);
        }

        text.Prefix = "";
        text.Add("active_slabs", active);
        text.Add("total_malloced", store.PageBytesUsed);
        return text.End();
    }

    private static byte[] Connections(GatewayShared shared, uint now, ConnectionInfo? asker)
    {
        var text = new Writer();
        long uptime = Math.Max(0, now - shared.StartedAt.ToUnixTimeSeconds());
        for (int i = 0; i < shared.Listeners.Count; i++)
        {
            text.Prefix = $"{(shared.ListenerDescriptors.Count > i ? shared.ListenerDescriptors[i] : i)}:";
            text.Add("addr", shared.Listeners[i]);
            text.Add("state", "conn_listening");
            text.Add("secs_since_last_cmd", uptime);
        }

        foreach (ConnectionInfo connection in shared.Connections)
        {
            text.Prefix = $"{(connection.IsDatagram ? connection.Id + shared.Listeners.Count : connection.Descriptor)}:";
            if (connection.IsDatagram)
                text.Add("UDP", "UDP");
            text.Add("addr", connection.Address);
            if (!connection.IsDatagram)
                text.Add("listen_addr", connection.ListenAddress);
            text.Add("state", ReferenceEquals(connection, asker) ? "conn_parse_cmd" : State(connection));
            text.Add("secs_since_last_cmd", Math.Max(0, (long)now - connection.LastActiveUnixSeconds));
        }

        return text.End();
    }

    private static string State(ConnectionInfo connection) =>
        connection.IsDumping || connection.IsWatching ? "conn_watch"
        : connection.IsReceivingValue ? "conn_nread"
        : connection.IsWaiting ? "conn_io_queue"
        : "conn_read";

    private static string Number(long value) => value.ToString(CultureInfo.InvariantCulture);

    private static string Hundredths(double value) => value.ToString("F2", CultureInfo.InvariantCulture);

    private static string YesNo(bool value) => value ? "yes" : "no";

    private static string Seconds(TimeSpan time) => time.TotalSeconds.ToString("F6", CultureInfo.InvariantCulture);

    /// <summary>Lines of a reply: STAT, name and value.</summary>
    internal sealed class Writer
    {
        private readonly StringBuilder _text = new();

        public string Prefix { get; set; } = "";

        public void Add(string name, long value) => Add(name, Number(value));

        public void Add(string name, string value) => _text.Append("STAT ").Append(Prefix).Append(name).Append(' ').Append(value).Append("\r\n");

        public void Zero(params ReadOnlySpan<string> names)
        {
            foreach (string name in names)
                Add(name, 0);
        }

        public byte[] End() => Encoding.ASCII.GetBytes(_text.Append("END\r\n").ToString());
    }
}
