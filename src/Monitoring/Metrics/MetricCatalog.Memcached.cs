using OrleansCache.Gateway.Options;

namespace OrleansCache.Monitoring.Metrics;

// The names, labels and types of Prometheus's memcached_exporter, so that dashboards and rules that were made for it go on. What each counts is in
// docs/statistics.md.
internal static partial class MetricCatalog
{
    private const string SlabLabel = "slab";

    private static IEnumerable<MetricFamily> Memcached() => [.. MemcachedServer(), .. MemcachedItems(), .. MemcachedCrawler(), .. MemcachedSlabs()];

    private static IEnumerable<MetricFamily> MemcachedServer() =>
    [
        Gauge("memcached_up", "1", "Could the memcached server be reached.", static _ => 1),
        new("memcached_uptime_seconds", MetricKind.OddCounter, "s", "Number of seconds since the server started.", static (s, sink) =>
            sink.Add(Math.Floor(s.UptimeSeconds))),
        Gauge("memcached_time_seconds", "s", "current UNIX time according to the server.", s => s.Time.ToUnixTimeSeconds()),
        new("memcached_version", MetricKind.Gauge, "1", "The version of this memcached server.",
            static (_, sink) => sink.Add(1, new Label("version", new GatewayOptions().Version))),
        Counter("memcached_process_user_cpu_seconds", "s", "Accumulated user time for this process.", s => s.Process.UserTime.TotalSeconds),
        Counter("memcached_process_system_cpu_seconds", "s", "Accumulated system time for this process.", s => s.Process.SystemTime.TotalSeconds),
        Counter("memcached_read_bytes", "By", "Total number of bytes read by this server from network.", s => s.Gateway.Counters.BytesRead),
        Counter("memcached_written_bytes", "By", "Total number of bytes sent by this server to network.", s => s.Gateway.Counters.BytesWritten),
        Gauge("memcached_current_connections", "{connection}", "Current number of open connections.", s => s.Gateway.ConnectionsCurrent),
        Gauge("memcached_max_connections", "{connection}", "Maximum number of clients allowed.", s => s.Gateway.ConnectionsMax),
        Counter("memcached_connections", "{connection}", "Total number of connections opened since the server started running.", s =>
            s.Gateway.ConnectionsTotal),
        Counter("memcached_connections_rejected", "{connection}",
            "Total number of connections rejected due to hitting the memcached's -c limit in maxconns_fast mode.",
            s => s.Gateway.ConnectionsRejected),
        Counter("memcached_connections_yielded", "{turn}", "Total number of connections yielded running due to hitting the memcached's -R limit.", s =>
            s.Gateway.Counters.ConnectionYields),
        Counter("memcached_connections_listener_disabled", "{pause}", "Number of times that memcached has hit its connections limit and disabled its listener.",
            s => s.Gateway.ListenDisabled),
        Gauge("memcached_accepting_connections", "1", "The Memcached server is currently accepting new connections.", s => Flag(s.Gateway.Accepting)),
        new("memcached_commands", MetricKind.Counter, "{command}", "Total number of all requests broken down by command (get, set, etc.) and status.",
            static (s, sink) =>
        {
            StoreStatistics store = s.Store;
            Add("get", "hit", store.GetHits);
            Add("get", "miss", store.GetMisses);
            Add("delete", "hit", store.DeleteHits);
            Add("delete", "miss", store.DeleteMisses);
            Add("incr", "hit", store.IncrHits);
            Add("incr", "miss", store.IncrMisses);
            Add("decr", "hit", store.DecrHits);
            Add("decr", "miss", store.DecrMisses);
            Add("cas", "hit", store.CasHits);
            Add("cas", "miss", store.CasMisses);
            Add("touch", "hit", store.TouchHits);
            Add("touch", "miss", store.TouchMisses);
            Add("cas", "badval", store.CasBadValue);
            Add("flush", "hit", s.Gateway.Counters.CmdFlush);
            Add("set", "hit", store.CmdSet - store.CasMisses - store.CasHits - store.CasBadValue);

            void Add(string command, string status, long value) => sink.Add(value, new Label("command", command), new Label("status", status));
        }),
    ];

