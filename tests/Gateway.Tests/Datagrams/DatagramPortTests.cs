using System.Text;
using OrleansCache.Gateway.Tests.Fakes;

namespace OrleansCache.Gateway.Tests.Datagrams;

public sealed class DatagramPortTests
{
    [Fact]
    public void ADatagramIsARequestAndItsRepliesAreOneMessage()
    {
        using var harness = new DatagramHarness();

        Assert.Equal(["1 7 0/1 STORED\r\n"], harness.Ask("set a 5 0 3\r\nabc\r\n"));
        Assert.Equal(["1 65535 0/1 VALUE a 5 3\r\nabc\r\nEND\r\n"], harness.Ask("get a\r\n", 65535));
        Assert.Equal(["1 7 0/1 VALUE a 5 3\r\nabc\r\nVALUE a 5 3\r\nabc\r\nEND\r\n"], harness.Ask("get a b a\r\n"));
        Assert.Equal(["1 7 0/1 VALUE a 5 3\r\nabc\r\nEND\r\nDELETED\r\nEND\r\n"], harness.Ask("get a\r\ndelete a\r\nget a\r\n"));
        Assert.Equal(["1 7 0/1 VERSION 1.6.45\r\n"], harness.Ask("version\n"));
        Assert.Equal(0, harness.Dropped);
    }

    [Fact]
    public void TheReplyToACommandWithoutAKeyIsSmallOrRefused()
    {
        using var harness = new DatagramHarness();
        Assert.InRange(harness.Ask("stats\r\n").Length, 2, 6);

        Assert.Equal(["1 7 0/1 SERVER_ERROR reply too large for UDP\r\n"], harness.Ask(string.Concat(Enumerable.Repeat("stats\r\n", 5))));
        Assert.Equal(1, harness.Refused);
    }

    [Fact]
    public void OneAddressIsSentSoMuchInASecondAndNoMore()
    {
        using var harness = new DatagramHarness();
        harness.Ask($"set a 0 0 1000\r\n{new string('x', 1000)}\r\n");
        string gets = string.Concat(Enumerable.Repeat("get a\r\n", 50));
        int bytes = 50 * ("VALUE a 0 1000\r\n".Length + 1002 + 5);
        int replies = Limits.DatagramReplyBytesPerSecond / bytes;
        for (int i = 0; i < replies; i++)
            Assert.NotEmpty(harness.Ask(gets));

        Assert.Empty(harness.Ask(gets));
        Assert.Equal(1, harness.Refused);
        Assert.Equal(0, harness.Port.Busy);
        Assert.NotEmpty(harness.Ask("get a\r\n"));
    }

    [Fact]
    public void ARequestThatAnswersNothingGetsNoDatagram()
    {
        using var harness = new DatagramHarness();

        Assert.Empty(harness.Ask("set a 0 0 1 noreply\r\nx\r\n"));
        Assert.Empty(harness.Ask("quit\r\n"));
        Assert.Empty(harness.Ask("frob HTTP/1.1\r\n"));
        Assert.Equal(["1 7 0/1 VALUE a 0 1\r\nx\r\nEND\r\n"], harness.Ask("get a\r\n"));
        Assert.Equal(0, harness.Port.Busy);
    }

    [Fact]
    public void TextAndBinaryAreToldApartByEachDatagram()
    {
        using var harness = new DatagramHarness();
        string noop = Binary(0x0a, opaque: 0x01020304);

        string answer = "1 7 0/1 \u0081" + noop[1..];
        Assert.Equal([answer], harness.Ask(noop));
        Assert.Equal(["1 7 0/1 END\r\n"], harness.Ask("get a\r\n"));
        Assert.Equal([answer], harness.Ask(noop));
    }

    /// <summary>Heads that memcached serves too, and those that it drops.</summary>
    [Theory]
    [InlineData(0, 1, 0, true)]
    [InlineData(5, 1, 0, true)]
    [InlineData(0, 1, 0xffff, true)]
    [InlineData(0, 0, 0, false)]
    [InlineData(0, 2, 0, false)]
    [InlineData(1, 2, 0, false)]
    [InlineData(0, 0x0100, 0, false)]
    [InlineData(0, 0x0101, 0, false)]
    [InlineData(0xffff, 0xffff, 0xffff, false)]
    public void ARequestOfMoreThanOneDatagramIsDroppedAndCounted(int sequence, int total, int reserved, bool isServed)
    {
        using var harness = new DatagramHarness();

        harness.Send(DatagramHarness.Frame("get a\r\n", 7, sequence, total, reserved));

        Assert.Equal(isServed ? ["1 7 0/1 END\r\n"] : [], harness.Take());
        Assert.Equal(isServed ? 0 : 1, harness.Dropped);
    }

