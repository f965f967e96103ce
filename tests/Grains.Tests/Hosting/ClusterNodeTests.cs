using OrleansCache.Grains.Hosting;

namespace OrleansCache.Grains.Tests.Hosting;

/// <summary>Whole nodes, over Orleans and loopback TCP.</summary>
public sealed class ClusterNodeTests
{
    [Fact]
    public async Task ANodeAloneServesAllPartitions()
    {
        await using ClusterNodes cluster = new();
        ClusterNode node = await cluster.StartNodeAsync();
        await cluster.BalancedAsync(node);
        Assert.Equal(64, node.PartitionCount);
    }
}
