using System.Globalization;
using System.Reflection;
using System.Text;
using OrleansCache.Conformance;
using Xunit.Sdk;

namespace OrleansCache.Cluster.Tests;

/// <summary>A cluster at rest is one cache, whichever gateway is asked.</summary>
public sealed partial class ServingTests(ThreeSilos silos) : IClassFixture<ThreeSilos>
{
    private ServerProcess[] Gateways => [.. silos.Cluster.Silos];

    [ClusterFact]
    public async Task AnyGatewayServesAnyKey()
    {
        const int Keys = 400;
        RawClient[] clients = [.. Gateways.Select(gateway => gateway.Connect())];
        for (int writer = 0; writer < clients.Length; writer++)
        {
            for (int key = 0; key < Keys; key++)
                Assert.Equal("STORED", await clients[writer].SetAsync($"any-{writer}-{key}", $"value {writer} {key}"));
        }
        foreach (RawClient reader in clients)
        {
            for (int writer = 0; writer < clients.Length; writer++)
            {
                for (int key = 0; key < Keys; key++)
                    Assert.Equal($"value {writer} {key}", await reader.GetTextAsync($"any-{writer}-{key}"));
            }
        }
        // What one gateway changes the others see at once.
        for (int key = 0; key < Keys; key++)
        {
            Assert.Equal("DELETED", await clients[key % 3].CommandAsync($"delete any-0-{key}"));
            Assert.Null(await clients[(key + 1) % 3].GetAsync($"any-0-{key}"));
            Assert.Equal("NOT_FOUND", await clients[(key + 2) % 3].CommandAsync($"delete any-0-{key}"));
        }
        foreach (RawClient client in clients)
            client.Dispose();
    }

    [ClusterFact]
    public async Task ASiloWhoseGatewayPortIsTakenGivesBackWhatItWasGiven()
    {
        const int Keys = 500;
        using RawClient client = Gateways[0].Connect();
        for (int key = 0; key < Keys; key++)
            Assert.Equal("STORED", await client.SetAsync($"taken-{key}", $"value {key}"));

        (int exitCode, string printed, _) = await silos.Cluster.StartSiloOnTakenPortAsync(Gateways[0].Port);

        Assert.True(exitCode == 71 && printed.Contains("Address already in use", StringComparison.Ordinal)
            && printed.Split('\n').Length <= 10, $"{exitCode}: {printed}");
        for (int key = 0; key < Keys; key++)
            Assert.Equal($"value {key}", await client.GetTextAsync($"taken-{key}"));
    }

    [ClusterFact]
    public async Task AMultiGetCollectsFromAllSilos()
    {
        using RawClient writer = Gateways[0].Connect();
        using RawClient reader = Gateways[1].Connect();
        for (int key = 0; key < 200; key += 2)
            Assert.Equal("STORED", await writer.SetAsync($"multi-{key}", $"value {key}"));

        await reader.SendAsync("get " + string.Join(' ', Enumerable.Range(0, 200).Select(key => $"multi-{key}")) + "\r\n");

        for (int key = 0; key < 200; key += 2)
        {
            await reader.ExpectLineAsync($"VALUE multi-{key} 0 {$"value {key}".Length}");
            await reader.ExpectLineAsync($"value {key}");
        }
        await reader.ExpectLineAsync("END");
    }

    [ClusterFact]
    public async Task PipelinesOverAllSilosAreAnsweredInOrder()
    {
        await Task.WhenAll(Enumerable.Range(0, 12).Select(number => Task.Run(async () =>
        {
            var random = new Random(number);
            using RawClient client = Gateways[number % 3].Connect();
            for (int round = 0; round < 20; round++)
            {
                int depth = random.Next(1, 150);
                string[] values = [.. Enumerable.Range(0, depth)
                    .Select(index => $"{number}-{round}-{index}-".PadRight(random.Next(20, 5000), (char)('a' + number)))];
                var burst = new StringBuilder();
                for (int index = 0; index < depth; index++)
                {
                    burst.Append(CultureInfo.InvariantCulture,
                        $"set o{number}-{index} {number} 0 {values[index].Length}\r\n{values[index]}\r\nget o{number}-{index}\r\ntouch "
                            + $"o{number}-{index} 0\r\n");
                }
                Task sending = client.SendAsync(burst.ToString());
                for (int index = 0; index < depth; index++)
                {
                    await client.ExpectLineAsync("STORED");
                    await client.ExpectLineAsync($"VALUE o{number}-{index} {number} {values[index].Length}");
                    await client.ExpectLineAsync(values[index]);
                    await client.ExpectLineAsync("END");
                    await client.ExpectLineAsync("TOUCHED");
                }
                await sending;
            }
        })));
    }

