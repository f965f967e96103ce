using OrleansCache.Ownership.Routing;

namespace OrleansCache.Ownership.Replication;

/// <summary>Carries messages to the silos that hold replicas. It knows nothing of what is inside them.</summary>
public interface IReplicaTransport
{
    /// <summary>
    /// Has that silo's <see cref="ReplicaReceiver"/> take the message, and tells the outcome. It may come at once, late, or never; what has failed may have
    /// been taken all the same. The bytes do not change before the outcome is told.
    /// </summary>
    void Send(SiloId target, PooledBytes message, IReplicaCall call);
}

/// <summary>A message on its way. Told once, from any thread.</summary>
public interface IReplicaCall
{
    void OnReply(ReadOnlySpan<byte> reply);

    void OnFailure();
}

/// <summary>What replication tells the owner's agent, from any thread, holding no lock of its own; and what it needs of its surroundings.</summary>
public interface IReplicationHost
{
    void OnCopySynced(int partition, long copy);

    void OnCopyFailed(int partition, long copy);

    void OnRetained(int partition, long copy);

    void OnDrained(int partition);

    /// <summary>Runs it on another thread, after a while.</summary>
    void Post(TimeSpan delay, Action action);
}

/// <summary>What a receiver asks its silo's agent, holding no lock but that of the sender's stream.</summary>
public interface IReplicaHost
{
    bool IsMember(SiloId source);

    bool HandleBegin(SiloId source, int partition, long copy);

    void HandleComplete(SiloId source, int partition, long copy);

    bool HandleRetain(SiloId source, int partition, long copy, long newCopy, long position);
}

/// <summary>Told, on any thread, that owners may acknowledge more than before.</summary>
public interface IAckListener
{
    void OnAcknowledged();
}
