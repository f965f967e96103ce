namespace OrleansCache.Ownership;

// Copies: who keeps them, who becomes the owner from them, and how partitions move by them.
public sealed partial class Coordinator
{
    /// <summary>Partitions that have been handed over and are not served yet, and by whom they were.</summary>
    private readonly Dictionary<int, SiloId> _yielded = [];

    /// <summary>The newest membership that lacks a silo of a former one.</summary>
    private long _lossVersion;

    /// <summary>When a silo was lost last, or when this coordinator took over from another one.</summary>
    private long _lostMilliseconds = -SilentMillisecondsMax;

    /// <summary>For tests of the tests: an election relies on what silos said before the owner was lost.</summary>
    internal bool ElectsByOldReports { get; init; }

    /// <summary>For tests of the tests: a replica that a new owner has taken over counts before it has its new number.</summary>
    internal bool CountsTooEarly { get; init; }

    private void Decide(long now)
    {
        bool changed = false;

        // A silo that the membership showed only after the take-over may still hold something from the term before.
        foreach ((SiloId silo, Member member) in _members)
        {
            if (!member.Adopted && member.Reply is not null)
                changed |= Adopt(silo, member);
        }

        _maySteer = MayPlan(now);
        for (int partition = 0; partition < _owners.Length; partition++)
            changed |= Follow(partition, now);
        changed |= AgreeOnWireVersion();
        if (_maySteer || (_homeless.Count > 0 && MayBeginEmpty(now)))
            changed |= Plan(now);
        if (changed)
            Publish();
    }

    /// <summary>Takes notice of what the silos report about a partition. Returns whether the table has changed.</summary>
    private bool Follow(int partition, long now)
    {
        if (_promotions.TryGetValue(partition, out Promotion? promotion))
            return FollowPromotion(partition, promotion);
        if (_elections.ContainsKey(partition))
        {
            Elect(partition);
            return false;
        }

        SiloId owner = _owners[partition];
        if (owner.IsNone)
        {
            if (!_homeless.Contains(partition))
                BeginElection(partition);
            return false;
        }

        if (!_members.TryGetValue(owner, out Member? member))
        {
            EndOwner(partition, now);
            return true;
        }

        if (member.Reply is not { } reply)
            return false;
        PartitionReport held = Find(reply, partition);
        if (held.Phase == PartitionPhase.Active && held.Epoch == _epochs[partition])
        {
            _confirmed[partition] = held.Epoch;
            FollowCopies(partition, reply);
            if (_moves.TryGetValue(partition, out Move? move))
                FollowMove(partition, move, reply, now);
        }
        else if (held.Phase == PartitionPhase.Sealed && held.Epoch == _epochs[partition])
        {
            // It waits for its copies, and must not wait for one that is gone.
            FollowCopies(partition, reply);
        }
        else if (held.Phase == PartitionPhase.Replica && held.Epoch > _epochs[partition])
        {
            // It has yielded. Nobody serves the partition for a moment, and nothing is lost: the table does not show it.
            _owners[partition] = default;
            _yielded[partition] = owner;
            if (!TryPromoteTarget(partition, owner, reply, held))
                BeginElection(partition);
        }
        else if (held.Phase == PartitionPhase.None && _confirmed[partition] == _epochs[partition])
        {
            // It was served and is no more, though the silo lives.
            EndOwner(partition, now);
            return true;
        }

        return false;
    }

    private void EndOwner(int partition, long now)
    {
        _owners[partition] = default;
        if (_moves.ContainsKey(partition))
            Fail(partition, now);
        BeginElection(partition);
    }

    // ---- copies ----

