namespace OrleansCache.Ownership;

/// <summary>
/// What a <see cref="SiloAgent"/> does to the world: the partitions' gates and replication of its silo, and messages to others. None of it calls back into the
/// agent.
/// </summary>
public interface ISiloAgentEnvironment
{
    /// <summary>
    /// Starts to serve the partition. True if it is served when this returns; otherwise <see cref="SiloAgent.OnActivated"/> follows when it is. Called again as
    /// long as it is not: repeats do no harm. <paramref name="keepItems"/>: what is held stays; otherwise it begins empty.
    /// </summary>
    bool Activate(int partition, long epoch, bool keepItems);

    /// <summary>Turns requests away from now on. When this has returned no request is executing.</summary>
    void Seal(int partition);

    /// <summary>
    /// Whether all complete copies of the sealed partition have everything; otherwise <see cref="SiloAgent.OnDrained"/> follows when they have.
    /// </summary>
    bool AwaitDrain(int partition);

    void Unseal(int partition);

    /// <summary>What is served here is held in this higher epoch from now on.</summary>
    void Renew(int partition, long epoch);

    /// <summary>Deletes the partition, whatever its state, and ends its replication.</summary>
    void Drop(int partition);

    /// <summary>Makes an empty partition that is not served and takes what its owner sends for this copy.</summary>
    void BeginCopy(int partition, long copy);

    /// <summary>
    /// This sealed partition, which has been served here, is a replica of that number from now on; its own copies are nobody's business here.
    /// </summary>
    void BecomeReplica(int partition, long copy);

    /// <summary>The replica takes nothing any more from whoever was the owner. It is held in this epoch from now on, and not served yet.</summary>
    void Fence(int partition, long epoch);

    /// <summary>The replica is of another number from now on, if it has exactly this much of the log; false if it has not.</summary>
    bool Rename(int partition, long newCopy, long position);

    /// <summary>How much of its owner's log the replica has.</summary>
    long PositionOf(int partition);

    /// <summary>Starts to keep a copy at that silo; <see cref="SiloAgent.OnCopySynced"/> or <see cref="SiloAgent.OnCopyFailed"/> follow.</summary>
    void Attach(int partition, long copy, SiloId target);

    /// <summary>
    /// That silo has a replica equal to what is held here, of one number, and is to keep it under another: from now on nothing is acknowledged that it does not
    /// have. <see cref="SiloAgent.OnRetained"/> or <see cref="SiloAgent.OnCopyFailed"/> follow.
    /// </summary>
    void Retain(int partition, long copy, long newCopy, SiloId target);

    /// <summary>The copy is gone: nothing is sent to it or awaited from it.</summary>
    void Detach(int partition, long copy);

    /// <summary>No items are read for this copy any more, or they are again. What happens to the partition is sent to it all the same.</summary>
    void Rest(int partition, long copy, bool isResting);

    /// <summary>The bytes of items that this copy has taken so far, and those that the partition has.</summary>
    (long BytesDone, long BytesTotal) ProgressOf(int partition, long copy);

    /// <summary>What may be read per second for copies, 0 for no limit; null: what this silo was started with.</summary>
    void LimitCopies(long? bytesPerSecond);

    /// <summary>
    /// Flushes what is held of the partition, served or not: at once if the time is 0 or past, otherwise then (replacing what was to be flushed at another
    /// time). From then on it has gone through the flushes up to this number. Nothing to do if nothing is held.
    /// </summary>
    void Flush(int partition, uint atUnixSeconds, long number);

    /// <summary>
    /// The time at which the partition is to be flushed, instead of what was brought along; it has gone through the flushes up to this number. If the time is
    /// past, that happens before anybody is served; 0 leaves it as it is.
    /// </summary>
    void NoteFlush(int partition, uint atUnixSeconds, long number);

    /// <summary>The flushes up to this number have been carried out on what is held, as far as its owner has told.</summary>
    long FlushNumberOf(int partition);

    /// <summary>Asks that silo, where the coordinator was last, to look at this one soon. May be lost.</summary>
    void Nudge(SiloId coordinator);

    /// <summary>
    /// The seed of the key hash is known: called once, before any partition is opened or copied. What a memory file kept under another has been dropped.
    /// </summary>
    void UseHashSeed(HashSeed seed);

