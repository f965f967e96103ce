using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;
using System.Text;

namespace OrleansCache.Conformance;

/// <summary>Clients that behave badly or unluckily, and what the server's other clients notice of it: nothing.</summary>
public sealed class FaultTests
{
    private const long MiB = 1024 * 1024;

    [Fact]
    public async Task AMillionTinyCommandsInOneSegmentAreAllAnswered()
    {
        const int Commands = 1_000_000;
        await using ServerProcess server = await ServerProcess.StartAsync();
        using RawClient client = server.Connect();
        Task sending = client.SendAsync(Repeated("get k\r\n", Commands));

        long count = await CountRepliesAsync(client, "END\r\n", Commands);
        await sending;

        Assert.Equal(Commands, count);
        Assert.Equal("END", await client.CommandAsync("get k"));
    }

    [Fact]
    public async Task ADeepPipelineDoesNotStarveItsNeighbours()
    {
        const int Commands = 1_000_000;
        // One thread for all connections: the neighbour must get its turns in between.
        await using ServerProcess server = await ServerProcess.StartAsync("-t", "1");
        using RawClient deep = server.Connect();
        using RawClient neighbour = server.Connect();
        Task sending = deep.SendAsync(Repeated("get k\r\n", Commands));
        await deep.ExpectLineAsync("END"); // The burst is being served from here on.
        Task<long> counting = Task.Run(() => CountRepliesAsync(deep, "END\r\n", Commands - 1));

        for (int round = 0; round < 20; round++)
            Assert.Equal("STORED", await neighbour.SetAsync("n", "x"));
        bool stillBusy = !counting.IsCompleted;

        await sending;
        Assert.Equal(Commands - 1, await counting);
        Assert.True(stillBusy, "20 round trips of the neighbour took as long as 1,000,000 commands of the burst");
    }

    [Fact]
    public async Task OneBytePerSegmentIsUnderstood()
    {
        await using ServerProcess server = await ServerProcess.StartAsync();
        using RawClient client = server.Connect();
        const string Input =
            "set one 5 0 10\r\n1234567890\r\nget one\r\ngets one two\r\nincr one 1\r\nadd two 0 0 0\r\n\r\nget one two\r\ndelete one\r\nappend two 0 "
                + "0 2 noreply\r\nxy\r\n"
            + "get two\r\ntouch two 100\r\nverbosity 1\r\nquit\r\n";
        foreach (byte one in Encoding.ASCII.GetBytes(Input))
            await client.SendAsync(new[] { one });

        string reply = await client.ReadToEndAsync();

        Assert.Matches("^STORED\r\nVALUE one 5 10\r\n1234567890\r\nEND\r\nVALUE one 5 10 [0-9]+\r\n1234567890\r\nEND\r\n1234567891\r\nSTORED\r\n"
            + "VALUE one 5 10\r\n1234567891\r\nVALUE two 0 0\r\n\r\nEND\r\nDELETED\r\nVALUE two 0 2\r\nxy\r\nEND\r\nTOUCHED\r\nOK\r\n$", reply);
    }

    [Fact]
    public async Task ReadersThatDoNotReadCostNoMemoryAndHinderNobody()
    {
        const int Readers = 20;
        const int GetsPerReader = 100;
        await using ServerProcess server = await ServerProcess.StartAsync("-m", "64");
        using RawClient neighbour = server.Connect();
        byte[] value = new byte[1_000_000];
        Array.Fill(value, (byte)'v');
        Assert.Equal("STORED", await neighbour.SetAsync("big", value));
        for (int warm = 0; warm < 20; warm++)
            Assert.Equal(value.Length, (await neighbour.GetAsync("big"))!.Length);
        long residentBefore = server.ResidentBytes;

        RawClient[] readers = [.. Enumerable.Range(0, Readers).Select(_ => server.Connect())];
        foreach (RawClient reader in readers)
            await reader.SendAsync(Repeated("get big\r\n", GetsPerReader));

        // 2 GB of replies are waiting to be read; the neighbour's work goes on and the server's memory stays as it is.
        long residentMost = 0;
        for (int round = 0; round < 3000; round++)
        {
            Assert.Equal("STORED", await neighbour.SetAsync($"n{round}", "x"));
            Assert.Equal("x", await neighbour.GetTextAsync($"n{round}"));
            if (round % 100 == 0)
                residentMost = Math.Max(residentMost, server.ResidentBytes);
        }
        Assert.True(residentMost - residentBefore < 64 * MiB,
            $"{Readers} readers that do not read made the server grow from {residentBefore / MiB} to {residentMost / MiB} MiB");

        // One of them reads after all and gets every byte.
        for (int reply = 0; reply < GetsPerReader; reply++)
        {
            await readers[0].ExpectLineAsync("VALUE big 0 1000000");
            byte[] body = await readers[0].ReadBytesAsync(value.Length);
            Assert.True(body.AsSpan().SequenceEqual(value), $"reply {reply} differs");
            await readers[0].ExpectLineAsync("");
            await readers[0].ExpectLineAsync("END");
        }
        foreach (RawClient reader in readers)
            reader.Reset();
        Assert.Equal("x", await neighbour.GetTextAsync("n1"));
    }

