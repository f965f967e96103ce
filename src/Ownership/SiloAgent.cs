using System.Diagnostics;

namespace OrleansCache.Ownership;

/// <summary>
/// What a <see cref="SiloAgent"/> does to the world: the partitions' gates of its silo, and messages to others. None of it calls back into the agent.
/// </summary>
public interface ISiloAgentEnvironment
{
    /// <summary>
    /// Starts to serve the partition; <see cref="SiloAgent.OnActivated"/> follows when it is served. Called again as long as it is not: repeats do no harm.
    /// <paramref name="keepItems"/>: what was imported stays; otherwise it begins empty.
    /// </summary>
    void Activate(int partition, long epoch, bool keepItems);

    /// <summary>Turns requests away from now on. When this has returned no request is executing.</summary>
    void Seal(int partition);

    void Unseal(int partition);

    /// <summary>What is served here is held in this higher epoch from now on.</summary>
    void Renew(int partition, long epoch);

    /// <summary>Another silo has all items of this sealed partition, and may serve them without this silo's hearing of it.</summary>
    void Release(int partition);

    /// <summary>Deletes the partition, whatever its state.</summary>
    void Drop(int partition);

    /// <summary>Makes an empty partition that is not served and takes imports.</summary>
    void BeginImport(int partition, long epoch);

    /// <summary>Takes over the items of one chunk; false if it cannot.</summary>
    bool Import(int partition, ReadOnlySpan<byte> items);

    /// <summary>
    /// Flushes what is held of the partition, served or not: at once if the time is 0 or past, otherwise then (replacing what was to be flushed at another
    /// time). Nothing to do if nothing is held.
    /// </summary>
    void Flush(int partition, uint atUnixSeconds);

    /// <summary>
    /// The time at which an imported partition is to be flushed, instead of what its items brought along. If it is past, that happens before anybody is
    /// served.
    /// </summary>
    void RescheduleFlush(int partition, uint atUnixSeconds);

    /// <summary>Has a partition that was opened empty flushed at this time, unless it is past.</summary>
    void ScheduleFlush(int partition, uint atUnixSeconds);

    /// <summary>Begins to read a sealed partition's items from the start.</summary>
    void BeginExport(int partition);

    /// <summary>The next items, some <see cref="SiloAgent.ChunkBytes"/> of them, and whether they were the last.</summary>
    ReadOnlyMemory<byte> Export(int partition, out bool last);

    /// <summary>Sends a chunk; the answer goes to <see cref="SiloAgent.OnImportReply"/>. Chunks may be lost, late or repeated.</summary>
    void SendChunk(SiloId target, ImportChunk chunk);

    /// <summary>Asks that silo, where the coordinator was last, to look at this one soon. May be lost.</summary>
    void Nudge(SiloId coordinator);

    /// <summary>
    /// The seed of the key hash is known: called once, before any partition is opened or imported. What a memory file kept under another has been dropped.
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
/// partition is served only after a command said so. A sealed partition is never served again unless a command says so, because the target of its move may have
/// been activated. Every command names an epoch, and finds nothing to do if the partition is not held in that epoch.
/// </para>
/// <para>
/// Sending a partition: chunks go out in order, at most <see cref="ChunksInFlightMax"/> unacknowledged; what is not acknowledged in time is sent again; no
/// progress for <see cref="SendGiveUpMilliseconds"/>, or a refusal, ends the sending as failed and the coordinator decides what follows. One partition at a
/// time is sent, because the coordinator asks for no more.
/// </para>
/// <para>
/// Flushing: everything held here has gone through the same flushes, those up to <see cref="FlushMark"/>. A chunk brings its own mark: a newer one is carried
/// out here first, and the items of one that lacks a flush which has taken effect are left out.
/// </para>
/// Non-goals: thread safety (the caller serialises), reading clocks (time is an argument), deciding anything about other silos.
/// </summary>
public sealed partial class SiloAgent(SiloId self, int partitionCount, long memoryBytes, ISiloAgentEnvironment environment)
{
    /// <summary>Items of one chunk, about. One item may exceed it.</summary>
    public const int ChunkBytes = 1024 * 1024;

