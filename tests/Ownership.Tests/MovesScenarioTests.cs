using OrleansCache.Ownership.Tests.Simulation;

namespace OrleansCache.Ownership.Tests;

/// <summary>An operator pauses, slows down and gives up moves, under load, with every history judged.</summary>
public sealed class MovesScenarioTests
{
    private const int Partitions = 24;

    [Fact]
    public void WhilePausedASiloThatJoinsGetsReplicasOnlyAndThenItsShare()
    {
        using SimulatedCluster cluster = Started(silos: 2, replicas: 1);
        Order(cluster, MoveOrderKind.Pause);
        SimulatedNode joined = cluster.Join();
        cluster.Run(20_000);
        Assert.Equal((0, 0L), (joined.Agent.ServedCount, cluster.MovesCommitted));
        MovesOverview overview = cluster.Leader.Coordinator.ReadMoves(cluster.Now);
        Assert.Equal((true, Partitions / 3, null), (overview.IsPaused, overview.PartitionsToMove, overview.SecondsLeft));
        Order(cluster, MoveOrderKind.Resume);
        Settle(cluster);
        Assert.Equal(Partitions / 3, joined.Agent.ServedCount);
        AssertUnnoticed(cluster);
    }

    [Fact]
    public void APauseAmidMovesLetsThemRestAndLosesNothing()
    {
        using SimulatedCluster cluster = Started(silos: 2, replicas: 1);
        cluster.Join();
        RunUntil(cluster, static cluster => cluster.MovesCommitted > 0);
        Order(cluster, MoveOrderKind.Pause);

        // What is being handed over goes on.
        cluster.Run(2_000);
        long moved = cluster.MovesCommitted;
        cluster.Run(20_000);
        Assert.Equal(moved, cluster.MovesCommitted);
        Order(cluster, MoveOrderKind.Resume);
        Settle(cluster);
        AssertUnnoticed(cluster);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public void WhatIsGivenUpStaysWithItsOneOwnerAndNothingIsLost(int replicas)
    {
        using SimulatedCluster cluster = Started(silos: 2, replicas, limit: 1);
        SimulatedNode joined = cluster.Join();
        RunUntil(cluster, static cluster => cluster.Leader.Coordinator.MovesUnderWay > 1);
        Order(cluster, MoveOrderKind.Abort, MoveOrder.All);
        Order(cluster, MoveOrderKind.Limit, 0);
        cluster.Run(5_000);
        MovesOverview overview = cluster.Leader.Coordinator.ReadMoves(cluster.Now);
        Assert.True(overview.Aborted.Count > 0, $"seed {cluster.Seed}: nothing was given up");
        foreach ((int partition, _) in overview.Aborted)
        {
            Assert.Single(cluster.Members, node => node.Serves(partition));
            Assert.NotEqual(PartitionPhase.Active, joined.Agent.PhaseOf(partition));
        }

        Order(cluster, MoveOrderKind.Resume);
        Settle(cluster);
        AssertUnnoticed(cluster);
    }

    [Fact]
    public void WhatTheOperatorHasSaidSurvivesTheCoordinator()
    {
        using SimulatedCluster cluster = Started(silos: 3, replicas: 1);
        Order(cluster, MoveOrderKind.Pause);
        Order(cluster, MoveOrderKind.Limit, 5_000_000);
        RunUntil(cluster, static cluster => cluster.Leader.Coordinator.MoveSettingsAwaited.IsNone);
        for (int i = 0; i < 2; i++)
        {
            SimulatedNode lost = cluster.Leader;
            cluster.Join();
            cluster.Run(1_000);
            cluster.Crash(lost);
            cluster.Run(15_000);
            Assert.NotEqual(lost.Id, cluster.Leader.Id);
            MovesOverview overview = cluster.Leader.Coordinator.ReadMoves(cluster.Now);
            Assert.Equal((true, 5_000_000L), (overview.IsPaused, overview.LimitBytesPerSecond));
            Assert.All(cluster.Members, node => Assert.Equal(cluster.Leader.Coordinator.MoveSettings, node.Agent.MoveSettings));
        }

        Assert.Equal(0, cluster.MovesCommitted);
        Order(cluster, MoveOrderKind.Resume);
        Settle(cluster);
        Assert.Equal(0, cluster.OpenedEmpty);
        cluster.Verify();
    }

    /// <summary>Also where the copy of a move that rests stands at the only silo that could have the new replica.</summary>
    [Fact]
    public void WhilePausedReplicasThatWereLostAreMadeAgain()
    {
        using SimulatedCluster cluster = Started(silos: 2, replicas: 1, limit: 1_000);
        cluster.Join();
        RunUntil(cluster, static cluster => cluster.Leader.Coordinator.MovesUnderWay > 1);
        Order(cluster, MoveOrderKind.Pause);
        Order(cluster, MoveOrderKind.Limit, 0);
        cluster.Run(2_000);
        cluster.Crash(cluster.Nodes.ElementAt(1));
        RunUntil(cluster, static cluster => cluster.Alive == 2);
        RunUntil(cluster, static cluster => Enumerable.Range(0, Partitions).All(partition =>
            cluster.Members.Count(node => node.Serves(partition)) == 1
            && cluster.Members.Count(node => node.Agent.PhaseOf(partition) == PartitionPhase.Replica) == 1));
        Assert.True(cluster.Leader.Coordinator.MoveSettings.IsPaused);
        Order(cluster, MoveOrderKind.Resume);
        Settle(cluster);
        Assert.Equal(0, cluster.OpenedEmpty);
        cluster.Verify();
    }

    [Fact]
    public void WhilePausedASiloThatDrainsIsEmptied()
    {
        using SimulatedCluster cluster = Started(silos: 3, replicas: 1);
        Order(cluster, MoveOrderKind.Pause);
        cluster.Drain(cluster.Nodes.Last());
        RunUntil(cluster, static cluster => cluster.Left == 1);
        Order(cluster, MoveOrderKind.Resume);
        Settle(cluster);

        AssertUnnoticed(cluster);
    }

    /// <summary>A slow copy pauses nobody: what clients write meanwhile is not held back.</summary>
    [Fact]
    public void ALimitSlowsMovesDownAndNobodyElse()
    {
        using SimulatedCluster cluster = Started(silos: 2, replicas: 1, limit: 5);
        cluster.LongestMilliseconds = 0;
        cluster.Join();
        cluster.Run(10_000);
        long slow = cluster.MovesCommitted;
        Assert.True(slow < Partitions / 3, $"seed {cluster.Seed}: {slow} moves in spite of the limit");
        Order(cluster, MoveOrderKind.Limit, 0);
        Settle(cluster);
        cluster.StopClients();
        Assert.True(cluster.LongestMilliseconds < 2_000, $"seed {cluster.Seed}: an operation took {cluster.LongestMilliseconds} ms");
        AssertUnnoticed(cluster);
    }

    private static SimulatedCluster Started(int silos, int replicas, long limit = 0)
    {
        SimulatedCluster cluster = new(TestSeed.Next(), Partitions, replicas, keys: 48) { ClientsMayDelete = false };
        for (int i = 0; i < silos; i++)
            cluster.Join();
        cluster.Settle();
        cluster.ForgetMoves();
        cluster.StoreAll();
        cluster.StartClients(6, pauseMilliseconds: 40);
        cluster.Run(1_000);
        if (limit > 0)
            Order(cluster, MoveOrderKind.Limit, limit);
        Assert.Equal((0, 0), (cluster.Errors, cluster.Misses));
        return cluster;
    }

    private static void Order(SimulatedCluster cluster, MoveOrderKind kind, long value = 0) =>
        Assert.Null(cluster.Leader.Coordinator.Order(new MoveOrder(kind, value), cluster.Now));

    private static void RunUntil(SimulatedCluster cluster, Predicate<SimulatedCluster> isReached)
    {
        for (int i = 0; i < 6_000 && !isReached(cluster); i++)
            cluster.Run(20);
        Assert.True(isReached(cluster),
            $"seed {cluster.Seed}, {cluster.Now} ms: not reached\n  {string.Join("\n  ", cluster.Members.Select(cluster.Describe))}");
    }

    private static void Settle(SimulatedCluster cluster)
    {
        cluster.Run(1_000);
        cluster.Settle();
    }

    private static void AssertUnnoticed(SimulatedCluster cluster)
    {
        cluster.Verify();
        Assert.True((cluster.Errors, cluster.Misses, cluster.OpenedEmpty, cluster.NotJudged) == (0, 0, 0, 0),
            $"seed {cluster.Seed}: {cluster.Errors} errors, {cluster.Misses} misses, {cluster.OpenedEmpty} opened empty, {cluster.NotJudged} not judged");
    }
}