    /// <summary><see cref="SiloAgent.HashSeedDiffers"/>: everything has been dropped; the process should end.</summary>
    void OnHashSeedDiffers();

    /// <summary>A newer table has arrived.</summary>
    void OnTable(PartitionTable table);

    /// <summary>
    /// Reads the membership again, because the coordinator knows this newer version; <see cref="SiloAgent.OnMembership"/> follows. May fail: it is asked
    /// again.
    /// </summary>
    void RefreshMembership(long version);
}

/// <summary>
/// One silo's side of ownership: what it holds of every partition, and how the coordinator's commands change that.
/// <para>
/// Rules that make it safe whatever messages are lost, late or repeated: commands of lower terms, and of sequences that are not the highest yet, are refused. A
/// partition is served only after a command said so. A replica is served only after a command said so, and takes nothing from its former owner from then on.
/// Every command names an epoch or a copy, and finds nothing to do if the partition is not held in that epoch, or as that copy.
/// </para>
/// <para>
/// Copies (<c>SiloAgent.Copies.cs</c>): what replication does is decided here, and done by the environment. A complete copy is never given up by this silo
/// alone: only when the coordinator says so, who has made sure that it is gone, or when the membership has declared its silo dead.
/// </para>
/// <para>
/// Flushing: everything served here has gone through the same flushes, those up to <see cref="FlushMark"/>. Copies go through them in the order of their
/// owner's log; one that is promoted catches up first.
/// </para>
/// Non-goals: thread safety (the caller serialises), reading clocks (time is an argument), deciding anything about other silos.
/// </summary>
public sealed partial class SiloAgent(SiloId self, int partitionCount, long memoryBytes, ISiloAgentEnvironment environment)
{
    private readonly Held?[] _held = new Held?[partitionCount];

    /// <summary>Copies up to these numbers are not wanted here any more, whenever their beginning arrives.</summary>
    private readonly long[] _droppedEpochs = new long[partitionCount];
    private long _term;
    private long _sequence = -1;
    private long _membershipVersion;
    private PartitionTable _table = PartitionTable.Unassigned(partitionCount);
    private FlushMark _flush;
    private bool _isLeaving;

    public SiloId Self { get; } = self;

    /// <summary>The highest term seen.</summary>
    public long Term => _term;

    /// <summary>The coordinator that was obeyed last; none before the first.</summary>
    public SiloId Coordinator { get; private set; }

    /// <summary>The newest table seen.</summary>
    public PartitionTable Table => _table;

    /// <summary>The newest flush_all that was carried out on everything held here.</summary>
    public FlushMark FlushMark => _flush;

    /// <summary>The newest of what an operator has said about moves.</summary>
    public MoveSettings MoveSettings { get; private set; }

    /// <summary>The newest list of the cluster's silos.</summary>
    public SiloList Silos { get; private set; } = SiloList.Empty;

    /// <summary>The newest wire version that this silo speaks.</summary>
    public byte Speaks { get; init; } = WireVersion.Newest;

    /// <summary>--zone of this silo; empty for none.</summary>
    public string Zone { get; init; } = "";

    /// <summary>Where clients reach this silo's gateway.</summary>
    public string Gateway { get; private set; } = "";

    /// <summary>Whether the silo asks to be emptied.</summary>
    public bool Draining { get; private set; }

    /// <summary>Whether the coordinator said that no other silo can take this one's partitions.</summary>
    public bool NobodyTakesOver { get; private set; }

    /// <summary>The cluster's partition count if it differs from ours: this silo can then hold nothing. 0 if it does not.</summary>
    public int ForeignPartitionCount { get; private set; }

    /// <summary>--replicas of this silo.</summary>
    public int Replicas { get; init; }

    /// <summary>The number of replicas that the cluster keeps, if it differs from ours: this silo can then hold nothing. Null if it does not.</summary>
    public int? ForeignReplicas { get; private set; }

    /// <summary>
    /// Whether the cluster's table has another seed of the key hash than everything that this silo has stored. A silo hashes under
    /// one seed all its life, because at any time requests are on their way whose hashes are computed already: so it drops what it
    /// holds, and only a new process can join.
    /// </summary>
    public bool HashSeedDiffers { get; private set; }

