using System.Diagnostics;
using Microsoft.Extensions.Caching.Distributed;
using OrleansCache.Client.Tests.Support;

namespace OrleansCache.Client.Tests.Gateways;

/// <summary>What callers see when gateways are slow, lie, vanish and come back.</summary>
public sealed class FailureTests
{
    private static readonly DistributedCacheEntryOptions s_forever = new();
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(30);

    [Fact]
    public async Task ARepliesOrderIsTheCommandsOrder()
    {
        await using var gateway = new FakeGateway();
        await using OrleansCacheClient client = Client([gateway]);
        Task<byte[]?> first = client.GetAsync("a");
        FakeCommand command = await gateway.ExpectAsync("mg a ");
        Task<byte[]?> second = client.GetAsync("b");
        await gateway.ExpectAsync("mg b ");
        await command.AnswerAsync("VA 1 f0 t-1\r\nA\r\nVA 1 f0 t-1\r\nB\r\n");
        Assert.Equal("A"u8.ToArray(), await first.WaitAsync(s_patience));
        Assert.Equal("B"u8.ToArray(), await second.WaitAsync(s_patience));
    }

    [Fact]
    public async Task RepliesMayArriveByteByByte()
    {
        await using var gateway = new FakeGateway();
        await using OrleansCacheClient client = Client([gateway]);
        Task<byte[]?> read = client.GetAsync("a");
        Task<byte[]?> miss = client.GetAsync("b");
        FakeCommand command = await gateway.NextAsync();
        await gateway.NextAsync();
        foreach (char character in "VA 7 f0 t-1\r\nEN\r\nHD \r\nEN\r\n")
            await command.AnswerAsync(character.ToString());
        Assert.Equal("EN\r\nHD "u8.ToArray(), await read.WaitAsync(s_patience));
        Assert.Null(await miss.WaitAsync(s_patience));
    }

    [Fact]
    public async Task ACancelledCallLeavesThePipelineInOrder()
    {
        await using var gateway = new FakeGateway();
        await using OrleansCacheClient client = Client([gateway]);
        using var cancel = new CancellationTokenSource();
        Task<byte[]?> given = client.GetAsync("given-up", cancel.Token);
        FakeCommand command = await gateway.NextAsync();
        Task<byte[]?> kept = client.GetAsync("kept");
        await gateway.NextAsync();
        await cancel.CancelAsync();
        OperationCanceledException cancelled = await Assert.ThrowsAnyAsync<OperationCanceledException>(() => given.WaitAsync(s_patience));
        Assert.Equal(cancel.Token, cancelled.CancellationToken);
        await command.AnswerAsync("VA 3 f0 t-1\r\nnot\r\nVA 3 f0 t-1\r\nyes\r\n");
        Assert.Equal("yes"u8.ToArray(), await kept.WaitAsync(s_patience));
    }

    [Fact]
    public async Task AReplyThatDoesNotComeIsATimeOutAndTheConnectionIsReplaced()
    {
        await using var gateway = new FakeGateway();
        await using OrleansCacheClient client = Client([gateway], options => options.OperationTimeout = TimeSpan.FromMilliseconds(200));
        OrleansCacheException failure = await Assert.ThrowsAsync<OrleansCacheException>(() => client.SetAsync("a", [1], s_forever).WaitAsync(s_patience));
        Assert.Equal(OrleansCacheError.TimedOut, failure.Error);

        // A slow machine may need several tries until the second connection is made in time.
        FakeCommand command = await gateway.ExpectAsync("ms a ");
        await RetryAsync(async () =>
        {
            Task<byte[]?> read = client.GetAsync("b");
            do
            {
                command = await gateway.NextAsync();
            }
            while (!command.Line.StartsWith("mg b ", StringComparison.Ordinal));
            await command.AnswerAsync("EN\r\n");
            Assert.Null(await read);
        });
        Assert.True(gateway.Accepted >= 2);
    }

