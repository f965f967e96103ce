using System.Text;
using OrleansCache.Conformance;
using OrleansCache.Gateway.Options;
using OrleansCache.Gateway.Stats;
using OrleansCache.Gateway.Tests.Fakes;
using static OrleansCache.Conformance.BinaryPacket;

namespace OrleansCache.Gateway.Tests.Sessions;

/// <summary>Binary connections: what packets answer, however they are cut.</summary>
public sealed class SessionBinaryTests
{
    /// <summary>Streams on an empty server, and their replies.</summary>
    public static TheoryData<string, string> Streams => new()
    {
        {
            Store(Set, "k", "hello", 5, opaque: 1) + Of(Get, "k", opaque: 2) + Of(GetK, "k", opaque: 3) + Of(GetQ, "k", opaque: 4) + Of(GetKQ, "k", opaque: 5),
            "01 00 #1 cas\n00 00 #2 cas ext=00000005 [hello]\n0c 00 #3 cas ext=00000005 key=k [hello]\n09 00 #4 cas ext=00000005 [hello]\n0d 00 #5 "
                + "cas ext=00000005 key=k [hello]"
        },
        { Of(Get, "no", opaque: 1) + Of(GetK, "no", opaque: 2) + Of(GetQ, "no") + Of(GetKQ, "no") + Of(NoOp, opaque: 9),
            "00 01 #1 [Not found]\n0c 01 #2 key=no\n0a 00 #9" },
        { Store(SetQ, "k", "") + Of(Get, "k", opaque: 2), "00 00 #2 cas ext=00000000" },
        { Store(SetQ, "a b\r\n", "x\r\n") + Of(GetK, "a b\r\n"), "0c 00 #0 cas ext=00000000 key=a b\r\n [x\r\n]" },
        { Store(Add, "k", "1") + Store(AddQ, "k", "2", opaque: 2) + Of(Get, "k"),
            "02 00 #0 cas\n12 02 #2 [Data exists for key.]\n00 00 #0 cas ext=00000000 [1]" },
        { Store(ReplaceQ, "k", "1") + Store(SetQ, "k", "2") + Store(Replace, "k", "3") + Of(Get, "k"),
            "13 01 #0 [Not found]\n03 00 #0 cas\n00 00 #0 cas ext=00000000 [3]" },
        { Of(AppendQ, "k", value: "z") + Store(SetQ, "k", "b") + Of(AppendQ, "k", value: "c") + Of(Prepend, "k", value: "a") + Of(Get, "k"),
            "19 05 #0 [Not stored.]\n0f 00 #0 cas\n00 00 #0 cas ext=00000000 [abc]" },
        { Of(DeleteQ, "k") + Store(SetQ, "k", "v") + Of(DeleteQ, "k") + Of(Delete, "k", opaque: 4), "14 01 #0 [Not found]\n04 01 #4 [Not found]" },
        { Store(SetQ, "k", "v") + Of(Delete, "k", cas: 999) + Store(Set, "k", "w", cas: 999),
            "04 02 #0 [Data exists for key.]\n01 02 #0 [Data exists for key.]" },
        { Store(Set, "k", "w", cas: 999) + Store(Add, "k", "w", cas: 999), "01 01 #0 [Not found]\n02 01 #0 [Not found]" },
        { Count(Increment, "c", 3, 7) + Count(Increment, "c", 3, 7) + Count(Decrement, "c", 4),
            $"05 00 #0 cas [{Number(7ul)}]\n05 00 #0 cas [{Number(10ul)}]\n06 00 #0 cas [{Number(6ul)}]" },
        { Count(Increment, "c", 3, 7, uint.MaxValue) + Count(IncrementQ, "c", 3, 7) + Of(Get, "c"), "05 01 #0 [Not found]\n00 00 #0 cas ext=00000000 [7]" },
        { Store(SetQ, "k", "abc") + Count(DecrementQ, "k", 1), "16 06 #0 [Non-numeric server-side value for incr or decr]" },
        { Store(SetQ, "k", "v", 9) + TouchTo(Touch, "k", 100) + TouchTo(Touch, "no", 100), "1c 00 #0 cas ext=00000009\n1c 01 #0 [Not found]" },
        { Store(SetQ, "k", "v", 9) + TouchTo(Gat, "k", 0) + TouchTo(GatQ, "no", 0) + TouchTo(GatK, "no", 0) + TouchTo(GatKQ, "k", 0),
            "1d 00 #0 cas ext=00000009 [v]\n23 01 #0 key=no\n24 00 #0 cas ext=00000009 key=k [v]" },
        { Of(BinaryPacket.Version, opaque: 3), "0b 00 #3 [1.6.45]" },
        { Of(Verbosity, extras: Number(1u), opaque: 3), "1b 00 #3" },
        { Store(SetQ, "k", "v") + Of(Flush, opaque: 2) + Of(FlushQ, extras: Number(0u)) + Of(Get, "k"), "08 00 #2\n00 01 #0 [Not found]" },
        { Of(0x70, "key", "ext", "value", opaque: 1) + Of(NoOp, opaque: 2), "70 81 #1 [Unknown command]\n0a 00 #2" },
        { Of(SaslList) + Of(SaslAuth, "PLAIN", value: "\0u\0p") + Of(NoOp), "20 81 #0 [Unknown command]\n21 81 #0 [Unknown command]\n0a 00 #0" },
        { Of(Stat, "nothing") + Of(Stat, "conns") + Of(Stat, "reset", opaque: 5), "10 01 #0 [Not found]\n10 01 #0 [Not found]\n10 00 #5" },
    };

