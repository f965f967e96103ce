using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Xunit.Abstractions;

namespace OrleansCache.Silo.Tests;

/// <summary>The executable from outside: what it prints, how it ends.</summary>
public sealed class ProcessTests(ITestOutputHelper output) : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("orleanscache-test-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("--help")]
    [InlineData("-h")]
    [InlineData("help")]
    public void HelpGoesToStandardOutputAndEndsWithZero(string line)
    {
        (int code, string text, string error) = ProductProcess.Run(line);

        Assert.Equal((0, ""), (code, error));
        Assert.Matches(@"^memcached 1\.\d+\.\d+ ", text);
        Assert.Contains("Usage: orleanscache", text, StringComparison.Ordinal);
        Assert.Contains("--enable-ssl", text, StringComparison.Ordinal);
        Assert.Contains("SASL", text, StringComparison.Ordinal);
        Assert.DoesNotContain("ext_path", text, StringComparison.Ordinal);
        Assert.DoesNotContain("proxy_config", text, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("-V")]
    [InlineData("version")]
    public void VersionIsOneLine(string line)
    {
        (int code, string text, string error) = ProductProcess.Run(line);

        Assert.Equal((0, ""), (code, error));
        Assert.Matches(@"^memcached 1\.\d+\.\d+ \(OrleansCache \d+\.\d+\.\d+\)\n$", text);
    }

    [Theory]
    [InlineData("--nonsense")]
    [InlineData("-c 0")]
    [InlineData("-S")]
    [InlineData("frobnicate")]
    public void AWrongOptionEndsWith64AndNoStackTrace(string line)
    {
        (int code, string text, string error) = ProductProcess.Run(line);

        Assert.Equal((64, ""), (code, text));
        Assert.StartsWith("orleanscache: ", error, StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("")]
    [InlineData("-l 127.0.0.1")]
    public void APortInUseEndsWith71InMemcachedsWords(string listen)
    {
        using var taken = new TcpListener(IPAddress.Loopback, 0);
        taken.Start();
        int port = ((IPEndPoint)taken.LocalEndpoint).Port;

        (int code, _, string error) = ProductProcess.Run($"-p {port} {listen}");

        Assert.Equal(71, code);
        string expected = listen.Length == 0 ? $"failed to listen on TCP port {port}: Address already in use"
            : $"failed to listen on one of interface(s) 127.0.0.1, TCP port {port}: Address already in use";
        Assert.Equal($"orleanscache: {expected}\n", error);
    }

    [Theory]
    [InlineData("-p -1 -l 192.0.2.1", "failed to listen on one of interface(s) 192.0.2.1: ")]
    [InlineData("-p -1 -l no-such-host.invalid", "failed to listen on one of interface(s) no-such-host.invalid: ")]
    [InlineData("-s /nowhere/at/all/socket", "failed to listen on UNIX socket: /nowhere/at/all/socket: ")]
    public void AnAddressThatCannotBeUsedEndsWith71(string line, string message)
    {
        (int code, _, string error) = ProductProcess.Run(line);

        Assert.Equal(71, code);
        Assert.StartsWith("orleanscache: " + message, error, StringComparison.Ordinal);
        Assert.Equal(1, error.Count(character => character == '\n'));
    }

    [Theory]
    [InlineData("TERM")]
    [InlineData("INT")]
    public async Task ASignalStopsCleanly(string signal)
    {
        using ProductProcess product = await ProductProcess.StartAsync("-p -1");
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"ready after {product.ReadyAfter.TotalMilliseconds:F0} ms: {product.Error}"));
        Assert.StartsWith("VERSION ", await product.AskAsync("version"), StringComparison.Ordinal);

        product.Signal(signal);

        Assert.Equal(0, product.WaitForExit());
        Assert.Equal(1, product.Error.Count(character => character == '\n'));
    }

    [Fact]
    public async Task PortZeroStartsWithoutTcp()
    {
        using ProductProcess product = await ProductProcess.StartAsync("-p 0");
        Assert.Contains("nothing to listen on", product.Error, StringComparison.Ordinal);

        product.Signal("TERM");

        Assert.Equal(0, product.WaitForExit());
    }

    [Theory]
    [InlineData("shutdown", "")]
    [InlineData("shutdown graceful", "Gracefully stopping\n")]
    public async Task ShutdownEndsTheProcessAsMemcachedDoes(string command, string said)
    {
        using ProductProcess product = await ProductProcess.StartAsync("-p -1 -A");
        Assert.Equal("CLIENT_ERROR invalid shutdown mode", await product.AskAsync("shutdown now"));

        Assert.Equal("", await product.AskAsync(command));

        Assert.Equal(0, product.WaitForExit());
        Assert.EndsWith(said, product.Error, StringComparison.Ordinal);
        Assert.Equal(said.Length == 0 ? 1 : 2, product.Error.Count(character => character == '\n'));
    }

    [Fact]
    public async Task SignalUser1IsAGracefulShutdown()
    {
        using ProductProcess product = await ProductProcess.StartAsync("-p -1");

        product.Signal("USR1");

        Assert.Equal(0, product.WaitForExit());
        Assert.EndsWith("Gracefully stopping\n", product.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task VerbosityChangesWhatIsLogged()
    {
        using ProductProcess product = await ProductProcess.StartAsync("-p -1 -A");

        Assert.Equal("OK", await product.AskAsync("verbosity 1"));
        await product.AskAsync("shutdown");

        Assert.Equal(0, product.WaitForExit());
        Assert.Contains("orleanscache: shutdown, stopping\n", product.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task DebugtimeIsThereForWhoAsksForIt()
    {
        using ProductProcess product = await ProductProcess.StartAsync("-p -1 --enable-debugtime");
        Assert.Equal("STORED", await product.AskAsync("set a 0 100 1\r\nx"));

        Assert.Equal("OK", await product.AskAsync("debugtime 101"));

        Assert.Equal("END", await product.AskAsync("get a"));
    }

    [Fact]
    public async Task TheMemoryLimitCanBeRaised()
    {
        using ProductProcess product = await ProductProcess.StartAsync("-p -1 -m 16");

        Assert.Equal("OK", await product.AskAsync("cache_memlimit 100"));

        Assert.Equal("STAT maxbytes 104857600", await product.AskAsync("stats settings"));
    }

    [Fact]
    public async Task AnOpenConnectionDoesNotKeepItFromStopping()
    {
        using ProductProcess product = await ProductProcess.StartAsync("-p -1");
        using var client = new TcpClient();
        await client.ConnectAsync(await product.EndPointAsync());

        product.Signal("TERM");

        Assert.Equal(0, product.WaitForExit());
    }

    [Fact]
    public async Task TheStartLineSaysWhatAPersonWantsToKnow()
    {
        using ProductProcess product = await ProductProcess.StartAsync("-p -1 -m 100 -t 1 --partitions 8 -I 2m");

        Assert.Matches(@"^OrleansCache \d+\.\d+\.\d+: listening on 127\.0\.0\.1:[1-9]\d*; 100 MB, 8 partitions, 1 thread\n$", product.Error);
    }

    [Theory]
    [InlineData("epoll")]
    [InlineData("pipelines")]
    public async Task ItServesOverEachTransport(string transport)
    {
        if (transport == "epoll" && !OperatingSystem.IsLinux())
        {
            output.WriteLine("epoll is a facility of Linux");
            return;
        }

        using ProductProcess product = await ProductProcess.StartAsync($"-p -1 --transport {transport}");

        Assert.Equal("STORED", await product.AskAsync("set k 0 0 1\r\nx"));
        Assert.Equal("VALUE k 0 1", await product.AskAsync("get k"));
    }

    [Fact]
    public async Task OptionsOfTheEnvironmentReachTheServer()
    {
        using ProductProcess product = await ProductProcess.StartAsync("-p -1", ("ORLEANSCACHE_MEMORY_LIMIT", "77"));

        Assert.Contains("77 MB", product.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task ThePidFileLivesAsLongAsTheServer()
    {
        string path = Path.Combine(_folder, "pid");
        using ProductProcess product = await ProductProcess.StartAsync($"-p -1 -P {path}");

        // The start-up line comes after the file.
        Assert.Equal($"{product.Id}\n", await File.ReadAllTextAsync(path));
        product.Signal("TERM");
        Assert.Equal(0, product.WaitForExit());
        Assert.False(File.Exists(path));
    }

    [Fact]
    public async Task APidFileThatCannotBeWrittenIsAWarning()
    {
        using ProductProcess product = await ProductProcess.StartAsync("-p -1 -P /nowhere/at/all/pid");

        Assert.Contains("WARNING: Could not write the pid file /nowhere/at/all/pid: ", product.Error, StringComparison.Ordinal);
        Assert.StartsWith("VERSION ", await product.AskAsync("version"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task MemcachedsPortFileNamesTheRealPort()
    {
        string path = Path.Combine(_folder, "ports");
        using ProductProcess product = await ProductProcess.StartAsync("-p -1", ("MEMCACHED_PORT_FILENAME", path));

        Assert.Equal($"TCP INET: {(await product.EndPointAsync()).Port}\n", await File.ReadAllTextAsync(path));
    }

    [Fact]
    public async Task AUnixSocketReplacesTheNetwork()
    {
        string path = Path.Combine(_folder, "socket");
        using ProductProcess product = await ProductProcess.StartAsync($"-s {path} -a 600");

        Assert.Contains($"listening on {path};", product.Error, StringComparison.Ordinal);
        if (!OperatingSystem.IsWindows())
            Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(path));
        using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await socket.ConnectAsync(new UnixDomainSocketEndPoint(path));
        await socket.SendAsync("version\r\n"u8.ToArray());
        byte[] reply = new byte[7];
        await socket.ReceiveAsync(reply);
        Assert.Equal("VERSION"u8.ToArray(), reply);
    }

    [Fact]
    public async Task ADaemonServesWhenTheCommandReturnsAndLeavesWhenItIsTold()
    {
        string ports = Path.Combine(_folder, "ports");
        string pid = Path.Combine(_folder, "pid");

        (int code, string text, string error) = ProductProcess.Run($"-d -p -1 -P {pid}", ("MEMCACHED_PORT_FILENAME", ports));
        Assert.True(code == 0, error);
        Assert.Equal("", text);

        int id = int.Parse((await File.ReadAllTextAsync(pid)).Trim(), CultureInfo.InvariantCulture);
        using var daemon = System.Diagnostics.Process.GetProcessById(id);
        try
        {
            int port = int.Parse((await File.ReadAllTextAsync(ports)).Split(' ')[^1], CultureInfo.InvariantCulture);
            using var client = new TcpClient();
            await client.ConnectAsync(IPAddress.Loopback, port);
            using System.Diagnostics.Process kill = System.Diagnostics.Process.Start("/bin/kill", ["-TERM", id.ToString(CultureInfo.InvariantCulture)]);
            using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(30));
            await daemon.WaitForExitAsync(patience.Token);
            Assert.False(File.Exists(pid));
        }
        finally
        {
            if (!daemon.HasExited)
                daemon.Kill();
        }
    }

    [Fact]
    public void ADaemonThatCannotServeSaysSoToItsCaller()
    {
        using var taken = new TcpListener(IPAddress.Loopback, 0);
        taken.Start();
        int port = ((IPEndPoint)taken.LocalEndpoint).Port;

        (int code, _, string error) = ProductProcess.Run($"-d -p {port}");

        Assert.Equal(71, code);
        Assert.Contains("Address already in use", error, StringComparison.Ordinal);
    }

    [Fact]
    public void AUserThatDoesNotExistEndsWith67()
    {
        if (Environment.UserName != "root")
        {
            output.WriteLine("only root can change the user");
            return;
        }

        (int code, _, string error) = ProductProcess.Run("-p -1 -u no-such-user");

        Assert.Equal(67, code);
        Assert.Equal("orleanscache: can't find the user no-such-user to switch to\n", error);
    }
}
