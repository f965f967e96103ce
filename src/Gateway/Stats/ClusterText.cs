using System.Globalization;
using System.Text;

namespace OrleansCache.Gateway.Stats;

/// <summary>
/// The replies about the whole cluster: `stats cluster` and the gateways' list (docs/cluster.md). A single node answers for itself, as a cluster of one.
/// </summary>
internal static class ClusterText
{
    /// <summary>What a silo's line tells; the sums tell everything.</summary>
    private static readonly string[] s_siloLine =
    [
        "uptime", "max_connections", "curr_connections", "cmd_get", "cmd_set", "get_hits", "get_misses", "curr_items", "bytes", "limit_maxbytes", "evictions",
        "partitions_moving", "partitions_taken_over", "bytes_taken_over", "partitions_handed_over", "bytes_handed_over", "handover_pause_max_ms", "draining",
        "seed", "partitions_replicated", "replica_copies", "replica_copies_incomplete", "wire_speaks",
    ];

    /// <summary>Of these the greatest of all silos tells what counts for the cluster; "seeds" is the same in the whole of it, as each silo knows it.</summary>
    private static readonly string[] s_greatest = ["seeds", "handover_pause_max_ms"];

    /// <summary>Of these the least of all silos tells what counts for the cluster.</summary>
    private static readonly string[] s_least = ["uptime", "wire_speaks"];

    /// <summary>ElastiCache's configuration: as `config get cluster` answers it, or as the item that clients of old servers ask for.</summary>
    public static async Task<byte[]> DiscoveryAsync(GatewayShared shared, bool asItem)
    {
        GatewayList list;
        try
        {
            list = shared.Router.Cluster is { } cluster ? await cluster.ReadGatewaysAsync(CancellationToken.None).ConfigureAwait(false) : Alone(shared);
        }
        catch (RouterException failure)
        {
            return Encoding.ASCII.GetBytes($"SERVER_ERROR {failure.Message}\r\n");
        }

        IEnumerable<string> gateways =
            list.Gateways.Select(gateway => string.Create(CultureInfo.InvariantCulture, $"{gateway.Host}|{gateway.Address}|{gateway.Port}"));
        string content = string.Create(CultureInfo.InvariantCulture, $"{list.Version}\n{string.Join(' ', gateways)}\n");
        string first = asItem ? "VALUE AmazonElastiCache:cluster" : "CONFIG cluster";
        return Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{first} 0 {Encoding.UTF8.GetByteCount(content)}\r\n{content}\r\nEND\r\n"));
    }

    /// <summary>`stats cluster`.</summary>
    public static async Task<byte[]> StatisticsAsync(GatewayShared shared)
    {
        ClusterStatistics all;
        try
        {
            all = await ReadAsync(shared, CancellationToken.None).ConfigureAwait(false);
        }
        catch (RouterException failure)
        {
            return Encoding.ASCII.GetBytes($"SERVER_ERROR {failure.Message}\r\n");
        }

        var text = new StringBuilder();
        Add("silos", all.Silos.Count);
        Add("silos_answering", all.Silos.Count(silo => silo.Values is not null));
        Add("gateways", all.Silos.Count(silo => silo.Gateway is not null));
        Add("gateways_version", all.GatewaysVersion);
        Add("partitions", all.PartitionCount);
        if (all.WireVersion > 0)
            Add("wire_version", all.WireVersion);
        var names = new List<string>();
        var sums = new Dictionary<string, long>();
        foreach (StatisticValue value in all.Silos.SelectMany(silo => silo.Values ?? []))
        {
            if (sums.TryAdd(value.Name, value.Value))
                names.Add(value.Name);
            else if (s_greatest.Contains(value.Name))
                sums[value.Name] = Math.Max(sums[value.Name], value.Value);
            else if (s_least.Contains(value.Name))
                sums[value.Name] = Math.Min(sums[value.Name], value.Value);
            else
                sums[value.Name] += value.Value;
        }

        foreach (string name in names)
            Add(name, sums[name]);
        foreach (SiloStatistics silo in all.Silos)
            AddSilo(text, silo);
        return Encoding.ASCII.GetBytes(text.Append("END\r\n").ToString());

        void Add(string name, long value) => text.Append(CultureInfo.InvariantCulture, $"STAT {name} {value}\r\n");
    }