    [Theory]
    [MemberData(nameof(Streams))]
    public void StreamIsAnswered(string stream, string expected)
    {
        using var harness = new SessionHarness();
        Assert.Equal(expected, ShowAll(harness.Ask(stream)));
        Assert.False(harness.Session.IsFinished);
        Assert.Equal(0, harness.Loop.Chunks.Rented);
    }

    [Theory]
    [MemberData(nameof(Streams))]
    public void StreamIsAnsweredAlikeWhereverItIsCut(string stream, string expected)
    {
        for (int cut = 1; cut < stream.Length; cut++)
        {
            using var harness = new SessionHarness();
            harness.Send(stream[..cut]);
            Assert.Equal(expected, ShowAll(harness.ReadAll() + harness.Ask(stream[cut..])));
            Assert.Equal(0, harness.Loop.Chunks.Rented);
        }

        using var bytewise = new SessionHarness();
        var output = new StringBuilder();
        foreach (char one in stream)
            output.Append(bytewise.Ask(one.ToString()));
        Assert.Equal(expected, ShowAll(output.ToString()));
    }

    [Theory]
    [InlineData("00 04 #1 [Invalid arguments]", 0, "", "")]
    [InlineData("00 04 #1 [Invalid arguments]", 0, "k", "ext!")]
    [InlineData("11 04 #1 [Invalid arguments]", SetQ, "k", "")]
    [InlineData("05 04 #1 [Invalid arguments]", Increment, "k", "")]
    [InlineData("17 04 #1 [Invalid arguments]", QuitQ, "k", "")]
    public void InvalidArgumentsCloseBehindTheirError(string expected, byte opcode, string key, string extras)
    {
        using var harness = new SessionHarness();
        Assert.Equal("0a 00 #0\n" + expected, ShowAll(harness.Ask(Of(NoOp) + Of(opcode, key, extras, opaque: 1) + Of(NoOp))));
        Assert.True(harness.Session.IsFinished);
    }

    [Fact]
    public void LengthsThatLieClose()
    {
        using var harness = new SessionHarness();
        Assert.Equal("00 81 #1 [Unknown command]", ShowAll(harness.Ask(Of(Get, "key", opaque: 1, bodyLength: 1))));
        Assert.True(harness.Session.IsFinished);
        harness.Reconnect();
        Assert.Equal("01 04 #1 [Invalid arguments]", ShowAll(harness.Ask(Of(Set, "key", "\0\0\0\0\0\0\0\0", opaque: 1, bodyLength: 0x80000000))));
        Assert.True(harness.Session.IsFinished);
    }

    [Theory]
    [InlineData("get k\r\n")]
    [InlineData("\u0081")]
    public void AnythingElseInMidStreamCloses(string garbage)
    {
        using var harness = new SessionHarness();
        Assert.Equal("0a 00 #0", ShowAll(harness.Ask(Of(NoOp) + garbage)));
        Assert.True(harness.Session.IsFinished);
    }

