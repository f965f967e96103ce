namespace OrleansCache.Membership;

/// <summary>What follows from the answers of a round.</summary>
internal sealed partial class RegisterRun
{
    /// <param name="last">No further answers come, or they are not waited for.</param>
    private void Evaluate(long now, bool last)
    {
        switch (_phase)
        {
            case Phase.Ask:
                EvaluateAsk(now, last);
                break;
            case Phase.Prepare:
                EvaluatePrepare(now, last);
                break;
            case Phase.Accept:
                EvaluateAccept(now, last);
                break;
        }
    }

    private void EvaluateAsk(long now, bool last)
    {
        List<(Ballot Ballot, RegisterValue Value)> values = _votes.Values();
        if (values.Count != 0 && _intent.Kind != IntentKind.Read)
        {
            // Where to prepare is known now; what to go on from, only then.
            Prepare(now);
            return;
        }

        if (values.Count != 0 && _faults.HasFlag(RegisterFaults.UnconfirmedRead))
        {
            Finish(new RegisterOutcome(OutcomeKind.Done, values[0].Value));
            return;
        }

        // A newer value that a minority holds does not matter: it was not decided when this one was read.
        foreach ((Ballot ballot, RegisterValue value) in values)
        {
            if (!_votes.IsDecided(ballot, Sets(value)))
                continue;
            if (!value.IsJoint || _settled is not null)
            {
                Finish(new RegisterOutcome(OutcomeKind.Done, value));
                return;
            }

            _settled = value;
            Prepare(now);
            return;
        }

        bool recoverable = values.Exists(value => _votes.IsQuorum(Sets(value.Value)));
        if (!last)
        {
            if (recoverable)
                StartGrace(now);
            return;
        }

        if (values.Count == 0 && _votes.Count != 0 && _memory.Hint is null)
        {
            Finish(new RegisterOutcome(OutcomeKind.Unavailable, null, "the seeds that answer belong to no cluster yet", NoCluster: true));
            return;
        }

        // Majorities that differ are a change on its way; only if they stay so has its proposer died.
        _widened |= !recoverable;
        if (recoverable && _asks >= AsksMax)
            Prepare(now);
        else
            Retry(Phase.Ask, now);
    }

    private void EvaluatePrepare(long now, bool last)
    {
        List<(Ballot Ballot, RegisterValue Value)> values = _votes.Values();
        for (int i = 0; i < values.Count; i++)
        {
            (Ballot ballot, RegisterValue value) = values[i];
            if (!_votes.IsQuorum(Sets(value)) || !_votes.IsNewestOfItsMembers(ballot, Sets(value)))
                continue;
            if (i != 0 && !last)
            {
                // A seed tells of a newer value whose members may still answer. If they do not, it was not decided, and is none of this one's members.
                StartGrace(now);
                return;
            }

            _base = value;
            Decide(_votes.IsDecided(ballot, Sets(value)), prepared: true, now, last);
            return;
        }

        if (last || (_memory.Hint is { } hint && _votes.IsRefused(Sets(hint))))
            RetryAfterRefusal(now);
    }

    private void EvaluateAccept(long now, bool last)
    {
        RegisterValue value = _proposed!;
        if (_votes.IsQuorum(Sets(value)))
        {
            _memory.Saw(_ballot, value);
            bool prepared = _votes.IsDecided(_next, Sets(value));
            _memory.Lease = prepared ? new Lease(_next, value) : null;
            _base = value;
            if (_intent.Kind == IntentKind.ChangeSeeds && value.Recent.Contains(_write))
                _settled = value;
            Decide(decided: true, prepared, now, last: true);
        }
        else if (last || _votes.IsRefused(Sets(value)))
        {
            RetryAfterRefusal(now);
        }
        else if (_votes.AnyRefused)
        {
            StartGrace(now);
        }
    }

