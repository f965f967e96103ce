using System.Globalization;

namespace OrleansCache.Silo.Options;

/// <summary>One name of -o.</summary>
internal sealed record ExtendedOption
{
    public required string Name { get; init; }

    public required OptionState State { get; init; }

    public required string Help { get; init; }

    /// <summary>What stands for the value in the help.</summary>
    public string Argument { get; init; } = "num";

    /// <summary>memcached's message if the value is missing; null if the name takes none (a value that is given nevertheless is ignored, as there).</summary>
    public string? Missing { get; init; }

    /// <summary>Checks and takes the value over; returns what is wrong with it.</summary>
    public Func<ServeOptions, string, string?>? Apply { get; init; }

    /// <summary>Takes the name without a value over.</summary>
    public Action<ServeOptions>? Set { get; init; }
}

/// <summary>
/// memcached's -o: names that work; names that are accepted because they tune machinery which this store does not have or which tunes itself; and names that
/// are refused, because what they ask for cannot be. Values are checked with memcached's limits and words, and shown by `stats settings`, even where they
/// change nothing.
/// </summary>
internal static class ExtendedOptions
{
    private const int LogKilobytesMax = 1024 * 1024;

    public static IReadOnlyList<ExtendedOption> All { get; } =
    [
        new()
        {
            Name = "idle_timeout", State = OptionState.Works, Help = "seconds after which a silent connection is closed; 0, the default, for never",
            Missing = "Missing numeric argument for idle_timeout",
            Apply = (o, text) => Values.Count(text, 0, int.MaxValue, "idle_timeout must not be negative", value => o.IdleTimeoutSeconds = value),
        },
        Flag("maxconns_fast", OptionState.Works, "close new connections beyond -c at once (always so)"),
        Flag("modern", OptionState.NoEffect, "defaults of the next major version: currently none"),
        Flag("no_maxconns_fast", OptionState.NoEffect, "new connections beyond -c are always closed at once"),
        Flag("no_modern", OptionState.Works, "defaults of memcached 1.4: no crawler, no_lru_maintainer, no_slab_reassign, slab_automove=0",
            set: o => o.Lru = o.Lru with
        {
            CrawlerEnabled = false, MaintainerEnabled = false, IsSegmented = false, SlabReassign = false, SlabAutomove = 0, SlabChunkBytesMax = 1024 * 1024,
        }),
        Number("hashpower", "Missing numeric argument for hashpower", "start size of the index: it grows by itself", 12, 32,
            "Initial hashtable multiplier of {0} is too low", "Initial hashtable multiplier of {0} is too high",
            (o, value) => o.Lru = o.Lru with { HashPowerAtStart = (int)value }),
        Flag("no_hashexpand", OptionState.NoEffect, "the index always grows"),
        Choice("hash_algorithm", "Missing hash_algorithm argument", "the hash of keys is fixed, because it decides which partition holds a key",
            "Unknown hash_algorithm option (jenkins, murmur3, xxh3)", "jenkins", "murmur3", "xxh3"),
        Flag("slab_reassign", OptionState.Works, "pages move between slab classes, by themselves and by `slabs reassign`; the default",
            set: o => o.Lru = o.Lru with { SlabReassign = true }),
        Flag("no_slab_reassign", OptionState.Works, "as slab_automove=0, and no `slabs reassign`", set: o => o.Lru = o.Lru with { SlabReassign = false }),
        new()
        {
            Name = "slab_automove", State = OptionState.Works,
            Help = "1, the default, and 2: pages move to the classes that gain most hits from them; 0: only to classes that have none",
            Set = o => o.Lru = o.Lru with { SlabAutomove = 1 },
            Apply = (o, text) =>
            {
                if (!Values.TryInteger(text, out long value) || value is < 0 or > 2)
                    return "slab_automove must be between 0 and 2";
                o.Lru = o.Lru with { SlabAutomove = (int)value };
                return null;
            },
        },
        Flag("no_slab_automove", OptionState.Works, "as slab_automove=0", set: o => o.Lru = o.Lru with { SlabAutomove = 0 }),
        Fraction("slab_automove_ratio", "Missing slab_automove_ratio argument", "which pages move is measured in hits", value => value is > 0 and <= 1,
            "slab_automove_ratio must be > 0 and < 1",
            (o, value) => o.Lru = o.Lru with { SlabAutomoveRatio = value }),
        Number("slab_automove_window", "Missing slab_automove_window argument", "the same", 3, 1800, "slab_automove_window must be > 2 and < 1800",
            set: (o, value) => o.Lru = o.Lru with { SlabAutomoveWindow = (int)value }),
        Fraction("slab_automove_freeratio", "Missing slab_automove_freeratio argument", "the same", _ => true, "",
            (o, value) => o.Lru = o.Lru with { SlabAutomoveFreeRatio = value }),
        Number("slab_chunk_max", "Missing slab_chunk_max argument", "largest chunk in kilobytes: large items are chains of chunks anyway", 1, 1024,
            "slab_chunk_max must be >= 0", "slab_chunk_max must be specified in kilobytes.", (o, value) =>
                o.Lru = o.Lru with { SlabChunkBytesMax = (int)value * 1024 }),
        Flag("no_chunked_items", OptionState.NoEffect, "large items are always chains of chunks",
            set: o => o.Lru = o.Lru with { SlabChunkBytesMax = 1024 * 1024 }),
        Number("tail_repair_time", "Missing numeric argument for tail_repair_time", "there are no leaked references to repair", 10, int.MaxValue,
            "Cannot set tail_repair_time to less than 10 seconds", set: (o, value) => o.Lru = o.Lru with { TailRepairSeconds = (int)value }),
        Flag("lru_crawler", OptionState.Works, "the commands of the crawler; the default", set: o => o.Lru = o.Lru with { CrawlerEnabled = true }),
        Flag("no_lru_crawler", OptionState.Works, "no crawler until `lru_crawler enable` (expired items are found without it)",
            set: o => o.Lru = o.Lru with { CrawlerEnabled = false }),
        Number("lru_crawler_sleep", "Missing lru_crawler_sleep value", "expired items are found without the crawler; `lru_crawler` shows and changes it", 0,
            1_000_000,
            "LRU crawler sleep must be between 0 and 1 second", set: (o, value) => o.Lru = o.Lru with { CrawlerSleepMicroseconds = (int)value }),
        Number("lru_crawler_tocrawl", "Missing lru_crawler_tocrawl value", "the same", 0, uint.MaxValue, "lru_crawler_tocrawl takes a numeric 32bit value",
            set: (o, value) => o.Lru = o.Lru with { CrawlerItemsMax = (uint)value }),
        Flag("lru_maintainer", OptionState.Works, "new and proven items in queues of their own (without a thread of its own); the default",
            set: o => o.Lru = o.Lru with { MaintainerEnabled = true, IsSegmented = true }),
        Flag("no_lru_maintainer", OptionState.Works, "one queue for each class, as `lru mode flat`, and no `lru mode` and `lru temp_ttl`",
            set: o => o.Lru = o.Lru with { MaintainerEnabled = false, IsSegmented = false }),
        Number("hot_lru_pct", "Missing hot_lru_pct argument",
            "share of a slab class for items that have not been read yet, 5 if not given; it grows where that brings hits", 1, 79,
            "hot_lru_pct must be > 1 and < 80", set: (o, value) => o.Lru = o.Lru with { HotPercent = (int)value }, state: OptionState.Works),
        Number("warm_lru_pct", "Missing warm_lru_pct argument", "proven items have all that hot_lru_pct leaves; shown by stats settings", 1, 79,
            "warm_lru_pct must be > 1 and < 80",
            set: (o, value) => o.Lru = o.Lru with { WarmPercent = (int)value }),
        Fraction("hot_max_factor", "Missing hot_max_factor argument", "items move by what was read, not by age; shown by stats settings", value => value > 0,
            "hot_max_factor must be > 0",
            (o, value) => o.Lru = o.Lru with { HotAgeFactor = value }),
        Fraction("warm_max_factor", "Missing warm_max_factor argument", "the same", value => value > 0, "warm_max_factor must be > 0",
            (o, value) => o.Lru = o.Lru with { WarmAgeFactor = value }),
        Number("temporary_ttl", "Missing temporary_ttl argument", "items with a time to live of at most so many seconds are evicted first", int.MinValue,
            int.MaxValue,
            "temporary_ttl: {0} is out of range", set: (o, value) => o.Lru = o.Lru with { TemporaryEnabled = true, TemporaryTtlSeconds = (int)value },
            state: OptionState.Works),
        Number("watcher_logbuf_size", "Missing watcher_logbuf_size argument", "kilobytes that a watcher may be behind before lines are left out", 0,
            LogKilobytesMax,
            "could not parse argument to watcher_logbuf_size", set: (o, value) => o.WatcherLogBytesMax = value * 1024, state: OptionState.Works),
        Number("worker_logbuf_size", "Missing worker_logbuf_size argument", "kilobytes of log lines that a thread keeps for the watchers", 0, LogKilobytesMax,
            "could not parse argument to worker_logbuf_size", set: (o, value) => o.WorkerLogBytesMax = value * 1024, state: OptionState.Works),
        Number("read_buf_mem_limit", "Missing read_buf_mem_limit argument",
            "megabytes that the buffers of all connections may hold, for requests that arrive and replies that wait; 0, the default: 64, or twice -I "
                + "if that is more",
            0, uint.MaxValue,
            "could not parse argument to read_buf_mem_limit", set: (o, value) => o.ReadBufferBytesMax = value * 1024 * 1024, state: OptionState.Works),
        Flag("resp_obj_mem_limit", OptionState.NoEffect, "memcached has dropped it too"),
        Flag("track_sizes", OptionState.Works, "stats sizes counts from the start", set: o => o.TrackSizes = true),
        Flag("inline_ascii_resp", OptionState.NoEffect, "memcached has dropped it too"),
        Flag("no_inline_ascii_resp", OptionState.NoEffect, "the same"),
        Flag("drop_privileges", OptionState.NoEffect, "system calls are not restricted"),
        Flag("no_drop_privileges", OptionState.NoEffect, "the same"),
        Flag("relaxed_privileges", OptionState.NoEffect, "the same; memcached's debug builds have it"),
        Number("sock_cookie_id", "Missing sock_cookie_id argument", "a facility of FreeBSD", 0, uint.MaxValue, "could not parse argument to sock_cookie_id"),
        new()
        {
            Name = "slab_sizes", State = OptionState.NoEffect, Missing = "Missing slab_sizes argument", Apply = (o, text) => CheckSlabSizes(o, text),
            Help = "a list of chunk sizes: the sizes here are those that this store's small pages divide into; -n and -f shape them",
        },
        Refused("ext_path", "this server keeps items in memory only, and a larger -m or one more silo takes the place of a disk"),
        .. new[]
        {
            "ext_page_size", "ext_wbuf_size", "ext_threads", "ext_io_depth", "ext_item_size", "ext_item_age", "ext_low_ttl", "ext_recache_rate",
            "ext_compact_under", "ext_drop_under", "ext_max_sleep", "ext_max_frag",
        }.Select(name => Fraction(name, $"Missing {name} argument", "tunes external storage, see ext_path", _ => true, "")),
        Flag("ext_drop_unread", OptionState.NoEffect, "tunes external storage, see ext_path"),
        .. TlsExtendedOptions.All,
        .. new[] { "proxy_config", "proxy_arg", "proxy_uring", "proxy_memprofile" }.Select(name =>
            Refused(name, "every gateway reaches every silo by itself, and runs no Lua; memcached without its proxy refuses this too")),
    ];