    [Fact]
    public void QuitAnswersAndQuitqDoesNot()
    {
        using var harness = new SessionHarness();
        Assert.Equal("07 00 #1", ShowAll(harness.Ask(Of(Quit, opaque: 1) + Of(NoOp))));
        Assert.True(harness.Session.IsFinished);
        harness.Reconnect();
        Assert.Equal("", harness.Ask(Of(QuitQ) + Of(NoOp)));
        Assert.True(harness.Session.IsFinished);
    }

    [Theory]
    [InlineData(WireProtocol.Ascii)]
    [InlineData(WireProtocol.Auto)]
    [InlineData(WireProtocol.Binary)]
    public void TheListenerOrTheFirstByteDecides(WireProtocol protocol)
    {
        using var harness = new SessionHarness(protocol: protocol);
        Assert.Equal(protocol == WireProtocol.Binary ? "" : "VERSION 1.6.45\r\n", harness.Ask("version\r\n"));
        Assert.Equal(protocol == WireProtocol.Binary, harness.Session.IsFinished);
        harness.Reconnect();

        // As text it is a line of one character: the opcode is a line feed.
        Assert.Equal(protocol == WireProtocol.Ascii ? "CLIENT_ERROR bad command line format\r\n" : Of(NoOp, magic: 0x81), harness.Ask(Of(NoOp)));
    }

    [Fact]
    public void ACasThatIsRightStores()
    {
        using var harness = new SessionHarness();
        ulong cas = CasOf(Encoding.Latin1.GetBytes(harness.Ask(Store(Set, "k", "1"))));
        Assert.Equal("01 00 #0 cas", ShowAll(harness.Ask(Store(Set, "k", "2", cas: cas))));
        Assert.Equal("01 02 #0 [Data exists for key.]", ShowAll(harness.Ask(Store(Set, "k", "3", cas: cas))));
        Assert.Equal("00 00 #0 cas ext=00000000 [2]", ShowAll(harness.Ask(Of(Get, "k"))));
    }

    [Fact]
    public void ATooLargeSetIsSwallowedAndTakesTheOldValueWithIt()
    {
        using var harness = new SessionHarness();
        harness.Ask(Store(SetQ, "k", "old") + Store(SetQ, "kept", "old"));
        string stream = Store(SetQ, "k", new string('x', 1 << 20), opaque: 1) + Store(Add, "kept", new string('x', 1 << 20), opaque: 2) + Of(Get, "k")
            + Of(Get, "kept");
        var output = new StringBuilder();
        foreach (char[] segment in stream.Chunk(50_000))
            output.Append(harness.Ask(new string(segment)));
        Assert.Equal("11 03 #1 [Too large.]\n02 03 #2 [Too large.]\n00 01 #0 [Not found]\n00 00 #0 cas ext=00000000 [old]", ShowAll(output.ToString()));
    }

    [Fact]
    public void AnAnnouncedGigabyteCostsNothing()
    {
        using var harness = new SessionHarness();
        Assert.Equal("01 03 #1 [Too large.]", ShowAll(harness.Ask(Of(Set, "k", "\0\0\0\0\0\0\0\0", opaque: 1, bodyLength: 1 << 30))));
        string part = new('x', 60_000);
        for (int i = 0; i < 20; i++)
            Assert.Equal("", harness.Ask(part));
        Assert.Equal(0, harness.Loop.Chunks.Rented);
    }

    [Fact]
    public void ALargeValueArrivesInPiecesAndLeavesFromTheStoresMemory()
    {
        using var harness = new SessionHarness();
        string value = string.Concat(Enumerable.Range(0, 60_000).Select(i => (char)('a' + i % 26)));
        string stream = Store(Set, "k", value, 3);
        harness.Send(stream[..100]);
        for (int at = 100; at < stream.Length;)
        {
            int taken = harness.ReceiveIntoValue(stream.AsSpan(at, Math.Min(7000, stream.Length - at)));
            if (taken == 0)
                harness.Send(stream[at..]);
            at = taken == 0 ? stream.Length : at + taken;
        }

        Assert.Equal("01 00 #0 cas", ShowAll(harness.ReadAll()));
        harness.Send(Of(GetK, "k"));
        Assert.Equal(1, harness.Router.Store.Pins);
        Assert.Equal($"0c 00 #0 cas ext=00000003 key=k [{value}]", ShowAll(harness.ReadAll()));
        Assert.Equal(0, harness.Router.Store.Pins);
        harness.Router.Store.LendsPins = false;
        Assert.Equal($"00 00 #0 cas ext=00000003 [{value}]", ShowAll(harness.Ask(Of(Get, "k"))));
    }

