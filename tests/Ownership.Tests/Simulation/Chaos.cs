namespace OrleansCache.Ownership.Tests.Simulation;

/// <summary>Everything at random, from one seed; then peace, in which everything must settle, and the judgement.</summary>
internal static class Chaos
{
    public const int KeyCount = 16;

    public static SimulatedCluster Run(int seed, int steps, int? replicas = null, SimulatedFaults? faults = null, bool isAsynchronous = false)
    {
        Random random = new(seed);
        SimulatedCluster cluster = new(
            seed, partitions: random.Next(4, 17), replicas ?? random.Next(3), keys: KeyCount, isAsynchronous: isAsynchronous, faults: faults);
        try
        {
            Run(cluster, random, steps);
        }
        catch
        {
            cluster.Dispose();
            throw;
        }

        return cluster;
    }

    /// <summary>Null, and a further failure, if something was wrong.</summary>
    public static SimulatedCluster? TryRun(int seed, int steps, List<string> failures)
    {
        try
        {
            return Run(seed, steps);
        }
        catch (Exception exception)
        {
            failures.Add($"ORLEANSCACHE_TEST_SEED={seed}: {exception.Message}\n{exception.InnerException?.StackTrace}");
            return null;
        }
    }

    private static void Run(SimulatedCluster cluster, Random random, int steps)
    {
        bool isMixed = random.Next(3) != 0;
        for (int i = random.Next(1, 5); i > 0; i--)
            cluster.Join(speaks: Speaks());
        cluster.Run(2_000);
        cluster.StartClients(random.Next(2, 8));
        bool isOrdering = random.Next(2) == 0;
        bool isFlushing = random.Next(2) == 0;
        string[] zones = random.Next(3) == 0 ? ["a", "b", "c"] : [""];
        for (int step = 0; step < steps; step++)
        {
            cluster.Loss = random.Next(3) == 0 ? random.NextDouble() * 0.3 : 0.02;
            if (isOrdering && random.Next(5) == 0)
                cluster.Order(DrawOrder(cluster, random));
            if (isFlushing && random.Next(6) == 0)
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
                case >= 4 and < 8 when cluster.Alive < 6:
                    cluster.Join(random.Next(4) == 0 ? 128 : 64, zone: zones[random.Next(zones.Length)], speaks: Speaks());
                    break;
                case 8:
                    cluster.Cut(random.Next(100, 10_000));
                    break;
                case 9:
                    cluster.Slow(random.Next(100, 10_000));
                    break;
            }

            if (cluster.Alive == 0)
                cluster.Join();
            cluster.Run(random.Next(20, 1_500));
        }

        cluster.Loss = 0;
        if (cluster.Alive == 0)
            cluster.Join();
        cluster.Run(20_000);
        cluster.Order(new MoveOrder(MoveOrderKind.Limit, 0));
        cluster.Order(new MoveOrder(MoveOrderKind.Resume));
        if (cluster.Alive == 0)
            cluster.Join();
        cluster.Settle();
        cluster.Verify();

        byte Speaks() => isMixed && random.Next(4) == 0 ? WireVersion.Oldest : WireVersion.Newest;
    }

    /// <summary>What is limited is slow enough that copies are under way when something else happens.</summary>
    private static MoveOrder DrawOrder(SimulatedCluster cluster, Random random) => random.Next(8) switch
    {
        0 => new MoveOrder(MoveOrderKind.Pause),
        1 or 2 => new MoveOrder(MoveOrderKind.Resume),
        3 => new MoveOrder(MoveOrderKind.Limit, random.Next(50, 1_000)),
        4 => new MoveOrder(MoveOrderKind.Limit, 0),
        5 => new MoveOrder(MoveOrderKind.Abort, MoveOrder.All),
        _ => new MoveOrder(MoveOrderKind.Abort, random.Next(cluster.PartitionCount)),
    };
}
