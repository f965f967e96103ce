using System.Globalization;
using OrleansCache.Ownership.Tests.Simulation;

namespace OrleansCache.Ownership.Tests;

/// <summary>
/// A silo is lost at each step of a move or a failover in turn, a step being a message that arrives: nothing is lost, nothing is served twice, and all settles.
/// A part of the steps by default, another one with each seed; all of them with ORLEANSCACHE_TEST_RUNS=1000.
/// </summary>
public sealed class LossAtEveryStepTests
{
    private const int Partitions = 6;
    private static readonly int Runs =
        int.TryParse(Environment.GetEnvironmentVariable("ORLEANSCACHE_TEST_RUNS"), CultureInfo.InvariantCulture, out int runs) ? runs : 16;

    [Fact]
    public void TheCoordinatorIsLostDuringMoves() => LoseAtEveryStep(replicas: 1, Join, static cluster => cluster.Nodes.First());

    [Fact]
    public void TheTargetIsLostDuringMoves() => LoseAtEveryStep(replicas: 1, Join, static cluster => cluster.Nodes.Last());

    [Fact]
    public void ASourceIsLostDuringMoves() => LoseAtEveryStep(replicas: 1, Join, static cluster => cluster.Nodes.ElementAt(1));

    [Fact]
    public void ASiloIsLostWhileItDrains() => LoseAtEveryStep(replicas: 1, DrainSecond, static cluster => cluster.Nodes.ElementAt(1));

    [Fact]
    public void TheCoordinatorIsLostWhileAnotherDrains() => LoseAtEveryStep(replicas: 1, DrainSecond, static cluster => cluster.Nodes.First());

    /// <summary>
    /// Replicas that are not equal are dropped before one of them is promoted; if that one is lost as well before it has new ones, its partition begins empty
    /// (docs/decisions/0020-replication.md). Everything else is judged.
    /// </summary>
    [Fact]
    public void TheCoordinatorIsLostDuringAFailover() => LoseAtEveryStep(replicas: 2, LoseSecond, static cluster => cluster.Nodes.First());

    [Fact]
    public void AnotherReplicaIsLostDuringAFailover() => LoseAtEveryStep(replicas: 2, LoseSecond, static cluster => cluster.Nodes.ElementAt(2));

    private static void Join(SimulatedCluster cluster) => cluster.Join();

    private static void DrainSecond(SimulatedCluster cluster) => cluster.Drain(cluster.Nodes.ElementAt(1));

    private static void LoseSecond(SimulatedCluster cluster) => cluster.Suspect(cluster.Nodes.ElementAt(1));

    private static void LoseAtEveryStep(int replicas, Action<SimulatedCluster> change, Func<SimulatedCluster, SimulatedNode> victim)
    {
        int seed = TestSeed.Next();
        int steps = Run(seed, replicas, change, victim, at: int.MaxValue);
        Assert.True(steps > 20, $"seed {seed}: {steps} steps");
        int stride = Math.Max(1, steps / Runs);
        for (int at = 1 + new Random(seed).Next(stride); at <= steps; at += stride)
            Run(seed, replicas, change, victim, at);
    }

    /// <summary>Returns how many steps there were.</summary>
    private static int Run(int seed, int replicas, Action<SimulatedCluster> change, Func<SimulatedCluster, SimulatedNode> victim, int at)
    {
        using SimulatedCluster cluster = new(seed, Partitions, replicas, keys: 12) { ClientsMayDelete = false };
        for (int i = 0; i < 4; i++)
            cluster.Join();
        cluster.Settle();
        cluster.StoreAll();
        cluster.StartClients(3, pauseMilliseconds: 30);
        cluster.Run(200);
        long before = cluster.MessagesDelivered;
        bool isLost = false;
        change(cluster);
        cluster.AfterEvent = () =>
        {
            if (isLost || cluster.MessagesDelivered - before < at)
                return;
            isLost = true;
            SimulatedNode lost = victim(cluster);
            if (!lost.IsRunning)
                return;
            if (at % 3 == 0)
                cluster.Suspect(lost);
            else
                cluster.Crash(lost);
        };
        try
        {
            cluster.Run(800);
            cluster.Settle();
            int steps = (int)(cluster.MessagesDelivered - before);
            cluster.Run(6_000);
            cluster.Settle();
            cluster.Verify();
            if (replicas < 2)
                Assert.Equal((0, 0), (cluster.OpenedEmpty, cluster.Misses));
            return steps;
        }
        catch (Exception exception)
        {
            throw new InvalidOperationException($"seed {seed}, lost at step {at}: {exception.Message}", exception);
        }
    }
}
