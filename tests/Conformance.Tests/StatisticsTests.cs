using System.Globalization;
using System.Text;

namespace OrleansCache.Conformance;

/// <summary>What monitors and operators read: names and order as a real memcached's, and the tools that come with it.</summary>
public sealed class StatisticsTests(ServerFixture fixture) : IClassFixture<ServerFixture>
{
    /// <summary>Where Debian puts it.</summary>
    private const string MemcachedTool = "/usr/share/memcached/scripts/memcached-tool";

    private static readonly TimeSpan s_toolTimeout = TimeSpan.FromSeconds(30);

    /// <summary>What 1.6.45 has and 1.6.18 has not, and the reverse; beside them the parts that this server does not have.</summary>
    private static readonly string[] s_mayBeAdded = ["slab_reassign_busy_nomem", "slab_reassign_last_busy_status", "partitions", "client_flags_size"];
    private static readonly string[] s_mayBeMissing = ["slab_reassign_evictions_nomem", "drop_privileges"];

    [PeerTheory("memcached")]
    [InlineData("")]
    [InlineData("settings")]
    [InlineData("items")]
    [InlineData("slabs")]
    public async Task NamesAndOrderAreMemcacheds(string group)
    {
        await using ServerProcess memcached = await ServerProcess.StartAsync(ServerKind.Memcached);
        List<string> theirs = await NamesAsync(memcached, group);
        List<string> ours = await NamesAsync(fixture.Server, group);
        List<string> missing = [.. theirs.Except(ours).Where(static name => !s_mayBeMissing.Contains(name) && !IsForeign(name))];
        List<string> added = [.. ours.Except(theirs).Where(static name => !s_mayBeAdded.Contains(name) && !IsForeign(name))];
        Assert.Empty(missing);
        Assert.Empty(added);
        Assert.Equal(theirs.Where(ours.Contains), ours.Where(theirs.Contains));

        // The external storage and the version-dependent lines of TLS.
        static bool IsForeign(string name) => name.StartsWith("ext_", StringComparison.Ordinal) || name.StartsWith("ssl_", StringComparison.Ordinal);
    }

    /// <summary>A class's lines, with those of the temporary queue.</summary>
    [PeerFact("memcached")]
    public async Task ItemsWithATemporaryQueueHaveMemcachedsNamesAndCounts()
    {
        await using ServerProcess memcached = await ServerProcess.StartAsync(ServerKind.Memcached, "-o", "temporary_ttl=61");
        await using ServerProcess server = await ServerProcess.StartAsync("-o", "temporary_ttl=61");
        Dictionary<string, string> theirs = await ItemsAsync(memcached);
        Dictionary<string, string> ours = await ItemsAsync(server);
        Assert.Equal(theirs.Keys, ours.Keys);
        Assert.All((string[])["number", "number_temp", "hits_to_temp"], name => Assert.Equal(theirs[name], ours[name]));
        Assert.Equal("2", ours["number_temp"]);

        static async Task<Dictionary<string, string>> ItemsAsync(ServerProcess server)
        {
            using RawClient client = server.Connect();
            await client.SetAsync("a", Encoding.ASCII.GetBytes("1"), expirySeconds: 60);
            await client.SetAsync("b", Encoding.ASCII.GetBytes("1"), expirySeconds: 30);
            await client.SetAsync("c", Encoding.ASCII.GetBytes("1"), expirySeconds: 600);
            Assert.Equal("1", await client.GetTextAsync("a"));
            return (await client.StatsAsync("items")).ToDictionary(static line => line.Key.Split(':')[2], static line => line.Value);
        }
    }

