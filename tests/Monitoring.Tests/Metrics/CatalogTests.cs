using System.Text;
using System.Text.RegularExpressions;
using OrleansCache.Gateway.Options;
using OrleansCache.Gateway.Stats;
using OrleansCache.Monitoring.Metrics;

namespace OrleansCache.Monitoring.Tests.Metrics;

/// <summary>
/// The catalog is the one declaration of a metric: /metrics in both formats and the instruments for OTLP follow from it. These tests keep names, order and
/// types, and fail for a number that is counted and not told, and for a metric that the documentation does not have.
/// </summary>
public sealed partial class CatalogTests
{
    /// <summary>
    /// For `stats` and `stats memory` alone: memcached_exporter has no series for them, and the product's own metrics tell what matters of them in another
    /// form (bytes of buffers, losses by cause).
    /// </summary>
    private static readonly string[] s_notInMetrics =
    [
        "GatewayStatistics.ReplyBuffers", "GatewayStatistics.ReadBuffers", "GatewayStatistics.Threads", "GatewayStatistics.Dumps",
        "GatewayCounters.CmdMeta",
        "StoreStatistics.CmdGet", "StoreStatistics.CmdTouch", "StoreStatistics.CmdFlush", "StoreStatistics.GetExpired", "StoreStatistics.GetFlushed",
        "StoreStatistics.SlabReassignEvictions", "StoreStatistics.SlabReassignRescues", "StoreStatistics.SlabReassignChunkRescues",
        "StoreStatistics.SlabReassignInlineReclaim", "StoreStatistics.MaintainerWakes", "StoreStatistics.LruTailReflocked", "StoreStatistics.ItemsWaiting",
        "StoreStatistics.ReplicaBytes", "StoreStatistics.HashPowerLevel", "StoreStatistics.PoolPages", "StoreStatistics.ShardCount",
        "StoreStatistics.PageBytes", "StoreStatistics.GhostsMax", "StoreStatistics.IsCrawling",
        "SlabClassStatistics.ItemsHotMax", "SlabClassStatistics.CreditBytes", "SlabClassStatistics.EvictedActive", "SlabClassStatistics.CrawlerItemsChecked",
        "SlabClassStatistics.LruTailReflocked",
    ];

    public static TheoryData<string> Numbers =>
    [
        .. typeof(GatewayCounters).GetFields().Select(static one => one.Name).Select(static name => $"GatewayCounters.{name}"),
        .. typeof(GatewayStatistics).GetProperties().Select(static property => property.Name).Except([nameof(GatewayStatistics.Counters)])
            .Select(static name => $"GatewayStatistics.{name}"),
        .. typeof(StoreStatistics).GetFields().Select(static one => $"StoreStatistics.{one.Name}"),
        .. typeof(SlabClassStatistics).GetFields().Select(static one => $"SlabClassStatistics.{one.Name}"),
        .. typeof(RoutingStatistics).GetFields().Select(static property => $"RoutingStatistics.{property.Name}"),
    ];

    [Theory]
    [MemberData(nameof(Numbers))]
    public void EachNumberIsTold(string number)
    {
        NodeSnapshot before = Snapshot();
        NodeSnapshot after = Snapshot();
        string name = number.Split('.')[1];
        switch (number.Split('.')[0])
        {
            case nameof(GatewayCounters):
                object counters = default(GatewayCounters);
                Mark(counters, name);
                after = after with { Gateway = new GatewayStatistics { Counters = (GatewayCounters)counters } };
                break;
            case nameof(GatewayStatistics):
                Mark(after.Gateway, name);
                break;
            case nameof(StoreStatistics):
                Mark(after.Store, name);
                break;
            case nameof(SlabClassStatistics):
                object slab = after.Store.Classes[0];
                Mark(slab, name);
                after.Store.Classes[0] = (SlabClassStatistics)slab;
                break;
            default:
                object routing = default(RoutingStatistics);
                Mark(routing, name);
                after = after with { Routing = (RoutingStatistics)routing };
                break;
        }

        Assert.Equal(s_notInMetrics.Contains(number), Text(before, isOpenMetrics: false) == Text(after, isOpenMetrics: false));
    }

