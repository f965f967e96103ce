using System.Collections.Concurrent;
using System.Text;
using Microsoft.Extensions.Caching.Distributed;
using OrleansCache.Client;
using OrleansCache.Conformance;

namespace OrleansCache.Cluster.Tests;

/// <summary>The .NET client on a cluster whose silos come and go under load.</summary>
public sealed class DotNetClientTests
{
    private const int Callers = 8;
    private static readonly DistributedCacheEntryOptions s_options = new() { SlidingExpiration = TimeSpan.FromHours(1) };
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(60);

    [ClusterFact(IsLong = true)]
    public async Task ASiloThatLeavesLosesNothing()
    {
        await using SiloCluster cluster = await SiloCluster.StartAsync(3);
        await using OrleansCacheClient client = Client(cluster);
        var expected = new ConcurrentDictionary<string, byte[]>();
        using var stop = new CancellationTokenSource();
        Task[] load = [.. Enumerable.Range(0, Callers).Select(caller => Task.Run(async () =>
        {
            for (int i = 0; !stop.IsCancellationRequested; i++)
            {
                string key = $"{caller}-{i % 200}";
                byte[] value = Encoding.ASCII.GetBytes($"{key} {i}");
                await StoreAsync(client, key, value);
                expected[key] = value;
                Assert.Equal(value, await client.GetAsync(key));
            }
        }))];
        await UntilAsync(() => expected.Count >= Callers * 200, load);
        await cluster.StopSiloAsync(cluster.Silos[^1]);
        await stop.CancelAsync();
        await Task.WhenAll(load).WaitAsync(s_patience);
        foreach ((string key, byte[] value) in expected)
            Assert.Equal(value, await client.GetAsync(key));
    }

    [ClusterFact]
    public async Task WhenAGatewayIsKilledTheOthersServe()
    {
        await using SiloCluster cluster = await SiloCluster.StartAsync(3);
        ServerProcess killed = cluster.Silos[^1];
        await using OrleansCacheClient client = Client(cluster);
        int served = 0;
        var failures = new ConcurrentBag<OrleansCacheError>();
        using var stop = new CancellationTokenSource();
        Task[] load = [.. Enumerable.Range(0, Callers).Select(caller => Task.Run(async () =>
        {
            for (int i = 0; !stop.IsCancellationRequested; i++)
            {
                string key = $"{caller}-{i % 200}";
                try
                {
                    await client.SetAsync(key, Encoding.ASCII.GetBytes(key), s_options);

                    // A silo that was killed takes its items along; nobody ever gets another's.
                    byte[]? value = await client.GetAsync(key);
                    Assert.True(value is null || Encoding.ASCII.GetString(value) == key);
                    Interlocked.Increment(ref served);
                }
                catch (OrleansCacheException exception)
                {
                    failures.Add(exception.Error);
                }
            }
        }))];
        await UntilAsync(() => Volatile.Read(ref served) > 1000, load);
        await cluster.KillSiloAsync(killed);
        int before = Volatile.Read(ref served);
        await UntilAsync(() => Volatile.Read(ref served) > before + 5000, load);
        await stop.CancelAsync();
        await Task.WhenAll(load).WaitAsync(s_patience);

        // What was on its way to the silo; and the cluster's own word for its partitions until others have opened them.
        Assert.All(failures,
            failure => Assert.True(failure is OrleansCacheError.OutcomeUnknown or OrleansCacheError.Refused or OrleansCacheError.TimedOut, $"{failure}"));
        for (int caller = 0; caller < Callers; caller++)
        {
            string key = $"last-{caller}";
            await client.SetAsync(key, [1], s_options);
            Assert.Equal([1], await client.GetAsync(key));
        }
    }

    /// <summary>A gateway that closes between two looks at the list may take a store with it: whoever must know repeats it.</summary>
    private static async Task StoreAsync(OrleansCacheClient client, string key, byte[] value)
    {
        try
        {
            await client.SetAsync(key, value, s_options);
        }
        catch (OrleansCacheException exception) when (exception.Error == OrleansCacheError.OutcomeUnknown)
        {
            await client.SetAsync(key, value, s_options);
        }
    }

    /// <summary>Knows two gateways of three, and finds the third.</summary>
    private static OrleansCacheClient Client(SiloCluster cluster)
    {
        var options = new OrleansCacheOptions
        {
            Connections = 3, Discover = true, DiscoveryInterval = TimeSpan.FromMilliseconds(100), OperationTimeout = TimeSpan.FromSeconds(30),
            ConnectTimeout = TimeSpan.FromSeconds(30),
        };
        foreach (ServerProcess silo in cluster.Silos.Take(2))
            options.EndPoints.Add($"127.0.0.1:{silo.Port}");
        return new OrleansCacheClient(options);
    }

    private static async Task UntilAsync(Func<bool> isTrue, Task[] load)
    {
        using var limit = new CancellationTokenSource(s_patience);
        while (!isTrue())
        {
            if (Array.Find(load, task => task.IsCompleted) is { } ended)
                await ended;

            // Load is looked at, not waited for: it does not end.
            await Task.Delay(5, limit.Token);
        }
    }
}
