using OrleansCache.Gateway.Tests.Fakes;

namespace OrleansCache.Gateway.Tests.Sessions;

public sealed class SessionCommandTests
{
    /// <summary>A conversation that touches every command and every way a data block can go wrong.</summary>
    private static readonly (string Input, string Output)[] s_conversation =
    [
        ("set a 5 0 3\r\nabc\r\n", "STORED\r\n"),
        ("get a\r\n", "VALUE a 5 3\r\nabc\r\nEND\r\n"),
        ("get a b a\r\n", "VALUE a 5 3\r\nabc\r\nVALUE a 5 3\r\nabc\r\nEND\r\n"),
        ("gets a\r\n", "VALUE a 5 3 1\r\nabc\r\nEND\r\n"),
        ("cas a 0 0 1 7\r\nx\r\n", "EXISTS\r\n"),
        ("cas a 0 0 1 1\r\nx\r\n", "STORED\r\n"),
        ("cas missing 0 0 1 1\r\nx\r\n", "NOT_FOUND\r\n"),
        ("add a 0 0 1\r\ny\r\n", "NOT_STORED\r\n"),
        ("replace a 0 0 1\r\ny\r\n", "STORED\r\n"),
        ("append a 0 0 2\r\nzz\r\n", "STORED\r\n"),
        ("prepend a 0 0 2\r\nww\r\n", "STORED\r\n"),
        ("get a\r\n", "VALUE a 0 5\r\nwwyzz\r\nEND\r\n"),
        ("set n 0 0 2\r\n10\r\n", "STORED\r\n"),
        ("incr n 5\r\n", "15\r\n"),
        ("decr n 8\r\n", "7\r\n"),
        ("incr a 1\r\n", "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n"),
        ("incr missing 1\r\n", "NOT_FOUND\r\n"),
        ("touch n 100\r\n", "TOUCHED\r\n"),
        ("gat 100 n\r\n", "VALUE n 0 2\r\n7 \r\nEND\r\n"),
        ("touch missing 100\r\n", "NOT_FOUND\r\n"),
        ("delete n\r\n", "DELETED\r\n"),
        ("delete n\r\n", "NOT_FOUND\r\n"),
        ("set q 0 0 1 noreply\r\n1\r\n", ""),
        ("incr q 1 noreply\r\n", ""),
        ("touch q 0 noreply\r\n", ""),
        ("get q\r\n", "VALUE q 0 1\r\n2\r\nEND\r\n"),
        ("delete q noreply\r\n", ""),
        ("get q\r\n", "END\r\n"),
        ("set e 0 0 0\r\n\r\n", "STORED\r\n"),
        ("get e\r\n", "VALUE e 0 0\r\n\r\nEND\r\n"),
        ("version\r\n", "VERSION 1.6.45\r\n"),
        ("verbosity 1\r\n", "OK\r\n"),
        ("verbosity 1 noreply\r\n", ""),
        ("bogus\r\n", "ERROR\r\n"),
        ("set c 0 0 3\r\nabcd\nget a\r\n", "CLIENT_ERROR bad data chunk\r\nVALUE a 0 5\r\nwwyzz\r\nEND\r\n"),
        ("flush_all\r\n", "OK\r\n"),
        ("get a\r\n", "END\r\n"),
        ("flush_all noreply\r\n", ""),
        ("stats reset\r\n", "RESET\r\n"),
    ];

    private static string Inputs => string.Concat(s_conversation.Select(static c => c.Input));
    private static string Outputs => string.Concat(s_conversation.Select(static c => c.Output));

