using System.Text.RegularExpressions;
using OrleansCache.Gateway.Tests.Fakes;

namespace OrleansCache.Gateway.Tests.Sessions;

/// <summary>
/// The meta commands in a session: data blocks, order, silence. What they mean in the store is tested there, and against memcached in
/// tests/Conformance.Tests.
/// </summary>
public sealed class SessionMetaTests
{
    private static readonly (string Input, string Output)[] s_conversation =
    [
        ("mn\r\n", "MN\r\n"),
        ("ms a 3 F5 k Oa c\r\nabc\r\n", "HD ka Oa c1\r\n"),
        ("mg a v f s k O7\r\n", "VA 3 f5 s3 ka O7\r\nabc\r\n"),
        ("get a\r\n", "VALUE a 5 3\r\nabc\r\nEND\r\n"),
        ("mg b v\r\n", "EN\r\n"),
        ("mg b v q\r\n", ""),
        ("ms e 0\r\n\r\n", "HD\r\n"),
        ("mg e v s\r\n", "VA 0 s0\r\n\r\n"),
        ("ms a 1 ME k\r\nx\r\n", "NS ka\r\n"),
        ("ms a 2 MA s\r\nde\r\n", "HD s5\r\n"),
        ("ms a 2 MP q s\r\nZZ\r\n", ""),
        ("mg a v\r\n", "VA 7\r\nZZabcde\r\n"),
        ("ms a 1 C99\r\nx\r\n", "EX\r\n"),
        ("ms z 1 C99 c\r\nx\r\n", "NF c0\r\n"),
        ("ms a 2 q\r\nxyz\r\nmn\r\n", "CLIENT_ERROR bad data chunk\r\nCLIENT_ERROR bad command line format\r\nMN\r\n"),
        ("ms a 4 a\r\nmn\r\n\r\nmn\r\n", "CLIENT_ERROR invalid flag\r\nMN\r\n"),
        ("ms a x\r\nmn\r\n", "CLIENT_ERROR bad command line format\r\nMN\r\n"),
        ("ms a 4 MZ q\r\nmn\r\n\r\nmn\r\n", "CLIENT_ERROR invalid mode for ms M token\r\nMN\r\n"),
        ("ma n N0 J13 v\r\n", "VA 2\r\n13\r\n"),
        ("ma n v D5\r\n", "VA 2\r\n18\r\n"),
        ("ma n MD D9 v k\r\n", "VA 1 kn\r\n9\r\n"),
        ("ma n q\r\n", ""),
        ("ma a q\r\n", "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n"),
        ("ma none q Ox\r\n", "NF Ox\r\n"),
        ("mg viv v N30 t\r\n", "VA 0 t30 W\r\n\r\n"),
        ("mg viv2 t v N30\r\n", "VA 0 t-1 W\r\n\r\n"),
        ("mg viv3 T60 t N30\r\n", "HD t60 W\r\n"),
        ("mg viv4 N30 T60 t\r\n", "HD t60 W\r\n"),
        ("mg a T50 t\r\n", "HD t50\r\n"),
        ("md n q k\r\n", ""),
        ("md n q k\r\n", "NF kn\r\n"),
        ("ms YiBj 2 b k\r\nhi\r\n", "HD kYiBj b\r\n"),
        ("mg YiBj b k v\r\n", "VA 2 kYiBj b\r\nhi\r\n"),
        ("mg nob64 b\r\n", "CLIENT_ERROR error decoding key\r\n"),
        ("me nothing\r\n", "EN\r\n"),
        ("set c 0 0 3\r\nxyz\r\nmg c v\r\nget c\r\n", "STORED\r\nVA 3\r\nxyz\r\nVALUE c 0 3\r\nxyz\r\nEND\r\n"),
        ("mg c v v\nmg c v q\n", "CLIENT_ERROR duplicate flag\r\nVA 3\r\nxyz\r\n"),
        ("ms c 5 E7 c\r\n\r\n\r\n\n\r\n", "HD c7\r\n"),
    ];

    private static string Inputs => string.Concat(s_conversation.Select(static c => c.Input));
    private static string Outputs => string.Concat(s_conversation.Select(static c => c.Output));

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

