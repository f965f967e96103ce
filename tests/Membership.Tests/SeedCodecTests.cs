using Xunit.Abstractions;

namespace OrleansCache.Membership.Tests;

public sealed class SeedCodecTests(ITestOutputHelper output)
{
    private static readonly Ballot Low = new(7, Guid.Parse("11111111-2222-3333-4444-555555555555"));
    private static readonly Ballot High = Low with { Counter = 9 };

    private static readonly RegisterValue Value = new(
        "cluster-é", 12,
        new SeedSet(new SeedId(new SeedAddress("a", 1), Guid.Parse("0a000000-0000-0000-0000-000000000000")),
            new SeedId(new SeedAddress("[::1]", 65535), Guid.Parse("0b000000-0000-0000-0000-000000000000"))),
        new SeedSet(new SeedId(new SeedAddress("a", 1), Guid.Parse("0a000000-0000-0000-0000-000000000000"))),
        "content"u8.ToArray(), [1, ulong.MaxValue]);

    private static readonly SeedRequest[] Requests =
    [
        new() { Kind = SeedRequestKind.Read, Known = Low },
        new() { Kind = SeedRequestKind.Read, ClusterId = "c" },
        new() { Kind = SeedRequestKind.Prepare, Target = Guid.NewGuid(), ClusterId = "c", Ballot = High, Known = Low },
        new() { Kind = SeedRequestKind.Accept, Target = Guid.NewGuid(), ClusterId = Value.ClusterId, Ballot = Low, Next = High, Value = Value },
        new() { Kind = SeedRequestKind.Alive, ClusterId = "c", AliveKey = "row", AliveTicks = 5 },
    ];

    private static readonly SeedReply[] Replies =
    [
        new() { Kind = SeedReplyKind.State, Identity = Guid.NewGuid(), Promised = High, Accepted = Low, Value = Value, Alive = [("a", 1), ("b", 2)] },
        new() { Kind = SeedReplyKind.State, Identity = Guid.NewGuid() },
        new() { Kind = SeedReplyKind.Promised, Identity = Guid.NewGuid(), Promised = High, Accepted = Low, ValueIsKnown = true },
        new() { Kind = SeedReplyKind.Accepted, Identity = Guid.NewGuid(), Promised = High, Accepted = Low },
        new() { Kind = SeedReplyKind.OtherCluster, Identity = Guid.NewGuid(), Reason = "elsewhere" },
    ];

    [Fact]
    public void WhatIsWrittenIsReadAgain()
    {
        foreach (SeedRequest request in Requests)
            AssertSame(request, SeedCodec.ReadRequest(SeedCodec.Write(request))!);
        foreach (SeedReply reply in Replies)
        {
            SeedReply read = SeedCodec.ReadReply(SeedCodec.Write(reply))!;
            Assert.Equal(reply with { Value = null, Alive = [] }, read with { Value = null, Alive = [] });
            Assert.Equal(reply.Alive, read.Alive);
            AssertSame(reply.Value, read.Value);
        }

        AcceptorState state = SeedCodec.ReadRecord(SeedCodec.Write(new AcceptorState(High, Low, Value)))!;
        Assert.Equal((High, Low), (state.Promised, state.Accepted));
        AssertSame(Value, state.Value);
        Assert.Equal(AcceptorState.Blank, SeedCodec.ReadRecord(SeedCodec.Write(AcceptorState.Blank)));
    }

    /// <summary>The bytes that are on disks and in seeds of this version.</summary>
    [Fact]
    public void ARecordHasItsBytes() => Assert.Equal(
        "01" + "0900000000000000" + "11111111222233334444555555555555" + "0700000000000000" + "11111111222233334444555555555555" + "01"
        + "0C00000000000000" + "0A00" + "636C75737465722DC3A9" + "02" + "0100000000000000" + "FFFFFFFFFFFFFFFF"
        + "02" + "0A000000000000000000000000000000" + "0300" + "613A31" + "0B000000000000000000000000000000" + "0B00" + "5B3A3A315D3A3635353335"
        + "01" + "01" + "0A000000000000000000000000000000" + "0300" + "613A31" + "07000000" + "636F6E74656E74",
        Convert.ToHexString(SeedCodec.Write(new AcceptorState(High, Low, Value))));

    [Fact]
    public void CutMessagesAreRefused()
    {
        foreach (SeedRequest request in Requests)
            Check(SeedCodec.Write(request), static bytes => SeedCodec.ReadRequest(bytes) is null);
        foreach (SeedReply reply in Replies)
            Check(SeedCodec.Write(reply), static bytes => SeedCodec.ReadReply(bytes) is null);
        Check(SeedCodec.Write(new AcceptorState(High, Low, Value)), static bytes => SeedCodec.ReadRecord(bytes) is null);

        static void Check(byte[] whole, Func<byte[], bool> isRefused)
        {
            for (int length = 0; length < whole.Length; length++)
                Assert.True(isRefused(whole[..length]), $"{length} of {whole.Length} bytes");
            Assert.True(isRefused([.. whole, 0]));
        }
    }

