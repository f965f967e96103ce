using System.Reflection;
using OrleansCache.Gateway.Buffers;
using OrleansCache.Gateway.Sessions;
using OrleansCache.Gateway.Stats;

namespace OrleansCache.Gateway.Tests.Stats;

/// <summary>A counter is declared once, as a field: what follows from that does so for each, and the lines that have to be written are there.</summary>
public sealed class CounterTests
{
    /// <summary>Told by metrics alone: memcached has no line for them.</summary>
    private static readonly string[] s_notInStats = [nameof(GatewayCounters.Operations), nameof(GatewayCounters.Unavailable)];

    /// <summary>What `stats` tells otherwise: flush_all by the gateways' count, an eviction for a page among all evictions and as lost_page_moved.</summary>
    private static readonly string[] s_toldOtherwise = [nameof(StoreStatistics.CmdFlush), nameof(StoreStatistics.SlabReassignEvictions)];

    public static TheoryData<string> Counters => [.. Fields(typeof(GatewayCounters)).Select(static one => one.Name)];

    public static TheoryData<string> StoreFields => [.. Fields(typeof(StoreStatistics)).Select(static one => one.Name)];

    public static TheoryData<string> ClassFields =>
        [.. Fields(typeof(SlabClassStatistics)).Select(static one => one.Name).Except([nameof(SlabClassStatistics.ClassId)])];

    /// <summary>What <see cref="CounterSums"/> relies on.</summary>
    [Fact]
    public void CountersAreLongAndNothingElse() =>
        Assert.All(Fields(typeof(GatewayCounters)), static field => Assert.Equal(typeof(long), field.FieldType));

    [Theory]
    [MemberData(nameof(Counters))]
    public void EachIsAddedUpOverTheLoopsAndSetBack(string name)
    {
        using var world = new AllLines();
        using var chunks = new ChunkPool();
        var other = new LoopReadings(chunks);
        world.Shared.RegisterLoop(other);
        long before = Read(world, name);
        Set(world.Loop.Readings, name, before + 40);
        Set(other, name, 2);
        Assert.Equal(before + 42, Read(world, name));

        world.Shared.ResetCounters();
        Assert.Equal(0, Read(world, name));

        static long Read(AllLines world, string name) => (long)typeof(GatewayCounters).GetField(name)!.GetValue(world.Shared.ReadStatistics().Counters)!;
    }

    [Theory]
    [MemberData(nameof(Counters))]
    public void EachStandsInStats(string name)
    {
        using var world = new AllLines();
        const long Marked = 7_000_000_000;
        string[] lines = Lines(world, "stats", () => Set(world.Loop.Readings, name, Marked));
        if (s_notInStats.Contains(name))
            Assert.Contains(ClusterText.NodeValues(world.Shared), static value => value.Value == Marked);
        else
            Assert.Single(lines);
    }

    [Theory]
    [MemberData(nameof(StoreFields))]
    public void EachOfTheStoresStandsInStats(string name)
    {
        using var world = new AllLines();
        FieldInfo field = typeof(StoreStatistics).GetField(name)!;
        object? unmarked = field.GetValue(world.Router.Statistics);
        bool isTold = ((string[])["stats", "stats memory", "stats slabs"]).Any(command =>
        {
            field.SetValue(world.Router.Statistics, unmarked);
            return Lines(world, command, () => field.SetValue(world.Router.Statistics, ValueOf(field))).Length > 0;
        });
        Assert.Equal(!s_toldOtherwise.Contains(name), isTold);
    }

    [Theory]
    [MemberData(nameof(ClassFields))]
    public void EachOfASlabClassStandsInStats(string name)
    {
        using var world = new AllLines();
        FieldInfo field = typeof(SlabClassStatistics).GetField(name)!;
        object changed = world.Router.Statistics.Classes[0];
        field.SetValue(changed, ValueOf(field));
        Assert.NotEmpty(((string[])["stats items", "stats slabs", "stats memory"]).SelectMany(command =>
        {
            world.Router.Statistics.Classes = [AllLines.Class];
            return Lines(world, command, () => world.Router.Statistics.Classes = [(SlabClassStatistics)changed]);
        }));
    }

    /// <summary>Whether asked for one process or summed over silos, a name means the same.</summary>
    [Fact]
    public void SilosTellWhatStatsTells()
    {
        using var world = new AllLines();
        int number = 1000;
        foreach (FieldInfo field in Fields(typeof(GatewayCounters)))
            Set(world.Loop.Readings, field.Name, ++number);
        foreach (FieldInfo field in Fields(typeof(StoreStatistics)).Where(static one => one.FieldType == typeof(long)))
            field.SetValue(world.Router.Statistics, (long)++number);
        Dictionary<string, string> stats = world.Lines("stats").ToDictionary();
        Dictionary<string, string> silo = ClusterText.NodeValues(world.Shared).ToDictionary(static one => one.Name, static one => $"{one.Value}");
        string[] both = [.. stats.Keys.Intersect(silo.Keys)];
        Assert.True(both.Length > 30);
        Assert.All(both, name => Assert.Equal((name, stats[name]), (name, silo[name])));
    }

    private static FieldInfo[] Fields(Type type) => type.GetFields(BindingFlags.Instance | BindingFlags.Public);

    private static object ValueOf(FieldInfo field) => field.FieldType == typeof(bool) ? true : Convert.ChangeType(77, field.FieldType, null);

    private static void Set(LoopReadings loop, string name, long value)
    {
        object counters = loop.Counters;
        typeof(GatewayCounters).GetField(name)!.SetValue(counters, value);
        loop.Counters = (GatewayCounters)counters;
    }

    /// <summary>The names of the lines that a change changes; the processor's time goes on by itself.</summary>
    private static string[] Lines(AllLines world, string command, Action change)
    {
        List<(string Name, string Value)> before = world.Lines(command);
        change();
        world.Time.Advance(TimeSpan.FromMilliseconds(5)); // A sum of the last millisecond would serve again.
        IEnumerable<string> changed = world.Lines(command).Except(before).Select(static line => line.Name);
        return [.. changed.Where(static name => !name.StartsWith("rusage_", StringComparison.Ordinal))];
    }
}
