using System.Globalization;
using OrleansCache.Gateway;
using OrleansCache.Gateway.Metering;
using OrleansCache.Gateway.Options;
using OrleansCache.Gateway.Stats;

namespace OrleansCache.Monitoring.Api;

/// <summary>Makes the documents below /api of one snapshot.</summary>
internal sealed class DocumentBuilder(NodeReader reader, NodeSnapshot snapshot)
{
    private const int ConnectionsMax = 200;
    private const int KeysMax = 20;
    private IReadOnlyList<Warning>? _warnings;

    public AllDocument All() => new()
    {
        Status = Status(),
        Silos = Silos(),
        Partitions = Partitions(),
        Memory = Memory(),
        Commands = Commands(),
        Connections = Connections(),
        Keys = Keys(),
        Settings = Settings(),
        Warnings = Warnings(),
    };

    public StatusDocument Status()
    {
        Dictionary<string, long> values = HereValues();
        return new StatusDocument
        {
            Version = reader.Options.Version,
            MemcachedVersion = new GatewayOptions().Version,
            Time = snapshot.Time.ToUnixTimeMilliseconds() / 1000.0,
            UptimeSeconds = snapshot.UptimeSeconds,
            Pid = Environment.ProcessId,
            Role = reader.Options.Role switch { NodeRole.Silo => "silo", NodeRole.Gateway => "gateway", _ => "single" },
            Silo = snapshot.Owners?.Here,
            Gateway = reader.Gateway.FindAddress(null, null) is { } gateway ? Text(gateway) : null,
            Ready = snapshot.NotReady is null,
            NotReadyReason = snapshot.NotReady,
            HitRatio = HitRatio(values),
            Values = values,
            Cluster = Cluster(),
            Warnings = FindWarnings(),
        };
    }

    public SilosDocument Silos() => new([.. (snapshot.Cluster?.Silos ?? []).Select(Silo)]);

    public PartitionsDocument Partitions()
    {
        // A single node owns everything, and its name is that of its gateway.
        PartitionOwners owners = snapshot.Owners
            ?? new PartitionOwners("1", null, [.. (snapshot.Cluster?.Silos ?? []).Select(static silo => silo.Silo)], new int[reader.PartitionCount]);
        (long committed, long failed) = CountMoves();
        return new PartitionsDocument
        {
            Count = owners.Owners.Count,
            Version = owners.Version,
            Silos = owners.Silos,
            Owners = owners.Owners,
            Moves = FindMoves(),
            MovesCommitted = committed,
            MovesFailed = failed,
            MovesAborted = Sum("moves_aborted"),
            MovesPaused = Sum("moves_paused") > 0,
            PartitionsToMove = Sum("partitions_to_move"),
        };
    }

    public MemoryDocument Memory()
    {
        StoreStatistics store = snapshot.Store;
        return new MemoryDocument
        {
            LimitBytes = store.LimitMaxBytes,
            PageBytes = store.PageBytes,
            PageBytesUsed = store.PageBytesUsed,
            PageBytesFree = store.PageBytesFree,
            ItemBytes = store.Bytes,
            IndexBytes = store.HashBytes,
            GhostBytes = store.GhostBytes,
            PinnedBytes = store.PinnedBytes,
            Items = store.CurrItems,
            Lost = new Dictionary<string, long>
            {
                ["replaced"] = store.LostReplaced,
                ["deleted"] = store.LostDeleted,
                ["expired"] = store.LostExpired,
                ["evicted"] = store.LostEvicted,
                ["pageMoved"] = store.LostPageMoved,
                ["memoryLimit"] = store.LostMemoryLimit,
                ["flushed"] = store.LostFlushed,
                ["closed"] = store.LostClosed,
            },
            EvictedUnfetched = store.EvictedUnfetched,
            EvictedActive = store.EvictedActive,
            Classes = [.. store.Classes.Where(static slab => slab.TotalPages > 0).Select(slab => Class(slab, store.PageBytes))],
        };
    }

