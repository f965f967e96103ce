using System.Globalization;
using System.Text;
using OrleansCache.Gateway.Tests.Fakes;

namespace OrleansCache.Gateway.Tests.Sessions;

public sealed class SessionWatchTests
{
    [Theory]
    [InlineData("watch\r\n", EventKinds.Fetchers)]
    [InlineData("watch \n", EventKinds.Fetchers)]
    [InlineData("watch  fetchers  \r\n", EventKinds.Fetchers)]
    [InlineData("watch m e d\r\n", EventKinds.Mutations | EventKinds.Evictions | EventKinds.Deletions)]
    [InlineData("watch mutations evictions connevents deletions sysevents rawcmds\r\n",
        EventKinds.Mutations | EventKinds.Evictions | EventKinds.Connections | EventKinds.Deletions | EventKinds.SystemEvents | EventKinds.RawCommands)]
    [InlineData("watch proxyreqs proxyevents proxyuser\r\n", EventKinds.Proxy)]
    [InlineData("watch f f f f f f f f f f f f f f f f f f f f f f f f f x\r\n", EventKinds.Fetchers)]
    public void WordsChooseWhatIsWatched(string command, EventKinds kinds)
    {
        using var harness = new SessionHarness();
        Assert.Equal("OK\r\n", harness.Ask(command));
        Assert.Equal(kinds, harness.Router.Events.Watched);
        harness.Session.Abort();
        Assert.Equal(EventKinds.None, harness.Router.Events.Watched);
    }

    [Theory]
    [InlineData("watch nonsense\r\n")]
    [InlineData("watch noreply\r\n")]
    [InlineData("watch fetchersX\r\n")]
    [InlineData("watch fetchers x\r\n")]
    [InlineData(" watch\r\n")]
    [InlineData("WATCH\r\n")]
    public void AWordThatMeansNothingIsAnError(string command)
    {
        using var harness = new SessionHarness();
        Assert.Equal("ERROR\r\n", harness.Ask(command));
        Assert.Equal("VERSION 1.6.45\r\n", harness.Ask("version\r\n"));
        Assert.Equal(EventKinds.None, harness.Router.Events.Watched);
    }

    [Fact]
    public void NothingMayStandBeforeItInThePipeline()
    {
        const string Refusal = "ERROR cannot pipeline other commands before watch\r\n";
        using var harness = new SessionHarness();
        Assert.Equal("VERSION 1.6.45\r\n" + Refusal, harness.Ask("version\r\nwatch\r\n"));
        Assert.Equal(Refusal, harness.Ask("set a 0 0 1 noreply\r\nx\r\nwatch\r\n"));
        Assert.Equal(Refusal + "VERSION 1.6.45\r\n", harness.Ask("set a 0 0 1 noreply\r\nx\r\nwatch\r\nversion\r\n"));
        Assert.Equal("OK\r\n", harness.Ask("watch\r\n"));
    }

    [Fact]
    public void NothingMayBeAwaitedFromOtherSilos()
    {
        using var harness = new SessionHarness();
        harness.Router.IsRemote = static b => b == 'r';
        harness.Send("get r\r\n");
        harness.Send("watch\r\n");
        harness.Router.Waiting[0].Complete();
        Assert.Equal("END\r\nERROR cannot pipeline other commands before watch\r\n", harness.ReadAll());
    }

    [Fact]
    public void SwitchedOffItIsRefused()
    {
        using var harness = new SessionHarness(static o => o with { WatchEnabled = false });
        Assert.Equal("CLIENT_ERROR watch commands not allowed\r\n", harness.Ask("watch\r\n"));
    }

    [Fact]
    public void TwentyConnectionsMayWatch()
    {
        using var harness = new SessionHarness();
        var watching = new List<Gateway.Sessions.Session>();
        for (int i = 0; i < 20; i++)
        {
            Assert.Equal("OK\r\n", harness.Ask("watch\r\n"));
            watching.Add(harness.Session);
            harness.Reconnect();
        }

        Assert.Equal("WATCHER_TOO_MANY log watcher limit reached\r\n", harness.Ask("watch\r\n"));
        Assert.Contains("STAT log_watchers 20\r\n", harness.Ask("stats\r\n"));
        watching[3].Abort();
        watching[3].Abort();
        Assert.Equal("OK\r\n", harness.Ask("watch\r\n"));
        harness.Reconnect();
        Assert.Equal("WATCHER_TOO_MANY log watcher limit reached\r\n", harness.Ask("watch\r\n"));
        watching.ForEach(static session => session.Abort());
    }

