using System.Globalization;
using System.Text;

namespace OrleansCache.Conformance;

/// <summary>`-m` is what the process really uses, whatever the sizes, and the counters agree with each other.</summary>
public sealed class MemoryTests
{
    private const int Connections = 4;
    private const long MiB = 1024 * 1024;

    /// <summary>
    /// Fills three times `-m` with values of 10 bytes to 1 MB, each decade of sizes with the same number of bytes, in a shuffled order. A value's bytes follow
    /// from its key, so that a wrong one is noticed.
    /// </summary>
    [Theory]
    [InlineData(64)]
    [InlineData(256)]
    public async Task FilledThreeTimesOverTheProcessStaysWithinItsLimit(int limitMebibytes)
    {
        int seed = TestSeed.Next();
        await using ServerProcess server = await ServerProcess.StartAsync("-m", limitMebibytes.ToString(CultureInfo.InvariantCulture));
        Filler[] fillers = [.. Enumerable.Range(0, Connections).Select(number => new Filler(server, seed, number))];

        await Task.WhenAll(fillers.Select(filler => Task.Run(() => filler.FillAsync(3 * limitMebibytes * MiB / Connections))));

        string context = $"seed {seed}\n{server.Output}";
        // memcached itself refuses some of them when the sizes shift; we must not.
        bool mayRefuse = ServerUnderTest.IsMemcached && fillers.Sum(filler => filler.Refused) < fillers.Sum(filler => filler.Sent) / 20;
        Assert.True(mayRefuse || fillers.All(filler => filler.Refused == 0), $"{string.Join(", ", fillers.Select(filler => filler.Complaint))} {context}");
        double peak = (double)server.PeakResidentBytes / MiB;
        Assert.True(peak <= (1.1 * limitMebibytes) + 150, $"RSS reached {peak:f0} MiB with -m {limitMebibytes}, {context}");

        using RawClient client = server.Connect();
        Dictionary<string, string> general = await client.StatsAsync();
        Assert.Equal(limitMebibytes * MiB, Number(general["limit_maxbytes"]));
        Assert.InRange(Number(general["bytes"]), 1, limitMebibytes * MiB);
        Assert.True(Number(general["evictions"]) > 0, context);
        Assert.Equal(fillers.Sum(filler => filler.Sent - filler.Refused), Number(general["cmd_set"]));
        Assert.Equal(fillers.Sum(filler => filler.Refused), Number(general.GetValueOrDefault("store_no_memory", "0")));
        await AssertItemsAndSlabsAgreeAsync(client, general, limitMebibytes * MiB);

        // Everything that is still there is right.
        long hits = 0;
        foreach (Filler filler in fillers)
            hits += await filler.CheckAsync(client, context);
        Dictionary<string, string> after = await client.StatsAsync();
        Assert.Equal(Number(after["cmd_get"]), Number(after["get_hits"]) + Number(after["get_misses"]));
        Assert.Equal(hits, Number(after["get_hits"]));
        fillers.ToList().ForEach(filler => filler.Dispose());
    }

    /// <summary>
    /// The same filling, asked for its worth: at least half of the memory holds items (memcached: 85%), and of each connection's newest ten values none is gone
    /// (a cache that evicts what came last is no LRU).
    /// </summary>
    [Theory]
    [InlineData(64)]
    [InlineData(256)]
    public async Task FilledThreeTimesOverTheMemoryIsUsedAndTheNewestStay(int limitMebibytes)
    {
        int seed = TestSeed.Next();
        await using ServerProcess server = await ServerProcess.StartAsync("-m", limitMebibytes.ToString(CultureInfo.InvariantCulture));
        Filler[] fillers = [.. Enumerable.Range(0, Connections).Select(number => new Filler(server, seed, number))];

        // Each looks for its own as soon as it has stored them: how much the others store after that is a matter of the machine.
        int[] missingOf = await Task.WhenAll(fillers.Select(filler => Task.Run(async () =>
        {
            await filler.FillAsync(3 * limitMebibytes * MiB / Connections);
            using RawClient reader = server.Connect();
            return await filler.NewestMissingAsync(reader, 10, $"seed {seed}");
        })));

        string context = $"seed {seed}\n{server.Output}";
        using RawClient client = server.Connect();
        double used = (double)Number((await client.StatsAsync())["bytes"]) / (limitMebibytes * MiB);
        int missing = missingOf.Sum();
        context = $"{string.Join(", ", fillers.SelectMany(filler => filler.MissingSizes))}, {context}";
        fillers.ToList().ForEach(filler => filler.Dispose());
        Assert.True(used >= 0.5
            && missing == 0, $"{100 * used:f0}% of the memory holds items; {missing} of the {10 * Connections} newest values are gone, {context}");
    }

