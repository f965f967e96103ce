using System.Globalization;

namespace OrleansCache.Silo.Options;

/// <summary>One name of -o.</summary>
internal sealed record ExtendedOption
{
    public required string Name { get; init; }

    public required OptionState State { get; init; }

    public required string Help { get; init; }

    /// <summary>memcached's message if the value is missing; null if the name takes none (a value that is given nevertheless is ignored, as there).</summary>
    public string? Missing { get; init; }

    /// <summary>Checks and takes the value over; returns what is wrong with it.</summary>
    public Func<ServeOptions, string, string?>? Apply { get; init; }
}

/// <summary>
/// memcached's -o: names that work, names that are accepted because they tune machinery which this store does not have or which tunes itself, and names
/// whose feature is not there yet. Values are checked with memcached's limits and words even where they change nothing.
/// </summary>
internal static class ExtendedOptions
{
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
        Flag("no_modern", OptionState.NoEffect, "defaults of memcached 1.4"),
        Number("hashpower", "Missing numeric argument for hashpower", "start size of the index: it grows by itself", 12, 32,
            "Initial hashtable multiplier of {0} is too low", "Initial hashtable multiplier of {0} is too high"),
        Flag("no_hashexpand", OptionState.NoEffect, "the index always grows"),
        Choice("hash_algorithm", "Missing hash_algorithm argument", "the hash of keys is fixed, because it decides which partition holds a key",
            "Unknown hash_algorithm option (jenkins, murmur3, xxh3)", "jenkins", "murmur3", "xxh3"),
        Flag("slab_reassign", OptionState.NoEffect, "pages move between slab classes as the store needs them"),
        Flag("no_slab_reassign", OptionState.NoEffect, "the same"),
        Flag("slab_automove", OptionState.NoEffect, "the same", optional: text =>
            Values.TryInteger(text, out long value) && value is >= 0 and <= 2 ? null : "slab_automove must be between 0 and 2"),
        Flag("no_slab_automove", OptionState.NoEffect, "the same"),
        Fraction("slab_automove_ratio", "Missing slab_automove_ratio argument", "the same", value => value is > 0 and <= 1, "slab_automove_ratio must be > 0 and < 1"),
        Number("slab_automove_window", "Missing slab_automove_window argument", "the same", 3, 1800, "slab_automove_window must be > 2 and < 1800"),
        Fraction("slab_automove_freeratio", "missing argument to slab_automove_freeratio", "the same", _ => true, ""),
        Number("slab_chunk_max", "Missing slab_chunk_max argument", "largest chunk in kilobytes: large items are chains of chunks anyway", 1, 1024,
            "slab_chunk_max must be >= 0", "slab_chunk_max must be specified in kilobytes."),
        Flag("no_chunked_items", OptionState.NoEffect, "large items are always chains of chunks"),
        Number("tail_repair_time", "Missing numeric argument for tail_repair_time", "there are no leaked references to repair", 10, int.MaxValue,
            "Cannot set tail_repair_time to less than 10 seconds"),
        Flag("lru_crawler", OptionState.NoEffect, "expired items are found without it"),
        Flag("no_lru_crawler", OptionState.NoEffect, "the same"),
        Number("lru_crawler_sleep", "Missing lru_crawler_sleep value", "the same", 0, 1_000_000, "LRU crawler sleep must be between 0 and 1 second"),
        Number("lru_crawler_tocrawl", "Missing lru_crawler_tocrawl value", "the same", 0, uint.MaxValue, "lru_crawler_tocrawl takes a numeric 32bit value"),
        Flag("lru_maintainer", OptionState.NoEffect, "the LRU needs no thread of its own"),
        Flag("no_lru_maintainer", OptionState.NoEffect, "the same"),
        Number("hot_lru_pct", "Missing hot_lru_pct argument", "sizes of the LRU's segments are the store's own", 1, 79, "hot_lru_pct must be > 1 and < 80"),
        Number("warm_lru_pct", "Missing warm_lru_pct argument", "the same", 1, 79, "warm_lru_pct must be > 1 and < 80"),
        Fraction("hot_max_factor", "Missing hot_max_factor argument", "the same", value => value > 0, "hot_max_factor must be > 0"),
        Fraction("warm_max_factor", "Missing warm_max_factor argument", "the same", value => value > 0, "warm_max_factor must be > 0"),
        Number("temporary_ttl", "Missing temporary_ttl argument", "the same", int.MinValue, int.MaxValue, ""),
        Number("watcher_logbuf_size", "Missing watcher_logbuf_size argument", "there are no watchers", 0, uint.MaxValue,
            "could not parse argument to watcher_logbuf_size"),
        Number("worker_logbuf_size", "Missing worker_logbuf_size argument", "the same", 0, uint.MaxValue, "could not parse argument to worker_logbuf_size"),
        Number("read_buf_mem_limit", "Missing read_buf_mem_limit argument", "buffers are bounded for each connection", 0, uint.MaxValue,
            "could not parse argument to read_buf_mem_limit"),
        Flag("resp_obj_mem_limit", OptionState.NoEffect, "memcached has dropped it too"),
        Flag("track_sizes", OptionState.NoEffect, "this version has no stats sizes"),
        Flag("inline_ascii_resp", OptionState.NoEffect, "memcached has dropped it too"),
        Flag("no_inline_ascii_resp", OptionState.NoEffect, "the same"),
        Flag("drop_privileges", OptionState.NoEffect, "system calls are not restricted"),
        Flag("no_drop_privileges", OptionState.NoEffect, "the same"),
        Number("sock_cookie_id", "Missing sock_cookie_id argument", "a facility of FreeBSD", 0, uint.MaxValue, "could not parse argument to sock_cookie_id"),
        NotYet("slab_sizes", "a list of chunk sizes"),
        NotYet("ext_path", "external storage"),
        .. new[]
        {
            "ext_page_size", "ext_wbuf_size", "ext_threads", "ext_io_depth", "ext_item_size", "ext_item_age", "ext_low_ttl", "ext_recache_rate",
            "ext_compact_under", "ext_drop_under", "ext_max_sleep", "ext_max_frag",
        }.Select(name => Fraction(name, $"Missing {name} argument", "tunes external storage, which this version does not have", _ => true, "")),
        Flag("ext_drop_unread", OptionState.NoEffect, "tunes external storage, which this version does not have"),
        .. new[]
        {
            "ssl_chain_cert", "ssl_key", "ssl_verify_mode", "ssl_keyformat", "ssl_ciphers", "ssl_ca_cert", "ssl_wbuf_size", "ssl_session_cache",
            "ssl_kernel_tls", "ssl_min_version",
        }.Select(name => NotYet(name, "TLS")),
        .. new[] { "proxy_config", "proxy_arg", "proxy_uring", "proxy_memprofile" }.Select(name => NotYet(name, "memcached's built-in proxy")),
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
            if (value is null && known.Missing is not null)
                return known.Missing;
            if (value is not null && known.Apply is not null && known.Apply(options, value) is { } error)
                return error;
        }

        return null;
    }

    private static ExtendedOption NotYet(string name, string help) => new() { Name = name, Help = help, State = OptionState.NotYet };

    private static ExtendedOption Flag(string name, OptionState state, string help, Func<string, string?>? optional = null) => new()
    {
        Name = name,
        Help = help,
        State = state,
        Apply = optional is null ? null : (_, text) => optional(text),
    };

    private static ExtendedOption Number(string name, string missing, string help, long least, long most, string low, string? high = null) => new()
    {
        Name = name,
        Help = help,
        State = OptionState.NoEffect,
        Missing = missing,
        Apply = (_, text) => !Values.TryInteger(text, out long value) ? $"{name}: {Values.NotANumber(text)}"
            : value < least ? string.Format(CultureInfo.InvariantCulture, low, value)
            : value > most ? string.Format(CultureInfo.InvariantCulture, high ?? low, value)
            : null,
    };

    private static ExtendedOption Fraction(string name, string missing, string help, Func<double, bool> isRight, string wrong) => new()
    {
        Name = name,
        Help = help,
        State = OptionState.NoEffect,
        Missing = missing,
        Apply = (_, text) => !Values.TryFraction(text, out double value) ? $"{name}: {Values.NotANumber(text)}" : isRight(value) ? null : wrong,
    };

    private static ExtendedOption Choice(string name, string missing, string help, string wrong, params string[] choices) => new()
    {
        Name = name,
        Help = help,
        State = OptionState.NoEffect,
        Missing = missing,
        Apply = (_, text) => choices.Contains(text) ? null : wrong,
    };
}
