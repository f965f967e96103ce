using System.Diagnostics;
using System.Globalization;
using Microsoft.Extensions.Caching.StackExchangeRedis;
using OrleansCache;
using OrleansCache.Client;
using OrleansCache.Client.InProcess;
using OrleansCache.ClientBenchmark;
using OrleansCache.Storage;
using StackExchange.Redis;

// The provider of IBufferDistributedCache beside StackExchange.Redis on Redis, in one run, interleaved; docs/benchmarks.md explains the columns.
// dotnet run -c Release --project bench/Client -- [--seconds 3] [--rounds 3] [--port 24300] [--value 1024] [--callers 1,16,64] [--connections 2] [--only
// ours,se.redis]
var arguments = new Arguments(args);
int port = arguments.Number("--port", 24300);
int rounds = arguments.Number("--rounds", 3);
int valueBytes = arguments.Number("--value", 1024);
var seconds = TimeSpan.FromSeconds(arguments.Number("--seconds", 3));
string[] only = arguments.Text("--only", "").Split(',', StringSplitOptions.RemoveEmptyEntries);
int[] callers = [.. arguments.Text("--callers", "1,16,64").Split(',').Select(text => int.Parse(text, CultureInfo.InvariantCulture))];

using ServerUnderLoad redis = await ServerUnderLoad.StartRedisAsync(port);
using ServerUnderLoad ours = await ServerUnderLoad.StartOrleansCacheAsync(port + 1);
using ServerUnderLoad memcached = await ServerUnderLoad.StartMemcachedAsync(port + 2);
await using ConnectionMultiplexer multiplexer = await ConnectionMultiplexer.ConnectAsync($"127.0.0.1:{redis.Port}");
using var redisCache = new RedisCache(new RedisCacheOptions { Configuration = $"127.0.0.1:{redis.Port}", InstanceName = "cache:" });
await using OrleansCacheClient client = Client(ours.Port);
await using OrleansCacheClient memcachedClient = Client(memcached.Port);
using var router = new LocalRouter(new StoreOptions { MemoryBytes = 256L << 20 });
var inProcess = new InProcessCache(router);

(string Name, Target Target, ServerUnderLoad? Server)[] targets =
[
    ("se.redis", new RedisTarget(multiplexer.GetDatabase()), redis),
    ("rediscache", new ProviderTarget(redisCache), redis),
    ("ours", new ProviderTarget(client), ours),
    ("ours-on-memcached", new ProviderTarget(memcachedClient), memcached),
    ("ours-in-process", new ProviderTarget(inProcess), null),
];
if (only.Length > 0)
    targets = [.. targets.Where(target => only.Contains(target.Name))];

byte[] value = new byte[valueBytes];
new Random(1).NextBytes(value);
string[] keys = [.. Enumerable.Range(0, 10_000).Select(i => $"user-session:{i:D8}")];
foreach ((_, Target target, _) in targets)
{
    foreach (string[] some in keys.Chunk(1000))
        await Task.WhenAll(some.Select(key => target.SetAsync(key, value).AsTask()));
}


Console.WriteLine(
    $"{valueBytes} B values, {rounds} rounds of {seconds.TotalSeconds} s, {Environment.ProcessorCount} processors shared by client and servers; medians");
