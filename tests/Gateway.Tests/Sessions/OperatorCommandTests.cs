using OrleansCache.Gateway.Tests.Fakes;

namespace OrleansCache.Gateway.Tests.Sessions;

public sealed class OperatorCommandTests
{
    [Fact]
    public void WithoutItsOptionShutdownIsRefused()
    {
        using var harness = new SessionHarness();

        Assert.Equal("SERVER_ERROR: shutdown not enabled\r\n", harness.Ask("shutdown\r\n"));
        Assert.Equal("SERVER_ERROR: shutdown not enabled\r\n", harness.Ask("shutdown graceful\r\n"));
        Assert.Equal("", harness.Ask("shutdown noreply\r\n"));
        Assert.Equal("VERSION 1.6.45\r\n", harness.Ask("version\r\n"));
    }

    [Theory]
    [InlineData("shutdown\r\n", false)]
    [InlineData("shutdown graceful\r\n", true)]
    public void ShutdownAsksOnceAnswersNothingAndCloses(string command, bool gracefully)
    {
        var asked = new List<bool>();
        using var harness = new SessionHarness(options => options with { Shutdown = asked.Add });

        Assert.Equal("VERSION 1.6.45\r\n", harness.Ask("version\r\n" + command + "version\r\n"));

        Assert.Equal([gracefully], asked);
        Assert.True(harness.Session.IsFinished);
    }

    [Fact]
    public void AnUnknownWayToShutDownIsAnErrorAndNothingElse()
    {
        var asked = new List<bool>();
        using var harness = new SessionHarness(options => options with { Shutdown = asked.Add });

        Assert.Equal("CLIENT_ERROR invalid shutdown mode\r\n", harness.Ask("shutdown now\r\n"));
        Assert.Empty(asked);
        Assert.False(harness.Session.IsFinished);
    }

    [Fact]
    public void VerbosityReachesTheLogAndIsShown()
    {
        int level = -1;
        using var harness = new SessionHarness(options => options with { Verbosity = 3, VerbosityChanged = value => level = value });
        Assert.Contains("STAT verbosity 3\r\n", harness.Ask("stats settings\r\n"), StringComparison.Ordinal);

        Assert.Equal("OK\r\n", harness.Ask("verbosity 1\r\n"));
        Assert.Equal(1, level);
        Assert.Contains("STAT verbosity 1\r\n", harness.Ask("stats settings\r\n"), StringComparison.Ordinal);

        Assert.Equal("", harness.Ask("verbosity 4294967295 noreply\r\n"));
        Assert.Equal(2, level);
        Assert.Equal("CLIENT_ERROR bad command line format\r\n", harness.Ask("verbosity x\r\n"));
        Assert.Equal(2, level);
    }

    [Theory]
    [InlineData("cache_memlimit 100", "OK", 100L << 20)]
    [InlineData("cache_memlimit 8", "OK", 8L << 20)]
    [InlineData("cache_memlimit 7", "MEMLIMIT_TOO_SMALL cannot set maxbytes to less than 8m", 0)]
    [InlineData("cache_memlimit 1000000001", "MEMLIMIT_ADJUST_FAILED input value is megabytes not bytes", 0)]
    [InlineData("cache_memlimit 2000", "MEMLIMIT_ADJUST_FAILED out of bounds or unable to adjust", 2000L << 20)]
    [InlineData("cache_memlimit", "ERROR", 0)]
    [InlineData("cache_memlimit x", "ERROR", 0)]
    public void TheMemoryLimitIsSetInMemcachedsWords(string command, string reply, long asked)
    {
        using var harness = new SessionHarness();

        Assert.Equal(reply + "\r\n", harness.Ask(command + "\r\n"));
        Assert.Equal(asked, harness.Router.MemoryLimitAsked);
        Assert.Equal("", harness.Ask(command + " noreply\r\n"));
    }

    [Fact]
    public void WithoutItsOptionThereIsNoDebugtime()
    {
        using var harness = new SessionHarness();

        Assert.Equal("ERROR\r\nERROR\r\nERROR\r\n", harness.Ask("debugtime p\r\ndebugtime 5\r\nmisbehave\r\n"));
        Assert.Equal("", harness.Ask("debugtime p noreply\r\n"));
    }

    [Fact]
    public void DebugtimeStopsMovesAndReleasesTheClock()
    {
        var time = new ManualTime();
        var clock = new DebugClock(time);
        using var harness = new SessionHarness(options => options with { DebugClock = clock }, clock: clock);
        Assert.Equal("STORED\r\n", harness.Ask("set a 0 10 1\r\nx\r\n"));

        Assert.Equal("OK\r\nOK\r\nVALUE a 0 1\r\nx\r\nEND\r\n", harness.Ask("debugtime p\r\ndebugtime 9\r\nget a\r\n"));
        time.Advance(TimeSpan.FromSeconds(1000));
        harness.Loop.ReadClock();
        Assert.Equal("VALUE a 0 1\r\nx\r\nEND\r\n", harness.Ask("get a\r\n"));

        // A clock that stands moves by the sum of all moves.
        Assert.Equal("OK\r\nEND\r\n", harness.Ask("debugtime -8\r\ndebugtime noreply\r\nget a\r\n"));
        Assert.Equal("OK\r\n", harness.Ask("debugtime r\r\n"));
        Assert.Equal(time.GetUtcNow() + TimeSpan.FromSeconds(1), clock.GetUtcNow());
        Assert.Equal("ERROR\r\nERROR\r\n", harness.Ask("debugtime 99999999999\r\ndebugtime x\r\n"));
    }
}