    [OpenFilesFact(12_500)]
    public async Task TenThousandIdleConnectionsAreHeldAndLetGo()
    {
        const int Connections = 10_000;
        await using ServerProcess server = await ServerProcess.StartAsync("-c", "12000");
        using RawClient neighbour = server.Connect();
        Assert.Equal("STORED", await neighbour.SetAsync("k", "value"));
        long residentBefore = server.ResidentBytes;
        List<RawClient> idle = new(Connections);
        try
        {
            for (int number = 0; number < Connections; number++)
            {
                RawClient client = server.Connect();
                idle.Add(client);
                // Each has said something before it falls idle.
                if (number % 10 == 0)
                    Assert.Equal("value", await client.GetTextAsync("k"));
            }
            await WaitForConnectionsAsync(server, neighbour, Connections + 1, Connections + 100);
            for (int round = 0; round < 1000; round++)
                Assert.Equal("value", await neighbour.GetTextAsync("k"));
            Assert.Equal("value", await idle[Connections / 2].GetTextAsync("k"));
            Assert.Equal("value", await idle[^1].GetTextAsync("k"));
            long grown = server.ResidentBytes - residentBefore;
            Assert.True(grown < 100 * MiB, $"10,000 idle connections cost {grown / MiB} MiB");
        }
        finally
        {
            foreach (RawClient client in idle)
                client.Dispose();
        }
        await WaitForConnectionsAsync(server, neighbour, 0, 100);
    }

    [Fact]
    public async Task AHalfClosedConnectionStillGetsAllItsReplies()
    {
        const int Gets = 200;
        await using ServerProcess server = await ServerProcess.StartAsync();
        using RawClient client = server.Connect();
        string value = new('x', 100_000);
        Assert.Equal("STORED", await client.SetAsync("k", value));
        await client.SendAsync(Repeated("get k\r\n", Gets));
        client.EndSending();

        string reply = await client.ReadToEndAsync();

        string one = $"VALUE k 0 100000\r\n{value}\r\nEND\r\n";
        Assert.True(reply.Length == Gets * one.Length && reply.EndsWith(one, StringComparison.Ordinal), $"{reply.Length} of {Gets * one.Length} bytes came");
    }

