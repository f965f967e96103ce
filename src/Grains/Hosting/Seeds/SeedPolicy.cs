using OrleansCache.Membership;

namespace OrleansCache.Grains.Hosting.Seeds;

/// <summary>One active silo and the seed that its process keeps, whether that one votes or not.</summary>
/// <param name="Age">The smaller, the older: Orleans's generation.</param>
internal readonly record struct SeedCandidate(SeedId Seed, long Age);

/// <summary>
/// Which change of the set of seeds is due, one at a time. Goals: <c>--seeds</c> voting seeds on living silos; never a change that makes the set bear
/// less than it does.
/// <list type="bullet">
/// <item>The set grows by two, from one odd number to the next: an even number needs as many living seeds for a majority as the odd one above it, and
/// bears the loss of no more than the odd one below. So of two silos one has the vote.</item>
/// <item>A seed whose silo is gone is replaced, never just removed, and only after <see cref="GoneMax"/>: a restart is no reason. At once, if another seed
/// has come up at its address: then its file is lost for certain.</item>
/// <item>What an operator has added stays; what he has taken out is barred, and comes back only by him.</item>
/// </list>
/// Pure: time is an argument. <see cref="Next"/> is asked by the oldest silo, again and again; the register refuses all but one of two that ask at once.
/// </summary>
internal sealed class SeedPolicy(int target)
{
    private readonly Dictionary<Guid, TimeSpan> _lastSeen = [];

    /// <summary>A seed whose silo is no member for so long may be replaced.</summary>
    public static TimeSpan GoneMax { get; } = TimeSpan.FromSeconds(30);

    /// <summary>Null if all is well, or nothing can be done.</summary>
    /// <param name="active">The active silos' seeds.</param>
    /// <param name="barred">Identities that are not to be taken in.</param>
    public SeedChange? Next(SeedSet seeds, IReadOnlyList<SeedCandidate> active, IReadOnlyCollection<Guid> barred, TimeSpan now)
    {
        foreach (Guid forgotten in _lastSeen.Keys.Where(known => !seeds.Contains(known)).ToArray())
            _lastSeen.Remove(forgotten);
        foreach (SeedId seed in seeds)
        {
            if (!_lastSeen.ContainsKey(seed.Identity) || active.Any(silo => silo.Seed.Identity == seed.Identity))
                _lastSeen[seed.Identity] = now;
        }

        SeedId[] candidates =
        [
            .. active.Where(silo => silo.Seed != default && !seeds.Contains(silo.Seed.Identity) && !barred.Contains(silo.Seed.Identity))
                .OrderBy(silo => silo.Age).Select(silo => silo.Seed),
        ];
        SeedId[] gone = [.. seeds.Where(seed => !active.Any(silo => silo.Seed.Identity == seed.Identity))];
        foreach (SeedId seed in seeds)
        {
            // It keeps its promises, and is asked elsewhere now.
            if (active.FirstOrDefault(silo => silo.Seed.Identity == seed.Identity) is var moved && moved != default && moved.Seed != seed)
                return SeedChange.Replacing(seed.Identity, moved.Seed);
        }

        foreach (SeedId seed in gone)
        {
            if (candidates.FirstOrDefault(candidate => candidate.Address == seed.Address) is var heir && heir != default)
                return SeedChange.Replacing(seed.Identity, heir);
        }

        if (candidates.Length > 0 && Array.Find(gone, seed => now - _lastSeen[seed.Identity] >= GoneMax) is var lost && lost != default)
            return SeedChange.Replacing(lost.Identity, candidates[0]);
        if (gone.Length > 0)
            return null;
        if (seeds.Count < target && candidates.Length >= (seeds.Count % 2 == 0 ? 1 : 2))
            return SeedChange.Adding(candidates[0]);
        return seeds.Count % 2 == 0 && seeds.Count < target && candidates.Length == 0
            ? SeedChange.Removing(active.Where(silo => seeds.Contains(silo.Seed.Identity)).MaxBy(silo => silo.Age).Seed.Identity) : null;
    }

    /// <summary>What a silo does about its own vote before it leaves for good; null: nothing, it has none or nobody can take it.</summary>
    /// <param name="others">The seeds of the silos that stay.</param>
    public static SeedChange? OnLeaving(SeedId self, SeedSet seeds, IReadOnlyList<SeedCandidate> others, IReadOnlyCollection<Guid> barred)
    {
        if (!seeds.Contains(self.Identity))
            return null;
        SeedId heir = others.Where(silo => silo.Seed != default && !seeds.Contains(silo.Seed.Identity) && !barred.Contains(silo.Seed.Identity))
            .OrderBy(silo => silo.Age).Select(silo => silo.Seed).FirstOrDefault();
        return heir != default ? SeedChange.Replacing(self.Identity, heir)
            : seeds.Count > 1 ? SeedChange.Removing(self.Identity) : null;
    }
}