    private static IEnumerable<MetricFamily> MemcachedItems() =>
    [
        Gauge("memcached_current_bytes", "By", "Current number of bytes used to store items.", s => s.Store.Bytes),
        Gauge("memcached_limit_bytes", "By", "Number of bytes this server is allowed to use for storage.", s => s.Store.LimitMaxBytes),
        Gauge("memcached_malloced_bytes", "By", "Number of bytes of memory allocated to slab pages.", s => s.Store.PageBytesUsed),
        Gauge("memcached_current_items", "{item}", "Current number of items stored by this instance.", s => s.Store.CurrItems),
        Counter("memcached_items", "{item}", "Total number of items stored during the life of this instance.", s => s.Store.TotalItems),
        Counter("memcached_items_evicted", "{item}", "Total number of valid items removed from cache to free memory for new items.", s => s.Store.Evictions),
        Counter("memcached_items_reclaimed", "{item}", "Total number of times an entry was stored using memory from an expired entry.", s => s.Store.Reclaimed),
        Counter("memcached_item_too_large", "{command}", "The number of times an item exceeded the max-item-size when being stored.",
            s => s.Store.StoreTooLarge + s.Gateway.Counters.StoresTooLarge),
        Counter("memcached_item_no_memory", "{command}", "The number of times an item could not be stored due to no more memory.", s => s.Store.StoreNoMemory),
        Counter("memcached_direct_reclaims", "{item}", "Times worker threads had to directly reclaim or evict items.", s =>
            s.Store.Evictions + s.Store.Reclaimed),
    ];

    private static IEnumerable<MetricFamily> MemcachedCrawler() =>
    [
        Gauge("memcached_lru_crawler_enabled", "1", "Whether the LRU crawler is enabled.", s => Flag(s.Lru.CrawlerEnabled)),
        Gauge("memcached_lru_crawler_sleep", "us", "Microseconds to sleep between LRU crawls.", s => s.Lru.CrawlerSleepMicroseconds),
        Gauge("memcached_lru_crawler_to_crawl", "{item}", "Max items to crawl per slab per run.", s => s.Lru.CrawlerItemsMax),
        Gauge("memcached_lru_crawler_maintainer_thread", "1", "Split LRU mode and background threads.", s => Flag(s.Lru.MaintainerEnabled)),
        Gauge("memcached_lru_crawler_hot_percent", "%", "Percent of slab memory reserved for HOT LRU.", s =>
            s.Lru.HotPercent ?? StoreTuning.SmallPercentDefault),
        Gauge("memcached_lru_crawler_warm_percent", "%", "Percent of slab memory reserved for WARM LRU.", s => s.Lru.WarmPercent),
        Gauge("memcached_lru_crawler_hot_max_factor", "1", "Set idle age of HOT LRU to COLD age * this", s => s.Lru.HotAgeFactor),
        Gauge("memcached_lru_crawler_warm_max_factor", "1", "Set idle age of WARM LRU to COLD age * this", s => s.Lru.WarmAgeFactor),
        Counter("memcached_lru_crawler_starts", "{pass}", "Times an LRU crawler was started.", s => s.Store.CrawlerStarts + s.Gateway.DumpsStarted),
        Counter("memcached_lru_crawler_reclaimed", "{item}", "Total items freed by LRU Crawler.", s => s.Store.CrawlerReclaimed),
        Counter("memcached_lru_crawler_items_checked", "{item}", "Total items examined by LRU Crawler.", s => s.Store.CrawlerItemsChecked),
        Counter("memcached_lru_crawler_moves_to_cold", "{item}", "Total number of items moved from HOT/WARM to COLD LRU's.", static _ => 0),
        Counter("memcached_lru_crawler_moves_to_warm", "{item}", "Total number of items moved from COLD to WARM LRU.", s => s.Store.MovesToWarm),
        Counter("memcached_lru_crawler_moves_within_lru", "{item}", "Total number of items reshuffled within HOT or WARM LRU's.", s => s.Store.MovesWithinLru),
    ];

