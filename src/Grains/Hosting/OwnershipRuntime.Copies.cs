using OrleansCache.Ownership;
using OrleansCache.Ownership.Links;
using OrleansCache.Ownership.Replication;
using OrleansCache.Ownership.Routing;
using OrleansCache.Storage;

namespace OrleansCache.Grains.Hosting;

// Copies: what the agent decides about them, what replication tells the agent, and replies that wait for them.
internal sealed partial class OwnershipRuntime
{
    /// <summary>A message of another silo's replication; releases it.</summary>
    public byte[] HandleReplication(PooledBytes message)
    {
        try
        {
            return _receiver.Handle(message.Span);
        }
        finally
        {
            message.Release();
        }
    }

    /// <summary>The reply leaves when the copies of the partitions concerned have what it tells of, or without what takes long.</summary>
    public ValueTask<BatchReplyMessage> ExecuteBatchAsync(BatchRequestMessage request)
    {
        PooledBytes reply = _batches.Execute(request.Payload.Span, out List<UnacknowledgedResult>? unacknowledged);
        request.Payload.Release();
        return unacknowledged is null ? new ValueTask<BatchReplyMessage>(Answer(reply)) : new ValueTask<BatchReplyMessage>(HoldAsync(reply, unacknowledged));
    }

    private Task<BatchReplyMessage> HoldAsync(PooledBytes reply, List<UnacknowledgedResult> unacknowledged)
    {
        TaskCompletionSource<BatchReplyMessage> late = new(TaskCreationOptions.RunContinuationsAsynchronously);
        _batches.Hold(reply, unacknowledged, part => late.SetResult(Answer(part)));
        return late.Task;
    }

    /// <summary>More of what a reply has left out.</summary>
    public ValueTask<BatchReplyMessage> CollectAsync(long ticket)
    {
        TaskCompletionSource<BatchReplyMessage> late = new(TaskCreationOptions.RunContinuationsAsynchronously);
        if (!_batches.TryCollect(ticket, reply => late.SetResult(Answer(reply))))
            throw new OrleansException("The results that are asked for are not kept here, or not any more.");
        return new ValueTask<BatchReplyMessage>(late.Task);
    }

    // ILinkTarget: the same without a grain.

    void ILinkTarget.ExecuteBatch(ReadOnlySpan<byte> batch, LinkCall call)
    {
        PooledBytes reply = _batches.Execute(batch, out List<UnacknowledgedResult>? unacknowledged);
        if (unacknowledged is null)
            call.Answer(reply, _table.Version);
        else
            _batches.Hold(reply, unacknowledged, part => call.Answer(part, _table.Version));
    }

    byte[] ILinkTarget.TakeReplication(ReadOnlySpan<byte> message) => _receiver.Handle(message);

    private BatchReplyMessage Answer(PooledBytes reply)
    {
        PartitionTableVersion version = _table.Version;
        return new BatchReplyMessage(reply, version.Term, version.Number);
    }

    // ISiloAgentEnvironment. Under the lock.

    void ISiloAgentEnvironment.Seal(int partition)
    {
        _partitions.TryGet(new PartitionId(partition))?.Seal();
        _journal.OnSealed(partition, NowMilliseconds);
    }

    bool ISiloAgentEnvironment.AwaitDrain(int partition) => _replicator.AwaitDrain(partition);

    void ISiloAgentEnvironment.Unseal(int partition)
    {
        _replicator.Resume(partition);
        _journal.OnUnsealed(partition);
        _partitions.TryGet(new PartitionId(partition))?.Unseal();
    }

    void ISiloAgentEnvironment.Renew(int partition, long epoch) => _partitions.TryGet(new PartitionId(partition))?.Renew(epoch);

    void ISiloAgentEnvironment.Drop(int partition)
    {
        _replicator.End(partition);
        _partitions.Close(new PartitionId(partition), NowUnixSeconds);
        EndActivation(partition);
    }

    void ISiloAgentEnvironment.BeginCopy(int partition, long copy) =>
        _partitions.Open(new PartitionId(partition), copy, PartitionState.Sealed, isReplica: true);

    void ISiloAgentEnvironment.BecomeReplica(int partition, long copy)
    {
        long position = _replicator.End(partition);
        _partitions.TryGet(new PartitionId(partition))?.BecomeReplica(copy, position);
        _journal.OnHandedOver(_partitions.TryGet(new PartitionId(partition))?.ItemBytes ?? 0, NowMilliseconds);
        EndActivation(partition);
    }

    void ISiloAgentEnvironment.Fence(int partition, long epoch) => _partitions.TryGet(new PartitionId(partition))?.Fence(epoch);

    bool ISiloAgentEnvironment.Rename(int partition, long newCopy, long position) =>
        _partitions.TryGet(new PartitionId(partition))?.Rename(newCopy, position) == true;

    long ISiloAgentEnvironment.PositionOf(int partition) => _partitions.TryGet(new PartitionId(partition))?.LogPosition ?? 0;

    void ISiloAgentEnvironment.Attach(int partition, long copy, SiloId target) => _replicator.Attach(partition, copy, target);

    void ISiloAgentEnvironment.Retain(int partition, long copy, long newCopy, SiloId target) => _replicator.Retain(partition, copy, newCopy, target);

    void ISiloAgentEnvironment.Detach(int partition, long copy) => _replicator.Detach(partition, copy);

    private void EndActivation(int partition)
    {
        if (_contexts[partition] is not { } context)
            return;
        _contexts[partition] = null;
        context.Deactivate(new DeactivationReason(DeactivationReasonCode.ApplicationRequested, "The partition has another owner."), CancellationToken.None);
    }

    // IReplicationHost and IReplicaHost. Not under the lock.

    void IReplicationHost.OnCopySynced(int partition, long copy)
    {
        lock (_lock)
        {
            _agent.OnCopySynced(partition, copy);
        }
    }

    void IReplicationHost.OnCopyFailed(int partition, long copy)
    {
        lock (_lock)
        {
            _agent.OnCopyFailed(partition, copy);
        }
    }

    void IReplicationHost.OnRetained(int partition, long copy)
    {
        lock (_lock)
        {
            _agent.OnRetained(partition, copy);
        }
    }

    void IReplicationHost.OnDrained(int partition)
    {
        lock (_lock)
        {
            _agent.OnDrained(partition);
        }
    }

    void IReplicationHost.Post(TimeSpan delay, Action action)
    {
        using AsyncFlowControl flow = ExecutionContext.SuppressFlow();
        if (delay == TimeSpan.Zero)
            ThreadPool.UnsafeQueueUserWorkItem(static action => action(), action, preferLocal: false);
        else
        {
            _ = Task.Delay(delay, _time, _stop.Token).ContinueWith(
                _ => action(), CancellationToken.None, TaskContinuationOptions.OnlyOnRanToCompletion, TaskScheduler.Default);
        }
    }

    bool IReplicaHost.IsMember(SiloId source)
    {
        lock (_lock)
        {
            return _agent.IsMember(source);
        }
    }

    bool IReplicaHost.HandleBegin(SiloId source, int partition, long copy)
    {
        lock (_lock)
        {
            return _agent.HandleBegin(source, partition, copy);
        }
    }

    void IReplicaHost.HandleComplete(SiloId source, int partition, long copy)
    {
        lock (_lock)
        {
            _agent.HandleComplete(source, partition, copy);
        }
    }

    bool IReplicaHost.HandleRetain(SiloId source, int partition, long copy, long newCopy, long position)
    {
        lock (_lock)
        {
            return _agent.HandleRetain(source, partition, copy, newCopy, position);
        }
    }
}
