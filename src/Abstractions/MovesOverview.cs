namespace OrleansCache;

/// <summary>What is on its way between silos, as the coordinator sees it, and what an operator has said about it.</summary>
public sealed record MovesOverview
{
    public static MovesOverview Nothing { get; } = new() { SecondsLeft = 0 };

    /// <summary>Nothing moves for balance; repair and what leaves a draining silo go on.</summary>
    public bool IsPaused { get; init; }

    /// <summary>Bytes of items that each silo may read per second for copies elsewhere; 0: no limit.</summary>
    public long LimitBytesPerSecond { get; init; }

    /// <summary>Partitions that are not where they belong, those that move now included.</summary>
    public int PartitionsToMove { get; init; }

    /// <summary>Bytes of items that the copies under way have to take yet.</summary>
    public long BytesLeft { get; init; }

    /// <summary>What the copies under way take, together.</summary>
    public long BytesPerSecond { get; init; }

    /// <summary>Until every partition is where it belongs, at the rate of now; null: not known.</summary>
    public long? SecondsLeft { get; init; }

    /// <summary>In ascending order of the partition.</summary>
    public IReadOnlyList<PartitionTransfer> Transfers { get; init; } = [];

    /// <summary>Partitions whose move an operator has given up, and the seconds for which it is not begun again.</summary>
    public IReadOnlyList<(int Partition, int Seconds)> Aborted { get; init; } = [];
}

/// <summary>Why a partition moves, or is copied. Travels between silos: never renumber, only append.</summary>
public enum TransferReason : byte
{
    /// <summary>Every silo is to have its share.</summary>
    Balance = 0,

    /// <summary>A silo is to be emptied.</summary>
    Drain = 1,

    /// <summary>The partition has fewer complete copies than --replicas says.</summary>
    Repair = 2,
}

/// <summary>How far a transfer has come. Travels between silos: never renumber, only append.</summary>
public enum TransferStep : byte
{
    /// <summary>Other copies come first.</summary>
    Waiting = 0,

    /// <summary>Items are copied.</summary>
    Copying = 1,

    /// <summary>It is paused.</summary>
    Resting = 2,

    /// <summary>The copy is complete, and the owner changes.</summary>
    HandingOver = 3,
}

/// <summary>A partition on its way to another owner, or a copy of it that is being made.</summary>
/// <param name="Partition">Its number.</param>
/// <param name="From">HOST:PORT between silos of the owner.</param>
/// <param name="To">HOST:PORT between silos of who gets it.</param>
/// <param name="IsMove">It gets another owner; otherwise a replica.</param>
/// <param name="Reason">Why.</param>
/// <param name="Step">How far it is.</param>
/// <param name="BytesDone">Bytes of items copied.</param>
/// <param name="BytesTotal">Bytes of items that the partition has, 0 before the owner has told.</param>
/// <param name="BytesPerSecond">Rate of the last seconds.</param>
/// <param name="SecondsLeft">At this rate; null: not known.</param>
public sealed record PartitionTransfer(
    int Partition, string From, string To, bool IsMove, TransferReason Reason, TransferStep Step, long BytesDone, long BytesTotal, long BytesPerSecond,
    long? SecondsLeft);

/// <summary>What an operator may say about moves. Travels between silos: never renumber, only append.</summary>
public enum MoveOrderKind : byte
{
    None = 0,
    Pause = 1,

    /// <summary>Ends a pause, and lets moves that were given up begin again.</summary>
    Resume = 2,

    /// <summary>Value: bytes per second and silo, 0 for no limit.</summary>
    Limit = 3,

    /// <summary>Value: a partition, or <see cref="MoveOrder.All"/>.</summary>
    Abort = 4,
}

/// <summary>One order of an operator about moves.</summary>
public readonly record struct MoveOrder(MoveOrderKind Kind, long Value = 0)
{
    /// <summary>Every partition that moves for balance.</summary>
    public const long All = -1;
}