    /// <summary>Partitions held in any phase, but for what a memory file keeps.</summary>
    public int HeldCount => _held.Count(held => held is not null and not { Phase: PartitionPhase.Kept });

    /// <summary>Partitions that are on their way to this silo or from it.</summary>
    public int MovingCount => _held.Count(held => held?.Phase is PartitionPhase.Sealed or PartitionPhase.Copying);

    /// <summary>Complete copies of other silos' partitions.</summary>
    public int ReplicaCount => _held.Count(held => held?.Phase is PartitionPhase.Replica);

    /// <summary>Partitions that are served here.</summary>
    public int ServedCount => _held.Count(held => held?.Phase is PartitionPhase.Active);

    /// <summary>Copies that this silo keeps elsewhere of what it serves.</summary>
    public int CopyCount => _held.Sum(held => held?.Copies.Count ?? 0);

    /// <summary>Those of them that are not complete.</summary>
    public int IncompleteCopyCount => _held.Sum(held => held?.Copies.Count(copy => copy.State != CopyState.Synced) ?? 0);

    /// <summary>What is held of a partition.</summary>
    public PartitionPhase PhaseOf(int partition) => _held[partition]?.Phase ?? PartitionPhase.None;

    /// <summary>Whether this silo has been told to serve the partition: it may be activated here, whatever the table says by now.</summary>
    public bool IsGranted(int partition, out long epoch)
    {
        Held? held = _held[partition];
        epoch = held?.Epoch ?? 0;
        return held?.Phase is PartitionPhase.Opening or PartitionPhase.Active or PartitionPhase.Sealed;
    }

    /// <summary>Whether the environment has been asked to serve the partition. One that was promoted may wait for the replicas that it keeps.</summary>
    public bool MayOpen(int partition) => _held[partition] is { Phase: PartitionPhase.Opening, IsAsked: true };

    /// <summary>Asks to be emptied from now on.</summary>
    public void BeginDraining()
    {
        Draining = true;
        Nudge();
    }

    /// <summary>
    /// Serves nothing any more and is about to end: no coordinator is obeyed or answered from now on. One that promoted a copy here would have the others, and
    /// their memory files, believe that the partition went on at this silo, whose own file does not know of it.
    /// </summary>
    public void Leave() => _isLeaving = true;

    /// <summary>Tells the cluster where clients reach this silo's gateway.</summary>
    public void Publish(string gateway)
    {
        Gateway = gateway;
        Nudge();
    }

    /// <summary>Obeys and answers; null for a request that a later one has overtaken, and when this silo has left.</summary>
    public SyncReply? HandleSync(SyncRequest request, long nowMilliseconds)
    {
        if (_isLeaving)
            return null;
        if (request.Term < _term)
            return Report(request.Sequence, nowMilliseconds);
        if (request.Term > _term)
        {
            _term = request.Term;
            _sequence = -1;
        }

        if (request.Sequence <= _sequence)
            return null;
        _sequence = request.Sequence;
        Coordinator = request.Coordinator;
        NobodyTakesOver = request.NobodyTakesOver;
        if (request.MembershipVersion > _membershipVersion)
            environment.RefreshMembership(request.MembershipVersion);
        ForeignPartitionCount = request.PartitionCount == _held.Length ? 0 : request.PartitionCount;
        ForeignReplicas = request.Replicas == Replicas ? null : request.Replicas;
        if (ForeignPartitionCount != 0 || ForeignReplicas is not null)
            return Report(request.Sequence, nowMilliseconds);

        PartitionTable? newTable = request.Table is { } sent && sent.PartitionCount == _held.Length && sent.Version > _table.Version ? sent : null;
        if (newTable is not null && _table.HashSeed.IsNone)
        {
            if (_kept is not null && _kept.Seed != newTable.HashSeed)
                DropKept();
            environment.UseHashSeed(newTable.HashSeed);
        }
        else if (newTable is not null && newTable.HashSeed != _table.HashSeed)
            LeaveForeignCluster();
        if (HashSeedDiffers)
            return Report(request.Sequence, nowMilliseconds);

        if (request.Silos is { } silos && silos.Version > Silos.Version)
            Silos = silos;
        ApplyFlush(request.Flush);
        ApplyMoveSettings(request.Moves);
        foreach (PartitionCommand command in request.Commands)
        {
            if ((uint)command.Partition < (uint)_held.Length)
                Execute(command);
        }

        ActivatePromoted(request.Commands);

        if (newTable is not null)
        {
            _table = newTable;
            environment.OnTable(newTable);
        }

        return Report(request.Sequence, nowMilliseconds);
    }

