using OrleansCache.Storage;

namespace OrleansCache.Ownership;

// What a memory file has brought along from the silo's former life: reported to the coordinator, which says what becomes of each partition.
public sealed partial class SiloAgent
{
    private MemoryFileContent? _kept;
    private long _keptAtMilliseconds;
    private long _keptAgeSeconds;

    /// <summary>Partitions that the coordinator has let this silo serve again from its memory file.</summary>
    public int RestoredCount { get; private set; }

    /// <summary>Before the first message: this silo's memory file is not a new one. The partitions that it holds are there, sealed.</summary>
    public void Keep(MemoryFileContent kept, long ageSeconds, long nowMilliseconds)
    {
        ArgumentNullException.ThrowIfNull(kept);
        _kept = kept;
        _keptAgeSeconds = Math.Max(0, ageSeconds);
        _keptAtMilliseconds = nowMilliseconds;
        for (int partition = 0; partition < _held.Length; partition++)
        {
            if (kept.Epochs[partition] != 0)
                _held[partition] = new Held { Phase = PartitionPhase.Kept, Epoch = kept.Epochs[partition] };
        }
    }

    private KeptReport ReportKept(long nowMilliseconds) => _kept is null || !_table.HashSeed.IsNone
        ? KeptReport.None
        : new KeptReport(_kept.Seed, (int)Math.Min(int.MaxValue, _keptAgeSeconds + ((nowMilliseconds - _keptAtMilliseconds) / 1000)), _kept.SiloCount);

    private long EpochMax()
    {
        long max = 0;
        for (int partition = 0; partition < _held.Length; partition++)
        {
            long known = Math.Max(_table.EpochOf(new PartitionId(partition)), _kept?.KnownEpochs[partition] ?? 0);
            max = Math.Max(max, Math.Max(known, _held[partition]?.Epoch ?? 0));
        }

        return max;
    }

    /// <summary>The cluster hashes keys under another seed: it is another life than that of the file.</summary>
    private void DropKept()
    {
        for (int partition = 0; partition < _held.Length; partition++)
        {
            if (_held[partition] is not { Phase: PartitionPhase.Kept })
                continue;
            _held[partition] = null;
            environment.Drop(partition);
        }
    }
}
