namespace OrleansCache.Ownership;

/// <summary>A silo that may own partitions, and its share of them relative to the others' weights.</summary>
public readonly record struct SiloWeight(SiloId Silo, long Weight);

/// <summary>
/// Decides who should own what. Pure and deterministic: the same input gives the same plan on every silo.
/// <para>
/// Algorithm: each silo's share is partitions x weight / weights, rounded down or up so that the quotas add up; the rounding up goes first to those that
/// already hold more than their share rounded down. Every silo keeps what it has up to its quota; only the surplus, and what nobody has, is dealt out to those
/// below quota.
/// </para>
/// <para>Goals: nobody further than 1 from its weighted share; no partition moves that could stay. Non-goal: knowing which partitions are hot or large.</para>
/// </summary>
public static class TablePlanner
{
    /// <summary>
    /// Plans owners for all partitions. <paramref name="current"/> holds today's owner or <see cref="SiloId.IsNone"/>; owners that are not among
    /// <paramref name="silos"/> lose everything. Without silos the plan is today's.
    /// </summary>
    public static SiloId[] Plan(ReadOnlySpan<SiloId> current, IReadOnlyCollection<SiloWeight> silos)
    {
        SiloId[] plan = current.ToArray();
        if (silos.Count == 0)
            return plan;

        SiloWeight[] members = [.. silos.OrderBy(member => member.Silo)];
        Dictionary<SiloId, int> indexes = new(members.Length);
        for (int i = 0; i < members.Length; i++)
            indexes.Add(members[i].Silo, i);
        int[] held = new int[members.Length];
        foreach (SiloId owner in current)
        {
            if (indexes.TryGetValue(owner, out int index))
                held[index]++;
        }

        int[] quotas = Quotas(members, held, current.Length);
        int[] kept = new int[members.Length];
        List<int> homeless = [];
        for (int partition = 0; partition < plan.Length; partition++)
        {
            if (indexes.TryGetValue(plan[partition], out int index) && kept[index] < quotas[index])
                kept[index]++;
            else
                homeless.Add(partition);
        }

        // Deal round the silos instead of filling one after the other: neighbours in number end up apart, and several targets can receive at once.
        int next = 0;
        foreach (int partition in homeless)
        {
            while (kept[next] >= quotas[next])
                next = (next + 1) % members.Length;
            plan[partition] = members[next].Silo;
            kept[next]++;
            next = (next + 1) % members.Length;
        }

        return plan;
    }

    private static int[] Quotas(SiloWeight[] members, int[] held, int partitions)
    {
        // A silo without a sensible weight still counts as the smallest one.
        decimal total = members.Sum(member => (decimal)Math.Max(1, member.Weight));
        int[] quotas = new int[members.Length];
        decimal[] fractions = new decimal[members.Length];
        int left = partitions;
        for (int i = 0; i < members.Length; i++)
        {
            decimal share = partitions * Math.Max(1, members[i].Weight) / total;
            quotas[i] = (int)decimal.Floor(share);
            fractions[i] = share - quotas[i];
            left -= quotas[i];
        }

        IEnumerable<int> order = Enumerable.Range(0, members.Length)
            .OrderByDescending(i => fractions[i] > 0)
            .ThenByDescending(i => held[i] > quotas[i])
            .ThenByDescending(i => fractions[i])
            .ThenBy(i => i);
        foreach (int i in order.Take(left).ToArray())
            quotas[i]++;
        return quotas;
    }
}