    private void FollowCopies(int partition, SyncReply owner)
    {
        List<Copy> copies = _copies[partition];
        for (int i = copies.Count - 1; i >= 0; i--)
        {
            Copy copy = copies[i];
            if (!_members.TryGetValue(copy.Target, out Member? target))
            {
                copies.RemoveAt(i);
                continue;
            }

            CopyReport report = FindCopy(owner, partition, copy.Number);
            CopyState state = report.State;
            bool isUnknown = state == CopyState.None && (copy.AttachSequence == 0 || owner.Sequence >= copy.AttachSequence);
            if (state != CopyState.None)
                copy.State = state;
            if (state == CopyState.Copying && owner.Sequence > copy.MeasuredSequence)
                copy.Measure(report, owner.Sequence, _members[owner.Silo].AnsweredMilliseconds);
            copy.IsUnwanted |= isUnknown || copy.State == CopyState.Failed;

            // What the owner takes for complete, and its holder has not got, or not completely: nobody would notice while nothing is written.
            if (state == CopyState.Synced && copy.SyncedSequence == 0)
                copy.SyncedSequence = _sequence;
            if (copy.SyncedSequence != 0 && target.Reply is { } later && later.Sequence > copy.SyncedSequence)
            {
                PartitionReport kept = Find(later, partition);
                copy.IsUnwanted |= kept.Phase != PartitionPhase.Replica || !copy.IsNumbered(kept.Epoch);
            }

            // Only when it is gone where it was, and cannot begin there any more, the owner may acknowledge without it.
            if (copy.IsUnwanted && copy.DropSequence != 0 && target.Reply is { } reply && reply.Sequence >= copy.DropSequence
                && Find(reply, partition).Phase is not (PartitionPhase.Copying or PartitionPhase.Replica))
                copies.RemoveAt(i);
        }
    }

    /// <summary>
    /// Whether the copy would be promoted if its owner were lost now. What a new owner has taken over from a former one is complete from the beginning, and
    /// counts for nothing before its holder has said that it has the new number.
    /// </summary>
    private bool Counts(int partition, Copy copy)
    {
        if (copy.State != CopyState.Synced || copy.IsUnwanted || !_members.TryGetValue(copy.Target, out Member? holder))
            return false;
        PartitionReport held = Find(holder.Reply, partition);
        return CountsTooEarly || (held.Phase == PartitionPhase.Replica && held.Epoch == copy.Number);
    }

    private static CopyReport FindCopy(SyncReply owner, int partition, long number)
    {
        // In ascending order of the partition.
        IReadOnlyList<CopyReport> copies = owner.Copies;
        int low = 0;
        for (int high = copies.Count; low < high;)
        {
            int middle = (low + high) >>> 1;
            if (copies[middle].Partition < partition)
                low = middle + 1;
            else
                high = middle;
        }

        for (; low < copies.Count && copies[low].Partition == partition; low++)
        {
            if (copies[low].Copy == number)
                return copies[low];
        }

        return default;
    }

    private Copy Attach(int partition, SiloId target)
    {
        Copy copy = new(NextEpoch(partition), target) { AttachSequence = long.MaxValue, State = CopyState.Copying };
        _copies[partition].Add(copy);
        return copy;
    }

    /// <summary>Counts the copies that are being made, by their sources and targets. Those that rest do not count.</summary>
    private CopiesUnderWay CountCopiesUnderWay()
    {
        CopiesUnderWay counted = new();
        for (int partition = 0; partition < _copies.Length; partition++)
        {
            foreach (Copy copy in _copies[partition])
            {
                if (copy.State == CopyState.Copying && !copy.IsUnwanted && !IsResting(partition, copy))
                    counted.Add(_owners[partition], copy.Target);
            }
        }

        return counted;
    }

    // ---- moves ----

    private void FollowMove(int partition, Move move, SyncReply owner, long now)
    {
        if (!_members.TryGetValue(move.Target, out Member? target) || !IsCandidate(target))
        {
            Fail(partition, now);
            return;
        }

        Copy? copy = _copies[partition].Find(candidate => candidate.Target == move.Target);
        if (copy is null)
        {
            if (_maySteer && !IsResting(move) && CountCopiesUnderWay().MayAdd(owner.Silo, move.Target))
                Attach(partition, move.Target);
        }
        else if (copy.IsUnwanted)
            Fail(partition, now);
        else if (_maySteer && move.YieldCopy == 0 && copy.State == CopyState.Synced && !IsResting(move))
        {
            PartitionReport received = Find(target.Reply, partition);
            if (received.Phase == PartitionPhase.Replica && received.Epoch == copy.Number)
            {
                // In this order: what the source becomes counts beside the target from the beginning, and need not be given another number while clients wait.
                move.Epoch = NextEpoch(partition);
                move.YieldCopy = NextEpoch(partition);
            }
        }
    }

