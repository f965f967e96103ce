namespace OrleansCache.Monitoring.Metrics;

// The product's own metrics. "Stores" counts what was executed in the partitions of this process, whoever asked; "gateway" what its clients asked and sent.
internal static partial class MetricCatalog
{
    private const string ClassLabel = "class";

    private static IEnumerable<MetricFamily> Own() => [.. Process(), .. Connections(), Latencies(), .. Stores(), .. Classes(), .. Cluster()];

    private static IEnumerable<MetricFamily> Process() =>
    [
        Gauge("orleanscache_ready", "1", "Whether the process serves its share and is not draining.", s => Flag(s.NotReady is null)),
        Gauge("orleanscache_uptime_seconds", "s", "Time since the start.", s => s.UptimeSeconds),
        Counter("process_cpu_seconds", "s", "Processor time of the process, user and system.", s => (s.Process.UserTime + s.Process.SystemTime).TotalSeconds),
        Gauge("process_resident_memory_bytes", "By", "Resident memory of the process.", s => s.Process.ResidentBytes),
        Gauge("process_start_time_seconds", "s", "Unix time of the start.", s => s.StartedAt.ToUnixTimeMilliseconds() / 1000.0),
        Counter("orleanscache_gc_collections", "{collection}", "Garbage collections by generation.", "generation",
            s => s.Process.Collections.Select((count, generation) => (Text(generation), (double)count))),
        Counter("orleanscache_gc_pause_seconds", "s", "Time for which garbage collections stopped all threads.", s => s.Process.GcPause.TotalSeconds),
        Counter("orleanscache_gc_allocated_bytes", "By", "Bytes allocated on the managed heap.", s => s.Process.AllocatedBytes),
        Gauge("orleanscache_gc_heap_bytes", "By", "Bytes of the managed heap in use; items are not on it.", s => s.Process.HeapBytes),
        Gauge("orleanscache_pool_threads", "{thread}", "Threads of the thread pool.", s => s.Process.PoolThreads),
        Gauge("orleanscache_pool_queue", "{item}", "Work that waits for a thread of the pool.", s => s.Process.PoolQueue),
        Counter("orleanscache_loop_cpu_seconds", "s", "Processor time of each I/O loop; a rate near 1 is a loop at its limit. Linux only.", "loop",
            s => s.LoopTimes.Select((time, loop) => (Text(loop), time.TotalSeconds))),
    ];

    private static IEnumerable<MetricFamily> Connections() =>
    [
        Gauge("orleanscache_connections", "{connection}", "Open connections of clients.", s => s.Gateway.ConnectionsCurrent),
        Gauge("orleanscache_connections_max", "{connection}", "The limit of connections, -c.", s => s.Gateway.ConnectionsMax),
        Counter("orleanscache_connections_opened", "{connection}", "Connections opened.", s => s.Gateway.ConnectionsTotal),
        Counter("orleanscache_connections_rejected", "{connection}", "Connections turned away above -c.", s => s.Gateway.ConnectionsRejected),
        Counter("orleanscache_connections_idle_closed", "{connection}", "Connections closed by -o idle_timeout.", s =>
            s.Gateway.Counters.ConnectionsIdleKicked),
        Counter("orleanscache_connection_yields", "{turn}", "Turns of a connection that ended with work left, for its neighbours.", s =>
            s.Gateway.Counters.ConnectionYields),
        Gauge("orleanscache_accepting", "1", "Whether new connections are accepted.", s => Flag(s.Gateway.Accepting)),
        Counter("orleanscache_accept_pauses", "{pause}", "Times that accepting paused for want of descriptors or memory.", s => s.Gateway.ListenDisabled),
        Counter("orleanscache_accept_paused_seconds", "s", "How long accepting paused in all.", s => s.Gateway.ListenDisabledMicroseconds / 1e6),
        Counter("orleanscache_received_bytes", "By", "Payload received from clients.", s => s.Gateway.Counters.BytesRead),
        Counter("orleanscache_sent_bytes", "By", "Payload sent to clients.", s => s.Gateway.Counters.BytesWritten),
        Counter("orleanscache_operations", "{operation}", "Keys asked for and commands carried out by the gateway, all together.", s =>
            s.Gateway.Counters.Operations),
        Counter("orleanscache_unavailable", "{operation}", "Operations answered with SERVER_ERROR because an owner could not be reached.", s =>
            s.Gateway.Counters.Unavailable),
        Counter("orleanscache_logins", "{login}", "Logins of clients.", "outcome",
            s => [("ok", s.Gateway.Counters.AuthCmds - s.Gateway.Counters.AuthErrors), ("failed", s.Gateway.Counters.AuthErrors)]),
        Counter("orleanscache_datagrams", "{datagram}", "Datagrams over UDP.", "outcome",
            s => [("received", s.Gateway.Counters.Datagrams), ("dropped", s.Gateway.Counters.DatagramsDropped),
                ("refused", s.Gateway.Counters.DatagramsRefused), ("unsent", s.Gateway.Counters.DatagramsUnsent)]),
        Gauge("orleanscache_buffer_bytes", "By", "Buffers of connections: replies that wait, requests that have not arrived as a whole, and free ones.", "kind",
            s => [("reply", s.Gateway.ReplyBufferBytes), ("request", s.Gateway.ReadBufferBytes), ("free", s.Gateway.ReadBufferBytesFree)]),
        Counter("orleanscache_buffers_refused", "{buffer}", "Replies and requests refused for want of buffers (-o read_buf_mem_limit).", "kind",
            s => [("reply", s.Gateway.Counters.RepliesRefused), ("request", s.Gateway.Counters.ReadBuffersRefused)]),
        Gauge("orleanscache_watchers", "{watcher}", "Watchers of this process's events.", s => s.Events.Feeds),
        Counter("orleanscache_event_lines", "{line}", "Event lines for watchers.", "outcome",
            s => [("written", s.Events.Written), ("dropped", s.Events.Dropped), ("sent", s.Events.Sent), ("skipped", s.Events.Skipped)]),
    ];

