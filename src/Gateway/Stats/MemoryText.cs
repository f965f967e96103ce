namespace OrleansCache.Gateway.Stats;

/// <summary>
/// The reply of `stats memory`, which memcached does not have: what this process's memory is divided into, what has become of every item that was ever stored
/// in it, and what the slab classes have earned. Cold: builds strings.
/// </summary>
internal static class MemoryText
{
    public static byte[] Build(StoreStatistics store)
    {
        var text = new StatsText.Writer();
        text.Add("limit_maxbytes", store.LimitMaxBytes);
        text.Add("shards", store.ShardCount);
        text.Add("page_size", store.PageBytes);
        text.Add("page_bytes_used", store.PageBytesUsed);
        text.Add("page_bytes_free", store.PageBytesFree);
        text.Add("index_bytes", store.HashBytes);
        text.Add("ghost_bytes", store.GhostBytes);
        text.Add("ghosts_max", store.GhostsMax);
        text.Add("pinned_bytes", store.PinnedBytes);
        text.Add("items_stored", store.ItemsStored);
        text.Add("items_present", store.CurrItems + store.ReplicaItems);
        text.Add("replica_items", store.ReplicaItems);
        text.Add("replica_bytes", store.ReplicaBytes);
        text.Add("items_waiting", store.ItemsWaiting);
        text.Add("lost_replaced", store.LostReplaced);
        text.Add("lost_deleted", store.LostDeleted);
        text.Add("lost_expired", store.LostExpired);
        text.Add("lost_evicted", store.LostEvicted);
        text.Add("lost_page_moved", store.LostPageMoved);
        text.Add("lost_memory_limit", store.LostMemoryLimit);
        text.Add("lost_flushed", store.LostFlushed);
        text.Add("lost_closed", store.LostClosed);
        foreach (SlabClassStatistics slab in store.Classes)
        {
            if (slab.TotalPages == 0)
                continue;
            text.Prefix = $"{slab.ClassId}:";
            text.Add("chunk_size", slab.ChunkBytes);
            text.Add("total_pages", slab.TotalPages);
            text.Add("number_small", slab.ItemsHot);
            text.Add("number_small_max", slab.ItemsHotMax);
            text.Add("number_main", slab.ItemsWarm);
            text.Add("number_temp", slab.ItemsTemp);
            text.Add("credit_bytes", slab.CreditBytes);
        }

        text.Prefix = "";
        return text.End();
    }
}
