using OrleansCache.Ownership;

namespace OrleansCache.Grains.Hosting;

// Whether whoever spreads the load should send it here.
public sealed partial class ClusterNode
{
    /// <summary>How long a silo that has joined, and is given nothing, waits for its share. A cluster may have fewer partitions than silos.</summary>
    private static readonly TimeSpan ShareTimeMax = TimeSpan.FromSeconds(10);

    private long _joinedAt;
    private bool _hadShare;

    /// <summary>
    /// Null if this node serves its share of the cluster; otherwise why not, in one sentence. A silo that has once taken its share over stays ready
    /// while partitions move later:
    /// they are served all the time.
    /// </summary>
    public string? NotReady()
    {
        if (_host is null)
            return "the node has not joined its cluster yet";
        if (_failure.Task.IsCompleted)
            return "the node has lost its cluster";
        if (_drained || _stopped)
            return "draining: partitions are being handed over";
        PartitionTable table = TableCache.Current;
        if (_runtime is null)
            return table.AssignedCount > 0 ? null : "no silo owns a partition";
        if (Freeze?.MayServeNow() == false)
            return "the process stood still for a while, and the membership has not confirmed it yet";
        if (_hadShare)
            return null;
        if (_joinedAt == 0)
            _joinedAt = _time.GetTimestamp();
        (int receiving, int serving) = _runtime.ReadProgress();
        bool waits = _time.GetElapsedTime(_joinedAt) < ShareTimeMax;

        // Moves to one silo come in rounds, with nothing under way between two of them: fewer than half of an even share is no share yet.
        int share = table.PartitionCount / Math.Max(1, _runtime.ReadSilos().Silos.Count);
        if (receiving > 0 || (waits && serving < Math.Max(1, share / 2)))
            return string.Create(System.Globalization.CultureInfo.InvariantCulture, $"taking partitions over: {serving} served, {receiving} on their way");
        _hadShare = true;
        return null;
    }
}
