using System.Text;
using OrleansCache.Gateway.Tests.Fakes;

namespace OrleansCache.Gateway.Tests.Sessions;

/// <summary>Replies of other silos: order, failure, bounds.</summary>
public sealed class SessionOrderTests
{
    [Fact]
    public void ALocalReplyWaitsBehindARemoteOne()
    {
        using SessionHarness harness = WithRemote('r');
        harness.Send("set r1 0 0 1\r\nx\r\nset l1 0 0 1\r\ny\r\nget l1\r\n");
        Assert.Equal("", harness.Read());
        harness.Router.Waiting[0].Complete();
        Assert.Equal("STORED\r\nSTORED\r\nVALUE l1 0 1\r\ny\r\nEND\r\n", harness.Read());
        Assert.Equal(0, harness.Loop.Chunks.Rented);
    }

    [Fact]
    public void TheErrorOfATooLargeValueWaitsUntilTheOldValueIsGoneElsewhere()
    {
        using SessionHarness harness = WithRemote('r');
        harness.Send("set r1 0 0 1\r\nx\r\n");
        harness.Router.Waiting[0].Complete();
        Assert.Equal("STORED\r\n", harness.Read());
        string big = new('x', 2_000_000);
        foreach (char[] segment in $"set r1 0 0 {big.Length}\r\n{big}\r\n".Chunk(60_000))
            harness.Send(new string(segment));
        Assert.Equal("", harness.Read());
        harness.Router.Waiting[0].Complete();
        Assert.Equal("SERVER_ERROR object too large for cache\r\n", harness.Read());
        Assert.Equal(0, harness.Router.Store.Count);
    }

    [Fact]
    public void WhenRepliesComeInAnyOrderTheyLeaveInCommandOrder()
    {
        int seed = TestSeed.Next();
        for (int round = 0; round < 300; round++)
        {
            var random = new Random(seed + round);
            using SessionHarness harness = WithRemote('r');
            harness.Router.Store.LendsPins = random.Next(2) == 0;
            var input = new StringBuilder();
            var expected = new StringBuilder();
            var model = new Dictionary<string, string>();
            for (int i = random.Next(1, 60); i > 0; i--)
                AddCommand(random, model, input, expected);

            // Segments of any size, completions at any time and in any order that keeps each key's own.
            var output = new StringBuilder();
            string all = input.ToString();
            int at = 0;
            while (at < all.Length || harness.Router.Waiting.Count > 0 || !harness.Session.IsQuiet)
            {
                if (at < all.Length && random.Next(3) > 0)
                {
                    int length = Math.Min(random.Next(1, 200), all.Length - at);
                    harness.Send(all.Substring(at, length));
                    at += length;
                }

                for (int i = random.Next(4); i > 0 && harness.Router.Waiting.Count > 0; i--)
                {
                    RemoteRequest pick = harness.Router.Waiting[random.Next(harness.Router.Waiting.Count)];
                    harness.Router.Waiting.First(r => r.Key == pick.Key).Complete();
                }

                output.Append(random.Next(2) == 0 ? harness.Read(random.Next(1, 50_000)) : "");
                if (harness.Session.CanResume)
                    harness.Session.Resume();
            }

            output.Append(harness.ReadAll());
            Assert.True(expected.ToString() == output.ToString(), $"seed {seed} round {round}: {Difference(expected.ToString(), output.ToString())}");
            Assert.True(harness.Loop.Chunks.Rented == 0, $"seed {seed} round {round}: {harness.Loop.Chunks.Rented} buffers are lost");
            Assert.True(harness.Router.Store.Pins == 0, $"seed {seed} round {round}: pins are lost");
        }
    }

    [Fact]
    public void WhenAConnectionDiesWithRepliesOutstandingNothingIsLost()
    {
        int seed = TestSeed.Next();
        for (int round = 0; round < 200; round++)
        {
            var random = new Random(seed + round);
            using SessionHarness harness = WithRemote('r');
            var input = new StringBuilder();
            var model = new Dictionary<string, string>();
            for (int i = random.Next(1, 40); i > 0; i--)
                AddCommand(random, model, input, new StringBuilder());
            harness.Send(input.ToString());
            for (int i = random.Next(20); i > 0 && harness.Router.Waiting.Count > 0; i--)
                harness.Router.Waiting[random.Next(harness.Router.Waiting.Count)].Complete();
            harness.Read(random.Next(1000));
            harness.Session.Abort();
            while (harness.Router.Waiting.Count > 0)
                harness.Router.Waiting[0].Complete();
            Assert.True(harness.Loop.Chunks.Rented == 0, $"seed {seed} round {round}: {harness.Loop.Chunks.Rented} buffers are lost");
            Assert.True(harness.Router.Store.Pins == 0, $"seed {seed} round {round}: pins are lost");
            harness.Reconnect();
            Assert.Equal("VERSION 1.6.45\r\n", harness.Ask("version\r\n"));
        }
    }

