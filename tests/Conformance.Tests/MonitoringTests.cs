using System.Globalization;
using System.Text.RegularExpressions;

namespace OrleansCache.Conformance;

/// <summary>
/// What monitors read: each in its own way of asking and taking apart, and memcached-tool itself, of which a memcached with the same items shows what it must
/// print.
/// </summary>
public sealed partial class MonitoringTests(MonitoringTests.Servers servers) : IClassFixture<MonitoringTests.Servers>
{
    /// <summary>What Telegraf's memcached plugin sends on, each as a whole number.</summary>
    private static readonly string[] s_telegraf =
    [
        "accepting_conns", "auth_cmds", "auth_errors", "bytes", "bytes_read", "bytes_written", "cas_badval", "cas_hits", "cas_misses", "cmd_flush",
        "store_too_large", "cmd_get",
        "cmd_set", "cmd_touch", "conn_yields", "connection_structures", "curr_connections", "curr_items", "decr_hits", "decr_misses", "delete_hits",
        "delete_misses", "evicted_active", "evicted_unfetched", "evictions", "expired_unfetched", "get_expired", "get_flushed", "get_hits", "get_misses",
        "hash_bytes", "hash_is_expanding", "hash_power_level", "incr_hits", "incr_misses", "limit_maxbytes", "listen_disabled_num", "max_connections",
        "reclaimed", "rejected_connections", "store_no_memory", "store_too_large", "threads", "total_connections", "total_items", "touch_hits", "touch_misses",
        "uptime",
    ];

    /// <summary>What Datadog's check takes from `stats`, `stats items` and `stats slabs`, each as a number.</summary>
    private static readonly string[] s_datadog =
    [
        "total_items", "curr_items", "limit_maxbytes", "uptime", "bytes", "curr_connections", "connection_structures", "threads", "pointer_size", "rusage_user",
        "rusage_system", "cmd_get", "cmd_set", "cmd_flush", "get_hits", "get_misses", "delete_hits", "delete_misses", "evictions", "bytes_read",
        "bytes_written",
        "cas_misses", "cas_hits", "cas_badval", "total_connections", "listen_disabled_num",
    ];

    private static readonly string[] s_datadogItems =
    [
        "evicted", "evicted_nonzero", "expired_unfetched", "evicted_unfetched", "evicted_time", "outofmemory", "tailrepairs", "moves_to_cold", "moves_to_warm",
        "moves_within_lru", "reclaimed", "crawler_reclaimed", "lrutail_reflocked", "direct_reclaims", "number", "number_hot", "number_warm", "number_cold",
        "age",
    ];

    private static readonly string[] s_datadogSlabs =
    [
        "chunk_size", "chunks_per_page", "total_pages", "total_chunks", "used_chunks", "free_chunks", "free_chunks_end", "get_hits", "cmd_set", "delete_hits",
        "incr_hits", "decr_hits", "cas_hits", "cas_badval", "touch_hits",
    ];

    [Fact]
    public async Task TelegrafReadsOnlyStatisticsAndNumbers()
    {
        using RawClient client = servers.Server.Connect();
        Dictionary<string, string> statistics = await StrictStatsAsync(client, "stats\r\n");

        Assert.All(s_telegraf, name => Assert.True(long.TryParse(statistics[name], NumberStyles.None, CultureInfo.InvariantCulture, out _),
            $"{name} is {statistics[name]}"));
    }

    [Fact]
    public async Task DatadogReadsServerItemsAndSlabs()
    {
        using RawClient client = servers.Server.Connect();
        Dictionary<string, string> statistics = await StrictStatsAsync(client, "stats\r\n");
        Dictionary<string, string> items = await StrictStatsAsync(client, "stats items\r\n");
        Dictionary<string, string> slabs = await StrictStatsAsync(client, "stats slabs\r\n");
        string[] classes = [.. items.Keys.Select(name => name.Split(':')[1]).Distinct()];

        Assert.NotEmpty(classes);
        Assert.All(s_datadog, name => AssertNumber(name, statistics[name]));
        Assert.All(classes, number => Assert.All(s_datadogItems, name => AssertNumber(name, items[$"items:{number}:{name}"])));
        Assert.All(classes, number => Assert.All(s_datadogSlabs, name => AssertNumber(name, slabs[$"{number}:{name}"])));
        AssertNumber("active_slabs", slabs["active_slabs"]);
        AssertNumber("total_malloced", slabs["total_malloced"]);
    }