    /// <summary>Chunks on their way at once.</summary>
    public const int ChunksInFlightMax = 2;

    /// <summary>An unacknowledged chunk is sent again after this long.</summary>
    public const int ChunkResendMilliseconds = 2_000;

    /// <summary>A sending without progress for this long has failed.</summary>
    public const int SendGiveUpMilliseconds = 10_000;

    private readonly Held?[] _held = new Held?[partitionCount];
    private readonly long[] _discardedEpochs = new long[partitionCount];
    private long _term;
    private long _sequence = -1;
    private long _membershipVersion;
    private PartitionTable _table = PartitionTable.Unassigned(partitionCount);
    private FlushMark _flush;

    public SiloId Self { get; } = self;

    /// <summary>The highest term seen.</summary>
    public long Term => _term;

    /// <summary>The coordinator that was obeyed last; none before the first.</summary>
    public SiloId Coordinator { get; private set; }

    /// <summary>The newest table seen.</summary>
    public PartitionTable Table => _table;

    /// <summary>The newest flush_all that was carried out on everything held here.</summary>
    public FlushMark FlushMark => _flush;

    /// <summary>The newest list of the cluster's silos.</summary>
    public SiloList Silos { get; private set; } = SiloList.Empty;

    /// <summary>Where clients reach this silo's gateway.</summary>
    public string Gateway { get; private set; } = "";

    /// <summary>Whether the silo asks to be emptied.</summary>
    public bool Draining { get; private set; }

    /// <summary>Whether the coordinator said that no other silo can take this one's partitions.</summary>
    public bool NobodyTakesOver { get; private set; }

    /// <summary>The cluster's partition count if it differs from ours: this silo can then hold nothing. 0 if it does not.</summary>
    public int ForeignPartitionCount { get; private set; }

    /// <summary>
    /// Whether the cluster's table has another seed of the key hash than everything that this silo has stored. A silo hashes under
    /// one seed all its life, because at any time requests are on their way whose hashes are computed already: so it drops what it
    /// holds, and only a new process can join.
    /// </summary>
    public bool HashSeedDiffers { get; private set; }

    /// <summary>Partitions held in any phase, but for what a memory file keeps.</summary>
    public int HeldCount => _held.Count(held => held is not null and not { Phase: PartitionPhase.Kept });

    /// <summary>Partitions that are on their way to this silo or from it.</summary>
    public int MovingCount => _held.Count(held => held?.Phase is PartitionPhase.Sealed or PartitionPhase.Importing or PartitionPhase.Imported);

    /// <summary>What is held of a partition.</summary>
    public PartitionPhase PhaseOf(int partition) => _held[partition]?.Phase ?? PartitionPhase.None;

    /// <summary>Whether this silo has been told to serve the partition: it may be activated here, whatever the table says by now.</summary>
    public bool IsGranted(int partition, out long epoch)
    {
        Held? held = _held[partition];
        epoch = held?.Epoch ?? 0;
        return held?.Phase is PartitionPhase.Opening or PartitionPhase.Active or PartitionPhase.Sealed;
    }

    /// <summary>Asks to be emptied from now on.</summary>
    public void BeginDraining()
    {
        Draining = true;
        Nudge();
    }

    /// <summary>Tells the cluster where clients reach this silo's gateway.</summary>
    public void Publish(string gateway)
    {
        Gateway = gateway;
        Nudge();
    }

    /// <summary>This silo knows the membership of this version now.</summary>
    public void OnMembership(long version)
    {
        if (version <= _membershipVersion)
            return;
        _membershipVersion = version;
        Nudge();
    }

    /// <summary>Obeys and answers; null for a request that a later one has overtaken.</summary>
    public SyncReply? HandleSync(SyncRequest request, long nowMilliseconds)
    {
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
        if (ForeignPartitionCount != 0)
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
        foreach (PartitionCommand command in request.Commands)
        {
            if ((uint)command.Partition < (uint)_held.Length)
                Execute(command, nowMilliseconds);
        }

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
            held.Phase = PartitionPhase.Active;
            if (!held.KeepItems && _flush.AtUnixSeconds != 0)
                environment.ScheduleFlush(partition, _flush.AtUnixSeconds);
            Nudge();
        }
    }

