using System.Diagnostics;
using System.Text;
using OrleansCache.Client.Gateways;
using OrleansCache.Client.Tests.Support;

namespace OrleansCache.Client.Tests.Gateways;

public sealed class DiscoveryTests
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(30);

    [Fact]
    public async Task ConnectionsFollowTheClustersList()
    {
        await using var first = new FakeGateway();
        await using var second = new FakeGateway();
        first.Cluster = second.Cluster = (1, [first.EndPoint]);
        await using OrleansCacheClient client = Client(first);
        Task<byte[]?> read = client.GetAsync("a");
        await (await first.ExpectAsync("mg a ")).AnswerAsync("EN\r\n");
        Assert.Null(await read.WaitAsync(s_patience));

        // A silo joins: one of the two connections goes there.
        first.Cluster = second.Cluster = (2, [first.EndPoint, second.EndPoint]);
        await UntilAsync(() => second.Open == 1 && first.Open == 1);

        // The first one leaves while an operation waits there: that gets its reply, and what comes next goes elsewhere.
        (Task<byte[]?>[] pending, FakeCommand atFirst, FakeCommand atSecond) = await AskBothAsync(client, first, second);
        first.Cluster = second.Cluster = (3, [second.EndPoint]);
        await atSecond.AnswerAsync("EN\r\n");
        await UntilAsync(() => second.Open == 2);
        Task<byte[]?> next = client.GetAsync("d");
        await (await second.ExpectAsync("mg d ")).AnswerAsync("EN\r\n");
        Assert.Null(await next.WaitAsync(s_patience));
        await atFirst.AnswerAsync("EN\r\n");
        Assert.All(await Task.WhenAll(pending).WaitAsync(s_patience), Assert.Null);
        await UntilAsync(() => first.Open == 0);
    }

    [Fact]
    public async Task WhatAGatewayThatLeavesNeverAnswersTimesOut()
    {
        await using var first = new FakeGateway();
        await using var second = new FakeGateway();
        first.Cluster = second.Cluster = (1, [first.EndPoint]);
        await using OrleansCacheClient client = Client(first, options => options.OperationTimeout = TimeSpan.FromSeconds(2));
        Task<byte[]?> read = client.GetAsync("a");
        await first.ExpectAsync("mg a ");
        first.Cluster = second.Cluster = (2, [second.EndPoint]);
        OrleansCacheException failure = await Assert.ThrowsAsync<OrleansCacheException>(() => read.WaitAsync(s_patience));
        Assert.Equal(OrleansCacheError.TimedOut, failure.Error);
        await UntilAsync(() => second.Open == 2);
    }

    [Fact]
    public async Task DisposingEndsWhatWaitsAtAGatewayThatLeaves()
    {
        await using var first = new FakeGateway();
        await using var second = new FakeGateway();
        first.Cluster = second.Cluster = (1, [first.EndPoint]);
        OrleansCacheClient client = Client(first);
        Task<byte[]?> read = client.GetAsync("a");
        await first.ExpectAsync("mg a ");
        first.Cluster = second.Cluster = (2, [second.EndPoint]);
        await UntilAsync(() => second.Open == 2);
        await client.DisposeAsync().AsTask().WaitAsync(s_patience);
        await Assert.ThrowsAsync<ObjectDisposedException>(() => read.WaitAsync(s_patience));
        await UntilAsync(() => second.Open == 0);
    }

    [Fact]
    public async Task WhereTheListLeadsNowhereTheConfiguredGatewayServes()
    {
        await using var configured = new FakeGateway();
        var gone = new FakeGateway();
        string nowhere = gone.EndPoint;
        await gone.DisposeAsync();
        configured.Cluster = (1, [nowhere]);
        await using OrleansCacheClient client = Client(configured);
        var watch = Stopwatch.StartNew();
        int answered = 0;
        Task<FakeCommand> arrives = configured.ExpectAsync("mg ");
        while (answered < 5 && watch.Elapsed < s_patience)
        {
            Task<byte[]?> read = client.GetAsync("a");
            if (await Task.WhenAny(read, arrives) == arrives)
            {
                await (await arrives).AnswerAsync("EN\r\n");
                arrives = configured.ExpectAsync("mg ");
            }

            try
            {
                Assert.Null(await read.WaitAsync(s_patience));
                answered++;
            }
            catch (OrleansCacheException)
            {
                // Between two gateways.
                await Task.Delay(5);
            }
        }

        Assert.Equal(5, answered);
    }

    [Fact]
    public async Task AServerWithoutAListIsUsedAsItIs()
    {
        await using var gateway = new FakeGateway();
        await using OrleansCacheClient client = Client(gateway);
        Task<byte[]?> read = client.GetAsync("a");
        int asked = 0;
        while (!read.IsCompleted)
        {
            FakeCommand command = await gateway.NextAsync();
            asked += command.Line == "config get cluster" ? 1 : 0;
            await command.AnswerAsync(command.Line == "config get cluster" ? "ERROR\r\n" : "EN\r\n");
            if (command.Line != "config get cluster")
                break;
        }

        Assert.Null(await read.WaitAsync(s_patience));
    }

    [Theory]
    [InlineData("1\na|10.0.0.1|11211\n", "a:11211")]
    [InlineData("12\na|10.0.0.1|11211 |10.0.0.2|11212 c||1\n", "a:11211, 10.0.0.2:11212, c:1")]
    public void AListIsRead(string text, string expected)
    {
        Assert.True(GatewayListReader.TryRead(Encoding.ASCII.GetBytes(text), out _, out List<GatewayEndPoint> gateways));
        Assert.Equal(expected, string.Join(", ", gateways));
    }

    [Theory]
    [InlineData("")]
    [InlineData("1")]
    [InlineData("1\n\n")]
    [InlineData("x\na|b|1\n")]
    [InlineData("1\na|b\n")]
    [InlineData("1\na|b|0\n")]
    [InlineData("1\na|b|65536\n")]
    public void WhatIsNoListIsRefused(string text) => Assert.False(GatewayListReader.TryRead(Encoding.ASCII.GetBytes(text), out _, out _));

    /// <summary>
    /// Two operations, one at each gateway. What one of them has accepted may be of no use to the client yet, while the greeting is on its way, or on a busy
    /// machine no more: then both go to the other one, which answers, and two others follow.
    /// </summary>
    private static async Task<(Task<byte[]?>[] Pending, FakeCommand AtFirst, FakeCommand AtSecond)> AskBothAsync(
        OrleansCacheClient client, FakeGateway first, FakeGateway second)
    {
        using CancellationTokenSource limit = new(s_patience);
        while (true)
        {
            Task<byte[]?>[] pending = [client.GetAsync("b"), client.GetAsync("c")];
            (FakeGateway Gateway, FakeCommand Command) one = await NextOfAsync(first, second, limit.Token);
            (FakeGateway Gateway, FakeCommand Command) other = await NextOfAsync(first, second, limit.Token);
            if (one.Gateway != other.Gateway)
                return one.Gateway == first ? (pending, one.Command, other.Command) : (pending, other.Command, one.Command);
            await one.Command.AnswerAsync("EN\r\n");
            await other.Command.AnswerAsync("EN\r\n");
            await Task.WhenAll(pending).WaitAsync(s_patience);
        }
    }

    /// <summary>The next command of either gateway, and which one it came to.</summary>
    private static async Task<(FakeGateway Gateway, FakeCommand Command)> NextOfAsync(
        FakeGateway first, FakeGateway second, CancellationToken cancellationToken)
    {
        using CancellationTokenSource arrived = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        Task atFirst = first.WaitAsync(arrived.Token);
        Task atEither = await Task.WhenAny(atFirst, second.WaitAsync(arrived.Token));
        await atEither;
        await arrived.CancelAsync();
        FakeGateway gateway = atEither == atFirst ? first : second;
        return (gateway, await gateway.NextAsync());
    }

    private static OrleansCacheClient Client(FakeGateway gateway, Action<OrleansCacheOptions>? configure = null) =>
        new(TestOptions.For([gateway.EndPoint], options =>
    {
        options.Discover = true;
        options.DiscoveryInterval = TimeSpan.FromMilliseconds(20);
        options.ReconnectDelayMax = TimeSpan.FromMilliseconds(100);
        configure?.Invoke(options);
    }));

    /// <summary>The client tells nobody when it has moved: it is looked at until it has.</summary>
    private static Task UntilAsync(Func<bool> isTrue) => Wait.UntilAsync(isTrue, "connections have moved");
}
