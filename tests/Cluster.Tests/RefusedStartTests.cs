using System.Globalization;
using OrleansCache.Conformance;

namespace OrleansCache.Cluster.Tests;

/// <summary>
/// Starts that cannot succeed end within a bounded time, with another exit code than 0 and a message for a person that names what could not be reached.
/// Each waits for its time-out: all are started together.
/// </summary>
public sealed class RefusedStarts : IDisposable
{
    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(60);

    private readonly System.Net.Sockets.TcpListener _holder;

    public RefusedStarts()
    {
        HeldPort = TestPorts.Next(2);
        _holder = new System.Net.Sockets.TcpListener(System.Net.IPAddress.Loopback, HeldPort);
        if (ClusterSkip.Reason("", []) is not null)
            return;
        _holder.Start();
        _ = AnswerAsMemcachedAsync(_holder);
        string connection = $"Host=127.0.0.1;Port={Text(Nobody)};Database=cache;Username=cache;Password={Password};Timeout=3";
        Silo = RunAsync("serve", "--silo-port", Text(TestPorts.Next(2)), "--data-dir", "none", "--join", $"127.0.0.1:{Text(Nobody)}");
        Gateway = RunAsync("gateway", "--join", $"127.0.0.1:{Text(Nobody)}");
        Postgres = RunAsync("serve", "--silo-port", Text(TestPorts.Next(2)), "--data-dir", "none", "--clustering", "postgres", "--connection", connection);
        ClientPort = RunAsync("serve", "--silo-port", Text(TestPorts.Next(2)), "--data-dir", "none", "--join", $"127.0.0.1:{Text(HeldPort)}");
        GatewayAtClientPort = RunAsync("gateway", "--join", $"127.0.0.1:{Text(HeldPort)}");
        PortInUse = RunAsync("serve", "--silo-port", Text(HeldPort));
        Beyond = RunAsync("serve", "--silo-port", Text(TestPorts.Next(2)), "--data-dir", "none", "--advertise", "10.1.2.3");
    }

    /// <summary>A password that no message may show.</summary>
    public const string Password = "secret-word";

    /// <summary>A port that nobody listens on.</summary>
    public int Nobody { get; } = TestPorts.Next();

    /// <summary>A port that a memcached listens on.</summary>
    public int HeldPort { get; }

    public Task<(int ExitCode, string Printed, TimeSpan Took)>? Silo { get; }

    public Task<(int ExitCode, string Printed, TimeSpan Took)>? Gateway { get; }

    public Task<(int ExitCode, string Printed, TimeSpan Took)>? Postgres { get; }

    public Task<(int ExitCode, string Printed, TimeSpan Took)>? PortInUse { get; }

    /// <summary>A silo that is told to join at a memcached port.</summary>
    public Task<(int ExitCode, string Printed, TimeSpan Took)>? ClientPort { get; }

    public Task<(int ExitCode, string Printed, TimeSpan Took)>? GatewayAtClientPort { get; }

    /// <summary>A silo that others would reach, without a secret.</summary>
    public Task<(int ExitCode, string Printed, TimeSpan Took)>? Beyond { get; }

    public void Dispose() => _holder.Dispose();

    /// <summary>Says its version, and to what it does not know, nothing: as a memcached that waits for the end of a line.</summary>
    private static async Task AnswerAsMemcachedAsync(System.Net.Sockets.TcpListener listener)
    {
        try
        {
            while (true)
            {
                System.Net.Sockets.TcpClient client = await listener.AcceptTcpClientAsync();
                _ = AnswerAsync(client);
            }
        }
        catch (Exception exception) when (exception is System.Net.Sockets.SocketException or ObjectDisposedException)
        {
            // The end.
        }

        static async Task AnswerAsync(System.Net.Sockets.TcpClient client)
        {
            using (client)
            {
                byte[] buffer = new byte[1024];
                try
                {
                    for (int length; (length = await client.GetStream().ReadAsync(buffer)) > 0;)
                    {
                        if (buffer.AsSpan(0, length).StartsWith("version\r\n"u8))
                            await client.GetStream().WriteAsync("VERSION 1.6.45\r\n"u8.ToArray());
                    }
                }
                catch (IOException)
                {
                    // It has gone.
                }
            }
        }
    }

