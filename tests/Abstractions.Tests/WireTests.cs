namespace OrleansCache.Abstractions.Tests;

/// <summary>Numbers of as many bytes as somebody else says.</summary>
public sealed class WireTests
{
    [Theory]
    [InlineData(0UL, "")]
    [InlineData(1UL, "01")]
    [InlineData(255UL, "FF")]
    [InlineData(256UL, "0001")]
    [InlineData(0x01_02_03UL, "030201")]
    [InlineData((1UL << 56) - 1, "FFFFFFFFFFFFFF")]
    [InlineData(1UL << 56, "0000000000000001")]
    [InlineData(ulong.MaxValue, "FFFFFFFFFFFFFFFF")]
    public void ANumberTakesAsManyBytesAsItNeeds(ulong value, string bytes)
    {
        int needed = WireWriter.BytesOf(value);
        Assert.Equal(bytes.Length / 2, needed);
        foreach (int room in (int[])[needed, 32])
        {
            byte[] wire = new byte[room];
            var writer = new WireWriter(wire);
            writer.UInt64(value, needed);
            Assert.Equal(bytes, Convert.ToHexString(wire.AsSpan(0, writer.Written)));
            var reader = new WireReader(wire);
            Assert.Equal(value, reader.UInt64(needed));
            Assert.Equal((false, room - needed), (reader.Failed, reader.Remaining));
        }

        for (int length = 0; length < needed; length++)
        {
            var cut = new WireReader(Convert.FromHexString(bytes).AsSpan(0, length));
            Assert.Equal(0UL, cut.UInt64(needed));
            Assert.True(cut.Failed);
        }
    }

    [Fact]
    public void MoreBytesThanANumberNeedsMayBeTaken()
    {
        for (int bytes = 2; bytes <= sizeof(ulong); bytes++)
        {
            byte[] wire = new byte[bytes + 8];
            Array.Fill(wire, (byte)0xEE);
            var writer = new WireWriter(wire);
            writer.UInt64(300, bytes);
            Assert.Equal(bytes, writer.Written);
            var reader = new WireReader(wire);
            Assert.Equal((300UL, 8), (reader.UInt64(bytes), reader.Remaining));
        }
    }

    [Fact]
    public void NumbersOfEveryLengthAreReadAsTheyWereWrittenOneBehindTheOther()
    {
        int seed = TestSeed.Next();
        var random = new Random(seed);
        for (int round = 0; round < 2_000; round++)
        {
            ulong[] values = [.. Enumerable.Range(0, random.Next(1, 12)).Select(_ => (ulong)random.NextInt64(long.MinValue, long.MaxValue) >> random.Next(64))];
            byte[] wire = new byte[values.Sum(WireWriter.BytesOf)];
            var writer = new WireWriter(wire);
            foreach (ulong value in values)
                writer.UInt64(value, WireWriter.BytesOf(value));
            var reader = new WireReader(wire);
            foreach (ulong value in values)
                Assert.True(reader.UInt64(WireWriter.BytesOf(value)) == value, $"seed {seed}: {value}");
            Assert.Equal((false, 0), (reader.Failed, reader.Remaining));
        }
    }

    [Theory]
    [InlineData(9)]
    [InlineData(15)]
    [InlineData(-1)]
    public void ALengthThatNoNumberHasIsAFailure(int bytes)
    {
        foreach (int room in (int[])[4, 32])
        {
            var reader = new WireReader(new byte[room]);
            Assert.Equal(0UL, reader.UInt64(bytes));
            Assert.Equal((true, 0), (reader.Failed, reader.Remaining));
        }
    }
}