    private static IEnumerable<MetricFamily> MemcachedSlabs() =>
    [
        Slab("current_items", MetricKind.Gauge, "{item}", "Number of items currently stored in this slab class.", c => c.Items),
        Slab("items_age_seconds", MetricKind.Gauge, "s", "Number of seconds the oldest item has been in the slab class.", c => c.AgeSeconds),
        Slab("items_crawler_reclaimed", MetricKind.Counter, "{item}", "Number of items freed by the LRU Crawler.", c => c.CrawlerReclaimed),
        Slab("items_evicted", MetricKind.Counter, "{item}", "Total number of times an item had to be evicted from the LRU before it expired.", c => c.Evicted),
        Slab("items_evicted_nonzero", MetricKind.Counter, "{item}",
            "Total number of times an item which had an explicit expire time set had to be evicted from the LRU before it expired.", c => c.EvictedNonzero),
        Slab("items_evicted_time_seconds", MetricKind.OddCounter, "s", "Seconds since the last access for the most recent item evicted from this class.", c =>
            c.EvictedTimeSeconds),
        Slab("items_evicted_unfetched", MetricKind.Counter, "{item}", "Total nmber of items evicted and never fetched.", c => c.EvictedUnfetched),
        Slab("items_expired_unfetched", MetricKind.Counter, "{item}",
            "Total number of valid items evicted from the LRU which were never touched after being set.", c => c.ExpiredUnfetched),
        Slab("items_outofmemory", MetricKind.Counter, "{command}", "Total number of items for this slab class that have triggered an out of memory error.",
            c => c.OutOfMemory),
        Slab("items_reclaimed", MetricKind.Counter, "{item}", "Total number of items reclaimed.", c => c.Reclaimed),
        Slab("items_tailrepairs", MetricKind.Counter, "{item}", "Total number of times the entries for a particular ID need repairing.", static _ => 0),
        Slab("items_moves_to_cold", MetricKind.OddCounter, "{item}", "Number of items moved from HOT or WARM into COLD.", static _ => 0),
        Slab("items_moves_to_warm", MetricKind.OddCounter, "{item}", "Number of items moves from COLD into WARM.", c => c.MovesToWarm),
        Slab("items_moves_within_lru", MetricKind.OddCounter, "{item}", "Number of times active items were bumped within HOT or WARM.", c => c.MovesWithinLru),
        Slab("hot_items", MetricKind.Gauge, "{item}", "Number of items presently stored in the HOT LRU.", c => c.ItemsHot),
        Slab("warm_items", MetricKind.Gauge, "{item}", "Number of items presently stored in the WARM LRU.", c => c.ItemsWarm),
        Slab("cold_items", MetricKind.Gauge, "{item}", "Number of items presently stored in the COLD LRU.", static _ => 0),
        Slab("temporary_items", MetricKind.Gauge, "{item}", "Number of items presently stored in the TEMPORARY LRU.", c => c.ItemsTemp),
        Slab("hot_age_seconds", MetricKind.Gauge, "s", "Age of the oldest item in HOT LRU.", c => c.AgeSecondsHot),
        Slab("warm_age_seconds", MetricKind.Gauge, "s", "Age of the oldest item in HOT LRU.", c => c.AgeSecondsWarm),
        new("memcached_slab_lru_hits", MetricKind.Counter, "{request}", "Number of get_hits to the LRU.",
            ByClass(SlabLabel, "lru", ("hot", c => c.HitsHot), ("warm", c => c.HitsWarm), ("cold", static _ => 0), ("temporary", c => c.HitsTemp))),
        Slab("chunk_size_bytes", MetricKind.Gauge, "By", "Number of bytes allocated to each chunk within this slab class.", c => c.ChunkBytes),
        Slab("chunks_per_page", MetricKind.Gauge, "{chunk}", "Number of chunks within a single page for this slab class.", c => c.ChunksPerPage),
        Slab("current_pages", MetricKind.Gauge, "{page}", "Number of pages allocated to this slab class.", c => c.TotalPages),
        Slab("current_chunks", MetricKind.Gauge, "{chunk}", "Number of chunks allocated to this slab class.", c => c.UsedChunks + c.FreeChunks),
        Slab("chunks_used", MetricKind.Gauge, "{chunk}", "Number of chunks allocated to an item.", c => c.UsedChunks),
        Slab("chunks_free", MetricKind.Gauge, "{chunk}", "Number of chunks not yet allocated items.", c => c.FreeChunks),
        Slab("chunks_free_end", MetricKind.Gauge, "{chunk}", "Number of free chunks at the end of the last allocated page.", static _ => 0),
        Slab("mem_requested_bytes", MetricKind.OddCounter, "By", "Number of bytes of memory actual items take up within a slab.", c => c.MemRequested),
        new("memcached_slab_commands", MetricKind.Counter, "{command}",
            "Total number of all requests broken down by command (get, set, etc.) and status per slab.", static (s, sink) =>
        {
            foreach (SlabClassStatistics slab in s.Store.Classes)
            {
                if (slab.TotalPages == 0)
                    continue;
                string number = Text(slab.ClassId);
                Add("get", "hit", slab.GetHits);
                Add("delete", "hit", slab.DeleteHits);
                Add("incr", "hit", slab.IncrHits);
                Add("decr", "hit", slab.DecrHits);
                Add("cas", "hit", slab.CasHits);
                Add("touch", "hit", slab.TouchHits);
                Add("cas", "badval", slab.CasBadValue);
                Add("set", "hit", slab.CmdSet - slab.CasHits - slab.CasBadValue);

                void Add(string command, string status, long value) =>
                    sink.Add(value, new Label(SlabLabel, number), new Label("command", command), new Label("status", status));
            }
        }),
    ];

    private static MetricFamily Slab(string name, MetricKind kind, string unit, string help, Func<SlabClassStatistics, double> read) =>
        new("memcached_slab_" + name, kind, unit, help, ByClass(SlabLabel, read));
}
