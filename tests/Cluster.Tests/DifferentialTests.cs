using System.Globalization;
using OrleansCache.Conformance;
using OrleansCache.Conformance.Differential;

namespace OrleansCache.Cluster.Tests;

/// <summary>
/// The random streams of tests/Conformance.Tests/Differential to a memcached and to three silos, each connection at another silo's gateway: together they
/// answer as one server.
/// </summary>
public sealed class DifferentialTests(ThreeSilos silos) : IClassFixture<ThreeSilos>
{
    private const int CommandsDefault = 10_000;

    [ClusterFact("memcached")]
    public Task ThreeGatewaysAnswerAsOneMemcached() => CompareAsync(connections: 3, static (seed, is1645) => new CommandStream(seed, is1645).Next);

    [ClusterFact("memcached")]
    public Task ThreeGatewaysAnswerMetaCommandsAsOneMemcached() => CompareAsync(connections: 3, static (seed, is1645) => new MetaStream(seed, is1645).Next);

    /// <summary>Quiet packets and noops over three gateways: what misses at another silo says nothing, and keeps the order.</summary>
    [ClusterFact("memcached")]
    public async Task ThreeGatewaysAnswerPacketsAsOneMemcached()
    {
        (int seed, int count) = Choose();
        await using ServerProcess memcached = await StartMemcachedAsync();
        using var reference = new BinaryDifferentialServer(memcached);
        using var tested = new BinaryDifferentialServer([.. silos.Cluster.Silos]);
        var stream = new BinaryStream(seed, await DifferentialRun.Is1645Async(memcached));
        string? difference = await new DifferentialRun(reference, tested).CompareAsync(stream.Next, count, seed);
        Assert.True(difference is null, $"seed {seed}: {difference}");
    }

    [ClusterFact("memcached")]
    public Task OneConnectionIsAnsweredAsByMemcached() => CompareAsync(connections: 1, static (seed, is1645) => new CommandStream(seed, is1645).Next);

    private async Task CompareAsync(int connections, Func<int, bool, Func<DifferentialCommand>> create)
    {
        (int seed, int count) = Choose();
        await using ServerProcess memcached = await StartMemcachedAsync();
        using var reference = new DifferentialServer(memcached);
        using var tested = new DifferentialServer([.. silos.Cluster.Silos]);
        Func<DifferentialCommand> next = create(seed, await DifferentialRun.Is1645Async(memcached));
        string? difference = await new DifferentialRun(reference, tested, connections).CompareAsync(next, count, seed);
        Assert.True(difference is null, $"seed {seed}: {difference}");
    }

    private static (int Seed, int Count) Choose() => (
        TestSeed.Next(),
        Environment.GetEnvironmentVariable("ORLEANSCACHE_DIFFERENTIAL_COMMANDS") is { Length: > 0 } wanted
            ? int.Parse(wanted, CultureInfo.InvariantCulture) : CommandsDefault);

    private static Task<ServerProcess> StartMemcachedAsync() => ServerProcess.StartAsync(ServerKind.Memcached, "-m", "256", "-t", "1", "-o", "no_modern");
}
