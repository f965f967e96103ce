using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using OrleansCache.Silo.Hosting;

namespace OrleansCache.Silo.Tests;

/// <summary>What a server says: lines that cannot be written cost nothing but themselves, and JSON is JSON.</summary>
public sealed class StandardErrorTests
{
    [Fact]
    public void ALineThatCannotBeWrittenIsLostAndCounted()
    {
        using var disk = new FillingStream();
        using var error = new StandardError(disk, LogFormat.Text);

        error.WriteLine("one");
        disk.IsFull = true;
        error.WriteLine("two");
        error.WriteLine("three");
        disk.IsFull = false;
        error.WriteLine("four");
        error.WriteLine("five");

        Assert.Equal("one\nwarning: 2 lines could not be written here\nfour\nfive\n", disk.Text);
    }

    [Fact]
    public void PlainLinesBecomeObjectsInTheJsonFormat()
    {
        using var disk = new FillingStream();
        using var error = new StandardError(disk, LogFormat.Json);

        error.Write("say \"");
        error.WriteLine("it\" ü");
        error.WriteLine("WARNING: careful");
        error.WriteLine("{\"a\":1}");

        string[] lines = disk.Text.TrimEnd('\n').Split('\n');
        using JsonDocument first = JsonDocument.Parse(lines[0]);
        using JsonDocument second = JsonDocument.Parse(lines[1]);
        Assert.Equal("say \"it\" ü", first.RootElement.GetProperty("message").GetString());
        Assert.Equal("info", first.RootElement.GetProperty("level").GetString());
        Assert.Equal("warning", second.RootElement.GetProperty("level").GetString());
        Assert.Equal("{\"a\":1}", lines[2]);
    }

    [Fact]
    public void FiguresOfAMessageAreFieldsOfTheObject()
    {
        KeyValuePair<string, object?>[] figures =
            [new("Silos", 3), new("S", "s"), new("Bytes", new ByteSize(2048)), new("Seconds", 0.25), new("Silo", "a:1"), new("{OriginalFormat}", "x")];

        using JsonDocument line = JsonDocument.Parse(JsonLine.Of("info", "OrleansCache.Cluster", "3 silos", figures, null));

        Assert.Equal(
            ["time", "level", "category", "message", "silos", "bytes", "seconds", "silo"],
                line.RootElement.EnumerateObject().Select(property => property.Name));
        Assert.Equal(2048, line.RootElement.GetProperty("bytes").GetInt64());
    }

    [Theory]
    [InlineData(0, "0 bytes")]
    [InlineData(1023, "1023 bytes")]
    [InlineData(1024, "1.0 KB")]
    [InlineData(629_145_600, "600 MB")]
    [InlineData(1_288_490_189, "1.2 GB")]
    [InlineData(1_073_700_000, "1.0 GB")]
    [InlineData(long.MaxValue, "8192 PB")]
    public void SizesAreReadByPeople(long bytes, string expected) => Assert.Equal(expected, new ByteSize(bytes).ToString());

    [Fact]
    public async Task AServerWhoseLogIsOnAFullDiskServes()
    {
        // /dev/full refuses every write as a full disk does; only Linux has it.
        if (!File.Exists("/dev/full"))
            return;
        string portFile = Path.Combine(Path.GetTempPath(), $"orleanscache-port-{Guid.NewGuid():N}");
        var start = new ProcessStartInfo("/bin/sh", ["-c", "exec dotnet \"$@\" 2> /dev/full", "sh", ProductProcess.Dll, "-l", "127.0.0.1", "-p", "-1", "-vv"]);
        start.Environment["MEMCACHED_PORT_FILENAME"] = portFile;
        using Process product = Process.Start(start)!;
        try
        {
            using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(30));
            while (!File.Exists(portFile))
            {
                Assert.False(product.HasExited, "The server has ended.");
                await Task.Delay(20, limit.Token);
            }

            string line = (await File.ReadAllLinesAsync(portFile, limit.Token))[0];
            using var client = new TcpClient("127.0.0.1", int.Parse(line.Split(' ')[^1], CultureInfo.InvariantCulture));
            await client.GetStream().WriteAsync("version\r\n"u8.ToArray(), limit.Token);
            using var reader = new StreamReader(client.GetStream());
            Assert.StartsWith("VERSION ", await reader.ReadLineAsync(limit.Token), StringComparison.Ordinal);
        }
        finally
        {
            product.Kill();
            await product.WaitForExitAsync();
            File.Delete(portFile);
        }
    }

    [Fact]
    public async Task EveryLineOfAServerIsAnObject()
    {
        using ProductProcess product = await ProductProcess.StartAsync("-l 127.0.0.1 -p -1 -v --log-format json", ("ORLEANSCACHE_PROT", "1"));
        product.Signal("TERM");

        Assert.Equal(0, product.WaitForExit());
        string[] lines = product.Error.TrimEnd().Split('\n');
        Assert.True(lines.Length >= 3, product.Error);
        Assert.All(lines, line =>
        {
            using JsonDocument parsed = JsonDocument.Parse(line);
            Assert.True(parsed.RootElement.GetProperty("message").GetString()!.Length > 0);
        });
    }

    private sealed class FillingStream : MemoryStream
    {
        public bool IsFull { get; set; }

        public string Text => Encoding.UTF8.GetString(ToArray());

        public override void Write(byte[] buffer, int offset, int count)
        {
            if (IsFull)
                throw new IOException("No space left on device");
            base.Write(buffer, offset, count);
        }

        public override void Write(ReadOnlySpan<byte> buffer)
        {
            if (IsFull)
                throw new IOException("No space left on device");
            base.Write(buffer);
        }
    }
}