    /// <summary>The store of a partition that was served is gone though nobody asked for it.</summary>
    public void OnLost(int partition)
    {
        if (_held[partition] is { Phase: PartitionPhase.Active or PartitionPhase.Sealed })
        {
            _held[partition] = null;
            Nudge();
        }
    }

    /// <summary>Takes over a chunk of a partition that is on its way here.</summary>
    public ImportReply HandleChunk(ImportChunk chunk)
    {
        int partition = chunk.Partition;
        if ((uint)partition >= (uint)_held.Length || chunk.Term < _term || chunk.MoveEpoch <= _discardedEpochs[partition]
            || _table.HashSeed.IsNone || HashSeedDiffers)
            return new ImportReply(partition, chunk.MoveEpoch, chunk.Number, false, 0);

        ApplyFlush(chunk.Flush);
        Held? held = _held[partition];
        bool isThisImport = held?.Phase is PartitionPhase.Importing or PartitionPhase.Imported && held.Epoch == chunk.MoveEpoch;
        if (!isThisImport)
        {
            bool inTheWay = held?.Phase is PartitionPhase.Opening or PartitionPhase.Active
                || (held?.Epoch >= chunk.MoveEpoch && held.Phase != PartitionPhase.Kept);
            if (inTheWay)
                return new ImportReply(partition, chunk.MoveEpoch, chunk.Number, false, 0);

            // It has overtaken the first one, which will come, or its import is gone; then the sender sees no progress and gives up.
            if (chunk.Number != 0)
                return new ImportReply(partition, chunk.MoveEpoch, chunk.Number, true, 0);
            if (held is not null)
                environment.Drop(partition);
            held = _held[partition] = new Held { Phase = PartitionPhase.Importing, Epoch = chunk.MoveEpoch };
            environment.BeginImport(partition, chunk.MoveEpoch);
        }

        Debug.Assert(held is not null);
        if (held.Phase == PartitionPhase.Importing && chunk.Number == held.NextChunk)
        {
            if (!Import(chunk))
            {
                DiscardImport(partition, chunk.MoveEpoch);
                return new ImportReply(partition, chunk.MoveEpoch, chunk.Number, false, 0);
            }

            held.NextChunk++;
            if (chunk.Last)
                held.Phase = PartitionPhase.Imported;
        }

        return new ImportReply(partition, chunk.MoveEpoch, chunk.Number, true, held.NextChunk);
    }

    private bool Import(ImportChunk chunk)
    {
        // The source was sealed all the while: what it read before it heard of the flush was stored before the flush.
        if (!chunk.Flush.IsCutBy(_flush) && !environment.Import(chunk.Partition, chunk.Items.Span))
            return false;

        // The items have brought along the time at which their source would have flushed them; a flush that it did not know of has put another in its place,
        // before that time or after it.
        if (chunk.Flush.Number < _flush.Number && _flush.AtUnixSeconds != 0)
        {
            if (chunk.Flush.Number == _flush.Cut)
                environment.Flush(chunk.Partition, _flush.AtUnixSeconds);
            else
                environment.RescheduleFlush(chunk.Partition, _flush.AtUnixSeconds);
        }

        return true;
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
            _held[partition] = null;
            environment.Drop(partition);
        }

