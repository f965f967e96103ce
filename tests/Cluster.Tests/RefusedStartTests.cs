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
        string connection = $"Host=127.0.0.1;Port={Text(Nobody)};Database=cache;Username=cache;Password={Password};Timeout=3";
        Silo = RunAsync("serve", "--silo-port", Text(TestPorts.Next(2)), "--join", $"127.0.0.1:{Text(Nobody)}");
        Gateway = RunAsync("gateway", "--join", $"127.0.0.1:{Text(Nobody)}");
        Postgres = RunAsync("serve", "--silo-port", Text(TestPorts.Next(2)), "--clustering", "postgres", "--connection", connection);
        PortInUse = RunAsync("serve", "--silo-port", Text(HeldPort));
    }

    /// <summary>A password that no message may show.</summary>
    public const string Password = "secret-word";

    /// <summary>A port that nobody listens on.</summary>
    public int Nobody { get; } = TestPorts.Next();

    /// <summary>A port that another program listens on.</summary>
    public int HeldPort { get; }

    public Task<(int ExitCode, string Printed, TimeSpan Took)>? Silo { get; }

    public Task<(int ExitCode, string Printed, TimeSpan Took)>? Gateway { get; }

    public Task<(int ExitCode, string Printed, TimeSpan Took)>? Postgres { get; }

    public Task<(int ExitCode, string Printed, TimeSpan Took)>? PortInUse { get; }

    public void Dispose() => _holder.Dispose();

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

    private static async Task AssertClearErrorAsync(Task<(int ExitCode, string Printed, TimeSpan Took)> start, int namedPort)
    {
        (int exitCode, string printed, _) = await start;
        Assert.True(exitCode != 0, printed);
        Assert.Contains(namedPort.ToString(CultureInfo.InvariantCulture), printed, StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", printed, StringComparison.Ordinal);
        Assert.DoesNotContain("Unhandled", printed, StringComparison.Ordinal);
        Assert.True(printed.Split('\n').Length <= 10, $"More than a person reads:\n{printed}");
    }
}