    /// <summary>The move is off. Source and target are put right by <see cref="CommandsFor"/>, because no move explains any more what they hold.</summary>
    private void Fail(int partition, long now)
    {
        SiloId target = _moves[partition].Target;
        _moves.Remove(partition);
        NoteFailure(partition, now);
        MovesFailed++;
        environment.OnEvent(CoordinatorEvent.MoveFailed, partition, target);
    }

    private void NoteFailure(int partition, long now)
    {
        ref Failures failures = ref _failures[partition];
        failures.Count = Math.Min(failures.Count + 1, 16);
        failures.NotBeforeMilliseconds = now + Math.Min((long)RetryMilliseconds << (failures.Count - 1), RetryMillisecondsMax);
    }

    /// <summary>
    /// The owner has yielded because it was told to: then everything that is a complete copy has all that the owner had, nobody need be asked again, and
    /// clients wait one round less. False wherever anything else is held, or the owner may know of a loss that is not known here: it has not waited for that
    /// copy then.
    /// </summary>
    private bool TryPromoteTarget(int partition, SiloId owner, SyncReply reply, PartitionReport yielded)
    {
        if (!_moves.TryGetValue(partition, out Move? move) || move.YieldCopy != yielded.Epoch
            || reply.MembershipVersion > _membershipVersion || move.Epoch <= _epochs[partition])
            return false;
        Promotion? promotion = null;
        List<(SiloId Silo, long Copy)> retained = [(owner, yielded.Epoch)];
        foreach ((SiloId silo, Member member) in _members)
        {
            if (silo == owner)
                continue;
            Copy? copy = _copies[partition].Find(copy => copy.Target == silo);
            PartitionReport held = Find(member.Reply, partition);
            if (copy is null && held.Phase == PartitionPhase.None && member.Reply is not null)
                continue;
            if (copy is not { State: CopyState.Synced, IsUnwanted: false } || held.Phase != PartitionPhase.Replica || held.Epoch != copy.Number)
                return false;
            if (silo == move.Target && copy.Number < move.Epoch)
                promotion = new Promotion(silo, copy.Number, move.Epoch);
            else
                retained.Add((silo, copy.Number));
        }

        if (promotion is null)
            return false;
        foreach ((SiloId silo, long copy) in retained)
            promotion.Retained.Add((silo, copy, copy > move.Epoch ? copy : NextEpoch(partition)));
        _promotions.Add(partition, promotion);
        return true;
    }

    // ---- a partition without an owner ----

    /// <summary>
    /// Nobody serves the partition. What the silos that may hold a copy have reported before is not enough: the former owner may have sent something since. So
    /// they are asked once more, and answer when they know that it is gone.
    /// </summary>
    private void BeginElection(int partition)
    {
        // Whoever has been seen to serve it has said who has copies.
        bool isKnown = _confirmed[partition] == _epochs[partition] && _epochs[partition] != 0;
        HashSet<SiloId>? holders = isKnown ? [.. _copies[partition].Select(static copy => copy.Target)] : null;
        foreach ((SiloId silo, Member member) in _members)
        {
            if (Find(member.Reply, partition).Phase != PartitionPhase.None)
                holders?.Add(silo);
            member.Nudged = true;
        }

        _elections[partition] = new Election { SinceSequence = _sequence, LossVersion = _lossVersion, Holders = holders };
        Elect(partition);
    }