    /// <summary>Applies a whole -o argument: names separated by commas, each with =value or without.</summary>
    public static string? Apply(ServeOptions options, string text)
    {
        foreach (string part in text.Split(',', StringSplitOptions.RemoveEmptyEntries))
        {
            int equals = part.IndexOf('=', StringComparison.Ordinal);
            string name = equals < 0 ? part : part[..equals];
            string? value = equals < 0 ? null : part[(equals + 1)..];
            ExtendedOption? known = All.FirstOrDefault(option => option.Name == name);
            if (known is null)
                return $"Illegal suboption \"{part}\"";
            if (known.State == OptionState.NotYet)
                return $"-o {name} ({known.Help}) is not supported yet";
            if (known.State == OptionState.Refused)
                return $"-o {name} cannot be used here: {known.Help}";
            if (value is null && known.Missing is not null)
                return known.Missing;
            if (value is not null && known.Apply is not null)
            {
                if (known.Apply(options, value) is { } error)
                    return error;
            }
            else
            {
                known.Set?.Invoke(options);
            }
        }

        return null;
    }

    private static ExtendedOption Refused(string name, string help) => new() { Name = name, Help = help, State = OptionState.Refused };

    private static ExtendedOption Flag(string name, OptionState state, string help, Action<ServeOptions>? set = null) => new()
    {
        Name = name,
        Help = help,
        State = state,
        Set = set,
    };

