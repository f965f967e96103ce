using OrleansCache.Ownership.Routing;

namespace OrleansCache.Ownership;

/// <summary>What a <see cref="Coordinator"/> does to the world. None of it calls back into the coordinator.</summary>
public interface ICoordinatorEnvironment
{
    /// <summary>Sends; the answer goes to <see cref="Coordinator.OnReply"/>. May be lost, late or repeated.</summary>
    void SendSync(SiloId target, SyncRequest request);

    /// <summary>Something worth telling the operator.</summary>
    void OnEvent(CoordinatorEvent what, int partition, SiloId silo);

    /// <summary>
    /// <see cref="Coordinator.FlushProgress"/> or <see cref="Coordinator.MoveSettingsAwaited"/> has changed: further silos have flushed, or all know the
    /// settings, or this coordinator does not act any more.
    /// </summary>
    void OnProgress();

    /// <summary><see cref="Coordinator.Tick"/> is wanted at this time; later is no harm. Only the last such wish counts.</summary>
    void WakeAt(long milliseconds);

    /// <summary>A random seed for the key hash of a cluster that has none yet.</summary>
    HashSeed DrawHashSeed();

    /// <summary>The newest table that this silo knows, of whatever coordinator.</summary>
    PartitionTable KnownTable { get; }
}

/// <summary>Things that a coordinator tells the operator.</summary>
public enum CoordinatorEvent
{
    /// <summary>It has taken over; partition = partitions found alive.</summary>
    TookOver,
    /// <summary>A silo with a higher term, or the membership, says that somebody else coordinates.</summary>
    SteppedDown,
    MoveStarted,
    MoveCommitted,
    MoveFailed,
    /// <summary>An operator has given the move up.</summary>
    MoveAborted,
    /// <summary>The partition's owner is gone, and goes on at this silo from its replica.</summary>
    Promoted,
    /// <summary>The partition's owner is gone and the partition begins empty at this silo.</summary>
    Reassigned,
    /// <summary>The cluster was down as a whole, and goes on from its silos' memory files; partition = partitions found in them.</summary>
    Restored,
    /// <summary>A silo with another partition count gets nothing; partition = its count.</summary>
    PartitionCountDiffers,
    /// <summary>A silo with another number of replicas gets nothing; partition = its number.</summary>
    ReplicasDiffer,
    /// <summary>A silo whose items are stored under another seed of the key hash gets nothing.</summary>
    HashSeedDiffers,
    /// <summary>The silos write another wire version to each other from now on; partition = its number.</summary>
    WireVersionAgreed,
}

/// <summary>
/// Decides who owns which partition. Every silo has one; only that of the oldest active silo acts, in a term that
/// is made from the version of the membership by which it took over: so it is higher than all before, and a command by an older membership is refused.
/// <para>
/// Algorithm: a loop that compares what should be with what the silos say they hold. Every silo is asked at least each <see cref="SyncMilliseconds"/>, and at
/// once when there is something to tell; the commands are computed afresh each time from the silo's last answer. So nothing depends on a message that must not
/// be lost, and nothing is remembered that could not be learned again by asking: a new coordinator asks all active silos, takes the highest epoch of every
/// partition for its owner, and goes on from there.
/// </para>
/// <para>
/// Copies (Coordinator.Copies.cs): joining, draining, rebalancing, repair and failover are one mechanism. A copy is attached to the owner and becomes a replica
/// when it has everything; from then on the owner acknowledges nothing that it does not have. A partition without an owner goes on from its most advanced
/// replica, in a new epoch. A move makes the target a replica, and then lets the owner become one: what follows is the same as after a loss, without one.
/// </para>
/// <para>
/// The seed of the key hash lives as long as any silo that knows it: the first coordinator draws it, every later one finds it in
/// the silos' answers. It travels in the table, and a silo knows it before it holds a partition.
/// </para>
/// <para>
/// Moves for balance can be paused, given up one by one, and slowed down (Coordinator.Moves.cs); what repairs, and what leaves a silo that drains, goes on.
/// </para>
/// <para>
/// Besides, it makes the list of silos and their gateways, and the wire version that they agree on (Coordinator.Wire.cs), from what they answer.
/// </para>
/// <para>
/// A flush_all: the next <see cref="FlushMark"/>, which every silo is told and carries out on whatever it holds. It is done when all silos have reported it; a
/// silo that was not there then has everything it ever gets from one that was, or empty.
/// </para>
/// <para>
/// Safety: a partition gets a new epoch whenever its contents change hands, unique because the term is part of it; a silo serves only what it was told to;
/// a lost owner's partitions are given away only after the membership has declared the silo dead.
/// </para>
/// Non-goals: thread safety (the caller serialises), reading clocks, knowing Orleans.
/// </summary>
public sealed partial class Coordinator(SiloId self, int partitionCount, ICoordinatorEnvironment environment, int replicas = 0)
{
    /// <summary>How often a silo is asked when there is nothing to tell.</summary>
    public const int SyncMilliseconds = 500;

