using OrleansCache.Ownership.Replication;

namespace OrleansCache.Ownership.Tests.Replication;

public sealed class ReplicationFormatTests
{
    private static readonly SiloId Source = SiloId.Create("127.0.0.1:1", 7);

    public static TheoryData<byte> Layouts => [ReplicationFormat.Fixed, ReplicationFormat.Compact];

    [Fact]
    public void TheNewestVersionIsCompactAndTheOldestIsNot()
    {
        Assert.Equal(ReplicationFormat.Fixed, ReplicationFormat.LayoutOf(WireVersion.Oldest));
        Assert.Equal(ReplicationFormat.Compact, ReplicationFormat.LayoutOf(WireVersion.Newest));
    }

    [Theory]
    [MemberData(nameof(Layouts))]
    public void AMessageIsReadAsItWasWritten(byte layout)
    {
        var reader = new ReplicationFormat.Reader(Message(layout, out _));
        Assert.Equal((layout, 5L, 6L, Source, false), (reader.Layout, reader.Stream, reader.Number, reader.Source, reader.IsMalformed));
        Assert.True(reader.Read());
        Assert.Equal((GroupKind.Effects, 3, 40L, 8L, 9L, 77UL), (reader.Kind, reader.Partition, reader.Copy, reader.First, reader.Last, reader.Sequence));
        Assert.Equal([1, 2, 3], reader.Effects.ToArray());
        Assert.True(reader.Read());
        Assert.Equal((GroupKind.Reads, 3, 40L, 0L, 0L), (reader.Kind, reader.Partition, reader.Copy, reader.First, reader.Last));
        Assert.Equal([1, 9], reader.Effects.ToArray());
        Assert.True(reader.Read());
        Assert.Equal((GroupKind.Begin | GroupKind.Scan | GroupKind.Complete, 4, 39L, 0L, 5L, 70UL),
            (reader.Kind, reader.Partition, reader.Copy, reader.First, reader.Last, reader.Sequence));
        Assert.Equal([7], reader.Effects.ToArray());
        Assert.True(reader.Read());
        Assert.Equal((GroupKind.Retain, 5, 41L, 900L, 6L, 71UL, 0),
            (reader.Kind, reader.Partition, reader.Copy, reader.First, reader.Last, reader.Sequence, reader.Effects.Length));
        Assert.False(reader.Read());
        Assert.False(reader.IsMalformed);
    }

    /// <summary>The next message says nothing by what the one before has said, whatever their sizes.</summary>
    [Theory]
    [MemberData(nameof(Layouts))]
    public void WhateverTheNumbersAreEachMessageIsReadByItself(byte layout)
    {
        int seed = TestSeed.Next();
        var random = new Random(seed);
        var writer = new ReplicationWriter();
        for (int message = 0; message < 2_000; message++)
        {
            var groups = new (GroupKind Kind, int Partition, long Copy, long First, long Last, ulong Sequence, byte[] Effects)[random.Next(5)];
            writer.Begin(layout, 5, message, Source);
            for (int i = 0; i < groups.Length; i++)
            {
                groups[i] = ((GroupKind)random.Next(16), (int)Any(), Any(), Any(), Any(), (ulong)Any(), new byte[random.Next(300)]);
                random.NextBytes(groups[i].Effects);
                groups[i].Partition &= int.MaxValue;
                (GroupKind kind, int partition, long copy, long first, long last, ulong sequence, byte[] effects) = groups[i];
                writer.WriteGroup(kind, partition, copy, first, last, sequence, effects);
            }

            var reader = new ReplicationFormat.Reader(writer.Buffer.AsSpan(0, writer.Length));
            foreach ((GroupKind kind, int partition, long copy, long first, long last, ulong sequence, byte[] effects) in groups)
            {
                Assert.True(reader.Read(), $"seed {seed}");
                Assert.Equal((kind, partition, copy, first, last, sequence),
                    (reader.Kind, reader.Partition, reader.Copy, reader.First, reader.Last, reader.Sequence));
                Assert.True(reader.Effects.SequenceEqual(effects), $"seed {seed}");
            }

            Assert.False(reader.Read() || reader.IsMalformed);
            writer.Clear();
        }

        long Any() => random.NextInt64(long.MinValue, long.MaxValue) >> random.Next(64);
    }