    /// <summary>damemtop sends all at once, `stats ` with its space, and ends its lines with a bare LF.</summary>
    [Fact]
    public async Task DamemtopIsAnswered()
    {
        using RawClient client = servers.Server.Connect();
        await client.SendAsync("stats \nstats items\nstats slabs\n");

        Assert.Contains("get_hits", (await ReadStrictStatsAsync(client)).Keys);
        Assert.Contains((await ReadStrictStatsAsync(client)).Keys, name => name.StartsWith("items:", StringComparison.Ordinal));
        Assert.Contains("active_slabs", (await ReadStrictStatsAsync(client)).Keys);
    }

    [PeerFact("memcached")]
    public async Task CountersAreMemcachedsAfterTheSameCommands()
    {
        // Here each has a pair of its own, to which nobody else talks.
        await using Servers own = new();
        await own.InitializeAsync();
        using RawClient server = own.Server.Connect();
        using RawClient memcached = own.Memcached!.Connect();
        Dictionary<string, string> here = await server.StatsAsync();
        Dictionary<string, string> there = await memcached.StatsAsync();

        string[] counted =
        [
            "curr_items", "total_items", "cmd_get", "cmd_set", "cmd_touch", "get_hits", "get_misses", "delete_hits", "delete_misses", "incr_hits",
            "incr_misses",
            "decr_hits", "decr_misses", "cas_hits", "cas_misses", "cas_badval", "touch_hits", "touch_misses", "evictions", "cmd_flush",
            "limit_maxbytes", "pointer_size", "accepting_conns",
        ];
        Assert.All(counted, name => Assert.True(there[name] == here[name], $"{name}: memcached {there[name]}, here {here[name]}"));
    }