    /// <summary>An answer that has not come by then is given up.</summary>
    public const int ReplyTimeoutMilliseconds = 3_000;

    /// <summary>A failed move is tried again after this long, then twice as long, up to the maximum.</summary>
    public const int RetryMilliseconds = 1_000;
    public const int RetryMillisecondsMax = 10_000;

    /// <summary>Copies that are being made from one silo, or to one, at the same time.</summary>
    public const int CopiesUnderWayMax = 4;

    /// <summary>
    /// An answer, or the membership, is so fresh that the coordinator does not count as cut off. A lease may begin so long after the contact that allows it, so
    /// it is short: two rounds.
    /// </summary>
    public const int ContactMilliseconds = 2 * SyncMilliseconds;

    /// <summary>
    /// A silo that the membership has declared dead, and that runs nevertheless, serves what it has for so long at most: its lease, and what a coordinator that
    /// is cut off grants itself.
    /// </summary>
    public static readonly int SilentMillisecondsMax = (int)FreezeDetector.LeaseLength.TotalMilliseconds + ContactMilliseconds;

    /// <summary>Epochs of a term start at the term times 2^20, terms of a membership at its version times 2^8.</summary>
    private const int EpochBits = 20;
    private const int TermBits = 8;

    private readonly SiloId[] _owners = new SiloId[partitionCount];
    private readonly long[] _epochs = new long[partitionCount];
    private readonly long[] _epochsUsed = new long[partitionCount];

    /// <summary>The epoch in which the owner has been seen to serve the partition.</summary>
    private readonly long[] _confirmed = new long[partitionCount];
    private readonly Failures[] _failures = new Failures[partitionCount];
    private readonly SortedDictionary<int, Move> _moves = [];
    private readonly Dictionary<int, Promotion> _promotions = [];
    private readonly Dictionary<int, Election> _elections = [];
    private readonly List<Copy>[] _copies = [.. Enumerable.Range(0, partitionCount).Select(static _ => new List<Copy>())];
    private readonly SortedDictionary<SiloId, Member> _members = [];
    private bool _leads;
    private bool _recovered;
    private long _term;
    private long _membershipVersion = -1;
    private long _confirmedMilliseconds = long.MinValue / 2;
    private long _sequence;
    private FlushMark _flush;
    private long _flushSettled;
    private HashSeed _hashSeed;
    private SiloList _silos = SiloList.Empty;
    private PartitionTable _table = PartitionTable.Unassigned(partitionCount);

    /// <summary>Whether this coordinator acts.</summary>
    public bool Leads => _leads;

    /// <summary>Whether every silo has answered in this term, so that the table is complete.</summary>
    public bool Recovered => _recovered;

    public long Term => _term;

    /// <summary>The table that this coordinator has made; meaningful while <see cref="Recovered"/>.</summary>
    public PartitionTable Table => _table;