    [Fact]
    public void AtEveryCutTheRepliesAreTheSame()
    {
        string inputs = Inputs;
        for (int cut = 1; cut < inputs.Length; cut++)
        {
            using var harness = new SessionHarness();
            Assert.Equal(Outputs, harness.Ask(inputs[..cut]) + harness.Ask(inputs[cut..]));
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    [InlineData(7)]
    public void WhenSegmentsAreSmallTheRepliesAreTheSame(int segmentBytes)
    {
        using var harness = new SessionHarness();
        string all = "";
        foreach (char[] segment in Inputs.Chunk(segmentBytes))
            all += harness.Ask(new string(segment));
        Assert.Equal(Outputs, all);
    }

    /// <summary>All keys are at other silos, which answer in any order: the replies come in the order of the commands, with all that was asked for.</summary>
    [Fact]
    public void WhenEveryKeyIsElsewhereTheRepliesAreTheSame()
    {
        int seed = TestSeed.Next();
        var random = new Random(seed);
        using var harness = new SessionHarness();
        harness.Router.IsRemote = static _ => true;
        harness.Send(Inputs);
        string all = "";
        do
        {
            all += harness.ReadAll();
            if (harness.Router.Waiting.Count == 0)
                break;

            // The first that waits for a key, of any key: a partition's requests keep their order.
            RemoteRequest[] first = [.. harness.Router.Waiting.GroupBy(request => request.Key).Select(group => group.First())];
            first[random.Next(first.Length)].Complete();
        }
        while (true);

        // Numbers of CAS depend on the order in which the silos execute.
        string got = Regex.Replace(all + harness.ReadAll(), @" c\d+\r", " c\r");
        string expected = Regex.Replace(Outputs, @" c\d+\r", " c\r");
        Assert.True(expected == got, $"seed {seed}:\n{got}");
    }

    [Fact]
    public void NoOpBehindQuietCommandsAnswersLast()
    {
        using var harness = new SessionHarness();
        harness.Router.IsRemote = static key => key == 'r';
        harness.Send("ms r1 1 q\r\nx\r\nmg r2 v q\r\nmg l v q\r\nmn\r\n");
        Assert.Equal("", harness.Read());
        harness.Router.Waiting[1].Complete();
        Assert.Equal("", harness.Read());
        harness.Router.Waiting[0].Complete();
        Assert.Equal("MN\r\n", harness.Read());
        Assert.Equal("VA 1\r\nx\r\n", Remote(harness, "mg r1 v q\r\n"));
    }

    [Fact]
    public void ErrorsOfOtherSilosBreakTheSilence()
    {
        using var harness = new SessionHarness();
        harness.Router.IsRemote = static _ => true;
        harness.Send("ms a 1 q\r\nx\r\nmg a q\r\nmn\r\n");
        foreach (RemoteRequest request in harness.Router.Waiting.ToArray())
            request.Fail("partition 3 has no owner that answers");
        Assert.Equal("SERVER_ERROR partition 3 has no owner that answers\r\nSERVER_ERROR partition 3 has no owner that answers\r\nMN\r\n", harness.Read());
    }

    [Theory]
    [InlineData("")]
    [InlineData(" MA")]
    [InlineData(" ME q")]
    public void ValueThatIsTooLargeTakesTheFormerOneWithItInEveryMode(string flags)
    {
        foreach (bool isRemote in new[] { false, true })
        {
            using var harness = new SessionHarness();
            harness.Ask("set a 0 0 1\r\nx\r\n");
            harness.Router.IsRemote = _ => isRemote;
            harness.Send($"ms a 1048576{flags}\r\n{new string('v', 1048576)}\r\nmn\r\n");
            if (isRemote)
            {
                Assert.Equal("", harness.Read());
                harness.Router.Waiting[0].Complete();
            }

            Assert.Equal("SERVER_ERROR object too large for cache\r\nMN\r\n", harness.ReadAll());
            Assert.Equal(0, harness.Router.Store.Count);
        }
    }

    [Theory]
    [InlineData(100)]
    [InlineData(16_384)]
    [InlineData(100_000)]
    public void LargeValuesComeBack(int length)
    {
        using var harness = new SessionHarness();
        string value = new('v', length);
        Assert.Equal("HD\r\n", harness.Ask($"ms a {length}\r\n{value}\r\n"));
        Assert.Equal($"VA {length} ka\r\n{value}\r\nMN\r\n", harness.Ask("mg a v k\r\nmn\r\n"));
        harness.Router.IsRemote = static _ => true;
        Assert.Equal($"VA {length} ka\r\n{value}\r\n", Remote(harness, "mg a v k\r\n"));
        Assert.Equal(0, harness.Router.Store.Pins);
    }

    [Fact]
    public void MarksOfTheItemAreShown()
    {
        using var harness = new SessionHarness();
        harness.Router.Store.ShownFlags = ItemFlags.Stale | ItemFlags.AlreadyWon | ItemFlags.Fetched;
        harness.Ask("set a 0 0 1\r\nx\r\n");
        Assert.Equal("HD h1 Z X\r\n", harness.Ask("mg a h\r\n"));
        Assert.Equal("VALUE a 0 1\r\nx\r\nEND\r\n", harness.Ask("get a\r\n"));
    }

    [Fact]
    public void OnlyDebugCommandsCountAsMeta()
    {
        using var harness = new SessionHarness();
        harness.Ask("mg a\r\nms a 1\r\nx\r\nme a\r\nme b\r\nmn\r\n");
        Assert.Contains("STAT cmd_meta 2\r\n", harness.Ask("stats\r\n"), StringComparison.Ordinal);
    }

    private static string Remote(SessionHarness harness, string input)
    {
        harness.Send(input);
        harness.Router.Waiting[0].Complete();
        return harness.ReadAll();
    }

    [Fact]
    public void AConnectionThatSentOnlyQuietCommandsHoldsNoMemory()
    {
        using var harness = new SessionHarness();
        Assert.Equal("", harness.Ask("ms k 1 q\r\nv\r\nmg no v q\r\nmd k q\r\n"));
        Assert.Equal(0, harness.Loop.Chunks.Rented);
    }
}