    [Theory]
    [MemberData(nameof(Layouts))]
    public void ACutMessageIsMalformedUnlessItEndsBetweenTwoGroups(byte layout)
    {
        byte[] message = Message(layout, out List<int> ends);
        for (int length = 0; length < message.Length; length++)
        {
            var reader = new ReplicationFormat.Reader(message.AsSpan(0, length));
            while (reader.Read())
            {
                // To its end.
            }

            Assert.Equal(!ends.Contains(length), reader.IsMalformed);
        }
    }

    [Fact]
    public void OtherVersionsAreMalformed()
    {
        byte[] message = Message(ReplicationFormat.Fixed, out _);
        foreach (byte version in (byte[])[WireVersion.Oldest - 1, WireVersion.Newest + 1])
        {
            message[0] = version;
            Assert.True(new ReplicationFormat.Reader(message).IsMalformed);
        }
    }

    /// <summary>What owners with many partitions send all the time: an effect of each of some partitions.</summary>
    [Fact]
    public void CompactHeadersAreLessThanHalfAsLong()
    {
        const int Groups = 64;
        int seed = TestSeed.Next();
        var random = new Random(seed);
        int[] lengths = [.. new[] { ReplicationFormat.Fixed, ReplicationFormat.Compact }.Select(layout =>
        {
            var writer = new ReplicationWriter();
            writer.Begin(layout, 5, 6, Source);
            int start = writer.Length;
            for (int group = 0; group < Groups; group++)
            {
                // Copies of some terms, partitions that were opened in one hour and have had up to a million writes, by the clock of 2026 and in 10 us.
                long first = random.Next(1_000_000);
                writer.WriteGroup(
                    GroupKind.Effects, random.Next(256), ((40L + random.Next(5)) << 28) + random.Next(1000), first, first,
                    177_000_000_000_000 + (ulong)random.Next(360_000_000), new byte[150]);
            }

            return (writer.Length - start - (150 * Groups)) / Groups;
        })];
        Assert.Equal(ReplicationFormat.FixedHeaderBytes, lengths[0]);
        Assert.True(lengths[1] <= 20, $"seed {seed}: {lengths[1]} bytes");
    }

    [Theory]
    [MemberData(nameof(Layouts))]
    public void RandomBytesAreReadWithoutAnException(byte layout)
    {
        int seed = TestSeed.Next();
        var random = new Random(seed);
        byte[] whole = Message(layout, out _);
        for (int round = 0; round < 20_000; round++)
        {
            byte[] message = [.. whole];
            for (int change = random.Next(1, 5); change > 0; change--)
                message[random.Next(message.Length)] = (byte)random.Next(256);
            var reader = new ReplicationFormat.Reader(message.AsSpan(0, random.Next(message.Length + 1)));
            int bytes = 0;
            while (reader.Read())
                bytes += 1 + reader.Effects.Length;
            Assert.True(bytes <= message.Length, $"seed {seed}");
            ReplicationFormat.TryReadReply(message, out _, out _, []);
        }
    }

    [Fact]
    public void ARepliesRefusalsAreReadAsTheyWereWritten()
    {
        byte[] reply = ReplicationFormat.WriteReply(MessageStatus.Ok, 9, [(3, 40), (4, 41)]);
        List<(int Partition, long Copy)> refused = [];
        Assert.True(ReplicationFormat.TryReadReply(reply, out MessageStatus status, out long number, refused));
        Assert.Equal((MessageStatus.Ok, 9L), (status, number));
        Assert.Equal([(3, 40L), (4, 41L)], refused);
        for (int length = 0; length < reply.Length; length++)
            Assert.False(ReplicationFormat.TryReadReply(reply.AsSpan(0, length), out _, out _, []));
        Assert.False(ReplicationFormat.TryReadReply([.. reply, 0], out _, out _, []));
    }

    private static byte[] Message(byte layout, out List<int> ends)
    {
        var writer = new ReplicationWriter();
        writer.Begin(layout, 5, 6, Source);
        ends = [writer.Length];
        writer.WriteGroup(GroupKind.Effects, 3, 40, 8, 9, 77, [1, 2, 3]);
        ends.Add(writer.Length);
        writer.WriteGroup(GroupKind.Reads, 3, 40, 0, 0, 0, [1, 9]);
        ends.Add(writer.Length);
        writer.BeginScan(4, 39, 5, 70).Write([7]);
        Assert.Equal(1, writer.EndScan(GroupKind.Begin | GroupKind.Scan | GroupKind.Complete));
        ends.Add(writer.Length);
        writer.WriteGroup(GroupKind.Retain, 5, 41, 900, 6, 71, default);
        return writer.Buffer[..writer.Length];
    }
}
