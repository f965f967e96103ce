using System.Collections.Concurrent;
using OrleansCache.Storage;

namespace OrleansCache.Ownership.Replication;

/// <summary>
/// The replica's side: takes the messages of other silos' <see cref="ReplicaStream"/>s, each once and in order, and applies what they carry to the partitions
/// that this silo holds as copies. What it refuses is decided by the agent and the partitions' gates. Messages of different silos may come at once.
/// </summary>
public sealed class ReplicaReceiver(PartitionSet partitions, IReplicaHost host, TimeProvider time)
{
    private readonly ConcurrentDictionary<SiloId, Sender> _senders = [];

    /// <summary>What this silo has told the coordinator. Whoever writes it something newer breaks the agreement, and is to notice.</summary>
    public byte Speaks { get; init; } = WireVersion.Newest;

    /// <summary>
    /// Takes a message and returns the reply. Throws <see cref="InvalidDataException"/> on bytes that are none, or not of a version that is spoken here.
    /// </summary>
    public byte[] Handle(ReadOnlySpan<byte> message)
    {
        var header = new ReplicationFormat.Reader(message);
        if (header.IsMalformed)
            throw new InvalidDataException("No replication message.");
        if (header.Layout > Speaks)
            throw new InvalidDataException($"A replication message of wire version {header.Layout}; this silo speaks {Speaks} at most.");
        SiloId source = header.Source;
        if (!host.IsMember(source))
            return ReplicationFormat.WriteReply(MessageStatus.NotMember, header.Number, []);
        Sender sender = _senders.GetOrAdd(source, static _ => new Sender());
        lock (sender)
        {
            if (header.Stream < sender.Stream)
                return ReplicationFormat.WriteReply(MessageStatus.OutOfStep, header.Number, []);
            if (header.Stream > sender.Stream)
                (sender.Stream, sender.Number, sender.Reply) = (header.Stream, 0, []);
            if (header.Number == sender.Number)
                return sender.Reply;
            if (header.Number != sender.Number + 1)
                return ReplicationFormat.WriteReply(MessageStatus.OutOfStep, header.Number, []);
            sender.Reply = Apply(message, source, header.Number);
            sender.Number = header.Number;
            return sender.Reply;
        }
    }

    /// <summary>These silos are gone for good.</summary>
    public void Forget(Predicate<SiloId> isGone)
    {
        foreach (SiloId silo in _senders.Keys)
        {
            if (isGone(silo))
                _senders.TryRemove(silo, out _);
        }
    }

    private byte[] Apply(ReadOnlySpan<byte> message, SiloId source, long number)
    {
        uint now = (uint)time.GetUtcNow().ToUnixTimeSeconds();
        List<(int Partition, long Copy)> refused = [];
        var reader = new ReplicationFormat.Reader(message);
        while (reader.Read())
        {
            if ((uint)reader.Partition >= (uint)partitions.PartitionCount || !Apply(in reader, source, now))
                refused.Add((reader.Partition, reader.Copy));
        }

        if (reader.IsMalformed)
            throw new InvalidDataException("A replication message is cut short.");
        return ReplicationFormat.WriteReply(MessageStatus.Ok, number, refused);
    }

    private bool Apply(in ReplicationFormat.Reader group, SiloId source, uint now)
    {
        if ((group.Kind & GroupKind.Retain) != 0)
            return host.HandleRetain(source, group.Partition, group.First, group.Copy, group.Last);
        if ((group.Kind & GroupKind.Begin) != 0 && !host.HandleBegin(source, group.Partition, group.Copy))
            return false;
        if (partitions.TryGet(new PartitionId(group.Partition)) is not { } partition)
            return false;
        if ((group.Kind & GroupKind.Reads) != 0)
        {
            partition.ApplyReads(group.Copy, group.Effects, now);
            return true;
        }

        ApplyStatus status = partition.Apply(group.Copy, group.First, group.Last, group.Sequence, group.Effects, now);
        if (status != ApplyStatus.Ok)
            return false;
        if ((group.Kind & GroupKind.Complete) != 0)
            host.HandleComplete(source, group.Partition, group.Copy);
        return true;
    }

    private sealed class Sender
    {
        public long Stream;
        public long Number;
        public byte[] Reply = [];
    }
}