    private static ExtendedOption Number(
        string name, string missing, string help, long least, long most, string low, string? high = null,
        Action<ServeOptions, long>? set = null, OptionState state = OptionState.NoEffect) => new()
    {
        Name = name,
        Help = help,
        State = state,
        Missing = missing,
        Apply = (o, text) =>
        {
            if (!Values.TryInteger(text, out long value))
                return $"{name}: {Values.NotANumber(text)}";
            if (value < least)
                return string.Format(CultureInfo.InvariantCulture, low, value);
            if (value > most)
                return string.Format(CultureInfo.InvariantCulture, high ?? low, value);
            set?.Invoke(o, value);
            return null;
        },
    };

    private static ExtendedOption Fraction(
        string name, string missing, string help, Func<double, bool> isRight, string wrong, Action<ServeOptions, double>? set = null) => new()
    {
        Name = name,
        Help = help,
        State = OptionState.NoEffect,
        Missing = missing,
        Apply = (o, text) =>
        {
            if (!Values.TryFraction(text, out double value))
                return $"{name}: {Values.NotANumber(text)}";
            if (!isRight(value))
                return wrong;
            set?.Invoke(o, value);
            return null;
        },
    };

    private static ExtendedOption Choice(string name, string missing, string help, string wrong, params string[] choices) => new()
    {
        Name = name,
        Help = help,
        State = OptionState.NoEffect,
        Missing = missing,
        Apply = (_, text) => choices.Contains(text) ? null : wrong,
    };

    /// <summary>memcached's rules for the list, in its words.</summary>
    private static string? CheckSlabSizes(ServeOptions options, string text)
    {
        const int AlignmentBytes = 8;
        const int ClassesMax = 62;
        long last = 0;
        string[] sizes = text.Split('-', StringSplitOptions.RemoveEmptyEntries);
        if (sizes.Length == 0)
            return "Missing slab_sizes argument";
        foreach (string one in sizes)
        {
            if (!Values.TryInteger(one, out long size) || size < options.ChunkBytesMin || size > options.Lru.SlabChunkBytesMax)
                return $"slab size {one} is out of valid range";
            if (size <= last)
                return Values.Invariant($"slab size {size} cannot be lower than or equal to a previous class size");
            if (size <= last + AlignmentBytes)
                return Values.Invariant($"slab size {size} must be at least {AlignmentBytes} bytes larger than previous class");
            last = size;
        }

        return sizes.Length > ClassesMax ? "too many slab classes specified" : null;
    }
}
