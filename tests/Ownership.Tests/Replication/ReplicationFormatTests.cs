using OrleansCache.Ownership.Replication;

namespace OrleansCache.Ownership.Tests.Replication;

public sealed class ReplicationFormatTests
{
    private static readonly SiloId Source = SiloId.Create("127.0.0.1:1", 7);

    [Fact]
    public void AMessageIsReadAsItWasWritten()
    {
        var reader = new ReplicationFormat.Reader(Message());
        Assert.Equal((5L, 6L, Source, false), (reader.Stream, reader.Number, reader.Source, reader.IsMalformed));
        Assert.True(reader.Read());
        Assert.Equal((GroupKind.Effects, 3, 40L, 8L, 9L, 77UL), (reader.Kind, reader.Partition, reader.Copy, reader.First, reader.Last, reader.Sequence));
        Assert.Equal([1, 2, 3], reader.Effects.ToArray());
        Assert.True(reader.Read());
        Assert.Equal((GroupKind.Begin | GroupKind.Scan | GroupKind.Complete, 4, 0), (reader.Kind, reader.Partition, reader.Effects.Length));
        Assert.False(reader.Read());
        Assert.False(reader.IsMalformed);
    }

    [Fact]
    public void ACutMessageIsMalformedUnlessItEndsBetweenTwoGroups()
    {
        byte[] message = Message();
        int second = message.Length - ReplicationFormat.GroupHeaderBytes;
        int first = second - 3 - ReplicationFormat.GroupHeaderBytes;
        for (int length = 0; length < message.Length; length++)
        {
            var reader = new ReplicationFormat.Reader(message.AsSpan(0, length));
            while (reader.Read())
            {
                // To its end.
            }

            Assert.Equal(length != first && length != second, reader.IsMalformed);
        }
    }

    [Fact]
    public void AnotherVersionIsMalformed()
    {
        byte[] message = Message();
        message[0]++;
        Assert.True(new ReplicationFormat.Reader(message).IsMalformed);
    }

    [Fact]
    public void RandomBytesAreReadWithoutAnException()
    {
        int seed = TestSeed.Next();
        var random = new Random(seed);
        for (int round = 0; round < 20_000; round++)
        {
            byte[] message = Message();
            for (int change = random.Next(1, 5); change > 0; change--)
                message[random.Next(message.Length)] = (byte)random.Next(256);
            var reader = new ReplicationFormat.Reader(message.AsSpan(0, random.Next(message.Length + 1)));
            int groups = 0;
            while (reader.Read())
                groups++;
            Assert.True(groups <= 2, $"seed {seed}");
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

    private static byte[] Message()
    {
        var output = new GrowingBuffer();
        ReplicationFormat.BeginMessage(output, 5, 6, Source);
        ReplicationFormat.WriteGroup(output.Take(ReplicationFormat.GroupHeaderBytes), GroupKind.Effects, 3, 40, 8, 9, 77, 3);
        output.Write([1, 2, 3]);
        ReplicationFormat.WriteGroup(
            output.Take(ReplicationFormat.GroupHeaderBytes), GroupKind.Begin | GroupKind.Scan | GroupKind.Complete, 4, 41, 0, 5, 78, 0);
        return output.Written.ToArray();
    }
}
