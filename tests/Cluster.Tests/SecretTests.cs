using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using OrleansCache.Conformance;

namespace OrleansCache.Cluster.Tests;

/// <summary>Nobody reads a cluster by its silos' ports: logins of the gateway cannot be walked around.</summary>
public sealed class SecretTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("orleanscache-test-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [ClusterFact]
    public async Task OnlyWhoKnowsTheSecretGetsToTheItems()
    {
        string secret = WriteSecret("secret");
        string another = WriteSecret("another");
        int siloPort = TestPorts.Next(2);
        string port = siloPort.ToString(CultureInfo.InvariantCulture);
        await using ServerProcess silo = await ServerProcess.StartAsync("--silo-port", port, "--allow-gateways", "--cluster-secret-file", secret);
        using (RawClient client = silo.Connect())
            Assert.Equal("STORED", await client.SetAsync("k", "guarded"));

        foreach (string[] options in new string[][] { [], ["--cluster-secret-file", another] })
        {
            foreach (string[] verb in new string[][] { ["gateway"], ["serve", "--silo-port", TestPorts.Next(2).ToString(CultureInfo.InvariantCulture)] })
            {
                (int exitCode, string printed, TimeSpan took) = await RunAsync([.. verb, "--join", $"127.0.0.1:{port}", .. options]);
                Assert.True(exitCode == 69, printed);
                Assert.Contains("--cluster-secret-file", printed, StringComparison.Ordinal);
                Assert.Single(printed.TrimEnd().Split('\n'));
                Assert.True(took < TimeSpan.FromSeconds(20), $"{took}");
            }
        }

        int gatewayPort = TestPorts.Next();
        await using ServerProcess gateway = ServerProcess.Launch(
            ServerUnderTest.OrleansCacheCommand(
            [
                "gateway", "-p", gatewayPort.ToString(CultureInfo.InvariantCulture), "--join", $"127.0.0.1:{port}", "--join-timeout", "60",
                "--cluster-secret-file", secret,
            ]),
            gatewayPort);
        await gateway.WaitUntilServingAsync(TimeSpan.FromSeconds(60));
        using (RawClient client = gateway.Connect())
            Assert.Equal("guarded", await client.GetTextAsync("k"));
    }

    [ClusterFact]
    public async Task TheSilosPortsListenAtTheAdvertisedAddressOnlyAndAnswerNoStranger()
    {
        int siloPort = TestPorts.Next(2);
        await using ServerProcess silo = await ServerProcess.StartAsync(
            "-l", "127.0.0.1", "--silo-port", siloPort.ToString(CultureInfo.InvariantCulture), "--advertise", "127.0.0.2",
            "--cluster-secret-file", WriteSecret("secret"));
        await AssertRefusedAsync("127.0.0.1", siloPort);
        await AssertRefusedAsync("127.0.0.3", siloPort);

        // Closed unless asked for.
        await AssertRefusedAsync("127.0.0.2", siloPort + 1000);

        // What Orleans would read as the length of a message is the end of the connection.
        using var stranger = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        await stranger.ConnectAsync(new IPEndPoint(IPAddress.Parse("127.0.0.2"), siloPort));
        await stranger.SendAsync(new byte[8]);
        byte[] answer = new byte[64];
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(10));
        int count;
        try
        {
            count = await stranger.ReceiveAsync(answer, limit.Token);
        }
        catch (SocketException exception) when (exception.SocketErrorCode == SocketError.ConnectionReset)
        {
            count = 0;
        }

        Assert.Equal(0, count);
    }

    private static async Task AssertRefusedAsync(string address, int port)
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        SocketException refused = await Assert.ThrowsAsync<SocketException>(() => socket.ConnectAsync(new IPEndPoint(IPAddress.Parse(address), port)));
        Assert.Equal(SocketError.ConnectionRefused, refused.SocketErrorCode);
    }

    private static Task<(int ExitCode, string Printed, TimeSpan Took)> RunAsync(string[] arguments) =>
        ChildProcess.RunAsync(
            ServerUnderTest.OrleansCacheCommand([.. arguments, "-p", TestPorts.Next().ToString(CultureInfo.InvariantCulture)]), TimeSpan.FromSeconds(60));

    private string WriteSecret(string name)
    {
        string path = Path.Combine(_folder, name);
        File.WriteAllText(path, $"{name}-0123456789-0123456789\n", Encoding.ASCII);
        if (!OperatingSystem.IsWindows())
            File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        return path;
    }
}
