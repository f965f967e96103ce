namespace OrleansCache.Ownership;

// Copies: those that this silo keeps elsewhere of what it serves, and those that it holds of what others serve.
public sealed partial class SiloAgent
{
    private HashSet<SiloId> _active = [];

    /// <summary>This silo knows the membership of this version now; all others are gone for good, or not there yet.</summary>
    public void OnMembership(long version, IReadOnlyCollection<SiloId> active)
    {
        if (version <= _membershipVersion)
            return;
        _membershipVersion = version;
        SiloId[] gone = [.. _active.Except(active)];
        _active = [.. active];
        foreach (SiloId silo in gone)
            ForgetCopiesAt(silo);
        Nudge();
    }

    /// <summary>
    /// Whether that silo's replication may be listened to: it is in the membership that this silo knows. Once this silo has reported a newer membership, what a
    /// silo that is gone has sent changes nothing any more.
    /// </summary>
    public bool IsMember(SiloId silo) => _active.Contains(silo);

    /// <summary>An owner begins to send a copy of this number. False if it is not wanted here.</summary>
    public bool HandleBegin(SiloId source, int partition, long copy)
    {
        if ((uint)partition >= (uint)_held.Length || !IsMember(source) || _table.HashSeed.IsNone || HashSeedDiffers
            || copy <= _droppedEpochs[partition] || copy <= _table.EpochOf(new PartitionId(partition)))
            return false;
        Held? held = _held[partition];
        if (held is { Phase: PartitionPhase.Copying or PartitionPhase.Replica } && held.Epoch == copy)
            return held.Phase == PartitionPhase.Copying;

        // A complete copy, and what is served, goes only by the coordinator's word.
        bool mayReplace = held is null or { Phase: PartitionPhase.Kept } || (held.Phase == PartitionPhase.Copying && held.Epoch < copy);
        if (!mayReplace)
            return false;
        if (held is not null)
            Discard(partition);
        _held[partition] = new Held { Phase = PartitionPhase.Copying, Epoch = copy };
        environment.BeginCopy(partition, copy);
        return true;
    }

    /// <summary>The copy has everything that its owner had when it said so, and gets all that follows before it is acknowledged.</summary>
    public void HandleComplete(SiloId source, int partition, long copy)
    {
        if (!IsMember(source) || _held[partition] is not { Phase: PartitionPhase.Copying } held || held.Epoch != copy)
            return;
        held.Phase = PartitionPhase.Replica;
        Nudge();
    }

    /// <summary>
    /// The silo that serves the partition from now on keeps this replica, under another number unless it counts already. False if it is not equal to what is
    /// served there.
    /// </summary>
    public bool HandleRetain(SiloId source, int partition, long copy, long newCopy, long position)
    {
        if ((uint)partition >= (uint)_held.Length || !IsMember(source) || _held[partition] is not { Phase: PartitionPhase.Replica } held)
            return false;
        if (held.Epoch == newCopy)
            return copy != newCopy || environment.PositionOf(partition) == position;
        if (held.Epoch != copy || newCopy <= copy || !environment.Rename(partition, newCopy, position))
            return false;
        held.Epoch = newCopy;
        Nudge();
        return true;
    }

    /// <summary>From here on nothing is acknowledged that this copy does not have.</summary>
    public void OnCopySynced(int partition, long copy)
    {
        if (FindCopy(partition, copy) is not { State: CopyState.Copying } found)
            return;
        found.State = CopyState.Synced;
        Nudge();
    }

    /// <summary>The silo that should hold the copy does not.</summary>
    public void OnCopyFailed(int partition, long copy)
    {
        if (FindCopy(partition, copy) is not { State: not CopyState.Failed } found)
            return;
        found.State = CopyState.Failed;
        found.IsAwaited = false;
        if (_held[partition] is { Phase: PartitionPhase.Opening } held)
            ActivateIfReady(partition, held);
        Nudge();
    }

    /// <summary>The other replica is kept under its new number.</summary>
    public void OnRetained(int partition, long copy)
    {
        if (FindCopy(partition, copy) is not { IsAwaited: true } found)
            return;
        found.IsAwaited = false;
        if (_held[partition] is not { Phase: PartitionPhase.Opening } held)
            return;
        ActivateIfReady(partition, held);
        if (held.Phase == PartitionPhase.Active)
            Nudge();
    }

    /// <summary>All complete copies of this sealed partition have everything: nobody waits for an acknowledgement any more.</summary>
    public void OnDrained(int partition)
    {
        // Asked once more: a flush may have come since.
        if (_held[partition] is not { Phase: PartitionPhase.Sealed, YieldsTo: not 0 } held || !environment.AwaitDrain(partition))
            return;
        HandOver(partition, held);
        Nudge();
    }

    private void HandOver(int partition, Held held)
    {
        EndCopies(partition);
        held.Phase = PartitionPhase.Replica;
        held.Epoch = held.YieldsTo;
        held.YieldsTo = 0;
        environment.BecomeReplica(partition, held.Epoch);
    }

