using OrleansCache.Gateway.Options;
using OrleansCache.Gateway.Stats;
using OrleansCache.Monitoring.Api;

namespace OrleansCache.Monitoring.Tests;

public sealed class WarningTests
{
    [Fact]
    public void AHealthyNodeHasNone() => Assert.Empty(Find(static snapshot => snapshot));

    [Fact]
    public void AClassThatEvictsYoungItemsIsNamedWithItsAge()
    {
        Warning warning = Assert.Single(Find(static snapshot => snapshot with { Store = Store(evicted: 100, evictedAge: 40) }));
        Assert.Equal(("class_evicts_young", "class 12"), (warning.Id, warning.Subject));
        Assert.Equal("Class 12 (chunks of 480 bytes) evicts items 40 s after their last use.", warning.Text);
    }

    [Fact]
    public void WhatIsLongOverFallsSilent()
    {
        NodeSnapshot past = Healthy() with { Store = Store(evicted: 100, evictedAge: 40) };
        NodeSnapshot now = past with { Time = past.Time.AddSeconds(30) };
        Assert.Empty(new WarningFinder(now, past).Find());
    }

    [Theory]
    [InlineData("connections_near_limit")]
    [InlineData("connections_rejected")]
    [InlineData("accepting_paused")]
    [InlineData("no_memory")]
    [InlineData("too_large")]
    [InlineData("low_hit_ratio")]
    [InlineData("silo_no_answer")]
    [InlineData("partitions_without_owner")]
    [InlineData("not_ready")]
    [InlineData("unavailable")]
    [InlineData("login_failures")]
    [InlineData("buffers_refused")]
    [InlineData("evicted_unfetched")]
    public void EachHasItsCauseAndAnAdvice(string id)
    {
        Warning warning = Assert.Single(Find(snapshot => id switch
        {
            "connections_near_limit" => snapshot with { Gateway =
                new GatewayStatistics { ConnectionsMax = 1024, ConnectionsCurrent = 1000, Accepting = true } },
            "connections_rejected" => snapshot with { Gateway =
                new GatewayStatistics { ConnectionsMax = 1024, ConnectionsCurrent = 1024, ConnectionsRejected = 3, Accepting = true } },
            "accepting_paused" => snapshot with { Gateway = new GatewayStatistics { ConnectionsMax = 1024, ListenDisabled = 1 } },
            "no_memory" => snapshot with { Store = new StoreStatistics { StoreNoMemory = 1 } },
            "too_large" => snapshot with { Gateway = new GatewayStatistics { ConnectionsMax = 1024, Counters = new() { StoresTooLarge = 1 } } },
            "low_hit_ratio" => snapshot with { Store = new StoreStatistics { GetHits = 100, GetMisses = 2000 } },
            "silo_no_answer" => snapshot with { Cluster = new ClusterStatistics(1, 256, [new SiloStatistics("10.0.0.3:11111", null, 85, null)]) },
            "partitions_without_owner" => snapshot with { Owners = new PartitionOwners("1", "a", ["a"], [0, -1]) },
            "not_ready" => snapshot with { NotReady = "draining" },
            "unavailable" => snapshot with { Gateway = new GatewayStatistics { ConnectionsMax = 1024, Counters = new() { Unavailable = 5 } } },
            "login_failures" => snapshot with { Gateway = new GatewayStatistics { ConnectionsMax = 1024, Counters = new() { AuthErrors = 5 } } },
            "buffers_refused" => snapshot with { Gateway = new GatewayStatistics { ConnectionsMax = 1024, Counters = new() { RepliesRefused = 5 } } },
            "evicted_unfetched" => snapshot with { Store = new StoreStatistics { Evictions = 2000, EvictedUnfetched = 1900 } },
            _ => throw new ArgumentOutOfRangeException(nameof(id)),
        }));
        Assert.Equal(id, warning.Id);
        Assert.NotEmpty(warning.Advice);
        Assert.EndsWith(".", warning.Text, StringComparison.Ordinal);
    }

    private static IReadOnlyList<Warning> Find(Func<NodeSnapshot, NodeSnapshot> change) => new WarningFinder(change(Healthy()), null).Find();

    private static StoreStatistics Store(long evicted, long evictedAge) => new()
    {
        LimitMaxBytes = 64 << 20,
        PageBytes = 65536,
        Classes = [new SlabClassStatistics { ClassId = 12, ChunkBytes = 480, TotalPages = 10, Evicted = evicted, EvictedTimeSeconds = evictedAge }],
    };

    private static NodeSnapshot Healthy() => new()
    {
        Timestamp = 0,
        Time = DateTimeOffset.UnixEpoch.AddDays(20_000),
        StartedAt = DateTimeOffset.UnixEpoch.AddDays(19_999),
        Gateway = new GatewayStatistics { ConnectionsMax = 1024, ConnectionsCurrent = 5, Accepting = true },
        Store = Store(0, 0),
        Lru = new LruSettings(),
        Events = default,
        LoopTimes = [],
        Commands = [],
        NotReady = null,
        Process = ProcessReading.Read(),
    };
}