    [Fact]
    public async Task CountersCountEveryOperationOnce()
    {
        await using ServerProcess server = await ServerProcess.StartAsync();
        using RawClient client = server.Connect();
        for (int number = 0; number < 100; number++)
            Assert.Equal("STORED", await client.SetAsync($"k{number}", new string('v', number * 10)));
        for (int number = 0; number < 150; number++)
            await client.GetAsync($"k{number}");
        await client.SendAsync("get k1 k2 k3 none k4\r\n");
        while (await client.ReadLineAsync() != "END")
        {
        }
        Assert.Equal("NOT_STORED", await client.SetAsync("k1", Array.Empty<byte>(), verb: "add"));
        Assert.Equal("DELETED", await client.CommandAsync("delete k1"));
        Assert.Equal("NOT_FOUND", await client.CommandAsync("delete k1"));
        Assert.Equal("STORED", await client.SetAsync("n", "5"));
        Assert.Equal("6", await client.CommandAsync("incr n 1"));
        Assert.Equal("4", await client.CommandAsync("decr n 2"));
        Assert.Equal("NOT_FOUND", await client.CommandAsync("incr none 1"));
        Assert.Equal("NOT_FOUND", await client.CommandAsync("decr none 1"));
        Assert.Equal("TOUCHED", await client.CommandAsync("touch n 100"));
        Assert.Equal("NOT_FOUND", await client.CommandAsync("touch none 100"));

        Dictionary<string, string> statistics = await client.StatsAsync();
        Dictionary<string, long> expected = new()
        {
            ["cmd_get"] = 155,
            ["get_hits"] = 104,
            ["get_misses"] = 51,
            ["cmd_set"] = 102,
            ["delete_hits"] = 1,
            ["delete_misses"] = 1,
            ["incr_hits"] = 1,
            ["incr_misses"] = 1,
            ["decr_hits"] = 1,
            ["decr_misses"] = 1,
            ["cmd_touch"] = 2,
            ["touch_hits"] = 1,
            ["touch_misses"] = 1,
            ["curr_items"] = 100,
        };
        foreach ((string name, long value) in expected)
            Assert.True(statistics.TryGetValue(name, out string? actual) && Number(actual) == value, $"{name}: expected {value}, got {actual}");
        await AssertItemsAndSlabsAgreeAsync(client, statistics, 64 * MiB);

        for (int number = 0; number < 100; number++)
            await client.CommandAsync($"delete k{number}");
        await client.CommandAsync("delete n");
        statistics = await client.StatsAsync();
        Assert.Equal("0", statistics["curr_items"]);
        Assert.Equal("0", statistics["bytes"]);
    }

    [Fact]
    public async Task StatsResetForgetsTheCountersAndKeepsTheItems()
    {
        await using ServerProcess server = await ServerProcess.StartAsync();
        using RawClient client = server.Connect();
        Assert.Equal("STORED", await client.SetAsync("k", "v"));
        Assert.Equal("v", await client.GetTextAsync("k"));
        Assert.Equal("RESET", await client.CommandAsync("stats reset"));
        Dictionary<string, string> statistics = await client.StatsAsync();
        Assert.Equal(("0", "0", "1"), (statistics["cmd_get"], statistics["get_hits"], statistics["curr_items"]));
        Assert.Equal("v", await client.GetTextAsync("k"));
    }

    [Fact]
    public async Task ExpiredItemsGiveTheirPlaceToNewOnes()
    {
        await using ServerProcess server = await ServerProcess.StartAsync("-m", "64");
        using RawClient client = server.Connect();
        string value = new('v', 4000);
        // A quarter of the memory expires at once; the rest is filled and stays.
        for (int number = 0; number < 4000; number++)
            Assert.Equal("STORED", await client.SetAsync($"dead{number}", Encoding.ASCII.GetBytes(value), expirySeconds: -1));
        for (int number = 0; number < 8000; number++)
            Assert.Equal("STORED", await client.SetAsync($"live{number}", value));
        for (int number = 0; number < 8000; number++)
            Assert.True(await client.GetAsync($"live{number}") is not null, $"live{number} was evicted for dead items\n{server.Output}");
        Assert.Null(await client.GetAsync("dead1"));
    }

    private static async Task AssertItemsAndSlabsAgreeAsync(RawClient client, Dictionary<string, string> general, long limitBytes)
    {
        Dictionary<string, string> items = await client.StatsAsync("items");
        Dictionary<string, string> slabs = await client.StatsAsync("slabs");
        long number = items.Where(entry => entry.Key.EndsWith(":number", StringComparison.Ordinal)).Sum(entry => Number(entry.Value));
        Assert.Equal(Number(general["curr_items"]), number);
        Assert.InRange(Number(slabs["total_malloced"]), 1, limitBytes + (limitBytes / 10));
        foreach (string name in items.Keys.Where(name => name.EndsWith(":number", StringComparison.Ordinal)))
        {
            string slabClass = name.Split(':')[1];
            Assert.True(slabs.ContainsKey($"{slabClass}:chunk_size"), $"Class {slabClass} has items and no slabs");
            long used = Number(slabs[$"{slabClass}:used_chunks"]);
            long free = Number(slabs[$"{slabClass}:free_chunks"]);
            Assert.Equal(Number(slabs[$"{slabClass}:total_chunks"]), used + free);
            Assert.Equal(Number(slabs[$"{slabClass}:total_pages"]) * Number(slabs[$"{slabClass}:chunks_per_page"]), used + free);
            Assert.True(Number(items[name]) <= used, $"Class {slabClass} has {items[name]} items in {used} chunks");
        }
    }