Console.WriteLine($"{"",-18} {"",-5} {"callers",7} {"op/s",10} {"/ se.redis",10} {"client us/op",12} {"server us/op",12} {"B/op",8}");
foreach (bool isGet in (bool[])[true, false])
{
    foreach (int count in callers)
    {
        var results = targets.ToDictionary(target => target.Name, _ => new List<Result>());
        for (int round = -1; round < rounds; round++)
        {
            foreach ((string name, Target target, ServerUnderLoad? server) in targets)
            {
                Result result = await Load.RunAsync(target, server, isGet, count, keys, value, round < 0 ? seconds / 2 : seconds);
                if (round >= 0)
                    results[name].Add(result);
            }
        }

        double baseline = results.TryGetValue("se.redis", out List<Result>? peers) ? Median(peers, result => result.PerSecond) : double.NaN;
        foreach ((string name, _, _) in targets)
        {
            List<Result> all = results[name];
            double perSecond = Median(all, result => result.PerSecond);
            double client = Median(all, r => r.ClientMicroseconds);
            double server = Median(all, r => r.ServerMicroseconds);
            double bytes = Median(all, r => r.BytesPerOperation);
            Console.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"{name,-18} {(isGet ? "get" : "set"),-5} {count,7} {perSecond,10:N0} {perSecond / baseline,10:F2} "
                + $"{client,12:F2} {server,12:F2} {bytes,8:F0}"));
        }
    }
}

return 0;

OrleansCacheClient Client(int to)
{
    var options = new OrleansCacheOptions { Connections = arguments.Number("--connections", 2) };
    options.EndPoints.Add($"127.0.0.1:{to}");
    return new OrleansCacheClient(options);
}

static double Median(List<Result> results, Func<Result, double> of)
{
    double[] sorted = [.. results.Select(of).Order()];
    return sorted.Length % 2 == 1 ? sorted[sorted.Length / 2] : (sorted[(sorted.Length / 2) - 1] + sorted[sorted.Length / 2]) / 2;
}

/// <summary>What one round of load gave.</summary>
internal sealed record Result(double PerSecond, double ClientMicroseconds, double ServerMicroseconds, double BytesPerOperation);

internal static class Load
{
    public static async Task<Result> RunAsync(Target target, ServerUnderLoad? server, bool isGet, int callers, string[] keys, byte[] value, TimeSpan time)
    {
        GC.Collect();
        using var self = Process.GetCurrentProcess();
        TimeSpan client = self.TotalProcessorTime, serverBefore = server?.Processor ?? TimeSpan.Zero;
        long bytes = GC.GetTotalAllocatedBytes(precise: true);
        long begin = Stopwatch.GetTimestamp();
        long end = begin + (long)(time.TotalSeconds * Stopwatch.Frequency);
        long[] counts = await Task.WhenAll(Enumerable.Range(0, callers).Select(worker => Task.Run(() => WorkAsync(target, isGet, worker, keys, value, end))));
        double elapsed = Stopwatch.GetElapsedTime(begin).TotalSeconds;
        bytes = GC.GetTotalAllocatedBytes(precise: true) - bytes;
        self.Refresh();
        double operations = counts.Sum();
        return new Result(
            operations / elapsed,
            (self.TotalProcessorTime - client).TotalMicroseconds / operations,
            ((server?.Processor ?? TimeSpan.Zero) - serverBefore).TotalMicroseconds / operations,
            bytes / operations);
    }

    private static async Task<long> WorkAsync(Target target, bool isGet, int worker, string[] keys, byte[] value, long end)
    {
        uint at = (uint)worker * 2_654_435_761;
        long count = 0;
        while (true)
        {
            for (int i = 0; i < 16; i++)
            {
                at = (at * 1_664_525) + 1_013_904_223;
                string key = keys[at % (uint)keys.Length];
                if (!isGet)
                    await target.SetAsync(key, value).ConfigureAwait(false);
                else if (!await target.GetAsync(key, worker).ConfigureAwait(false))
                    throw new InvalidOperationException($"{key} is not there");
                count++;
            }

            if (Stopwatch.GetTimestamp() >= end)
                return count;
        }
    }
}

/// <summary>--name value.</summary>
internal sealed class Arguments(string[] args)
{
    public string Text(string name, string otherwise)
    {
        int at = Array.IndexOf(args, name);
        return at >= 0 && at + 1 < args.Length ? args[at + 1] : otherwise;
    }

    public int Number(string name, int otherwise) => int.Parse(Text(name, otherwise.ToString(CultureInfo.InvariantCulture)), CultureInfo.InvariantCulture);
}