    /// <summary>The list of silos that this coordinator has made; meaningful while <see cref="Recovered"/>.</summary>
    public SiloList Silos => _silos;

    public int MovesUnderWay => _moves.Count;

    public long MovesCommitted { get; private set; }

    public long MovesFailed { get; private set; }

    /// <summary>How far the newest flush_all has got; meaningful while <see cref="Recovered"/>.</summary>
    public FlushProgress FlushProgress
    {
        get
        {
            SiloId awaited = default;
            foreach ((SiloId silo, Member member) in _members)
            {
                if (FlushedBy(member) < _flush.Number)
                    awaited = silo;
            }

            return new FlushProgress(_flush, _flushSettled, awaited);
        }
    }

    /// <summary>
    /// Flushes everything, at once (0) or at the given time, if the newest flush still is number <paramref name="expectedNumber"/>: so a request that comes
    /// late, after its sender has asked again, does nothing. False if it is another by now, or if this coordinator does not act.
    /// </summary>
    public bool TryFlush(long expectedNumber, uint atUnixSeconds, uint nowUnixSeconds, long nowMilliseconds)
    {
        if (!_leads || !_recovered || _flush.Number != expectedNumber)
            return false;
        _flush = _flush.Next(Math.Max(_flush.Number + 1, _term << EpochBits), atUnixSeconds, nowUnixSeconds);
        Pump(nowMilliseconds);
        return true;
    }

    /// <summary>The members have changed. Only active silos are given; those that were given before and are missing now are gone for good.</summary>
    public void OnMembership(long membershipVersion, IReadOnlyCollection<SiloId> active, long nowMilliseconds)
    {
        if (membershipVersion < _membershipVersion)
            return;
        _membershipVersion = membershipVersion;
        bool oldest = active.Count > 0 && active.Min() == self;
        if (!oldest)
            StepDown();

        foreach (SiloId gone in _members.Keys.Except(active).ToArray())
        {
            _members.Remove(gone);
            _lossVersion = membershipVersion;
            _lostMilliseconds = nowMilliseconds;
        }

        foreach (SiloId silo in active)
        {
            if (!_members.ContainsKey(silo))
                _members.Add(silo, new Member(membershipVersion) { SinceMilliseconds = nowMilliseconds });
        }

        PlanSoon();
        if (oldest && !_leads)
            TakeOver(membershipVersion << TermBits, nowMilliseconds);
        Pump(nowMilliseconds);
    }

    /// <summary>The membership store has answered, and still counts this silo in.</summary>
    public void OnMembershipConfirmed(long nowMilliseconds) => _confirmedMilliseconds = nowMilliseconds;

    /// <summary>
    /// Whether this coordinator is in touch with the membership store, or with more than half of the silos. One that is not may have been replaced, and the
    /// silos that hear only it serve what others have taken over: so they are not told to serve on.
    /// </summary>
    public bool GrantsLeases(long nowMilliseconds)
    {
        if (nowMilliseconds - _confirmedMilliseconds <= ContactMilliseconds)
            return true;
        int answering = _members.Values.Count(member => nowMilliseconds - member.AnsweredMilliseconds <= ContactMilliseconds);
        return 2 * answering > _members.Count;
    }

    /// <summary>A silo has something to report.</summary>
    public void OnNudge(SiloId silo, long nowMilliseconds)
    {
        if (_members.TryGetValue(silo, out Member? member))
        {
            member.Nudged = true;
            Pump(nowMilliseconds);
        }
    }

