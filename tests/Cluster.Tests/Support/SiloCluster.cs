using System.Diagnostics;
using System.Globalization;
using OrleansCache.Chaos;
using OrleansCache.Conformance;

namespace OrleansCache.Cluster.Tests;

/// <summary>
/// Silos of one cluster, each a process of its own with a gateway, on this machine. They keep the membership themselves, each in a data directory of its own,
/// or it lives in PostgreSQL. Starting a silo returns when its gateway answers.
/// </summary>
public sealed class SiloCluster : IAsyncDisposable
{
    private static readonly TimeSpan s_startTimeout = TimeSpan.FromSeconds(150);
    private static readonly TimeSpan s_wholeTimeout = TimeSpan.FromSeconds(120);

    private readonly string _clusterId = "test-" + Guid.NewGuid().ToString("N")[..12];
    private readonly PostgresServer? _postgres;
    private readonly string[] _options;
    private readonly List<ServerProcess> _processes = [];
    private readonly List<ServerProcess> _silos = [];
    private readonly Dictionary<ServerProcess, (int Port, int SiloPort, string[] Options)> _places = [];
    private readonly string _folder = Directory.CreateTempSubdirectory("orleanscache-test-").FullName;
    private int[] _joined = [];

    private SiloCluster(PostgresServer? postgres, string[] options)
    {
        _postgres = postgres;
        _options = options;
    }

    /// <summary>The silos that a test has not ended, in the order of their start.</summary>
    public IReadOnlyList<ServerProcess> Silos => _silos;

    /// <summary>What all processes printed.</summary>
    public string Output => string.Join("\n\n", _processes.Select(process => process.Output)) + (_postgres is null ? "" : "\n\n" + _postgres.Output);

    /// <summary>A cluster whose silos are added one by one.</summary>
    public static SiloCluster Create(params string[] options) => new(null, options);

    public static async Task<SiloCluster> StartAsync(int count, PostgresServer? postgres = null, params string[] options)
    {
        var cluster = new SiloCluster(postgres, options);
        try
        {
            await cluster.AddSiloAsync();
            await Task.WhenAll(Enumerable.Range(1, count - 1).Select(_ => cluster.AddSiloAsync()));

            // With fewer seeds than it will have, the membership does not bear what tests do to it.
            if (postgres is null && count >= 3)
                await SeedTests.WaitForSeedsAsync(cluster, count, 3);
            return cluster;
        }
        catch
        {
            await cluster.DisposeAsync();
            throw;
        }
    }

    /// <summary>Starts one more silo and waits until its gateway answers.</summary>
    public async Task<ServerProcess> AddSiloAsync(params string[] options)
    {
        int siloPort = TestPorts.Next(adjacent: 2);
        List<string> membership;
        lock (_silos)
        {
            if (_silos.Count == 0)
                _joined = [];
            membership = Membership();
            _joined = [.. _joined, siloPort];
        }

        ServerProcess silo = StartSilo(TestPorts.Next(), siloPort, [.. membership, .. options]);
        await silo.WaitUntilServingAsync(s_startTimeout);
        return silo;
    }

    /// <summary>
    /// Waits until all silos know each other, no partition moves and every replica is there: then another silo may be stopped or lost.
    /// </summary>
    public async Task WaitUntilWholeAsync(int replicas = 1, bool withSeeds = true)
    {
        var watch = Stopwatch.StartNew();
        foreach (ServerProcess silo in _silos.ToArray())
        {
            using RawClient client = silo.Connect();
            while (ClusterStatus.WhyNotWhole([.. await client.StatsAsync("cluster")], _silos.Count, replicas, withSeeds) is { } lacking)
            {
                Assert.True(watch.Elapsed < s_wholeTimeout, $"After {watch.Elapsed.TotalSeconds:f0} s: {lacking}\n{Output}");
                await Task.Delay(50);
            }
        }
    }

    /// <summary>
    /// Starts a silo that was ended once more, at its ports, with its data directory or without what was in it, and does not wait. <paramref
    /// name="options"/>: null for those of its first start.
    /// </summary>
    public ServerProcess Restart(ServerProcess ended, bool keepsData = true, string[]? options = null)
    {
        (int port, int siloPort, string[] former) = _places[ended];
        if (!keepsData && Directory.Exists(DataDirectory(siloPort)))
            Directory.Delete(DataDirectory(siloPort), recursive: true);
        return StartSilo(port, siloPort, options ?? former);
    }