    [Fact]
    public void AlteredMessagesAreReadOrRefusedAndNothingElse()
    {
        int seed = TestSeed.Next(output);
        var random = new Random(seed);
        byte[][] wholes = [.. Wholes()];
        int read = 0;
        for (int i = 0; i < 100_000; i++)
        {
            byte[] bytes = [.. wholes[random.Next(wholes.Length)]];
            for (int change = random.Next(1, 4); change > 0; change--)
                bytes[random.Next(bytes.Length)] = (byte)random.Next(256);
            if (random.Next(4) == 0)
                random.NextBytes(bytes.AsSpan(random.Next(1, bytes.Length)));
            read += IsRead(bytes) ? 1 : 0;
        }

        output.WriteLine($"{read} of 100000 could be read");
    }

    /// <summary>A count in a message promises more than the message holds: what is allocated stays in proportion.</summary>
    [Fact]
    public void ShortMessagesAllocateLittle()
    {
        var random = new Random(1);
        byte[] bytes = new byte[300];
        long most = 0;
        for (int i = 0; i < 10_000; i++)
        {
            random.NextBytes(bytes);
            bytes[0] = 1;
            bytes[1] = (byte)random.Next(10);
            long before = GC.GetAllocatedBytesForCurrentThread();
            IsRead(bytes);
            most = Math.Max(most, GC.GetAllocatedBytesForCurrentThread() - before);
        }

        Assert.InRange(most, 0, 64 * 1024);
    }

    [Fact]
    public void TheLongestMessagesFitTheLimits()
    {
        string host = new('h', 255);
        var seeds = new SeedSet(Enumerable.Range(1, Limits.SeedsMax).Select(i => new SeedId(new SeedAddress(host, 60_000 + i), Guid.NewGuid())));
        var value = new RegisterValue(new string('c', Limits.RegisterClusterIdBytesMax), 1, seeds, seeds, new byte[Limits.RegisterContentBytesMax],
            new ulong[RegisterValue.RecentMax]);
        Assert.InRange(SeedCodec.Write(new AcceptorState(High, Low, value)).Length, 0, Limits.SeedRecordBytesMax);
        var reply = new SeedReply
        {
            Kind = SeedReplyKind.State, Promised = High, Accepted = Low, Value = value, Reason = new string('é', 1000),
            Alive = [.. Enumerable.Range(0, Limits.AliveRowsMax).Select(i => (i.ToString("D128", System.Globalization.CultureInfo.InvariantCulture), 1L))],
        };
        byte[] bytes = SeedCodec.Write(reply);
        Assert.InRange(bytes.Length, 0, Limits.RegisterMessageBytesMax);
        Assert.NotNull(SeedCodec.ReadReply(bytes));
    }

    [Theory]
    [InlineData("host:1", "host:1")]
    [InlineData("Host.Example:011", "host.example:11")]
    [InlineData("[::1]:11111", "[::1]:11111")]
    [InlineData("::1:11111", null)]
    [InlineData("host", null)]
    [InlineData(":11111", null)]
    [InlineData("host:0", null)]
    [InlineData("host:65536", null)]
    [InlineData("ho st:1", null)]
    [InlineData("höst:1", null)]
    [InlineData("host:+1", null)]
    [InlineData("", null)]
    [InlineData(null, null)]
    public void AnAddressIsHostAndPort(string? text, string? expected)
    {
        Assert.Equal(expected is not null, SeedAddress.TryParse(text, out SeedAddress address));
        Assert.Equal(expected ?? "", address.ToString());
        if (expected is not null)
            Assert.Equal(address, new SeedAddress(address.Host, address.Port));
    }

    private static IEnumerable<byte[]> Wholes() =>
        [.. Requests.Select(SeedCodec.Write), .. Replies.Select(SeedCodec.Write), SeedCodec.Write(new AcceptorState(High, Low, Value))];

    private static bool IsRead(ReadOnlySpan<byte> bytes)
    {
        // Each kind of message is given to every reader: none of them knows what it gets.
        bool request = SeedCodec.ReadRequest(bytes) is not null;
        bool reply = SeedCodec.ReadReply(bytes) is not null;
        bool record = SeedCodec.ReadRecord(bytes) is not null;
        return request || reply || record;
    }

    private static void AssertSame(SeedRequest expected, SeedRequest actual)
    {
        Assert.Equal(expected with { Value = null }, actual with { Value = null });
        AssertSame(expected.Value, actual.Value);
    }

    private static void AssertSame(RegisterValue? expected, RegisterValue? actual)
    {
        Assert.Equal(expected is null, actual is null);
        if (expected is null || actual is null)
            return;
        Assert.Equal((expected.ClusterId, expected.Version, expected.Seeds, expected.Former), (actual.ClusterId, actual.Version, actual.Seeds, actual.Former));
        Assert.Equal(expected.Content.ToArray(), actual.Content.ToArray());
        Assert.Equal(expected.Recent, actual.Recent);
    }
}
