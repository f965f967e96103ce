namespace OrleansCache.Chaos;

/// <summary>What is done to silos.</summary>
internal enum FaultKind
{
    /// <summary>kill -9 of any silo.</summary>
    Kill,

    /// <summary>kill -9 of the silo that has been there longest, which coordinates.</summary>
    KillOldest,

    /// <summary>kill -9 of two silos at the same moment; needs two replicas.</summary>
    KillTwo,

    /// <summary>SIGSTOP, and SIGCONT before it is declared dead.</summary>
    Freeze,

    /// <summary>SIGSTOP for longer than it takes to be declared dead.</summary>
    FreezeLong,

    /// <summary>SIGTERM, and a new one in its place.</summary>
    Restart,

    /// <summary>SIGTERM and a new one in its place, for all silos one after the other.</summary>
    Rolling,

    /// <summary>A further silo joins, and any of them leaves.</summary>
    Join,
}

internal static class FaultKinds
{
    public static string Name(this FaultKind kind) => kind switch
    {
        FaultKind.Kill => "kill",
        FaultKind.KillOldest => "kill-oldest",
        FaultKind.KillTwo => "kill-two",
        FaultKind.Freeze => "freeze",
        FaultKind.FreezeLong => "freeze-long",
        FaultKind.Restart => "restart",
        FaultKind.Rolling => "rolling",
        _ => "join",
    };

    /// <summary>Whether the silos concerned end without a word: then requests may fail until others go on with their partitions.</summary>
    public static bool IsLoss(this FaultKind kind) => kind is FaultKind.Kill or FaultKind.KillOldest or FaultKind.KillTwo or FaultKind.FreezeLong;
}

/// <summary>What one fault did to the clients. Times in milliseconds.</summary>
internal sealed record FaultResult(FaultKind Kind, string What)
{
    /// <summary>The longest operation on each key that the silos concerned owned, retries included.</summary>
    public IReadOnlyList<double> Affected { get; init; } = [];

    /// <summary>The longest read of each other key.</summary>
    public IReadOnlyList<double> OtherReads { get; init; } = [];

    /// <summary>The longest write of each other key; one whose replica was on a silo concerned waits as well.</summary>
    public IReadOnlyList<double> OtherWrites { get; init; } = [];

    public long Refusals { get; init; }

    public long CutConnections { get; init; }

    public long Misses { get; init; }

    /// <summary>Until all silos were there again, with all replicas.</summary>
    public double RepairedSeconds { get; init; }
}
