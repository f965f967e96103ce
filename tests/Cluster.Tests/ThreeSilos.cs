namespace OrleansCache.Cluster.Tests;

/// <summary>Three silos that keep their membership themselves, for the tests that leave the cluster as it is.</summary>
public sealed class ThreeSilos : IAsyncLifetime
{
    private SiloCluster? _cluster;

    public SiloCluster Cluster => _cluster ?? throw new InvalidOperationException("Not started: the tests of silos are skipped");

    public async Task InitializeAsync()
    {
        if (ClusterSkip.Reason("", []) is null)
            _cluster = await SiloCluster.StartAsync(3);
    }

    public async Task DisposeAsync()
    {
        if (_cluster is not null)
            await _cluster.DisposeAsync();
    }
}