    /// <summary>The partition is served now, in this epoch.</summary>
    public void OnActivated(int partition, long epoch)
    {
        if (_held[partition] is { Phase: PartitionPhase.Opening } held && held.Epoch == epoch)
        {
            BecomeActive(partition, held);
            Nudge();
        }
    }

    /// <summary>The store of a partition that was served is gone though nobody asked for it.</summary>
    public void OnLost(int partition)
    {
        if (_held[partition] is { Phase: PartitionPhase.Active or PartitionPhase.Sealed })
        {
            EndCopies(partition);
            _held[partition] = null;
            Nudge();
        }
    }

    private void ApplyMoveSettings(MoveSettings settings)
    {
        if (settings.Number <= MoveSettings.Number)
            return;
        MoveSettings = settings;
        environment.LimitCopies(settings.LimitBytesPerSecond);
    }

    private void LeaveForeignCluster()
    {
        if (HashSeedDiffers)
            return;
        HashSeedDiffers = true;
        for (int partition = 0; partition < _held.Length; partition++)
        {
            if (_held[partition] is null)
                continue;
            Discard(partition);
        }

        environment.OnHashSeedDiffers();
    }

    /// <summary>Carries out flushes that this silo has not heard of before, on all that it serves or is about to.</summary>
    private void ApplyFlush(FlushMark mark)
    {
        if (mark.Number <= _flush.Number)
            return;
        bool cut = _flush.IsCutBy(mark);
        _flush = mark;
        for (int partition = 0; partition < _held.Length; partition++)
        {
            // A copy goes through it when its owner has: what the owner stored since must not be lost with it.
            if (_held[partition] is null or { Phase: PartitionPhase.Copying or PartitionPhase.Replica })
                continue;
            if (cut)
                environment.Flush(partition, 0, mark.Number);
            if (mark.AtUnixSeconds != 0)
                environment.Flush(partition, mark.AtUnixSeconds, mark.Number);
        }
    }

    /// <summary>What was a copy may not have heard of flushes that its owner has not shipped any more.</summary>
    private void CatchUpWithFlushes(int partition)
    {
        long seen = environment.FlushNumberOf(partition);
        if (seen >= _flush.Number)
            return;
        if (_flush.Cut > seen)
            environment.Flush(partition, 0, _flush.Number);

        // The copy has brought along the time at which its owner would have flushed it; a flush that it did not know of has put another in its place, before
        // that time or after it.
        if (_flush.AtUnixSeconds != 0 && seen == _flush.Cut)
            environment.Flush(partition, _flush.AtUnixSeconds, _flush.Number);
        else
            environment.NoteFlush(partition, _flush.AtUnixSeconds, _flush.Number);
    }

    private void Execute(PartitionCommand command)
    {
        int partition = command.Partition;
        Held? held = _held[partition];
        switch (command.Kind)
        {
            case CommandKind.Assign:
                Assign(partition, held, command.Epoch);
                break;

            case CommandKind.Unseal when held?.Phase == PartitionPhase.Sealed && held.Epoch == command.Epoch:
                held.Phase = PartitionPhase.Active;
                held.YieldsTo = 0;
                environment.Unseal(partition);
                break;

            case CommandKind.Restore when held?.Phase == PartitionPhase.Kept && held.Epoch == command.Epoch:
                held.Phase = PartitionPhase.Opening;
                held.Epoch = command.MoveEpoch;
                held.KeepItems = true;
                held.IsRestored = true;
                RestoredCount++;
                Open(partition, held);
                break;

            case CommandKind.Drop:
                _droppedEpochs[partition] = Math.Max(_droppedEpochs[partition], command.Epoch);
                if (held is not null && held.Epoch <= command.Epoch)
                    Discard(partition);
                break;

            default:
                ExecuteOnCopies(command, held);
                break;
        }
    }

