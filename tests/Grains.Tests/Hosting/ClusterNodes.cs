using System.Net;
using System.Text;
using Microsoft.Extensions.Logging;
using OrleansCache.Events;
using OrleansCache.Grains.Hosting;
using OrleansCache.Storage;

namespace OrleansCache.Grains.Tests.Hosting;

/// <summary>A cluster of nodes in this process, for tests. Ports are given, so that runs do not meet.</summary>
internal sealed class ClusterNodes : IAsyncDisposable
{
    private static int s_nextPort = 24_000;
    private readonly string _clusterId = $"test-{Guid.NewGuid():N}";
    private readonly int _partitions;
    private readonly StandardErrorLog? _log;
    private IPEndPoint? _first;

    public ClusterNodes(int partitions = 64, LogLevel? log = null)
    {
        _partitions = partitions;
        if (log is { } level || Enum.TryParse(Environment.GetEnvironmentVariable("ORLEANSCACHE_TEST_LOG"), out level))
            _log = new StandardErrorLog(level);
    }

    public List<ClusterNode> Nodes { get; } = [];

    public ClusterNodeOptions OptionsForNext(IPEndPoint? join = null) => OptionsForNext(Interlocked.Add(ref s_nextPort, 3), join);

    private ClusterNodeOptions OptionsForNext(int port, IPEndPoint? join) => new()
    {
        ClusterId = _clusterId,
        SiloEndPoint = new IPEndPoint(IPAddress.Loopback, port),
        GatewayOrleansPort = port + 1,
        SeedPort = port + 2,
        AllowGateways = true,
        Join = (join ?? _first) is { } first ? [first] : [],
        Events = new RingEventLog(),
        Store = new StoreOptions { PartitionCount = _partitions, MemoryBytes = 64L * 1024 * 1024 },
        LoggerFactory = _log,
    };

    /// <summary>Of a gateway alone that joins the first node.</summary>
    public ClusterNodeOptions GatewayOptions() => OptionsForNext() with { GatewayOnly = true, GatewayOrleansPort = _first!.Port + 1 };

    public async Task<ClusterNode> StartNodeAsync(ClusterNodeOptions? options = null)
    {
        options ??= OptionsForNext();
        ClusterNode node = new(options);
        await node.StartAsync(CancellationToken.None);
        _first ??= options.SiloEndPoint;
        Nodes.Add(node);
        return node;
    }

    /// <summary>Partitions that a node's gates serve.</summary>
    public int Serving(ClusterNode node) =>
        Enumerable.Range(0, _partitions).Count(partition => node.PartitionSet!.TryGet(new PartitionId(partition))?.State == PartitionState.Active);

    /// <summary>All partitions are served, each once, and the given nodes hold what the planner says they should.</summary>
    public Task BalancedAsync(params ClusterNode[] nodes) => Wait.UntilAsync(
        () => nodes.All(node => node.TableCache.Current.Silos.Length == nodes.Length && Math.Abs(Serving(node) - ((double)_partitions / nodes.Length)) < 1)
            && nodes.Sum(Serving) == _partitions,
        () => string.Join(", ", nodes.Select(node => $"{Serving(node)} ({node.State})")));

    /// <summary>Every partition has its copy in another silo, which has all that has been written.</summary>
    public Task ReplicatedAsync(params ClusterNode[] nodes) => Wait.UntilAsync(
        () => nodes.Sum(node => node.State!.Copies) == _partitions && nodes.Sum(node => node.State!.Replicas) == _partitions
            && nodes.All(node => node.State is { IncompleteCopies: 0, UnacknowledgedPartitions: 0 }),
        () => string.Join(", ", nodes.Select(node => $"{node.State}")));

    /// <summary>Stores through the gate of whoever has the partition.</summary>
    public bool TrySet(string key, string value, params ClusterNode[] nodes)
    {
        CacheRequest request = new()
        {
            Operation = CacheOperation.Set, Key = Encoding.ASCII.GetBytes(key), KeyHash = Hash(key, nodes), Value = Encoding.ASCII.GetBytes(value),
        };
        Reply reply = new();
        return Execute(in request, reply, nodes) && reply.Status == CacheStatus.Ok;
    }

    /// <summary>Reads through the gate of whoever has the partition; null for a miss.</summary>
    public string? Get(string key, params ClusterNode[] nodes)
    {
        CacheRequest request = new()
        {
            Operation = CacheOperation.Get,
            Flags = RequestFlags.ReturnValue,
            Key = Encoding.ASCII.GetBytes(key),
            KeyHash = Hash(key, nodes),
        };
        Reply reply = new() { ReadsValue = true };
        return Execute(in request, reply, nodes) && reply.Status == CacheStatus.Ok ? reply.Value : null;
    }

    public async ValueTask DisposeAsync()
    {
        foreach (ClusterNode node in Enumerable.Reverse(Nodes))
            await node.DisposeAsync();
        _log?.Dispose();
    }

    private static ulong Hash(string key, ClusterNode[] nodes) => nodes[0].TableCache.Current.Hasher.Compute(Encoding.ASCII.GetBytes(key));

    private bool Execute(in CacheRequest request, Reply reply, ClusterNode[] nodes)
    {
        PartitionId partition = PartitionId.OfHash(request.KeyHash, _partitions);
        foreach (ClusterNode node in nodes)
        {
            uint now = (uint)DateTimeOffset.UtcNow.ToUnixTimeSeconds();
            if (node.PartitionSet!.TryGet(partition) is { } gate
                && (gate.TryExecute(in request, now, reply) || gate.TryExecuteLogged(in request, now, reply, out _)))
            {
                node.Replicator!.Flush();
                return true;
            }
        }

        return false;
    }

    private sealed class Reply : ReplySink
    {
        public bool ReadsValue;
        public CacheStatus Status;
        public string? Value;

        public override void OnReply(in CacheReply reply)
        {
            Status = reply.Status;
            if (!ReadsValue || reply.Status != CacheStatus.Ok)
                return;
            byte[] bytes = new byte[reply.Value.Length];
            reply.Value.CopyTo(bytes);
            Value = Encoding.ASCII.GetString(bytes);
        }
    }

    private sealed class StandardErrorLog(LogLevel least) : ILoggerFactory, ILogger
    {
        public void AddProvider(ILoggerProvider provider)
        {
        }

        public ILogger CreateLogger(string categoryName) => this;

        public void Dispose()
        {
        }

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => logLevel >= least;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (IsEnabled(logLevel))
                Console.Error.WriteLine($"{DateTime.UtcNow:HH:mm:ss.fff} {logLevel} {formatter(state, exception)} {exception}");
        }
    }
}