    [Fact]
    public async Task AGatewayThatAcceptsAndSaysNothingIsATimeOut()
    {
        await using var gateway = new FakeGateway { Greeting = "" };
        await using OrleansCacheClient client = Client([gateway], options => options.ConnectTimeout = TimeSpan.FromMilliseconds(200));
        OrleansCacheException failure = await Assert.ThrowsAsync<OrleansCacheException>(() => client.GetAsync("a").WaitAsync(s_patience));
        Assert.Equal(OrleansCacheError.Unavailable, failure.Error);
        Assert.Contains(gateway.EndPoint, failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task WhatSpeaksAnotherProtocolIsNamed()
    {
        await using var gateway = new FakeGateway { Greeting = "ERROR\r\n" };
        await using OrleansCacheClient client = Client([gateway]);
        OrleansCacheException failure = await Assert.ThrowsAsync<OrleansCacheException>(() => client.GetAsync("a").WaitAsync(s_patience));
        Assert.Contains("does not speak memcached's meta commands", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task ReadsAndRemovalsGoToAnotherGatewayWhenTheirsIsLost()
    {
        await using var one = new FakeGateway();
        await using var other = new FakeGateway();
        await using OrleansCacheClient client = Client([one, other]);
        Task<byte[]?> read = client.GetAsync("a");
        Task removal = client.RemoveAsync("b");
        (FakeGateway lost, FakeGateway left, FakeCommand command) = await FirstAsync(one, other);
        await lost.DisposeAsync();
        FakeCommand again = await left.ExpectAsync("mg a ");
        await left.ExpectAsync("md b");
        await again.AnswerAsync("VA 2 f0 t-1\r\nok\r\nHD\r\n");
        Assert.Equal("ok"u8.ToArray(), await read.WaitAsync(s_patience));
        await removal.WaitAsync(s_patience);
        Assert.StartsWith("mg a ", command.Line, StringComparison.Ordinal);
    }

    [Fact]
    public async Task AStoreThatWasSentIsNotRepeated()
    {
        await using var one = new FakeGateway();
        await using var other = new FakeGateway();
        await using OrleansCacheClient client = Client([one, other]);
        Task store = client.SetAsync("a", [65], s_forever);
        (FakeGateway lost, FakeGateway left, _) = await FirstAsync(one, other);
        await lost.DisposeAsync();
        OrleansCacheException failure = await Assert.ThrowsAsync<OrleansCacheException>(() => store.WaitAsync(s_patience));
        Assert.Equal(OrleansCacheError.OutcomeUnknown, failure.Error);
        Task next = client.SetAsync("b", [66], s_forever);
        FakeCommand command = await left.ExpectAsync("ms b ");
        await command.AnswerAsync("HD\r\n");
        await next.WaitAsync(s_patience);
    }

    [Theory]
    [InlineData("GARBAGE\r\n")]
    [InlineData("VA 999999999 f0 t-1\r\n")]
    [InlineData("VA 2 f0 t-1\r\nabc\r\n")]
    [InlineData("HD fx\r\n")]
    [InlineData("HD\r\n")]
    [InlineData("NS\r\n")]
    [InlineData("MN\r\n")]
    [InlineData("\r\n\r\n")]
    public async Task DamageEndsTheConnectionAndNobodyGetsAWrongAnswer(string damage)
    {
        await using var gateway = new FakeGateway();
        await using OrleansCacheClient client = Client([gateway], options => options.ValueBytesMax = 1 << 20);
        Task<byte[]?> read = client.GetAsync("a");
        FakeCommand command = await gateway.ExpectAsync("mg a ");
        await command.AnswerAsync(damage);
        command = await gateway.ExpectAsync("mg a ");
        await command.AnswerAsync("EN\r\n");
        Assert.Null(await read.WaitAsync(s_patience));
        Assert.Equal(2, gateway.Accepted);
    }

    [Fact]
    public async Task AReplyThatNobodyAskedForEndsTheConnection()
    {
        await using var gateway = new FakeGateway();
        await using OrleansCacheClient client = Client([gateway]);
        Task<byte[]?> read = client.GetAsync("a");
        FakeCommand command = await gateway.NextAsync();
        await command.AnswerAsync("EN\r\nEN\r\n");
        Assert.Null(await read.WaitAsync(s_patience));
        await RetryAsync(async () =>
        {
            Task<byte[]?> next = client.GetAsync("b");
            await (await gateway.ExpectAsync("mg b ")).AnswerAsync("EN\r\n");
            Assert.Null(await next);
            Assert.Equal(2, gateway.Accepted);
        });
    }

    [Fact]
    public async Task AReadThatLosesEveryConnectionFails()
    {
        await using var gateway = new FakeGateway();
        await using OrleansCacheClient client = Client([gateway]);
        Task<byte[]?> read = client.GetAsync("poison");
        for (int i = 0; i < 4; i++)
            (await gateway.ExpectAsync("mg poison ")).Cut();
        OrleansCacheException failure = await Assert.ThrowsAsync<OrleansCacheException>(() => read.WaitAsync(s_patience));
        Assert.Equal(OrleansCacheError.Unavailable, failure.Error);
    }

    [Fact]
    public async Task WhereNothingListensOperationsFailAtOnceUntilSomethingDoes()
    {
        var gateway = new FakeGateway();
        int port = gateway.Port;
        await gateway.DisposeAsync();
        await using var client =
            new OrleansCacheClient(TestOptions.For([$"127.0.0.1:{port}"], options => options.ReconnectDelayMax = TimeSpan.FromMilliseconds(100)));
        for (int i = 0; i < 20; i++)
        {
            OrleansCacheException failure = await Assert.ThrowsAsync<OrleansCacheException>(() => client.GetAsync("a").WaitAsync(s_patience));
            Assert.Equal(OrleansCacheError.Unavailable, failure.Error);
        }

        await using var back = new FakeGateway(port);
        Task<FakeCommand> arrives = back.ExpectAsync("mg ");
        Task<byte[]?>? read = null;
        await RetryAsync(async () =>
        {
            read = client.GetAsync("a");
            if (await Task.WhenAny(read, arrives) == read)
                await read;
        });
        await (await arrives).AnswerAsync("EN\r\n");
        Assert.Null(await read!.WaitAsync(s_patience));
    }

    [Fact]
    public async Task MoreOperationsThanMayWaitAreRefused()
    {
        await using var gateway = new FakeGateway();
        await using OrleansCacheClient client = Client([gateway], options => options.PendingOperationsMax = 4);
        Task<byte[]?> first = client.GetAsync("0");
        FakeCommand command = await gateway.NextAsync();
        Task<byte[]?>[] waiting = [first, .. Enumerable.Range(1, 3).Select(i => client.GetAsync($"{i}"))];
        OrleansCacheException failure = await Assert.ThrowsAsync<OrleansCacheException>(() => client.GetAsync("4"));
        Assert.Equal(OrleansCacheError.Busy, failure.Error);
        await command.AnswerAsync("EN\r\nEN\r\nEN\r\nEN\r\n");
        await Task.WhenAll(waiting).WaitAsync(s_patience);
    }

    [Fact]
    public async Task AServersErrorIsTheCallersAlone()
    {
        await using var gateway = new FakeGateway();
        await using OrleansCacheClient client = Client([gateway]);
        Task<byte[]?> failing = client.GetAsync("a");
        FakeCommand command = await gateway.NextAsync();
        Task<byte[]?> next = client.GetAsync("b");
        await gateway.NextAsync();
        await command.AnswerAsync("SERVER_ERROR partition 7 has no owner that answers\r\nEN\r\n");
        OrleansCacheException failure = await Assert.ThrowsAsync<OrleansCacheException>(() => failing.WaitAsync(s_patience));
        Assert.Equal(OrleansCacheError.Refused, failure.Error);
        Assert.Contains("partition 7 has no owner", failure.Message, StringComparison.Ordinal);
        Assert.Null(await next.WaitAsync(s_patience));
    }

    [Fact]
    public async Task DisposingEndsWhatWaits()
    {
        await using var gateway = new FakeGateway();
        OrleansCacheClient client = Client([gateway]);
        Task store = client.SetAsync("a", [65], s_forever);
        await gateway.ExpectAsync("ms ");
        await client.DisposeAsync().AsTask().WaitAsync(s_patience);
        await Assert.ThrowsAsync<ObjectDisposedException>(() => store.WaitAsync(s_patience));
        await Assert.ThrowsAsync<ObjectDisposedException>(() => client.GetAsync("a").WaitAsync(s_patience));
        await client.DisposeAsync();
    }

    /// <summary>Between a read and the extension of its entry somebody stores another one: that gets back the expiry that it had.</summary>
    [Fact]
    public async Task AnExtensionThatMeetsAnotherEntryIsTakenBack()
    {
        await using var gateway = new FakeGateway();
        await using OrleansCacheClient client = Client([gateway]);
        Task<byte[]?> read = client.GetAsync("a");
        FakeCommand command = await gateway.ExpectAsync("mg a f t v");
        uint sliding = 0x5000_0000 + 600;
        await command.AnswerAsync($"VA 1 f{sliding} t500\r\nA\r\n");
        Assert.NotNull(await read.WaitAsync(s_patience));
        command = await gateway.NextAsync();
        Assert.Equal("mg a f t T600", command.Line);
        await command.AnswerAsync("HD f0 t42\r\n");
        command = await gateway.NextAsync();
        Assert.Equal("mg a f t T42", command.Line);
        await command.AnswerAsync("HD f0 t600\r\n");
        Task<byte[]?> next = client.GetAsync("b");
        await (await gateway.ExpectAsync("mg b ")).AnswerAsync("EN\r\n");
        Assert.Null(await next.WaitAsync(s_patience));
    }

    [Fact]
    public async Task AnEntryThatIsReadOftenIsExtendedOnceASecond()
    {
        await using var gateway = new FakeGateway();
        await using OrleansCacheClient client = Client([gateway]);
        uint sliding = 0x5000_0000 + 600;
        for (int i = 0; i < 3; i++)
        {
            // No extension in between: it would be the next command.
            Task<byte[]?> read = client.GetAsync("a");
            await (await gateway.ExpectAsync("mg a f t v")).AnswerAsync($"VA 1 f{sliding} t600\r\nA\r\n");
            Assert.NotNull(await read.WaitAsync(s_patience));
        }
    }

    /// <summary>The gateway that the first command has reached, the other one, and the command.</summary>
    private static async Task<(FakeGateway Reached, FakeGateway Other, FakeCommand Command)> FirstAsync(FakeGateway one, FakeGateway other)
    {
        using var limit = new CancellationTokenSource(s_patience);
        Task atOne = one.WaitAsync(limit.Token);
        FakeGateway reached = await Task.WhenAny(atOne, other.WaitAsync(limit.Token)) == atOne ? one : other;
        return (reached, reached == one ? other : one, await reached.NextAsync());
    }

    private static async Task RetryAsync(Func<Task> attempt)
    {
        var watch = Stopwatch.StartNew();
        while (true)
        {
            try
            {
                await attempt().WaitAsync(s_patience);
                return;
            }
            catch (OrleansCacheException) when (watch.Elapsed < s_patience)
            {
                // Until the connection is back. The client tells nobody when; its own pause between attempts paces this loop.
                await Task.Delay(20);
            }
        }
    }

    private static OrleansCacheClient Client(IEnumerable<FakeGateway> gateways, Action<OrleansCacheOptions>? configure = null) =>
        new(TestOptions.For(gateways.Select(gateway => gateway.EndPoint), options =>
    {
        options.Connections = 1;
        configure?.Invoke(options);
    }));
}
