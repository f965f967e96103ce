using System.Text.RegularExpressions;
using OrleansCache.Gateway.Stats;

namespace OrleansCache.Gateway.Tests.Stats;

/// <summary>The lines of `stats`: what monitors read by name, in the order that memcached gave them.</summary>
public sealed partial class StatsLinesTests
{
    [Theory]
    [InlineData("stats", General)]
    [InlineData("stats items", Items)]
    [InlineData("stats slabs", Slabs)]
    [InlineData("stats memory", Memory)]
    public void EveryLineHasItsNameAndItsPlace(string command, string expected)
    {
        using var world = new AllLines();
        Assert.Equal(Words(expected), world.Lines(command).Select(static line => line.Name));
    }

    [Fact]
    public void EveryValueThatSilosTellHasItsNameAndItsPlace()
    {
        using var world = new AllLines();
        Assert.Equal(Words(Node), ClusterText.NodeValues(world.Shared).Select(static value => value.Name));
    }

    /// <summary>The tables of docs/statistics.md name all lines, and no others; `delete_*` stands for all that begin so.</summary>
    [Theory]
    [InlineData("stats")]
    [InlineData("stats memory")]
    public void TheDocumentationNamesEachLine(string command)
    {
        using var world = new AllLines();
        string[] told = [.. world.Lines(command).Select(static line => Class().Replace(line.Name, "CLASS:"))];
        IEnumerable<string> rows = s_documentation.SkipWhile(line => line != "## " + command).Skip(1)
            .TakeWhile(static line => !line.StartsWith("## ", StringComparison.Ordinal)).Where(static line => line.StartsWith("| `", StringComparison.Ordinal));
        string[] documented = [.. rows.SelectMany(static row => Code().Matches(row.Split('|')[1])).Select(static match => match.Groups[1].Value)];
        Assert.All(told, name => Assert.Contains(documented, pattern => Matches(name, pattern)));
        Assert.All(documented, pattern => Assert.Contains(told, name => Matches(name, pattern)));
    }

    /// <summary>Those of slab classes are explained in words, each once for all the replies that have it.</summary>
    [Theory]
    [InlineData("stats items")]
    [InlineData("stats slabs")]
    public void TheDocumentationNamesEachLineOfAClass(string command)
    {
        using var world = new AllLines();
        string[] documented = [.. s_documentation.SelectMany(static line => Code().Matches(line)).Select(static match => match.Groups[1].Value)];
        Assert.All(world.Lines(command), line => Assert.Contains(documented, pattern => Matches(line.Name.Split(':')[^1], pattern)));
    }

    private static readonly string[] s_documentation = File.ReadAllLines(Path.Combine(Repository.Root, "docs", "statistics.md"));

    private static bool Matches(string name, string pattern) =>
        Regex.IsMatch(name, $"^{Regex.Escape(pattern).Replace("\\*", ".*", StringComparison.Ordinal)}$");

    [GeneratedRegex(@"^\d+:")]
    private static partial Regex Class();

    [GeneratedRegex("`([^`]+)`")]
    private static partial Regex Code();

    private static string[] Words(string text) => text.Split([' ', '\n'], StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);

    private const string General = """
        pid uptime time version libevent pointer_size rusage_user rusage_system max_connections curr_connections total_connections
        rejected_connections connection_structures response_obj_oom response_obj_count response_obj_bytes read_buf_count read_buf_bytes
        read_buf_bytes_free read_buf_oom reserved_fds cmd_get cmd_set cmd_flush cmd_touch cmd_meta get_hits get_misses get_expired get_flushed
        delete_misses delete_hits incr_misses incr_hits decr_misses decr_hits cas_misses cas_hits cas_badval touch_hits touch_misses store_too_large
        store_no_memory auth_cmds auth_errors idle_kicks udp_datagrams udp_dropped udp_refused udp_unsent bytes_read bytes_written limit_maxbytes
        accepting_conns listen_disabled_num time_in_listen_disabled_us threads conn_yields hash_power_level hash_bytes hash_is_expanding
        slab_reassign_rescues slab_reassign_chunk_rescues slab_reassign_inline_reclaim slab_reassign_busy_items slab_reassign_busy_deletes
        slab_reassign_busy_nomem slab_reassign_last_busy_status slab_reassign_running slabs_moved lru_crawler_running lru_crawler_starts
        lru_maintainer_juggles malloc_fails log_worker_dropped log_worker_written log_watcher_skipped log_watcher_sent log_watchers ssl_new_sessions
        ssl_handshake_errors ssl_proto_errors time_since_server_cert_refresh unexpected_napi_ids round_robin_fallback bytes curr_items total_items
        slab_global_page_pool expired_unfetched evicted_unfetched evicted_active evictions reclaimed crawler_reclaimed crawler_items_checked
        lrutail_reflocked moves_to_cold moves_to_warm moves_within_lru direct_reclaims lru_bumps_dropped
        """;

    private const string Items = """
        items:5:number items:5:number_hot items:5:number_warm items:5:number_cold items:5:number_temp items:5:age_hot items:5:age_warm items:5:age
        items:5:mem_requested items:5:evicted items:5:evicted_nonzero items:5:evicted_time items:5:outofmemory items:5:tailrepairs items:5:reclaimed
        items:5:expired_unfetched items:5:evicted_unfetched items:5:evicted_active items:5:crawler_reclaimed items:5:crawler_items_checked
        items:5:lrutail_reflocked items:5:moves_to_cold items:5:moves_to_warm items:5:moves_within_lru items:5:direct_reclaims items:5:hits_to_hot
        items:5:hits_to_warm items:5:hits_to_cold items:5:hits_to_temp
        """;

    private const string Slabs = """
        5:chunk_size 5:chunks_per_page 5:total_pages 5:total_chunks 5:used_chunks 5:free_chunks 5:free_chunks_end 5:get_hits 5:cmd_set 5:delete_hits
        5:incr_hits 5:decr_hits 5:cas_hits 5:cas_badval 5:touch_hits active_slabs total_malloced
        """;

    private const string Memory = """
        limit_maxbytes shards page_size page_bytes_used page_bytes_free index_bytes ghost_bytes ghosts_max pinned_bytes items_stored items_present
        replica_items replica_bytes items_waiting lost_replaced lost_deleted lost_expired lost_evicted lost_page_moved lost_memory_limit
        lost_flushed lost_closed 5:chunk_size 5:total_pages 5:number_small 5:number_small_max 5:number_main 5:number_temp 5:credit_bytes
        """;

    private const string Node = """
        uptime max_connections curr_connections total_connections rejected_connections cmd_get cmd_set cmd_flush cmd_touch get_hits get_misses
        get_expired get_flushed delete_misses delete_hits incr_misses incr_hits decr_misses decr_hits cas_misses cas_hits cas_badval touch_hits
        touch_misses store_too_large store_no_memory bytes_read bytes_written limit_maxbytes threads hash_bytes bytes curr_items total_items
        expired_unfetched evicted_unfetched evicted_active evictions reclaimed page_bytes_used page_bytes_free items_stored lost_replaced
        lost_deleted lost_expired lost_evicted lost_page_moved lost_memory_limit lost_flushed lost_closed operations unavailable
        """;
}