    /// <summary>`stats seeds`: who keeps the membership.</summary>
    public static async Task<byte[]> SeedsAsync(GatewayShared shared)
    {
        try
        {
            if (shared.Router.Cluster is not { } cluster || await cluster.ReadSeedsAsync(CancellationToken.None).ConfigureAwait(false) is not { } overview)
                return "STAT seeds 0\r\nEND\r\n"u8.ToArray();
            int votes = overview.Seeds.Count(seed => seed.Votes);
            var text = new StringBuilder();
            text.Append(CultureInfo.InvariantCulture, $"STAT seeds {votes}\r\nSTAT seeds_wanted {overview.Target}\r\n");
            text.Append(CultureInfo.InvariantCulture, $"STAT seeds_majority {(votes / 2) + 1}\r\n");
            text.Append(CultureInfo.InvariantCulture, $"STAT seeds_up {overview.Seeds.Count(seed => seed is { Votes: true, IsUp: true })}\r\n");
            text.Append(CultureInfo.InvariantCulture, $"STAT membership {(overview.IsReadable ? "readable" : "unreadable")}\r\n");
            foreach (SeedState seed in overview.Seeds)
            {
                string vote = seed.Votes ? "seed" : seed.IsBarred ? "removed" : "no_vote";
                text.Append(CultureInfo.InvariantCulture, $"STAT silo:{seed.Silo} {vote} {(seed.IsUp ? "up" : "gone")}\r\n");
            }

            return Encoding.ASCII.GetBytes(text.Append("END\r\n").ToString());
        }
        catch (RouterException failure)
        {
            return Encoding.ASCII.GetBytes($"SERVER_ERROR {failure.Message}\r\n");
        }
    }

    /// <summary>Null: done; otherwise why not.</summary>
    public static async Task<string?> ChangeSeedsAsync(GatewayShared shared, string silo, bool add)
    {
        try
        {
            return await shared.Router.Cluster!.ChangeSeedsAsync(silo, add, CancellationToken.None).ConfigureAwait(false) is { } refusal
                ? $"seeds: {refusal}" : null;
        }
        catch (RouterException failure)
        {
            return failure.Message;
        }
    }

    /// <summary>`stats moves`: what is on its way between silos.</summary>
    public static async Task<byte[]> MovesAsync(GatewayShared shared)
    {
        MovesOverview overview = MovesOverview.Nothing;
        try
        {
            if (shared.Router.Cluster is { } cluster)
                overview = await cluster.ReadMovesAsync(CancellationToken.None).ConfigureAwait(false);
        }
        catch (RouterException failure)
        {
            return Encoding.ASCII.GetBytes($"SERVER_ERROR {failure.Message}\r\n");
        }

        var text = new StringBuilder();
        Add("paused", overview.IsPaused ? 1 : 0);
        Add("limit_bytes_per_second", overview.LimitBytesPerSecond);
        Add("partitions_to_move", overview.PartitionsToMove);
        Add("transfers", overview.Transfers.Count);
        Add("bytes_left", overview.BytesLeft);
        Add("bytes_per_second", overview.BytesPerSecond);
        Add("seconds_left", overview.SecondsLeft ?? -1);
        foreach (PartitionTransfer transfer in overview.Transfers)
        {
            text.Append(CultureInfo.InvariantCulture, $"STAT {(transfer.IsMove ? "move" : "copy")}:{transfer.Partition} {WordOf(transfer.Step)}");
            text.Append(CultureInfo.InvariantCulture, $" reason={WordOf(transfer.Reason)} from={transfer.From} to={transfer.To} bytes={transfer.BytesDone}");
            text.Append(CultureInfo.InvariantCulture, $" bytes_total={transfer.BytesTotal} bytes_per_second={transfer.BytesPerSecond}");
            text.Append(CultureInfo.InvariantCulture, $" seconds_left={transfer.SecondsLeft ?? -1}\r\n");
        }

        foreach ((int partition, int seconds) in overview.Aborted)
            text.Append(CultureInfo.InvariantCulture, $"STAT aborted:{partition} {seconds}\r\n");
        return Encoding.ASCII.GetBytes(text.Append("END\r\n").ToString());

        void Add(string name, long value) => text.Append(CultureInfo.InvariantCulture, $"STAT {name} {value}\r\n");
    }

    /// <summary>Null: done; otherwise why not.</summary>
    public static async Task<string?> OrderMovesAsync(GatewayShared shared, MoveOrder order)
    {
        try
        {
            return await shared.Router.Cluster!.OrderMovesAsync(order, CancellationToken.None).ConfigureAwait(false) is { } refusal
                ? $"moves: {refusal}" : null;
        }
        catch (RouterException failure)
        {
            return $"moves: {failure.Message}";
        }
    }

    /// <summary>All silos; a single node is a cluster of one.</summary>
    public static ValueTask<ClusterStatistics> ReadAsync(GatewayShared shared, CancellationToken cancellationToken) =>
        shared.Router.Cluster is { } cluster ? cluster.ReadStatisticsAsync(cancellationToken) : ValueTask.FromResult(AloneStatistics(shared));