    public CommandsDocument Commands() => new(snapshot.Gateway.Counters.Operations, [.. snapshot.Commands.Where(static one => one.Count > 0).Select(Command)]);

    public ConnectionsDocument Connections()
    {
        GatewayStatistics gateway = snapshot.Gateway;
        IReadOnlyList<ConnectionState> connections = reader.Gateway.ReadConnections(ConnectionsMax, out int more);
        return new ConnectionsDocument
        {
            Current = gateway.ConnectionsCurrent,
            Max = gateway.ConnectionsMax,
            Total = gateway.ConnectionsTotal,
            Rejected = gateway.ConnectionsRejected,
            IdleKicked = gateway.Counters.ConnectionsIdleKicked,
            Yields = gateway.Counters.ConnectionYields,
            Accepting = gateway.Accepting,
            BytesRead = gateway.Counters.BytesRead,
            BytesWritten = gateway.Counters.BytesWritten,
            Connections = [.. connections.Select(static one => new ConnectionDocument(one.Id, one.Address, one.ListenAddress, one.State, one.IdleSeconds))],
            More = more,
        };
    }

    public KeysDocument Keys()
    {
        KeySamples keys = reader.Gateway.ReadKeys(KeysMax);
        return new KeysDocument
        {
            SampledOneIn = keys.SampledOneIn,
            Hot = [.. keys.Hot.Select(key => new HotKeyDocument(KeyText.Encode(key.Key), key.Sampled,
                Math.Round((double)key.Sampled / Math.Max(1, keys.Samples), 4)))],
            Large = [.. keys.Large.Select(static value => new LargeItemDocument(KeyText.Encode(value.Key), value.ValueBytes))],
        };
    }

    public SettingsDocument Settings()
    {
        var values = new Dictionary<string, string>();
        foreach ((string name, string value) in reader.Gateway.ReadSettings())
            values[name] = value;
        return new SettingsDocument(values);
    }

    public WarningsDocument Warnings() => new(FindWarnings());

    private static string Text(GatewayAddress gateway)
    {
        string host = gateway.Host.Contains(':', StringComparison.Ordinal) ? $"[{gateway.Host}]" : gateway.Host;
        return string.Create(CultureInfo.InvariantCulture, $"{host}:{gateway.Port}");
    }

    private static double? HitRatio(Dictionary<string, long>? values)
    {
        long hits = values?.GetValueOrDefault("get_hits") ?? 0;
        long gets = hits + (values?.GetValueOrDefault("get_misses") ?? 0);
        return gets == 0 ? null : Math.Round((double)hits / gets, 6);
    }

    private static Dictionary<string, long> ToDictionary(IEnumerable<StatisticValue> values)
    {
        var all = new Dictionary<string, long>();
        foreach (StatisticValue value in values)
            all[value.Name] = value.Value;
        return all;
    }

    private static CommandDocument Command(CommandLatencies latencies)
    {
        return new CommandDocument
        {
            Command = latencies.Command,
            Outcome = latencies.Outcome,
            Count = latencies.Count,
            P50Microseconds = Quantile(0.5),
            P90Microseconds = Quantile(0.9),
            P99Microseconds = Quantile(0.99),
            P999Microseconds = Quantile(0.999),
            MaxMicroseconds = latencies.MaxNanoseconds / 1000.0,
            SumMicroseconds = latencies.SumNanoseconds / 1000.0,
            Buckets =
            [
                .. Enumerable.Range(0, LatencyBuckets.Count).Where(bucket => latencies.Buckets[bucket] > 0)
                    .Select(bucket => new double[] { LatencyBuckets.UpperNanoseconds(bucket) / 1000.0, latencies.Buckets[bucket] }),
            ],
        };

        double? Quantile(double share) => latencies.QuantileNanoseconds(share) / 1000.0;
    }