    [Fact]
    public async Task StatsThatCannotBeCollectedAreAnsweredAllTheSame()
    {
        using var harness = new SessionHarness(static o => o with { TrackSizes = true });
        Assert.Equal("", harness.Ask(Of(Stat, "sizes", opaque: 7) + Of(NoOp, opaque: 8)));
        harness.Router.FakeStores.Sizes.SetException(new RouterException("no"));
        await Wait.UntilAsync(() => harness.RunPosted() > 0, "they could not be collected");
        Assert.Equal("10 86 #7 [statistics could not be collected]\n0a 00 #8", ShowAll(harness.ReadAll()));
    }

    [Fact]
    public void StatsComeAsPacketsWithAnEmptyOneAtTheEnd()
    {
        using var harness = new SessionHarness();
        string[] text = harness.Ask("stats settings\r\n").Split("\r\n");
        harness.Reconnect();
        string[] lines = ShowAll(harness.Ask(Of(Stat, "settings", opaque: 4))).Split('\n');
        Assert.Equal(text[..^2].Select(line => line.Split(' ', 3)).Select(words => $"10 00 #4 key={words[1]} [{words[2]}]"), lines[..^1]);
        Assert.Equal("10 00 #4", lines[^1]);
        string[] general = ShowAll(harness.Ask(Of(Stat))).Split('\n');
        Assert.Contains(general, line => line.StartsWith("10 00 #0 key=curr_items [", StringComparison.Ordinal));
        Assert.Equal("10 00 #0", general[^1]);
    }

    [Fact]
    public void DetailCountsPacketsByTheirKeysPrefix()
    {
        using SessionHarness harness = WithRemote();
        harness.Ask(Of(Stat, "detail on"));
        harness.Ask(Store(SetQ, "a:1", "v") + Of(GetQ, "a:1") + Of(GetK, "a:2") + TouchTo(Touch, "a:1", 0) + Of(DeleteQ, "a:1") + Of(AppendQ, "b:1", value: "v")
            + Of(Get, "r:1"));
        harness.Router.Waiting[0].Complete();
        harness.ReadAll();
        string dump = ShowAll(harness.Ask(Of(Stat, "detail dump", opaque: 3)));
        Assert.Contains("PREFIX a get 3 hit 2 set 1 del 1", dump, StringComparison.Ordinal);
        Assert.Contains("PREFIX b get 0 hit 0 set 1 del 0", dump, StringComparison.Ordinal);
        Assert.Contains("PREFIX r get 1 hit 0 set 0 del 0", dump, StringComparison.Ordinal);
        Assert.StartsWith("10 00 #3 key=detailed [", dump, StringComparison.Ordinal);
        Assert.EndsWith("\n10 00 #3", dump, StringComparison.Ordinal);
    }

    [Fact]
    public void FlushWithADelayIsResolved()
    {
        using var harness = new SessionHarness();
        Assert.Equal("08 00 #0", ShowAll(harness.Ask(Of(Flush, extras: Number(10u)))));
        Assert.Equal(harness.Loop.NowUnixSeconds + 10, harness.Router.LastFlushAt);
        Assert.Equal("", harness.Ask(Of(FlushQ)));
        Assert.Equal(0u, harness.Router.LastFlushAt);
    }

    [Fact]
    public void FlushIsABarrier()
    {
        using var harness = new SessionHarness();
        harness.Router.FlushGate = new TaskCompletionSource();
        harness.Ask(Store(SetQ, "k", "v"));
        Assert.Equal("", harness.Ask(Of(Flush, opaque: 1) + Of(Get, "k", opaque: 2)));
        harness.Router.FlushGate.SetResult();
        SpinWait.SpinUntil(() => harness.RunPosted() > 0);
        Assert.Equal("08 00 #1\n00 01 #2 [Not found]", ShowAll(harness.ReadAll()));
    }

