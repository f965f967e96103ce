using OrleansCache.Conformance;

namespace OrleansCache.Cluster.Tests;

/// <summary>The checker notices what it is there to notice. One memcached stands for the cluster.</summary>
public sealed class CheckerTests
{
    [PeerFact("memcached")]
    public async Task AServerThatKeepsEverythingHasNoComplaints()
    {
        await using ServerProcess memcached = await ServerProcess.StartAsync(ServerKind.Memcached);
        await using Checker checker = await Checker.StartAsync([memcached, memcached], () => memcached.Output);
        await checker.RunAsync(5000);
        await checker.StopAsync();
        Assert.True(checker is { Lost: 0, Wrong: 0, Errors: 0 }, checker.Report);
        Assert.Equal(0, await checker.MissingConstantItemsAsync(memcached));
    }

    [PeerFact("memcached")]
    public async Task LostItemsAreCounted()
    {
        await using ServerProcess memcached = await ServerProcess.StartAsync(ServerKind.Memcached);
        await using Checker checker = await Checker.StartAsync([memcached], () => memcached.Output);
        using RawClient client = memcached.Connect();
        for (int round = 0; round < 200 && checker.Lost == 0; round++)
        {
            Assert.Equal("OK", await client.CommandAsync("flush_all"));
            await checker.RunAsync(10);
        }
        await checker.StopAsync();
        Assert.True(checker is { Lost: > 0, Wrong: 0, Errors: 0 }, checker.Report);
        Assert.Equal(Checker.ConstantCount, await checker.MissingConstantItemsAsync(memcached));
    }

    [PeerFact("memcached")]
    public async Task OldVersionsAndForeignValuesAreCounted()
    {
        await using ServerProcess memcached = await ServerProcess.StartAsync(ServerKind.Memcached);
        await using Checker checker = await Checker.StartAsync([memcached], () => memcached.Output);
        using RawClient client = memcached.Connect();
        for (int round = 0; round < 20_000 && checker.Wrong == 0; round++)
            Assert.Equal("STORED", await client.SetAsync($"checked-{round % 6}-{round % 150}", $"checked-{round % 6}-{round % 150} version 0 "));
        await checker.StopAsync();
        Assert.True(checker is { Wrong: > 0, Lost: 0, Errors: 0 }, checker.Report);
    }

    [PeerFact("memcached")]
    public async Task RefusalsAreCounted()
    {
        await using ServerProcess memcached = await ServerProcess.StartAsync(ServerKind.Memcached);
        await using Checker checker = await Checker.StartAsync([memcached], () => memcached.Output);
        await checker.RunAsync(100);
        await memcached.KillAsync();
        await checker.RunAsync(50);
        await checker.StopAsync();
        Assert.True(checker is { Errors: > 0, Wrong: 0, Lost: 0 }, checker.Report);
    }
}
