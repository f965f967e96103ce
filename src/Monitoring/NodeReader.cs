using OrleansCache.Gateway;

namespace OrleansCache.Monitoring;

/// <summary>
/// Reads this process's numbers, and asks for the cluster's.
/// <para>
/// Bounds: whoever asks, and however many at a time, the stores are added up at most once in <see cref="SnapshotAge"/>, and the silos asked at most once in
/// <see cref="ClusterAge"/>, one question under way at a time. Adding up holds one shard's lock at a time, for as long as `stats` does.
/// </para>
/// </summary>
internal sealed class NodeReader
{
    private static readonly TimeSpan SnapshotAge = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan ClusterAge = TimeSpan.FromMilliseconds(500);

    /// <summary>How old the answer of the silos may be for those who do not wait for them.</summary>
    private static readonly TimeSpan ClusterAgeUnasked = TimeSpan.FromSeconds(4);

    private static readonly TimeSpan PastInterval = TimeSpan.FromSeconds(10);
    private const int PastMax = 6;

    private readonly IPartitionRouter _router;
    private readonly TimeProvider _time;
    private readonly Readiness _readiness;
    private readonly Lock _lock = new();
    private readonly Queue<NodeSnapshot> _past = new();
    private NodeSnapshot? _snapshot;
    private NodeSnapshot? _lastKept;
    private Task<ClusterStatistics>? _asking;
    private ClusterStatistics? _cluster;
    private long _clusterAt;

    public NodeReader(MonitoringOptions options, GatewayServer gateway, IPartitionRouter router, Readiness readiness, TimeProvider time)
    {
        Options = options;
        Gateway = gateway;
        _router = router;
        _readiness = readiness;
        _time = time;
        _ = AskCluster(TimeSpan.Zero);
    }

    public MonitoringOptions Options { get; }

    public GatewayServer Gateway { get; }

    public int PartitionCount => _router.PartitionCount;

    /// <summary>Never waits for other silos: what is told of them may be some seconds old.</summary>
    public NodeSnapshot Read()
    {
        _ = AskCluster(ClusterAgeUnasked);
        return ReadHere();
    }

    /// <summary>After all silos have been asked. If it cannot be found out which there are, <see cref="NodeSnapshot.Cluster"/> is null.</summary>
    public async ValueTask<NodeSnapshot> ReadAllAsync()
    {
        bool answered = true;
        try
        {
            await AskCluster(ClusterAge).ConfigureAwait(false);
        }
        catch (RouterException)
        {
            answered = false;
        }

        NodeSnapshot here = ReadHere();
        return answered ? here with { Cluster = Volatile.Read(ref _cluster) } : here with { Cluster = null };
    }

    /// <summary>The oldest snapshot of the last minute that is at least some seconds older than this one; null: compare with the start.</summary>
    public NodeSnapshot? PastOf(NodeSnapshot snapshot)
    {
        lock (_lock)
        {
            return _past.FirstOrDefault(past => _time.GetElapsedTime(past.Timestamp, snapshot.Timestamp) is { TotalSeconds: >= 1 and <= 90 });
        }
    }

    private NodeSnapshot ReadHere()
    {
        lock (_lock)
        {
            long now = _time.GetTimestamp();
            if (_snapshot is { } known && _time.GetElapsedTime(known.Timestamp, now) < SnapshotAge)
                return known with { NotReady = _readiness.NotReady };
            _snapshot = new NodeSnapshot
            {
                Timestamp = now,
                Time = _time.GetUtcNow(),
                StartedAt = Gateway.StartedAt,
                Gateway = Gateway.Statistics,
                Store = _router.ReadStatistics(perClass: true),
                Lru = Gateway.Lru,
                Events = _router.Events.ReadStatistics(),
                Routing = _router.ReadRouting(),
                Owners = _router.Cluster?.ReadOwners(),
                Cluster = _cluster,
                LoopTimes = Gateway.ReadLoopTimes(),
                Commands = Gateway.ReadCommands(),
                NotReady = _readiness.NotReady,
                Process = ProcessReading.Read(),
            };
            if (_lastKept is null || _time.GetElapsedTime(_lastKept.Timestamp, now) >= PastInterval)
            {
                _past.Enqueue(_lastKept = _snapshot);
                if (_past.Count > PastMax)
                    _past.Dequeue();
            }

            return _snapshot;
        }
    }

    /// <summary>Completes when an answer of at most this age is there. Whoever comes while the silos are being asked waits for the same answer.</summary>
    private Task AskCluster(TimeSpan ageMax)
    {
        lock (_lock)
        {
            if (_asking is { IsCompleted: false } asking)
                return asking;
            if (_cluster is not null && _time.GetElapsedTime(_clusterAt) < ageMax)
                return Task.CompletedTask;
            return _asking = Task.Run(AskAsync);
        }
    }

    private async Task<ClusterStatistics> AskAsync()
    {
        ClusterStatistics answer = await Gateway.ReadClusterAsync(CancellationToken.None).ConfigureAwait(false);
        lock (_lock)
        {
            _cluster = answer;
            _clusterAt = _time.GetTimestamp();
        }

        return answer;
    }
}