    /// <summary>A silo's answer.</summary>
    public void OnReply(SyncReply reply, long nowMilliseconds)
    {
        if (!_leads)
            return;
        if (reply.Term > _term)
        {
            // Somebody coordinates by a newer membership than the one known here. Never to be outbid: only a newer membership makes this one the coordinator
            // again.
            StepDown();
            return;
        }

        if (reply.Term != _term || !_members.TryGetValue(reply.Silo, out Member? member) || member.OutstandingSequence != reply.Sequence)
            return;
        member.OutstandingSequence = 0;
        member.HasAnswered = true;
        member.Reply = reply;
        member.WritesAtMost = reply.TableWireVersion;
        member.AnsweredMilliseconds = nowMilliseconds;
        member.AnswerMilliseconds = Math.Max(nowMilliseconds - member.SentMilliseconds, member.AnswerMilliseconds * 3 / 4);
        if (reply.Flush.Number > _flush.Number)
            _flush = reply.Flush;
        if (reply.Moves.Number > _moveSettings.Number)
            _moveSettings = reply.Moves;
        if (reply.PartitionCount != partitionCount && !member.ForeignTold)
        {
            member.ForeignTold = true;
            environment.OnEvent(CoordinatorEvent.PartitionCountDiffers, reply.PartitionCount, reply.Silo);
        }
        else if (reply.Replicas != replicas && !member.ForeignTold)
        {
            member.ForeignTold = true;
            environment.OnEvent(CoordinatorEvent.ReplicasDiffer, reply.Replicas, reply.Silo);
        }
        else if (_recovered && !IsUsable(member) && !member.ForeignTold)
        {
            member.ForeignTold = true;
            environment.OnEvent(CoordinatorEvent.HashSeedDiffers, 0, reply.Silo);
        }

        Pump(nowMilliseconds);
    }

    /// <summary>Time passes.</summary>
    public void Tick(long nowMilliseconds) => Pump(nowMilliseconds);

    private void TakeOver(long term, long nowMilliseconds)
    {
        _leads = true;
        _recovered = false;
        _term = Math.Max(term, _term + 1);
        _sequence = 0;
        _flush = default;
        _flushSettled = 0;
        _moveSettings = default;
        _moveSettingsSettled = 0;
        _partitionsToMove = 0;
        _movingSince = null;
        _hashSeed = default;
        _silos = SiloList.Empty;
        _wireVersion = WireVersion.Oldest;
        _gatheringSince = null;
        _lossVersion = _membershipVersion;
        _lostMilliseconds = nowMilliseconds;
        _moves.Clear();
        _promotions.Clear();
        _elections.Clear();
        _homeless.Clear();
        _yielded.Clear();
        foreach (List<Copy> copies in _copies)
            copies.Clear();
        Array.Clear(_owners);
        Array.Clear(_epochs);
        Array.Clear(_confirmed);
        Array.Clear(_restoring);
        Array.Clear(_failures);
        Array.Clear(_abortedUntil);
        foreach (SiloId silo in _members.Keys.ToArray())
            _members[silo] = new Member(_members[silo].SinceVersion);
    }

    private void StepDown()
    {
        if (!_leads)
            return;
        _leads = false;
        _recovered = false;
        _moves.Clear();
        _promotions.Clear();
        _elections.Clear();
        environment.OnEvent(CoordinatorEvent.SteppedDown, 0, self);
        environment.OnProgress();
    }

    private void Pump(long now)
    {
        if (!_leads)
            return;
        foreach (Member member in _members.Values)
        {
            if (member.OutstandingSequence != 0 && now - member.SentMilliseconds >= ReplyTimeoutMilliseconds)
                member.OutstandingSequence = 0;
        }

        if (!_recovered && _members.Values.All(member => member.Reply is not null) && HasGathered(now))
            Recover();
        if (_recovered)
        {
            UpdateSilos();
            Decide(now);
        }

        foreach ((SiloId silo, Member member) in _members)
        {
            if (member.OutstandingSequence == 0)
                SyncIfDue(silo, member, now);
        }

        if (_recovered)
        {
            SettleFlush();
            SettleMoveSettings();
        }
    }

