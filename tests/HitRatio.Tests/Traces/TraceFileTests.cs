using System.IO.Compression;
using System.Text;
using OrleansCache.HitRatio.Traces;

namespace OrleansCache.HitRatio.Tests.Traces;

public sealed class TraceFileTests
{
    [Theory]
    [InlineData(TraceFormat.Arc, "7 3 0 0\n2 1 0 1\n", new ulong[] { 7, 8, 9, 2 })]
    [InlineData(TraceFormat.Lirs, "5\r\n*\n\n6\n5\n", new ulong[] { 5, 6, 5 })]
    [InlineData(TraceFormat.Address, "l 0xff 1\ns 0x10 6\n", new ulong[] { 255, 16 })]
    [InlineData(TraceFormat.Be32, "\0\0\u0001\0\0\0\0\u0002", new ulong[] { 256, 2 })]
    [InlineData(TraceFormat.Be64, "\0\0\0\0\0\0\u0001\u0001", new ulong[] { 257 })]
    public void EveryFormatGivesItsKeysInOrder(TraceFormat format, string content, ulong[] keys) =>
        Assert.Equal(keys, TraceFile.ReadKeys(new MemoryStream(Encoding.ASCII.GetBytes(content)), format));

    [Theory]
    [InlineData(TraceFormat.Arc, "7\n")]
    [InlineData(TraceFormat.Arc, "7 -1 0 0\n")]
    [InlineData(TraceFormat.Lirs, "5 6\n")]
    [InlineData(TraceFormat.Address, "l ff 1\n")]
    [InlineData(TraceFormat.Be32, "\0\0\0\u0001\0")]
    public void WhenALineDoesNotFitTheFormatReadingFails(TraceFormat format, string content) =>
        Assert.Throws<InvalidDataException>(() => TraceFile.ReadKeys(new MemoryStream(Encoding.ASCII.GetBytes(content)), format).ToList());

    [Fact]
    public void KeysAreRenumberedInTheOrderOfTheirFirstRequest()
    {
        Trace trace = Trace.From("t", [90, 70, 90, 80], requestsMax: 3);
        Assert.Equal([0, 1, 0], trace.Requests);
        Assert.Equal([90UL, 70UL], trace.KeyNumbers);
    }

    [Fact]
    public void ACompressedFileIsFoundAndReadByItsPlainName()
    {
        string folder = Directory.CreateTempSubdirectory("hit-ratio-").FullName;
        try
        {
            using (var file = new GZipStream(File.Create(Path.Combine(folder, "some.trace.gz")), CompressionMode.Compress))
                file.Write("1\n2\n1\n"u8);

            string path = TraceFile.Find(folder, "some.trace")!;
            Trace trace = TraceFile.Read(path, TraceFormat.Lirs, 100);
            Assert.Equal("some", trace.Name);
            Assert.Equal([0, 1, 0], trace.Requests);
            Assert.Null(TraceFile.Find(folder, "other.trace"));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
