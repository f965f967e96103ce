using System.Diagnostics;
using System.Globalization;

namespace OrleansCache.Ownership.Tests;

public sealed class OwnershipSimulationTests
{
    /// <summary>Some 8 s. More of them: ORLEANSCACHE_TEST_RUNS, or ORLEANSCACHE_TEST_SOAK_SECONDS.</summary>
    private static readonly int RunsOfChaos =
        int.TryParse(Environment.GetEnvironmentVariable("ORLEANSCACHE_TEST_RUNS"), CultureInfo.InvariantCulture, out int runs) ? runs : 20;

    [Fact]
    public void JoiningSilosGetTheirShareWithItems()
    {
        SimulatedCluster cluster = new(TestSeed.Next(), 48);
        cluster.Join();
        cluster.Settle();
        cluster.Use(2_000);
        cluster.Join();
        cluster.Join(memoryBytes: 128);
        cluster.Settle();
        Assert.True(cluster.MovesCommitted >= 34, $"seed {cluster.Seed}: {cluster.MovesCommitted} moves");
        Assert.Equal(0, cluster.MovesFailed);
    }

    [Fact]
    public void LeavingSilosHandEverythingOver()
    {
        SimulatedCluster cluster = new(TestSeed.Next(), 48);
        for (int i = 0; i < 4; i++)
            cluster.Join();
        cluster.Settle();
        cluster.Use(2_000);
        cluster.Drain();
        cluster.Use(500);
        cluster.Settle();
        Assert.Equal((3, 1), (cluster.Alive, cluster.Left));
    }

    [Fact]
    public void TheLastSiloToDrainIsToldThatNobodyTakesOver()
    {
        SimulatedCluster cluster = new(TestSeed.Next(), 8);
        SimulatedCluster.Node only = cluster.Join();
        cluster.Settle();
        only.Agent.BeginDraining();
        cluster.Run(2_000);
        Assert.True(only.Agent.NobodyTakesOver);
    }

    [Fact]
    public void LostSilosPartitionsComeBackEmptyElsewhere()
    {
        SimulatedCluster cluster = new(TestSeed.Next(), 48);
        for (int i = 0; i < 3; i++)
            cluster.Join();
        cluster.Settle();
        cluster.Use(1_000);
        cluster.Crash();
        cluster.Run(5_000);
        cluster.Settle();
        Assert.Equal(2, cluster.Alive);
    }

    [Fact]
    public void TheHashSeedOutlivesEverySiloButNotAllOfThem()
    {
        SimulatedCluster cluster = new(TestSeed.Next(), 24);
        SimulatedCluster.Node oldest = cluster.Join();
        cluster.Join();
        cluster.Settle();
        HashSeed seed = oldest.HashSeed;
        Assert.False(seed.IsNone);
        for (int i = 0; i < 5; i++)
        {
            // Always the coordinator.
            SimulatedCluster.Node next = cluster.Join();
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

        SimulatedCluster.Node first = cluster.Join();
        cluster.Settle();
        Assert.NotEqual(seed, first.HashSeed);
        Assert.Equal(2, cluster.SeedsDrawn);
    }

    /// <summary>
    /// Crashes, false suspicions, joins and drains at random, over a network that loses, delays and repeats; then peace, in which everything must settle.
    /// </summary>
    [Fact]
    public void ChaosNeverLosesOrDoublesAnythingAndSettles()
    {
        int first = TestSeed.Next();
        bool once = TestSeed.Given is not null;
        long moves = 0;
        long failed = 0;
        long flushes = 0;
        int runs = 0;
        for (var clock = Stopwatch.StartNew(); runs < (once ? 1 : RunsOfChaos) || clock.Elapsed.TotalSeconds < TestSeed.SoakSeconds; runs++)
        {
            int seed = unchecked(first + runs);
            Random random = new(seed);
            SimulatedCluster cluster = new(seed, 24);
            for (int i = random.Next(1, 5); i > 0; i--)
                cluster.Join();
            cluster.Run(2_000);
            for (int step = 0; step < 150; step++)
            {
                cluster.Loss = random.Next(3) == 0 ? random.NextDouble() * 0.3 : 0.02;
                for (int use = random.Next(30); use > 0; use--)
                    cluster.Use();
                if (random.Next(6) == 0)
                    cluster.FlushAll((uint)Math.Max(0, random.Next(-10, 6)));
                switch (random.Next(60))
                {
                    case 0:
                        cluster.Crash();
                        break;
                    case 1:
                        cluster.Suspect();
                        break;
                    case 2 or 3:
                        cluster.Drain();
                        break;
                    case >= 4 and < 8 when cluster.Alive < 7:
                        cluster.Join(random.Next(4) == 0 ? 128 : 64);
                        break;
                }

                if (cluster.Alive == 0)
                    cluster.Join();
                cluster.Run(random.Next(20, 1_500));
            }

            cluster.Loss = 0;
            if (cluster.Alive == 0)
                cluster.Join();
            cluster.Run(90_000);
            if (cluster.Alive == 0)
                continue;
            cluster.Use(200);
            cluster.Settle();
            flushes += cluster.FlushesDone;
            Assert.False(cluster.IsFlushing, $"seed {seed}: a flush got no OK");
            moves += cluster.MovesCommitted;
            failed += cluster.MovesFailed;
        }

        Assert.True(
            once || (moves > runs * 20 && failed > runs && flushes > runs * 5),
            $"seed {first}: the chaos was tame: {moves} moves, {failed} failed, {flushes} flushes");
    }

    /// <summary>Flushes at the very moments when partitions move, over a network that loses little, so that there are many of both.</summary>
    [Fact]
    public void FlushesMeetMovesAndKeepTheirPromise()
    {
        int seed = TestSeed.Next();
        Random random = new(seed);
        SimulatedCluster cluster = new(seed, 48) { Loss = 0.001 };
        cluster.Join();
        cluster.Join();
        cluster.Run(2_000);
        for (int step = 0; step < 1_200; step++)
        {
            for (int use = random.Next(40); use > 0; use--)
                cluster.Use();
            cluster.FlushAll(random.Next(4) == 0 ? (uint)random.Next(1, 3) : 0);
            if (step % 60 == 0 && cluster.Alive < 6)
                cluster.Join();
            else if (step % 60 == 30 && cluster.Alive > 2)
                cluster.Drain();
            cluster.Run(random.Next(1, 60));
        }

        cluster.Loss = 0;
        cluster.Settle();
        Assert.True(cluster.MovesCommitted > 50 && cluster.FlushesDone > 50, $"seed {seed}: {cluster.MovesCommitted} moves, {cluster.FlushesDone} flushes");
    }
}
