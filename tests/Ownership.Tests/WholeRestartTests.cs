using System.Globalization;

using OrleansCache.Ownership.Tests.Simulation;

namespace OrleansCache.Ownership.Tests;

/// <summary>
/// Clusters that are down as a whole and come back with memory files. The simulation checks at every moment that nothing is served that was deleted or given
/// up; what must be there again is checked here.
/// </summary>
public sealed class WholeRestartTests
{
    private const int Partitions = 24;
    private const int LossToEndMilliseconds = 10_000;
    private static readonly int Runs = int.TryParse(Environment.GetEnvironmentVariable("ORLEANSCACHE_TEST_RUNS"), CultureInfo.InvariantCulture, out int runs)
        ? runs : 4;

    [Fact]
    public void EverythingIsThereAgainInWhateverOrderTheSilosCome()
    {
        int seed = TestSeed.Next();
        for (int run = 0; run < 8; run++)
        {
            var random = new Random(unchecked(seed + run));
            using SimulatedCluster cluster = Started(unchecked(seed + run), 3);
            HashSet<string>[] before = Snapshot(cluster);
            HashSeed hashSeed = cluster.Nodes.First().HashSeed;
            SimulatedNode[] former = Stop(cluster, random.Next(0, 30_000));
            random.Shuffle(former);
            foreach (SimulatedNode node in former)
            {
                cluster.Join(former: node);
                cluster.Run(random.Next(0, 700));
            }

            long begun = cluster.Now;
            cluster.Settle();
            Assert.True(cluster.Now - begun < 4_500, "nothing was missing, so nothing was waited for");
            AssertSame(before, cluster, _ => true);
            Assert.Equal((1, hashSeed), (cluster.SeedsDrawn, cluster.Nodes.Last().HashSeed));
        }
    }

    /// <summary>Some hand partitions over already when the others are told, and some end while others still take note of it.</summary>
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public void AfterAllWereToldToStopEverythingIsThereAgain(int replicas)
    {
        int first = TestSeed.Next();
        for (int seed = first; seed < first + (TestSeed.Given is null ? 5 * Runs : 1); seed++)
        {
            using SimulatedCluster cluster = Started(seed, 3, replicas);
            HashSet<string>[] before = Snapshot(cluster);
            SimulatedNode[] former = [.. cluster.Members];
            cluster.StopAll(1 << (seed % 13));
            foreach (SimulatedNode node in former)
                cluster.Join(former: node);
            cluster.Settle();
            AssertSame(before, cluster, _ => true);
        }
    }

    [Fact]
    public void WhatASiloKeptThatDoesNotComeBackIsMissingAndNothingElse()
    {
        using SimulatedCluster cluster = Started(TestSeed.Next(), 3);
        HashSet<string>[] before = Snapshot(cluster);
        SimulatedNode[] former = Stop(cluster, 1_000);
        bool[] lost = [.. Enumerable.Range(0, Partitions).Select(partition => former[1].Agent.Table.OwnerOf(new PartitionId(partition)) == former[1].Id)];
        cluster.Join(former: former[2]);
        cluster.Join(former: former[0]);
        cluster.Join();
        cluster.Settle();
        AssertSame(before, cluster, partition => !lost[partition]);
        Assert.All(Enumerable.Range(0, Partitions).Where(partition => lost[partition]), partition => Assert.Empty(cluster.Stored(partition)));
    }

    [Theory]
    [InlineData(4_000)]
    [InlineData(60_000)]
    public void ASiloThatWasLostBeforeTheOthersCountsForNothing(int milliseconds)
    {
        using SimulatedCluster cluster = Started(TestSeed.Next(), 3);
        SimulatedNode lost = cluster.Nodes.First();
        cluster.Crash(lost);
        cluster.Run(milliseconds);
        cluster.Settle();
        cluster.Use(300);
        HashSet<string>[] before = Snapshot(cluster);
        SimulatedNode[] former = Stop(cluster, 500);

        cluster.Join(former: lost);
        cluster.Run(1_000);
        foreach (SimulatedNode node in former)
            cluster.Join(former: node);
        cluster.Settle();
        AssertSame(before, cluster, _ => true);
    }

    [Fact]
    public void ASiloThatComesBackWhileTheOthersLiveBeginsEmpty()
    {
        using SimulatedCluster cluster = Started(TestSeed.Next(), 3);
        SimulatedNode lost = cluster.Nodes.First();
        cluster.Crash(lost);
        SimulatedNode back = cluster.Join(former: lost);
        cluster.Run(5_000);
        cluster.Settle();
        Assert.Equal((0, 0), (back.Agent.RestoredCount, cluster.PartitionsRestored));
        Assert.True(back.Agent.HeldCount > 0);
    }

    [Fact]
    public void OfTwoLivesTheLaterOneCounts()
    {
        using SimulatedCluster cluster = Started(TestSeed.Next(), 2);
        SimulatedNode[] first = Stop(cluster, 5_000);
        cluster.Join();
        cluster.Settle();
        cluster.Use(100);
        cluster.Run(600);
        HashSet<string>[] before = Snapshot(cluster);
        SimulatedNode[] second = Stop(cluster, 1_000);
        Assert.Equal(2, cluster.SeedsDrawn);

        cluster.Join(former: first[0]);
        cluster.Join(former: first[1]);
        cluster.Run(500);
        cluster.Join(former: second[0]);
        cluster.Settle();
        AssertSame(before, cluster, _ => true);
        Assert.Equal(2, cluster.SeedsDrawn);
    }

