using OrleansCache.Grains.Hosting.Links;
using OrleansCache.Ownership;
using OrleansCache.Ownership.Replication;
using OrleansCache.Ownership.Routing;

namespace OrleansCache.Grains.Hosting;

/// <summary>
/// Messages of replication over links, or, where there is none and if they are long, as grain calls. What has failed is the sender's business:
/// it sends the same again.
/// </summary>
internal sealed class GrainReplicaTransport(SiloGrains silos, SiloLinks links) : IReplicaTransport
{
    public void Send(SiloId target, PooledBytes message, IReplicaCall call)
    {
        if (links.Find(target, lane: 0)?.TrySendReplication(message, call) == true)
            return;
        if (links.IsBroken(target, lane: 0))
            call.OnFailure();
        else
            _ = SendAsync(target, message, call);
    }

    private async Task SendAsync(SiloId target, PooledBytes message, IReplicaCall call)
    {
        ReadOnlyMemory<byte> reply;
        try
        {
            ControlMessage answer = await silos.Of(target).ReplicateAsync(new BatchRequestMessage(message)).ConfigureAwait(false);
            reply = answer.Payload;
        }
        catch (Exception)
        {
            call.OnFailure();
            return;
        }

        call.OnReply(reply.Span);
    }
}

/// <summary>How copies of this silo's partitions are kept.</summary>
/// <param name="Replicas">--replicas: how many copies of each partition beside the owner's.</param>
/// <param name="IsAsynchronous">--replication async: replies do not wait for them.</param>
/// <param name="Zone">--zone of this silo; empty for none.</param>
/// <param name="WireVersionMax">--wire-version: what this silo speaks to others at most.</param>
internal sealed record ReplicationOptions(int Replicas, bool IsAsynchronous, string Zone, long MoveLimitBytesPerSecond, byte WireVersionMax);
