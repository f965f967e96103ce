namespace OrleansCache.Ownership;

// What a coordinator learns from the silos' first answers: owners, epochs and the seed of the key hash.
public sealed partial class Coordinator
{
    /// <summary>
    /// All silos have said what they hold: the highest epoch of a partition is its owner's, and one that knows the seed of the key hash says it.
    /// </summary>
    private void Recover()
    {
        bool isNewLife = IsNewLife();
        if (isNewLife)
            _lostMilliseconds = -SilentMillisecondsMax;
        RestorePlan? restore = isNewLife ? PlanRestore() : null;
        _hashSeed = restore?.Seed ?? ChooseHashSeed();
        TakeOverWireVersion();
        foreach ((SiloId silo, Member member) in _members)
            Adopt(silo, member);
        AdoptKnownEpochs();
        NumberAbove();
        if (restore is not null)
            Restore(restore);
        _recovered = true;
        Publish();
        environment.OnEvent(CoordinatorEvent.TookOver, _owners.Count(owner => !owner.IsNone), self);
    }

    /// <summary>
    /// The seed that silos report, or a new one. They cannot report two (docs/decisions/0014-keyed-hash.md); if they do nevertheless,
    /// the one under which most partitions are held stays, of equals that of the oldest silo, and silos with another have to go
    /// (<see cref="SiloAgent.HashSeedDiffers"/>).
    /// </summary>
    private HashSeed ChooseHashSeed()
    {
        Dictionary<HashSeed, int> held = [];
        HashSeed chosen = default;
        foreach (Member member in _members.Values)
        {
            SyncReply reply = member.Reply!;
            if (reply.PartitionCount == partitionCount && !reply.HashSeed.IsNone)
                held[reply.HashSeed] = held.GetValueOrDefault(reply.HashSeed) + reply.Partitions.Count;
        }

        foreach (Member member in _members.Values)
        {
            if (held.TryGetValue(member.Reply!.HashSeed, out int count) && (chosen.IsNone || count > held[chosen]))
                chosen = member.Reply.HashSeed;
        }

        return chosen.IsNone ? environment.DrawHashSeed() : chosen;
    }

    private bool Adopt(SiloId silo, Member member)
    {
        member.Adopted = true;
        bool changed = false;
        if (!IsUsable(member))
            return changed;
        foreach (PartitionReport report in member.Reply!.Partitions)
        {
            _epochsUsed[report.Partition] = Math.Max(_epochsUsed[report.Partition], Math.Max(report.Epoch, report.MoveEpoch));
            if (report.Phase is PartitionPhase.Opening or PartitionPhase.Active or PartitionPhase.Sealed && report.Epoch > _epochs[report.Partition])
            {
                _owners[report.Partition] = silo;
                _epochs[report.Partition] = report.Epoch;
                _copies[report.Partition].Clear();
                changed = true;
            }
        }

        foreach (CopyReport copy in member.Reply.Copies)
        {
            _epochsUsed[copy.Partition] = Math.Max(_epochsUsed[copy.Partition], copy.Copy);
            if (_owners[copy.Partition] == silo)
                _copies[copy.Partition].Add(new Copy(copy.Copy, copy.Target));
        }

        return changed;
    }

    /// <summary>Epochs of the tables of former terms: what is older is out of date, although nobody may live who served it.</summary>
    private void AdoptKnownEpochs()
    {
        PartitionTable known = environment.KnownTable;
        for (int partition = 0; partition < partitionCount && known.PartitionCount == partitionCount && known.HashSeed == _hashSeed; partition++)
        {
            if (_owners[partition].IsNone)
                _epochs[partition] = Math.Max(_epochs[partition], known.EpochOf(new PartitionId(partition)));
        }
    }
}
