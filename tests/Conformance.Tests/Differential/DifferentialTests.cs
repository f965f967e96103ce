using System.Globalization;
using Xunit.Abstractions;

namespace OrleansCache.Conformance.Differential;

/// <summary>
/// The same commands to a real memcached and to the server under test. MEMCACHED names the memcached; ORLEANSCACHE_DIFFERENTIAL_COMMANDS and
/// ORLEANSCACHE_TEST_SEED choose length and seed; ORLEANSCACHE_DIFFERENTIAL_SERVER names another memcached to test in place of the server under test.
/// </summary>
public abstract class DifferentialTests(DifferentialPair pair, ITestOutputHelper output)
{
    private const int CommandsDefault = 20_000;
    private const int MetaCommandsDefault = 50_000;
    private static readonly TimeSpan s_expiryTimeout = TimeSpan.FromSeconds(15);

    private ServerProcess Reference => pair.Reference;

    private ServerProcess Tested => pair.Tested;

    [PeerFact("memcached")]
    public Task RandomStreamsAreAnsweredAlike() => CompareAsync(CommandsDefault, static (seed, is1645) => new CommandStream(seed, is1645).Next);

    /// <summary>Seven of ten commands are meta commands, the others classic ones on the same keys.</summary>
    [PeerFact("memcached")]
    public Task RandomMetaStreamsAreAnsweredAlike() => CompareAsync(MetaCommandsDefault, static (seed, is1645) => new MetaStream(seed, is1645).Next);

    private async Task CompareAsync(int commandsDefault, Func<int, bool, Func<DifferentialCommand>> create)
    {
        int seed = TestSeed.Next();
        int count = Environment.GetEnvironmentVariable("ORLEANSCACHE_DIFFERENTIAL_COMMANDS") is { Length: > 0 } wanted
            ? int.Parse(wanted, CultureInfo.InvariantCulture) : LongTests.Count(commandsDefault);
        bool is1645 = await DifferentialRun.Is1645Async(Reference);
        output.WriteLine($"seed {seed}, {count} commands, reference {(is1645 ? "with" : "without, so that its odd forms are left out,")} the grammar "
            + $"of 1.6.45");

        using var reference = new DifferentialServer(Reference);
        using var tested = new DifferentialServer(Tested);
        string? difference = await new DifferentialRun(reference, tested).CompareAsync(create(seed, is1645), count, seed);
        Assert.True(difference is null, $"seed {seed}: {difference}");
    }

    [PeerTheory("memcached")]
    [InlineData("quit")]
    [InlineData("quit now")]
    [InlineData("GET / HTTP/1.1")]
    [InlineData("foo HTTP/")]
    public async Task ClosingLinesCloseWithoutAReply(string line)
    {
        foreach (ServerProcess server in new[] { Reference, Tested })
        {
            using RawClient client = server.Connect();
            await client.SendAsync(line + "\r\nversion\r\n");
            Assert.Equal("", await client.ReadToEndAsync());
        }
    }

    [PeerFact("memcached")]
    public async Task RepliesBeforeQuitAreSent()
    {
        foreach (ServerProcess server in new[] { Reference, Tested })
        {
            using RawClient client = server.Connect();
            await client.SendAsync("set k 0 0 1\r\nx\r\nget k\r\nquit\r\nget k\r\n");
            Assert.Equal("STORED\r\nVALUE k 0 1\r\nx\r\nEND\r\n", await client.ReadToEndAsync());
        }
    }

    [PeerTheory("memcached")]
    [InlineData("set ")]
    [InlineData("gat 0 ")]
    [InlineData("xyz")]
    public async Task LongLineWithoutEndIsClosed(string start)
    {
        foreach (ServerProcess server in new[] { Reference, Tested })
        {
            using RawClient client = server.Connect();
            await client.SendAsync(start.PadRight(2049, 'x'));
            Assert.Equal("", await client.ReadToEndAsync());
        }
    }

    [PeerFact("memcached")]
    public async Task VeryLongGetIsAnsweredAlike()
    {
        string line = "get " + string.Join(' ', Enumerable.Range(0, 20_000).Select(i => $"key{i}")) + "\r\n";
        foreach (ServerProcess server in new[] { Reference, Tested })
        {
            using RawClient client = server.Connect();
            Assert.Equal("STORED", await client.SetAsync("key19999", "last"));
            for (int start = 0; start < line.Length; start += 3000)
                await client.SendAsync(line[start..Math.Min(line.Length, start + 3000)]);
            foreach (string expected in new[] { "VALUE key19999 0 4", "last", "END" })
                await client.ExpectLineAsync(expected);
        }
    }

