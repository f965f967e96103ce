using System.Net.Sockets;
using System.Text;
using System.Text.RegularExpressions;
using OrleansCache.Cli;
using OrleansCache.Silo.Hosting;
using OrleansCache.Silo.Options;

namespace OrleansCache.Silo.Tests;

/// <summary>What packages hold: the manual page and completion name everything, files name only options that are there, and systemd hears of the
/// service's life.</summary>
public sealed partial class PackagingTests
{
    private static string Packaging => Path.Combine(Repository.Root, "packaging");

    [Fact]
    public void ManualPageAndCompletionNameEveryOptionAndVerb()
    {
        string manual = ManualPage.Make();
        string bash = ShellCompletion.Of("bash")!;
        string zsh = ShellCompletion.Of("zsh")!;
        foreach (Option option in OptionTable.Shown.Where(option => option.State is OptionState.Works or OptionState.NoEffect))
        {
            Assert.Contains($"\\-\\-{option.Long.Replace("-", "\\-", StringComparison.Ordinal)}", manual, StringComparison.Ordinal);
            Assert.Contains($"--{option.Long}", bash, StringComparison.Ordinal);
            Assert.Contains($"--{option.Long}", zsh, StringComparison.Ordinal);
        }

        foreach (CliVerb verb in Verbs.All)
        {
            Assert.Contains($".SS {verb.Name}", manual, StringComparison.Ordinal);
            Assert.Contains($"        {verb.Name}) options=", bash, StringComparison.Ordinal);
            Assert.Contains($"        '{verb.Name}:", zsh, StringComparison.Ordinal);
        }

        Assert.Null(ShellCompletion.Of("fish"));
        Assert.Throws<StartException>(() => Lines.Read("completion fish"));
    }

    [Theory]
    [InlineData("systemd/orleanscache.service")]
    [InlineData("docker/compose.yaml")]
    [InlineData("docker/Dockerfile")]
    [InlineData("kubernetes/orleanscache.yaml")]
    public void FilesNameOnlyOptionsThatAreThere(string file)
    {
        string[] known = [.. OptionTable.All.Select(option => option.Long),
            .. Verbs.All.SelectMany(verb => verb.Options.Concat(CliVerb.Common)).Select(option => option.Name)];
        bool hasHttp = OptionTable.All.Any(option => option is { Long: "http", State: OptionState.Works });
        string commands = string.Join('\n', File.ReadAllLines(Path.Combine(Packaging, file)).Where(line => CommandLines().IsMatch(line)));

        // A health check has options of Docker before its command.
        commands = Regex.Replace(commands, "HEALTHCHECK .* CMD", "CMD");
        foreach (Match match in LongOptions().Matches(commands))
        {
            string name = match.Groups[1].Value;
            Assert.True(known.Contains(name) || (!hasHttp && name.StartsWith("http", StringComparison.Ordinal)), $"{file}: --{name}");
        }
    }

    [Fact]
    public void TheSettingsOfThePackageAreValid()
    {
        ServeOptions options = Lines.Read($"--settings {Path.Combine(Packaging, "debian", "settings.json")}");

        Assert.Equal("127.0.0.1", options.Listen);
        Assert.False(options.WantsCluster);
    }

    [Fact]
    public async Task SystemdHearsOfTheLifeOfTheService()
    {
        string path = Path.Combine(Path.GetTempPath(), $"oc-notify-{Guid.NewGuid():N}"[..24]);
        using var socket = new Socket(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);
        socket.Bind(new UnixDomainSocketEndPoint(path));
        try
        {
            using ProductProcess product = await ProductProcess.StartAsync("-l 127.0.0.1 -p -1", ("NOTIFY_SOCKET", path), ("WATCHDOG_USEC", "20000"));
            Assert.StartsWith("READY=1\nSTATUS=64 MB", await ReceiveAsync(socket, "READY"), StringComparison.Ordinal);
            Assert.Equal("WATCHDOG=1", await ReceiveAsync(socket, "WATCHDOG"));
            product.Signal("HUP");
            Assert.StartsWith("RELOADING=1\nMONOTONIC_USEC=", await ReceiveAsync(socket, "RELOADING"), StringComparison.Ordinal);
            Assert.Equal("READY=1", await ReceiveAsync(socket, "READY"));
            product.Signal("TERM");
            Assert.StartsWith("STOPPING=1\n", await ReceiveAsync(socket, "STOPPING"), StringComparison.Ordinal);
            Assert.Equal(0, product.WaitForExit());
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Fact]
    public async Task WhatTheProcessDoesIsToldAlsoWhenTheManagersQueueIsFull()
    {
        string path = Path.Combine(Path.GetTempPath(), $"oc-notify-{Guid.NewGuid():N}"[..24]);
        using var socket = new Socket(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);
        socket.Bind(new UnixDomainSocketEndPoint(path));
        try
        {
            using var others = new Socket(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified) { Blocking = false };
            Assert.Throws<SocketException>(Fill);
            using ServiceManager manager = ServiceManager.Connect(name => name == "NOTIFY_SOCKET" ? path : null);
            Task told = Task.Run(manager.Reloaded);
            Assert.Equal("READY=1", await ReceiveAsync(socket, "READY"));
            await told;

            void Fill()
            {
                while (true)
                    others.SendTo("WATCHDOG=1"u8, new UnixDomainSocketEndPoint(path));
            }
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Fact]
    public void AServiceManagerThatIsGoneDisturbsNobody()
    {
        using ServiceManager gone = ServiceManager.Connect(name => name == "NOTIFY_SOCKET" ? "@orleanscache-nobody" : null);
        gone.Ready("ready");
        gone.Stopping(TimeSpan.FromSeconds(1));
        using ServiceManager none = ServiceManager.Connect(_ => null);
        none.Ready("ready");
        Assert.Null(none.WatchdogInterval);
        using ServiceManager others = ServiceManager.Connect(
            name => name switch { "NOTIFY_SOCKET" => "@orleanscache-nobody", "WATCHDOG_USEC" => "1000000", "WATCHDOG_PID" => "1", _ => null });
        Assert.Null(others.WatchdogInterval);
    }

    private static async Task<string> ReceiveAsync(Socket socket, string key)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        byte[] buffer = new byte[4096];
        while (true)
        {
            int length = await socket.ReceiveAsync(buffer, SocketFlags.None, limit.Token);
            string message = Encoding.UTF8.GetString(buffer, 0, length);
            if (message.StartsWith(key, StringComparison.Ordinal))
                return message;
        }
    }

    [GeneratedRegex(@"command:|^\s+- --|ExecStart=|^(HEALTHCHECK .*)?CMD|^ENTRYPOINT")]
    private static partial Regex CommandLines();

    [GeneratedRegex(@"(?<![\w-])--([a-z][a-z-]+)")]
    private static partial Regex LongOptions();
}
