namespace OrleansCache.Ownership;

/// <summary>What an operator is told of ownership.</summary>
public enum JournalKind
{
    SiloJoined,

    /// <summary>A silo that was told to stop, and has.</summary>
    SiloLeft,

    /// <summary>A silo that is gone without a word; <see cref="JournalEntry.Partitions"/> were its.</summary>
    SiloLost,

    /// <summary>Partitions came here with their items.</summary>
    TakenOver,

    /// <summary>Partitions went from here to other silos with their items.</summary>
    HandedOver,

    /// <summary>Partitions of a silo that was lost begin empty here.</summary>
    OpenedEmpty,

    /// <summary>Partitions of a silo that was lost go on here, from their replicas.</summary>
    Promoted,

    /// <summary>The silos write <see cref="JournalEntry.WireVersion"/> to each other from now on.</summary>
    WireVersionAgreed,
}

/// <summary>One line for the operator.</summary>
/// <param name="Kind">What happened.</param>
/// <param name="Silo">HOST:PORT of the other silo; empty where several are meant.</param>
/// <param name="Silos">The cluster's silos now.</param>
/// <param name="Partitions">How many.</param>
/// <param name="Bytes">What of them travelled.</param>
/// <param name="Seconds">From the first of them to the last.</param>
public readonly record struct JournalEntry(JournalKind Kind, string Silo, int Silos, int Partitions, long Bytes, double Seconds)
{
    public int WireVersion { get; init; }

    /// <summary>Of what was handed over: how long a partition was not served at most, as far as this silo knows. Its requests waited for that.</summary>
    public long LongestPauseMilliseconds { get; init; }
}

/// <summary>
/// Turns what happens to single partitions into few lines for a person: moves that follow each other within <see cref="QuietMilliseconds"/> are one line.
/// Also counts them for the statistics. Non-goals: thread safety (the caller serialises), reading clocks.
/// </summary>
public sealed class OwnershipJournal(SiloId self)
{
    /// <summary>A burst of moves has ended when nothing has moved for so long.</summary>
    public const int QuietMilliseconds = 1_000;

    private readonly List<JournalEntry> _entries = [];
    private readonly Dictionary<SiloId, int> _ownedLast = [];
    private SiloList _silos = SiloList.Empty;
    private readonly Dictionary<int, SiloId> _otherOwners = [];

    /// <summary>Partitions that are not served here any more, and since when; until the table says who serves them.</summary>
    private readonly Dictionary<int, long> _sealedAt = [];
    private Burst _in;
    private Burst _out;
    private Burst _empty;
    private Burst _promoted;

    /// <summary>Since the start: partitions that came here with their items, and the bytes they brought.</summary>
    public (long Partitions, long Bytes) TotalIn { get; private set; }

    /// <summary>Since the start: partitions that went elsewhere with their items, and the bytes they took along.</summary>
    public (long Partitions, long Bytes) TotalOut { get; private set; }

    /// <summary>
    /// Of the partitions that were handed over: for how long nobody served them, from the seal to the table that names the new owner. Milliseconds; the sum of
    /// all, and the longest, since the start.
    /// </summary>
    public (long Sum, long Longest) Pauses { get; private set; }

    /// <summary>The list of silos, as it is now. While this silo leaves, too, others may have been told to stop with it: then none is called lost.</summary>
    public void OnSilos(SiloList silos, bool isLeaving = false)
    {
        ArgumentNullException.ThrowIfNull(silos);
        if (ReferenceEquals(silos, _silos))
            return;
        SiloList before = _silos;
        _silos = silos;
        foreach (SiloEntry entry in silos.Silos)
        {
            // The first list is the state of things, and so is this silo's own place in it.
            if (before.Silos.Count > 0 && entry.Silo != self && !before.Contains(entry.Silo))
                Add(JournalKind.SiloJoined, entry.Silo, 0);
        }

        foreach (SiloEntry entry in before.Silos)
        {
            // One that leaves is taken out of the gateways first.
            if (!silos.Contains(entry.Silo))
                Add(isLeaving || entry.Gateway.Length == 0 ? JournalKind.SiloLeft : JournalKind.SiloLost, entry.Silo, _ownedLast.GetValueOrDefault(entry.Silo));
            _ownedLast.Remove(entry.Silo);
        }

        void Add(JournalKind kind, SiloId silo, int partitions) => _entries.Add(new JournalEntry(kind, silo.Address, silos.Silos.Count, partitions, 0, 0));
    }

    /// <summary>The partition's requests wait from now on, because another silo is to serve it.</summary>
    public void OnSealed(int partition, long nowMilliseconds) => _sealedAt[partition] = nowMilliseconds;