    private void Elect(int partition)
    {
        Election election = _elections[partition];
        List<(SiloId Silo, Member Member, PartitionReport Held)> replicas = [];
        election.Losers.Clear();
        foreach ((SiloId silo, Member member) in _members)
        {
            if (election.Holders?.Contains(silo) == false)
                continue;
            if (member.Reply is not { } reply)
                return;
            bool isFresh = reply.Sequence > election.SinceSequence && reply.MembershipVersion >= election.LossVersion;
            if (!isFresh && !ElectsByOldReports)
                return;
            PartitionReport held = Find(reply, partition);
            if (held.Phase == PartitionPhase.Replica && held.Epoch > _epochs[partition] && IsUsable(member))
                replicas.Add((silo, member, held));
            else if (held.Phase is PartitionPhase.Replica or PartitionPhase.Copying)
                election.Losers.Add(silo);
        }

        if (replicas.Count == 0)
        {
            // It begins empty; what others still hold of it is older.
            _elections.Remove(partition);
            _yielded.Remove(partition);
            _copies[partition].Clear();
            _homeless.Add(partition);
            return;
        }

        SiloId preferred = _moves.TryGetValue(partition, out Move? move) ? move.Target : default;
        (SiloId winner, _, PartitionReport best) = replicas
            .OrderByDescending(replica => replica.Held.Position)
            .ThenByDescending(replica => replica.Silo == preferred)
            .ThenBy(replica => replica.Member.Reply!.Draining)
            .ThenBy(replica => _owners.Count(owner => owner == replica.Silo))
            .ThenBy(replica => replica.Silo)
            .First();
        foreach ((SiloId silo, _, PartitionReport held) in replicas)
        {
            if (held.Position != best.Position)
                election.Losers.Add(silo);
        }

        // What is not equal must be gone before the winner acknowledges anything without it.
        if (election.Losers.Count > 0)
            return;
        Promotion promotion = new(winner, best.Epoch, NextEpoch(partition));
        foreach ((SiloId silo, _, PartitionReport held) in replicas)
        {
            if (silo != winner)
                promotion.Retained.Add((silo, held.Epoch, NextEpoch(partition)));
        }

        _elections.Remove(partition);
        _promotions.Add(partition, promotion);
    }

    private bool FollowPromotion(int partition, Promotion promotion)
    {
        if (!_members.TryGetValue(promotion.Winner, out Member? winner))
        {
            _promotions.Remove(partition);
            BeginElection(partition);
            return false;
        }

        PartitionReport held = Find(winner.Reply, partition);
        if (held.Phase is PartitionPhase.Active or PartitionPhase.Sealed && held.Epoch == promotion.Epoch)
        {
            _promotions.Remove(partition);
            _yielded.Remove(partition);
            _owners[partition] = promotion.Winner;
            _epochs[partition] = _confirmed[partition] = promotion.Epoch;
            _failures[partition] = default;
            _copies[partition].Clear();
            foreach ((SiloId silo, long former, long copy) in promotion.Retained)
                _copies[partition].Add(new Copy(copy, silo) { State = CopyState.Synced, FormerNumber = former });
            FollowCopies(partition, winner.Reply!);
            bool moved = _moves.Remove(partition, out Move? move) && move.Target == promotion.Winner;
            if (moved)
            {
                MovesCommitted++;
                _movedSince++;
            }

            environment.OnEvent(moved ? CoordinatorEvent.MoveCommitted : CoordinatorEvent.Promoted, partition, promotion.Winner);
            return true;
        }

        bool isOnItsWay = (held.Phase == PartitionPhase.Opening && held.Epoch == promotion.Epoch)
            || (held.Phase == PartitionPhase.Replica && held.Epoch == promotion.Copy);
        if (!isOnItsWay && promotion.Sequence != 0 && winner.Reply is { } reply && reply.Sequence >= promotion.Sequence)
        {
            // It has nothing, or something else, though it lives.
            _promotions.Remove(partition);
            BeginElection(partition);
        }

        return false;
    }

    // ---- what each silo is told ----

    /// <summary>What this silo must be told, given what it held when it answered last.</summary>
    private List<PartitionCommand> CommandsFor(SiloId silo, Member member)
    {
        List<PartitionCommand> commands = [];
        int next = 0;
        int nextCopy = 0;
        SyncReply reply = member.Reply!;
        IReadOnlyList<PartitionReport> reports = reply.Partitions;
        for (int partition = 0; partition < _owners.Length; partition++)
        {
            PartitionReport held = default;
            if (next < reports.Count && reports[next].Partition == partition)
                held = reports[next++];
            int firstCopy = nextCopy;
            while (nextCopy < reply.Copies.Count && reply.Copies[nextCopy].Partition == partition)
                nextCopy++;
            if (_promotions.TryGetValue(partition, out Promotion? promotion))
                AddForPromotion(commands, silo, partition, promotion, held);
            else if (_elections.TryGetValue(partition, out Election? election))
            {
                if (election.Losers.Contains(silo))
                    commands.Add(PartitionCommand.Drop(partition, held.Epoch));
            }
            else if (_owners[partition] == silo)
                AddForOwner(commands, silo, partition, held, reply, firstCopy, nextCopy);
            else if (_copies[partition].Find(copy => copy.IsUnwanted && copy.Target == silo) is { } unwanted)
            {
                if (unwanted.DropSequence == 0)
                    unwanted.DropSequence = _sequence + 1;
                commands.Add(PartitionCommand.Drop(partition, Math.Max(unwanted.Number, held.Epoch)));
            }
            else if (held.Phase != PartitionPhase.None && !IsWanted(partition, silo, held))
                commands.Add(PartitionCommand.Drop(partition, held.Epoch));
        }

        return commands;
    }

