using System.Net.Sockets;
using System.Text;

namespace OrleansCache.Silo.Tests;

/// <summary>-e on a single node, through the executable: what a restart finds again, and which files it leaves alone.</summary>
public sealed class MemoryFileProcessTests : IDisposable
{
    private const int Keys = 1_000;
    private readonly string _folder = Directory.CreateTempSubdirectory("orleanscache-test-").FullName;

    private string FilePath => Path.Combine(_folder, "memory");

    private string Line => $"-p -1 -l 127.0.0.1 -m 16 -e {FilePath}";

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("KILL")]
    [InlineData("TERM")]
    public async Task ARestartFindsTheItemsAgain(string signal)
    {
        using (ProductProcess first = await ProductProcess.StartAsync(Line))
        {
            await StoreAsync(first);
            Assert.Equal("DELETED", await first.AskAsync("delete key0"));
            first.Signal(signal);
            first.WaitForExit();
        }

        using ProductProcess again = await ProductProcess.StartAsync(Line);
        Assert.Contains($"{Keys - 1:N0} items from the memory file", again.Error.Replace('\u00A0', ','), StringComparison.Ordinal);
        Assert.Equal("END", await again.AskAsync("get key0"));
        for (int i = 1; i < Keys; i += 37)
            Assert.StartsWith($"VALUE key{i} 0 ", await again.AskAsync($"get key{i}"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task WithOtherOptionsItBeginsEmptyAndSaysWhy()
    {
        using (ProductProcess first = await ProductProcess.StartAsync(Line))
            await StoreAsync(first);
        using ProductProcess again = await ProductProcess.StartAsync(Line + " -f 1.5");
        Assert.Contains("begins empty: it was written with other options", again.Error, StringComparison.Ordinal);
        Assert.Equal("END", await again.AskAsync("get key1"));
    }

    [Fact]
    public void AForeignFileIsLeftAsItIs()
    {
        string letter = string.Concat(Enumerable.Repeat("Dear reader, ", 100));
        File.WriteAllText(FilePath, letter);
        (int code, _, string error) = ProductProcess.Run(Line);
        Assert.Equal(71, code);
        Assert.Contains("is not a memory file of OrleansCache and is left as it is", error, StringComparison.Ordinal);
        Assert.Equal(letter, File.ReadAllText(FilePath));
    }

    [Fact]
    public async Task TwoProcessesNeverShareOne()
    {
        using ProductProcess first = await ProductProcess.StartAsync(Line);
        (int code, _, string error) = ProductProcess.Run(Line);
        Assert.Equal(71, code);
        Assert.Contains("cannot be opened", error, StringComparison.Ordinal);
        Assert.StartsWith("VERSION", await first.AskAsync("version"), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("/nowhere/at/all/memory")]
    [InlineData("/proc/memory")]
    public void AFileThatCannotBeMadeEndsWith71(string path)
    {
        (int code, _, string error) = ProductProcess.Run($"-p -1 -l 127.0.0.1 -m 16 -e {path}");
        Assert.Equal(71, code);
        Assert.Contains(path, error, StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", error, StringComparison.Ordinal);
    }

    private static async Task StoreAsync(ProductProcess product)
    {
        using var client = new TcpClient();
        await client.ConnectAsync(await product.EndPointAsync());
        string commands = string.Concat(Enumerable.Range(0, Keys).Select(i => $"set key{i} 0 0 5\r\nvalue\r\n"));
        await client.GetStream().WriteAsync(Encoding.ASCII.GetBytes(commands));
        using var reader = new StreamReader(client.GetStream(), Encoding.ASCII);
        for (int i = 0; i < Keys; i++)
            Assert.Equal("STORED", await reader.ReadLineAsync().WaitAsync(TimeSpan.FromSeconds(30)));
    }
}
