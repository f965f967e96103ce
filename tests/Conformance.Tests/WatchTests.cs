using System.Globalization;
using System.Text.RegularExpressions;

namespace OrleansCache.Conformance;

/// <summary>watch beside a memcached: the same commands, the same lines; and a watcher that does not read.</summary>
public sealed partial class WatchTests
{
    /// <summary>
    /// Left out or masked: ts, gid, cfd, rport (never the same), clsid (our slab classes differ; and memcached puts a wrong number there for a value that is
    /// too large), and the ttl, because a second may pass between two commands; command and ttl of a value that is too large (memcached hands them over in the
    /// wrong order).
    /// </summary>
    [PeerFact("memcached")]
    public async Task TheSameCommandsMakeTheSameLines()
    {
        // One thread: memcached's lines of several come in any order.
        await using ServerProcess ours = await ServerProcess.StartAsync("-t", "1");
        await using ServerProcess theirs = await ServerProcess.StartAsync(ServerKind.Memcached, "-t", "1");
        bool isOld = false;
        using RawClient ourWatcher = ours.Connect();
        using (RawClient probe = theirs.Connect())
        {
            // Debian's 1.6.18 knows neither deletions nor some of the meta flags.
            isOld = await probe.CommandAsync("watch deletions") == "ERROR";
        }

        using RawClient theirWatcher = theirs.Connect();
        string[] ourLines = await RunAsync(ours, ourWatcher, isOld);
        string[] theirLines = await RunAsync(theirs, theirWatcher, isOld);
        Assert.True(ourLines.Length > 200, string.Join('\n', ourLines));
        Assert.Equal(string.Join('\n', theirLines), string.Join('\n', ourLines));
    }

    [Fact]
    public async Task AWatcherThatDoesNotReadCostsLinesAndNothingElse()
    {
        if (ServerUnderTest.IsMemcached)
            return;
        await using ServerProcess server = await ServerProcess.StartAsync("-o", "watcher_logbuf_size=64");
        using RawClient slow = server.Connect();
        slow.Socket.ReceiveBufferSize = 4096;
        Assert.Equal("OK", await slow.CommandAsync("watch fetchers"));
        using RawClient client = server.Connect();
        string key = new(',', 240); // every byte becomes three
        string misses = string.Concat(Enumerable.Repeat($"get {key}\r\n", 100));
        long residentBefore = 0;
        Dictionary<string, string> statistics = [];
        for (int round = 0; ; round++)
        {
            Assert.True(round < 1000, "the watcher was sent everything");
            await client.SendAsync(misses);
            for (int i = 0; i < 100; i++)
                await client.ExpectLineAsync("END");
            statistics = await client.StatsAsync();
            long skipped = long.Parse(statistics["log_watcher_skipped"], CultureInfo.InvariantCulture);
            if (residentBefore == 0 && skipped > 0)
                residentBefore = server.ResidentBytes;
            if (skipped > 5_000)
                break;
        }

        Assert.Equal("1", statistics["log_watchers"]);
        Assert.InRange(server.ResidentBytes - residentBefore, long.MinValue, 32 * 1024 * 1024);

        // It reads on, and is told what it lost as soon as there is room and something new.
        for (string line = ""; !line.StartsWith("skipped=", StringComparison.Ordinal); line = await slow.ReadLineAsync())
        {
            await client.SendAsync($"get {key}\r\n");
            await client.ExpectLineAsync("END");
        }

        slow.Reset();
        for (int round = 0; (await client.StatsAsync())["log_watchers"] != "0"; round++)
            Assert.True(round < 10_000, "the watcher is still there");
    }

    private static async Task<string[]> RunAsync(ServerProcess server, RawClient watcher, bool isOld)
    {
        Assert.Equal("OK", await watcher.CommandAsync(isOld ? "watch fetchers mutations connevents" : "watch fetchers mutations connevents deletions"));
        using (RawClient client = server.Connect())
        {
            foreach (string command in Commands(isOld))
            {
                await client.SendAsync(command + "mn\r\n");
                while (await client.ReadLineAsync() != "MN")
                {
                }
            }

            await client.SendAsync("quit\r\n");
            Assert.Equal("", await client.ReadToEndAsync());
        }

        RawClient reset = server.Connect();
        Assert.StartsWith("VERSION", await reset.CommandAsync("version"), StringComparison.Ordinal);
        reset.Reset();
        var lines = new List<string>();
        while (true)
        {
            string line = await watcher.ReadLineAsync();
            Assert.Matches(@"^ts=\d+\.\d{1,6} gid=\d+ type=", line);
            lines.Add(Mask(line));
            if (line.Contains(" reason=error ", StringComparison.Ordinal))
                return [.. lines];
        }
    }