    [Fact]
    public void FragmentsInAnyOrderHaveNoEffect()
    {
        using var harness = new DatagramHarness();
        byte[][] fragments = [DatagramHarness.Frame("set a 0 0 3\r\n", 7, 0, 2), DatagramHarness.Frame("abc\r\n", 7, 1, 2)];

        foreach (int i in (ReadOnlySpan<int>)[1, 0, 0, 1, 1])
            harness.Send(fragments[i]);

        Assert.Equal(5, harness.Dropped);
        Assert.Equal(["1 7 0/1 END\r\n"], harness.Ask("get a\r\n"));
    }

    [Fact]
    public void EveryCutOfADatagramIsSurvived()
    {
        using var harness = new DatagramHarness();
        foreach (string whole in (string[])["set a 0 0 3\r\nabc\r\n", "get a b c\r\n", "ms a 3 T0\r\nabc\r\n", Binary(0x01, "\0\0\0\0\0\0\0\0", "a", "value")])
        {
            byte[] datagram = DatagramHarness.Frame(whole);
            for (int length = 0; length < datagram.Length; length++)
                harness.Send(datagram[..length]);
            Assert.Equal(0, harness.Port.Busy);
        }

        harness.Take();
        Assert.Equal(["1 7 0/1 END\r\n"], harness.Ask("get a\r\n"));
    }

    [Fact]
    public void WhatDoesNotEndInItsDatagramIsDroppedTheRestIsAnswered()
    {
        using var harness = new DatagramHarness();

        Assert.Equal(["1 7 0/1 END\r\n"], harness.Ask("get a\r\nget b"));
        Assert.Equal(["1 7 0/1 END\r\n"], harness.Ask("get a\r\nset a 0 0 10\r\nabc\r\n"));
        Assert.Equal(2, harness.Dropped);
        Assert.Equal(["1 7 0/1 SERVER_ERROR object too large for cache\r\n"], harness.Ask("set a 0 0 3000000\r\nabc\r\n"));
        Assert.Equal(["1 7 0/1 STORED\r\n"], harness.Ask("set a 0 0 3\r\nabc\r\n"));
    }

    /// <summary>Somebody forges a datagram from one server to another: the reply must not be answered, or the two would go on for ever.</summary>
    [Theory]
    [InlineData("ERROR\r\n")]
    [InlineData("END\r\n")]
    [InlineData("CLIENT_ERROR bad command line format\r\n")]
    [InlineData("42\r\n")]
    [InlineData("\u0081\u000a\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0")]
    public void AReplyIsNotAnswered(string reply)
    {
        using var harness = new DatagramHarness();

        Assert.Empty(harness.Ask(reply));
        Assert.Equal(1, harness.Dropped);
    }

    [Theory]
    [InlineData(1392 - 23, 1)]
    [InlineData(1392 - 22, 2)]
    [InlineData(20_000, 15)]
    [InlineData(60_000, 44)]
    public void ALongReplyIsCutIntoNumberedDatagrams(int bytes, int total)
    {
        using var harness = new DatagramHarness();
        string value = Text(bytes);
        harness.Ask($"set a 0 0 {bytes}\r\n{value}\r\n");
        harness.Router.Store.RunBytesMax = 1000;

        harness.Send("get a\r\n", id: 300);

        List<byte[]> datagrams = harness.TakeRaw();
        Assert.Equal(total, datagrams.Count);
        Assert.All(datagrams, datagram => Assert.True(datagram.Length <= 1400));
        Assert.All(datagrams[..^1], datagram => Assert.Equal(1400, datagram.Length));
        Assert.Equal(Enumerable.Range(0, total).Select(i => $"300 {i}/{total}"),
            datagrams.Select(static d => $"{(d[0] << 8) + d[1]} {(d[2] << 8) + d[3]}/{(d[4] << 8) + d[5]}"));
        string all = string.Concat(datagrams.Select(static d => Encoding.Latin1.GetString(d.AsSpan(8))));
        Assert.Equal($"VALUE a 0 {bytes}\r\n{value}\r\nEND\r\n", all);
    }

