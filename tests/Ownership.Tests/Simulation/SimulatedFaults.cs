using OrleansCache.Ownership.Replication;

namespace OrleansCache.Ownership.Tests.Simulation;

/// <summary>Rules that a simulation breaks on purpose, to show that its checks notice.</summary>
internal sealed record SimulatedFaults
{
    public static SimulatedFaults None { get; } = new();

    /// <summary>A silo that yields a partition goes on serving it.</summary>
    public bool HasTwoOwners { get; init; }

    /// <summary>An owner stops to wait for a copy that still counts as complete where it is.</summary>
    public bool DetachesWithoutDrop { get; init; }

    /// <summary>Replicas tell whoever was the owner that they have taken what they have not.</summary>
    public bool HasNoFence { get; init; }

    /// <summary>Effects are applied once more, after later ones.</summary>
    public bool AppliesTwice { get; init; }

    /// <summary>Those who elect a new owner rely on what they have heard before the loss.</summary>
    public bool ElectsByOldReports { get; init; }

    /// <summary>A replica that a new owner has taken over counts before it has its new number.</summary>
    public bool CountsTooEarly { get; init; }

    /// <summary>A silo writes the newest wire version that it speaks, whatever the others speak.</summary>
    public bool WritesTooEarly { get; init; }

    /// <summary>A reply to a replication message in which nothing was refused.</summary>
    public static byte[] WithoutRefusals(byte[] reply)
    {
        Assert.True(ReplicationFormat.TryReadReply(reply, out _, out long number, []));
        return ReplicationFormat.WriteReply(MessageStatus.Ok, number, []);
    }

    public void Tamper(SimulatedNode from, byte[] message, out byte[] tampered)
    {
        tampered = message;
        if (!AppliesTwice)
            return;
        var reader = new ReplicationFormat.Reader(message);
        var output = new ReplicationWriter();
        output.Begin(reader.Layout, reader.Stream, reader.Number, reader.Source);
        while (reader.Read())
        {
            ReadOnlySpan<byte> again = default;
            if (reader.Kind == GroupKind.Effects && reader.Effects.Length > 0)
            {
                again = from.LastEffects.GetValueOrDefault((reader.Partition, reader.Copy));
                from.LastEffects[(reader.Partition, reader.Copy)] = reader.Effects.ToArray();
            }

            output.WriteGroup(
                reader.Kind, reader.Partition, reader.Copy, reader.First, reader.Last, reader.Sequence, [.. reader.Effects, .. again]);
        }

        tampered = output.Buffer[..output.Length];
    }
}