    private void UpdateSilos()
    {
        int newest = 0;
        List<SiloEntry> entries = new(_members.Count);
        foreach ((SiloId silo, Member member) in _members)
        {
            if (member.Reply is not { } reply)
                continue;
            newest = Math.Max(newest, reply.SilosVersion);
            if (IsUsable(member))
                entries.Add(new SiloEntry(silo, reply.Draining ? "" : reply.Gateway));
        }

        if (newest > _silos.Version)
            _silos = new SiloList(newest + SiloList.VersionsPerTerm, entries);
        else if (!entries.SequenceEqual(_silos.Silos))
            _silos = new SiloList(_silos.Version + 1, entries);
    }

    private void SettleFlush()
    {
        // Until a replica is promoted, which goes through the flush first, a lost owner that still runs may acknowledge writes to what it has not flushed.
        if (_elections.Keys.Concat(_promotions.Keys).Any(partition => !_yielded.ContainsKey(partition)))
            return;
        long settled = _flush.Number;
        foreach (Member member in _members.Values)
            settled = Math.Min(settled, FlushedBy(member));
        if (settled <= _flushSettled)
            return;
        _flushSettled = settled;
        environment.OnProgress();
    }

    /// <summary>The newest flush that this silo has carried out. One with another partition count holds nothing to flush.</summary>
    private long FlushedBy(Member member) => member.Reply is null ? 0 : IsUsable(member) ? member.Reply.Flush.Number : long.MaxValue;

    private void SyncIfDue(SiloId silo, Member member, long now)
    {
        List<PartitionCommand> commands = _recovered && IsUsable(member) ? CommandsFor(silo, member) : [];
        bool tableIsOld = _recovered && member.Reply is { } last && last.TableVersion < _table.Version;
        bool silosAreOld = _recovered && member.Reply is { } known && known.SilosVersion < _silos.Version;
        bool nobody = _recovered && !_members.Values.Any(member => IsUsable(member) && !member.Reply!.Draining) && !IsHandingOver();
        bool due = now - member.SentMilliseconds >= SyncMilliseconds || member.Reply is null;
        bool news = member.Nudged || (tableIsOld && member.TableSent < _table.Version) || !commands.SequenceEqual(member.CommandsSent)
            || (silosAreOld && member.SilosSent < _silos.Version)
            || (member.FlushSent < _flush.Number && FlushedBy(member) < _flush.Number)
            || (member.MovesSent < _moveSettings.Number && MoveSettingsOf(member) < _moveSettings.Number);
        if (!due && !news)
            return;

        member.Nudged = false;
        // The request may reach the silo late: it knows by its last answer how old a lease is at most.
        bool hasAnswered = member.HasAnswered;
        member.HasAnswered = false;
        member.OutstandingSequence = ++_sequence;
        member.SentMilliseconds = now;
        member.CommandsSent = commands;
        member.FlushSent = _flush.Number;
        member.MovesSent = _moveSettings.Number;
        if (commands.Exists(static command => command.Kind == CommandKind.Yield))
            member.YieldSequence = _sequence;
        if (tableIsOld)
        {
            member.TableSent = _table.Version;
            member.WritesAtMost = Math.Max(member.WritesAtMost, _table.WireVersion);
        }

        if (silosAreOld)
            member.SilosSent = _silos.Version;
        environment.SendSync(silo, new SyncRequest
        {
            Term = _term,
            Sequence = member.OutstandingSequence,
            Coordinator = self,
            PartitionCount = partitionCount,
            Replicas = replicas,
            MembershipVersion = _membershipVersion,
            NobodyTakesOver = nobody,
            GrantsLease = hasAnswered && GrantsLeases(now),
            Flush = _flush,
            Moves = _moveSettings,
            Silos = silosAreOld ? _silos : null,
            Table = tableIsOld ? _table : null,
            Commands = commands,
        });
    }

    /// <summary>
    /// Somebody has stopped to serve a partition, and nobody serves it yet. If all silos ended now, it would be in no memory file.
    /// </summary>
    private bool IsHandingOver() => _elections.Count > 0 || _promotions.Count > 0 || _members.Values.Any(static member => member.Reply is { } reply
        && (reply.Sequence < member.YieldSequence || reply.Partitions.Any(static report => report.Phase == PartitionPhase.Sealed)));

