using System.Reflection;

namespace OrleansCache.Storage.Tests;

/// <summary>What shards and slab classes count is in the sums of the process, each field of it.</summary>
public sealed class CounterTests
{
    private const long Marked = 5;

    /// <summary>Told of each class, and of the whole process by nothing.</summary>
    private static readonly string[] s_ofClassesOnly =
        [nameof(SlabClassCounters.EvictedNonzero), nameof(SlabClassCounters.OutOfMemory), nameof(SlabClassCounters.EvictedTimeSeconds)];

    public static TheoryData<string> OfShards => [.. typeof(StoreCounters).GetFields().Select(static one => one.Name)];

    public static TheoryData<string> OfClasses => [.. typeof(SlabClassCounters).GetFields().Select(static one => one.Name)];

    public static TheoryData<string> Causes => [.. Enum.GetNames<LossCause>()];

    [Theory]
    [MemberData(nameof(OfShards))]
    public void EachOfAShardIsInTheSumsUnderItsNameAndIsSetBack(string name)
    {
        using PartitionSet set = NewSet();
        foreach (StoreShard shard in set.Arena.Shards)
            shard.Counters = Change(shard.Counters, name);
        Assert.Equal(Marked * set.Arena.ShardCount, Value(Read(set), name));

        set.ResetStatistics();
        Assert.Equal(0, Value(Read(set), name));
    }

    [Theory]
    [MemberData(nameof(OfClasses))]
    public void EachOfAClassIsInTheSumsAndIsSetBack(string name)
    {
        using PartitionSet set = NewSet();
        (StoreStatistics Total, SlabClassStatistics Class) before = (Read(set), Read(set).Classes[3]);
        ref SlabClassCounters counters = ref set.Arena.Shards[1].Classes[3].Counters;
        if (name == nameof(SlabClassCounters.GetHits))
            counters.GetHits[(int)QueueId.Main] = Marked;
        else
            counters = Change(counters, name);
        StoreStatistics after = Read(set);
        Assert.NotEqual(before.Class, after.Classes[3]);
        Assert.Equal(!s_ofClassesOnly.Contains(name), Differs(before.Total, after));

        set.ResetStatistics();
        Assert.Equal(before.Class, Read(set).Classes[3]);
        Assert.False(Differs(before.Total, Read(set)));
    }

    [Theory]
    [MemberData(nameof(Causes))]
    public void EachCauseOfALossIsInTheSumsUnderItsName(string name)
    {
        using PartitionSet set = NewSet();
        set.Arena.Shards[1].Ledger.Lose(Enum.Parse<LossCause>(name));
        Assert.Equal(1, Value(Read(set), "Lost" + name));
    }

    private static PartitionSet NewSet() =>
        new(new StoreOptions { MemoryBytes = 16 << 20, PartitionCount = 4, ShardCount = 2, HashSeed = StoreHarness.HashSeed });

    private static StoreStatistics Read(PartitionSet set) => set.ReadStatistics(StoreHarness.Start, perClass: true);

    private static long Value(StoreStatistics statistics, string name) => (long)typeof(StoreStatistics).GetField(name)!.GetValue(statistics)!;

    private static bool Differs(StoreStatistics one, StoreStatistics other) =>
        typeof(StoreStatistics).GetFields().Any(field => !Equals(field.GetValue(one), field.GetValue(other)));

    private static T Change<T>(T counters, string name)
        where T : struct
    {
        object boxed = counters;
        FieldInfo field = typeof(T).GetField(name)!;
        field.SetValue(boxed, Convert.ChangeType(Marked, field.FieldType, null));
        return (T)boxed;
    }
}