    [Fact]
    public void AfterAWholeRestartLostSilosAndFurtherRestartsAreAsBefore()
    {
        using SimulatedCluster cluster = Started(TestSeed.Next(), 3);
        for (int life = 0; life < 4; life++)
        {
            cluster.Crash();
            cluster.Run(5_000);
            cluster.Join();
            cluster.Settle();
            cluster.Use(200);
            HashSet<string>[] before = Snapshot(cluster);
            foreach (SimulatedNode node in Stop(cluster, 2_000))
                cluster.Join(former: node);
            cluster.Settle();
            AssertSame(before, cluster, _ => true);
        }

        Assert.Equal(1, cluster.SeedsDrawn);
    }

    /// <summary>
    /// As the other chaos, with the end of all silos now and then, also amid moves and over a bad network. All that lived lately come back, in any order, and
    /// perhaps older ones.
    /// </summary>
    [Fact]
    public void ChaosWithWholeRestartsNeverServesAnythingStale()
    {
        int first = TestSeed.Next();
        bool once = TestSeed.Given is not null;
        int restored = 0;
        for (int run = 0; run < (once ? 1 : Runs); run++)
        {
            int seed = unchecked(first + run);
            var random = new Random(seed);
            using SimulatedCluster cluster = Started(seed, random.Next(1, 4), random.Next(3));
            cluster.StartClients(5);
            for (int step = 0; step < 120; step++)
            {
                cluster.Loss = random.Next(3) == 0 ? random.NextDouble() * 0.2 : 0.01;
                if (random.Next(10) == 0)
                    cluster.FlushAll(0);
                switch (random.Next(40))
                {
                    case 0:
                        cluster.Crash();
                        break;
                    case 1:
                        cluster.Suspect();
                        break;
                    case 2:
                        cluster.Drain();
                        break;
                    case >= 3 and < 7 when cluster.Alive < 6:
                        cluster.Join();
                        break;
                    case 7 or 8 when cluster.Alive > 0:
                        RestartAll(cluster, random);
                        break;
                }

                if (cluster.Alive == 0)
                    cluster.Join();
                cluster.Run(random.Next(20, 1_500));
            }

            cluster.Loss = 0;
            cluster.Run(60_000);
            if (cluster.Alive == 0)
                continue;
            cluster.Settle();
            cluster.Verify();
            restored += cluster.PartitionsRestored;
        }

        Assert.True(once || restored > Runs * 10, $"seed {first}: the chaos was tame: {restored} partitions restored");
    }

    private static void RestartAll(SimulatedCluster cluster, Random random)
    {
        // A silo that is lost just before all others end, and one that comes back and is lost again while others are waited for: docs/cluster.md tells what
        // remains possible then.
        cluster.Run(LossToEndMilliseconds);
        if (cluster.Alive == 0)
            return;
        long now = cluster.Now;
        SimulatedNode[] older = [.. cluster.Nodes.Where(node => !node.IsRunning && !node.HasSuccessor && node.StoppedAt <= now - 20_000)];
        cluster.CrashAll();
        List<SimulatedNode> back = [.. cluster.Nodes.Where(node => !node.HasSuccessor && node.StoppedAt > now - 20_000)];
        random.Shuffle(older);
        back.AddRange(older.Take(random.Next(3)));
        SimulatedNode[] order = [.. back];
        random.Shuffle(order);
        cluster.Run(random.Next(0, 20_000));
        foreach (SimulatedNode node in order)
        {
            cluster.Join(former: node);
            cluster.Run(random.Next(0, 1_200 / order.Length));
        }

        cluster.Run(Coordinator.GatherMilliseconds);
    }

    private static SimulatedCluster Started(int seed, int silos, int replicas = 0)
    {
        SimulatedCluster cluster = new(seed, Partitions, replicas, keys: 60);
        for (int i = 0; i < silos; i++)
            cluster.Join();
        cluster.Settle();
        cluster.Use(500);
        cluster.Settle();

        // Until every file has noted that its silo serves.
        cluster.Run(600);
        return cluster;
    }

    private static SimulatedNode[] Stop(SimulatedCluster cluster, int milliseconds)
    {
        SimulatedNode[] running = [.. cluster.Nodes.Where(node => node.IsRunning)];
        cluster.CrashAll();
        cluster.Run(milliseconds);
        return running;
    }

    private static HashSet<string>[] Snapshot(SimulatedCluster cluster) =>
        [.. Enumerable.Range(0, Partitions).Select(partition => cluster.Stored(partition))];

    private static void AssertSame(HashSet<string>[] before, SimulatedCluster cluster, Func<int, bool> where)
    {
        for (int partition = 0; partition < Partitions; partition++)
        {
            if (where(partition))
                Assert.True(before[partition].SetEquals(cluster.Stored(partition)),
                    $"seed {cluster.Seed}: partition {partition} had {before[partition].Count} items and has {cluster.Stored(partition).Count}, "
                        + $"{cluster.PartitionsRestored} restored{cluster.LogOf(partition)}");
        }
    }
}
