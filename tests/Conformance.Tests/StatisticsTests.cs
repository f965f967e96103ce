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
