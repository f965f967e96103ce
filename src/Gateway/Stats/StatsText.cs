using System.Globalization;
using System.Net;
using System.Text;

namespace OrleansCache.Gateway.Stats;

/// <summary>
/// The replies of `stats`, with memcached 1.6.45's names, order and formats. Names of parts that this server does not have (its LRU crawler, its logger,
/// its slab mover's helpers) are kept with their resting value, because monitors ask for them. Cold: builds strings.
/// </summary>
internal static class StatsText
{
    private const int SlabClassesMax = 64;

    public static byte[] Build(GatewayShared shared, uint nowUnixSeconds, string arguments)
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
            return Line("RESET");
        }

        if (IsPrefix(name, "detail"))
            return Detail(words);
        if (IsPrefix(name, "settings"))
            return Settings(shared);
        if (IsPrefix(name, "cachedump"))
            return CacheDump(words);
        if (IsPrefix(name, "conns"))
            return Connections(shared, nowUnixSeconds);
        if (IsPrefix(name, "extstore"))
            return Line("END");
        return name switch
        {
            "items" => Items(shared),
            "slabs" => Slabs(shared),
            "sizes" => Line("STAT sizes_status disabled\r\nEND"),
            _ => Line("ERROR"),
        };
    }

    private static bool IsPrefix(string word, string name) => name.StartsWith(word, StringComparison.Ordinal);

    private static byte[] Line(string text) => Encoding.ASCII.GetBytes(text + "\r\n");

    private static byte[] Detail(string[] words) => words switch
    {
        [_, "on" or "off", ..] => Line("OK"),
        [_, "dump", ..] => Line("END"),
        _ => Line("CLIENT_ERROR usage: stats detail on|off|dump"),
    };

    private static byte[] CacheDump(string[] words)
    {
        if (words.Length < 3)
            return Line("CLIENT_ERROR bad command line");
        if (!uint.TryParse(words[1], NumberStyles.None, CultureInfo.InvariantCulture, out uint id)
            || !uint.TryParse(words[2], NumberStyles.None, CultureInfo.InvariantCulture, out _))
            return Line("CLIENT_ERROR bad command line format");
        return id >= SlabClassesMax ? Line("CLIENT_ERROR Illegal slab id") : Line("END");
    }

    private static byte[] General(GatewayShared shared, uint now)
    {
        GatewayStatistics gateway = shared.ReadStatistics();
        StoreStatistics store = shared.Router.ReadStatistics(perClass: false);
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
        text.Zero("response_obj_oom", "response_obj_count", "response_obj_bytes");
        text.Zero("read_buf_count", "read_buf_bytes", "read_buf_bytes_free", "read_buf_oom", "reserved_fds");
        text.Add("cmd_get", store.CmdGet);
        text.Add("cmd_set", store.CmdSet);
        text.Add("cmd_flush", gateway.CmdFlush);
        text.Add("cmd_touch", store.CmdTouch);
        text.Add("cmd_meta", gateway.CmdMeta);
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
        text.Add("store_too_large", store.StoreTooLarge);
        text.Add("store_no_memory", store.StoreNoMemory);
        text.Add("auth_cmds", gateway.AuthCmds);
        text.Add("auth_errors", gateway.AuthErrors);
        if (shared.Options.IdleTimeoutSeconds > 0)
            text.Add("idle_kicks", gateway.ConnectionsIdleKicked);
        text.Add("bytes_read", gateway.BytesRead);
        text.Add("bytes_written", gateway.BytesWritten);
        text.Add("limit_maxbytes", store.LimitMaxBytes);
        text.Add("accepting_conns", gateway.Accepting ? 1 : 0);
        text.Add("listen_disabled_num", gateway.ListenDisabled);
        text.Add("time_in_listen_disabled_us", 0);
        text.Add("threads", gateway.Threads);
        text.Add("conn_yields", gateway.ConnectionYields);
        text.Add("hash_power_level", store.HashPowerLevel);
        text.Add("hash_bytes", store.HashBytes);
        text.Zero("hash_is_expanding", "slab_reassign_rescues", "slab_reassign_chunk_rescues", "slab_reassign_inline_reclaim");
        text.Zero("slab_reassign_busy_items", "slab_reassign_busy_deletes", "slab_reassign_busy_nomem");
        text.Add("slab_reassign_last_busy_status", "none");
        text.Add("slab_reassign_running", 0);
        text.Add("slabs_moved", store.SlabsMoved);
        text.Zero("lru_crawler_running", "lru_crawler_starts", "lru_maintainer_juggles", "malloc_fails");
        text.Zero("log_worker_dropped", "log_worker_written", "log_watcher_skipped", "log_watcher_sent", "log_watchers");
        text.Zero("unexpected_napi_ids", "round_robin_fallback");
        text.Add("bytes", store.Bytes);
        text.Add("curr_items", store.CurrItems);
        text.Add("total_items", store.TotalItems);
        text.Add("slab_global_page_pool", 0);
        text.Add("expired_unfetched", store.ExpiredUnfetched);
        text.Add("evicted_unfetched", store.EvictedUnfetched);
        text.Add("evicted_active", store.EvictedActive);
        text.Add("evictions", store.Evictions);
        text.Add("reclaimed", store.Reclaimed);
        text.Zero("crawler_reclaimed", "crawler_items_checked", "lrutail_reflocked", "moves_to_cold", "moves_to_warm", "moves_within_lru");
        text.Zero("direct_reclaims", "lru_bumps_dropped");
        return text.End();
    }

    private static byte[] Settings(GatewayShared shared)
    {
        GatewayOptions options = shared.Options;
        LruSettings lru = options.Lru;
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
            new("detail_enabled", YesNo(options.DetailEnabled)),
            new("reqs_per_event", Number(options.RequestsPerEvent)),
            new("cas_enabled", "yes"),
            new("tcp_backlog", Number(options.Backlog)),
            new("binding_protocol", options.Protocol switch { WireProtocol.Ascii => "ascii", WireProtocol.Binary => "binary", _ => "auto-negotiate" }),
            new("auth_enabled_sasl", options.SaslPasswords is null ? "no" : "yes"),
            new("auth_enabled_ascii", "no"),
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
            new("hot_lru_pct", Number(lru.HotPercent)),
            new("warm_lru_pct", Number(lru.WarmPercent)),
            new("hot_max_factor", Hundredths(lru.HotAgeFactor)),
            new("warm_max_factor", Hundredths(lru.WarmAgeFactor)),
            new("temp_lru", YesNo(lru.TemporaryEnabled)),
            new("temporary_ttl", Number(lru.TemporaryTtlSeconds)),
            new("idle_timeout", Number(options.IdleTimeoutSeconds)),
            new("watcher_logbuf_size", Number(options.WatcherLogBytesMax)),
            new("worker_logbuf_size", Number(options.WorkerLogBytesMax)),
            new("read_buf_mem_limit", "0"),
            new("track_sizes", YesNo(options.TrackSizes)),
            new("inline_ascii_response", "no"),
            new("num_napi_ids", "0"),
            new("memory_file", "(null)"),
            new("client_flags_size", "4"),
        };
        foreach (KeyValuePair<string, string> own in options.Settings)
        {
            int known = settings.FindIndex(s => s.Key == own.Key);
            if (known >= 0)
                settings[known] = own;
            else
                settings.Add(own);
        }

        var text = new Writer();
        foreach ((string name, string value) in settings)
            text.Add(name, value);
        return text.End();
    }

    private static byte[] Items(GatewayShared shared)
    {
        var text = new Writer();
        foreach (SlabClassStatistics slab in shared.Router.ReadStatistics(perClass: true).Classes)
        {
            if (slab.Items == 0)
                continue;
            text.Prefix = $"items:{slab.ClassId}:";
            text.Add("number", slab.Items);
            text.Zero("number_hot", "number_warm");
            text.Add("number_cold", slab.Items);
            text.Zero("age_hot", "age_warm");
            text.Add("age", slab.AgeSeconds);
            text.Add("mem_requested", slab.MemRequested);
            text.Add("evicted", slab.Evicted);
            text.Add("evicted_nonzero", slab.EvictedNonzero);
            text.Add("evicted_time", slab.EvictedTimeSeconds);
            text.Add("outofmemory", slab.OutOfMemory);
            text.Add("tailrepairs", slab.Tailrepairs);
            text.Add("reclaimed", slab.Reclaimed);
            text.Add("expired_unfetched", slab.ExpiredUnfetched);
            text.Add("evicted_unfetched", slab.EvictedUnfetched);
            text.Add("evicted_active", slab.EvictedActive);
            text.Zero("crawler_reclaimed", "crawler_items_checked", "lrutail_reflocked", "moves_to_cold", "moves_to_warm", "moves_within_lru");
            text.Zero("direct_reclaims", "hits_to_hot", "hits_to_warm");
            text.Add("hits_to_cold", slab.GetHits);
            text.Add("hits_to_temp", 0);
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

    private static byte[] Connections(GatewayShared shared, uint now)
    {
        var text = new Writer();
        long uptime = Math.Max(0, now - shared.StartedAt.ToUnixTimeSeconds());
        for (int i = 0; i < shared.Listeners.Count; i++)
        {
            text.Prefix = $"{i}:";
            text.Add("addr", shared.Listeners[i]);
            text.Add("state", "conn_listening");
            text.Add("secs_since_last_cmd", uptime);
        }

        foreach (ConnectionInfo connection in shared.Connections)
        {
            text.Prefix = $"{connection.Id + shared.Listeners.Count}:";
            text.Add("addr", connection.Address);
            text.Add("listen_addr", connection.ListenAddress);
            text.Add("state", connection.IsWaiting ? "conn_io_queue" : "conn_read");
            text.Add("secs_since_last_cmd", Math.Max(0, (long)now - connection.LastActiveUnixSeconds));
        }

        return text.End();
    }

    private static string Number(long value) => value.ToString(CultureInfo.InvariantCulture);

    private static string Hundredths(double value) => value.ToString("F2", CultureInfo.InvariantCulture);

    private static string YesNo(bool value) => value ? "yes" : "no";

    private static string Seconds(TimeSpan time) => time.TotalSeconds.ToString("F6", CultureInfo.InvariantCulture);

    private sealed class Writer
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