    private void ExecuteOnCopies(PartitionCommand command, Held? held)
    {
        int partition = command.Partition;
        switch (command.Kind)
        {
            case CommandKind.Attach when held?.Phase == PartitionPhase.Active && held.Epoch == command.Epoch
                && command.Target != Self && IsMember(command.Target) && FindCopy(partition, command.Copy) is null:
                held.Copies.Add(new Copy(command.Copy, command.Target, CopyState.Copying));
                environment.Attach(partition, command.Copy, command.Target);
                break;

            case CommandKind.Detach when FindCopy(partition, command.Copy) is { } gone:
                Forget(partition, held!, gone);
                break;

            case CommandKind.Rest or CommandKind.Proceed when FindCopy(partition, command.Copy) is { State: CopyState.Copying } copied
                && copied.IsResting != (command.Kind == CommandKind.Rest):
                copied.IsResting = !copied.IsResting;
                environment.Rest(partition, copied.Number, copied.IsResting);
                break;

            case CommandKind.Yield when held?.Phase == PartitionPhase.Active && held.Epoch == command.Epoch && command.Copy > held.Epoch:
                held.Phase = PartitionPhase.Sealed;
                held.YieldsTo = command.Copy;
                environment.Seal(partition);
                if (environment.AwaitDrain(partition))
                    HandOver(partition, held);
                break;

            case CommandKind.Promote when held?.Phase == PartitionPhase.Replica && held.Epoch == command.Epoch && command.MoveEpoch > command.Epoch:
                held.Phase = PartitionPhase.Opening;
                held.Epoch = command.MoveEpoch;
                held.KeepItems = true;
                (held.HasCaughtUp, held.IsRestored, held.IsAsked) = (false, false, false);
                environment.Fence(partition, held.Epoch);
                break;

            // Beside the promotion, before the flushes that the replicas have not gone through: later they would not be equal. One whose number is above the
            // epoch already, because its silo has yielded under it, counts from the beginning.
            case CommandKind.Retain when held is { Phase: PartitionPhase.Opening, HasCaughtUp: false } && held.Epoch == command.Epoch
                && IsMember(command.Target) && FindCopy(partition, command.MoveEpoch) is null:
                held.Copies.Add(new Copy(command.MoveEpoch, command.Target, CopyState.Synced) { IsAwaited = command.Copy != command.MoveEpoch });
                environment.Retain(partition, command.Copy, command.MoveEpoch, command.Target);
                break;
        }
    }

    /// <summary>After all commands of a request.</summary>
    private void ActivatePromoted(IReadOnlyList<PartitionCommand> commands)
    {
        foreach (PartitionCommand command in commands)
        {
            if (command.Kind == CommandKind.Promote && (uint)command.Partition < (uint)_held.Length
                && _held[command.Partition] is { Phase: PartitionPhase.Opening } held && held.Epoch == command.MoveEpoch)
            {
                // In the log, so that the replicas that stay go through them as well, and not once more when they are promoted.
                if (!held.HasCaughtUp)
                    CatchUpWithFlushes(command.Partition);
                held.HasCaughtUp = true;
                ActivateIfReady(command.Partition, held);
            }
        }
    }

    /// <summary>
    /// What was promoted is not served before as many of the replicas that it keeps as the cluster wants have their new numbers: until then they would count
    /// for nothing if this silo were lost. After a move there is one more.
    /// </summary>
    private void ActivateIfReady(int partition, Held held)
    {
        int kept = held.Copies.Count(static copy => copy.State != CopyState.Failed);
        int awaited = held.Copies.Count(static copy => copy.IsAwaited);
        if (kept - awaited >= Math.Min(kept, Replicas))
            Open(partition, held);
    }

    private void ForgetCopiesAt(SiloId silo)
    {
        for (int partition = 0; partition < _held.Length; partition++)
        {
            if (_held[partition] is not { } held)
                continue;
            for (int i = held.Copies.Count - 1; i >= 0; i--)
            {
                if (held.Copies[i].Target == silo)
                    Forget(partition, held, held.Copies[i]);
            }
        }
    }

    private void Forget(int partition, Held held, Copy copy)
    {
        held.Copies.Remove(copy);
        environment.Detach(partition, copy.Number);
        if (held.Phase == PartitionPhase.Opening)
            ActivateIfReady(partition, held);
    }

    /// <summary>Nobody here is their owner any more. What becomes of them is the coordinator's business.</summary>
    private void EndCopies(int partition)
    {
        if (_held[partition] is not { } held)
            return;
        foreach (Copy copy in held.Copies)
            environment.Detach(partition, copy.Number);
        held.Copies.Clear();
    }

    private Copy? FindCopy(int partition, long copy) =>
        (uint)partition < (uint)_held.Length ? _held[partition]?.Copies.Find(candidate => candidate.Number == copy) : null;

    private List<CopyReport> ReportCopies()
    {
        List<CopyReport> copies = [];
        for (int partition = 0; partition < _held.Length; partition++)
        {
            foreach (Copy copy in _held[partition]?.Copies ?? [])
            {
                (long done, long total) = copy.State == CopyState.Copying ? environment.ProgressOf(partition, copy.Number) : default;
                copies.Add(new CopyReport(partition, copy.Number, copy.Target, copy.State, copy.IsResting && copy.State == CopyState.Copying, done, total));
            }
        }

        return copies;
    }

    private sealed class Copy(long number, SiloId target, CopyState state)
    {
        public long Number => number;

        public SiloId Target => target;

        public CopyState State { get; set; } = state;

        /// <summary>While it is being made: no items are read for it.</summary>
        public bool IsResting { get; set; }

        /// <summary>It has not got its new number yet.</summary>
        public bool IsAwaited { get; set; }
    }
}
