using System.Diagnostics.CodeAnalysis;

namespace OrleansCache.Storage;

/// <summary>Cold exits.</summary>
internal static class Throw
{
    [DoesNotReturn]
    public static void Corrupt(PartitionId partition, string what) => throw new InvalidOperationException($"Partition {partition} is corrupt: {what}");

    [DoesNotReturn]
    public static KeyHasher HashSeedUnknown() => throw new InvalidOperationException("A partition cannot be opened before the seed of the key hash is known.");

    [DoesNotReturn]
    public static void ArenaCorrupt(string what) => throw new InvalidOperationException($"The arena is corrupt: {what}");
}