    [Fact]
    public void TheDiscoveryKeyIsAnItemLikeAnyOtherWhereThereIsOne()
    {
        foreach (bool isRemote in new[] { false, true })
        {
            using var harness = new SessionHarness();
            Assert.StartsWith("VALUE AmazonElastiCache:cluster 0 ", Ask("get AmazonElastiCache:cluster\r\n"), StringComparison.Ordinal);
            Assert.Equal("STORED\r\n", harness.Ask("set AmazonElastiCache:cluster 5 0 1\r\nx\r\n"));
            harness.Router.IsRemote = _ => isRemote;
            Assert.Equal("VALUE AmazonElastiCache:cluster 5 1\r\nx\r\nEND\r\nVERSION 1.6.45\r\n", Ask("get AmazonElastiCache:cluster\r\nversion\r\n"));

            string Ask(string input)
            {
                string text = harness.Ask(input);
                while (!harness.Session.IsQuiet)
                {
                    foreach (RemoteRequest request in harness.Router.Waiting.ToArray())
                        request.Complete();
                    SpinWait.SpinUntil(() => harness.RunPosted() > 0, TimeSpan.FromMilliseconds(100));
                    text += harness.ReadAll();
                }

                return text;
            }
        }
    }

    [Fact]
    public void EveryCommandAnswersAsMemcachedDoes()
    {
        using var harness = new SessionHarness();
        foreach ((string input, string output) in s_conversation)
            Assert.Equal((input, output), (input, harness.Ask(input)));
    }

    [Fact]
    public void WhenEverythingComesInOneSegmentTheRepliesAreTheSame()
    {
        using var harness = new SessionHarness();
        Assert.Equal(Outputs, harness.Ask(Inputs));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(7)]
    [InlineData(64)]
    public void WhenSegmentsAreSmallTheRepliesAreTheSame(int segmentBytes)
    {
        using var harness = new SessionHarness();
        string all = "";
        foreach (char[] segment in Inputs.Chunk(segmentBytes))
            all += harness.Ask(new string(segment));
        Assert.Equal(Outputs, all);
        Assert.Equal(0, harness.Loop.Chunks.Rented);
    }

    [Fact]
    public void WhenTheInputIsSplitAnywhereTheRepliesAreTheSame()
    {
        string inputs = Inputs;
        for (int split = 1; split < inputs.Length; split++)
        {
            using var harness = new SessionHarness();
            string all = harness.Ask(inputs[..split]) + harness.Ask(inputs[split..]);
            Assert.True(Outputs == all, $"split at {split}: {all}");
        }
    }

    [Fact]
    public void WhenEverythingIsRemoteTheRepliesAreTheSame()
    {
        using var harness = new SessionHarness();
        harness.Router.IsRemote = static _ => true;
        harness.Send(Inputs);
        string all = harness.ReadAll();
        while (harness.Router.Waiting.Count > 0 || harness.RunPosted() > 0)
        {
            if (harness.Router.Waiting.Count > 0)
                harness.Router.Waiting[0].Complete();
            all += harness.ReadAll();
        }

        Assert.Equal(Outputs, all);
        Assert.Equal(0, harness.Loop.Chunks.Rented);
    }

    [Fact]
    public void WhenTheSessionIsIdleItHoldsNoBuffers()
    {
        using var harness = new SessionHarness();
        harness.Ask(Inputs);
        Assert.Equal(0, harness.Loop.Chunks.Rented);
        harness.Ask("get half a li");
        Assert.Equal(1, harness.Loop.Chunks.Rented);
        harness.Ask("ne\r\n");
        Assert.Equal(0, harness.Loop.Chunks.Rented);
    }

    [Fact]
    public void AMillionTinyCommandsInOneSegmentAreAnsweredInBoundedPortions()
    {
        using var harness = new SessionHarness();
        harness.Ask("set a 0 0 1\r\nx\r\n");
        string input = string.Concat(Enumerable.Repeat("get a\r\n", 1_000_000));
        harness.Send(input);
        long replies = 0, largest = 0;
        while (true)
        {
            largest = Math.Max(largest, harness.Session.Output.Bytes);
            replies += harness.Read().Length;
            if (!harness.Session.CanResume)
                break;
            harness.Session.Resume();
        }

        Assert.Equal(1_000_000L * "VALUE a 0 1\r\nx\r\nEND\r\n".Length, replies);
        Assert.InRange(largest, Limits.OutputHighWaterBytes, Limits.OutputHighWaterBytes + 1024);
        Assert.Equal(0, harness.Loop.Chunks.Rented);
    }

