using OrleansCache.Conformance;

namespace OrleansCache.Cluster.Tests;

/// <summary>The meta protocol's promises hold across gateways: whoever asks, there is one winner, and what one gateway marks the others see.</summary>
public sealed class MetaTests(ThreeSilos silos) : IClassFixture<ThreeSilos>
{
    private const int Clients = 24;

    private ServerProcess[] Gateways => [.. silos.Cluster.Silos];

    [ClusterFact]
    public async Task OfManyClientsThatMissOneWins()
    {
        const int Keys = 40;
        RawClient[] clients = Connect();
        for (int key = 0; key < Keys; key++)
        {
            string[] replies = await AskAllAsync(clients, $"mg herd-{key} N30 t");
            Assert.Equal(1, replies.Count(reply => reply.EndsWith(" W", StringComparison.Ordinal)));
            Assert.Equal(Clients - 1, replies.Count(reply => reply.EndsWith(" Z", StringComparison.Ordinal)));
        }

        Close(clients);
    }

    [ClusterFact]
    public async Task OfManyClientsThatSeeAStaleItemOneWinsUntilItIsInvalidatedAgain()
    {
        const int Keys = 20;
        RawClient[] clients = Connect();
        for (int key = 0; key < Keys; key++)
        {
            Assert.Equal("STORED", await clients[key % Clients].SetAsync($"stale-{key}", "old"));
            for (int round = 0; round < 3; round++)
            {
                Assert.Equal("HD", await clients[(key + round) % Clients].CommandAsync($"md stale-{key} I T60"));
                string[] replies = await AskAllAsync(clients, $"mg stale-{key} s");
                Assert.Equal(1, replies.Count(reply => reply == "HD s3 X W"));
                Assert.Equal(Clients - 1, replies.Count(reply => reply == "HD s3 Z X"));
            }
        }

        Close(clients);
    }

    [ClusterFact]
    public async Task OfManyClientsThatSeeAnItemNearItsEndOneWins()
    {
        RawClient[] clients = Connect();
        for (int key = 0; key < 20; key++)
        {
            await clients[key % Clients].SendAsync($"ms soon-{key} 1 T100 q\r\nx\r\nmn\r\n");
            await clients[key % Clients].ExpectLineAsync("MN");
            string[] replies = await AskAllAsync(clients, $"mg soon-{key} R30");
            Assert.All(replies, reply => Assert.Equal("HD", reply));
            replies = await AskAllAsync(clients, $"mg soon-{key} R1000");
            Assert.Equal(1, replies.Count(reply => reply == "HD W"));
            Assert.Equal(Clients - 1, replies.Count(reply => reply == "HD Z"));
        }

        Close(clients);
    }

    /// <summary>One gateway invalidates, another's client comes late with the CAS from before: its value is stored, and stays stale for everybody.</summary>
    [ClusterFact]
    public async Task InvalidatingAndStoringLateAreSeenThroughEveryGateway()
    {
        using RawClient first = Gateways[0].Connect();
        using RawClient second = Gateways[1].Connect();
        using RawClient third = Gateways[2].Connect();
        for (int key = 0; key < 30; key++)
        {
            await first.SendAsync($"ms late-{key} 3 c\r\nold\r\n");
            string stored = await first.ReadLineAsync();
            Assert.StartsWith("HD c", stored, StringComparison.Ordinal);
            string cas = stored[4..];

            Assert.Equal("HD", await second.CommandAsync($"md late-{key} I"));
            Assert.Equal("HD X W", await third.CommandAsync($"mg late-{key}"));
            await third.SendAsync($"ms late-{key} 3 C{cas}\r\nnew\r\n");
            Assert.Equal("EX", await third.ReadLineAsync());
            await third.SendAsync($"ms late-{key} 3 C{cas} I\r\nnew\r\n");
            Assert.Equal("HD", await third.ReadLineAsync());
            await first.SendAsync($"mg late-{key} v k Olate\r\n");
            await first.ExpectLineAsync($"VA 3 klate-{key} Olate Z X");
            await first.ExpectLineAsync("new");
            Assert.Equal("new", await second.GetTextAsync($"late-{key}"));
            await second.SendAsync($"ms late-{key} 5 E1234567890123 b\r\n");
            await second.ExpectLineAsync("CLIENT_ERROR error decoding key");
            await second.SendAsync("12345\r\n"); // the refused value, swallowed
            await second.SendAsync($"ms late-{key} 5 E1234567890123\r\nfresh\r\n");
            await second.ExpectLineAsync("HD");
            Assert.Equal("HD c1234567890123 s5", await third.CommandAsync($"mg late-{key} c s"));
        }
    }

    [ClusterFact]
    public async Task QuietPipelinesOverAllSilosEndWithTheirNoOp()
    {
        using RawClient client = Gateways[0].Connect();
        using RawClient other = Gateways[1].Connect();
        for (int round = 0; round < 20; round++)
        {
            string burst = string.Concat(Enumerable.Range(0, 100)
                .Select(key => $"ms quiet-{round}-{key} 4 q\r\n{key:D4}\r\nmg none-{round}-{key} q v\r\nma counter-{key} N0 q\r\n"));
            await client.SendAsync(burst + $"mg quiet-{round}-7 v q Ohit\r\nmd none q\r\nmn\r\n");
            await client.ExpectLineAsync("VA 4 Ohit");
            await client.ExpectLineAsync("0007");
            await client.ExpectLineAsync("NF");
            await client.ExpectLineAsync("MN");
            foreach (int key in Enumerable.Range(0, 100))
                Assert.Equal($"{key:D4}", await other.GetTextAsync($"quiet-{round}-{key}"));
        }

        await other.SendAsync("ma counter-5 v D0\r\n");
        await other.ExpectLineAsync("VA 2");
        await other.ExpectLineAsync("19");
    }

    private RawClient[] Connect() => [.. Enumerable.Range(0, Clients).Select(number => Gateways[number % 3].Connect())];

    private static Task<string[]> AskAllAsync(RawClient[] clients, string command) =>
        Task.WhenAll(clients.Select(client => Task.Run(() => client.CommandAsync(command))));

    private static void Close(RawClient[] clients)
    {
        foreach (RawClient client in clients)
            client.Dispose();
    }
}