    /// <summary>It is served here again.</summary>
    public void OnUnsealed(int partition) => _sealedAt.Remove(partition);

    /// <summary>The table has changed: remembers what a silo owned before it owned nothing, and tells what is written to others from now on.</summary>
    public void OnTable(PartitionTable before, PartitionTable after, long nowMilliseconds)
    {
        ArgumentNullException.ThrowIfNull(before);
        ArgumentNullException.ThrowIfNull(after);
        if (before.AssignedCount > 0 && after.WireVersion != before.WireVersion)
            _entries.Add(new JournalEntry(JournalKind.WireVersionAgreed, "", _silos.Silos.Count, 0, 0, 0) { WireVersion = after.WireVersion });
        foreach (SiloEntry entry in _silos.Silos)
        {
            if (before.CountOf(entry.Silo) is > 0 and int count && after.CountOf(entry.Silo) == 0)
                _ownedLast[entry.Silo] = count;
        }

        foreach ((int partition, long since) in _sealedAt)
        {
            SiloId owner = after.OwnerOf(new PartitionId(partition));
            if (owner.IsNone || owner == self)
                continue;
            _sealedAt.Remove(partition);
            long pause = nowMilliseconds - since;
            _out.LongestPauseMilliseconds = Math.Max(_out.LongestPauseMilliseconds, pause);
            Pauses = (Pauses.Sum + pause, Math.Max(Pauses.Longest, pause));
        }

        for (int partition = 0; partition < Math.Min(before.PartitionCount, after.PartitionCount); partition++)
        {
            foreach (PartitionTable table in (ReadOnlySpan<PartitionTable>)[before, after])
            {
                SiloId owner = table.OwnerOf(new PartitionId(partition));
                if (!owner.IsNone && owner != self)
                    _otherOwners[partition] = owner;
            }
        }
    }

    /// <summary>
    /// A partition is served here from now on, with so many bytes of items that were there before, or empty (null). Whether that is a move or the end of
    /// another silo is told by whether the former owner is a member still.
    /// </summary>
    public void OnOpened(int partition, long? itemBytes, Predicate<SiloId> isMember, long nowMilliseconds)
    {
        ArgumentNullException.ThrowIfNull(isMember);
        OnUnsealed(partition);
        bool wasLost = _otherOwners.Remove(partition, out SiloId former) && !isMember(former);
        if (itemBytes is not { } bytes)
        {
            if (wasLost)
                _empty.Add(1, 0, nowMilliseconds);
        }
        else if (wasLost)
            _promoted.Add(1, bytes, nowMilliseconds);
        else
        {
            _in.Add(1, bytes, nowMilliseconds);
            TotalIn = (TotalIn.Partitions + 1, TotalIn.Bytes + bytes);
        }
    }

    /// <summary>A partition is not served here any more, because another silo that has all its items goes on with it.</summary>
    public void OnHandedOver(long itemBytes, long nowMilliseconds)
    {
        _out.Add(1, itemBytes, nowMilliseconds);
        TotalOut = (TotalOut.Partitions + 1, TotalOut.Bytes + itemBytes);
    }

    /// <summary>What is to be told by now; at the end of the silo, everything.</summary>
    public JournalEntry[] Take(long nowMilliseconds, bool isEnd = false)
    {
        Close(ref _in, JournalKind.TakenOver);
        Close(ref _out, JournalKind.HandedOver);
        Close(ref _empty, JournalKind.OpenedEmpty);
        Close(ref _promoted, JournalKind.Promoted);
        if (_entries.Count == 0)
            return [];
        JournalEntry[] entries = [.. _entries];
        _entries.Clear();
        return entries;

        void Close(ref Burst burst, JournalKind kind)
        {
            if (!burst.IsOpen || (!isEnd && nowMilliseconds - burst.LastMilliseconds < QuietMilliseconds))
                return;
            if (burst.Partitions > 0)
            {
                _entries.Add(new JournalEntry(kind, "", _silos.Silos.Count, burst.Partitions, burst.Bytes,
                    (burst.LastMilliseconds - burst.FirstMilliseconds) / 1000.0) { LongestPauseMilliseconds = burst.LongestPauseMilliseconds });
            }

            burst = default;
        }
    }

    private struct Burst
    {
        public bool IsOpen;
        public int Partitions;
        public long Bytes;
        public long FirstMilliseconds;
        public long LastMilliseconds;
        public long LongestPauseMilliseconds;

        public void Add(int partitions, long bytes, long nowMilliseconds)
        {
            if (!IsOpen)
                FirstMilliseconds = nowMilliseconds;
            IsOpen = true;
            Partitions += partitions;
            Bytes += bytes;
            LastMilliseconds = nowMilliseconds;
        }
    }
}