    [Fact]
    public async Task ConnectionsThatAreResetAnywhereLeaveNothingBehind()
    {
        await using ServerProcess server = await ServerProcess.StartAsync();
        using RawClient neighbour = server.Connect();
        Assert.Equal("STORED", await neighbour.SetAsync("big", new byte[500_000]));
        string[] beginnings = ["", "get", "get big\r\n", "set cut 0 0 100000\r\nabc", "get big\r\nget big\r\nset cut 0 0 3\r\nab", "set x 0 0 1\r\nx\r\n"];
        for (int round = 0; round < 300; round++)
        {
            RawClient client = server.Connect();
            string beginning = beginnings[round % beginnings.Length];
            if (beginning.Length > 0)
                await client.SendAsync(beginning);
            // Some of them have a reply on the way when the reset arrives.
            if (beginning == "get big\r\n" && round % 4 == 0)
                await client.ReadLineAsync();
            client.Reset();
        }

        Assert.Null(await neighbour.GetAsync("cut"));
        Assert.Equal(500_000, (await neighbour.GetAsync("big"))!.Length);
        await WaitForConnectionsAsync(server, neighbour, 0, 20);
        Assert.DoesNotContain("   at ", server.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task ManyPipeliningConnectionsNeverSeeEachOthersReplies()
    {
        const int Connections = 40;
        const int Rounds = 30;
        await using ServerProcess server = await ServerProcess.StartAsync();
        await Task.WhenAll(Enumerable.Range(0, Connections).Select(number => Task.Run(async () =>
        {
            var random = new Random(number);
            using RawClient client = server.Connect();
            for (int round = 0; round < Rounds; round++)
            {
                int depth = random.Next(1, 200);
                string[] values = [.. Enumerable.Range(0, depth)
                    .Select(index => $"{number}-{round}-{index}-".PadRight(random.Next(20, 3000), (char)('a' + (number % 26))))];
                var burst = new StringBuilder();
                for (int index = 0; index < depth; index++)
                    burst.Append(CultureInfo.InvariantCulture,
                        $"set p{number}-{index} {number} 0 {values[index].Length}\r\n{values[index]}\r\nget p{number}-{index}\r\n");
                Task sending = client.SendAsync(burst.ToString());
                for (int index = 0; index < depth; index++)
                {
                    await client.ExpectLineAsync("STORED");
                    await client.ExpectLineAsync($"VALUE p{number}-{index} {number} {values[index].Length}");
                    await client.ExpectLineAsync(values[index]);
                    await client.ExpectLineAsync("END");
                }
                await sending;
            }
        })));
    }

    [Fact]
    public async Task APortInUseIsSaidClearly()
    {
        await using ServerProcess first = await ServerProcess.StartAsync();
        ServerKind kind = ServerUnderTest.IsMemcached ? ServerKind.Memcached : ServerKind.OrleansCache;

        (int exitCode, string printed, _) = await ChildProcess.RunAsync(ServerUnderTest.CommandLine(kind, first.Port, []), TimeSpan.FromSeconds(20));

        Assert.True(exitCode != 0, printed);
        Assert.Contains("in use", printed, StringComparison.OrdinalIgnoreCase);
        if (kind == ServerKind.OrleansCache) // memcached 1.6.18 names the interface only.
            Assert.Contains(first.Port.ToString(CultureInfo.InvariantCulture), printed, StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", printed, StringComparison.Ordinal);
        using RawClient client = first.Connect();
        Assert.StartsWith("VERSION ", await client.CommandAsync("version"), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("--no-such-option")]
    [InlineData("-p", "port")]
    [InlineData("-m", "-5")]
    [InlineData("-t", "0")]
    [InlineData("-I", "10")]
    public async Task WrongOptionsAreRefusedWithoutAStackTrace(params string[] arguments)
    {
        ServerKind kind = ServerUnderTest.IsMemcached ? ServerKind.Memcached : ServerKind.OrleansCache;
        if (kind == ServerKind.Memcached && arguments[0] is "-m" or "-p")
            return; // memcached reads these with atoi and starts.

        (int exitCode, string printed, _) =
            await ChildProcess.RunAsync(ServerUnderTest.CommandLine(kind, TestPorts.Next(), arguments), TimeSpan.FromSeconds(20));

        Assert.True(exitCode != 0, printed);
        Assert.NotEmpty(printed);
        Assert.DoesNotContain("   at ", printed, StringComparison.Ordinal);
        Assert.DoesNotContain("Unhandled", printed, StringComparison.Ordinal);
    }

    [Fact]
    public async Task SigtermWithClientsConnectedEndsCleanly()
    {
        await using ServerProcess server = await ServerProcess.StartAsync();
        RawClient[] clients = [.. Enumerable.Range(0, 50).Select(_ => server.Connect())];
        foreach (RawClient client in clients)
            Assert.Equal("STORED", await client.SetAsync("k", "v"));
        await clients[0].SendAsync("set half 0 0 1000\r\nabc");

        int exitCode = await server.TerminateAsync(TimeSpan.FromSeconds(5));

        Assert.True(exitCode == 0, server.Output);
        Assert.DoesNotContain("   at ", server.Output, StringComparison.Ordinal);
        foreach (RawClient client in clients)
        {
            Assert.Equal("", await client.ReadToEndAsync());
            client.Dispose();
        }
    }

    [Fact]
    public async Task BeyondTheConnectionLimitClientsAreToldAndOthersAreServedOn()
    {
        const int Limit = 100;
        await using ServerProcess server = await ServerProcess.StartAsync("-c", "100");
        using RawClient neighbour = server.Connect();
        Assert.Equal("STORED", await neighbour.SetAsync("k", "v"));
        List<RawClient> served = [];
        int refused = 0;
        for (int number = 0; number < Limit + 50; number++)
        {
            RawClient client = server.Connect();
            string answer = await FirstLineAsync(client, "get none\r\n");
            if (answer == "END")
            {
                served.Add(client);
                continue;
            }
            Assert.Equal("ERROR Too many open connections", answer);
            Assert.Equal("", await client.ReadToEndAsync());
            client.Dispose();
            refused++;
        }
        // memcached compares the number of the socket's descriptor, so that its own descriptors count as well.
        Assert.InRange(served.Count, Limit - (ServerUnderTest.IsMemcached ? 40 : 6), Limit - 1);
        Assert.Equal(Limit + 50, served.Count + refused);
        Assert.Equal("v", await neighbour.GetTextAsync("k"));

        served[0].Dispose();
        var watch = Stopwatch.StartNew();
        while (true)
        {
            using RawClient next = server.Connect();
            if (await FirstLineAsync(next, "get none\r\n") == "END")
                break;
            Assert.True(watch.Elapsed < TimeSpan.FromSeconds(10), "A place that became free is not given to the next client");
        }
        Dictionary<string, string> statistics = await neighbour.StatsAsync();
        Assert.True(int.Parse(statistics["rejected_connections"], CultureInfo.InvariantCulture) >= refused, statistics["rejected_connections"]);
        foreach (RawClient client in served)
            client.Dispose();
    }

    [Fact]
    public async Task IdleConnectionsAreClosedAndBusyOnesAreNot()
    {
        await using ServerProcess server = await ServerProcess.StartAsync("-o", "idle_timeout=2");
        using RawClient idle = server.Connect();
        using RawClient busy = server.Connect();
        Assert.Equal("STORED", await idle.SetAsync("k", "v"));
        Task<string> closed = idle.ReadToEndAsync();
        var watch = Stopwatch.StartNew();
        while (!closed.IsCompleted)
        {
            Assert.Equal("v", await busy.GetTextAsync("k"));
            Assert.True(watch.Elapsed < TimeSpan.FromSeconds(15), $"Not closed after 15 s\n{server.Output}");
            await Task.WhenAny(closed, Task.Delay(100));
        }
        Assert.True(watch.Elapsed > TimeSpan.FromSeconds(0.9), $"Closed after {watch.Elapsed}, long before the time-out");
        await closed;
        Assert.Equal("v", await busy.GetTextAsync("k"));
        Assert.Equal("1", (await busy.StatsAsync())["idle_kicks"]);
    }

    /// <summary>The first line that the server says: its greeting of refusal, or the reply to the command.</summary>
    private static async Task<string> FirstLineAsync(RawClient client, string command)
    {
        try
        {
            await client.SendAsync(command);
        }
        catch (SocketException)
        {
            // Refused and closed before the command left; what was said can still be read.
        }
        return await client.ReadLineAsync();
    }

    private static byte[] Repeated(string text, int count)
    {
        byte[] one = Encoding.ASCII.GetBytes(text);
        byte[] all = new byte[one.Length * count];
        for (int index = 0; index < count; index++)
            one.CopyTo(all, index * one.Length);
        return all;
    }

    /// <summary>Reads <paramref name="count"/> replies that must all be <paramref name="reply"/>, and returns how many there were.</summary>
    private static async Task<long> CountRepliesAsync(RawClient client, string reply, int count)
    {
        byte[] expected = Encoding.ASCII.GetBytes(reply);
        long length = (long)expected.Length * count;
        long at = 0;
        bool same = true;
        while (at < length && same)
        {
            bool more = await client.ReadChunkAsync((bytes, _) =>
            {
                foreach (byte one in bytes)
                    same &= one == expected[(int)(at++ % expected.Length)];
            });
            if (!more)
                break;
        }
        Assert.True(same, $"A reply before byte {at} is not {reply}");
        return at / expected.Length;
    }

    /// <summary>Accepting and closing take their time: waits until the server counts between so many and so many connections.</summary>
    private static async Task WaitForConnectionsAsync(ServerProcess server, RawClient client, int atLeast, int atMost)
    {
        var watch = Stopwatch.StartNew();
        while (true)
        {
            int count = int.Parse((await client.StatsAsync())["curr_connections"], CultureInfo.InvariantCulture);
            if (count >= atLeast && count <= atMost)
                return;
            Assert.True(watch.Elapsed < TimeSpan.FromSeconds(15), $"curr_connections is {count} after 15 s, not {atLeast} to {atMost}\n{server.Output}");
        }
    }
}
