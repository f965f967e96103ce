namespace OrleansCache.Membership;

/// <summary>A ballot that a majority of each set has promised together with accepting <paramref name="Base"/>: the next change needs no round to
/// prepare.</summary>
internal sealed record Lease(Ballot Ballot, RegisterValue Base);

/// <summary>
/// What a proposer carries from one operation to the next. Nothing of it is needed to be right, save that no ballot is used twice: hints say where to ask,
/// and a lease is refused by the seeds once it is out of date. Lost with the process, whose next one has another id.
/// </summary>
internal sealed class ProposerMemory(Guid id, string clusterId, Random random)
{
    private long _counter;

    public Random Random { get; } = random;

    /// <summary>Empty until a seed has told it.</summary>
    public string ClusterId { get; private set; } = clusterId;

    /// <summary>The newest value that was seen anywhere, decided or not: whom to ask, and what need not be sent again.</summary>
    public RegisterValue? Hint { get; private set; }

    public Ballot HintBallot { get; private set; }

    /// <summary>The set that was seen first.</summary>
    public SeedSet? FirstSet { get; private set; }

    public Lease? Lease { get; set; }

    /// <summary>Addresses from outside.</summary>
    public SeedAddress[] Given { get; set; } = [];

    public IEnumerable<SeedAddress> Addresses => (Hint?.Members.Select(static seed => seed.Address) ?? []).Union(Given);

    public Ballot NextBallot() => new(++_counter, id);

    /// <summary>A random number for a write; never 0.</summary>
    public ulong NextWrite() => (ulong)Random.NextInt64(1, long.MaxValue);

    public void Saw(Ballot ballot)
    {
        _counter = Math.Max(_counter, Math.Min(ballot.Counter, Ballot.CounterMax - 1));
        // Another proposer has been there since.
        if (Lease is { } lease && lease.Ballot < ballot)
            Lease = null;
    }

    public void Saw(Ballot ballot, RegisterValue value)
    {
        Saw(ballot);
        if (ClusterId.Length == 0)
            ClusterId = value.ClusterId;
        FirstSet ??= value.Seeds;
        if (Hint is not null && HintBallot >= ballot)
            return;
        Hint = value;
        HintBallot = ballot;
    }
}