    private static IEnumerable<MetricFamily> Stores() =>
    [
        new("orleanscache_store_requests", MetricKind.Counter, "{request}", "Requests executed in the partitions of this process, by what they met.",
            static (s, sink) =>
        {
            StoreStatistics store = s.Store;
            Add("get", "hit", store.GetHits);
            Add("get", "miss", store.GetMisses);
            Add("set", "done", store.CmdSet - store.CasHits - store.CasBadValue - store.CasMisses);
            Add("cas", "hit", store.CasHits);
            Add("cas", "badval", store.CasBadValue);
            Add("cas", "miss", store.CasMisses);
            Add("delete", "hit", store.DeleteHits);
            Add("delete", "miss", store.DeleteMisses);
            Add("incr", "hit", store.IncrHits);
            Add("incr", "miss", store.IncrMisses);
            Add("decr", "hit", store.DecrHits);
            Add("decr", "miss", store.DecrMisses);
            Add("touch", "hit", store.TouchHits);
            Add("touch", "miss", store.TouchMisses);

            void Add(string command, string outcome, long value) => sink.Add(value, new Label("command", command), new Label("outcome", outcome));
        }),
        Counter("orleanscache_flushes", "{command}", "flush_all commands.", s => s.Gateway.Counters.CmdFlush),
        Gauge("orleanscache_items", "{item}", "Items that requests can find.", s => s.Store.CurrItems),
        Gauge("orleanscache_item_bytes", "By", "Keys, values and headers of the items.", s => s.Store.Bytes),
        Gauge("orleanscache_memory_limit_bytes", "By", "-m, or what cache_memlimit made of it.", s => s.Store.LimitMaxBytes),
        Gauge("orleanscache_page_bytes", "By", "Pages of the memory by state.", "state", s =>
            [("used", s.Store.PageBytesUsed), ("free", s.Store.PageBytesFree)]),
        Gauge("orleanscache_index_bytes", "By", "Pages of the indexes, among those used.", s => s.Store.HashBytes),
        Gauge("orleanscache_ghost_bytes", "By", "What is remembered of evicted items.", s => s.Store.GhostBytes),
        Gauge("orleanscache_pinned_bytes", "By", "Items whose value is just being sent.", s => s.Store.PinnedBytes),
        Counter("orleanscache_items_stored", "{item}", "Items that ever came in, by clients, with partitions, or from a memory file.", s =>
            s.Store.ItemsStored),
        Counter("orleanscache_items_lost", "{item}", "What became of items that are no longer present, by cause.", "cause",
            s =>
            [
                ("replaced", s.Store.LostReplaced), ("deleted", s.Store.LostDeleted), ("expired", s.Store.LostExpired), ("evicted", s.Store.LostEvicted),
                ("page_moved", s.Store.LostPageMoved), ("memory_limit", s.Store.LostMemoryLimit), ("flushed", s.Store.LostFlushed),
                    ("closed", s.Store.LostClosed),
            ]),
        Counter("orleanscache_evictions", "{item}", "Valid items removed to make room, by cause.", "cause",
            s => [("room", s.Store.LostEvicted), ("page_moved", s.Store.LostPageMoved), ("memory_limit", s.Store.LostMemoryLimit)]),
        Counter("orleanscache_evicted_unfetched", "{item}", "Evicted items that had never been read.", s => s.Store.EvictedUnfetched),
        Counter("orleanscache_evicted_active", "{item}", "Evicted items that had been read since they were stored or last spared.", s => s.Store.EvictedActive),
        Counter("orleanscache_expired_unfetched", "{item}", "Expired items that had never been read.", s => s.Store.ExpiredUnfetched),
        Counter("orleanscache_stores_refused", "{command}", "Values that were not stored, by cause.", "cause",
            s => [("too_large", s.Store.StoreTooLarge + s.Gateway.Counters.StoresTooLarge), ("no_memory", s.Store.StoreNoMemory)]),
        Counter("orleanscache_pages_moved", "{page}", "Pages that changed class or shard.", s => s.Store.SlabsMoved),
    ];

