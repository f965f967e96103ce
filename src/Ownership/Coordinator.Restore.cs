namespace OrleansCache.Ownership;

// A cluster that was down as a whole, and whose silos come back with memory files (docs/decisions/0016-memory-file.md).
public sealed partial class Coordinator
{
    /// <summary>How long silos with memory files are waited for, from the first one's report on.</summary>
    public const int GatherMilliseconds = 15_000;

    /// <summary>How long if no file that has been reported counts.</summary>
    public const int GatherMillisecondsWhenEmpty = 5_000;

    /// <summary>
    /// How long if everything seems to be there. What is there cannot know of a life of the cluster that came after it, with other silos: those have this long.
    /// </summary>
    public const int GatherMillisecondsMin = 2_000;

    /// <summary>
    /// A silo that stopped this much earlier than the last one was taken for dead by the others, and what it keeps is out of date. What it takes to be taken
    /// for dead at least, is less.
    /// </summary>
    public const int KeptAgeDifferenceSecondsMax = 10;

    /// <summary>Memberships that may have come between what the files know of the former life and its end.</summary>
    private const long UnknownTerms = 16L << TermBits;

    private readonly Restoring[] _restoring = new Restoring[partitionCount];
    private long? _gatheringSince;
    private long _epochMin;
    private long _tableTerm;

    /// <summary>
    /// Whether enough is known to begin. A new life of the cluster, in which silos report memory files, waits for others that may have newer ones: until as
    /// many as the cluster had have reported and the newest of every partition is there, but not for less than <see cref="GatherMillisecondsMin"/>, or until
    /// the time is over.
    /// </summary>
    private bool HasGathered(long now)
    {
        if (!IsNewLife() || !_members.Values.Any(member => member.Reply!.Kept.AgeSeconds >= 0))
            return true;
        _gatheringSince ??= now;
        long waited = now - _gatheringSince.Value;
        if (waited < GatherMillisecondsMin)
            return false;
        RestorePlan? plan = PlanRestore();
        return plan is { IsComplete: true } || waited >= (plan is null ? GatherMillisecondsWhenEmpty : GatherMilliseconds);
    }

    /// <summary>Nobody knows the seed of the key hash, hence nobody has ever been told to serve anything.</summary>
    private bool IsNewLife() =>
        _members.Values.All(member => member.Reply!.HashSeed.IsNone && member.Reply.Partitions.All(report => report.Phase == PartitionPhase.Kept));

    /// <summary>
    /// What counts of the files. Of several lives of the cluster the one that lasted longest; of it, the silos that lasted to its end; of a partition, what was
    /// served in the highest epoch that any file knows of. Where that is not there, or not in one silo alone, the partition begins empty. Null if no file
    /// counts.
    /// </summary>
    private RestorePlan? PlanRestore()
    {
        SyncReply? last = null;
        foreach (Member member in _members.Values)
        {
            SyncReply reply = member.Reply!;
            if (!HasContent(reply))
                continue;
            bool isBetter = last is null || reply.Kept.AgeSeconds < last.Kept.AgeSeconds
                || (reply.Kept.AgeSeconds == last.Kept.AgeSeconds && CountKept(reply) > CountKept(last));
            if (isBetter)
                last = reply;
        }

        if (last is null)
            return null;
        var plan = new RestorePlan(last.Kept.Seed, partitionCount);
        int reporting = 0;
        int siloCount = 0;
        foreach (Member member in _members.Values)
        {
            SyncReply reply = member.Reply!;
            if (!HasContent(reply) || reply.Kept.Seed != plan.Seed)
                continue;
            reporting++;
            siloCount = Math.Max(siloCount, reply.Kept.SiloCount);
            bool lasted = reply.Kept.AgeSeconds - last.Kept.AgeSeconds <= KeptAgeDifferenceSecondsMax;
            foreach (PartitionReport report in reply.Partitions)
                plan.Add(reply.Silo, report, lasted);
        }

        plan.IsComplete = reporting >= siloCount && plan.Owners.All(owner => !owner.IsNone);
        return plan;

        bool HasContent(SyncReply reply) => reply.PartitionCount == partitionCount && !reply.Kept.Seed.IsNone && reply.Kept.AgeSeconds >= 0;
    }

    private static int CountKept(SyncReply reply) => reply.Partitions.Count(report => report.Phase == PartitionPhase.Kept && report.Epoch != 0);

    private void Restore(RestorePlan plan)
    {
        int restored = 0;
        for (int partition = 0; partition < partitionCount; partition++)
        {
            if (plan.Owners[partition].IsNone)
                continue;
            _owners[partition] = plan.Owners[partition];
            _epochs[partition] = NextEpoch(partition);
            _restoring[partition] = new Restoring(plan.Epochs[partition], _epochs[partition]);
            restored++;
        }

        environment.OnEvent(CoordinatorEvent.Restored, restored, self);
    }

    /// <summary>
    /// A cluster that was down as a whole counts its memberships, hence its terms, from 1 again, perhaps. Epochs and table versions go on above all that the
    /// silos know of, and above what may have come after: files that turn up later, and gateways that have lived all the time, compare them.
    /// </summary>
    private void NumberAbove()
    {
        long epoch = 0;
        long tableTerm = 0;
        foreach (Member member in _members.Values)
        {
            epoch = Math.Max(epoch, member.Reply!.EpochMax);
            tableTerm = Math.Max(tableTerm, member.Reply.TableTermMax);
        }

        long first = _term << EpochBits;
        _epochMin = epoch < first ? first : ((epoch >> EpochBits) + UnknownTerms) << EpochBits;
        _tableTerm = tableTerm < _term ? _term : tableTerm + UnknownTerms;
    }

    /// <summary>A partition whose owner goes on from its memory file: served there in this epoch, to be served in that one.</summary>
    private readonly record struct Restoring(long KeptEpoch, long Epoch);

    private sealed class RestorePlan(HashSeed seed, int partitionCount)
    {
        private readonly long[] _known = new long[partitionCount];

        public HashSeed Seed => seed;

        /// <summary>By partition: who keeps the newest; none if nobody does.</summary>
        public SiloId[] Owners { get; } = new SiloId[partitionCount];

        /// <summary>By partition: the epoch in which its owner keeps it.</summary>
        public long[] Epochs { get; } = new long[partitionCount];

        /// <summary>Nothing better can turn up.</summary>
        public bool IsComplete { get; set; }

        public void Add(SiloId silo, PartitionReport report, bool lasted)
        {
            int partition = report.Partition;
            long known = Math.Max(report.Epoch, report.MoveEpoch);
            if (known > _known[partition])
            {
                _known[partition] = known;
                Owners[partition] = default;
            }
            else if (known == _known[partition] && report.Epoch == known && Epochs[partition] == known)
            {
                // Two of one epoch: copies of one file. Neither is trusted.
                Owners[partition] = default;
                return;
            }

            if (report.Epoch != _known[partition])
                return;
            Epochs[partition] = report.Epoch;
            Owners[partition] = lasted ? silo : default;
        }
    }
}