    /// <summary>Commands that set, change and keep short expiries, sent at once; then, when every short one is over, all keys are read.</summary>
    [PeerFact("memcached")]
    public async Task ShortExpiriesEndAlike()
    {
        const int keys = 60;
        int seed = TestSeed.Next();
        var random = new Random(seed);
        var commands = new List<DifferentialCommand>();
        for (int i = 0; i < 600; i++)
        {
            string key = string.Create(CultureInfo.InvariantCulture, $"e{random.Next(keys)}");
            string exptime = new[] { "0", "100", "4", "4", "-1" }[random.Next(5)];
            commands.Add(new DifferentialCommand(random.Next(8) switch
            {
                0 => $"touch {key} {exptime}\r\n",
                1 => $"gat {exptime} {key}\r\n",
                2 => $"incr {key} 1\r\n",
                3 => $"append {key} 0 {exptime} 1\r\n0\r\n",
                4 => $"replace {key} 1 {exptime} 1\r\n1\r\n",
                5 => $"add {key} 2 {exptime} 1\r\n2\r\n",
                _ => $"set {key} 3 {exptime} 1\r\n3\r\n",
            }));
        }

        commands.Add(new DifferentialCommand("set sentinel 0 4 1\r\nx\r\n"));
        using var reference = new DifferentialServer(Reference);
        using var tested = new DifferentialServer(Tested);
        foreach (DifferentialServer server in new[] { reference, tested })
            await server.ResetAsync(1);
        List<string> expected = await reference.ExecuteAsync(commands, 0, new Random(seed));
        List<string> got = await tested.ExecuteAsync(commands, 0, new Random(seed));
        Assert.True(expected.SequenceEqual(got), $"seed {seed}: replies before the expiry differ");

        // All expiries were asked for before the sentinel's, so when it is gone they are over.
        await UntilGoneAsync(Reference, "sentinel");
        await UntilGoneAsync(Tested, "sentinel");
        foreach (int key in Enumerable.Range(0, keys))
        {
            DifferentialCommand[] read = [new DifferentialCommand(string.Create(CultureInfo.InvariantCulture, $"get e{key}\r\n"))];
            string wanted = string.Concat(await reference.ExecuteAsync(read, 0, new Random(0)));
            string seen = string.Concat(await tested.ExecuteAsync(read, 0, new Random(0)));
            Assert.True(wanted == seen, $"seed {seed}: e{key} is {DifferentialCommand.Show(seen)}, in memcached {DifferentialCommand.Show(wanted)}");
        }
    }

    [PeerFact("memcached")]
    public async Task DelayedFlushTakesWhatWasStoredBeforeItsTime()
    {
        foreach (ServerProcess server in new[] { Reference, Tested })
        {
            using RawClient client = server.Connect();
            Assert.Equal("STORED", await client.SetAsync("before", "x"));
            Assert.Equal("OK", await client.CommandAsync("flush_all 3"));
            Assert.Equal("x", await client.GetTextAsync("before"));
            Assert.Equal("STORED", await client.SetAsync("behind", "x"));
            await UntilGoneAsync(server, "before");
            Assert.Null(await client.GetTextAsync("behind"));
        }
    }

    private static async Task UntilGoneAsync(ServerProcess server, string key)
    {
        using RawClient client = server.Connect();
        for (long start = Environment.TickCount64; await client.GetAsync(key) is not null;)
        {
            Assert.True(Environment.TickCount64 - start < s_expiryTimeout.TotalMilliseconds, $"{key} does not expire");
            await Task.Delay(50);
        }
    }
}

/// <summary>Over the transport that the server chooses.</summary>
public sealed class DifferentialDefaultTests(DefaultPair pair, ITestOutputHelper output) : DifferentialTests(pair, output), IClassFixture<DefaultPair>;

/// <summary>Over System.IO.Pipelines.</summary>
public sealed class DifferentialPipelinesTests(PipelinesPair pair, ITestOutputHelper output) : DifferentialTests(pair, output), IClassFixture<PipelinesPair>;