    private static ClassDocument Class(SlabClassStatistics slab, int pageBytes) => new()
    {
        Class = slab.ClassId,
        ChunkBytes = slab.ChunkBytes,
        Pages = slab.TotalPages,
        UsedChunks = slab.UsedChunks,
        FreeChunks = slab.FreeChunks,
        Items = slab.Items,
        RequestedBytes = slab.MemRequested,

        // A value in several chunks counts where its first one lies, so that a class may seem to hold more than it has.
        UsefulRatio = slab.TotalPages == 0 ? null : Math.Round(Math.Min(1, (double)WarningFinder.UsefulBytes(slab) / (slab.TotalPages * pageBytes)), 4),
        AgeSeconds = slab.AgeSeconds,
        Evicted = slab.Evicted,
        EvictedAgeSeconds = slab.Evicted == 0 ? null : slab.EvictedTimeSeconds,
        Hits = slab.GetHits,
        Sets = slab.CmdSet,
    };

    private Dictionary<string, long> HereValues() => ToDictionary(reader.Gateway.ReadNodeStatistics());

    private SiloDocument Silo(SiloStatistics silo)
    {
        Dictionary<string, long>? values = silo.Values is null ? null : ToDictionary(silo.Values);
        return new SiloDocument
        {
            Silo = silo.Silo,
            State = values is null ? "no_answer" : "up",
            IsThis = snapshot.Owners is null || silo.Silo == snapshot.Owners.Here,
            Gateway = silo.Gateway is null ? null : Text(silo.Gateway),
            Partitions = silo.Partitions,
            HitRatio = HitRatio(values),
            Values = values,
        };
    }

    private ClusterDocument? Cluster()
    {
        if (snapshot.Cluster is not { } cluster)
            return null;
        var sums = new Dictionary<string, long>();
        foreach (StatisticValue value in cluster.Silos.SelectMany(static silo => silo.Values ?? []))
        {
            bool isKnown = sums.TryGetValue(value.Name, out long sum);
            sums[value.Name] = !isKnown ? value.Value : value.Name == "uptime" ? Math.Min(sum, value.Value) : sum + value.Value;
        }

        (long committed, long failed) = CountMoves();
        return new ClusterDocument
        {
            Silos = cluster.Silos.Count,
            SilosAnswering = cluster.Silos.Count(static silo => silo.Values is not null),
            Gateways = cluster.Silos.Count(static silo => silo.Gateway is not null),
            Partitions = cluster.PartitionCount,
            PartitionsWithoutOwner = snapshot.Owners?.Owners.Count(static owner => owner < 0) ?? 0,
            PartitionsMoving = FindMoves().Count,
            MovesCommitted = committed,
            MovesFailed = failed,
            HitRatio = HitRatio(sums),
            Values = sums,
        };
    }

    private (long Committed, long Failed) CountMoves() => (Sum("moves_committed"), Sum("moves_failed"));

    /// <summary>Of all silos that have answered.</summary>
    private long Sum(string name) =>
        (snapshot.Cluster?.Silos ?? []).SelectMany(static silo => silo.Values ?? []).Where(value => value.Name == name).Sum(static value => value.Value);

    /// <summary>What each silo says of itself, put together: one hands over, another receives.</summary>
    private List<MoveDocument> FindMoves()
    {
        var moves = new SortedDictionary<int, MoveDocument>();
        foreach (SiloStatistics silo in snapshot.Cluster?.Silos ?? [])
        {
            foreach (int partition in silo.Sending)
                moves[partition] = new MoveDocument(partition, silo.Silo, moves.GetValueOrDefault(partition)?.To);
            foreach (int partition in silo.Receiving)
                moves[partition] = new MoveDocument(partition, moves.GetValueOrDefault(partition)?.From, silo.Silo);
        }

        return [.. moves.Values];
    }

    private IReadOnlyList<Warning> FindWarnings() => _warnings ??= new WarningFinder(snapshot, reader.PastOf(snapshot)).Find();
}