    /// <summary>Names, labels, kinds, units and texts, in their order: dashboards, rules and collectors are made for them.</summary>
    [Fact]
    public void TheTextAndTheInstrumentsAreThoseOfTheList()
    {
        string list = File.ReadAllText(Path.Combine(Repository.Root, "tests", "Monitoring.Tests", "Metrics", "metrics.txt")).ReplaceLineEndings("\n");
        string now = Text(Snapshot(), isOpenMetrics: false) + "\n" + Text(Snapshot(), isOpenMetrics: true) + "\n" + Instruments();
        string[] listed = list.Split('\n');
        string[] told = now.Split('\n');
        Assert.Empty(listed.Except(told));
        Assert.Empty(told.Except(listed));
        Assert.Equal(list, now);
    }

    /// <summary>The table of docs/monitoring.md names all metrics, and no others; `class_*` stands for all that begin so.</summary>
    [Fact]
    public void TheDocumentationNamesEachMetric()
    {
        IEnumerable<string> rows = File.ReadLines(Path.Combine(Repository.Root, "docs", "monitoring.md")).SkipWhile(static line => line != "## Metrics").Skip(1)
            .TakeWhile(static line => !line.StartsWith("## ", StringComparison.Ordinal)).Where(static line => line.StartsWith("| `", StringComparison.Ordinal));
        string[] documented = [.. rows.SelectMany(static row => Code().Matches(row.Split('|')[1])).Select(static match => match.Groups[1].Value)];
        string[] told =
        [
            .. MetricCatalog.All.Where(static family => family.Name.StartsWith("orleanscache_", StringComparison.Ordinal))
                .Select(static family => family.Name["orleanscache_".Length..] + (family.Kind == MetricKind.Counter ? "_total" : "")),
        ];
        Assert.All(told, name => Assert.Contains(documented, pattern => Matches(name, pattern)));
        Assert.All(documented, pattern => Assert.Contains(told, name => Matches(name, pattern)));

        static bool Matches(string name, string pattern) =>
            Regex.IsMatch(name, $"^{Regex.Escape(pattern).Replace("\\*", ".*", StringComparison.Ordinal)}$");
    }

    private static void Mark(object target, string name)
    {
        if (target.GetType().GetField(name) is { } field)
            field.SetValue(target, Marked(field.FieldType));
        else
            target.GetType().GetProperty(name)!.SetValue(target, Marked(target.GetType().GetProperty(name)!.PropertyType));

        static object Marked(Type type) => type == typeof(bool) ? true : Convert.ChangeType(77, type, null);
    }

    private static string Text(NodeSnapshot snapshot, bool isOpenMetrics)
    {
        var text = new PrometheusText(isOpenMetrics);
        text.Write(snapshot);
        return Encoding.UTF8.GetString(text.Bytes.Span);
    }

    private static string Instruments()
    {
        var lines = new StringBuilder();
        foreach (MetricFamily family in MetricCatalog.All)
            lines.Append(family.Name).Append(' ').Append(family.Kind).Append(' ').Append(family.Unit).Append('\n');
        return lines.ToString();
    }

    /// <summary>A silo with something wherever metrics have one sample for each of several.</summary>
    private static NodeSnapshot Snapshot() => new()
    {
        Timestamp = 0,
        Time = DateTimeOffset.UnixEpoch.AddDays(20_000),
        StartedAt = DateTimeOffset.UnixEpoch.AddDays(19_999),
        Gateway = new GatewayStatistics(),
        Store = new StoreStatistics { Classes = [new SlabClassStatistics { ClassId = 5, TotalPages = 1 }] },
        Lru = new LruSettings(),
        Events = default,
        Routing = new RoutingStatistics(),
        Owners = new PartitionOwners("1", "a:1", ["a:1"], [0, -1]),
        Cluster = new ClusterStatistics(1, 2, [new SiloStatistics("a:1", null, 1, [])]),
        LoopTimes = [TimeSpan.Zero],
        Commands = [],
        NotReady = null,
        Process = new ProcessReading
        {
            UserTime = TimeSpan.Zero,
            SystemTime = TimeSpan.Zero,
            ResidentBytes = 0,
            AllocatedBytes = 0,
            HeapBytes = 0,
            GcPause = TimeSpan.Zero,
            Collections = [0, 0, 0],
            PoolThreads = 0,
            PoolQueue = 0,
        },
    };

    [GeneratedRegex("`([^`]+)`")]
    private static partial Regex Code();
}
