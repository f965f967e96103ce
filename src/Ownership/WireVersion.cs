namespace OrleansCache.Ownership;

/// <summary>
/// The contract between silos as a whole, as one number: it says which layout each kind of message is written in. A silo reads every version from
/// <see cref="Oldest"/> to <see cref="Newest"/>, tells the coordinator the newest that it speaks, and writes the one that all members have agreed on, which
/// the partition table tells (<see cref="PartitionTable.WireVersion"/>).
/// <para>
/// The first byte of every message is the version that brought its layout, so most layouts of a version are those of older ones:
/// <code>
///              1              2
///  replication fixed headers  compact headers
///  all others  1              1
/// </code>
/// A new version adds a column here, a reader and a writer beside the old ones, and snapshots of its bytes (tests/Ownership.Tests/Wire); layouts that stand
/// here never change. Numbers are never used again. docs/decisions/0023-wire-versions.md.
/// </para>
/// </summary>
public static class WireVersion
{
    /// <summary>What is older is not understood any more.</summary>
    public const byte Oldest = 1;

    public const byte Newest = 2;

    /// <summary>From this version on the headers within a message of replication are compact.</summary>
    internal const byte CompactReplication = 2;
}
