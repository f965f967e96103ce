namespace OrleansCache.Ownership;

// Who should own what, and who should keep the copies.
public sealed partial class Coordinator
{
    /// <summary>Partitions that nobody has anything of: they begin empty.</summary>
    private readonly HashSet<int> _homeless = [];

    /// <summary>Copies and hand-overs are begun so long after those before at the soonest, and twice as long as the silos take to answer.</summary>
    public const int PaceMilliseconds = 20;
    public const int PaceMillisecondsMax = 250;

    /// <summary>Where more partitions than this are to move, nothing waits: a silo that stops must come to an end.</summary>
    public const int PacedPartitionsMax = 1024;

    /// <summary>
    /// A silo that joins gets nothing for a moment: until then it has met the others, and done for the first time what takes long then.
    /// </summary>
    public const int SettleMilliseconds = 300;

    private long _plannedMilliseconds = long.MinValue / 2;

    /// <summary>Whether copies and hand-overs may begin in this round.</summary>
    private bool _maySteer;

    /// <summary>See <see cref="PaceMilliseconds"/>; 0 for tests of decisions, which come at every answer then, and for newcomers at once.</summary>
    internal int Pace { get; init; } = PaceMilliseconds;

    /// <summary>
    /// What is begun here makes rounds of messages at all silos, beside which their clients' requests have to get through, and planning was most of a
    /// coordinator's work while partitions moved. So both wait for a moment, and for longer where everything is slow, unless a silo wants to leave; who waits
    /// for a hand-over that has begun does not.
    /// </summary>
    private bool MayPlan(long now)
    {
        long slowest = 0;
        bool isDraining = false;
        foreach (Member member in _members.Values)
        {
            slowest = Math.Max(slowest, member.AnswerMilliseconds);
            isDraining |= member.Reply?.Draining == true;
        }

        long pause = Pace == 0 || _partitionsToMove > PacedPartitionsMax ? 0 : isDraining ? Pace : Math.Clamp(2 * slowest, Pace, PaceMillisecondsMax);
        if (now < _plannedMilliseconds + pause)
        {
            environment.WakeAt(_plannedMilliseconds + pause);
            return false;
        }

        _plannedMilliseconds = now;
        return true;
    }

    /// <summary>The next round is at once.</summary>
    private void PlanSoon() => _plannedMilliseconds = long.MinValue / 2;

    private bool HasSettled(Member member, long now) =>
        Pace == 0 || member.Reply!.Partitions.Count > 0 || now - member.SinceMilliseconds >= SettleMilliseconds;

    /// <summary>
    /// Where there are to be replicas, a partition that nobody has is a rare loss of several silos at once. One of them may live, and what it acknowledges
    /// after the partition has begun anew would be lost without a word.
    /// </summary>
    private bool MayBeginEmpty(long now) => replicas == 0 || now - _lostMilliseconds >= SilentMillisecondsMax;

