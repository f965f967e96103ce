namespace OrleansCache.Membership;

/// <summary>
/// One operation on the register: the proposer of CASPaxos (Rystsov 2018, arXiv 1802.07000) as a state machine. Answers and time go in, messages come out; no
/// clock, no socket, no lock. Rounds:
/// <code>
///   Ask      what have you accepted?                   a majority holds the same ballot: that value is decided, and was read without a write
///   Prepare  promise me this ballot                    a majority has promised: the newest value that they hold is the one to go on from
///   Accept   take this value, and promise my next one  a majority has taken it: it is decided, and the next change needs no Prepare (2.2.1 of the paper)
///   Pause    a random time, when another proposer was faster
/// </code>
/// "A majority" is a majority of each set that the value names (<see cref="RegisterValue.Sets"/>), found out by the answers themselves: a seed that tells
/// of a newer set makes its members be asked as well. A change of the set is two values, {former, new} and {new}; whoever meets the first finishes it.
/// Goals: linearizable whatever messages do; a change of the same proposer costs one round trip. Non-goal: fairness between proposers.
/// </summary>
internal sealed partial class RegisterRun
{
    private const int AsksMax = 3;

    private readonly ProposerMemory _memory;
    private readonly RegisterIntent _intent;
    private readonly RunTimes _times;
    private readonly RegisterFaults _faults;
    private readonly ulong _write;
    private readonly long _endAt;

    private readonly Votes _votes = new();
    private readonly HashSet<(SeedAddress Address, Guid Target)> _asked = [];
    private readonly HashSet<SeedAddress> _silent = [];
    private readonly Dictionary<string, string> _missing = [];
    private readonly Dictionary<string, DateTimeOffset> _alive = [];
    private readonly List<Outgoing> _outgoing = [];

    private Phase _phase;
    private int _round;
    private int _outstanding;
    private bool _inGrace;
    private int _asks;
    private int _pauses;
    private Phase _afterPause;

    /// <summary>Ask those of outside as well, since the known seeds were not enough.</summary>
    private bool _widened;

    private Ballot _ballot;
    private Ballot _next;
    private Ballot _known;
    private RegisterValue? _knownValue;

    /// <summary>What the value to be accepted comes from.</summary>
    private RegisterValue? _base;
    private RegisterValue? _proposed;

    /// <summary>Refused once; from now on refusals are answered with a pause.</summary>
    private bool _refused;

    /// <summary>Some seed may have taken our own value.</summary>
    private bool _sent;

    /// <summary>Decided, and good enough to be the answer if what should follow does not work out.</summary>
    private RegisterValue? _settled;

    public RegisterRun(ProposerMemory memory, RegisterIntent intent, RunTimes times, long now, RegisterFaults faults = RegisterFaults.None)
    {
        _memory = memory;
        _intent = intent;
        _times = times;
        _faults = faults;
        _write = memory.NextWrite();
        _endAt = now + times.Operation;
        if (intent.Kind == IntentKind.Write && memory.Lease is { } lease && lease.Base.Version == intent.ExpectedVersion && !lease.Base.IsJoint)
        {
            memory.Lease = null;
            _base = lease.Base;
            Accept(lease.Ballot, lease.Base.WithContent(intent.Content, _write), now);
        }
        else if (intent.Kind != IntentKind.Read && memory.Hint is not null)
        {
            Prepare(now);
        }
        else
        {
            Ask(now);
        }
    }

    private enum Phase
    {
        Ask,
        Prepare,
        Accept,
        Pause,
        Done,
    }

    /// <summary>Null while it runs.</summary>
    public RegisterOutcome? Outcome { get; private set; }

    /// <summary>When <see cref="OnTimer"/> must be called, in the time of `now`, milliseconds.</summary>
    public long DueAt { get; private set; }

    /// <summary>Messages to send; taken by the caller after each call.</summary>
    public IReadOnlyList<Outgoing> TakeOutgoing()
    {
        if (_outgoing.Count == 0)
            return [];
        Outgoing[] taken = [.. _outgoing];
        _outgoing.Clear();
        return taken;
    }