    private static IEnumerable<MetricFamily> Classes() =>
    [
        new("orleanscache_class_chunk_bytes", MetricKind.Gauge, "By", "Bytes of a chunk of the slab class, header included.",
            ByClass(ClassLabel, c => c.ChunkBytes)),
        new("orleanscache_class_pages", MetricKind.Gauge, "{page}", "Pages of the slab class.", ByClass(ClassLabel, c => c.TotalPages)),
        new("orleanscache_class_chunks", MetricKind.Gauge, "{chunk}", "Chunks of the slab class by state.",
            ByClass(ClassLabel, "state", ("used", c => c.UsedChunks), ("free", c => c.FreeChunks))),
        new("orleanscache_class_items", MetricKind.Gauge, "{item}", "Items of the slab class by queue.",
            ByClass(ClassLabel, "queue", ("small", c => c.ItemsHot), ("main", c => c.ItemsWarm), ("temp", c => c.ItemsTemp))),
        new("orleanscache_class_requested_bytes", MetricKind.Gauge, "By", "What the class's items asked for.", ByClass(ClassLabel, c => c.MemRequested)),
        new("orleanscache_class_age_seconds", MetricKind.Gauge, "s", "Time since the last use of the class's coldest item.",
            ByClass(ClassLabel, c => c.AgeSeconds)),
        new("orleanscache_class_evicted_age_seconds", MetricKind.Gauge, "s", "Time since the last use of the item that was evicted last.",
            ByClass(ClassLabel, c => c.EvictedTimeSeconds)),
        new("orleanscache_class_evictions", MetricKind.Counter, "{item}", "Valid items that the class evicted.", ByClass(ClassLabel, c => c.Evicted)),
        new("orleanscache_class_hits", MetricKind.Counter, "{request}", "Gets that met an item of the class.", ByClass(ClassLabel, c => c.GetHits)),
        new("orleanscache_class_out_of_memory", MetricKind.Counter, "{command}", "Values refused because the class had no room.",
            ByClass(ClassLabel, c => c.OutOfMemory)),
    ];