    [Fact]
    public void AReplyLargerThanAllowedIsRefusedInOneDatagram()
    {
        using var harness = new DatagramHarness();
        harness.Ask($"set a 0 0 60000\r\n{Text(60000)}\r\n");

        Assert.Equal(["1 7 0/1 SERVER_ERROR reply too large for UDP\r\n"], harness.Ask("get a a\r\n"));
        Assert.Equal(["1 7 0/1 SERVER_ERROR reply too large for UDP\r\n"], harness.Ask(string.Concat(Enumerable.Repeat("get a\r\n", 1000))));
        string head = $"\u0081\0\0\0\0\0\0\u0003\0\0\0\u000a\u0001\u0002\u0003\u0004\0\0\0\0\0\0\0\0Too large.";
        Assert.Equal([$"1 7 0/1 {head}"], harness.Ask(string.Concat(Enumerable.Repeat(Binary(0, "", "a", "", 0x01020304), 2))));
        Assert.Equal(3, harness.Refused);
        Assert.Equal(0, harness.Port.Busy);
        Assert.Equal(["1 7 0/1 END\r\n"], harness.Ask("get b\r\n"));
    }

    [Fact]
    public void ADatagramThatWaitsForAnotherSiloHoldsUpNobody()
    {
        using var harness = new DatagramHarness(new FakeRouter { IsRemote = static first => first == 'r' });
        harness.Send("set r1 0 0 1\r\nx\r\n", id: 1);
        harness.Send("get r1 local\r\n", id: 2, peer: 2);
        Assert.Empty(harness.Take());

        Assert.Equal(["1 3 0/1 STORED\r\n"], harness.Ask("set a 0 0 1\r\ny\r\n", id: 3));
        harness.Router.Waiting[0].Complete();
        harness.RunPosted();
        Assert.Equal(["1 1 0/1 STORED\r\n"], harness.Take());
        harness.Router.Waiting[0].Complete();
        harness.RunPosted();
        Assert.Equal(["2 2 0/1 VALUE r1 0 1\r\nx\r\nEND\r\n"], harness.Take());
        Assert.Equal(0, harness.Port.Busy);
    }

    [Fact]
    public void TheRepliesOfADatagramKeepTheirOrderWhoeverAnswersFirst()
    {
        using var harness = new DatagramHarness(new FakeRouter { IsRemote = static first => first == 'r' });

        harness.Send("set r1 0 0 1\r\nx\r\nset a 0 0 1\r\ny\r\nget r2\r\nget a\r\n");
        harness.Router.Waiting[1].Complete();
        harness.RunPosted();
        Assert.Empty(harness.Take());
        harness.Router.Waiting[0].Fail("gone");
        harness.RunPosted();

        Assert.Equal(["1 7 0/1 SERVER_ERROR gone\r\nSTORED\r\nEND\r\nVALUE a 0 1\r\ny\r\nEND\r\n"], harness.Take());
    }

    [Fact]
    public async Task AFlushIsAnsweredWhenItIsDoneEverywhere()
    {
        var router = new FakeRouter { FlushGate = new TaskCompletionSource() };
        using var harness = new DatagramHarness(router);

        harness.Send("flush_all\r\nget a\r\n");
        Assert.Empty(harness.Take());
        router.FlushGate.SetResult();
        string[] replies = [];
        await Wait.UntilAsync(
            () =>
            {
                harness.RunPosted();
                replies = harness.Take();
                return replies.Length > 0;
            },
            "the flush is done");

        Assert.Equal(["1 7 0/1 OK\r\nEND\r\n"], replies);
    }

    [Fact]
    public void AFloodIsBoundedByWhatMayBeUnderWay()
    {
        using var harness = new DatagramHarness(new FakeRouter { IsRemote = static first => first == 'r' });

        for (int i = 0; i < Limits.DatagramRequestsPendingMax + 1000; i++)
            harness.Send("get r\r\n", id: i);

        Assert.Equal(Limits.DatagramRequestsPendingMax, harness.Port.Busy);
        Assert.Equal(1000, harness.Dropped);
        while (harness.Router.Waiting.Count > 0)
            harness.Router.Waiting[^1].Complete();
        harness.RunPosted();
        Assert.Equal(Limits.DatagramRequestsPendingMax, harness.Take().Length);
        Assert.Equal(["1 7 0/1 END\r\n"], harness.Ask("get a\r\n"));
    }

    [Fact]
    public void WhatTheSocketDoesNotTakeWaitsInLine()
    {
        using var harness = new DatagramHarness();
        harness.Ask($"set a 0 0 60000\r\n{Text(60000)}\r\n");
        harness.Room = 10;

        harness.Send("get a\r\n", id: 1);
        harness.Send("get b\r\n", id: 2);
        Assert.Equal(10, harness.Take().Length);
        Assert.True(harness.IsWatching);
        harness.Room = 34;
        harness.Port.SendUnsent();
        Assert.Equal(34, harness.Take().Length);
        Assert.True(harness.IsWatching);
        harness.Room = 1;
        harness.Port.SendUnsent();

        Assert.Equal(["1 2 0/1 END\r\n"], harness.Take());
        Assert.Equal((0, 0L), (harness.Port.Busy, harness.Unsent));
    }