    private static IEnumerable<string> Commands(bool isOld)
    {
        string large = new('x', 2_000_000);
        yield return "get a\r\n";
        yield return "set a 0 0 3\r\nabc\r\n";
        yield return "set a 5 100 3\r\nabc\r\n";
        yield return "get a b c a\r\n";
        yield return "add a 0 0 1\r\nx\r\nadd fresh 0 10 1\r\nx\r\n";
        yield return "replace zz 0 0 1\r\nx\r\nreplace a 0 50 2\r\nxy\r\n";
        yield return "append a 0 7 2\r\nyy\r\nappend zz 0 7 2\r\nyy\r\n";
        yield return "prepend a 0 0 2\r\nyy\r\nprepend zz 0 0 2\r\nyy\r\n";
        yield return "cas a 0 0 1 9999\r\nx\r\ncas zz 0 0 1 9999\r\nx\r\n";
        yield return "gets a\r\n";
        yield return "delete a\r\ndelete a\r\n";
        yield return "set n 0 0 1\r\n9\r\nincr n 5\r\nincr n 1\r\ndecr n 10\r\nincr zz 1\r\n";
        yield return "touch n 50\r\ntouch zz 1\r\ngat 100 n zz\r\n";
        yield return "set text 0 0 2\r\nno\r\nincr text 1\r\n";
        yield return $"set big 0 0 {large.Length}\r\n{large}\r\n";
        yield return $"add big 0 0 {large.Length}\r\n{large}\r\n";
        yield return $"set o 0 0 1\r\nx\r\nset o 0 0 {large.Length}\r\n{large}\r\nget o\r\n";
        yield return "set a 0 0 1 noreply\r\nx\r\ndelete a noreply\r\n";
        yield return "set odd/key,%25\u00ff 0 0 1\r\nx\r\nget odd/key,%25\u00ff ~._-\r\n";
        yield return $"get {new string('"', 250)}\r\n";
        yield return "ms m 2 T60\r\nhi\r\nms m 2 MA\r\nhi\r\nms m 2 MP\r\nhi\r\nms m 2 ME\r\nhi\r\nms m 2 MR\r\nhi\r\nms zz 2 MR\r\nhi\r\n";
        yield return "ms m 2 C99\r\nhi\r\nms zz 2 C99\r\nhi\r\nms m 2 I C1\r\nhi\r\n";
        yield return "mg m v\r\nmg zz v\r\nmg vivified N30 v\r\nmg m T90 t\r\nme m\r\nme zz\r\n";
        yield return "ma cnt N0 J5\r\nma cnt\r\nma zz\r\n";
        yield return "md m C99\r\nmd m I\r\nmd m\r\nmd m\r\n";

        // 1.6.45 reads beside its list of commands when it tells this one, and may crash.
        if (isOld)
            yield return $"ms o {large.Length}\r\n{large}\r\n";
        else
            yield return "ms viv 2 MA N30\r\nhi\r\nms gone 2\r\nhi\r\nmd gone x\r\nmd gone x I\r\nmd gone\r\n";
        yield return "set v0 0 0 0\r\n\r\nget v0\r\n";
        for (int i = 0; i < 40; i++)
            yield return string.Create(CultureInfo.InvariantCulture, $"set k{i % 7} 0 {i} {i}\r\n{new string('v', i)}\r\nget k{i % 5}\r\ndelete k{i % 3}\r\n");
    }

    private static string Mask(string line)
    {
        line = Numbers().Replace(line, "$1*");
        if (line.Contains(" status=too_large ", StringComparison.Ordinal))
            line = Refused().Replace(line, "");
        return Remaining().Replace(line, "ttl=*");
    }

    [GeneratedRegex(@"\b(ts=|gid=|cfd=|rport=|clsid=)-?[\d.]+")]
    private static partial Regex Numbers();

    [GeneratedRegex(@" cmd=\w+ ttl=\S+")]
    private static partial Regex Refused();

    // A second may pass between two commands.
    [GeneratedRegex(@"\bttl=[1-9]\d*")]
    private static partial Regex Remaining();
}