    [Fact]
    public void FlushIsRefusedWhereItIsDisabled()
    {
        using var harness = new SessionHarness(options => options with { FlushEnabled = false });
        Assert.Equal("18 20 #0 [Auth failure.]\n0a 00 #0", ShowAll(harness.Ask(Of(FlushQ) + Of(NoOp))));
    }

    // ---- other silos ---------------------------------------------------------------------------------------------------------------

    [Fact]
    public void QuietGetsAtOtherSilosKeepTheirPlaces()
    {
        using SessionHarness harness = WithRemote();
        harness.Ask(Store(SetQ, "l", "local"));
        harness.Send(Store(SetQ, "r1", "one"));
        harness.Router.Waiting[0].Complete();
        harness.Send(Of(GetKQ, "r0", opaque: 1) + Of(GetKQ, "l", opaque: 2) + Of(GetKQ, "r1", opaque: 3) + Of(GetKQ, "nothing", opaque: 4)
            + Of(NoOp, opaque: 5));
        Assert.Equal("", harness.Read());
        harness.Router.Waiting[1].Complete();
        Assert.Equal("", harness.Read());
        harness.Router.Waiting[0].Complete();
        Assert.Equal("0d 00 #2 cas ext=00000000 key=l [local]\n0d 00 #3 cas ext=00000000 key=r1 [one]\n0a 00 #5", ShowAll(harness.Read()));
        Assert.Equal(0, harness.Loop.Chunks.Rented);
    }

    [Fact]
    public void FailuresOfOtherSilosAreToldToQuietCommandsToo()
    {
        using SessionHarness harness = WithRemote();
        harness.Send(Of(GetQ, "r", opaque: 1) + Store(SetQ, "r", "v", opaque: 2) + Of(GetK, "r", opaque: 3));
        while (harness.Router.Waiting.Count > 0)
            harness.Router.Waiting[0].Fail("no owner");
        Assert.Equal("09 86 #1 [no owner]\n11 86 #2 [no owner]\n0c 86 #3 [no owner]", ShowAll(harness.Read()));
    }

    [Fact]
    public void TheErrorOfATooLargeValueWaitsUntilTheOldValueIsGoneElsewhere()
    {
        using SessionHarness harness = WithRemote();
        harness.Send(Store(SetQ, "r", "old"));
        harness.Router.Waiting[0].Complete();
        harness.Send(Store(SetQ, "r", new string('x', 1 << 20), opaque: 1) + Of(NoOp));
        Assert.Equal("", harness.Read());
        harness.Router.Waiting[0].Complete();
        Assert.Equal("11 03 #1 [Too large.]\n0a 00 #0", ShowAll(harness.Read()));
        Assert.Equal(0, harness.Router.Store.Count);
    }