    [Fact]
    public void WhenAKeyOfAMultiGetIsUnavailableTheErrorReplacesTheHits()
    {
        using SessionHarness harness = WithRemote('r');
        harness.Ask("set l1 0 0 1\r\nx\r\n");
        harness.Send("set r1 0 0 1\r\nx\r\n");
        harness.Router.Waiting[0].Complete();
        Assert.Equal("STORED\r\n", harness.Read());
        harness.Send("version\r\nget l1 r1 l1 r2\r\nget l1\r\n");
        Assert.Equal("VERSION 1.6.45\r\n", harness.Read());
        harness.Router.Waiting[0].Complete();
        Assert.Equal("", harness.Read());
        harness.Router.Waiting[0].Fail("owner is gone");
        Assert.Equal("SERVER_ERROR owner is gone\r\nVALUE l1 0 1\r\nx\r\nEND\r\n", harness.Read());
        Assert.Equal(0, harness.Loop.Chunks.Rented);
    }

    [Theory]
    [InlineData("get r1\r\n")]
    [InlineData("set r1 0 0 1\r\nx\r\n")]
    [InlineData("delete r1\r\n")]
    [InlineData("incr r1 1\r\n")]
    [InlineData("touch r1 1\r\n")]
    public void WhenTheOwnerIsUnavailableTheCommandSaysSo(string command)
    {
        using SessionHarness harness = WithRemote('r');
        harness.Send(command + "version\r\n");
        harness.Router.Waiting[0].Fail("no answer in time");
        Assert.Equal("SERVER_ERROR no answer in time\r\nVERSION 1.6.45\r\n", harness.Read());
        Assert.Equal(1, harness.Shared.ReadStatistics().Counters.Unavailable);
    }

    [Fact]
    public void AFailedNoreplyStaysSilent()
    {
        using SessionHarness harness = WithRemote('r');
        harness.Send("set r1 0 0 1 noreply\r\nx\r\nversion\r\n");
        harness.Router.Waiting[0].Fail("gone");
        Assert.Equal("VERSION 1.6.45\r\n", harness.Read());
        Assert.True(harness.Session.IsQuiet);
    }

    [Fact]
    public void ANoreplyWriteIsDoneBeforeALaterReplyLeaves()
    {
        using SessionHarness harness = WithRemote('r');
        harness.Send("set r1 0 0 1 noreply\r\nx\r\nversion\r\n");
        Assert.Equal("", harness.Read());
        harness.Router.Waiting[0].Complete();
        Assert.Equal("VERSION 1.6.45\r\n", harness.Read());
        Assert.Equal(0, harness.Loop.Chunks.Rented);
    }

    [Fact]
    public void AConnectionWaitsForABoundedNumberOfReplies()
    {
        using SessionHarness harness = WithRemote('r');
        const int Commands = 10_000;
        harness.Send(string.Concat(Enumerable.Repeat("delete r1\r\n", Commands)));
        Assert.Equal(Limits.RemoteRepliesPendingMax, harness.Router.Waiting.Count);
        Assert.False(harness.Session.WantsInput);
        int replies = 0;
        while (harness.Router.Waiting.Count > 0)
        {
            harness.Router.Waiting[0].Complete();
            replies += harness.ReadAll().Length / "NOT_FOUND\r\n".Length;
            Assert.True(harness.Router.Waiting.Count <= Limits.RemoteRepliesPendingMax);
        }

        Assert.Equal(Commands, replies);
        Assert.True(harness.Session.WantsInput);
    }

    [Fact]
    public void NoreplyCommandsAreBoundedToo()
    {
        using SessionHarness harness = WithRemote('r');
        harness.Send(string.Concat(Enumerable.Repeat("delete r1 noreply\r\n", 10_000)));
        Assert.Equal(Limits.RemoteRepliesPendingMax, harness.Router.Waiting.Count);
        harness.Router.Waiting[0].Complete();
        Assert.True(harness.Session.CanResume);
        Assert.NotEqual(0, harness.Wakes);
    }

    [Fact]
    public void ARemoteMultiGetLargerThanTheBoundsIsAnsweredWhole()
    {
        using SessionHarness harness = WithRemote('r');
        string value = new('v', 1000);
        harness.Send($"set r 0 0 1000\r\n{value}\r\n");
        harness.Router.Waiting[0].Complete();
        harness.Read();
        const int Keys = 9_000;
        harness.Send("get" + string.Concat(Enumerable.Repeat(" r", Keys)) + "\r\nversion\r\n");
        var output = new StringBuilder();
        while (harness.Router.Waiting.Count > 0)
        {
            while (harness.Router.Waiting.Count > 0)
                harness.Router.Waiting[^1].Complete();
            output.Append(harness.ReadAll());
        }

        string expected = string.Concat(Enumerable.Repeat($"VALUE r 0 1000\r\n{value}\r\n", Keys)) + "END\r\nVERSION 1.6.45\r\n";
        Assert.Equal(expected.Length, output.Length);
        Assert.Equal(expected, output.ToString());
        Assert.Equal(0, harness.Loop.Chunks.Rented);
    }

