using System.Net;
using System.Net.Sockets;
using System.Text;
using OrleansCache.Gateway.Options;
using OrleansCache.Gateway.Stats;
using OrleansCache.Gateway.Tests.Fakes;

namespace OrleansCache.Gateway.Tests.Sockets;

/// <summary>The same behaviour over every transport that this system has.</summary>
public sealed class SocketTests
{
    public static TheoryData<TransportKind> Transports =>
        OperatingSystem.IsLinux() ? [TransportKind.Epoll, TransportKind.Pipelines] : [TransportKind.Pipelines];

    [Theory]
    [MemberData(nameof(Transports))]
    public async Task CommandsAreAnsweredOneByOneAndPipelined(TransportKind transport)
    {
        await using GatewayHarness gateway = await GatewayHarness.StartAsync(transport);
        using TestClient client = await gateway.ConnectAsync();
        await client.AssertAsync("set a 0 0 1\r\nx\r\n", "STORED\r\n");
        await client.AssertAsync("get a\r\n", "VALUE a 0 1\r\nx\r\nEND\r\n");
        await client.AssertAsync("get a", "");
        await client.AssertAsync("\r\n", "VALUE a 0 1\r\nx\r\nEND\r\n");
        await client.AssertAsync(
            string.Concat(Enumerable.Repeat("get a\r\n", 10_000)), string.Concat(Enumerable.Repeat("VALUE a 0 1\r\nx\r\nEND\r\n", 10_000)));
        await client.AssertAsync("quit\r\n", "");
        Assert.Equal("", await client.ReadToEndAsync());
        await Wait.UntilAsync(() => gateway.Server.Statistics.ConnectionsCurrent == 0, "the connection is gone");
        GatewayStatistics statistics = gateway.Server.Statistics;
        Assert.Equal(1, statistics.ConnectionsTotal);
        Assert.Equal(10_003, statistics.Counters.Operations);
        Assert.Equal("set a 0 0 1\r\nx\r\n".Length + (10_002 * 7) + 6, statistics.Counters.BytesRead);
        Assert.Equal(8 + (10_002 * 21), statistics.Counters.BytesWritten);
    }

    [Theory]
    [MemberData(nameof(Transports))]
    public async Task ATurnHasAtMostSoManyRequestsAndYieldsAreCounted(TransportKind transport)
    {
        await using GatewayHarness gateway = await GatewayHarness.StartAsync(transport, static o => o with { RequestsPerEvent = 7, Threads = 1 });
        using TestClient client = await gateway.ConnectAsync();
        await client.AssertAsync(string.Concat(Enumerable.Repeat("get a\r\n", 700)), string.Concat(Enumerable.Repeat("END\r\n", 700)));
        Assert.InRange(gateway.Server.Statistics.Counters.ConnectionYields, 80, 120);
        await client.AssertAsync("get a\r\n", "END\r\n");

        string gets = string.Concat(Enumerable.Repeat("get a b c d e f g h\r\n", 70));
        await client.AssertAsync(gets + "version\r\n", string.Concat(Enumerable.Repeat("END\r\n", 70)) + "VERSION 1.6.45\r\n");
    }

    [Fact]
    public async Task WhenALoopFailsTheGatewaySaysSo()
    {
        if (!Epoll.EpollTransport.IsSupported)
            return;
        var harness = new GatewayHarness(TransportKind.Epoll);
        await using GatewayServer server = harness.Server;
        await server.StartAsync(CancellationToken.None);
        using TestClient client = await harness.ConnectAsync();
        await client.AssertAsync("get a\r\n", "END\r\n");
        Assert.False(server.Failure.IsCompleted);

        harness.Router.FlushFailure = new InvalidOperationException("the test wants it");
        await client.SendAsync("get a\r\n");

        string reason = await server.Failure.WaitAsync(TimeSpan.FromSeconds(10));
        Assert.Matches("^I/O loop gateway-[0-9] failed: InvalidOperationException: the test wants it$", reason);
        Assert.Contains(harness.Errors.Messages, static line => line.Contains("An I/O loop ended", StringComparison.Ordinal));
    }

    [Fact]
    public async Task AnArrivingValueIsShownInItsState()
    {
        await using GatewayHarness gateway = await GatewayHarness.StartAsync(TransportKind.Auto);
        using TestClient slow = await gateway.ConnectAsync();
        await slow.SendAsync("set a 0 0 100\r\nabc");
        await Wait.UntilAsync(() => gateway.Shared.Connections.Any(static c => c.IsReceivingValue), "the block arrives");
        string text = Encoding.ASCII.GetString(StatsText.Build(gateway.Shared, 0, "conns"));
        Assert.Contains("state conn_nread\r\n", text, StringComparison.Ordinal);
        await slow.SendAsync(new string('x', 97) + "\r\n");
        Assert.Equal("STORED\r\n", await slow.ReadAsync(8));
    }

