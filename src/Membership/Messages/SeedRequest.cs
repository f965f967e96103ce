namespace OrleansCache.Membership;

internal enum SeedRequestKind : byte
{
    None = 0,

    /// <summary>What have you accepted? Nothing is kept.</summary>
    Read = 1,

    /// <summary>Take nothing below <see cref="SeedRequest.Ballot"/> any more, and tell what you have accepted.</summary>
    Prepare = 2,

    /// <summary>Take <see cref="SeedRequest.Value"/>, and prepare <see cref="SeedRequest.Next"/> with it.</summary>
    Accept = 3,

    /// <summary>A silo lives. Nothing is kept on the disk.</summary>
    Alive = 4,
}

/// <summary>What a member asks a seed.</summary>
internal sealed record SeedRequest
{
    public required SeedRequestKind Kind { get; init; }

    /// <summary>The seed that is meant. Empty: whoever listens there (Read, Alive).</summary>
    public Guid Target { get; init; }

    /// <summary>Empty: any (Read).</summary>
    public string ClusterId { get; init; } = "";

    public Ballot Ballot { get; init; }

    /// <summary>A ballot of the same proposer that counts as prepared with the acceptance; none: none.</summary>
    public Ballot Next { get; init; }

    /// <summary>The asker has the value of this ballot: it need not be sent (Read, Prepare).</summary>
    public Ballot Known { get; init; }

    public RegisterValue? Value { get; init; }

    public string AliveKey { get; init; } = "";

    /// <summary>UTC ticks.</summary>
    public long AliveTicks { get; init; }
}

internal enum SeedReplyKind : byte
{
    None = 0,
    State = 1,
    Promised = 2,
    Accepted = 3,

    /// <summary>A higher ballot was promised.</summary>
    Refused = 4,

    /// <summary>The disk does not take it; <see cref="SeedReply.Reason"/> says why.</summary>
    Cannot = 5,

    /// <summary>Another seed than the one that was meant listens here.</summary>
    WrongSeed = 6,

    /// <summary><see cref="SeedReply.Reason"/> is the id of the cluster that it belongs to.</summary>
    OtherCluster = 7,

    /// <summary>The message was garbage or of another version.</summary>
    Unreadable = 8,
    AliveTaken = 9,
}

/// <summary>What a seed answers. Everything but the identity is as of the answered message.</summary>
internal sealed record SeedReply
{
    public SeedReplyKind Kind { get; init; }

    public Guid Identity { get; init; }

    public Ballot Promised { get; init; }

    public Ballot Accepted { get; init; }

    /// <summary>There is a value, the one of <see cref="SeedRequest.Known"/>.</summary>
    public bool ValueIsKnown { get; init; }

    public RegisterValue? Value { get; init; }

    public IReadOnlyList<(string Key, long Ticks)> Alive { get; init; } = [];

    public string Reason { get; init; } = "";
}