    /// <summary>What one process counts and can be added up over silos (uptime is the shortest). Names and order of `stats`.</summary>
    public static StatisticValue[] NodeValues(GatewayShared shared)
    {
        GatewayStatistics gateway = shared.ReadStatistics();
        StoreStatistics store = shared.Router.ReadStatistics(perClass: false);
        return
        [
            new("uptime", Math.Max(0, (long)(shared.TimeProvider.GetUtcNow() - shared.StartedAt).TotalSeconds)),
            new("max_connections", gateway.ConnectionsMax),
            new("curr_connections", gateway.ConnectionsCurrent),
            new("total_connections", gateway.ConnectionsTotal),
            new("rejected_connections", gateway.ConnectionsRejected),
            new("cmd_get", store.CmdGet),
            new("cmd_set", store.CmdSet),
            new("cmd_flush", gateway.Counters.CmdFlush),
            new("cmd_touch", store.CmdTouch),
            new("get_hits", store.GetHits),
            new("get_misses", store.GetMisses),
            new("get_expired", store.GetExpired),
            new("get_flushed", store.GetFlushed),
            new("delete_misses", store.DeleteMisses),
            new("delete_hits", store.DeleteHits),
            new("incr_misses", store.IncrMisses),
            new("incr_hits", store.IncrHits),
            new("decr_misses", store.DecrMisses),
            new("decr_hits", store.DecrHits),
            new("cas_misses", store.CasMisses),
            new("cas_hits", store.CasHits),
            new("cas_badval", store.CasBadValue),
            new("touch_hits", store.TouchHits),
            new("touch_misses", store.TouchMisses),
            new("store_too_large", store.StoreTooLarge + gateway.Counters.StoresTooLarge),
            new("store_no_memory", store.StoreNoMemory),
            new("bytes_read", gateway.Counters.BytesRead),
            new("bytes_written", gateway.Counters.BytesWritten),
            new("limit_maxbytes", store.LimitMaxBytes),
            new("threads", gateway.Threads),
            new("hash_bytes", store.HashBytes),
            new("bytes", store.Bytes),
            new("curr_items", store.CurrItems),
            new("total_items", store.TotalItems),
            new("expired_unfetched", store.ExpiredUnfetched),
            new("evicted_unfetched", store.EvictedUnfetched),
            new("evicted_active", store.EvictedActive),
            new("evictions", store.Evictions),
            new("reclaimed", store.Reclaimed),
            new("page_bytes_used", store.PageBytesUsed),
            new("page_bytes_free", store.PageBytesFree),
            new("items_stored", store.ItemsStored),
            new("lost_replaced", store.LostReplaced),
            new("lost_deleted", store.LostDeleted),
            new("lost_expired", store.LostExpired),
            new("lost_evicted", store.LostEvicted),
            new("lost_page_moved", store.LostPageMoved),
            new("lost_memory_limit", store.LostMemoryLimit),
            new("lost_flushed", store.LostFlushed),
            new("lost_closed", store.LostClosed),
            new("operations", gateway.Counters.Operations),
            new("unavailable", gateway.Counters.Unavailable),
        ];
    }

    private static string WordOf(TransferStep step) => step switch
    {
        TransferStep.Copying => "copying",
        TransferStep.Resting => "resting",
        TransferStep.HandingOver => "handing_over",
        _ => "waiting",
    };

    private static string WordOf(TransferReason reason) => reason switch
    {
        TransferReason.Drain => "drain",
        TransferReason.Repair => "repair",
        _ => "balance",
    };

    private static GatewayList Alone(GatewayShared shared) => new(1, GatewayLocation.Find(shared, null, null) is { } here ? [here] : []);

    private static ClusterStatistics AloneStatistics(GatewayShared shared)
    {
        GatewayAddress? here = GatewayLocation.Find(shared, null, null);
        string name = here is null ? "local" : string.Create(CultureInfo.InvariantCulture, $"{here.Address}:{here.Port}");
        return new ClusterStatistics(1, shared.Router.PartitionCount, [new SiloStatistics(name, here, shared.Router.PartitionCount, NodeValues(shared))]);
    }

    /// <summary>One line, so that a reader finds a silo in one place: words of the form name=value behind the silo's name.</summary>
    private static void AddSilo(StringBuilder text, SiloStatistics silo)
    {
        text.Append(CultureInfo.InvariantCulture, $"STAT silo:{silo.Silo} {(silo.Values is null ? "no_answer" : "up")} partitions={silo.Partitions}");
        if (silo.Gateway is { } gateway)
            text.Append(CultureInfo.InvariantCulture, $" gateway={gateway.Host}:{gateway.Port}");
        foreach (StatisticValue value in silo.Values ?? [])
        {
            if (s_siloLine.Contains(value.Name))
                text.Append(CultureInfo.InvariantCulture, $" {value.Name}={value.Value}");
        }

        text.Append("\r\n");
    }
}