    [Theory]
    [MemberData(nameof(Transports))]
    public async Task ValuesOfAMegabyteGoBothWays(TransportKind transport)
    {
        await using GatewayHarness gateway = await GatewayHarness.StartAsync(transport, static o => o with { ItemBytesMax = 8 << 20 });
        gateway.Router.Store.RunBytesMax = 300_000;
        using TestClient client = await gateway.ConnectAsync();
        int seed = TestSeed.Next();
        string value = string.Create(1_000_000, seed, static (span, s) =>
        {
            var random = new Random(s);
            for (int i = 0; i < span.Length; i++)
                span[i] = (char)random.Next(256);
        });
        await client.AssertAsync($"set a 3 0 {value.Length}\r\n{value}\r\n", "STORED\r\n");
        string once = $"VALUE a 3 {value.Length}\r\n{value}\r\nEND\r\n";
        await client.SendAsync("get a\r\nget a\r\nget a\r\nversion\r\n");
        string all = once + once + once + "VERSION 1.6.45\r\n";
        Assert.True(all == await client.ReadAsync(all.Length), $"seed {seed}");
        await Wait.UntilAsync(() => gateway.Router.Store.Pins == 0, "pins are released");
    }

    [Theory]
    [MemberData(nameof(Transports))]
    public async Task BeyondTheConnectionLimitClientsAreToldAndClosed(TransportKind transport)
    {
        await using GatewayHarness gateway = await GatewayHarness.StartAsync(transport, static o => o with { ConnectionsMax = 2 });
        using TestClient first = await gateway.ConnectAsync();
        await first.AssertAsync("get a\r\n", "END\r\n");
        using (TestClient second = await gateway.ConnectAsync())
        {
            await second.AssertAsync("get a\r\n", "END\r\n");
            using TestClient third = await gateway.ConnectAsync();
            Assert.Equal("ERROR Too many open connections\r\n", await third.ReadToEndAsync());
            Assert.Equal(1, gateway.Server.Statistics.ConnectionsRejected);
            Assert.Equal(2, gateway.Server.Statistics.ConnectionsCurrent);
        }

        await Wait.UntilAsync(() => gateway.Server.Statistics.ConnectionsCurrent == 1, "the second is gone");
        using TestClient fourth = await gateway.ConnectAsync();
        await fourth.AssertAsync("get a\r\n", "END\r\n");
    }

    [Theory]
    [MemberData(nameof(Transports))]
    public async Task AnIdleConnectionIsClosedAndABusyOneIsNot(TransportKind transport)
    {
        await using GatewayHarness gateway = await GatewayHarness.StartAsync(transport, static o => o with { IdleTimeoutSeconds = 10 });
        using TestClient idle = await gateway.ConnectAsync();
        using TestClient busy = await gateway.ConnectAsync();
        await idle.AssertAsync("get a\r\n", "END\r\n");
        for (int i = 0; i < 4; i++)
        {
            await busy.AssertAsync("get a\r\n", "END\r\n");
            gateway.Time.Advance(TimeSpan.FromSeconds(5));
        }

        Assert.Equal("", await idle.ReadToEndAsync());
        await busy.AssertAsync("get a\r\n", "END\r\n");
        // The client sees the end a moment before the loop counts it.
        await Wait.UntilAsync(() => gateway.Server.Statistics.Counters.ConnectionsIdleKicked == 1, "one idle connection was counted");
    }

