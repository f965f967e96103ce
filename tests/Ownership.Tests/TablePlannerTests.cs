namespace OrleansCache.Ownership.Tests;

public sealed class TablePlannerTests
{
    private static SiloId Silo(int number) => SiloId.Create($"10.0.0.{number}:11111", number);

    [Fact]
    public void EmptyClusterIsDealtOutEvenly()
    {
        SiloId[] plan = TablePlanner.Plan(new SiloId[256], [new(Silo(1), 1), new(Silo(2), 1), new(Silo(3), 1)]);
        Assert.Equal([86, 85, 85], [.. new[] { 1, 2, 3 }.Select(number => plan.Count(owner => owner == Silo(number)))]);
    }

    [Fact]
    public void MemoryDecidesTheShare()
    {
        SiloId[] plan = TablePlanner.Plan(new SiloId[256], [new(Silo(1), 64), new(Silo(2), 192)]);
        Assert.Equal(64, plan.Count(owner => owner == Silo(1)));
        Assert.Equal(192, plan.Count(owner => owner == Silo(2)));
    }

    [Fact]
    public void WithoutSilosNothingChanges()
    {
        SiloId[] current = [Silo(1), default, Silo(2)];
        Assert.Equal(current, TablePlanner.Plan(current, []));
    }

    /// <summary>
    /// Random clusters and random assignments: everyone within 1 of its weighted share, nobody else owns anything, no more moves than the surplus and the
    /// homeless force, the same plan for the same input, and nothing to do for a plan that is carried out.
    /// </summary>
    [Fact]
    public void RandomPlansAreFairFrugalAndStable()
    {
        int seed = TestSeed.Next();
        Random random = new(seed);
        for (int round = 0; round < 500; round++)
        {
            string what = $"seed {seed}, round {round}";
            int partitions = random.Next(1, 400);
            SiloWeight[] silos =
                [.. Enumerable.Range(1, random.Next(1, 12)).Select(number => new SiloWeight(Silo(number), random.Next(4) == 0 ? random.Next(1, 2000) : 100))];
            SiloId[] current = new SiloId[partitions];
            for (int partition = 0; partition < partitions; partition++)
                current[partition] = random.Next(5) == 0 ? default : Silo(random.Next(1, 16));

            SiloId[] plan = TablePlanner.Plan(current, silos);
            Assert.Equal(plan, TablePlanner.Plan(current, [.. silos.OrderBy(_ => random.Next())]));
            Assert.True(plan.SequenceEqual(TablePlanner.Plan(plan, silos)), what);

            double total = silos.Sum(silo => (double)silo.Weight);
            int kept = 0;
            int keepable = 0;
            foreach (SiloWeight silo in silos)
            {
                double share = partitions * silo.Weight / total;
                int planned = plan.Count(owner => owner == silo.Silo);
                Assert.True(Math.Abs(planned - share) < 1.0001, $"{what}: {silo.Silo} gets {planned} of a share of {share}");
                kept += Enumerable.Range(0, partitions).Count(partition => current[partition] == silo.Silo && plan[partition] == silo.Silo);
                keepable += Math.Min(planned, current.Count(owner => owner == silo.Silo));
            }

            Assert.Equal(partitions, plan.Count(owner => silos.Any(silo => silo.Silo == owner)));
            Assert.True(kept == keepable, $"{what}: {kept} stay where {keepable} could");
        }
    }
}
