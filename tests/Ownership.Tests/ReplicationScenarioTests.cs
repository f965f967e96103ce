using OrleansCache.Ownership.Routing;
using OrleansCache.Ownership.Tests.Simulation;

namespace OrleansCache.Ownership.Tests;

/// <summary>What an operator does, and what clients notice of it: over a good network, under load, with every history judged.</summary>
public sealed class ReplicationScenarioTests
{
    private const int Partitions = 24;

    [Fact]
    public void JoiningSilosGetTheirShareAndClientsNoticeNothing()
    {
        using SimulatedCluster cluster = Started(silos: 1, replicas: 1);
        cluster.Join();
        cluster.Join(weight: 128);
        Settle(cluster);
        AssertUnnoticed(cluster);
        Assert.True(cluster.MovesCommitted >= 17, $"seed {cluster.Seed}: {cluster.MovesCommitted} moves");
        AssertBalanced(cluster);
    }

    [Fact]
    public void DrainingSilosHandEverythingOverAndClientsNoticeNothing()
    {
        using SimulatedCluster cluster = Started(silos: 4, replicas: 1);
        cluster.Drain(cluster.Nodes.First());
        Settle(cluster);
        cluster.Drain();
        Settle(cluster);
        AssertUnnoticed(cluster);
        Assert.Equal((2, 2), (cluster.Alive, cluster.Left));
        AssertBalanced(cluster);
    }

    /// <summary>Several at once, and joining and leaving at the same time.</summary>
    [Fact]
    public void ManyChangesAtOnceAreNotNoticedEither()
    {
        using SimulatedCluster cluster = Started(silos: 3, replicas: 1);
        SimulatedNode[] first = [.. cluster.Nodes];
        for (int i = 0; i < 3; i++)
            cluster.Join();
        cluster.Run(1_000);
        cluster.Drain(first[0]);
        cluster.Drain(first[2]);
        Settle(cluster);
        AssertUnnoticed(cluster);
        Assert.Equal((4, 2), (cluster.Alive, cluster.Left));
        AssertBalanced(cluster);
    }

