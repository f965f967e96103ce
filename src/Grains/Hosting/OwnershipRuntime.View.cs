using OrleansCache.Ownership;
using OrleansCache.Ownership.Replication;

namespace OrleansCache.Grains.Hosting;

// What others may ask this silo beside its partitions' requests.
internal sealed partial class OwnershipRuntime
{
    private volatile Func<IReadOnlyList<StatisticValue>>? _statistics;

    /// <summary>The gateway of this silo listens: where, and what it counts.</summary>
    public void Publish(GatewayAddress? gateway, int? portForGateways, Func<IReadOnlyList<StatisticValue>> statistics)
    {
        _statistics = statistics;
        lock (_lock)
        {
            _agent.Publish(SiloEntry.Write(gateway, portForGateways));
        }
    }

    public SiloList ReadSilos()
    {
        lock (_lock)
        {
            return _agent.Silos;
        }
    }

    public SiloReport ReadStatistics()
    {
        List<StatisticValue> values = [.. _statistics?.Invoke() ?? []];
        List<int> sending = [], receiving = [];
        NodeState state = ReadState();
        lock (_lock)
        {
            for (int partition = 0; partition < _partitions.PartitionCount; partition++)
            {
                PartitionPhase phase = _agent.PhaseOf(partition);
                if (phase == PartitionPhase.Sealed)
                    sending.Add(partition);
                else if (phase is PartitionPhase.Copying)
                    receiving.Add(partition);
            }

            values.AddRange(
            [
                new("partitions_moving", _agent.MovingCount),
                new("partitions_taken_over", _journal.TotalIn.Partitions),
                new("bytes_taken_over", _journal.TotalIn.Bytes),
                new("partitions_handed_over", _journal.TotalOut.Partitions),
                new("bytes_handed_over", _journal.TotalOut.Bytes),
                new("handover_pause_ms", _journal.Pauses.Sum),
                new("handover_pause_max_ms", _journal.Pauses.Longest),
                new("draining", _agent.Draining ? 1 : 0),
                new("partitions_replicated", _agent.ReplicaCount),
                new("replica_copies", _agent.CopyCount),
                new("replica_copies_incomplete", _agent.IncompleteCopyCount),
                new("wire_speaks", _agent.Speaks),
            ]);
        }

        // The coordinator's silo tells, and the others nothing: so the sum over the silos is right.
        MovesOverview moves = ReadOwnMoves();
        values.AddRange(
        [
            new("moves_paused", moves.IsPaused ? 1 : 0),
            new("partitions_to_move", moves.PartitionsToMove),
            new("move_bytes_left", moves.BytesLeft),
            new("move_bytes_per_second", moves.BytesPerSecond),
        ]);

        // Each coordinator counts what it has done itself, so the sum over the silos is what the cluster has done as far as they live.
        values.Add(new StatisticValue("moves_committed", state.MovesCommitted));
        values.Add(new StatisticValue("moves_failed", state.MovesFailed));
        values.Add(new StatisticValue("moves_aborted", state.MovesAborted));
        ReplicationStatistics replication = _replicator.ReadStatistics();
        values.AddRange(
        [
            new("links", _links.Count),
            new("replication_messages", replication.Messages),
            new("replication_bytes", replication.Bytes),
            new("replication_retries", replication.Retries),
            new("replication_pending_bytes", replication.PendingBytes),
            new("replication_copy_bytes", replication.CopyBytes),
        ]);
        return new SiloReport(_table.CountOf(LocalSilo), values, [.. sending], [.. receiving]);
    }

    /// <summary>Partitions that this silo takes over from others at this moment, and those that it serves.</summary>
    public (int Receiving, int Serving) ReadProgress()
    {
        int receiving = 0, serving = 0;
        lock (_lock)
        {
            for (int partition = 0; partition < _partitions.PartitionCount; partition++)
            {
                PartitionPhase phase = _agent.PhaseOf(partition);
                receiving += phase is PartitionPhase.Copying or PartitionPhase.Opening ? 1 : 0;
                serving += phase == PartitionPhase.Active ? 1 : 0;
            }
        }

        return (receiving, serving);
    }

    /// <summary>Null if the partition is not served here.</summary>
    public ItemScanPage? Scan(int partition, ulong position) =>
        _freeze.MayServeNow() && (uint)partition < (uint)_partitions.PartitionCount && _partitions.TryGet(new PartitionId(partition)) is { } here
            && here.TryScan(position, NowUnixSeconds, out ItemScanPage? page) ? page : null;
}