    [Fact]
    public void WhoCannotBeReachedCostsNothing()
    {
        using var harness = new DatagramHarness();

        harness.Send("get a\r\n", peer: 0);

        Assert.Equal((0, 1L), (harness.Port.Busy, harness.Unsent));
    }

    [Fact]
    public void AnEndingPortDropsWhatIsUnderWay()
    {
        var router = new FakeRouter { IsRemote = static first => first == 'r' };
        using var harness = new DatagramHarness(router);
        harness.Ask($"set a 0 0 60000\r\n{Text(60000)}\r\n");
        harness.Send("get a r\r\n");
        harness.Room = 3;
        harness.Send("get a\r\n");
        harness.Port.Finish();
        Assert.False(harness.Port.Drained.IsCompleted);

        harness.Port.Dispose();
        router.Waiting[0].Complete();
        harness.RunPosted();

        Assert.True(harness.Port.Drained.IsCompleted);
        Assert.Equal(3, harness.Take().Length);
    }

    /// <summary>Random bytes and broken requests: nothing escapes, nothing stays behind.</summary>
    [Fact]
    public void RandomDatagramsLeaveNothingBehind()
    {
        int seed = TestSeed.Next();
        var random = new Random(seed);
        string[] parts = ["get ", "set a 0 0 3\r\nabc\r\n", "gets a r\r\n", "\r\n", "a", "r ", "mg a v\r\n", Binary(0x0a), Binary(0, "", "r"), "noreply",
            "flush_all\r\n", "\n", " 0 0 70000\r\n", "stats\r\n"];
        using var harness = new DatagramHarness(new FakeRouter { IsRemote = static first => first == 'r' });
        for (int i = 0; i < 3000; i++)
        {
            var text = new StringBuilder();
            for (int p = random.Next(6); p >= 0; p--)
                text.Append(random.Next(5) == 0 ? ((char)random.Next(256)).ToString() : parts[random.Next(parts.Length)]);
            byte[] datagram = DatagramHarness.Frame(text.ToString(), random.Next(65536), random.Next(2), random.Next(8) == 0 ? 2 : 1);
            harness.Send(datagram[..(random.Next(4) == 0 ? random.Next(datagram.Length) : datagram.Length)]);
            if (random.Next(3) == 0 && harness.Router.Waiting.Count > 0)
                harness.Router.Waiting[random.Next(harness.Router.Waiting.Count)].Complete();
            harness.RunPosted();
        }

        while (harness.Router.Waiting.Count > 0)
            harness.Router.Waiting[0].Complete();
        harness.RunPosted();
        Assert.True(harness.Port.Busy == 0, $"seed {seed}: {harness.Port.Busy} exchanges are left");
        harness.Take();
        Assert.Equal(["1 7 0/1 ERROR\r\n"], harness.Ask("nonsense\r\n"));
    }

    [Fact]
    public void AnExchangeAllocatesNothing()
    {
        using var harness = new DatagramHarness { Room = 0 };
        byte[] datagram = DatagramHarness.Frame("get abcdef\r\n");
        void Run(int times)
        {
            for (int i = 0; i < times; i++)
                harness.Send(datagram, peer: 0);
        }

        Run(1000);
        long before = GC.GetAllocatedBytesForCurrentThread();
        Run(1000);

        Assert.True(GC.GetAllocatedBytesForCurrentThread() - before < 1000, "an exchange allocates");
    }

    private static string Text(int bytes) => string.Create(bytes, 0, static (span, _) =>
    {
        for (int i = 0; i < span.Length; i++)
            span[i] = (char)('a' + (i % 23));
    });

    /// <summary>A binary request, Latin-1.</summary>
    private static string Binary(byte opcode, string extras = "", string key = "", string value = "", uint opaque = 0)
    {
        byte[] head = new byte[24];
        head[0] = 0x80;
        head[1] = opcode;
        head[3] = (byte)key.Length;
        head[4] = (byte)extras.Length;
        head[11] = (byte)(extras.Length + key.Length + value.Length);
        System.Buffers.Binary.BinaryPrimitives.WriteUInt32BigEndian(head.AsSpan(12), opaque);
        return Encoding.Latin1.GetString(head) + extras + key + value;
    }
}