    [Theory]
    [MemberData(nameof(Transports))]
    public async Task AClientThatDoesNotReadStopsBeingRead(TransportKind transport)
    {
        await using GatewayHarness gateway = await GatewayHarness.StartAsync(transport);
        using TestClient client = await gateway.ConnectAsync();
        string value = new('v', 10_000);
        await client.AssertAsync($"set a 0 0 10000\r\n{value}\r\n", "STORED\r\n");

        // Requests until the socket takes no more: the server must have stopped reading by then.
        client.Socket.Blocking = false;
        byte[] requests = System.Text.Encoding.ASCII.GetBytes(string.Concat(Enumerable.Repeat("get a\r\n", 2000)));
        long sentBytes = 0;
        int refusals = 0;
        while (refusals < 50)
        {
            try
            {
                int offset = (int)(sentBytes % requests.Length);
                sentBytes += client.Socket.Send(requests.AsSpan(offset));
                refusals = 0;
            }
            catch (SocketException failure) when (failure.SocketErrorCode == SocketError.WouldBlock)
            {
                refusals++;
                await Task.Delay(5);
            }
        }

        client.Socket.Blocking = true;
        GatewayStatistics stuck = gateway.Server.Statistics;
        Assert.InRange(stuck.Counters.BytesRead, 0, sentBytes - 1);
        Assert.InRange(stuck.Counters.Operations, 1, (stuck.Counters.BytesRead / 7) + 1);

        // What it has executed and not sent is bounded by the high-water mark; the kernel's buffers hold the rest.
        Assert.InRange((stuck.Counters.Operations * 10_000) - stuck.Counters.BytesWritten, -10_000, Limits.OutputHighWaterBytes + 50_000);

        // A neighbour does not notice.
        using TestClient neighbour = await gateway.ConnectAsync();
        await neighbour.AssertAsync("version\r\n", "VERSION 1.6.45\r\n");

        // When the client reads at last, everything comes.
        client.Socket.Shutdown(SocketShutdown.Send);
        long complete = sentBytes / 7;
        long expected = complete * ("VALUE a 0 10000\r\n".Length + 10_000 + 2 + 5);
        long received = 0;
        byte[] buffer = new byte[1 << 20];
        int count;
        while ((count = await client.Socket.ReceiveAsync(buffer).WaitAsync(TimeSpan.FromSeconds(10))) > 0)
            received += count;
        Assert.Equal(expected, received);
    }

    [Theory]
    [MemberData(nameof(Transports))]
    public async Task AHalfClosedClientGetsAllItsReplies(TransportKind transport)
    {
        await using GatewayHarness gateway =
            await GatewayHarness.StartAsync(transport, router: new FakeRouter { IsRemote = static b => b == 'r', AnswersItself = true });
        using TestClient client = await gateway.ConnectAsync();
        await client.SendAsync("set r 0 0 1\r\nx\r\n" + string.Concat(Enumerable.Repeat("get r l r\r\n", 5000)) + "get half");
        client.Socket.Shutdown(SocketShutdown.Send);
        string all = await client.ReadToEndAsync();
        Assert.Equal("STORED\r\n" + string.Concat(Enumerable.Repeat("VALUE r 0 1\r\nx\r\nVALUE r 0 1\r\nx\r\nEND\r\n", 5000)), all);
        await Wait.UntilAsync(() => gateway.Server.Statistics.ConnectionsCurrent == 0, "the connection is gone");
    }

    [Theory]
    [MemberData(nameof(Transports))]
    public async Task AResetInTheMiddleHurtsNobody(TransportKind transport)
    {
        await using GatewayHarness gateway =
            await GatewayHarness.StartAsync(transport, router: new FakeRouter { IsRemote = static b => b == 'r', AnswersItself = true });
        string value = new('v', 500_000);
        using TestClient witness = await gateway.ConnectAsync();
        await witness.AssertAsync($"set big 0 0 {value.Length}\r\n{value}\r\n", "STORED\r\n");
        for (int i = 0; i < 40; i++)
        {
            using TestClient client = await gateway.ConnectAsync();
            await client.SendAsync((i % 4) switch
            {
                0 => "set a 0 0 1000\r\nhalf a value",
                1 => string.Concat(Enumerable.Repeat("get big\r\n", 50)),
                2 => "get" + string.Concat(Enumerable.Repeat(" r", 400)) + "\r\n",
                _ => "get half a li",
            });
            client.Reset();
        }

        await Wait.UntilAsync(() => gateway.Server.Statistics.ConnectionsCurrent == 1, "the others are gone");
        await Wait.UntilAsync(() => gateway.Router.Store.Pins == 0, "pins are released");
        await witness.AssertAsync("version\r\n", "VERSION 1.6.45\r\n");
    }

    [Theory]
    [MemberData(nameof(Transports))]
    public async Task TwoThousandIdleConnectionsAndOneThatWorks(TransportKind transport)
    {
        await using GatewayHarness gateway = await GatewayHarness.StartAsync(transport, static o => o with { ConnectionsMax = 5000 });
        var idle = new List<TestClient>();
        try
        {
            for (int i = 0; i < 2000; i++)
                idle.Add(await gateway.ConnectAsync());
            await Wait.UntilAsync(() => gateway.Server.Statistics.ConnectionsCurrent == 2000, "all are accepted");
            using TestClient client = await gateway.ConnectAsync();
            for (int i = 0; i < 100; i++)
                await client.AssertAsync("version\r\n", "VERSION 1.6.45\r\n");
            await idle[1999].AssertAsync("version\r\n", "VERSION 1.6.45\r\n");
        }
        finally
        {
            foreach (TestClient client in idle)
                client.Dispose();
        }

        await Wait.UntilAsync(() => gateway.Server.Statistics.ConnectionsCurrent == 0, "all are gone");
    }

