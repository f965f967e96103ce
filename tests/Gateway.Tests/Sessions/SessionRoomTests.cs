using System.Text;
using OrleansCache.Gateway.Sessions;
using OrleansCache.Gateway.Tests.Fakes;

namespace OrleansCache.Gateway.Tests.Sessions;

/// <summary>
/// What connections hold together is bounded: reads of large values wait for room, then fail; values that arrive are refused; nobody holds much.
/// </summary>
public sealed class SessionRoomTests
{
    private const int LargeBytes = 100_000;
    private const int BufferBytesMax = 400_000;

    private static readonly string s_large = new('v', LargeBytes);

    public static TheoryData<string, string, string> Reads() => new()
    {
        { "get k\r\n", $"VALUE k 0 {LargeBytes}\r\n{s_large}\r\nEND\r\n", "SERVER_ERROR out of memory writing get response\r\n" },
        { "gat 0 k\r\n", $"VALUE k 0 {LargeBytes}\r\n{s_large}\r\nEND\r\n", "SERVER_ERROR out of memory writing get response\r\n" },
        { "get no k\r\n", $"VALUE k 0 {LargeBytes}\r\n{s_large}\r\nEND\r\n", "SERVER_ERROR out of memory writing get response\r\n" },
        { "mg k v q\r\n", $"VA {LargeBytes}\r\n{s_large}\r\n", "SERVER_ERROR out of memory writing get response\r\n" },
    };

    [Theory]
    [MemberData(nameof(Reads))]
    public void AReadOfALargeValueWaitsForRoomAndWhatIsBehindItToo(string read, string reply, string _)
    {
        foreach (bool broken in new[] { false, true })
        {
            using SessionHarness harness = Full(out List<Session> slow);
            if (broken)
            {
                harness.Send(read[..3]);
                harness.Send(read[3..] + "version\r\n");
            }
            else
            {
                harness.Send(read + "version\r\n");
            }

            for (int i = 0; i < 20; i++)
            {
                Assert.Equal("", Check(harness));
                Assert.False(harness.Session.WantsInput);
            }

            slow[0].Abort();
            Assert.Equal(reply + "VERSION 1.6.45\r\n", Check(harness));
            Assert.Equal(0, harness.Loop.Counters.RepliesRefused);
        }
    }

    [Theory]
    [MemberData(nameof(Reads))]
    public void ARoomThatDoesNotComeFailsTheReadAndNothingElse(string read, string _, string error)
    {
        using SessionHarness harness = Full(out List<Session> unused);
        harness.Send(read + "set s 0 0 1\r\nx\r\nget s\r\n");
        var text = new StringBuilder();
        for (int i = 0; i < Limits.RoomWaitSecondsMax * 1000 / Limits.RoomCheckMilliseconds + 200; i++)
            text.Append(Check(harness));

        Assert.Equal(error + "STORED\r\nVALUE s 0 1\r\nx\r\nEND\r\n", text.ToString());
        Assert.Equal(1, harness.Loop.Counters.RepliesRefused);
    }

    [Fact]
    public void BinaryReadsWaitAndFailTheSameWay()
    {
        byte[] get = [0x80, 0x00, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0, (byte)'k'];
        using SessionHarness harness = Full(out List<Session> slow);
        harness.Session.Receive(get.AsSpan(0, 10));
        harness.Session.Receive(get.AsSpan(10));
        Assert.Equal("", Check(harness));
        slow[0].Abort();
        Assert.EndsWith(s_large, Check(harness), StringComparison.Ordinal);

        using SessionHarness other = Full(out _);
        other.Session.Receive(get);
        var text = new StringBuilder();
        for (int i = 0; i < Limits.RoomWaitSecondsMax * 1000 / Limits.RoomCheckMilliseconds + 200; i++)
            text.Append(Check(other));
        Assert.StartsWith("\u0081\0\0\0\0\0\0\u0082", text.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void AValueThatArrivesAndFindsNoRoomIsRefusedAndItsFormerValueIsGone()
    {
        using SessionHarness harness = Full(out _);
        Assert.Equal("STORED\r\n", harness.Ask("set a 0 0 1\r\nx\r\n"));
        string block = new('n', 300_000);
        var text = new StringBuilder(harness.Ask($"set a 0 0 {block.Length}\r\n"));
        for (int at = 0; at < block.Length; at += 50_000)
            text.Append(harness.Ask(block.Substring(at, 50_000)));
        text.Append(harness.Ask("\r\nget a\r\n"));

        Assert.Equal("SERVER_ERROR out of memory storing object\r\nEND\r\n", text.ToString());
        Assert.Equal(1, harness.Loop.Counters.ReadBuffersRefused);
    }

    [Fact]
    public void WhenMuchIsHeldAConnectionHoldsLittle()
    {
        using SessionHarness harness = Full(out _);
        Assert.Equal("STORED\r\n", harness.Ask("set m 0 0 4000\r\n" + new string('m', 4000) + "\r\n"));
        harness.Send(string.Concat(Enumerable.Repeat("get m\r\n", 1000)));
        Assert.InRange(harness.Session.Output.Bytes, Limits.OutputHighWaterBytesWhenShort, Limits.OutputHighWaterBytesWhenShort + 8000);
        Assert.Equal(1000 * ("VALUE m 0 4000\r\n".Length + 4002 + 5), harness.ReadAll().Length);
    }

    /// <summary>Other connections of the loop hold copies of the value, as many as there is room for; the one that is left has room for none.</summary>
    private static SessionHarness Full(out List<Session> slow)
    {
        var harness = new SessionHarness(options => options with { BufferBytesMax = BufferBytesMax });
        harness.Router.Store.LendsPins = false;
        Assert.Equal("STORED\r\n", harness.Ask($"set k 0 0 {LargeBytes}\r\n{s_large}\r\n"));
        slow = [];
        for (int i = 0; i < 3; i++)
        {
            harness.Send("get k\r\n");
            Assert.True(harness.Session.Output.Bytes > LargeBytes);
            slow.Add(harness.Session);
            harness.Reconnect();
        }

        return harness;
    }

    private static string Check(SessionHarness harness)
    {
        harness.Time.Advance(TimeSpan.FromMilliseconds(Limits.RoomCheckMilliseconds));
        harness.Loop.ReadClock();
        harness.RunPosted();
        return harness.ReadAll();
    }
}