    [PeerFact("memcached-tool", "memcached")]
    public async Task MemcachedToolDisplaysClasses()
    {
        (string[] there, string[] here) = await ToolAsync("display");

        Assert.Equal(there[0], here[0]);
        Assert.All(here.Skip(1), line => Assert.Matches(DisplayLine(), line));
        Assert.Equal(Items(there), Items(here));

        static int Items(string[] lines) =>
            lines.Skip(1).Sum(line => int.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[4], CultureInfo.InvariantCulture));
    }

    [PeerFact("memcached-tool", "memcached")]
    public async Task MemcachedToolShowsSizes()
    {
        (string[] there, string[] here) = await ToolAsync("sizes");

        Assert.Equal(Count(there), Count(here));
        Assert.All(here.Skip(1), line => Assert.Matches(@"^ +[0-9]+ +[0-9]+$", line));

        static int Count(string[] lines) =>
            lines.Skip(1).Sum(line => int.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture));
    }

    [PeerFact("memcached-tool", "memcached")]
    public async Task MemcachedToolDumpsKeysAndValues()
    {
        (string[] there, string[] here) = await ToolAsync("dump");

        Assert.Equal(there.Order(StringComparer.Ordinal), here.Order(StringComparer.Ordinal));
    }

    [PeerFact("memcached-tool", "memcached")]
    public async Task MemcachedToolListsKeys()
    {
        (string[] there, string[] here) = await ToolAsync("keys");

        // Times, CAS numbers and classes are each server's own; names and their order are not. Before 1.6.45 there are no flags at the end.
        Assert.Equal(there.Select(Shape).Order(StringComparer.Ordinal), here.Select(Shape).Order(StringComparer.Ordinal));

        static string Shape(string line) => OwnValue().Replace(line.Split(" flags=")[0], "$1=...").TrimEnd();
    }

    private async Task<(string[] There, string[] Here)> ToolAsync(string mode)
    {
        return (await RunAsync(servers.Memcached!), await RunAsync(servers.Server));

        async Task<string[]> RunAsync(ServerProcess server) =>
            [.. (await ClientScript.RunAsync([Peer.MemcachedTool, ClientScript.Address(server), mode], server))
                .Split('\n').Select(line => line.TrimEnd('\r')).Where(line => line.Length > 0)];
    }

    private static async Task<Dictionary<string, string>> StrictStatsAsync(RawClient client, string command)
    {
        await client.SendAsync(command);
        return await ReadStrictStatsAsync(client);
    }

    /// <summary>Every line is `STAT name value`, until END; anything else is an error, as it is for the monitors.</summary>
    private static async Task<Dictionary<string, string>> ReadStrictStatsAsync(RawClient client)
    {
        Dictionary<string, string> statistics = [];
        string line;
        while ((line = await client.ReadLineAsync()) != "END")
        {
            string[] words = line.Split(' ');
            Assert.True(words.Length >= 3 && words[0] == "STAT", line);
            Assert.True(statistics.TryAdd(words[1], words[2]), $"{words[1]} twice");
        }
        return statistics;
    }

    private static void AssertNumber(string name, string value) =>
        Assert.True(double.TryParse(value, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out _), $"{name} is {value}");

    [GeneratedRegex(@"^ *\d+ +\d+(\.\d+K|B) +\d+s +\d+ +\d+ +(yes|no) +\d+ +\d+ +\d+$")]
    private static partial Regex DisplayLine();

    [GeneratedRegex(@"\b(la|cas|cls|size)=\d+")]
    private static partial Regex OwnValue();

    /// <summary>The server under test and a memcached, to which the same things were done.</summary>
    public sealed class Servers : IAsyncLifetime, IAsyncDisposable
    {
        public ServerProcess Server { get; private set; } = null!;

        public ServerProcess? Memcached { get; private set; }

        public async Task InitializeAsync()
        {
            Server = await ServerProcess.StartAsync("-o", "track_sizes");
            await WorkAsync(Server);
            if (Peer.WhyNot("memcached", []) is null)
            {
                Memcached = await ServerProcess.StartAsync(ServerKind.Memcached, "-o", "track_sizes");
                await WorkAsync(Memcached);
            }
        }

        public async Task DisposeAsync()
        {
            await Server.DisposeAsync();
            if (Memcached is not null)
                await Memcached.DisposeAsync();
        }

        async ValueTask IAsyncDisposable.DisposeAsync() => await DisposeAsync();

        private static async Task WorkAsync(ServerProcess server)
        {
            using RawClient client = server.Connect();
            for (int number = 0; number < 20; number++)
                Assert.Equal("STORED", await client.SetAsync($"small{number}", $"value {number}"));
            Assert.Equal("STORED", await client.SetAsync("kilobytes", new byte[3000], flags: 7));
            Assert.Equal("STORED", await client.SetAsync("odd%key", "x"));
            Assert.Equal("STORED", await client.SetAsync("number", "10"));
            foreach (string command in (string[])["incr number 5", "incr absent 1", "decr number 6", "decr absent 1", "touch number 0", "touch absent 0",
                "delete small0", "delete absent"])
                await client.CommandAsync(command);
            Assert.Equal("value 1", await client.GetTextAsync("small1"));
            Assert.Null(await client.GetAsync("absent"));
            await client.SendAsync("cas number 0 0 1 1\r\n1\r\n");
            await client.ExpectLineAsync("EXISTS");
            await client.SendAsync("cas absent 0 0 1 1\r\n1\r\n");
            await client.ExpectLineAsync("NOT_FOUND");
            await client.SendAsync("set large 0 0 2000000\r\n");
            await client.SendAsync(new byte[2_000_000]);
            await client.SendAsync("\r\n");
            await client.ExpectLineAsync("SERVER_ERROR object too large for cache");
        }
    }
}