    [Theory]
    [MemberData(nameof(Transports))]
    public async Task OneByteAtATimeIsAnswered(TransportKind transport)
    {
        await using GatewayHarness gateway = await GatewayHarness.StartAsync(transport);
        using TestClient client = await gateway.ConnectAsync();
        foreach (char one in "set key 0 0 5\r\nhello\r\nget key\r\n")
        {
            await client.SendAsync(one.ToString());
            await Task.Yield();
        }

        string expected = "STORED\r\nVALUE key 0 5\r\nhello\r\nEND\r\n";
        Assert.Equal(expected, await client.ReadAsync(expected.Length));
    }

    [Theory]
    [MemberData(nameof(Transports))]
    public async Task ManyClientsAtOnceGetTheirOwnReplies(TransportKind transport)
    {
        await using GatewayHarness gateway = await GatewayHarness.StartAsync(
            transport, static o => o with { Threads = 3 }, new FakeRouter { IsRemote = static b => b % 2 == 0, AnswersItself = true });
        await Task.WhenAll(Enumerable.Range(0, 40).Select(async number =>
        {
            using TestClient client = await gateway.ConnectAsync();
            string even = $"b{number}", odd = $"a{number}";
            await client.AssertAsync($"set {even} 0 0 {even.Length}\r\n{even}\r\nset {odd} 0 0 {odd.Length}\r\n{odd}\r\n", "STORED\r\nSTORED\r\n");
            for (int i = 0; i < 50; i++)
            {
                await client.AssertAsync(
                    $"get {even} {odd} {even}\r\nget {odd}\r\n",
                    $"VALUE {even} 0 {even.Length}\r\n{even}\r\nVALUE {odd} 0 {odd.Length}\r\n{odd}\r\nVALUE {even} 0 {even.Length}\r\n{even}\r\nEND\r\n"
                    + $"VALUE {odd} 0 {odd.Length}\r\n{odd}\r\nEND\r\n");
            }
        }));
    }

    [Theory]
    [MemberData(nameof(Transports))]
    public async Task StopFinishesWhatIsInFlight(TransportKind transport)
    {
        var router = new FakeRouter { IsRemote = static b => b == 'r' };
        await using GatewayHarness gateway = await GatewayHarness.StartAsync(transport, static o => o with { Threads = 1 }, router);
        using TestClient client = await gateway.ConnectAsync();
        using TestClient idle = await gateway.ConnectAsync();
        await idle.AssertAsync("version\r\n", "VERSION 1.6.45\r\n");
        router.FlushGate = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await client.SendAsync("set a 0 0 1\r\nx\r\nflush_all\r\nversion\r\n");
        Assert.Equal("STORED\r\n", await client.ReadAsync(8));
        await Wait.UntilAsync(() => router.FlushCalls == 1, "the flush is on its way");
        Task stop = gateway.Server.StopAsync(TimeSpan.FromSeconds(20), CancellationToken.None);
        Assert.Equal("", await idle.ReadToEndAsync());
        Assert.False(stop.IsCompleted);
        router.FlushGate.SetResult();
        Assert.Equal("OK\r\nVERSION 1.6.45\r\n", await client.ReadToEndAsync());
        await stop.WaitAsync(TimeSpan.FromSeconds(10));
    }

    [Theory]
    [MemberData(nameof(Transports))]
    public async Task StopCutsWhatDoesNotEnd(TransportKind transport)
    {
        var router = new FakeRouter { IsRemote = static b => b == 'r' };
        await using GatewayHarness gateway = await GatewayHarness.StartAsync(transport, null, router);
        using TestClient client = await gateway.ConnectAsync();
        await client.SendAsync("get r\r\n");
        await Wait.UntilAsync(() => router.Sent == 1, "the request is on its way");
        await gateway.Server.StopAsync(TimeSpan.FromMilliseconds(50), CancellationToken.None).WaitAsync(TimeSpan.FromSeconds(10));
        Assert.DoesNotContain("END", await client.ReadToEndAsync());
        Assert.Equal(0, gateway.Server.Statistics.ConnectionsCurrent);
    }

