namespace OrleansCache.Ownership.Routing;

/// <summary>
/// The layout of a batch and of its reply between a router and the silo that executes it. Little endian. Layout 1:
/// <code>
/// batch:      layout u8 | 3 bytes 0 | count u32 | hash fingerprint u64 | operation*
/// operation:  length u32 (of all that follows) | operation u8 | key length u8 | flags u16 | hash u64 | client flags u32 | expires u32 | value length u32
///             | [CompareCas: u64] [ExplicitCas: u64] [CreateOnMiss: expires u32, initial u64] [Recache: u32] [counter: delta u64] | key | value
/// reply:      layout u8 | 3 bytes 0 | count u32 | ticket u64 | result*
/// result:     status u8 | item flags u8 | shape u8 | slab class u8
///             | [status Ok or shape.Detail: client flags u32 | expires u32 | last access u32 | value length u32 | cas u64]
///             | [shape.Number: u64] | [shape.Value: the value's bytes]
/// </code>
/// Results stand in the order of the operations. The ticket is 0 unless some are pending: then those, in their order, are collected with it
/// (<see cref="BatchServer"/>). The fingerprint names the seed under which the hashes were computed
/// (<see cref="KeyHasher.Fingerprint"/>); where keys are hashed under another one, every operation is answered with NotOwner: an item
/// stored by a foreign hash would never be found again.
/// A reader refuses a layout that it does not know; a new one is written only when all silos speak its version (<see cref="WireVersion"/>).
/// </summary>
internal static class BatchFormat
{
    public const byte Layout = 1;
    public const int BatchHeaderBytes = 16;
    public const int ReplyHeaderBytes = 16;
    public const int OperationHeaderBytes = 28;

    /// <summary>Optional fields of one operation, at most.</summary>
    public const int OperationOptionalBytesMax = 8 + 8 + 12 + 4 + 8;

    public const int ResultHeaderBytes = 4;
    public const int ResultDetailBytes = 24;

    /// <summary>Wire status: the partition is not active here; nothing was done. Send it to the owner.</summary>
    public const byte StatusNotOwner = 0xFF;

    /// <summary>Wire status: the reply grew too long; this and all later operations were not executed. Send them again.</summary>
    public const byte StatusDeferred = 0xFE;

    /// <summary>Wire status: executed; the result is collected with the reply's ticket when the partition's copies have what it tells of.</summary>
    public const byte StatusPending = 0xFD;

    /// <summary>Wire status: executed, but the partition's copies may not have it, and nobody waits for that any more.</summary>
    public const byte StatusUnacknowledged = 0xFC;

    /// <summary>From here on a status is none of the store's.</summary>
    public const byte StatusFirst = StatusUnacknowledged;

    /// <summary>The executor defers what follows once its reply exceeds this. One value may exceed it.</summary>
    public const int ReplyBytesSoftMax = 4 * 1024 * 1024;

    /// <summary>A collecting batch is closed at this many operations or bytes. One operation may exceed the bytes.</summary>
    public const int BatchOperationsMax = 1024;
    public const int BatchBytesSoftMax = 1024 * 1024;

    [Flags]
    public enum Shape : byte
    {
        None = 0,
        Detail = 1,
        Number = 2,
        Value = 4,
    }

    /// <summary>The bytes are not a batch (or a reply) of this layout: a peer of another version, or damage on the way.</summary>
    public static InvalidDataException Malformed(string what) => new($"Malformed {what}: not of layout {Layout}, or cut short.");
}