    /// <summary>
    /// The step after <see cref="_base"/>, which is the newest value: nothing that is not derived from it can be decided any more in a ballot below ours.
    /// What is told to the caller must be decided, so a value that may not be is proposed again, as it is, first.
    /// </summary>
    /// <param name="prepared">A majority of each of its sets has promised <see cref="_ballot"/>, or <see cref="_next"/> after an acceptance.</param>
    private void Decide(bool decided, bool prepared, long now, bool last)
    {
        RegisterValue current = _base!;
        RegisterValue next;
        if (current.IsJoint)
        {
            next = decided || _faults.HasFlag(RegisterFaults.FinishUndecided) ? current.FinishChange(_memory.NextWrite()) : current;
        }
        else if (_intent.Kind == IntentKind.Read || current.Recent.Contains(_write))
        {
            if (decided)
            {
                Finish(new RegisterOutcome(OutcomeKind.Done, current));
                return;
            }

            next = current;
        }
        else if (current.Version != _intent.ExpectedVersion)
        {
            if (_sent && current.Version - _intent.ExpectedVersion > current.Recent.Length)
            {
                Finish(new RegisterOutcome(OutcomeKind.Unavailable, null, "others have changed the membership too often meanwhile", Unknown: true));
                return;
            }

            if (decided)
            {
                Finish(new RegisterOutcome(OutcomeKind.Conflict, current));
                return;
            }

            next = current;
        }
        else if (_intent.Kind == IntentKind.Write)
        {
            next = current.WithContent(_intent.Content, _write);
        }
        else if (!decided)
        {
            next = current;
        }
        else if (Change(current, prepared, now, last) is { } change)
        {
            next = change;
        }
        else
        {
            return;
        }

        if (!prepared)
        {
            Prepare(now);
            return;
        }

        _memory.Lease = null;
        Accept(_phase == Phase.Accept ? _next : _ballot, next, now);
    }

    /// <summary>The value that begins our change of the set; null: not now, and what is done instead has been arranged.</summary>
    private RegisterValue? Change(RegisterValue current, bool prepared, long now, bool last)
    {
        (SeedSet? seeds, string reason) = RegisterIntent.Apply(_intent.Change, current.Seeds);
        if (seeds is null)
        {
            Finish(new RegisterOutcome(OutcomeKind.Invalid, current, reason));
            return null;
        }

        if (_faults.HasFlag(RegisterFaults.TwoChangesAtOnce))
            return new RegisterValue(current.ClusterId, current.Version + 1, seeds, null, current.Content, [_write]);
        if (_phase != Phase.Prepare || !prepared)
        {
            Prepare(now);
            return null;
        }

        // A set without a majority that answers would block the register once one seed has taken it: ask before.
        if (_votes.IsMajority(seeds))
            return current.BeginChange(seeds, _write);
        int before = _outstanding;
        foreach (SeedId seed in seeds)
            Send(seed.Address, seed.Identity, PrepareRequest(seed.Identity));
        if (_outstanding != before)
        {
            _inGrace = false;
            DueAt = Math.Min(now + _times.Round, _endAt);
        }
        else if (last)
        {
            RetryAfterRefusal(now);
        }

        return null;
    }

    private void RetryAfterRefusal(long now)
    {
        _widened = true;
        if (_votes.AnyRefused && !_refused)
        {
            // Another proposer has been there since we last were; that does not mean that it is there now. The refusals have told its ballot.
            _refused = true;
            Prepare(now);
            return;
        }

        Retry(_votes.AnyRefused ? Phase.Prepare : Phase.Ask, now);
    }

    private void Retry(Phase phase, long now)
    {
        if (_settled is not null && _intent.Kind == IntentKind.Read)
            End();
        else
            Pause(phase, now);
    }

    private ReadOnlySpan<SeedSet> Sets(RegisterValue value) =>
        _faults.HasFlag(RegisterFaults.StaleMajority) && _memory.FirstSet is { } first ? new SeedSet[] { first } : value.Sets;
}
