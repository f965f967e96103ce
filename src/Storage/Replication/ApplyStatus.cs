namespace OrleansCache.Storage;

/// <summary>What a replica did with a block of effects.</summary>
public enum ApplyStatus
{
    /// <summary>Applied, or known already: <see cref="Partition.LogPosition"/> has reached the block's end.</summary>
    Ok = 0,

    /// <summary>The partition is no replica in this epoch. Nothing was done.</summary>
    Refused = 1,

    /// <summary>The block is not what an owner writes, or belongs to another partition. Nothing was done.</summary>
    Malformed = 2,

    /// <summary>Something before the block is missing, or a part of it is known already. Nothing was done.</summary>
    OutOfOrder = 3,
}
