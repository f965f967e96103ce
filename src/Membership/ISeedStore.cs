namespace OrleansCache.Membership;

/// <summary>Where a seed keeps what it has promised and accepted: one record, replaced as a whole. Not safe for concurrent use.</summary>
public interface ISeedStore
{
    /// <summary>Random, made with the store, and as long-lived.</summary>
    Guid Identity { get; }

    /// <summary>What had been saved last when the store was opened; empty: nothing ever was.</summary>
    ReadOnlyMemory<byte> Record { get; }

    /// <summary>
    /// Returns when the record is on the disk, whatever happens to the machine from then on. Blocks. An exception means that it is not known which of
    /// the two records will be read after a crash; the next save counts nevertheless.
    /// </summary>
    /// <param name="record">At most <see cref="Limits.SeedRecordBytesMax"/> bytes.</param>
    void Save(ReadOnlySpan<byte> record);
}