    [ClusterFact]
    public async Task LargeValuesTravelBetweenSilos()
    {
        using RawClient writer = Gateways[0].Connect();
        using RawClient reader = Gateways[2].Connect();
        for (int key = 0; key < 12; key++)
        {
            byte[] value = new byte[1_000_000 - key];
            Array.Fill(value, (byte)('a' + key));
            Assert.Equal("STORED", await writer.SetAsync($"large-{key}", value, flags: 7));
            byte[]? found;
            await reader.SendAsync($"get large-{key}\r\n");
            await reader.ExpectLineAsync($"VALUE large-{key} 7 {value.Length}");
            found = await reader.ReadBytesAsync(value.Length);
            Assert.True(found.AsSpan().SequenceEqual(value), $"large-{key} came back changed");
            await reader.ExpectLineAsync("");
            await reader.ExpectLineAsync("END");
        }
        // Beyond the limit: refused, and the old value is gone, wherever it was.
        for (int key = 0; key < 12; key++)
        {
            Assert.Equal("SERVER_ERROR object too large for cache", await writer.SetAsync($"large-{key}", new byte[1024 * 1024]));
            Assert.Null(await reader.GetAsync($"large-{key}"));
        }
    }

    [ClusterFact]
    public async Task FlushAllEmptiesTheWholeCluster()
    {
        const int Keys = 500;
        RawClient[] clients = [.. Gateways.Select(gateway => gateway.Connect())];
        for (int key = 0; key < Keys; key++)
            Assert.Equal("STORED", await clients[key % 3].SetAsync($"flushed-{key}", "x"));

        Assert.Equal("OK", await clients[1].CommandAsync("flush_all"));

        foreach (RawClient client in clients)
        {
            for (int key = 0; key < Keys; key++)
                Assert.Null(await client.GetAsync($"flushed-{key}"));
        }
        for (int key = 0; key < Keys; key++)
        {
            Assert.Equal("STORED", await clients[key % 3].SetAsync($"flushed-{key}", "y"));
            Assert.Equal("y", await clients[(key + 1) % 3].GetTextAsync($"flushed-{key}"));
        }
        foreach (RawClient client in clients)
            client.Dispose();
    }

    [ClusterFact]
    public async Task AGatewayAloneServesAllKeys()
    {
        const int Keys = 300;
        ServerProcess gatewayProcess = await silos.Cluster.AddGatewayAsync();
        using RawClient gateway = gatewayProcess.Connect();
        using RawClient silo = Gateways[1].Connect();
        for (int key = 0; key < Keys; key++)
        {
            Assert.Equal("STORED", await silo.SetAsync($"from-silo-{key}", $"{key}"));
            Assert.Equal($"{key}", await gateway.GetTextAsync($"from-silo-{key}"));
            Assert.Equal("STORED", await gateway.SetAsync($"from-gateway-{key}", $"{key}"));
            Assert.Equal($"{key}", await silo.GetTextAsync($"from-gateway-{key}"));
        }
        Assert.Equal(0, await gatewayProcess.TerminateAsync());
    }

    [ClusterTheory("python3", "pymemcache")]
    [InlineData("basics")]
    [InlineData("json_values")]
    [InlineData("multi_get_and_set")]
    [InlineData("expiry")]
    [InlineData("longest_keys")]
    [InlineData("large_values")]
    [InlineData("flask_sessions")]
    public Task HashClientOverThreeGateways(string scenario) => ClientScript.PythonAsync("pymemcache-hash", scenario, Gateways);

    /// <summary>Eight processes, spread over the gateways, work on the same keys; the totals must be exact.</summary>
    [ClusterTheory("python3", "pymemcache", "pylibmc")]
    [InlineData("pymemcache", "cas_loop")]
    [InlineData("pymemcache", "lock")]
    [InlineData("pymemcache", "rate_limiter")]
    [InlineData("pymemcache-hash", "cas_loop")]
    [InlineData("pylibmc", "cas_loop")]
    [InlineData("pylibmc", "multi_get_and_set")]
    public Task ProcessesOverThreeGateways(string client, string scenario) => ClientScript.PythonAsync(client, scenario, Gateways);

    /// <summary>Clients of every protocol with two gateways as their servers, between which they spread their keys as they do between two memcached.</summary>
    [ClusterTheory]
    [GatewayClient("php-memcached", "binary")]
    [GatewayClient("dalli", "binary")]
    [GatewayClient("dalli", "meta")]
    [GatewayClient("Cache::Memcached::Fast", "text")]
    [GatewayClient("gomemcache", "text")]
    [GatewayClient("spymemcached", "binary")]
    [GatewayClient("memcached", "text")]
    public Task ClientsFindEverythingAsItMustBe(string client, string protocol) => ClientProgram.RunAsync(client, protocol, Gateways[0], Gateways[1]);
}

/// <summary>
/// A client of tests/Conformance.Tests/ClientMatrixTests.cs and its protocol; the row is skipped with the reason where the client is not installed.
/// </summary>
[AttributeUsage(AttributeTargets.Method, AllowMultiple = true)]
public sealed class GatewayClientAttribute : DataAttribute
{
    public GatewayClientAttribute(string client, string protocol)
    {
        Client = client;
        Protocol = protocol;
        Skip = ClientProgram.WhyNot(client, protocol);
    }

    public string Client { get; }

    public string Protocol { get; }

    public override IEnumerable<object[]> GetData(MethodInfo testMethod) => [[Client, Protocol]];
}