    /// <param name="reply">Null: there is none, and <paramref name="error"/> says why.</param>
    public void OnReply(Outgoing asked, SeedReply? reply, string? error, long now)
    {
        if (reply is not null)
        {
            _memory.Saw(reply.Promised);
            _memory.Saw(reply.Accepted);
        }

        if (_phase is Phase.Done or Phase.Pause || asked.Round != _round)
            return;
        _outstanding--;
        _silent.Remove(asked.Address);
        Take(asked, reply, error);
        if (Outcome is not null)
            return;
        Evaluate(now, last: _outstanding == 0);
    }

    public void OnTimer(long now)
    {
        if (_phase == Phase.Done || now < DueAt)
            return;
        if (now >= _endAt)
        {
            End();
            return;
        }

        if (_phase == Phase.Pause)
        {
            if (_afterPause == Phase.Ask)
                Ask(now);
            else
                Prepare(now);
            return;
        }

        Evaluate(now, last: true);
    }

    /// <summary>The caller does not wait any more.</summary>
    public void Cancel()
    {
        if (_phase != Phase.Done)
            End();
    }

    private void Take(Outgoing asked, SeedReply? reply, string? error)
    {
        string who = asked.Address.ToString();
        string? why = reply?.Kind switch
        {
            null => error ?? "no answer",
            SeedReplyKind.State or SeedReplyKind.Promised or SeedReplyKind.Accepted => null,
            SeedReplyKind.Refused => "is busy with another change",
            SeedReplyKind.Cannot => $"cannot write its file ({reply.Reason})",
            SeedReplyKind.WrongSeed => "is a new seed there, without the former one's file",
            SeedReplyKind.OtherCluster => $"belongs to cluster '{reply.Reason}', not to '{_memory.ClusterId}'",
            _ => reply.Reason.Length != 0 ? reply.Reason : "its answer cannot be read",
        };
        if (why is null && reply!.Kind == SeedReplyKind.State && reply.Accepted.IsNone)
            why = "is a new seed that has not been taken in";
        if (why is not null)
            _missing[who] = why;
        if (reply is null || reply.Kind is SeedReplyKind.Cannot or SeedReplyKind.WrongSeed or SeedReplyKind.OtherCluster or SeedReplyKind.Unreadable
            or SeedReplyKind.AliveTaken)
            return;

        RegisterValue? value = reply.ValueIsKnown && reply.Accepted == _known ? _knownValue : reply.Value;
        if (value is not null)
        {
            if (_memory.ClusterId.Length != 0 && value.ClusterId != _memory.ClusterId)
            {
                _missing[who] = $"belongs to cluster '{value.ClusterId}', not to '{_memory.ClusterId}'";
                return;
            }

            _memory.Saw(reply.Accepted, value);
        }

        foreach ((string key, long ticks) in reply.Alive)
        {
            var time = new DateTimeOffset(ticks, TimeSpan.Zero);
            if (!_alive.TryGetValue(key, out DateTimeOffset known) || known < time)
                _alive[key] = time;
        }

        bool yes = reply.Kind switch
        {
            SeedReplyKind.Promised => reply.Promised == _ballot,
            SeedReplyKind.Accepted => reply.Accepted == _ballot,
            SeedReplyKind.State => _phase == Phase.Ask,
            _ => false,
        };
        // A seed counts as prepared for the next ballot only if it says so: the message may have come twice, and another proposer's in between.
        Ballot held = _phase == Phase.Accept ? (yes && reply.Promised == _next ? _next : Ballot.None) : reply.Accepted;
        _votes.Add(new SeedId(asked.Address, reply.Identity), yes, held, _phase == Phase.Accept ? null : value);
        if (value is not null)
            AskMembers(value);
    }

