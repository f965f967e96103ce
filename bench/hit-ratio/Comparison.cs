using System.Collections.Concurrent;
using OrleansCache.HitRatio.Replay;
using OrleansCache.HitRatio.Simulation;
using OrleansCache.HitRatio.Traces;

namespace OrleansCache.HitRatio;

/// <summary>
/// Replays each case against memcached and OrleansCache, one after the other, each freshly started with the same -m, and simulates the ideal
/// policies on the same requests and sizes. With --parallel n, n cases run at once; hit ratios do not depend on speed, seconds do.
/// </summary>
public sealed class Comparison
{
    public const string Memcached = "memcached";
    public const string Ours = "ours";

    private static readonly string[] Forms = ["cluster", "single"];

    private readonly Suite _suite;
    private readonly (string Name, string Path, string ExtraOptions)[] _servers;
    private readonly int _portFirst;
    private readonly int _parallelCases;
    private readonly int _depth;

    public Comparison(Suite suite, Options options)
    {
        _suite = suite;
        _portFirst = options.Number("port", 21211);
        _parallelCases = Math.Max(options.Number("parallel", 1), 1);
        _depth = Math.Max(options.Number("depth", 1), 1);
        string memcachedPath = options.Text("memcached") ?? Environment.GetEnvironmentVariable("MEMCACHED") ?? "memcached";
        string? oursPath = options.Text("ours");
        string memcachedOptions = options.Text("memcached-options", "");
        string oursOptions = options.Text("ours-options", "");
        _servers =
        [
            .. options.Text("servers", $"{Memcached},{Ours}").Split(',').Select(name => name switch
            {
                Memcached => (name, memcachedPath, memcachedOptions),
                Ours => (name, oursPath ?? NewestBuild(), oursOptions),
                _ => throw new FormatException($"--servers {name}: {Memcached} or {Ours}"),
            }),
        ];
    }

    public string[] ServerNames => [.. _servers.Select(server => server.Name)];

    /// <summary>The ideal policies alone.</summary>
    public static Row Simulate(Suite suite, Case one) => Simulate(suite, one, suite.Load(one));

    public void Run(Action<Row> onRow)
    {
        var slots = new ConcurrentQueue<int>(Enumerable.Range(0, _parallelCases));
        // One case at a time to each worker: cases differ much in length.
        Parallel.ForEach(
            Partitioner.Create(_suite.Cases, EnumerablePartitionerOptions.NoBuffering),
            new ParallelOptions { MaxDegreeOfParallelism = _parallelCases },
            one =>
            {
                slots.TryDequeue(out int slot);
                onRow(RunCase(one, _portFirst + slot));
                slots.Enqueue(slot);
            });
    }

    private static Row Simulate(Suite suite, Case one, Workload workload)
    {
        var row = new Row(workload.Trace.Name, one.MemoryMiB, one.Scale, workload.Trace.Requests.Length, workload.Trace.KeyCount)
        {
            Index = suite.Cases.IndexOf(one),
        };
        foreach (string policy in suite.PolicyNames)
        {
            HitCount count = Policies.Run(policy, workload, suite.OverheadBytes, (long)one.MemoryMiB << 20);
            row.Policies[policy] = new PolicyResult(count.Ratio, count.SecondHalfRatio);
        }

        return row;
    }

    private Row RunCase(Case one, int port)
    {
        Workload workload = _suite.Load(one);
        Row row = Simulate(_suite, one, workload);
        foreach ((string name, string path, string extraOptions) in _servers)
        {
            using ServerProcess server = ServerProcess.Start(path, extraOptions, one.MemoryMiB, port);
            ReplayResult result = Replayer.Run(workload, server.EndPoint, _depth);
            row.Servers[name] = new ServerResult(
                result.Count.Ratio, result.Count.SecondHalfRatio, ProcessMemory.RssMiB(server.Pid), result.Seconds,
                result.Statistic("cmd_set"), result.Statistic("curr_items"), result.Statistic("evictions"), result.Statistic("slabs_moved"),
                result.FailedSets, result.FirstFailure, result.Stats.GetValueOrDefault("version", "?"));
        }

        return row;
    }

    /// <summary>The newest Release build of the silo, of either form, in the repository that this program was built in.</summary>
    private static string NewestBuild()
    {
        string? root = AppContext.BaseDirectory;
        while (root is not null && !File.Exists(Path.Combine(root, "OrleansCache.sln")))
            root = Path.GetDirectoryName(root);
        FileInfo? newest = root is null ? null : Forms
            .Select(form => new FileInfo(Path.Combine(root, "artifacts", form, "bin", "OrleansCache.Silo", "release", "OrleansCache.dll")))
            .Where(file => file.Exists).MaxBy(file => file.LastWriteTimeUtc);
        return newest?.FullName
            ?? throw new FileNotFoundException("no Release build of src/Silo: dotnet build -c Release src/Silo, or --ours PATH to an OrleansCache.dll");
    }
}