    private static long Number(string text) => long.Parse(text, CultureInfo.InvariantCulture);

    /// <summary>One connection that stores, pipelined, and remembers what it stored.</summary>
    private sealed class Filler(ServerProcess server, int seed, int number) : IDisposable
    {
        private const int BurstBytes = 256 * 1024;

        private readonly RawClient _client = server.Connect();
        private readonly Random _random = new(HashCode.Combine(seed, number));
        private readonly List<int> _sizes = [];
        private readonly HashSet<int> _refused = [];

        /// <summary>How many values were sent.</summary>
        public long Sent => _sizes.Count;

        /// <summary>The first reply that was not STORED.</summary>
        public string? Complaint { get; private set; }

        /// <summary>Values that the server would not take.</summary>
        public int Refused => _refused.Count;

        public async Task FillAsync(long bytes)
        {
            for (long planned = 0; planned < bytes; planned += _sizes[^1])
                _sizes.Add(NextSize());
            Task sending = Task.Run(SendAllAsync);
            for (int index = 0; index < _sizes.Count; index++)
            {
                string reply = await _client.ReadLineAsync();
                if (reply == "STORED")
                    continue;
                Complaint ??= $"value {index} of {_sizes.Count} ({_sizes[index]} bytes): {reply}";
                _refused.Add(index);
            }
            await sending;
        }

        /// <summary>How far from the end the missing ones were, and how long.</summary>
        public List<(int FromEnd, int Bytes)> MissingSizes { get; } = [];

        /// <summary>How many of the last <paramref name="count"/> values that were taken are gone.</summary>
        public async Task<int> NewestMissingAsync(RawClient client, int count, string context)
        {
            int missing = 0;
            for (int index = _sizes.Count - 1; count > 0; index--)
            {
                if (_refused.Contains(index))
                    continue;
                if (!await HitAsync(client, index, context))
                {
                    missing++;
                    MissingSizes.Add((_sizes.Count - index, _sizes[index]));
                }

                count--;
            }
            return missing;
        }

        /// <summary>Reads values that may or may not be there any more; what is there must be right. Returns the hits.</summary>
        public async Task<long> CheckAsync(RawClient client, string context)
        {
            long hits = 0;
            for (int sample = 0; sample < 2000; sample++)
                hits += await HitAsync(client, _random.Next(_sizes.Count), context) ? 1 : 0;
            return hits;
        }

        public void Dispose() => _client.Dispose();

        private async Task<bool> HitAsync(RawClient client, int index, string context)
        {
            byte[]? value = await client.GetAsync(Key(index));
            if (value is null)
                return false;
            byte[] expected = new byte[_sizes[index]];
            FillValue(expected, index);
            Assert.True(value.AsSpan().SequenceEqual(expected), $"value {index} of connection {number} is wrong, {context}");
            return true;
        }

        private async Task SendAllAsync()
        {
            byte[] burst = new byte[BurstBytes + (2 * (int)MiB)];
            for (int index = 0; index < _sizes.Count;)
            {
                int length = 0;
                for (; length < BurstBytes && index < _sizes.Count; index++)
                {
                    int size = _sizes[index];
                    length += Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"set {Key(index)} 0 0 {size}\r\n"), burst.AsSpan(length));
                    FillValue(burst.AsSpan(length, size), index);
                    length += size;
                    burst[length++] = (byte)'\r';
                    burst[length++] = (byte)'\n';
                }
                await _client.SendAsync(burst.AsMemory(0, length));
            }
        }

        /// <summary>A size whose decade is chosen so that each decade carries about the same number of bytes.</summary>
        private int NextSize()
        {
            // Weights 10^4..10^0 for the decades 10-100 .. 100k-1M.
            double draw = _random.NextDouble() * 11_111;
            int low = draw < 1 ? 100_000 : draw < 11 ? 10_000 : draw < 111 ? 1000 : draw < 1111 ? 100 : 10;
            return _random.Next(low, low * 10);
        }

        private string Key(int index) => string.Create(CultureInfo.InvariantCulture, $"fill-{number}-{index:d9}");

        private void FillValue(Span<byte> value, int index) => value.Fill((byte)('a' + ((index + (number * 7)) % 26)));
    }
}