    /// <summary>The partitions themselves know where they are: those that are asked at the wrong silo are sent on.</summary>
    [Fact]
    public void AGatewayWhoseTableIsOldReachesEverything()
    {
        using SimulatedCluster cluster = Started(silos: 4, replicas: 1);
        SimulatedNode[] first = [.. cluster.Nodes];
        first[3].KeepsItsTable = true;
        cluster.Join();
        Settle(cluster);
        for (int i = 0; i < 100 && cluster.PartitionsAsked == 0; i++)
            cluster.Run(100);
        Assert.True(cluster.PartitionsAsked > 0, $"seed {cluster.Seed}: no partition was asked");
        AssertUnnoticed(cluster);

        // Also those of a silo that its table names and that is gone; what was on its way there in that moment got no answer.
        cluster.Drain(first[1]);
        Settle(cluster);
        (long errors, long answered) = (cluster.Errors, cluster.Answered);
        cluster.Run(3_000);
        cluster.Verify();
        Assert.True(cluster.Errors == errors && cluster.Answered > answered && cluster.Misses == 0,
            $"seed {cluster.Seed}: {cluster.Errors - errors} errors, {cluster.Misses} misses, {cluster.Answered - answered} operations{cluster.LogOf()}");
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public void TheLossOfAnySiloLosesNothing(int which)
    {
        using SimulatedCluster cluster = Started(silos: 3, replicas: 1);
        cluster.Crash(cluster.Nodes.ElementAt(which));
        cluster.Run(5_000);
        Settle(cluster);
        Assert.Equal((0, 2), (cluster.OpenedEmpty, cluster.Alive));
        Assert.True(cluster.Promotions >= Partitions / 4, $"seed {cluster.Seed}: {cluster.Promotions} promotions");
        cluster.Verify();
    }

    [Fact]
    public void SilosThatAreLostOneAfterTheOtherLoseNothing()
    {
        using SimulatedCluster cluster = Started(silos: 5, replicas: 1);
        for (int alive = 4; alive >= 1; alive--)
        {
            cluster.Crash();
            cluster.Run(5_000);
            Settle(cluster);
            Assert.Equal((0, alive), (cluster.OpenedEmpty, cluster.Alive));
        }

        cluster.Verify();
    }

    [Fact]
    public void WithTwoReplicasTwoSilosAtOnceLoseNothing()
    {
        using SimulatedCluster cluster = Started(silos: 5, replicas: 2);
        SimulatedNode[] nodes = [.. cluster.Nodes];
        cluster.Crash(nodes[0]);
        cluster.Run(new Random(cluster.Seed).Next(3_000));
        cluster.Crash(nodes[3]);
        cluster.Run(5_000);
        Settle(cluster);
        Assert.Equal((0, 3), (cluster.OpenedEmpty, cluster.Alive));
        cluster.Verify();
    }

    [Fact]
    public void WithoutReplicasOnlyWhatTheLostSiloHeldIsGone()
    {
        using SimulatedCluster cluster = Started(silos: 3, replicas: 0);
        SimulatedNode lost = cluster.Nodes.First();
        int held = lost.Agent.HeldCount;
        cluster.Crash(lost);
        cluster.Run(5_000);
        Settle(cluster);
        Assert.Equal(held, cluster.OpenedEmpty);
        cluster.Verify();
    }

    [Fact]
    public void ASiloThatIsTakenForDeadWhileItRunsLosesNothingAndConfirmsNothing()
    {
        using SimulatedCluster cluster = Started(silos: 3, replicas: 1);
        cluster.Suspect(cluster.Nodes.First());
        cluster.Run(5_000);
        Settle(cluster);
        cluster.Suspect();
        cluster.Run(5_000);
        Settle(cluster);
        Assert.Equal((0, 1), (cluster.OpenedEmpty, cluster.Alive));
        cluster.Verify();
    }

    /// <summary>Nobody tells it that it was declared dead; it only hears of no coordinator any more.</summary>
    [Fact]
    public void ASiloThatIsCutOffStopsServingWhenItsLeaseIsOver()
    {
        using SimulatedCluster cluster = Started(silos: 3, replicas: 1);
        cluster.StopClients();
        SimulatedNode lost = cluster.Nodes.Last();
        string key = cluster.Keys.First(key => lost.Serves(cluster.PartitionOf(key, lost.Partitions.Hasher!)));
        cluster.Suspect(lost, isTold: false);
        long declaredAt = cluster.Now;
        long servedLast = cluster.Now;
        for (int i = 0; i < 100; i++)
        {
            SimulatedClient client = new(cluster, 0) { IsStopped = true, Through = lost };
            cluster.At(0, () => client.Begin(key, HistoryKind.Get));
            cluster.Run(100);
            if (client.HasSucceeded)
                servedLast = cluster.Now;
        }

        long lease = (long)FreezeDetector.LeaseLength.TotalMilliseconds;
        Assert.InRange(servedLast - declaredAt, 1, lease + 1_000);
        cluster.Run(15_000);
        Settle(cluster);
        Assert.Equal((0, 2), (cluster.OpenedEmpty, cluster.Alive));
        cluster.Verify();
    }

    [Fact]
    public void RollingRestartIsNotNoticed()
    {
        using SimulatedCluster cluster = Started(silos: 3, replicas: 1);
        foreach (SimulatedNode node in cluster.Nodes.ToArray())
        {
            cluster.Drain(node);
            Settle(cluster);
            cluster.Join();
            Settle(cluster);
        }

        AssertUnnoticed(cluster);
        Assert.Equal((3, 3), (cluster.Alive, cluster.Left));
        AssertBalanced(cluster);
    }

    /// <summary>To the next version and back: nobody is written to in a version that it does not speak, or the run ends.</summary>
    [Fact]
    public void RollingRestartsBetweenTwoWireVersionsAreNotNoticed()
    {
        using SimulatedCluster cluster = Started(silos: 3, replicas: 1, speaks: 1);
        AssertWrites(1);
        Restart(speaks: 2, untilTheLast: 1);
        AssertWrites(2);
        Restart(speaks: 1, untilTheLast: 1);
        AssertWrites(1);
        AssertUnnoticed(cluster);
        Assert.Equal((3, 6, 2), (cluster.Alive, cluster.Left, cluster.WireVersionChanges));
        AssertBalanced(cluster);

        void Restart(byte speaks, byte untilTheLast)
        {
            SimulatedNode[] nodes = [.. cluster.Members];
            foreach (SimulatedNode node in nodes)
            {
                cluster.Drain(node);
                Settle(cluster);
                cluster.Join(speaks: speaks);
                Settle(cluster);
                if (node != nodes[^1])
                    AssertWrites(untilTheLast);
            }
        }

        void AssertWrites(byte version)
        {
            long[] before = [.. cluster.ReplicationMessages];
            cluster.Run(1_000);
            Assert.All(cluster.Members, node => Assert.Equal(version, node.Agent.Table.WireVersion));
            for (int other = WireVersion.Oldest; other <= WireVersion.Newest; other++)
            {
                long written = cluster.ReplicationMessages[other] - before[other];
                Assert.True(other == version ? written > 20 : written == 0, $"seed {cluster.Seed}: {written} messages of version {other}, agreed {version}");
            }
        }
    }

    /// <summary>
    /// With the first silo of the older version the cluster goes back to it. When that one is taken for dead it still runs and hears its owners, and those hear
    /// of it at different times: as long as any takes it for a member, none writes anything newer.
    /// </summary>
    [Fact]
    public void WhatALostSiloDoesNotSpeakIsNotWrittenBeforeAllKnowOfTheLoss()
    {
        using SimulatedCluster cluster = Started(silos: 3, replicas: 1);
        for (int round = 1; round <= 5; round++)
        {
            SimulatedNode older = cluster.Join(speaks: 1);
            Settle(cluster);
            Assert.All(cluster.Members, static node => Assert.Equal(1, node.Agent.Table.WireVersion));
            Assert.True(older.Agent.ServedCount > 0 && older.Agent.ReplicaCount > 0);
            cluster.Suspect(older, isTold: false);
            cluster.Run(20_000);
            Settle(cluster);
            Assert.All(cluster.Members, static node => Assert.Equal(2, node.Agent.Table.WireVersion));
            Assert.Equal((0, 2 * round), (cluster.OpenedEmpty, cluster.WireVersionChanges));
        }

        cluster.Verify();
    }

    [Fact]
    public void CopiesStandInDifferentZonesWhereThatIsPossible()
    {
        using SimulatedCluster cluster = new(TestSeed.Next(), Partitions, replicas: 1);
        foreach (string zone in (string[])["a", "a", "a", "b", "b"])
            cluster.Join(zone: zone);
        cluster.Settle();
        cluster.StoreAll();
        AssertZones();

        cluster.Join(zone: "b");
        cluster.Join(zone: "c");
        AssertZones();

        cluster.Drain(cluster.Nodes.First());
        AssertZones();
        cluster.Verify();

        void AssertZones()
        {
            // What is complete and balanced may still be rearranged: it settles between two moves as well.
            cluster.Run(60_000);
            cluster.Settle();
            for (int partition = 0; partition < Partitions; partition++)
            {
                PartitionId id = new(partition);
                string[] zones = [.. cluster.Members.Where(node => node.Partitions.TryGet(id) is not null).Select(static node => node.Agent.Zone)];
                Assert.True(zones.Length == 2 && zones[0] != zones[1], $"seed {cluster.Seed}: partition {partition} in zones {string.Join(", ", zones)}");
            }
        }
    }

    /// <summary>A copy that is made to relieve a silo must be better placed than the one that it is made for, or it goes again, and again.</summary>
    [Fact]
    public void CopiesComeToRestWhateverTheZonesAndWeights()
    {
        int seed = TestSeed.Next();
        for (int run = 0; run < 40; run++)
        {
            var random = new Random(unchecked(seed + run));
            using SimulatedCluster cluster = new(unchecked(seed + run), Partitions, replicas: 1);
            string[] zones = random.Next(2) == 0 ? ["a", "b"] : ["a", "b", "c"];
            for (int silos = random.Next(4, 8); silos > 0; silos--)
            {
                cluster.Join(random.Next(4) == 0 ? 128 : 64, zone: zones[random.Next(zones.Length)]);
                cluster.Run(random.Next(5_000));
            }

            cluster.Run(120_000);
            string[] before = [.. cluster.Members.Select(cluster.Describe)];
            cluster.Run(20_000);
            string places = string.Join(", ", cluster.Members.Select(static node => $"{node.Id} in {node.Agent.Zone}"));
            Assert.True(before.SequenceEqual(cluster.Members.Select(cluster.Describe)), $"seed {seed + run}: {places}\n  {string.Join("\n  ", before)}");
        }
    }

    [Fact]
    public void TheLastSiloToDrainIsToldThatNobodyTakesOver()
    {
        using SimulatedCluster cluster = new(TestSeed.Next(), 8, replicas: 1);
        SimulatedNode only = cluster.Join();
        cluster.Settle();
        only.Agent.BeginDraining();
        cluster.Run(2_000);
        Assert.True(only.Agent.NobodyTakesOver);
    }

    [Fact]
    public void WhenAllAreToldToLeaveNobodyWaitsForAnybody()
    {
        using SimulatedCluster cluster = Started(silos: 3, replicas: 1);
        cluster.StopClients();
        foreach (SimulatedNode node in cluster.Nodes.ToArray())
            cluster.Drain(node);
        cluster.Run(5_000);
        Assert.Equal((0, 3), (cluster.Alive, cluster.Left));
    }

    [Fact]
    public void TheHashSeedOutlivesEverySiloButNotAllOfThem()
    {
        using SimulatedCluster cluster = new(TestSeed.Next(), 24);
        SimulatedNode oldest = cluster.Join();
        cluster.Join();
        cluster.Settle();
        HashSeed seed = oldest.HashSeed;
        Assert.False(seed.IsNone);
        for (int i = 0; i < 5; i++)
        {
            // Always the coordinator.
            SimulatedNode next = cluster.Join();
            cluster.Settle();
            cluster.Crash(oldest);
            cluster.Run(5_000);
            cluster.Settle();
            oldest = cluster.Nodes.First(node => node.IsRunning);
            Assert.Equal((seed, seed), (oldest.HashSeed, next.HashSeed));
        }

        Assert.Equal(1, cluster.SeedsDrawn);
        while (cluster.Alive > 0)
        {
            cluster.Crash();
            cluster.Run(5_000);
        }

        SimulatedNode first = cluster.Join();
        cluster.Settle();
        Assert.NotEqual(seed, first.HashSeed);
        Assert.Equal(2, cluster.SeedsDrawn);
    }

    /// <summary>A write with a replica takes a round trip to it; with asynchronous replication it takes none.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void RepliesWaitForReplicasUnlessReplicationIsAsynchronous(bool isAsynchronous)
    {
        using SimulatedCluster cluster = new(TestSeed.Next(), 4, replicas: 1, isAsynchronous: isAsynchronous) { Latency = (100, 101) };
        cluster.Join();
        cluster.Join();
        cluster.Settle();
        SimulatedNode owner = cluster.Nodes.First();
        string key = cluster.Keys.First(key => owner.Serves(cluster.PartitionOf(key, owner.Partitions.Hasher!)));
        long begun = cluster.Now;
        SimulatedClient client = new(cluster, 0) { IsStopped = true, Through = owner };
        cluster.At(0, () => client.Begin(key, HistoryKind.Set));
        while (!client.HasEnded)
            cluster.Run(1);
        
        // A message of the copy may still be on its way: the next one leaves when it is answered.
        Assert.InRange(cluster.Now - begun, isAsynchronous ? 0 : 200, isAsynchronous ? 5 : 430);
    }

    /// <summary>
    /// The pause at a hand-over: the requests wait for some messages between owner, coordinator, target and replica, and for nothing else. The longest chain:
    /// yield, drain, report, a fresh report of each, promotion, the new numbers, activation, the table, the request itself, its replica, and the replica that
    /// is let go.
    /// </summary>
    [Fact]
    public void AMoveUnderLoadPausesAPartitionForAFewRoundTrips()
    {
        const int OneWay = 20;
        using SimulatedCluster cluster = Started(silos: 2, replicas: 1, latency: (OneWay, OneWay + 1));
        cluster.LongestMilliseconds = 0;
        cluster.Join();
        Settle(cluster);
        cluster.StopClients();
        Assert.True(cluster.MovesCommitted >= 7, $"seed {cluster.Seed}: {cluster.MovesCommitted} moves");
        Assert.True(cluster.LongestMilliseconds <= 20 * 2 * OneWay, $"seed {cluster.Seed}: an operation took {cluster.LongestMilliseconds} ms");
        AssertUnnoticed(cluster);
    }

    /// <summary>Silos that have everything that they should, and clients that write and never delete.</summary>
    private static SimulatedCluster Started(int silos, int replicas, (int, int)? latency = null, byte speaks = WireVersion.Newest)
    {
        SimulatedCluster cluster = new(TestSeed.Next(), Partitions, replicas, keys: 48) { ClientsMayDelete = false };
        if (latency is { } given)
            cluster.Latency = given;
        for (int i = 0; i < silos; i++)
            cluster.Join(speaks: speaks);
        cluster.Settle();
        cluster.StoreAll();
        cluster.StartClients(6, pauseMilliseconds: 40);
        cluster.Run(1_000);
        Assert.Equal((0, 0), (cluster.Errors, cluster.Misses));
        return cluster;
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
            $"seed {cluster.Seed}: {cluster.Errors} errors, {cluster.Misses} misses, {cluster.OpenedEmpty} opened empty, {cluster.NotJudged} not judged"
                + cluster.LogOf());
        Assert.True(cluster.Answered > 200, $"seed {cluster.Seed}: {cluster.Answered} operations");
    }

    /// <summary>Owners within one of their share (settled clusters are), replicas within two.</summary>
    private static void AssertBalanced(SimulatedCluster cluster)
    {
        // Replicas move one by one after the owners.
        long weights = cluster.Members.Sum(static node => node.Weight);
        string? Unbalanced() => cluster.Members.Select(node => (node, Share: (double)cluster.Replicas * Partitions * node.Weight / weights))
            .Where(static one => Math.Abs(one.node.Agent.ReplicaCount - one.Share) > 2)
            .Select(static one => $"{one.node.Id} has {one.node.Agent.ReplicaCount} replicas, its share is {one.Share}").FirstOrDefault();
        for (int i = 0; i < 600 && (Unbalanced() is not null || cluster.WhatIsNotSettled() is not null); i++)
            cluster.Run(200);
        Assert.True(Unbalanced() is null, $"seed {cluster.Seed}: {Unbalanced()}");
    }
}
