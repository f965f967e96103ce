using OrleansCache.Gateway.Passwords;
using OrleansCache.Gateway.Stats;
using OrleansCache.Gateway.Tests.Fakes;

namespace OrleansCache.Gateway.Tests.Sessions;

/// <summary>-Y: what a text connection may say before it has logged in, and how failed logins are bounded.</summary>
public sealed class LoginTests
{
    private const string Unauthenticated = "CLIENT_ERROR unauthenticated\r\n";
    private const string Failure = "CLIENT_ERROR authentication failure\r\n";

    private static readonly TimeSpan s_delay = TimeSpan.FromMilliseconds(Limits.LoginDelayMilliseconds);

    private static SessionHarness Locked() => new(static o => o with { TextPasswords = new OneUser() });

    private static string Login(string token) => $"set x 0 0 {token.Length}\r\n{token}\r\n";

    [Fact]
    public void WhoLogsInIsServedFromThenOn()
    {
        using SessionHarness session = Locked();
        Assert.Equal("STORED\r\nEND\r\n", session.Ask(Login("ann secret word") + "get x\r\n"));
        Assert.Equal("STORED\r\nVALUE a 0 1\r\n1\r\nEND\r\n", session.Ask("set a 0 0 1\r\n1\r\nget a\r\n"));
        GatewayStatistics statistics = session.Shared.ReadStatistics();
        Assert.Equal((1, 0), (statistics.Counters.AuthCmds, statistics.Counters.AuthErrors));
    }

    [Fact]
    public void TheLoginMayArriveByteByByte()
    {
        using SessionHarness session = Locked();
        string all = "version\r\n" + Login("ann secret word") + "version\r\n";
        string replies = string.Concat(all.Select(one => session.Ask(one.ToString())));
        Assert.Equal(Unauthenticated + "STORED\r\nVERSION 1.6.45\r\n", replies);
    }

    [Theory]
    [InlineData("version\r\n", Unauthenticated)]
    [InlineData("get foo\r\n", Unauthenticated)]
    [InlineData("stats\r\n", Unauthenticated)]
    [InlineData("flush_all noreply\r\n", Unauthenticated)]
    [InlineData("set x 0 0\r\n", Unauthenticated)]
    [InlineData("set x 0 0 x\r\n", Unauthenticated)]
    [InlineData("set x 0 0 -1\r\n", Unauthenticated)]
    [InlineData(" set x 0 0 3\r\n", Unauthenticated)]
    [InlineData("add x 0 0 15\r\nann secret word\r\n", Unauthenticated + Unauthenticated)]
    [InlineData("set x 0 0 16385\r\n", "CLIENT_ERROR auth token too long\r\n")]
    [InlineData("set x 0 0 3\r\na bcd", "CLIENT_ERROR bad command line termination\r\n")]
    [InlineData("set x 0 0 3\r\nabc\r\n", "CLIENT_ERROR bad authentication token format\r\n")]
    [InlineData("set x 0 0 0\r\n\r\n", "CLIENT_ERROR bad authentication token format\r\n")]
    public void BeforeTheLoginEverythingElseIsAnError(string input, string reply)
    {
        using SessionHarness session = Locked();
        Assert.Equal(reply, session.Ask(input));
        Assert.False(session.Session.IsFinished);
        Assert.Equal(0, session.Shared.ReadStatistics().Counters.AuthCmds);
        Assert.Equal(0, session.Shared.ReadStatistics().Counters.Operations);
    }

    [Theory]
    [InlineData("mn\r\n")]
    [InlineData("quit\r\n")]
    [InlineData("\r\n\r\n")]
    public void LinesTooShortForALoginCloseTheConnection(string input)
    {
        using SessionHarness session = Locked();
        Assert.Equal("", session.Ask(input));
        Assert.True(session.Session.IsFinished);
    }

    [Fact]
    public void ALineWithoutEndClosesTheConnection()
    {
        using SessionHarness session = Locked();
        session.Send(new string('x', Limits.LineBytesMax));
        Assert.False(session.Session.IsFinished);
        session.Send("x");
        Assert.True(session.Session.IsFinished);
    }

    [Theory]
    [InlineData("ann wrong")]
    [InlineData("ann secret wor")]
    [InlineData("ann secret word ")]
    [InlineData("bob secret word")]
    [InlineData(" secret word")]
    public void AFailedLoginIsAnsweredLateAndTheNextMaySucceed(string token)
    {
        using SessionHarness session = Locked();
        Assert.Equal("", session.Ask(Login(token) + Login("ann secret word")));
        Assert.False(session.Session.WantsInput);
        session.Time.Advance(s_delay - TimeSpan.FromMilliseconds(1));
        Assert.Equal(0, session.RunPosted());
        session.Time.Advance(TimeSpan.FromMilliseconds(1));
        RunPosted(session, 1);
        Assert.Equal(Failure + "STORED\r\n", session.ReadAll());
        GatewayStatistics statistics = session.Shared.ReadStatistics();
        Assert.Equal((2, 1), (statistics.Counters.AuthCmds, statistics.Counters.AuthErrors));
    }