    private long NextEpoch(int partition) =>
        _epochsUsed[partition] = Math.Max(Math.Max(_epochsUsed[partition], _epochs[partition]) + 1, _epochMin);

    private void Publish()
    {
        PartitionTableVersion version = new(_tableTerm, _table.Version.Term == _tableTerm ? _table.Version.Number + 1 : 1);
        SiloId[] owners = (SiloId[])_owners.Clone();
        foreach ((int partition, SiloId former) in _yielded)
        {
            if (owners[partition].IsNone && _members.ContainsKey(former))
                owners[partition] = former;
        }

        _table = PartitionTable.Create(version, _hashSeed, owners, _epochs, _wireVersion);
    }

    /// <summary>Whether the silo can hold partitions of this cluster; meaningful while <see cref="Recovered"/>.</summary>
    private bool IsUsable(Member member) =>
        member.Reply is { } reply && reply.PartitionCount == partitionCount && reply.Replicas == replicas
            && (reply.HashSeed.IsNone || reply.HashSeed == _hashSeed);

    /// <summary>
    /// Whether the silo may be given partitions. It knows the seed then: what a source sends may arrive before anything else that
    /// the coordinator says. And it can read that: nobody writes anything newer than it speaks.
    /// </summary>
    private bool IsCandidate(Member member) => IsUsable(member) && !member.Reply!.Draining && !member.Reply.HashSeed.IsNone && ReadsWhatIsWritten(member);

    /// <summary>
    /// Whether every silo already sees this one in its membership: one that does not could not reach it, and its clients would get errors for partitions given
    /// to it.
    /// </summary>
    private bool IsKnownToAll(Member candidate) => _members.Values.All(member => member.Reply?.MembershipVersion >= candidate.SinceVersion);

    private static PartitionReport Find(SyncReply? reply, int partition)
    {
        if (reply is null)
            return default;

        // Reports come in ascending order of the partition.
        IReadOnlyList<PartitionReport> reports = reply.Partitions;
        int low = 0;
        int high = reports.Count - 1;
        while (low <= high)
        {
            int middle = (low + high) >>> 1;
            int number = reports[middle].Partition;
            if (number == partition)
                return reports[middle];
            if (number < partition)
                low = middle + 1;
            else
                high = middle - 1;
        }

        return default;
    }

    private struct Failures
    {
        public int Count;
        public long NotBeforeMilliseconds;
    }

    /// <param name="sinceVersion">The membership version in which the silo was first seen: a process that knows an older one does not know the silo.</param>
    private sealed class Member(long sinceVersion)
    {
        public readonly long SinceVersion = sinceVersion;

        /// <summary>When it was first seen to be a member; long ago, if this coordinator has found it there.</summary>
        public long SinceMilliseconds { get; init; } = long.MinValue / 2;
        public SyncReply? Reply;
        public long OutstandingSequence;

        /// <summary>What was sent last has been answered.</summary>
        public bool HasAnswered;
        public long SentMilliseconds = -SyncMilliseconds;
        public long AnsweredMilliseconds = long.MinValue / 2;

        /// <summary>How long its answers take: the last, or those before, which count less and less.</summary>
        public long AnswerMilliseconds;
        public bool Nudged;
        public bool Adopted;
        public bool ForeignTold;
        public PartitionTableVersion TableSent;

        /// <summary>No newer wire version is in the table that the silo knows, nor in one that is on its way to it.</summary>
        public byte WritesAtMost = WireVersion.Oldest;
        public long FlushSent;
        public long MovesSent;

        /// <summary>The last sequence by which it was told to yield something: only its answer to that one, or to a later one, tells whether it has.</summary>
        public long YieldSequence;
        public int SilosSent;
        public List<PartitionCommand> CommandsSent = [];
    }
}
