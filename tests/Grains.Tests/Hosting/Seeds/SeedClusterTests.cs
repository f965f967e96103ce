using System.Net;
using System.Net.Sockets;
using OrleansCache.Grains.Hosting;

namespace OrleansCache.Grains.Tests.Hosting.Seeds;

/// <summary>Silos of one process that keep their membership themselves, in memory.</summary>
public sealed class SeedClusterTests
{
    [LongFact]
    public async Task TheFounderIsKilledTheOthersGoOnAFourthJoinsAndTheFounderComesBack()
    {
        await using ClusterNodes cluster = new();
        ClusterNodeOptions options = cluster.OptionsForNext();
        (ClusterNode second, ClusterNode third) = await StartThreeAndKillTheFounderAsync(cluster, options);
        ClusterNode fourth = await cluster.StartNodeAsync(
            cluster.OptionsForNext() with { Join = [options.SiloEndPoint, second.SiloEndPoint, third.SiloEndPoint] });
        await cluster.BalancedAsync(second, third, fourth);

        // It knows nobody, and has forgotten everything: the others know where it was.
        ClusterNode again = await cluster.StartNodeAsync(options);
        await cluster.BalancedAsync(second, third, fourth, again);
        await SeedsAsync(3, second, third, fourth, again);
    }

    [Fact]
    public async Task SilosWithOneListThatStartAtOnceAreOneCluster()
    {
        await using ClusterNodes cluster = new();
        ClusterNodeOptions[] options = [.. Enumerable.Range(0, 3).Select(_ => cluster.OptionsForNext())];
        EndPoint[] list = [.. options.Select(silo => silo.SiloEndPoint)];
        ClusterNode[] nodes = await Task.WhenAll(options.Reverse().Select(silo => cluster.StartNodeAsync(silo with { Join = list })));
        await cluster.BalancedAsync(nodes);
        await SeedsAsync(3, nodes);
    }

    [Fact]
    public async Task ListsThatBeginDifferentlyMakeOneClusterAllTheSame()
    {
        await using ClusterNodes cluster = new();
        ClusterNodeOptions one = cluster.OptionsForNext(), other = cluster.OptionsForNext();
        ClusterNode[] nodes = await Task.WhenAll(
            cluster.StartNodeAsync(one with { Join = [one.SiloEndPoint, other.SiloEndPoint] }),
            cluster.StartNodeAsync(other with { Join = [other.SiloEndPoint, one.SiloEndPoint] }));
        await cluster.BalancedAsync(nodes);
    }

    [LongFact]
    public async Task OfTwoClustersThatMeetTheYoungerOneGivesWay()
    {
        await using ClusterNodes cluster = new();
        ClusterNodeOptions options = cluster.OptionsForNext();
        (ClusterNode second, ClusterNode third) = await StartThreeAndKillTheFounderAsync(cluster, options);

        // It did not hear the others in time.
        await using ClusterNode deaf = new(options with { FoundingWait = TimeSpan.Zero, Join = [] });
        Task start = deaf.StartAsync(CancellationToken.None);
        if (await Task.WhenAny(start, deaf.Failure) == deaf.Failure || !start.IsCompletedSuccessfully)
            return;
        ClusterFailure? failure = await Task.WhenAny(deaf.Failure, Task.Delay(TimeSpan.FromSeconds(5))) == deaf.Failure ? await deaf.Failure : null;

        // Or it did, and has joined them.
        Assert.True(failure is null ? deaf.TableCache.Current.Silos.Length > 1 : failure.Reason.Contains("lives", StringComparison.Ordinal), failure?.Reason);
    }

    [Fact]
    public async Task WhoIsNoMemberGetsNothingFromTheSeedPortAndHoldsNobodyUp()
    {
        await using ClusterNodes cluster = new();
        ClusterNodeOptions options = cluster.OptionsForNext();
        await cluster.StartNodeAsync(options);
        Random random = new(TestSeed.Next());
        List<Socket> silent = [];
        IPEndPoint port = new(IPAddress.Loopback, options.SeedPort!.Value);
        for (int i = 0; i < 200; i++)
        {
            Socket socket = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            await socket.ConnectAsync(port);
            silent.Add(socket);
            byte[] garbage = new byte[random.Next(1, 200)];
            random.NextBytes(garbage);
            if (i % 2 == 0)
                await SendQuietlyAsync(socket, garbage);
        }

        ClusterNode second = await cluster.StartNodeAsync();
        await cluster.BalancedAsync(cluster.Nodes[0], second);
        foreach (Socket socket in silent)
        {
            socket.Shutdown(SocketShutdown.Send);
            byte[] answer = new byte[256];
            Assert.Equal(0, await ReceiveQuietlyAsync(socket, answer));
            socket.Dispose();
        }
    }

    private static async Task<(ClusterNode Second, ClusterNode Third)> StartThreeAndKillTheFounderAsync(ClusterNodes cluster, ClusterNodeOptions founder)
    {
        ClusterNode first = await cluster.StartNodeAsync(founder);
        ClusterNode second = await cluster.StartNodeAsync();
        ClusterNode third = await cluster.StartNodeAsync();
        await SeedsAsync(3, first, second, third);
        await first.KillAsync();
        await cluster.BalancedAsync(second, third);
        return (second, third);
    }

    private static async Task SendQuietlyAsync(Socket socket, byte[] bytes)
    {
        try
        {
            await socket.SendAsync(bytes);
        }
        catch (SocketException)
        {
            // Closed already.
        }
    }

    private static async Task<int> ReceiveQuietlyAsync(Socket socket, byte[] answer)
    {
        try
        {
            return await socket.ReceiveAsync(answer);
        }
        catch (SocketException)
        {
            return 0;
        }
    }

    /// <summary>Each of these silos knows of so many seeds, all of them up.</summary>
    private static async Task SeedsAsync(int seeds, params ClusterNode[] nodes)
    {
        foreach (ClusterNode node in nodes)
        {
            string said = "";
            await Wait.UntilAsync(
                () =>
                {
                    SeedOverview overview = node.View.ReadSeedsAsync(CancellationToken.None).AsTask().GetAwaiter().GetResult()!;
                    said = overview.ToString() + string.Join("; ", overview.Seeds);
                    return overview.Seeds.Count(seed => seed is { Votes: true, IsUp: true }) == seeds && overview.Seeds.Count(seed => seed.Votes) == seeds;
                },
                () => said);
        }
    }
}