    [Theory]
    [MemberData(nameof(Transports))]
    public async Task AfterStopAcceptingOpenConnectionsAreServedAndNewOnesAreNot(TransportKind transport)
    {
        await using GatewayHarness gateway = await GatewayHarness.StartAsync(transport);
        using TestClient client = await gateway.ConnectAsync();
        await client.AssertAsync("version\r\n", "VERSION 1.6.45\r\n");
        await gateway.Server.StopAcceptingAsync();
        await client.AssertAsync("version\r\n", "VERSION 1.6.45\r\n");
        await Assert.ThrowsAnyAsync<SocketException>(gateway.ConnectAsync);
        Assert.False(gateway.Server.Statistics.Accepting);
    }

    [Theory]
    [MemberData(nameof(Transports))]
    public async Task APortInUseIsSaidPlainly(TransportKind transport)
    {
        await using GatewayHarness gateway = await GatewayHarness.StartAsync(transport);
        IPEndPoint taken = gateway.EndPoint;
        await using var second = new GatewayHarness(transport, o => o with { Listeners = [new ListenerOptions(taken)] });
        var failure = await Assert.ThrowsAsync<GatewayStartException>(() => second.Server.StartAsync(CancellationToken.None));
        Assert.Equal($"cannot listen on {taken}: port {taken.Port} is in use", failure.Message);
    }

    [Theory]
    [MemberData(nameof(Transports))]
    public async Task AnAddressOfAnotherMachineIsSaidPlainly(TransportKind transport)
    {
        await using var gateway =
            new GatewayHarness(transport, static o => o with { Listeners = [new ListenerOptions(new IPEndPoint(IPAddress.Parse("192.0.2.1"), 0))] });
        var failure = await Assert.ThrowsAsync<GatewayStartException>(() => gateway.Server.StartAsync(CancellationToken.None));
        Assert.Contains("no such address", failure.Message);
    }

    [Theory]
    [MemberData(nameof(Transports))]
    public async Task AUnixSocketIsServedWithItsModeAndReplacesAStaleOne(TransportKind transport)
    {
        string folder = Directory.CreateTempSubdirectory("gateway").FullName;
        string path = Path.Combine(folder, "cache.sock");
        try
        {
            using (var stale = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified))
            {
                // Bound and gone without removing its file, as after a kill -9: a hard link keeps the file.
                stale.Bind(new UnixDomainSocketEndPoint(path + ".first"));
                File.Move(path + ".first", path);
            }

            Assert.True(File.Exists(path));
            await using GatewayHarness gateway = await GatewayHarness.StartAsync(
                transport, o => o with { Listeners = [], UnixSocketPath = path, UnixSocketMode = 0b110_100_000 });
            if (!OperatingSystem.IsWindows())
                Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead, File.GetUnixFileMode(path));
            var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(path));
            using var client = new TestClient(socket);
            await client.AssertAsync("set a 0 0 1\r\nx\r\nget a\r\n", "STORED\r\nVALUE a 0 1\r\nx\r\nEND\r\n");

            // While it is served, a second server may not take it over.
            await using var second = new GatewayHarness(transport, o => o with { Listeners = [], UnixSocketPath = path });
            var failure = await Assert.ThrowsAsync<GatewayStartException>(() => second.Server.StartAsync(CancellationToken.None));
            Assert.Contains("another server listens", failure.Message);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Theory]
    [MemberData(nameof(Transports))]
    public async Task AFileInPlaceOfTheSocketIsLeftAlone(TransportKind transport)
    {
        string path = Path.GetTempFileName();
        try
        {
            await using var gateway = new GatewayHarness(transport, o => o with { Listeners = [], UnixSocketPath = path });
            var failure = await Assert.ThrowsAsync<GatewayStartException>(() => gateway.Server.StartAsync(CancellationToken.None));
            Assert.Contains("is no socket", failure.Message);
            Assert.True(File.Exists(path));
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Theory]
    [MemberData(nameof(Transports))]
    public async Task WithoutAListenerItStartsAllTheSame(TransportKind transport)
    {
        await using GatewayHarness gateway = await GatewayHarness.StartAsync(transport, static o => o with { Listeners = [] });
        Assert.Empty(gateway.Server.EndPoints);
    }

    [Theory]
    [MemberData(nameof(Transports))]
    public async Task StatsConnsNamesListenersAndConnections(TransportKind transport)
    {
        await using GatewayHarness gateway = await GatewayHarness.StartAsync(transport);
        using TestClient client = await gateway.ConnectAsync();
        await client.SendAsync("stats conns\r\nquit\r\n");
        string text = await client.ReadToEndAsync();
        Assert.Matches($@"STAT (\d+):addr tcp:{gateway.EndPoint}\r\nSTAT \1:state conn_listening\r\n", text);
        Assert.Contains($":addr tcp:{client.Socket.LocalEndPoint}\r\n", text);
        Assert.EndsWith("END\r\n", text);
    }
}