    [Fact]
    public async Task WhatTheLruCommandsSetCounts()
    {
        if (ServerUnderTest.IsMemcached)
            return;
        await using ServerProcess server = await ServerProcess.StartAsync("-m", "16");
        using RawClient client = server.Connect();
        Assert.Equal("OK", await client.CommandAsync("lru temp_ttl 60"));
        await StoreAsync(client, "lasting", 2000, 0);
        await StoreAsync(client, "passing", 40_000, 50);
        await client.SendAsync(string.Concat(Enumerable.Range(0, 2000).Select(static i => $"mg lasting{i}\r\n")) + "mn\r\n");
        for (int i = 0; i < 2000; i++)
            Assert.Equal("HD", await client.ReadLineAsync());
        Assert.Equal("MN", await client.ReadLineAsync());

        Assert.Equal("OK", await client.CommandAsync("lru mode flat"));
        await StoreAsync(client, "flat", 100, 0);
        Dictionary<string, string> items = await client.StatsAsync("items");
        Assert.True(Sum(items, "number_warm") >= 100);
        Dictionary<string, string> memory = await client.StatsAsync("memory");
        long lost = memory.Where(static line => line.Key.StartsWith("lost_", StringComparison.Ordinal)).Sum(static line => Number(line.Value));
        Assert.Equal(42_100, Number(memory["items_stored"]));
        Assert.Equal(42_100, Number(memory["items_present"]) + Number(memory["items_waiting"]) + lost);
        Assert.Equal((await client.StatsAsync())["curr_items"], memory["items_present"]);

        static long Number(string text) => long.Parse(text, CultureInfo.InvariantCulture);

        static long Sum(Dictionary<string, string> items, string name) =>
            items.Where(line => line.Key.EndsWith(":" + name, StringComparison.Ordinal)).Sum(static line => Number(line.Value));

        static async Task StoreAsync(RawClient client, string prefix, int count, int seconds)
        {
            string value = new('v', 1000);
            var sets = new StringBuilder();
            for (int i = 0; i < count; i++)
                sets.Append(CultureInfo.InvariantCulture, $"set {prefix}{i} 0 {seconds} 1000 noreply\r\n{value}\r\n");
            await client.SendAsync(sets.ToString());
            Assert.StartsWith("VERSION", await client.CommandAsync("version"), StringComparison.Ordinal);
        }
    }

    /// <summary>memcached has 63 classes at most; whoever names one of ours gets along with the higher numbers.</summary>
    [Fact]
    public async Task ClassesBeyondMemcachedsAreNamedEverywhere()
    {
        if (ServerUnderTest.IsMemcached)
            return;
        await using ServerProcess server = await ServerProcess.StartAsync();
        using RawClient client = server.Connect();
        using RawClient watcher = server.Connect();
        Assert.Equal("OK", await watcher.CommandAsync("watch mutations"));
        Assert.Equal("STORED", await client.SetAsync("large", new byte[32_000]));
        string line = await client.CommandAsync("me large");
        int id = int.Parse(line.Split(" cls=")[1].Split(' ')[0], CultureInfo.InvariantCulture);
        Assert.InRange(id, 64, 250);
        Assert.Contains($" clsid={id} ", await watcher.ReadLineAsync(), StringComparison.Ordinal);
        Assert.Equal("1", (await client.StatsAsync("items"))[$"items:{id}:number"]);
        Assert.Contains($"{id}:chunk_size", (await client.StatsAsync("slabs")).Keys);
        Assert.Equal("OK", await client.CommandAsync($"lru_crawler crawl {id}"));
        Assert.Equal("ITEM large [32000 b; 0 s]", await client.CommandAsync($"stats cachedump {id} 0"));
        Assert.Equal("END", await client.ReadLineAsync());
        Assert.Equal("OK", await client.CommandAsync($"lru_crawler metadump {id}"));
        Assert.Contains($" cls={id} ", await client.ReadLineAsync(), StringComparison.Ordinal);
        Assert.Equal("END", await client.ReadLineAsync());
    }

