namespace OrleansCache.Ownership.Tests.Simulation;

internal enum HistoryKind
{
    Get,
    Set,
    Add,
    Cas,
    Increment,
    Append,
    Delete,
    Touch,

    /// <summary>Something else than a client has taken the item: a flush, or the loss of all its copies.</summary>
    Vanish,
}

/// <summary>
/// One operation on one key as its client saw it. Stamps are points in the order of everything that happened in the simulation.
/// </summary>
internal sealed class HistoryOperation
{
    public required HistoryKind Kind { get; init; }

    public required long Invoked { get; set; }

    /// <summary>When the answer came; of an operation with unknown outcome: after this it takes no effect any more.</summary>
    public long Ended { get; set; } = long.MaxValue;

    /// <summary>What is stored, or appended.</summary>
    public string Value { get; init; } = "";

    public ulong Delta { get; init; }

    /// <summary>Of a cas: the value that its client had read with the CAS number.</summary>
    public string Token { get; init; } = "";

    /// <summary>None: unknown; it has taken effect at some point in its interval, or not at all.</summary>
    public CacheStatus Status { get; set; }

    /// <summary>What a get has found, or a counter's new value.</summary>
    public string Result { get; set; } = "";

    public bool IsUnknown => Status == CacheStatus.None;

    /// <summary>
    /// Whether the operation can have this outcome when the key has this value (null: it is absent), and what it has afterwards. With unknown outcome: what it
    /// has if the operation takes effect.
    /// </summary>
    public bool TryApply(string? before, out string? after)
    {
        after = before;
        bool isPresent = before is not null;
        switch (Kind)
        {
            case HistoryKind.Get:
                return Status == CacheStatus.Ok ? before == Result : !isPresent;
            case HistoryKind.Touch:
                return IsUnknown || (Status == CacheStatus.Ok) == isPresent;
            case HistoryKind.Vanish:
                after = null;
                return true;
            case HistoryKind.Set:
                after = Value;
                return true;
            case HistoryKind.Add:
                return Change(!isPresent, Value, out after, before);
            case HistoryKind.Append:
                return Change(isPresent, before + Value, out after, before);
            case HistoryKind.Delete:
                return Change(isPresent, null, out after, before);

            // A CAS number may change without the value (by a touch): EXISTS is possible wherever there is an item.
            case HistoryKind.Cas when Status == CacheStatus.Exists:
                return isPresent;
            case HistoryKind.Cas when Status == CacheStatus.NotFound:
                return !isPresent;
            case HistoryKind.Cas:
                return Change(before == Token, Value, out after, before);
            case HistoryKind.Increment when !isPresent:
                return !IsUnknown && Status != CacheStatus.Ok;
            case HistoryKind.Increment:
                string sum = (ulong.Parse(before!, System.Globalization.CultureInfo.InvariantCulture) + Delta)
                    .ToString(System.Globalization.CultureInfo.InvariantCulture);
                after = sum;
                return IsUnknown || (Status == CacheStatus.Ok && sum == Result);
            default:
                throw new InvalidOperationException($"{Kind}");
        }
    }

    /// <summary>Times in milliseconds.</summary>
    public override string ToString()
    {
        string end = Ended == long.MaxValue ? "…" : $"{Ended / 1e4:F4}";
        string change = Kind == HistoryKind.Increment ? $"+{Delta}" : Value;
        return $"[{Invoked / 1e4:F4}, {end}] {Kind} {Token} {change} -> {(IsUnknown ? "?" : Status)} {Result}";
    }

    /// <summary>It changes the item under this condition; otherwise it says so, and with unknown outcome it has done nothing.</summary>
    private bool Change(bool condition, string? changed, out string? after, string? before)
    {
        after = condition ? changed : before;
        return IsUnknown ? condition : condition == (Status == CacheStatus.Ok);
    }
}