    private void AddForPromotion(List<PartitionCommand> commands, SiloId silo, int partition, Promotion promotion, PartitionReport held)
    {
        if (silo == promotion.Winner)
        {
            if (promotion.Sequence == 0)
                promotion.Sequence = _sequence + 1;
            commands.Add(PartitionCommand.Promote(partition, promotion.Copy, promotion.Epoch));
            foreach ((SiloId other, long copy, long newCopy) in promotion.Retained)
                commands.Add(PartitionCommand.Retain(partition, promotion.Epoch, copy, newCopy, other));
        }
        else if (held.Phase != PartitionPhase.None && !promotion.Retained.Exists(retained => retained.Silo == silo))
            commands.Add(PartitionCommand.Drop(partition, held.Epoch));
    }

    private void AddForOwner(
        List<PartitionCommand> commands, SiloId silo, int partition, PartitionReport held, SyncReply reply, int firstCopy, int endOfCopies)
    {
        _moves.TryGetValue(partition, out Move? move);
        if (held.Phase == PartitionPhase.Kept && held.Epoch != 0 && _restoring[partition] == new Restoring(held.Epoch, _epochs[partition]))
            commands.Add(PartitionCommand.Restore(partition, held.Epoch, _epochs[partition]));
        else if (held.Epoch != _epochs[partition] || held.Phase is not (PartitionPhase.Active or PartitionPhase.Sealed))
            commands.Add(PartitionCommand.Assign(partition, _epochs[partition]));
        else
        {
            for (int i = firstCopy; i < endOfCopies; i++)
            {
                CopyReport report = reply.Copies[i];
                if (_copies[partition].Find(copy => copy.Number == report.Copy) is not { } copy)
                    commands.Add(PartitionCommand.Detach(partition, held.Epoch, report.Copy));
                else if (report.State == CopyState.Copying && report.IsResting != IsResting(partition, copy))
                {
                    commands.Add(report.IsResting
                        ? PartitionCommand.Proceed(partition, held.Epoch, report.Copy) : PartitionCommand.Rest(partition, held.Epoch, report.Copy));
                }
            }

            if (held.Phase == PartitionPhase.Sealed)
            {
                if (move is null || move.YieldCopy != held.MoveEpoch)
                    commands.Add(PartitionCommand.Unseal(partition, held.Epoch));
                return;
            }

            foreach (Copy copy in _copies[partition])
            {
                if (copy.AttachSequence == 0 || reply.Sequence >= copy.AttachSequence || copy.Target == silo)
                    continue;
                if (copy.AttachSequence == long.MaxValue)
                    copy.AttachSequence = _sequence + 1;
                commands.Add(PartitionCommand.Attach(partition, held.Epoch, copy.Number, copy.Target));
            }

            if (move is { YieldCopy: not 0 })
                commands.Add(PartitionCommand.Yield(partition, held.Epoch, move.YieldCopy));
        }
    }

    /// <summary>Whether a silo that does not own the partition is to hold what it holds of it.</summary>
    private bool IsWanted(int partition, SiloId silo, PartitionReport held)
    {
        if (held.Phase is not (PartitionPhase.Copying or PartitionPhase.Replica))
            return false;
        if (_owners[partition].IsNone)
            return true;
        return _copies[partition].Exists(copy => copy.Target == silo && copy.IsNumbered(held.Epoch) && !copy.IsUnwanted);
    }

    /// <summary>A copy of a partition, as the coordinator wants it or as its owner has reported it.</summary>
    private sealed class Copy(long number, SiloId target)
    {
        public long Number => number;

        public SiloId Target => target;