    [Fact]
    public void RepliesThatAreHeldBackStopTheParser()
    {
        using SessionHarness harness = WithRemote('r');
        harness.Router.Store.LendsPins = false;
        string value = new('v', 10_000);
        harness.Ask($"set l 0 0 10000\r\n{value}\r\n");
        harness.Send("get r\r\n" + string.Concat(Enumerable.Repeat("get l\r\n", 1000)));
        Assert.False(harness.Session.WantsInput);
        Assert.Equal("", harness.Read());
        Assert.InRange(harness.Loop.Chunks.Rented, 1, 200);
        harness.Router.Waiting[0].Complete();
        Assert.Equal(5 + (1000 * ($"VALUE l 0 10000\r\n".Length + 10_000 + 2 + 5)), harness.ReadAll().Length);
    }

    [Fact]
    public async Task AFlushIsABarrier()
    {
        using SessionHarness harness = WithRemote('r');
        harness.Router.FlushGate = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        harness.Send("set r1 0 0 1\r\nx\r\nflush_all\r\nset l1 0 0 1\r\ny\r\nget l1\r\n");
        Assert.Equal(0, harness.Router.FlushCalls);
        harness.Router.Waiting[0].Complete();
        Assert.True(harness.Session.CanResume);
        Assert.Equal("STORED\r\n", harness.ReadAll());
        Assert.Equal(1, harness.Router.FlushCalls);
        harness.Router.FlushGate.SetResult();
        while (harness.RunPosted() == 0)
            await Task.Yield();
        Assert.Equal("OK\r\nSTORED\r\nVALUE l1 0 1\r\ny\r\nEND\r\n", harness.ReadAll());
        Assert.Equal(1, harness.Router.Store.Count);
    }

    [Fact]
    public async Task AFlushThatFailsSaysWhy()
    {
        using SessionHarness harness = WithRemote('r');
        harness.Router.FlushGate = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        harness.Send("flush_all\r\nversion\r\n");
        harness.Router.FlushGate.SetException(new RouterException("silo 2 did not answer"));
        while (harness.RunPosted() == 0)
            await Task.Yield();
        Assert.Equal("SERVER_ERROR silo 2 did not answer\r\nVERSION 1.6.45\r\n", harness.ReadAll());
    }

    [Fact]
    public void AfterTheClientsEndWhatItAskedIsStillAnswered()
    {
        using SessionHarness harness = WithRemote('r');
        harness.Send("set r1 0 0 1\r\nx\r\nget l\r\nget half");
        harness.Session.ReceiveEnd();
        Assert.False(harness.Session.IsFinished);
        harness.Router.Waiting[0].Complete();
        Assert.Equal("STORED\r\nEND\r\n", harness.Read());
        Assert.True(harness.Session.IsFinished);
    }

    private static string Difference(string expected, string actual)
    {
        int at = expected.AsSpan().CommonPrefixLength(actual);
        int from = Math.Max(0, at - 60);
        return $"at {at} of {expected.Length}, {actual.Length}\nexpected ...{Around(expected)}\ngot ...{Around(actual)}";

        string Around(string text) => text[from..Math.Min(text.Length, at + 100)];
    }

    private static SessionHarness WithRemote(char first)
    {
        var harness = new SessionHarness();
        harness.Router.IsRemote = b => b == first;
        return harness;
    }

    /// <summary>One random command on local (l) and remote (r) keys, and what it must answer.</summary>
    private static void AddCommand(Random random, Dictionary<string, string> model, StringBuilder input, StringBuilder expected)
    {
        string key = $"{(random.Next(2) == 0 ? 'l' : 'r')}{random.Next(4)}";
        switch (random.Next(6))
        {
            case 0 or 1:
                string value = new((char)('a' + random.Next(26)), random.Next(10) == 0 ? random.Next(15_000, 40_000) : random.Next(0, 300));
                bool noReply = random.Next(4) == 0;
                input.Append($"set {key} 0 0 {value.Length}{(noReply ? " noreply" : "")}\r\n{value}\r\n");
                expected.Append(noReply ? "" : "STORED\r\n");
                model[key] = value;
                break;
            case 2:
                input.Append($"delete {key}\r\n");
                expected.Append(model.Remove(key) ? "DELETED\r\n" : "NOT_FOUND\r\n");
                break;
            case 3:
                input.Append("bogus\r\n");
                expected.Append("ERROR\r\n");
                break;
            default:
                input.Append("get");
                for (int i = random.Next(1, 8); i > 0; i--)
                {
                    string one = $"{(random.Next(2) == 0 ? 'l' : 'r')}{random.Next(4)}";
                    input.Append(' ').Append(one);
                    if (model.TryGetValue(one, out string? hit))
                        expected.Append($"VALUE {one} 0 {hit.Length}\r\n{hit}\r\n");
                }

                input.Append("\r\n");
                expected.Append("END\r\n");
                break;
        }
    }
}