    [Fact]
    public void LinesComeAndCommandsAreThrownAway()
    {
        using var harness = new SessionHarness();
        Assert.Equal("OK\r\n", harness.Ask("watch deletions\r\nversion\r\n"));
        harness.Send("quit\r\nget a\r\n");
        Assert.Equal("", harness.ReadAll());
        Assert.True(harness.Session.WantsInput);
        Assert.False(harness.Session.IsQuiet);
        Assert.False(harness.Session.IsFinished);
        harness.Router.Events.ItemDeleted("some key"u8, ItemDeleteCommand.Delete, 1, 2);
        harness.Router.Events.ItemGet("other"u8, ItemGetStatus.Found, 1, 2, 3);
        Assert.EndsWith(" gid=1 type=deleted key=some%20key cmd=delete clsid=1 size=2\n", ReadLines(harness));
        harness.Session.ReceiveEnd();
        Assert.True(harness.Session.IsFinished);
        Assert.Equal(EventKinds.None, harness.Router.Events.Watched);
    }

    [Fact]
    public void AWatcherThatDoesNotReadLosesLinesAndHoldsLittle()
    {
        using var harness = new SessionHarness(static o => o with { WatcherLogBytesMax = 16 * 1024 });
        Assert.Equal("OK\r\n", harness.Ask("watch fetchers\r\n"));
        EventLog log = harness.Router.Events;
        const int Events = 20_000;
        byte[] buffer = new byte[Limits.EventLineBytesMax];
        using IEventFeed other = log.Watch(EventKinds.Fetchers, Limits.EventFeedBytesMax, static () => { })!;
        int otherLines = 0;
        for (int i = 0; i < Events; i++)
        {
            log.ItemGet("a-key-of-usual-length"u8, ItemGetStatus.Found, 1, 2, i);
            if (i % 100 == 99)
                otherLines += CountLines(other);
            if (i % 1000 == 999)
            {
                harness.RunPosted();
                while (harness.Session.CanResume)
                    harness.Session.Resume();
                Assert.InRange(harness.Session.Output.Bytes, 1, Limits.WatchOutputBytesMax + (8 * Limits.EventLineBytesMax));
            }
        }

        // Another watcher gets everything meanwhile.
        Assert.Equal(Events, otherLines);
        string text = harness.ReadAll();
        log.ItemGet("last"u8, ItemGetStatus.Found, 1, 2, 3);
        text += ReadLines(harness);
        string[] lines = text.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        long skipped = lines.Where(static l => l.StartsWith("skipped=", StringComparison.Ordinal))
            .Sum(static l => long.Parse(l[8..], CultureInfo.InvariantCulture));
        Assert.True(skipped > 1000);
        Assert.Equal(Events + 1, skipped + lines.Count(static l => l.StartsWith("ts=", StringComparison.Ordinal)));
        Assert.Contains("key=last", lines[^1]);
        Assert.Equal(skipped, log.ReadStatistics().Skipped);

        int CountLines(IEventFeed feed)
        {
            int count = 0;
            for (int bytes = feed.Read(buffer); bytes > 0; bytes = feed.Read(buffer))
                count += buffer.AsSpan(0, bytes).Count((byte)'\n');
            return count;
        }
    }

    [Fact]
    public async Task WatchingAClusterMayTakeAWhileToBegin()
    {
        using var harness = new SessionHarness();
        harness.Router.WatchGate = new TaskCompletionSource();
        Assert.Equal("", harness.Ask("watch\r\nversion\r\n"));
        Assert.False(harness.Session.WantsInput);
        harness.Router.WatchGate.SetResult();
        await Wait.UntilAsync(() => harness.RunPosted() > 0, "the feed is there");
        Assert.Equal("OK\r\n", harness.ReadAll());
        Assert.True(harness.Session.WantsInput);
        harness.Router.Events.ItemGet("k"u8, ItemGetStatus.Found, 1, 2, 3);
        Assert.Contains("key=k", ReadLines(harness));
    }