    private static Task<(int ExitCode, string Printed, TimeSpan Took)> RunAsync(string verb, params string[] options) =>
        ChildProcess.RunAsync(ServerUnderTest.OrleansCacheCommand([verb, "-p", Text(TestPorts.Next()), .. options]), s_timeout);

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
}

/// <summary>What the starts of <see cref="RefusedStarts"/> said.</summary>
public sealed class RefusedStartTests(RefusedStarts starts) : IClassFixture<RefusedStarts>
{
    [ClusterFact]
    public Task AnUnreachableFirstSiloIsAClearErrorWithinABoundedTime() => AssertClearErrorAsync(starts.Silo!, starts.Nobody);

    [ClusterFact]
    public Task AGatewayWithoutClusterIsAClearErrorWithinABoundedTime() => AssertClearErrorAsync(starts.Gateway!, starts.Nobody);

    [ClusterFact]
    public async Task AMembershipStoreThatIsDownIsAClearErrorWithinABoundedTime()
    {
        await AssertClearErrorAsync(starts.Postgres!, starts.Nobody);
        Assert.DoesNotContain(RefusedStarts.Password, (await starts.Postgres!).Printed, StringComparison.Ordinal);
    }

    [ClusterFact]
    public Task ASiloPortInUseIsAClearError() => AssertClearErrorAsync(starts.PortInUse!, starts.HeldPort);

    [ClusterFact]
    public async Task JoiningAtAMemcachedPortSaysWhichPortIsMeant()
    {
        await AssertClearErrorAsync(starts.ClientPort!, starts.HeldPort);
        await AssertClearErrorAsync(starts.GatewayAtClientPort!, starts.HeldPort);
        Assert.Contains("--silo-port", (await starts.ClientPort!).Printed, StringComparison.Ordinal);
        Assert.Contains("--silo-port", (await starts.GatewayAtClientPort!).Printed, StringComparison.Ordinal);
    }

    [ClusterFact]
    public async Task AClusterBeyondThisMachineNeedsASecret()
    {
        (int exitCode, string printed, _) = await starts.Beyond!;
        Assert.Equal(64, exitCode);
        Assert.Contains("--cluster-secret-file", printed, StringComparison.Ordinal);
        Assert.Contains("--allow-insecure-cluster", printed, StringComparison.Ordinal);
    }

    [ClusterFact]
    public async Task AnotherNumberOfReplicasIsAClearError()
    {
        await using SiloCluster cluster = await SiloCluster.StartAsync(1);
        (int exitCode, string printed, _) = await cluster.StartRefusedSiloAsync("--replicas", "2");
        Assert.True(exitCode == 69, printed);
        Assert.Contains("--replicas", Assert.Single(printed.TrimEnd().Split('\n')), StringComparison.Ordinal);
        Assert.Contains("keeps 1 replica of each partition, this silo was started with 2", printed, StringComparison.Ordinal);
    }

    private static async Task AssertClearErrorAsync(Task<(int ExitCode, string Printed, TimeSpan Took)> start, int namedPort)
    {
        (int exitCode, string printed, TimeSpan took) = await start;
        Assert.True(exitCode == 69, printed);
        Assert.True(took < TimeSpan.FromSeconds(20), $"A start that fails waits for 15 s at most, and took {took}.");
        Assert.Contains(namedPort.ToString(CultureInfo.InvariantCulture), printed, StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", printed, StringComparison.Ordinal);
        Assert.DoesNotContain("Unhandled", printed, StringComparison.Ordinal);
        IEnumerable<string> lines = printed.TrimEnd().Split('\n')
            .Where(line => !line.Contains(" info OrleansCache.Cluster: waits for ", StringComparison.Ordinal));
        Assert.True(lines.Count() == 1, $"More than a line, beside the one that says for whom it waited:\n{printed}");
    }
}