    [Fact]
    public void QuitEndsTheSessionAfterWhatWasAskedBefore()
    {
        using var harness = new SessionHarness();
        harness.Send("set a 0 0 1\r\nx\r\nquit\r\nget a\r\n");
        Assert.False(harness.Session.IsFinished);
        Assert.Equal("STORED\r\n", harness.Read());
        Assert.True(harness.Session.IsFinished);
    }

    [Fact]
    public void QuitWaitsForRepliesOfOtherSilos()
    {
        using var harness = new SessionHarness();
        harness.Router.IsRemote = static _ => true;
        harness.Send("set a 0 0 1\r\nx\r\nset b 0 0 1 noreply\r\nx\r\nquit\r\n");
        Assert.False(harness.Session.IsFinished);
        harness.Router.Waiting[0].Complete();
        Assert.Equal("STORED\r\n", harness.Read());
        Assert.False(harness.Session.IsFinished);
        harness.Router.Waiting[0].Complete();
        Assert.True(harness.Session.IsFinished);
    }

    [Fact]
    public void ALineWithoutEndClosesTheConnection()
    {
        using var harness = new SessionHarness();
        harness.Send("set " + new string('x', Limits.LineBytesMax + 10));
        Assert.True(harness.Session.IsFinished);
        Assert.Equal(0, harness.Loop.Chunks.Rented);
    }

    [Fact]
    public void ALineWithoutEndThatTricklesInClosesTheConnection()
    {
        using var harness = new SessionHarness();
        for (int i = 0; i <= Limits.LineBytesMax + 1 && !harness.Session.IsFinished; i++)
            harness.Send("x");
        Assert.True(harness.Session.IsFinished);
    }

    [Fact]
    public void ALongGetLineThatTricklesInIsAnswered()
    {
        using var harness = new SessionHarness();
        harness.Ask("set key 0 0 1\r\nx\r\n");
        string line = "get" + string.Concat(Enumerable.Repeat(" key", 100_000)) + "\r\n";
        string all = "";
        foreach (char[] segment in line.Chunk(1000))
            all += harness.Ask(new string(segment));
        Assert.Equal((100_000 * "VALUE key 0 1\r\nx\r\n".Length) + 5, all.Length);
        Assert.EndsWith("END\r\n", all);
        Assert.Equal(0, harness.Loop.Chunks.Rented);
    }

    [Fact]
    public void AnAnnouncedGigabyteCostsNothing()
    {
        using var harness = new SessionHarness(static o => o with { ItemBytesMax = Limits.ItemBytesMax });
        harness.Send("set a 0 0 1000000000\r\nonly this");
        Assert.InRange(harness.ValueTargetBytes, 1, 256 * 1024);
    }

    [Fact]
    public void AValueThatIsTooLargeIsSwallowedAndTheOldValueIsGone()
    {
        using var harness = new SessionHarness();
        Assert.Equal("STORED\r\n", harness.Ask("set a 0 0 3\r\nold\r\n"));
        string big = new('x', 2_000_000);
        string reply = "";
        foreach (char[] segment in $"set a 0 0 {big.Length}\r\n{big}\r\nget a\r\n".Chunk(60_000))
            reply += harness.Ask(new string(segment));
        Assert.Equal("SERVER_ERROR object too large for cache\r\nEND\r\n", reply);
    }

    [Theory]
    [InlineData(100_000, 1_000)]
    [InlineData(1_000_000, 65_536)]
    [InlineData(1_000_000, 1)]
    public void AValueInManyPiecesArrivesWhole(int valueBytes, int firstBytes)
    {
        using var harness = new SessionHarness();
        string value = string.Create(valueBytes, 0, static (span, _) =>
        {
            for (int i = 0; i < span.Length; i++)
                span[i] = (char)('a' + (i % 23));
        });
        string input = $"set a 7 0 {value.Length}\r\n{value}\r\nget a\r\n";
        string all = harness.Ask(input[..firstBytes]);
        int at = firstBytes;
        while (at < input.Length)
        {
            // As a transport does: straight into the value while it can be, else by Receive.
            int taken = harness.ReceiveIntoValue(input.AsSpan(at));
            if (taken == 0)
            {
                taken = Math.Min(10_000, input.Length - at);
                all += harness.Ask(input.Substring(at, taken));
            }

            at += taken;
        }

        all += harness.ReadAll();
        Assert.Equal($"STORED\r\nVALUE a 7 {value.Length}\r\n{value}\r\nEND\r\n", all);
        Assert.Equal(0, harness.Loop.Chunks.Rented);
        Assert.Equal(0, harness.Router.Store.Pins);
    }