    [Fact]
    public void WhenRepliesComeInAnyOrderTheyLeaveInCommandOrder()
    {
        int seed = TestSeed.Next();
        for (int round = 0; round < 300; round++)
        {
            var random = new Random(seed + round);
            using SessionHarness harness = WithRemote();
            harness.Router.Store.LendsPins = random.Next(2) == 0;
            var input = new StringBuilder();
            var expected = new List<string>();
            var model = new Dictionary<string, string>();
            for (uint i = (uint)random.Next(1, 60); i > 0; i--)
                AddPacket(random, i, model, input, expected);

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
                else if (harness.Router.Waiting.Count > 0)
                {
                    RemoteRequest any = harness.Router.Waiting[random.Next(harness.Router.Waiting.Count)];
                    harness.Router.Waiting.First(request => request.Key == any.Key).Complete();
                }

                output.Append(random.Next(2) == 0 ? harness.Read(random.Next(1, 500)) : harness.ReadAll());
            }

            string got = ShowAll(output.ToString());
            Assert.True(string.Join('\n', expected) == got, $"seed {seed}, round {round}: expected\n{string.Join('\n', expected)}\ngot\n{got}");
            Assert.Equal(0, harness.Loop.Chunks.Rented);
        }
    }

    [Fact]
    public void ADeadConnectionsRepliesAreDropped()
    {
        using SessionHarness harness = WithRemote();
        harness.Send(Of(GetKQ, "r1") + Of(Get, "r2") + Of(NoOp));
        harness.Session.Abort();
        while (harness.Router.Waiting.Count > 0)
            harness.Router.Waiting[0].Complete();
        Assert.True(harness.Session.Output.IsEmpty);
        Assert.Equal(0, harness.Loop.Chunks.Rented);
    }

    // ---- SASL ----------------------------------------------------------------------------------------------------------------------

    [Fact]
    public void BeforeAuthenticationEverythingElseIsRefusedAndCloses()
    {
        using SessionHarness harness = WithSasl(out FakePasswords passwords);
        Assert.Equal("0b 00 #0 [1.6.45]\n20 00 #0 [PLAIN]\n00 20 #7 [Auth failure.]",
            ShowAll(harness.Ask(Of(BinaryPacket.Version) + Of(SaslList) + Of(Get, "k", opaque: 7) + Of(NoOp))));
        Assert.True(harness.Session.IsFinished);
        Assert.Equal(0, passwords.Asked);
    }

    [Theory]
    [InlineData("\0user\0secret")]
    [InlineData("user\0user\0secret")]
    public void TheRightPasswordOpens(string data)
    {
        using SessionHarness harness = WithSasl(out _);
        string stream = Of(SaslAuth, "PLAIN", value: data, opaque: 1) + Of(Get, "k", opaque: 2);
        for (int cut = 1; cut < stream.Length; cut++)
        {
            harness.Reconnect();
            harness.Send(stream[..cut]);
            Assert.Equal("21 00 #1 [Authenticated]\n00 01 #2 [Not found]", ShowAll(harness.Ask(stream[cut..])));
        }

        GatewayStatistics statistics = harness.Shared.ReadStatistics();
        Assert.Equal((stream.Length - 1, 0), (statistics.Counters.AuthCmds, statistics.Counters.AuthErrors));
    }

    [Fact]
    public void TheMechanismMayBeNamedFirst()
    {
        using SessionHarness harness = WithSasl(out _);
        Assert.Equal(
            "21 21 #1\n22 00 #2 [Authenticated]\n0a 00 #3",
            ShowAll(harness.Ask(Of(SaslAuth, "plain", opaque: 1) + Of(SaslStep, "plain", value: "\0user\0secret", opaque: 2) + Of(NoOp, opaque: 3))));
    }

    [Theory]
    [InlineData("PLAIN", "\0user\0wrong")]
    [InlineData("PLAIN", "\0user\0secret\0")]
    [InlineData("PLAIN", "\0\0secret")]
    [InlineData("PLAIN", "user\0secret")]
    [InlineData("PLAIN", "secret")]
    [InlineData("PLAIN", "other\0user\0secret")]
    [InlineData("CRAM-MD5", "\0user\0secret")]
    [InlineData("PLAIN2", "\0user\0secret")]
    public void AnythingElseFails(string mechanism, string data)
    {
        using SessionHarness harness = WithSasl(out _);
        Assert.Equal("21 20 #1 [Auth failure.]", ShowAll(harness.AskLate(Of(SaslAuth, mechanism, value: data, opaque: 1))));
        Assert.False(harness.Session.IsFinished);
        Assert.Equal("0a 20 #2 [Auth failure.]", ShowAll(harness.Ask(Of(NoOp, opaque: 2))));
        Assert.True(harness.Session.IsFinished);
        Assert.Equal(1, harness.Shared.ReadStatistics().Counters.AuthErrors);
    }

    [Fact]
    public void AStepWithoutABeginningFails()
    {
        using SessionHarness harness = WithSasl(out FakePasswords passwords);
        Assert.Equal("22 20 #0 [Auth failure.]", ShowAll(harness.AskLate(Of(SaslStep, "PLAIN", value: "\0user\0secret"))));
        Assert.Equal(0, passwords.Asked);
    }

    [Fact]
    public void WhoeverGuessesIsClosed()
    {
        using SessionHarness harness = WithSasl(out FakePasswords passwords);
        string guess = Of(SaslAuth, "PLAIN", value: "\0user\0guess");
        string output = harness.AskLate(string.Concat(Enumerable.Repeat(guess, 100)));
        Assert.Equal(Limits.LoginFailuresMax, ShowAll(output).Split('\n').Length);
        Assert.Equal(Limits.LoginFailuresMax, passwords.Asked);
        Assert.True(harness.Session.IsFinished);
    }

    [Fact]
    public void ANewAuthenticationThatFailsTakesTheOldOneAway()
    {
        using SessionHarness harness = WithSasl(out _);
        string stream = Of(SaslAuth, "PLAIN", value: "\0user\0secret") + Of(NoOp) + Of(SaslAuth, "PLAIN", value: "\0user\0wrong") + Of(NoOp);
        Assert.Equal("21 00 #0 [Authenticated]\n0a 00 #0\n21 20 #0 [Auth failure.]\n0a 20 #0 [Auth failure.]", ShowAll(harness.AskLate(stream)));
    }

    // ---- allocation ----------------------------------------------------------------------------------------------------------------

    [Theory]
    [InlineData(Get, "key")]
    [InlineData(GetKQ, "missing")]
    [InlineData(GetK, "missing")]
    [InlineData(Get, "big")]
    [InlineData(Delete, "missing")]
    [InlineData(NoOp, "")]
    [InlineData(BinaryPacket.Version, "")]
    [InlineData(0x70, "")]
    public void OnTheLocalPathNothingIsAllocated(byte opcode, string key) => AssertNoAllocation(Of(opcode, key));

    [Fact]
    public void SetsInPiecesAllocateNothingEither() => AssertNoAllocation(Store(Set, "key", "hello"), TouchTo(Gat, "key", 10),
        Store(SetQ, "key", "hello")[..30], Store(SetQ, "key", "hello")[30..36], Store(SetQ, "key", "hello")[36..]);

    private static void AssertNoAllocation(params string[] packets)
    {
        using var harness = new SessionHarness();
        harness.Ask(Store(SetQ, "key", "hello") + Store(SetQ, "big", new string('b', 20_000)));
        byte[][] segments = [.. packets.Select(Encoding.Latin1.GetBytes)];
        Assert.Equal(0, Allocations.LeastOf(() => Run(1000)));

        void Run(int times)
        {
            for (int i = 0; i < times; i++)
            {
                foreach (byte[] segment in segments)
                    harness.Session.Receive(segment);
                harness.Session.Output.Consume(harness.Session.Output.Bytes);
            }
        }
    }

    private static SessionHarness WithRemote() => new(router: new FakeRouter { IsRemote = static first => first == 'r' });

    private static SessionHarness WithSasl(out FakePasswords passwords)
    {
        var check = new FakePasswords();
        passwords = check;
        return new SessionHarness(options => options with { SaslPasswords = check });
    }

    /// <summary>A packet and what it must answer by a simple model.</summary>
    private static void AddPacket(Random random, uint opaque, Dictionary<string, string> model, StringBuilder input, List<string> expected)
    {
        string key = $"{"rl"[random.Next(2)]}{random.Next(6)}";
        bool hit = model.TryGetValue(key, out string? value);
        switch (random.Next(9))
        {
            case 0:
                input.Append(Of(GetQ, key, opaque: opaque));
                if (hit)
                    expected.Add($"09 00 #{opaque} cas ext=00000000 [{value}]");
                break;
            case 1 or 2:
                input.Append(Of(GetKQ, key, opaque: opaque));
                if (hit)
                    expected.Add($"0d 00 #{opaque} cas ext=00000000 key={key} [{value}]");
                break;
            case 3:
                input.Append(Of(GetK, key, opaque: opaque));
                expected.Add(hit ? $"0c 00 #{opaque} cas ext=00000000 key={key} [{value}]" : $"0c 01 #{opaque} key={key}");
                break;
            case 4 or 5:
                model[key] = new string((char)('a' + random.Next(26)), random.Next(10) == 0 ? 20_000 : random.Next(1, 50));
                bool quiet = random.Next(2) == 0;
                input.Append(Store(quiet ? SetQ : Set, key, model[key], opaque: opaque));
                if (!quiet)
                    expected.Add($"01 00 #{opaque} cas");
                break;
            case 6:
                model.Remove(key);
                input.Append(Of(DeleteQ, key, opaque: opaque));
                if (!hit)
                    expected.Add($"14 01 #{opaque} [Not found]");
                break;
            case 7:
                input.Append(Of(0x70, value: "value", opaque: opaque));
                expected.Add($"70 81 #{opaque} [Unknown command]");
                break;
            default:
                input.Append(Of(NoOp, opaque: opaque));
                expected.Add($"0a 00 #{opaque}");
                break;
        }
    }
}
