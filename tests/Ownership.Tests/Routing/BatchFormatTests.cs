using System.Text;
using OrleansCache.Ownership.Routing;

namespace OrleansCache.Ownership.Tests.Routing;

public sealed class BatchFormatTests
{
    [Fact]
    public void EveryFieldOfARequestArrives()
    {
        var writer = new BatchWriter();
        byte[] key = Encoding.ASCII.GetBytes(new string('k', Limits.KeyBytesMax));
        byte[] value = new byte[100_000];
        new Random(1).NextBytes(value);
        foreach (CacheOperation operation in Enum.GetValues<CacheOperation>())
        {
            for (int bits = 0; bits < 1 << 15; bits++)
            {
                var request = Sample(operation, (RequestFlags)bits, key, bits == 77 ? value : []);
                writer.Append(in request);
            }

            var reader = new BatchReader(writer.Complete(77).Span);
            Assert.Equal(77ul, reader.HashFingerprint);
            for (int bits = 0; bits < 1 << 15; bits++)
            {
                Assert.True(reader.TryRead(out CacheRequest read));
                CacheRequest sent = Sample(operation, (RequestFlags)bits, key, bits == 77 ? value : []);
                Assert.Equal(sent.Operation, read.Operation);
                Assert.Equal(sent.Flags, read.Flags);
                Assert.Equal(sent.ClientFlags, read.ClientFlags);
                Assert.Equal(sent.KeyHash, read.KeyHash);
                Assert.Equal(sent.ExpiresAt, read.ExpiresAt);
                Assert.True(sent.Key.SequenceEqual(read.Key));
                Assert.True(sent.Value.SequenceEqual(read.Value));
                Assert.Equal(Has(sent, RequestFlags.CompareCas) ? sent.CompareCas : 0, read.CompareCas);
                Assert.Equal(Has(sent, RequestFlags.ExplicitCas) ? sent.NewCas : 0, read.NewCas);
                Assert.Equal(Has(sent, RequestFlags.CreateOnMiss) ? sent.InitialValue : 0, read.InitialValue);
                Assert.Equal(Has(sent, RequestFlags.CreateOnMiss) ? sent.CreateExpiresAt : 0, read.CreateExpiresAt);
                Assert.Equal(Has(sent, RequestFlags.Recache) ? sent.RecacheBefore : 0, read.RecacheBefore);
                bool counts = operation is CacheOperation.Increment or CacheOperation.Decrement;
                Assert.Equal(counts ? sent.Delta : 0, read.Delta);
            }

            Assert.False(reader.TryRead(out _));
            writer.Reset();
        }
    }

    [Fact]
    public void EveryFieldOfAReplyArrives()
    {
        byte[] value = Encoding.ASCII.GetBytes("the value");
        var writer = new ReplyWriter();
        writer.OnReply(new CacheReply
        {
            Status = CacheStatus.Ok,
            ItemFlags = ItemFlags.Stale | ItemFlags.Won | ItemFlags.BinaryKey,
            SlabClass = 6,
            ClientFlags = 7,
            ExpiresAt = 8,
            LastAccess = 9,
            Cas = 10,
            Number = 11,
            Value = new ValueView(value),
        });
        writer.OnReply(new CacheReply { Status = CacheStatus.Ok, Value = ValueView.OfLength(12345) });
        writer.OnReply(new CacheReply { Status = CacheStatus.NotFound });
        writer.WriteStatus(BatchFormat.StatusNotOwner);

        var reader = new ReplyReader(writer.TakeReply().Span);
        Assert.Equal(4, reader.Count);
        Assert.True(reader.TryRead(out _, out CacheReply full));
        Assert.Equal(CacheStatus.Ok, full.Status);
        Assert.Equal(ItemFlags.Stale | ItemFlags.Won | ItemFlags.BinaryKey, full.ItemFlags);
        Assert.Equal(6, full.SlabClass);
        Assert.Equal((7u, 8u, 9u, 10ul, 11ul), (full.ClientFlags, full.ExpiresAt, full.LastAccess, full.Cas, full.Number));
        Assert.True(full.Value.Span.SequenceEqual(value));
        Assert.True(reader.TryRead(out _, out CacheReply lengthOnly));
        Assert.Equal(12345, lengthOnly.Value.Length);
        Assert.False(lengthOnly.Value.HasBytes);
        Assert.True(reader.TryRead(out byte miss, out CacheReply missed));
        Assert.Equal(((byte)CacheStatus.NotFound, CacheStatus.NotFound), (miss, missed.Status));
        Assert.True(reader.TryRead(out byte wire, out _));
        Assert.Equal(BatchFormat.StatusNotOwner, wire);
        Assert.False(reader.TryRead(out _, out _));
    }

    [Fact]
    public void DamagedBatchesAndRepliesAreRefusedNotMisread()
    {
        int seed = TestSeed.Next();
        var random = new Random(seed);
        var batch = new BatchWriter();
        var replies = new ReplyWriter();
        byte[] key = "key"u8.ToArray();
        for (int i = 0; i < 20; i++)
        {
            CacheRequest request = Sample(CacheOperation.Set, RequestFlags.CompareCas, key, new byte[i]);
            batch.Append(in request);
            replies.OnReply(new CacheReply { Status = CacheStatus.Ok, Value = new ValueView(new byte[i]) });
        }

        byte[] batchBytes = batch.Complete(77).Span.ToArray();
        byte[] replyBytes = replies.TakeReply().Span.ToArray();
        int refused = 0;
        for (int round = 0; round < 20_000; round++)
        {
            bool isBatch = round % 2 == 0;
            byte[] bytes = (byte[])(isBatch ? batchBytes : replyBytes).Clone();
            int length = random.Next(3) == 0 ? random.Next(bytes.Length) : bytes.Length;
            for (int flips = random.Next(4); flips > 0; flips--)
                bytes[random.Next(bytes.Length)] ^= (byte)(1 << random.Next(8));
            try
            {
                Walk(bytes.AsSpan(0, length), isBatch);
            }
            catch (InvalidDataException)
            {
                refused++;
            }
        }

        Assert.True(refused > 1000, $"only {refused} of 20000 damaged inputs were refused, seed {seed}");
    }

    private static void Walk(ReadOnlySpan<byte> bytes, bool isBatch)
    {
        if (isBatch)
        {
            var reader = new BatchReader(bytes);
            while (reader.TryRead(out CacheRequest request))
                Assert.True(request.Key.Length <= 255);
        }
        else
        {
            var reader = new ReplyReader(bytes);
            while (reader.TryRead(out _, out CacheReply reply))
                Assert.True(reply.Value.Span.Length <= bytes.Length);
        }
    }

    private static bool Has(in CacheRequest request, RequestFlags flag) => (request.Flags & flag) != 0;

    private static CacheRequest Sample(CacheOperation operation, RequestFlags flags, byte[] key, byte[] value) => new()
    {
        Operation = operation,
        Flags = flags,
        ClientFlags = 0xFFFFFFFF,
        KeyHash = 0x0123456789ABCDEF,
        Key = key,
        Value = value,
        ExpiresAt = 4_000_000_000,
        CreateExpiresAt = 3_000_000_000,
        RecacheBefore = 30,
        CompareCas = ulong.MaxValue,
        NewCas = ulong.MaxValue - 1,
        Delta = ulong.MaxValue - 2,
        InitialValue = ulong.MaxValue - 3,
    };
}
