namespace OrleansCache.Membership;

/// <summary>
/// Answers of seeds to one ballot, or to one read, and what follows from them. A seed's answer counts only from the address under which it is a member: a
/// copy of its file elsewhere is nobody.
/// <para>
/// What follows rests on one rule that proposers keep: a value whose set is {new} alone is only derived from a value of {former, new} that is decided. So
/// between two decided values that follow each other, all that was ever proposed shares one of the sets of the earlier one, whichever way it went; and two
/// majorities of that set have a seed in common. The proof stands in docs/decisions/0021-seeds.md.
/// </para>
/// </summary>
internal sealed class Votes
{
    private readonly Dictionary<SeedId, Vote> _votes = [];

    public int Count => _votes.Count;

    public bool AnyRefused => _votes.Values.Any(static vote => !vote.Yes);

    /// <summary>The last answer of a seed counts.</summary>
    public void Add(SeedId seed, bool yes, Ballot accepted, RegisterValue? value) => _votes[seed] = new Vote(yes, accepted, value);

    public void Clear() => _votes.Clear();

    /// <summary>A majority of each set has said yes.</summary>
    public bool IsQuorum(ReadOnlySpan<SeedSet> sets)
    {
        foreach (SeedSet set in sets)
        {
            if (!IsMajority(set))
                return false;
        }

        return true;
    }

    public bool IsMajority(SeedSet set)
    {
        int yes = 0;
        foreach (SeedId seed in set)
        {
            if (_votes.TryGetValue(seed, out Vote vote) && vote.Yes)
                yes++;
        }

        return yes >= set.Majority;
    }

    /// <summary>So many have refused that <see cref="IsQuorum"/> cannot come about.</summary>
    public bool IsRefused(ReadOnlySpan<SeedSet> sets)
    {
        foreach (SeedSet set in sets)
        {
            int refused = 0;
            foreach (SeedId seed in set)
            {
                if (_votes.TryGetValue(seed, out Vote vote) && !vote.Yes)
                    refused++;
            }

            if (refused > set.Count - set.Majority)
                return true;
        }

        return false;
    }

    /// <summary>A majority of each of the value's sets holds it from this ballot: it is decided, and nothing else can be that does not come after
    /// it.</summary>
    public bool IsDecided(Ballot ballot, ReadOnlySpan<SeedSet> sets)
    {
        foreach (SeedSet set in sets)
        {
            int held = 0;
            foreach (SeedId seed in set)
            {
                if (_votes.TryGetValue(seed, out Vote vote) && vote.Accepted == ballot)
                    held++;
            }

            if (held < set.Majority)
                return false;
        }

        return true;
    }

    /// <summary>The distinct values that were told of, the newest first.</summary>
    public List<(Ballot Ballot, RegisterValue Value)> Values()
    {
        var values = new List<(Ballot Ballot, RegisterValue Value)>();
        foreach (Vote vote in _votes.Values)
        {
            if (vote.Value is { } value && !values.Exists(other => other.Ballot == vote.Accepted))
                values.Add((vote.Accepted, value));
        }

        values.Sort(static (left, right) => right.Ballot.CompareTo(left.Ballot));
        return values;
    }

    /// <summary>No member of the value's sets that answered holds a newer one.</summary>
    public bool IsNewestOfItsMembers(Ballot ballot, ReadOnlySpan<SeedSet> sets)
    {
        foreach (SeedSet set in sets)
        {
            foreach (SeedId seed in set)
            {
                if (_votes.TryGetValue(seed, out Vote vote) && vote.Accepted > ballot)
                    return false;
            }
        }

        return true;
    }

    private readonly record struct Vote(bool Yes, Ballot Accepted, RegisterValue? Value);
}