    /// <summary>Gives homeless partitions away, starts moves, and sees to the copies. Returns whether the table has changed.</summary>
    private bool Plan(long now)
    {
        List<SiloWeight> candidates = [];
        long nextSettles = long.MaxValue;
        foreach ((SiloId silo, Member member) in _members)
        {
            if (!IsCandidate(member) || !IsKnownToAll(member))
                continue;
            if (HasSettled(member, now))
                candidates.Add(new SiloWeight(silo, member.Reply!.MemoryBytes));
            else
                nextSettles = Math.Min(nextSettles, member.SinceMilliseconds + SettleMilliseconds);
        }

        if (nextSettles != long.MaxValue)
            environment.WakeAt(nextSettles);

        _candidates = [.. candidates.Select(static candidate => candidate.Silo)];
        if (candidates.Count == 0)
            return false;

        SiloId[] current = (SiloId[])_owners.Clone();
        foreach ((int partition, Promotion promotion) in _promotions)
            current[partition] = promotion.Winner;
        foreach ((int partition, Move move) in _moves)
            current[partition] = move.Target;
        SiloId[] plan = TablePlanner.Plan(current, candidates);
        bool changed = false;
        int toMove = 0;

        bool mayBeginEmpty = MayBeginEmpty(now);
        bool hasBegun = false;
        for (int partition = 0; partition < plan.Length; partition++)
        {
            toMove += _moves.ContainsKey(partition) || (IsServed(partition) && plan[partition] != _owners[partition]) ? 1 : 0;
            if (mayBeginEmpty && _homeless.Remove(partition))
            {
                _owners[partition] = plan[partition];
                _epochs[partition] = NextEpoch(partition);
                environment.OnEvent(CoordinatorEvent.Reassigned, partition, plan[partition]);
                changed = true;
            }
            else if (IsServed(partition) && !_moves.ContainsKey(partition) && plan[partition] != _owners[partition]
                && (MayBalance(partition, now) || IsDraining(_owners[partition]))
                && now >= _failures[partition].NotBeforeMilliseconds && MayMove(partition, plan[partition]))
            {
                _moves.Add(partition, new Move(_owners[partition], plan[partition]));
                environment.OnEvent(CoordinatorEvent.MoveStarted, partition, plan[partition]);
                hasBegun = true;
            }
        }

        // Its copy is attached in the next round, and nothing that a silo answers need come before.
        if (hasBegun && Pace != 0)
            environment.WakeAt(now + Pace);

        CountPartitionsToMove(toMove, now);
        PlanCopies(plan, candidates, now);
        return changed;
    }

    private bool IsServed(int partition) => !_owners[partition].IsNone && _confirmed[partition] == _epochs[partition]
        && !_elections.ContainsKey(partition) && !_promotions.ContainsKey(partition);

    private bool MayMove(int partition, SiloId target)
    {
        SiloId source = _owners[partition];
        int leaving = 0, arriving = 0;
        foreach (Move move in _moves.Values)
        {
            if (IsResting(move))
                continue;
            leaving += move.Source == source ? 1 : 0;
            arriving += move.Target == target ? 1 : 0;
        }

        return leaving < CopiesUnderWayMax && arriving < CopiesUnderWayMax;
    }

    /// <summary>
    /// Every served partition is to have so many complete copies, in other silos, and in other zones where there are any. Too few: one is attached where the
    /// fewest are. Too many, or one that stands badly: it goes when the others are complete.
    /// </summary>
    private void PlanCopies(SiloId[] owners, List<SiloWeight> candidates, long now)
    {
        Dictionary<SiloId, double> load = candidates.ToDictionary(static candidate => candidate.Silo, static _ => 0.0);
        Dictionary<SiloId, double> share = candidates.ToDictionary(static candidate => candidate.Silo, static candidate => 1.0 / Math.Max(1, candidate.Weight));
        for (int partition = 0; partition < _copies.Length; partition++)
        {
            foreach (Copy copy in _copies[partition])
            {
                if (!copy.IsUnwanted && load.ContainsKey(copy.Target) && owners[partition] != copy.Target)
                    load[copy.Target] += share[copy.Target];
            }
        }

        // What a silo must have at least to be relieved of a copy, unless zones ask for it: most of the time nobody has so much.
        double crowded = load.Min(silo => silo.Value + (2 * share[silo.Key]));
        bool hasZones = _members.Values.Any(static member => member.Reply?.Zone.Length > 0);
        CopiesUnderWay underWay = CountCopiesUnderWay();
        for (int partition = 0; partition < _copies.Length; partition++)
        {
            if (!IsServed(partition))
                continue;

            int wanted = CopiesWanted(partition);
            _moves.TryGetValue(partition, out Move? move);
            List<Copy> kept = KeptCopies(partition, move);
            if (kept.Count < wanted && move is not null && IsResting(move))
            {
                // Repair does not wait for the operator: what there is of the move becomes the replica, or makes room for it.
                _moves.Remove(partition);
                move = null;
                kept = KeptCopies(partition, null);
            }

            int complete = kept.Count(copy => Counts(partition, copy));
            bool mayImprove = kept.Count == wanted && wanted > 0 && (hasZones || kept.Exists(copy => load[copy.Target] - share[copy.Target] >= crowded))
                && MayBalance(partition, now) && now >= _failures[partition].NotBeforeMilliseconds;
            Copy? misplaced = mayImprove ? FindMisplaced(partition, kept, load, share) : null;
            if (kept.Count < wanted)
                AttachOne(partition, move, kept, load, share, underWay, now);
            else if (misplaced is not null)
                AttachOne(partition, move, Without(kept, misplaced), load, share, underWay, now);
            else if (complete > wanted)
                DropOne(partition, kept, load);

            // Those of silos that leave, and of moves that are off.
            foreach (Copy copy in _copies[partition])
            {
                if (!copy.IsUnwanted && !load.ContainsKey(copy.Target) && copy.Target != move?.Target && complete >= wanted)
                    copy.IsUnwanted = true;
            }
        }
    }

