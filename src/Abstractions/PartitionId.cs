namespace OrleansCache;

/// <summary>A slice of the keyspace: 0 to partition count - 1. A key's partition is its hash modulo the partition count.</summary>
public readonly record struct PartitionId(int Value)
{
    /// <summary>The partition that holds a key with this hash.</summary>
    public static PartitionId OfHash(ulong keyHash, int partitionCount) => new((int)(keyHash % (uint)partitionCount));

    public override string ToString() => Value.ToString(System.Globalization.CultureInfo.InvariantCulture);
}
