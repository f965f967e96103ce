using System.Net;
using System.Net.Sockets;
using System.Text;
using OrleansCache.Gateway.Options;
using OrleansCache.Gateway.Passwords;
using OrleansCache.Gateway.Tests.Fakes;

namespace OrleansCache.Gateway.Tests.Sockets;

/// <summary>UDP over real sockets, both transports.</summary>
public sealed class UdpSocketTests
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(10);

    [Theory]
    [InlineData(TransportKind.Epoll)]
    [InlineData(TransportKind.Pipelines)]
    public async Task ARequestIsAnsweredWhereItCameFrom(TransportKind transport)
    {
        await using GatewayHarness harness = await StartAsync(transport);
        using Socket one = Connect(harness.Server.UdpEndPoints[0]), other = Connect(harness.Server.UdpEndPoints[0]);

        Assert.Equal("STORED\r\n", await AskAsync(one, "set a 0 0 3\r\nabc\r\n", 1));
        await SendAsync(one, "get a\r\n", 2);
        Assert.Equal("VALUE a 0 3\r\nabc\r\nEND\r\n", await AskAsync(other, "get a\r\n", 2));
        Assert.Equal("VALUE a 0 3\r\nabc\r\nEND\r\n", await ReadAsync(one, 2));
        Assert.Equal("END\r\n", await AskAsync(one, "get nothing\r\n", 3));
    }

    [Theory]
    [InlineData(TransportKind.Epoll)]
    [InlineData(TransportKind.Pipelines)]
    public async Task ManyRequestsAtOnceAreAllAnswered(TransportKind transport)
    {
        // Fewer than may be under way, and fewer bytes than a socket's buffer holds: on loopback nothing gets lost then.
        const int Requests = 100;
        var router = new FakeRouter { IsRemote = static first => first == 'r', AnswersItself = true };
        await using GatewayHarness harness = await StartAsync(transport, router);
        using Socket socket = Connect(harness.Server.UdpEndPoints[0]);
        Assert.Equal("STORED\r\n", await AskAsync(socket, "set r 0 0 1\r\nx\r\n", 65000));

        for (int i = 0; i < Requests; i++)
            await SendAsync(socket, i % 2 == 0 ? "get r a\r\n" : "get a\r\n", i);

        var answers = new Dictionary<int, string>();
        byte[] buffer = new byte[2000];
        while (answers.Count < Requests)
        {
            int length = await socket.ReceiveAsync(buffer).WaitAsync(s_patience);
            answers.Add((buffer[0] << 8) + buffer[1], Encoding.ASCII.GetString(buffer, 8, length - 8));
        }

        Assert.All(answers, static answer => Assert.Equal(answer.Key % 2 == 0 ? "VALUE r 0 1\r\nx\r\nEND\r\n" : "END\r\n", answer.Value));
    }

    [Theory]
    [InlineData(TransportKind.Epoll)]
    [InlineData(TransportKind.Pipelines)]
    public async Task TheLargestReplyArrivesInItsPieces(TransportKind transport)
    {
        await using GatewayHarness harness = await StartAsync(transport);
        using Socket socket = Connect(harness.Server.UdpEndPoints[0]);
        string value = new('v', 60_000);
        Assert.Equal("STORED\r\n", await AskAsync(socket, $"set a 0 0 {value.Length}\r\n{value}\r\n", 1));

        Assert.Equal($"VALUE a 0 {value.Length}\r\n{value}\r\nEND\r\n", await AskAsync(socket, "get a\r\n", 2));
        Assert.Equal("SERVER_ERROR reply too large for UDP\r\n", await AskAsync(socket, "get a a\r\n", 3));
    }

    [Theory]
    [InlineData(TransportKind.Epoll)]
    [InlineData(TransportKind.Pipelines)]
    public async Task WhatIsNoRequestIsCountedAndHarmsNobody(TransportKind transport)
    {
        await using GatewayHarness harness = await StartAsync(transport);
        using Socket socket = Connect(harness.Server.UdpEndPoints[0]);
        byte[][] bad = [[], [0], new byte[8], DatagramHarness.Frame("get a\r\n", total: 2), DatagramHarness.Frame("ERROR\r\n"), new byte[65507]];
        foreach (byte[] one in bad)
            await socket.SendAsync(one);

        Assert.Equal("END\r\n", await AskAsync(socket, "get a\r\n", 9));
        await Wait.UntilAsync(() => harness.Server.Statistics.Counters.DatagramsDropped == bad.Length, "all are counted");
    }

    [Theory]
    [InlineData(TransportKind.Epoll)]
    [InlineData(TransportKind.Pipelines)]
    public async Task StatisticsShowUdpAsMemcachedDoes(TransportKind transport)
    {
        await using GatewayHarness harness = await StartAsync(transport);
        using Socket socket = Connect(harness.Server.UdpEndPoints[0]);

        string connections = await AskAsync(socket, "stats conns\r\n", 1);

        Assert.Contains(":UDP UDP\r\n", connections, StringComparison.Ordinal);
        Assert.Contains($":addr udp:{harness.Server.UdpEndPoints[0]}\r\n", connections, StringComparison.Ordinal);
        int sockets = transport == TransportKind.Epoll ? 2 : 1;
        Assert.Equal(sockets, harness.Server.Statistics.ConnectionsCurrent);
        Assert.Contains("STAT udp_dropped 0\r\n", await AskAsync(socket, "stats\r\n", 2), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(TransportKind.Epoll)]
    [InlineData(TransportKind.Pipelines)]
    public async Task AStopAnswersWhatIsUnderWay(TransportKind transport)
    {
        var router = new FakeRouter { FlushGate = new TaskCompletionSource() };
        await using GatewayHarness harness = await StartAsync(transport, router);
        using Socket socket = Connect(harness.Server.UdpEndPoints[0]);
        await SendAsync(socket, "flush_all\r\n", 5);
        await Wait.UntilAsync(() => router.FlushCalls == 1, "the request is under way");

        await harness.Server.StopAcceptingAsync();
        Task stopped = harness.Server.StopAsync(s_patience, CancellationToken.None);
        Assert.False(stopped.IsCompleted);
        router.FlushGate.SetResult();

        Assert.Equal("OK\r\n", await ReadAsync(socket, 5));
        await stopped.WaitAsync(s_patience);
    }

    [Theory]
    [InlineData(TransportKind.Epoll)]
    [InlineData(TransportKind.Pipelines)]
    public async Task APortInUseIsAnErrorThatSaysUdp(TransportKind transport)
    {
        using var taken = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        taken.Bind(new IPEndPoint(IPAddress.Loopback, 0));

        await using var harness = new GatewayHarness(transport, options => options with { UdpEndPoints = [(IPEndPoint)taken.LocalEndPoint!] });
        GatewayStartException failure = await Assert.ThrowsAsync<GatewayStartException>(() => harness.Server.StartAsync(CancellationToken.None));

        Assert.True(failure.IsUdp);
        Assert.Contains("is in use", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task UdpAndAuthenticationExcludeEachOther()
    {
        await using var harness = new GatewayHarness(TransportKind.Auto, options => options with
        {
            UdpEndPoints = [new IPEndPoint(IPAddress.Loopback, 0)], TextPasswords = new Nobody(),
        });

        GatewayStartException failure = await Assert.ThrowsAsync<GatewayStartException>(() => harness.Server.StartAsync(CancellationToken.None));
        Assert.Contains("UDP cannot be used with authentication", failure.Message, StringComparison.Ordinal);
    }

    private static Task<GatewayHarness> StartAsync(TransportKind transport, FakeRouter? router = null) =>
        GatewayHarness.StartAsync(transport, options => options with { UdpEndPoints = [new IPEndPoint(IPAddress.Loopback, 0)] }, router);

    private static Socket Connect(IPEndPoint endPoint)
    {
        var socket = new Socket(endPoint.AddressFamily, SocketType.Dgram, ProtocolType.Udp) { ReceiveBufferSize = 1 << 20 };
        socket.Connect(endPoint);
        return socket;
    }

    private static async Task SendAsync(Socket socket, string payload, int id) =>
        await socket.SendAsync(DatagramHarness.Frame(payload, id)).WaitAsync(s_patience);

    private static async Task<string> AskAsync(Socket socket, string payload, int id)
    {
        await SendAsync(socket, payload, id);
        return await ReadAsync(socket, id);
    }

    /// <summary>Reads the datagrams of one reply, which on loopback come in order.</summary>
    private static async Task<string> ReadAsync(Socket socket, int id)
    {
        var text = new StringBuilder();
        byte[] buffer = new byte[2000];
        for (int sequence = 0, total = 1; sequence < total; sequence++)
        {
            int length = await socket.ReceiveAsync(buffer).WaitAsync(s_patience);
            Assert.InRange(length, 9, 1400);
            Assert.Equal((id, sequence), ((buffer[0] << 8) + buffer[1], (buffer[2] << 8) + buffer[3]));
            total = (buffer[4] << 8) + buffer[5];
            text.Append(Encoding.Latin1.GetString(buffer, 8, length - 8));
        }

        return text.ToString();
    }

    private sealed class Nobody : PasswordCheck
    {
        public override bool IsRight(ReadOnlySpan<byte> user, ReadOnlySpan<byte> password) => false;
    }
}
