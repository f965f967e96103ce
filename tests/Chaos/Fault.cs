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

    /// <summary>Any silo is cut off from all others for some seconds; its clients still reach it.</summary>
    Cut,

    /// <summary>The same with the silo that has been there longest, which coordinates.</summary>
    CutOldest,

    /// <summary>A minority of the silos is cut off from the others; those in it reach each other.</summary>
    Split,

    /// <summary>What one silo sends does not arrive at the others, or what they send does not arrive there.</summary>
    OneWay,

    /// <summary>What comes from one silo and goes there is late, for a moment very late, and some of it is lost.</summary>
    Slow,
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
        FaultKind.Join => "join",
        FaultKind.Cut => "cut",
        FaultKind.CutOldest => "cut-oldest",
        FaultKind.Split => "split",
        FaultKind.OneWay => "oneway",
        _ => "slow",
    };

    /// <summary>Whether links are injured, not processes: that needs a network of the run's own.</summary>
    public static bool IsOfNetwork(this FaultKind kind) =>
        kind is FaultKind.Cut or FaultKind.CutOldest or FaultKind.Split or FaultKind.OneWay or FaultKind.Slow;

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

    /// <summary>Until all silos were there again, with all replicas; after a network fault from its end on.</summary>
    public double RepairedSeconds { get; init; }

    /// <summary>Of a network fault.</summary>
    public NetworkResult? Network { get; init; }
}

/// <summary>What became of the silos whose links were injured, and of those who ask them. Seconds count from the beginning of the fault.</summary>
internal sealed record NetworkResult
{
    /// <summary>Until the others served everything with all replicas, without the silos concerned; null if they did not while the fault lasted.</summary>
    public double? WholeWithoutSeconds { get; init; }

    /// <summary>Replies of the silos concerned with a value that was already replaced elsewhere, which the lease allows.</summary>
    public long OldValues { get; init; }

    /// <summary>When the last such request was sent; 0 if there was none.</summary>
    public double LastOldSeconds { get; init; }

    /// <summary>When the last request was sent that a silo concerned answered with a value while the fault lasted; 0 if there was none.</summary>
    public double LastAnswerSeconds { get; init; }

    /// <summary>Errors at the gateways of the silos concerned.</summary>
    public long Refusals { get; init; }

    /// <summary>Connections that ended there without an answer.</summary>
    public long CutConnections { get; init; }

    /// <summary>Errors at other gateways about keys that the silos concerned did not own.</summary>
    public long ForeignRefusals { get; init; }

    /// <summary>Packets that the fault lost.</summary>
    public long Packets { get; init; }

    /// <summary>What each silo concerned did afterwards.</summary>
    public IReadOnlyList<string> Ends { get; init; } = [];
}
