namespace OrleansCache.Membership;

/// <summary>What a seed must not forget: the ballot below which it takes nothing any more, and what it took last.</summary>
internal sealed record AcceptorState(Ballot Promised, Ballot Accepted, RegisterValue? Value)
{
    public static readonly AcceptorState Blank = new(Ballot.None, Ballot.None, null);
}

/// <summary>Mistakes that tests make on purpose, to see that they would be noticed. Never set otherwise.</summary>
[Flags]
internal enum RegisterFaults
{
    None = 0,

    /// <summary>A seed takes a value below its promise.</summary>
    PromiseNotKept = 1,

    /// <summary>A proposer goes on counting the majority of the set that it knew first.</summary>
    StaleMajority = 2,

    /// <summary>A new set of seeds decides at once and alone.</summary>
    TwoChangesAtOnce = 4,

    /// <summary>A change is finished that was not decided.</summary>
    FinishUndecided = 8,

    /// <summary>A read believes the first seed that answers.</summary>
    UnconfirmedRead = 16,
}

/// <summary>
/// The acceptor of CASPaxos (Rystsov 2018, arXiv 1802.07000) as a function: state and message in, state and answer out. The caller keeps the new state
/// durably before the answer leaves.
/// </summary>
internal static class Acceptor
{
    /// <returns>The answer, and the state to keep first; null: nothing to keep.</returns>
    public static (SeedReply Reply, AcceptorState? Next) Handle(AcceptorState state, Guid identity, SeedRequest request,
        RegisterFaults faults = RegisterFaults.None)
    {
        var reply = new SeedReply { Identity = identity, Promised = state.Promised, Accepted = state.Accepted };
        if (request.ClusterId.Length != 0 && state.Value is { } held && held.ClusterId != request.ClusterId)
            return (reply with { Kind = SeedReplyKind.OtherCluster, Reason = held.ClusterId }, null);
        if (request.Kind == SeedRequestKind.Read)
            return (WithValue(reply with { Kind = SeedReplyKind.State }), null);
        if (request.Target != identity)
            return (reply with { Kind = SeedReplyKind.WrongSeed }, null);

        if (request.Kind == SeedRequestKind.Prepare)
        {
            if (request.Ballot < state.Promised)
                return (reply with { Kind = SeedReplyKind.Refused }, null);
            AcceptorState? next = request.Ballot == state.Promised ? null : state with { Promised = request.Ballot };
            return (WithValue(reply with { Kind = SeedReplyKind.Promised, Promised = request.Ballot }), next);
        }

        // The same message again: the answer may have been lost.
        if (request.Ballot == state.Accepted)
            return (reply with { Kind = SeedReplyKind.Accepted }, null);
        if (request.Ballot < state.Promised && !faults.HasFlag(RegisterFaults.PromiseNotKept))
            return (reply with { Kind = SeedReplyKind.Refused }, null);
        Ballot promised = request.Next.IsNone ? request.Ballot : request.Next;
        var accepted = new AcceptorState(promised, request.Ballot, request.Value);
        return (reply with { Kind = SeedReplyKind.Accepted, Promised = promised, Accepted = request.Ballot }, accepted);

        SeedReply WithValue(SeedReply answer) => state.Value is null ? answer
            : state.Accepted == request.Known ? answer with { ValueIsKnown = true }
            : answer with { Value = state.Value };
    }
}