    /// <summary>Members of a set that was not known when the round began.</summary>
    private void AskMembers(RegisterValue value)
    {
        if (_phase is not (Phase.Ask or Phase.Prepare))
            return;
        foreach (SeedId seed in value.Members)
        {
            if (_phase == Phase.Ask)
                Send(seed.Address, Guid.Empty, ReadRequest());
            else
                Send(seed.Address, seed.Identity, PrepareRequest(seed.Identity));
        }
    }

    private void Send(SeedAddress address, Guid target, SeedRequest request)
    {
        if (!_asked.Add((address, target)))
            return;
        _outstanding++;
        _silent.Add(address);
        _outgoing.Add(new Outgoing(_round, address, request));
    }

    private void BeginRound(Phase phase, long now)
    {
        _phase = phase;
        _round++;
        _outstanding = 0;
        _inGrace = false;
        _votes.Clear();
        _asked.Clear();
        _silent.Clear();
        _missing.Clear();
        DueAt = Math.Min(now + _times.Round, _endAt);
        _known = _memory.HintBallot;
        _knownValue = _memory.Hint;
    }

    private SeedRequest ReadRequest() => new() { Kind = SeedRequestKind.Read, ClusterId = _memory.ClusterId, Known = _known };

    private SeedRequest PrepareRequest(Guid target) =>
        new() { Kind = SeedRequestKind.Prepare, Target = target, ClusterId = _memory.ClusterId, Ballot = _ballot, Known = _known };

    private void Ask(long now)
    {
        BeginRound(Phase.Ask, now);
        _asks++;
        if (_memory.Hint is { } hint)
            AskMembers(hint);
        if (_memory.Hint is null || _widened)
        {
            foreach (SeedAddress address in _memory.Given)
                Send(address, Guid.Empty, ReadRequest());
        }

        if (_outstanding == 0)
            Finish(new RegisterOutcome(OutcomeKind.Unavailable, null, "no seed is known"));
    }

    private void Prepare(long now)
    {
        BeginRound(Phase.Prepare, now);
        _memory.Lease = null;
        _ballot = _memory.NextBallot();
        AskMembers(_memory.Hint!);
    }

    private void Accept(Ballot ballot, RegisterValue value, long now)
    {
        BeginRound(Phase.Accept, now);
        _ballot = ballot;
        _next = _memory.NextBallot();
        _proposed = value;
        if (value.Recent[0] == _write)
            _sent = true;
        foreach (SeedId seed in value.Members.Union(_base!.Members))
        {
            Send(seed.Address, seed.Identity, new SeedRequest
            {
                Kind = SeedRequestKind.Accept, Target = seed.Identity, ClusterId = value.ClusterId, Ballot = ballot, Next = _next, Value = value,
            });
        }
    }

    private void Pause(Phase then, long now)
    {
        _phase = Phase.Pause;
        _afterPause = then;
        long longest = _times.Backoff << Math.Min(_pauses++, 5);
        DueAt = Math.Min(now + 1 + _memory.Random.NextInt64(longest), _endAt);
    }

    private void StartGrace(long now)
    {
        if (_inGrace)
            return;
        _inGrace = true;
        DueAt = Math.Min(DueAt, now + _times.Grace);
    }

    private void End()
    {
        if (_settled is not null)
        {
            Finish(new RegisterOutcome(OutcomeKind.Done, _settled));
            return;
        }

        string what = _intent.Kind == IntentKind.Read ? "cannot be read" : "cannot be changed";
        Finish(new RegisterOutcome(OutcomeKind.Unavailable, null, $"the membership {what}: no majority of the seeds agrees", _sent));
    }

    private void Finish(RegisterOutcome outcome)
    {
        _phase = Phase.Done;
        _outgoing.Clear();
        foreach (SeedAddress address in _silent)
            _missing.TryAdd(address.ToString(), "no answer");
        Outcome = outcome with { Missing = [.. _missing.Select(static pair => $"{pair.Key}: {pair.Value}").Order()], Alive = _alive };
    }
}