    private static IEnumerable<MetricFamily> Cluster() =>
    [
        Gauge("orleanscache_cluster_silos", "{silo}", "Silos of the cluster, as known some seconds ago.", s => s.Cluster?.Silos.Count ?? 1),
        Gauge("orleanscache_cluster_silo_up", "1", "Whether the silo answered when it was asked last, some seconds ago.", "silo",
            s => s.Cluster?.Silos.Select(silo => (silo.Silo, Flag(silo.Values is not null))) ?? []),
        Gauge("orleanscache_partitions", "{partition}", "Partitions of the cluster.", s => s.Owners?.Owners.Count ?? s.Cluster?.PartitionCount ?? 0),
        Gauge("orleanscache_partitions_without_owner", "{partition}", "Partitions of the cluster that nobody owns.", s =>
            s.Owners?.Owners.Count(static owner => owner < 0) ?? 0),
        Gauge("orleanscache_partitions_owned", "{partition}", "Partitions by owner, as this process knows it.", "silo",
            s => s.Owners is { } owners ? owners.Silos.Select((silo, index) => (silo, (double)owners.Owners.Count(owner => owner == index))) : []),
        Gauge("orleanscache_partitions_moving", "{partition}", "Partitions that this silo is handing over or receiving.", "direction",
            s => s.Here is { } here ? [("out", here.Sending.Count), ("in", here.Receiving.Count)] : []),
        Counter("orleanscache_moves", "{move}", "Moves of partitions that this silo has directed, as the coordinator of the cluster.", "outcome",
            s => s.Here is { } here ? [("committed", Value(here, "moves_committed") ?? 0), ("failed", Value(here, "moves_failed") ?? 0),
                ("aborted", Value(here, "moves_aborted") ?? 0)] : []),
        Gauge("orleanscache_moves_paused", "1", "Whether an operator has paused moves; told by the coordinator's silo, 0 at all others.",
            s => Value(s.Here, "moves_paused") ?? 0),
        Gauge("orleanscache_partitions_to_move", "{partition}", "Partitions that are not where they belong; told by the coordinator's silo, 0 at all others.",
            s => Value(s.Here, "partitions_to_move") ?? 0),
        Gauge("orleanscache_move_left_bytes", "By", "Bytes of items that copies under way have to take yet; told by the coordinator's silo, 0 at all others.",
            s => Value(s.Here, "move_bytes_left") ?? 0),
        Gauge("orleanscache_replica_partitions", "{partition}", "Partitions of other silos that this one holds complete replicas of.",
            s => Value(s.Here, "partitions_replicated") ?? 0),
        Gauge("orleanscache_replica_copies", "{copy}", "Copies at other silos of the partitions that this one serves, by state.", "state",
            s => s.Here is { } here
                ? [("complete", (Value(here, "replica_copies") ?? 0) - (Value(here, "replica_copies_incomplete") ?? 0)),
                    ("incomplete", Value(here, "replica_copies_incomplete") ?? 0)] : []),
        Gauge("orleanscache_replica_items", "{item}", "Items of replicas; they count against the memory limit.", s => s.Store.ReplicaItems),
        Counter("orleanscache_replication_messages", "{message}", "Messages that replicas have taken from this silo.",
            s => Value(s.Here, "replication_messages") ?? 0),
        Counter("orleanscache_replication_sent_bytes", "By", "Bytes of these messages.", s => Value(s.Here, "replication_bytes") ?? 0),
        Counter("orleanscache_replication_retries", "{message}", "Messages to replicas that were sent again.", s => Value(s.Here, "replication_retries") ?? 0),
        Gauge("orleanscache_replication_pending_bytes", "By", "Bytes of writes that have not left for the replicas yet.",
            s => Value(s.Here, "replication_pending_bytes") ?? 0),
        Counter("orleanscache_copied_bytes", "By", "Bytes of items that new copies at other silos were made of.",
            s => Value(s.Here, "replication_copy_bytes") ?? 0),
        Gauge("orleanscache_links", "{link}", "Links over which this silo asks others; silos to which it has none are asked by calls of Orleans.",
            s => Value(s.Here, "links") ?? 0),
        Counter("orleanscache_remote_batches", "{batch}", "Batches of requests to other silos, by outcome.", "outcome",
            s => s.Routing is { } routing ? [("sent", routing.Batches), ("failed", routing.BatchesFailed)] : []),
        Counter("orleanscache_remote_requests", "{request}", "Requests in batches to other silos.", s => s.Routing?.BatchRequests ?? 0),
        Counter("orleanscache_remote_requests_held", "{request}", "Times that a request had to wait because nobody served its partition.", s =>
            s.Routing?.RequestsHeld ?? 0),
        Gauge("orleanscache_remote_queued_bytes", "By", "Bytes of requests that wait for other silos.", s => s.Routing?.QueuedBytes ?? 0),
    ];
}