    /// <summary>Copies that count as replicas, or will.</summary>
    private List<Copy> KeptCopies(int partition, Move? move) =>
        [.. _copies[partition].Where(copy => !copy.IsUnwanted && _candidates.Contains(copy.Target) && copy.Target != move?.Target)];

    /// <summary>Where the fewest are, in a zone that neither the owner nor these copies are in, if there is one.</summary>
    private void AttachOne(
        int partition, Move? move, List<Copy> kept, Dictionary<SiloId, double> load, Dictionary<SiloId, double> share, CopiesUnderWay underWay, long now)
    {
        SiloId owner = _owners[partition];
        if (now < _failures[partition].NotBeforeMilliseconds || move is { YieldCopy: not 0 })
            return;
        SiloId best = default;
        foreach ((SiloId silo, double copies) in load)
        {
            if (silo == owner || silo == move?.Target || _copies[partition].Exists(copy => copy.Target == silo))
                continue;
            if (best.IsNone || (SharesZone(partition, silo, kept), copies).CompareTo((SharesZone(partition, best, kept), load[best])) < 0)
                best = silo;
        }

        if (best.IsNone || !underWay.MayAdd(owner, best))
            return;
        Attach(partition, best);
        underWay.Add(owner, best);
        load[best] += share[best];
    }

    private void DropOne(int partition, List<Copy> kept, Dictionary<SiloId, double> load)
    {
        Copy worst = kept.Where(copy => copy.State == CopyState.Synced)
            .OrderByDescending(copy => SharesZone(partition, copy.Target, Without(kept, copy)))
            .ThenByDescending(copy => load[copy.Target])
            .ThenBy(copy => copy.Number)
            .First();
        worst.IsUnwanted = true;
    }

    /// <summary>A copy that should stand elsewhere: in another zone, or in a silo that has clearly fewer.</summary>
    private Copy? FindMisplaced(int partition, List<Copy> kept, Dictionary<SiloId, double> load, Dictionary<SiloId, double> share)
    {
        if (kept.Exists(static copy => copy.State != CopyState.Synced))
            return null;
        foreach (Copy copy in kept)
        {
            List<Copy> others = Without(kept, copy);
            bool sharesZone = SharesZone(partition, copy.Target, others);
            foreach ((SiloId silo, double copies) in load)
            {
                if (silo == _owners[partition] || _copies[partition].Exists(other => other.Target == silo))
                    continue;
                bool wouldShare = SharesZone(partition, silo, others);
                bool isEmptier = copies + (2 * share[silo]) <= load[copy.Target] - share[copy.Target];
                if ((sharesZone && !wouldShare) || (isEmptier && sharesZone == wouldShare))
                    return copy;
            }
        }

        return null;
    }

    private static List<Copy> Without(List<Copy> copies, Copy copy) => [.. copies.Where(other => other != copy)];

    private bool SharesZone(int partition, SiloId silo, List<Copy> others)
    {
        string zone = ZoneOf(silo);
        return zone.Length > 0 && (ZoneOf(_owners[partition]) == zone || others.Exists(other => ZoneOf(other.Target) == zone));
    }

    private string ZoneOf(SiloId silo) => _members.TryGetValue(silo, out Member? member) ? member.Reply?.Zone ?? "" : "";
}