    [Fact]
    public async Task LinesThatComeBeforeTheFeedIsHereAreReadThen()
    {
        using var harness = new SessionHarness();
        harness.Router.WatchGate = new TaskCompletionSource();
        Assert.Equal("", harness.Ask("watch\r\n"));
        harness.Router.WatchWake!();
        Assert.Equal(1, harness.RunPosted());
        Assert.Equal("", harness.ReadAll());
        harness.Session.Resume();
        harness.Router.WatchGate.SetResult();
        await Wait.UntilAsync(() => harness.RunPosted() > 0, "the feed is there");
        harness.Router.Events.ItemGet("k"u8, ItemGetStatus.Found, 1, 2, 3);
        string text = harness.ReadAll();
        Assert.StartsWith("OK\r\n", text, StringComparison.Ordinal);
        Assert.Contains("key=k", text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task WhatFailsToBeginIsSaidAndTheConnectionGoesOn()
    {
        using var harness = new SessionHarness();
        harness.Router.WatchGate = new TaskCompletionSource();
        Assert.Equal("", harness.Ask("watch\r\nversion\r\n"));
        harness.Router.WatchGate.SetException(new RouterException("no"));
        await Wait.UntilAsync(() => harness.RunPosted() > 0, "it has failed");
        Assert.Equal("WATCHER_FAILED failed to add log watcher\r\nVERSION 1.6.45\r\n", harness.ReadAll());
    }

    [Fact]
    public async Task AConnectionThatEndsBeforeItWatchesLeavesNothingBehind()
    {
        using var harness = new SessionHarness();
        harness.Router.WatchGate = new TaskCompletionSource();
        Assert.Equal("", harness.Ask("watch\r\n"));
        harness.Session.Abort();
        harness.Router.WatchGate.SetResult();
        await Wait.UntilAsync(() => harness.RunPosted() > 0, "the feed is there");
        Assert.Equal(EventKinds.None, harness.Router.Events.Watched);
        harness.Router.WatchGate = null;
        for (int i = 0; i < 20; i++)
        {
            harness.Reconnect();
            Assert.Equal("OK\r\n", harness.Ask("watch\r\n"));
        }
    }

    [Fact]
    public void AValueThatIsTooLargeIsToldBeforeAnyStoreSeesIt()
    {
        using var harness = new SessionHarness();
        using IEventFeed feed = harness.Router.Events.Watch(EventKinds.Mutations | EventKinds.Deletions, 65536, static () => { })!;
        const string TooLarge = "SERVER_ERROR object too large for cache\r\n";
        harness.Ask("set a 0 0 1\r\nx\r\n");
        Assert.Equal(TooLarge, harness.Ask("set a 0 0 1048576\r\n"));
        harness.Reconnect();
        Assert.Equal(TooLarge, harness.Ask("add a 0 0 1048576\r\n"));
        byte[] buffer = new byte[4096];
        string[] lines = Encoding.ASCII.GetString(buffer, 0, feed.Read(buffer)).Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(2, lines.Length);
        Assert.EndsWith(" type=item_store key=a status=too_large cmd=set ttl=0 clsid=0 cfd=0 size=0", lines[0]);
        Assert.EndsWith(" type=item_store key=a status=too_large cmd=add ttl=0 clsid=0 cfd=0 size=0", lines[1]);
    }

    /// <summary>What comes until the watcher has been woken and has read everything.</summary>
    private static string ReadLines(SessionHarness harness)
    {
        var text = new StringBuilder(harness.ReadAll());
        Assert.True(SpinWait.SpinUntil(() => harness.RunPosted() > 0, TimeSpan.FromSeconds(30)), "not woken");
        return text.Append(harness.ReadAll()).ToString();
    }
}