        /// <summary>Of a replica that the owner has taken over: its number where it is until the owner has told it another. 0 for none.</summary>
        public long FormerNumber { get; init; }

        /// <summary>What its owner said last.</summary>
        public CopyState State { get; set; }

        /// <summary>The sequence in which the owner was first told; the maximum before, 0 if it knows by itself.</summary>
        public long AttachSequence { get; set; }

        /// <summary>The newest sequence when the owner was first heard to call it complete: only answers to later ones are newer than that. 0 before.</summary>
        public long SyncedSequence { get; set; }

        /// <summary>The sequence in which its holder was first told to drop it; 0 before. It may not have heard of the copy by then.</summary>
        public long DropSequence { get; set; }

        /// <summary>To be dropped where it is, and then to be detached.</summary>
        public bool IsUnwanted { get; set; }

        /// <summary>Bytes of items that it has taken, those that the partition has, and what it takes per second.</summary>
        public long BytesDone { get; private set; }

        public long BytesTotal { get; private set; }

        public long Rate { get; private set; }

        /// <summary>The sequence of the answer that told so; 0 before.</summary>
        public long MeasuredSequence { get; private set; }

        private long _measuredMilliseconds;

        /// <summary>Whether a replica of that number is this copy.</summary>
        public bool IsNumbered(long held) => held == Number || held == FormerNumber;

        public void Measure(CopyReport report, long sequence, long nowMilliseconds)
        {
            long milliseconds = nowMilliseconds - _measuredMilliseconds;
            if (MeasuredSequence != 0 && milliseconds == 0)
                return;
            if (MeasuredSequence != 0)
            {
                // Answers come irregularly: one that follows another at once weighs little.
                double rate = Math.Max(0, report.BytesDone - BytesDone) * 1000.0 / milliseconds;
                double weight = 1 - Math.Pow(1 - RateWeight, milliseconds / (double)SyncMilliseconds);
                Rate = Rate == 0 ? (long)rate : (long)((rate * weight) + (Rate * (1 - weight)));
            }

            (BytesDone, BytesTotal, MeasuredSequence, _measuredMilliseconds) = (report.BytesDone, report.BytesTotal, sequence, nowMilliseconds);
        }
    }

    /// <summary>How many copies leave and reach each silo, so that none is drowned.</summary>
    private sealed class CopiesUnderWay
    {
        private readonly Dictionary<SiloId, int> _leaving = [];
        private readonly Dictionary<SiloId, int> _arriving = [];

        public bool MayAdd(SiloId source, SiloId target) =>
            _leaving.GetValueOrDefault(source) < CopiesUnderWayMax && _arriving.GetValueOrDefault(target) < CopiesUnderWayMax;

        public void Add(SiloId source, SiloId target)
        {
            _leaving[source] = _leaving.GetValueOrDefault(source) + 1;
            _arriving[target] = _arriving.GetValueOrDefault(target) + 1;
        }
    }

    private sealed class Move(SiloId source, SiloId target)
    {
        public SiloId Source => source;

        public SiloId Target => target;

        /// <summary>The epoch in which the target will serve; 0 as long as it has not got everything.</summary>
        public long Epoch { get; set; }

        /// <summary>The number of the replica that the source becomes; 0 as long as the target has not got everything.</summary>
        public long YieldCopy { get; set; }
    }

    private sealed class Election
    {
        /// <summary>Only answers to later requests count.</summary>
        public long SinceSequence { get; init; }

        /// <summary>Only answers count that were given when the silo knew this membership.</summary>
        public long LossVersion { get; init; }

        /// <summary>Those who may have copies; null: anybody.</summary>
        public HashSet<SiloId>? Holders { get; init; }

        /// <summary>What these hold must go first.</summary>
        public List<SiloId> Losers { get; } = [];
    }

    private sealed class Promotion(SiloId winner, long copy, long epoch)
    {
        public SiloId Winner => winner;

        public long Copy => copy;

        public long Epoch => epoch;

        /// <summary>Other replicas that are equal: where, their numbers, and those that they get.</summary>
        public List<(SiloId Silo, long Copy, long NewCopy)> Retained { get; } = [];

        /// <summary>The sequence in which the winner was first told; 0 before.</summary>
        public long Sequence { get; set; }
    }
}