    [Theory]
    [InlineData(true, 0)]
    [InlineData(true, 5000)]
    [InlineData(false, 0)]
    public void ALargeValueLeavesPinnedOrCopiedAndThePinIsReleased(bool lendsPins, int runBytesMax)
    {
        using var harness = new SessionHarness();
        harness.Router.Store.LendsPins = lendsPins;
        harness.Router.Store.RunBytesMax = runBytesMax;
        string value = new('v', 100_000);
        Assert.Equal("STORED\r\n", harness.Ask($"set a 0 0 {value.Length}\r\n{value}\r\n"));
        harness.Send("get a\r\nget a\r\n");
        Assert.Equal(lendsPins ? 2 : 0, harness.Router.Store.Pins);
        string once = $"VALUE a 0 {value.Length}\r\n{value}\r\nEND\r\n";
        Assert.Equal(once[..70_000], harness.Read(70_000));
        Assert.Equal(lendsPins ? 2 : 0, harness.Router.Store.Pins);
        Assert.Equal((once + once)[70_000..], harness.ReadAll());
        Assert.Equal(0, harness.Router.Store.Pins);
        Assert.Equal(0, harness.Loop.Chunks.Rented);
    }

    [Fact]
    public void WhenTheConnectionDiesItsPinsAndBuffersAreReleased()
    {
        using var harness = new SessionHarness();
        string value = new('v', 100_000);
        harness.Ask($"set a 0 0 {value.Length}\r\n{value}\r\n");
        harness.Send("get a\r\nget a\r\nset b 0 0 100\r\nabc");
        Assert.NotEqual(0, harness.Router.Store.Pins);
        harness.Session.Abort();
        Assert.Equal(0, harness.Router.Store.Pins);
        Assert.Equal(0, harness.Loop.Chunks.Rented);
    }

    [Fact]
    public void AMultiGetStopsAtTheHighWaterMarkAndGoesOnLater()
    {
        using var harness = new SessionHarness();
        harness.Router.Store.LendsPins = false;
        string value = new('v', 50_000);
        harness.Ask($"set a 0 0 {value.Length}\r\n{value}\r\n");
        harness.Send("get" + string.Concat(Enumerable.Repeat(" a", 100)) + "\r\nversion\r\n");
        Assert.False(harness.Session.WantsInput);
        Assert.InRange(harness.Session.Output.Bytes, Limits.OutputHighWaterBytes, Limits.OutputHighWaterBytes + 51_000);
        string once = $"VALUE a 0 {value.Length}\r\n{value}\r\n";
        Assert.Equal(string.Concat(Enumerable.Repeat(once, 100)) + "END\r\nVERSION 1.6.45\r\n", harness.ReadAll());
        Assert.True(harness.Session.WantsInput);
        Assert.Equal(0, harness.Loop.Chunks.Rented);
    }

    [Fact]
    public void WithFlushDisabledFlushAllIsRefused()
    {
        using var harness = new SessionHarness(static o => o with { FlushEnabled = false });
        Assert.StartsWith("CLIENT_ERROR", harness.Ask("flush_all\r\n"));
        Assert.Equal(0, harness.Router.FlushCalls);
    }

    [Fact]
    public void FlushAllWithADelayNamesTheTime()
    {
        using var harness = new SessionHarness();
        Assert.Equal("OK\r\n", harness.Ask("flush_all 30\r\n"));
        Assert.Equal(harness.Loop.NowUnixSeconds + 30, harness.Router.LastFlushAt);
        Assert.Equal("OK\r\n", harness.Ask("flush_all -5\r\n"));
        Assert.Equal(0u, harness.Router.LastFlushAt);
    }
}