        environment.OnHashSeedDiffers();
    }

    /// <summary>Carries out flushes that this silo has not heard of before, on all that it holds, in whatever phase.</summary>
    private void ApplyFlush(FlushMark mark)
    {
        if (mark.Number <= _flush.Number)
            return;
        bool cut = _flush.IsCutBy(mark);
        _flush = mark;
        for (int partition = 0; partition < _held.Length; partition++)
        {
            if (_held[partition] is null)
                continue;
            if (cut)
                environment.Flush(partition, 0);
            if (mark.AtUnixSeconds != 0)
                environment.Flush(partition, mark.AtUnixSeconds);
        }
    }

    /// <summary>The target's answer to a chunk.</summary>
    public void OnImportReply(ImportReply reply, long nowMilliseconds)
    {
        if ((uint)reply.Partition >= (uint)_held.Length
            || _held[reply.Partition] is not { Phase: PartitionPhase.Sealed, Sending: { State: SendState.Streaming } sending }
            || sending.MoveEpoch != reply.MoveEpoch)
            return;
        if (!reply.Accepted)
        {
            EndSending(sending, SendState.Failed);
            return;
        }

        if (reply.Number >= reply.NextNumber && sending.InFlight.TryPeek(out ImportChunk? missing) && missing.Number == reply.NextNumber)
        {
            // It arrived before its turn and was ignored.
            SendAgain(sending, nowMilliseconds);
            return;
        }

        while (sending.InFlight.Count > 0 && sending.InFlight.Peek().Number < reply.NextNumber)
        {
            sending.InFlight.Dequeue();
            sending.LastProgressMilliseconds = nowMilliseconds;
        }

        Pump(reply.Partition, sending, nowMilliseconds);
    }

    /// <summary>Time passes: sends again what was not answered, gives up what does not get on.</summary>
    public void Tick(long nowMilliseconds)
    {
        for (int partition = 0; partition < _held.Length; partition++)
        {
            if (_held[partition]?.Sending is not { State: SendState.Streaming } sending)
                continue;
            if (nowMilliseconds - sending.LastProgressMilliseconds >= SendGiveUpMilliseconds)
            {
                EndSending(sending, SendState.Failed);
                continue;
            }

            if (nowMilliseconds - sending.LastSentMilliseconds < ChunkResendMilliseconds)
                continue;
            SendAgain(sending, nowMilliseconds);
        }
    }

    private void SendAgain(Sending sending, long nowMilliseconds)
    {
        sending.LastSentMilliseconds = nowMilliseconds;
        foreach (ImportChunk chunk in sending.InFlight)
            environment.SendChunk(sending.Target, chunk with { Term = _term });
    }

    private void Execute(PartitionCommand command, long nowMilliseconds)
    {
        int partition = command.Partition;
        Held? held = _held[partition];
        switch (command.Kind)
        {
            case CommandKind.Assign:
                Assign(partition, held, command.Epoch);
                break;

            case CommandKind.Send when held?.Phase == PartitionPhase.Active && held.Epoch == command.Epoch:
                held.Phase = PartitionPhase.Sealed;
                environment.Seal(partition);
                BeginSending(partition, held, command, nowMilliseconds);
                break;

            case CommandKind.Send when held?.Phase == PartitionPhase.Sealed
                && held.Epoch == command.Epoch && (held.Sending?.MoveEpoch ?? 0) < command.MoveEpoch:
                BeginSending(partition, held, command, nowMilliseconds);
                break;

            case CommandKind.Activate when held?.Phase is PartitionPhase.Imported or PartitionPhase.Opening && held.Epoch == command.MoveEpoch:
                held.KeepItems |= held.Phase == PartitionPhase.Imported;
                held.Phase = PartitionPhase.Opening;
                environment.Activate(partition, held.Epoch, held.KeepItems);
                break;

            case CommandKind.Discard:
                DiscardImport(partition, command.MoveEpoch);
                break;

            case CommandKind.Unseal when held?.Phase == PartitionPhase.Sealed && held.Epoch == command.Epoch:
                held.Phase = PartitionPhase.Active;
                held.Sending = null;
                environment.Unseal(partition);
                break;

            case CommandKind.Restore when held?.Phase == PartitionPhase.Kept && held.Epoch == command.Epoch:
                held.Phase = PartitionPhase.Opening;
                held.Epoch = command.MoveEpoch;
                held.KeepItems = true;
                RestoredCount++;
                environment.Activate(partition, held.Epoch, keepItems: true);
                break;

            case CommandKind.Drop when held?.Phase is PartitionPhase.Opening or PartitionPhase.Active or PartitionPhase.Sealed or PartitionPhase.Kept
                && held.Epoch <= command.Epoch:
                _held[partition] = null;
                environment.Drop(partition);
                break;
        }
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
                held.Sending = null;
                environment.Unseal(partition);
                return;

            case PartitionPhase.Opening when held.Epoch <= epoch:
                held.Epoch = epoch;
                environment.Activate(partition, epoch, held.KeepItems);
                return;

            case not null when held.Epoch >= epoch && held.Phase is not (PartitionPhase.Importing or PartitionPhase.Imported or PartitionPhase.Kept):
                return;
        }

        // Whatever else is held is older than what others had since, or an import that is off.
        if (held is not null)
            environment.Drop(partition);
        _held[partition] = new Held { Phase = PartitionPhase.Opening, Epoch = epoch };
        environment.Activate(partition, epoch, keepItems: false);
    }

    private void DiscardImport(int partition, long moveEpoch)
    {
        _discardedEpochs[partition] = Math.Max(_discardedEpochs[partition], moveEpoch);
        if (_held[partition] is { Phase: PartitionPhase.Importing or PartitionPhase.Imported } held && held.Epoch <= moveEpoch)
        {
            _held[partition] = null;
            environment.Drop(partition);
        }
    }

    private void BeginSending(int partition, Held held, PartitionCommand command, long nowMilliseconds)
    {
        held.Sending = new Sending
        {
            Target = command.Target, MoveEpoch = command.MoveEpoch, State = SendState.Streaming, LastProgressMilliseconds = nowMilliseconds,
        };
        environment.BeginExport(partition);
        Pump(partition, held.Sending, nowMilliseconds);
    }

    private void Pump(int partition, Sending sending, long nowMilliseconds)
    {
        while (!sending.ReadAll && sending.InFlight.Count < ChunksInFlightMax)
        {
            ReadOnlyMemory<byte> items = environment.Export(partition, out bool last);
            ImportChunk chunk = new()
            {
                Term = _term, Source = Self, Partition = partition, MoveEpoch = sending.MoveEpoch, Number = sending.NextChunk++, Last = last,
                Flush = _flush, Items = items,
            };
            sending.ReadAll = last;
            sending.InFlight.Enqueue(chunk);
            sending.LastSentMilliseconds = nowMilliseconds;
            environment.SendChunk(sending.Target, chunk);
        }

        if (sending.ReadAll && sending.InFlight.Count == 0)
        {
            environment.Release(partition);
            EndSending(sending, SendState.Done);
        }
    }

    private void EndSending(Sending sending, SendState state)
    {
        sending.State = state;
        sending.InFlight.Clear();
        Nudge();
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
                partitions.Add(new PartitionReport(partition, PartitionPhase.Kept, kept.Epoch, _kept!.KnownEpochs[partition], SendState.None));
            else if (_held[partition] is { } held)
                partitions.Add(new PartitionReport(partition, held.Phase, held.Epoch, held.Sending?.MoveEpoch ?? 0, held.Sending?.State ?? SendState.None));
            else if (_table.HashSeed.IsNone && _kept is not null && _kept.KnownEpochs[partition] != 0)
                partitions.Add(new PartitionReport(partition, PartitionPhase.Kept, 0, _kept.KnownEpochs[partition], SendState.None));
        }

        return new SyncReply
        {
            Silo = Self, Term = _term, Sequence = sequence, TableVersion = _table.Version, HashSeed = _table.HashSeed,
            MemoryBytes = memoryBytes, PartitionCount = _held.Length,
            MembershipVersion = _membershipVersion, Draining = Draining,
            Flush = _flush, SilosVersion = Silos.Version, Gateway = Gateway, Partitions = partitions,
            EpochMax = EpochMax(), TableTermMax = Math.Max(_table.Version.Term, _kept?.TableTerm ?? 0), Kept = ReportKept(nowMilliseconds),
        };
    }

    private sealed class Held
    {
        public PartitionPhase Phase;
        public long Epoch;

        /// <summary>While opening: the items were imported.</summary>
        public bool KeepItems;

        /// <summary>While importing: the number of the chunk that comes next.</summary>
        public int NextChunk;

        /// <summary>While sealed: the sending under way, or the last one.</summary>
        public Sending? Sending;
    }

    private sealed class Sending
    {
        public SiloId Target;
        public long MoveEpoch;
        public SendState State;
        public int NextChunk;
        public bool ReadAll;
        public long LastProgressMilliseconds;
        public long LastSentMilliseconds;
        public readonly Queue<ImportChunk> InFlight = new(ChunksInFlightMax);
    }
}
