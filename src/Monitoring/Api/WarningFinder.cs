using System.Globalization;
using OrleansCache.Gateway.Stats;

namespace OrleansCache.Monitoring.Api;

/// <summary>
/// What an operator should look at, and what to do about it. Compares with a snapshot of up to a minute ago, or with the start if there is none, so
/// that what is long over falls silent.
/// </summary>
internal sealed class WarningFinder(NodeSnapshot now, NodeSnapshot? past)
{
    /// <summary>Items that are evicted sooner after their last use than this are probably still wanted.</summary>
    private const int YoungSeconds = 300;

    /// <summary>Fewer gets than this say nothing about the hit ratio.</summary>
    private const long GetsMin = 1000;

    private const double LowHitRatio = 0.5;
    private const double NearLimit = 0.9;

    /// <summary>Classes that are named; the rest is counted.</summary>
    private const int ClassesMax = 3;

    private readonly List<Warning> _found = [];

    public IReadOnlyList<Warning> Find()
    {
        LookAtCluster();
        LookAtConnections();
        LookAtMemory();
        LookAtClasses();
        LookAtLoops();
        return [.. _found.OrderBy(static warning => warning.Severity switch { "critical" => 0, "warning" => 1, _ => 2 })];
    }

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);

    private static string Percent(double ratio) => Text($"{ratio * 100:0.#}%");

    private void Add(string id, string severity, string subject, string text, string advice) => _found.Add(new Warning(id, severity, subject, text, advice));

    /// <summary>What has been added since the former snapshot; a counter that was reset meanwhile counts from 0.</summary>
    private long Since(Func<NodeSnapshot, long> read)
    {
        long value = read(now);
        long before = past is null ? 0 : read(past);
        return value >= before ? value - before : value;
    }

    private string Lately => past is null ? "since the start" : Text($"in the last {Math.Max(1, Math.Round((now.Time - past.Time).TotalSeconds)):0} s");

    private void LookAtCluster()
    {
        foreach (SiloStatistics silo in now.Cluster?.Silos.Where(static silo => silo.Values is null) ?? [])
        {
            Add("silo_no_answer", "critical", silo.Silo, $"Silo {silo.Silo} does not answer.",
                "It has just died and will be replaced within seconds, or it is overloaded or cut off: look at its log and its machine.");
        }

        int orphans = now.Owners?.Owners.Count(static owner => owner < 0) ?? 0;
        if (orphans > 0)
            Add("partitions_without_owner", "critical", "partitions", Text($"{orphans} of {now.Owners!.Owners.Count} partitions have no owner."),
                "Requests for them wait. If this lasts longer than 10 s, see whether the silos reach each other.");
        if (now.NotReady is { } reason)
            Add("not_ready", "warning", "this process", $"Not ready: {reason}.", "Wait; send it no new load until it is ready.");
        if (Since(static s => s.Gateway.Counters.Unavailable) is > 0 and long unavailable)
        {
            Add("unavailable", "warning", "requests",
                Text($"{unavailable} requests got SERVER_ERROR {Lately}, because the owner of their partition could not be reached."),
                "A silo was lost or hangs; if it goes on, look at the silos that do not answer.");
        }
    }

    private void LookAtConnections()
    {
        GatewayStatistics gateway = now.Gateway;
        if (Since(static s => s.Gateway.ConnectionsRejected) is > 0 and long rejected)
            Add("connections_rejected", "critical", "connections",
                Text($"{rejected} connections were turned away {Lately}: -c allows {gateway.ConnectionsMax}."),
                "Raise -c (and the limit of open files), or pool connections in the clients.");
        else if (gateway.ConnectionsCurrent >= NearLimit * gateway.ConnectionsMax)
            Add("connections_near_limit", "warning", "connections", Text($"{gateway.ConnectionsCurrent} of {gateway.ConnectionsMax} connections are open."),
                "Raise -c (and the limit of open files) before clients are turned away.");
        if (Since(static s => s.Gateway.ListenDisabled) is > 0 and long pauses)
            Add("accepting_paused", "critical", "connections",
                Text($"Accepting connections paused {pauses} times {Lately}: no descriptor or no memory was left."),
                "Raise the limit of open files of the process.");
        if (Since(static s => s.Gateway.Counters.AuthErrors) is > 0 and long failures)
            Add("login_failures", "info", "logins", Text($"{failures} logins failed {Lately}."),
                "A client has an old password, or somebody guesses: the log names addresses.");
        if (Since(static s => s.Gateway.Counters.RepliesRefused + s.Gateway.Counters.ReadBuffersRefused) is > 0 and long refused)
            Add("buffers_refused", "warning", "buffers", Text($"{refused} requests were refused {Lately}, because the buffers of all connections were full."),
                "Raise -o read_buf_mem_limit, or see which clients send much and read slowly.");
    }

    private void LookAtMemory()
    {
        if (Since(static s => s.Store.StoreNoMemory) is > 0 and long noMemory)
            Add("no_memory", "critical", "memory", Text($"{noMemory} values found no memory {Lately}."),
                "With -M nothing is evicted: raise -m, store with a time to live, or start without -M.");
        if (Since(static s => s.Store.StoreTooLarge + s.Gateway.Counters.StoresTooLarge) is > 0 and long tooLarge)
            Add("too_large", "warning", "values", Text($"{tooLarge} values were larger than -I allows {Lately}."),
                "Raise -I, or let the client compress or split such values.");
        long hits = Since(static s => s.Store.GetHits);
        long gets = hits + Since(static s => s.Store.GetMisses);
        if (gets >= GetsMin && hits < LowHitRatio * gets)
        {
            string advice = Since(static s => s.Store.Evictions) > 0 ? "Items are evicted before they are asked for again: raise -m or add a silo."
                : Since(static s => s.Store.GetExpired) > (gets - hits) / 4 ? "Many keys had expired: see whether their time to live is as long as it may be."
                : "Memory is not the reason: keys are asked for that nobody has stored. A cache that was just started fills with time.";
            Add("low_hit_ratio", "info", "hit ratio", Text($"{Percent((double)hits / gets)} of {gets} gets were hits {Lately}."), advice);
        }

        long evicted = Since(static s => s.Store.Evictions);
        long unfetched = Since(static s => s.Store.EvictedUnfetched);
        if (evicted >= GetsMin && unfetched > 0.8 * evicted)
            Add("evicted_unfetched", "info", "evictions", Text($"{Percent((double)unfetched / evicted)} of the items evicted {Lately} had never been read."),
                "They cost memory and brought nothing: see whether the application needs to store all of them.");
    }

    private void LookAtClasses()
    {
        var young = new List<SlabClassStatistics>();
        foreach (SlabClassStatistics slab in now.Store.Classes)
        {
            long before = past?.Store.Classes.FirstOrDefault(other => other.ClassId == slab.ClassId).Evicted ?? 0;
            if (slab.Evicted - before > 0 && slab.EvictedTimeSeconds < YoungSeconds)
                young.Add(slab);
        }

        int named = 0;
        foreach (SlabClassStatistics slab in young.OrderBy(static slab => slab.EvictedTimeSeconds).Take(ClassesMax))
        {
            string more = ++named == ClassesMax && young.Count > ClassesMax ? Text($" So do {young.Count - ClassesMax} other classes.") : "";
            Add("class_evicts_young", "warning", Text($"class {slab.ClassId}"),
                Text($"Class {slab.ClassId} (chunks of {slab.ChunkBytes} bytes) evicts items {slab.EvictedTimeSeconds} s after their last use.") + more,
                "Raise -m or add a silo; or store less, or with a shorter time to live.");
        }

        SlabClassStatistics waste = now.Store.Classes.Where(static slab => slab.TotalPages > 0).OrderByDescending(Waste).FirstOrDefault();
        if (waste.TotalPages > 0 && now.Store.LimitMaxBytes > 0 && Waste(waste) > 0.1 * now.Store.LimitMaxBytes)
        {
            string share = Percent((double)Waste(waste) / now.Store.LimitMaxBytes);
            Add("wasteful_class", "info", Text($"class {waste.ClassId}"),
                Text($"Class {waste.ClassId} (chunks of {waste.ChunkBytes} bytes) holds {share} of the memory beyond what its items need."),
                "Its free chunks go to other classes by themselves when those need room; a smaller -f makes chunks fit closer.");
        }
    }

    private long Waste(SlabClassStatistics slab) => (slab.TotalPages * now.Store.PageBytes) - UsefulBytes(slab);

    /// <summary>What items asked for; where only later pieces of large values lie, which count with their first one, the chunks that they fill.</summary>
    public static long UsefulBytes(SlabClassStatistics slab) => slab.Items == 0 ? slab.UsedChunks * slab.ChunkBytes : slab.MemRequested;

    private void LookAtLoops()
    {
        if (past is null || past.LoopTimes.Count != now.LoopTimes.Count || now.LoopTimes.Count == 0)
            return;
        double seconds = (now.Time - past.Time).TotalSeconds;
        int busy = now.LoopTimes.Where((time, loop) => (time - past.LoopTimes[loop]).TotalSeconds > NearLimit * seconds).Count();
        if (busy > 0 && seconds > 1)
            Add("loops_busy", "warning", "I/O loops", Text($"{busy} of {now.LoopTimes.Count} I/O loops are busy all the time."),
                "Raise -t if the machine has idle cores; otherwise add gateways or silos.");
    }
}