    /// <summary>Starts a silo with its options and these, and does not wait. The caller says whom it joins.</summary>
    public ServerProcess StartSilo(int port, int siloPort, params string[] options)
    {
        List<string> arguments = ["--silo-port", Text(siloPort), "--allow-gateways", "--join-timeout", Text((int)s_startTimeout.TotalSeconds)];
        if (_postgres is null && !options.Contains("--data-dir"))
            arguments.AddRange(["--data-dir", DataDirectory(siloPort)]);
        ServerProcess silo = Start("serve", port, [.. arguments, .. _options, .. options]);
        lock (_silos)
        {
            _silos.Add(silo);
            _places[silo] = (port, siloPort, options);
        }

        return silo;
    }

    /// <summary>Waits until a silo that was started without waiting serves.</summary>
    public static Task WaitUntilServingAsync(ServerProcess silo)
    {
        ArgumentNullException.ThrowIfNull(silo);
        return silo.WaitUntilServingAsync(s_startTimeout);
    }

    public int SiloPortOf(ServerProcess silo) => _places[silo].SiloPort;

    public string DataDirectory(int siloPort) => Path.Combine(_folder, Text(siloPort));

    /// <summary>Starts a silo whose gateway's port is taken, and waits for its end.</summary>
    public Task<(int ExitCode, string Printed, TimeSpan Took)> StartSiloOnTakenPortAsync(int takenPort) => ChildProcess.RunAsync(
        ServerUnderTest.OrleansCacheCommand(
            ["serve", "-l", "127.0.0.1", "-p", Text(takenPort), "--cluster-id", _clusterId, "--silo-port", Text(TestPorts.Next(adjacent: 2)),
                "--data-dir", "none",
                .. Membership(), .. _options]),
        s_startTimeout);

    /// <summary>Starts a silo that must not be let in, and waits for its end.</summary>
    public Task<(int ExitCode, string Printed, TimeSpan Took)> StartRefusedSiloAsync(params string[] options) => ChildProcess.RunAsync(
        ServerUnderTest.OrleansCacheCommand(
            ["serve", "-l", "127.0.0.1", "-p", Text(TestPorts.Next()), "--cluster-id", _clusterId, "--silo-port", Text(TestPorts.Next(adjacent: 2)),
                "--data-dir", "none",
                .. Membership(), .. _options, .. options]),
        s_startTimeout);

    /// <summary>Starts a gateway without partitions.</summary>
    public async Task<ServerProcess> AddGatewayAsync()
    {
        ServerProcess gateway = Start("gateway", TestPorts.Next(), ["--join-timeout", Text((int)s_startTimeout.TotalSeconds), .. Membership()]);
        await gateway.WaitUntilServingAsync(s_startTimeout);
        return gateway;
    }

    /// <summary>Stops a silo with SIGTERM; expects that it ends by itself with exit code 0.</summary>
    public async Task StopSiloAsync(ServerProcess silo)
    {
        ArgumentNullException.ThrowIfNull(silo);
        _silos.Remove(silo);
        int exitCode = await silo.TerminateAsync(TimeSpan.FromSeconds(60));
        Assert.True(exitCode == 0, Output);
    }

    /// <summary>The silo ends by itself.</summary>
    public void Forget(ServerProcess silo) => _silos.Remove(silo);

    /// <summary>Kills a silo (SIGKILL).</summary>
    public Task KillSiloAsync(ServerProcess silo)
    {
        ArgumentNullException.ThrowIfNull(silo);
        _silos.Remove(silo);
        return silo.KillAsync();
    }

    public async ValueTask DisposeAsync()
    {
        List<Exception> died = [];
        foreach (ServerProcess process in _processes)
        {
            try
            {
                await process.DisposeAsync();
            }
            catch (ServerFailedException exception)
            {
                died.Add(exception);
            }
        }
        try
        {
            Directory.Delete(_folder, recursive: true);
        }
        catch (IOException)
        {
            // A process that has just been killed may still have a file open.
        }

        if (died.Count > 0)
            throw new AggregateException(died);
    }

    private ServerProcess Start(string verb, int port, List<string> arguments)
    {
        ServerProcess process = ServerProcess.Launch(
            ServerUnderTest.OrleansCacheCommand([verb, "-l", "127.0.0.1", "-p", Text(port), "--cluster-id", _clusterId, .. arguments]), port);
        // How a silo leaves is the matter of the tests that stop one; the others need not wait for it.
        process.KillOnDispose = true;
        lock (_processes)
            _processes.Add(process);
        return process;
    }

    private List<string> Membership()
    {
        if (_postgres is not null)
            return ["--clustering", "postgres", "--connection", _postgres.ConnectionString];
        return _joined.Length == 0 ? [] : ["--join", string.Join(',', _joined.Select(port => $"127.0.0.1:{Text(port)}"))];
    }

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
}
