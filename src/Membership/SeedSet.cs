using System.Collections;

namespace OrleansCache.Membership;

/// <summary>
/// The seeds that vote: 1 to <see cref="Limits.SeedsMax"/>, ordered by identity, no identity twice. (One address may stand there twice for a while: a seed
/// whose file was lost, and the new one in its place.) Immutable; equal by content.
/// </summary>
public sealed class SeedSet : IReadOnlyList<SeedId>, IEquatable<SeedSet>
{
    private readonly SeedId[] _seeds;

    /// <summary>Throws <see cref="ArgumentException"/> for a set that cannot be.</summary>
    public SeedSet(params IEnumerable<SeedId> seeds)
    {
        _seeds = [.. seeds.OrderBy(static seed => seed.Identity)];
        if (_seeds.Length is 0 or > Limits.SeedsMax)
            throw new ArgumentException($"a cluster has 1 to {Limits.SeedsMax} seeds, not {_seeds.Length}", nameof(seeds));
        for (int i = 1; i < _seeds.Length; i++)
        {
            if (_seeds[i].Identity == _seeds[i - 1].Identity)
                throw new ArgumentException($"{_seeds[i]} stands twice among the seeds", nameof(seeds));
        }
    }

    public int Count => _seeds.Length;

    /// <summary>Seeds that must agree: more than half.</summary>
    public int Majority => (_seeds.Length / 2) + 1;

    public SeedId this[int index] => _seeds[index];

    public bool Contains(Guid identity)
    {
        foreach (SeedId seed in _seeds)
        {
            if (seed.Identity == identity)
                return true;
        }

        return false;
    }

    public bool Equals(SeedSet? other) => other is not null && _seeds.AsSpan().SequenceEqual(other._seeds);

    public override bool Equals(object? obj) => Equals(obj as SeedSet);

    public override int GetHashCode()
    {
        HashCode hash = default;
        foreach (SeedId seed in _seeds)
            hash.Add(seed);
        return hash.ToHashCode();
    }

    public IEnumerator<SeedId> GetEnumerator() => ((IEnumerable<SeedId>)_seeds).GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    public override string ToString() => string.Join(", ", _seeds);
}