    [Fact]
    public void AfterAFewFailedLoginsTheConnectionIsClosed()
    {
        using SessionHarness session = Locked();
        session.Send(string.Concat(Enumerable.Repeat(Login("ann wrong"), 10)));
        string replies = "";
        for (int i = 0; i < Limits.LoginFailuresMax; i++)
        {
            session.Time.Advance(s_delay);
            RunPosted(session, 1);
            replies += session.ReadAll();
        }

        Assert.Equal(string.Concat(Enumerable.Repeat(Failure, Limits.LoginFailuresMax)), replies);
        Assert.True(session.Session.IsFinished);
        Assert.Equal(Limits.LoginFailuresMax, session.Shared.ReadStatistics().Counters.AuthErrors);
    }

    [Fact]
    public void TheMoreLoginsOfAnAddressFailTheLaterTheyAreAnsweredButARightOneIsAnsweredAtOnce()
    {
        using SessionHarness session = Locked();
        for (int i = 0; i < Limits.LoginFailuresPerAddress; i++)
        {
            session.Send(Login("ann wrong"));
            session.Reconnect();
        }

        Assert.Equal("STORED\r\n", session.Ask(Login("ann secret word")));

        session.Reconnect();
        Assert.Equal("", session.Ask(Login("ann wrong")));
        session.Time.Advance(s_delay);
        RunPosted(session, Limits.LoginFailuresPerAddress);
        Assert.Equal("", session.ReadAll());
        session.Time.Advance(s_delay);
        RunPosted(session, 1);
        Assert.Equal(Failure, session.ReadAll());
    }

    [Fact]
    public void WhenTooManyWaitInAllAFailedLoginIsAnsweredAtOnceAndTheConnectionClosed()
    {
        using SessionHarness session = Locked();
        for (int i = 0; i < Limits.LoginFailuresInAllMax; i++)
        {
            session.Send(Login("ann wrong"));
            session.Reconnect();
        }

        Assert.Equal(Failure, session.Ask(Login("ann wrong")));
        Assert.True(session.Session.IsFinished);
        session.Reconnect();
        Assert.Equal("STORED\r\n", session.Ask(Login("ann secret word")));
    }

    [Theory]
    [InlineData("tcp:10.0.0.1:4711", "10.0.0.1")]
    [InlineData("tcp6:[2001:db8:1:2:3:4:5:6]:4711", "2001:db8:1:2::")]
    [InlineData("tcp6:[::ffff:10.0.0.1]:4711", "10.0.0.1")]
    [InlineData("unix:/run/socket", "unix:/run/socket")]
    public void AddressesCountWithoutPort(string address, string source) => Assert.Equal(source, LoginGuard.SourceOf(address));

    [Fact]
    public void RefreshCertsTellsWhatItFound()
    {
        using SessionHarness open = new();
        Assert.Equal("SERVER_ERROR TLS is not enabled\r\n", open.Ask("refresh_certs\r\n"));

        var passwords = new OneUser();
        using SessionHarness session = new(o => o with { TextPasswords = passwords });
        session.Ask(Login("ann secret word"));
        Assert.Equal("OK\r\nVERSION 1.6.45\r\n", Answer("refresh_certs\r\nversion\r\n"));
        passwords.Error = "the file is gone";
        Assert.Equal("SERVER_ERROR the file is gone\r\n", Answer("refresh_certs\r\n"));
        Assert.Equal(2, passwords.Reloads);

        string Answer(string command)
        {
            session.Send(command);
            RunPosted(session, 1);
            return session.ReadAll();
        }
    }

    /// <summary>Timers and files end on other threads.</summary>
    private static void RunPosted(SessionHarness session, int count)
    {
        Assert.True(SpinWait.SpinUntil(() => (count -= session.RunPosted()) <= 0, TimeSpan.FromSeconds(10)));
    }

    private sealed class OneUser : PasswordCheck
    {
        public string? Error { get; set; }
        public int Reloads { get; private set; }

        public override bool IsRight(ReadOnlySpan<byte> user, ReadOnlySpan<byte> password) =>
            user.SequenceEqual("ann"u8) && password.SequenceEqual("secret word"u8);

        public override string? Reload()
        {
            Reloads++;
            return Error;
        }
    }
}