    private void Discard(int partition)
    {
        EndCopies(partition);
        _held[partition] = null;
        environment.Drop(partition);
    }

    private void Assign(int partition, Held? held, long epoch)
    {
        switch (held?.Phase)
        {
            case PartitionPhase.Active when held.Epoch <= epoch:
                // Never sealed, so nobody else has had it meanwhile: the items are the newest there are.
                held.Epoch = epoch;
                environment.Renew(partition, epoch);
                return;

            case PartitionPhase.Sealed when held.Epoch == epoch:
                held.Phase = PartitionPhase.Active;
                held.YieldsTo = 0;
                environment.Unseal(partition);
                return;

            case PartitionPhase.Opening when held.Epoch <= epoch:
                held.Epoch = epoch;
                ActivateIfReady(partition, held);
                return;

            case not null when held.Epoch >= epoch && held.Phase is not PartitionPhase.Kept:
                return;
        }

        // Whatever else is held is older than what others had since.
        if (held is not null)
            Discard(partition);
        held = new Held { Phase = PartitionPhase.Opening, Epoch = epoch };
        _held[partition] = held;
        Open(partition, held);
    }

    private void Open(int partition, Held held)
    {
        held.IsAsked = true;
        if (environment.Activate(partition, held.Epoch, held.KeepItems))
            BecomeActive(partition, held);
    }

    private void BecomeActive(int partition, Held held)
    {
        held.Phase = PartitionPhase.Active;
        if (!held.KeepItems || held.IsRestored)
            environment.NoteFlush(partition, _flush.AtUnixSeconds, _flush.Number);
    }

    private void Nudge()
    {
        if (!Coordinator.IsNone)
            environment.Nudge(Coordinator);
    }

    private SyncReply Report(long sequence, long nowMilliseconds)
    {
        List<PartitionReport> partitions = [];
        for (int partition = 0; partition < _held.Length; partition++)
        {
            if (_held[partition] is { Phase: PartitionPhase.Kept } kept)
                partitions.Add(new PartitionReport(partition, PartitionPhase.Kept, kept.Epoch, _kept!.KnownEpochs[partition]));
            else if (_held[partition] is { } held)
                partitions.Add(new PartitionReport(
                    partition, held.Phase, held.Epoch, held.YieldsTo, held.Phase == PartitionPhase.Replica ? environment.PositionOf(partition) : 0));
            else if (_table.HashSeed.IsNone && _kept is not null && _kept.KnownEpochs[partition] != 0)
                partitions.Add(new PartitionReport(partition, PartitionPhase.Kept, 0, _kept.KnownEpochs[partition]));
        }

        return new SyncReply
        {
            Silo = Self, Term = _term, Sequence = sequence, TableVersion = _table.Version, HashSeed = _table.HashSeed,
            MemoryBytes = memoryBytes, PartitionCount = _held.Length, Replicas = Replicas,
            MembershipVersion = _membershipVersion, Draining = Draining, Speaks = Speaks, TableWireVersion = _table.WireVersion,
            Flush = _flush, Moves = MoveSettings, SilosVersion = Silos.Version, Gateway = Gateway, Partitions = partitions,
            Copies = ReportCopies(), Zone = Zone,
            EpochMax = EpochMax(), TableTermMax = Math.Max(_table.Version.Term, _kept?.TableTerm ?? 0), Kept = ReportKept(nowMilliseconds),
        };
    }

    private sealed class Held
    {
        public PartitionPhase Phase;
        public long Epoch;

        /// <summary>While opening: what is held stays.</summary>
        public bool KeepItems;

        /// <summary>While opening, of a promoted replica: it has gone through all flushes.</summary>
        public bool HasCaughtUp;

        /// <summary>While opening: it comes from a memory file.</summary>
        public bool IsRestored;

        /// <summary>While opening: nothing is awaited any more.</summary>
        public bool IsAsked;

        /// <summary>While sealed: the number of the replica that it becomes.</summary>
        public long YieldsTo;

        /// <summary>Of what is served, or about to be: the copies elsewhere.</summary>
        public readonly List<Copy> Copies = [];
    }
}