    [PeerFact(MemcachedTool)]
    public async Task MemcachedToolDisplaysAndDumps()
    {
        using RawClient client = fixture.Server.Connect();
        Assert.Equal("STORED", await client.SetAsync("tool:a%", Encoding.ASCII.GetBytes("0123456789"), flags: 7, expirySeconds: 1000));
        string address = $"127.0.0.1:{fixture.Server.Port}";
        string display = await ToolAsync(address, "display");
        string row = display.Split('\n').First(static line => line.Length > 2 && char.IsAsciiDigit(line[2]));
        Assert.Matches(@"^ +\d+ +[\d.]+K?B? +\d+s +\d+ +\d+ +(yes|no) +\d+ +\d+ +\d+", row);
        Assert.Contains(" limit_maxbytes ", await ToolAsync(address, "stats"), StringComparison.Ordinal);
        Assert.Contains(" item_size_max ", await ToolAsync(address, "settings"), StringComparison.Ordinal);
        Assert.Contains("sizes_status", await ToolAsync(address, "sizes"), StringComparison.Ordinal);
        Assert.Matches(@"add tool:a% 7 \d+ 10", await ToolAsync(address, "dump"));
        Assert.Contains("key=tool%3Aa%25 exp=", await ToolAsync(address, "keys"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task ADumpTellsEveryItemWhileOthersAreStored()
    {
        await using ServerProcess server = await ServerProcess.StartAsync();
        using RawClient client = server.Connect();
        using RawClient writer = server.Connect();
        const int Staying = 5000;
        var sets = new StringBuilder();
        for (int i = 0; i < Staying; i++)
            sets.Append(CultureInfo.InvariantCulture, $"set stay{i} 0 0 1 noreply\r\nx\r\n");
        await client.SendAsync(sets.ToString());
        Assert.StartsWith("VERSION", await client.CommandAsync("version"), StringComparison.Ordinal);

        // Four times as many come during the dump, so that every index grows under it.
        sets.Clear();
        for (int i = 0; i < 4 * Staying; i++)
            sets.Append(CultureInfo.InvariantCulture, $"set pass{i} 0 0 1 noreply\r\nx\r\n");
        await client.SendAsync("lru_crawler metadump all\r\n");
        await writer.SendAsync(sets.ToString());
        if (ServerUnderTest.IsMemcached)
            return;
        Assert.Equal("OK", await client.ReadLineAsync());
        var told = new HashSet<string>();
        for (string line = await client.ReadLineAsync(); line != "END"; line = await client.ReadLineAsync())
        {
            Assert.Matches(@"^key=\S+ exp=-1 la=\d+ cas=\d+ fetch=no cls=\d+ size=\d+ flags=0 $", line);
            Assert.True(told.Add(line[4..line.IndexOf(' ', StringComparison.Ordinal)]), line);
        }

        Assert.Equal(Staying, told.Count(static key => key.StartsWith("stay", StringComparison.Ordinal)));
        Assert.StartsWith("VERSION", await client.CommandAsync("version"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task ADumpThatNobodyReadsHoldsUpNobody()
    {
        if (ServerUnderTest.IsMemcached)
            return;
        await using ServerProcess server = await ServerProcess.StartAsync("-m", "256");
        using RawClient client = server.Connect();
        var sets = new StringBuilder();
        string padding = new('p', 200);
        for (int i = 0; i < 100_000; i++)
            sets.Append(CultureInfo.InvariantCulture, $"set {padding}{i} 0 0 1 noreply\r\nx\r\n");
        await client.SendAsync(sets.ToString());
        Assert.StartsWith("VERSION", await client.CommandAsync("version"), StringComparison.Ordinal);
        using RawClient stuck = server.Connect();
        await stuck.SendAsync("lru_crawler metadump all\r\nversion\r\n");
        Assert.Equal("OK", await stuck.ReadLineAsync());
        for (int i = 0; i < 8; i++)
        {
            using RawClient other = server.Connect();
            Assert.StartsWith("VERSION", await other.CommandAsync("version"), StringComparison.Ordinal);
        }

        Assert.Equal("1", (await client.StatsAsync())["lru_crawler_running"]);
        int lines = 0;
        while (await stuck.ReadLineAsync() != "END")
            lines++;
        Assert.Equal(100_000, lines);
        Assert.StartsWith("VERSION", await stuck.ReadLineAsync(), StringComparison.Ordinal);
        Assert.Equal("0", (await client.StatsAsync())["lru_crawler_running"]);
    }

    private static async Task<List<string>> NamesAsync(ServerProcess server, string group)
    {
        using RawClient client = server.Connect();
        await client.SetAsync("names", "1");
        await client.SendAsync(group.Length == 0 ? "stats\r\n" : $"stats {group}\r\n");
        var names = new List<string>();
        for (string line = await client.ReadLineAsync(); line != "END"; line = await client.ReadLineAsync())
        {
            Assert.StartsWith("STAT ", line, StringComparison.Ordinal);

            // The class's number depends on the sizes of the chunks, which are each server's own.
            string name = line.Split(' ')[1];
            names.Add(string.Join(':', name.Split(':').Where(static part => !part.All(char.IsAsciiDigit))));
        }

        return [.. names.Distinct()];
    }

    private static async Task<string> ToolAsync(string address, string mode)
    {
        (int exitCode, string printed, _) = await ChildProcess.RunAsync([MemcachedTool, address, mode], s_toolTimeout);
        Assert.True(exitCode == 0, $"memcached-tool {mode}: {printed}");
        return printed;
    }
}
