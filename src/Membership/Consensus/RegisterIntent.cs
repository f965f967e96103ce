namespace OrleansCache.Membership;

internal enum IntentKind
{
    Read,
    Write,
    ChangeSeeds,
}

/// <summary>What an operation is to achieve.</summary>
internal sealed record RegisterIntent(IntentKind Kind, long ExpectedVersion = 0, ReadOnlyMemory<byte> Content = default, SeedChange Change = default)
{
    public static readonly RegisterIntent Read = new(IntentKind.Read);

    /// <summary>The set after the change; null and why, if there is none.</summary>
    public static (SeedSet? Seeds, string Reason) Apply(SeedChange change, SeedSet seeds)
    {
        if (change.Add is null && change.Remove is null)
            return (null, "a change of the seeds adds a seed, removes one, or both");
        if (change.Remove is { } gone && !seeds.Contains(gone))
            return (null, $"{gone:N} is none of the seeds: {seeds}");
        IEnumerable<SeedId> rest = seeds.Where(seed => seed.Identity != change.Remove);
        if (change.Add is { } added)
        {
            if (added.Identity == Guid.Empty || added.Address == default)
                return (null, "the seed to add has no identity or no address");
            if (rest.Any(seed => seed.Identity == added.Identity))
                return (null, $"{added} is a seed already: {seeds}");
            if (rest.Any(seed => seed.Address == added.Address))
                return (null, $"{added.Address} is the address of a seed already: {seeds}; replace that one");
            rest = rest.Append(added);
        }

        var after = rest.ToList();
        if (after.Count is 0 or > Limits.SeedsMax)
            return (null, $"a cluster has 1 to {Limits.SeedsMax} seeds, not {after.Count}");
        var set = new SeedSet(after);
        return set.Equals(seeds) ? (null, "the seeds are the same already") : (set, "");
    }
}

internal enum OutcomeKind
{
    /// <summary>Read: the value is decided. Change: it has taken effect.</summary>
    Done,

    /// <summary>Another version is there.</summary>
    Conflict,

    /// <summary>The change makes no sense.</summary>
    Invalid,

    /// <summary>No majority in time.</summary>
    Unavailable,
}

internal sealed record RegisterOutcome(OutcomeKind Kind, RegisterValue? Value, string Reason = "", bool Unknown = false, bool NoCluster = false)
{
    public IReadOnlyList<string> Missing { get; init; } = [];

    public IReadOnlyDictionary<string, DateTimeOffset>? Alive { get; init; }
}

/// <summary>Milliseconds.</summary>
/// <param name="Round">A round's answers are waited for so long.</param>
/// <param name="Grace">Once there could be a decision without the seeds that have not answered, so much longer.</param>
/// <param name="Backoff">Longest first pause.</param>
internal sealed record RunTimes(long Operation, long Round, long Grace, long Backoff);

/// <summary>A message that a run wants to be sent. The answer, or that there is none, comes back to <see cref="RegisterRun.OnReply"/>.</summary>
internal sealed record Outgoing(int Round, SeedAddress Address, SeedRequest Request);
