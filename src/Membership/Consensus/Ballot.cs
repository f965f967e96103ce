namespace OrleansCache.Membership;

/// <summary>The number of an attempt to decide. Unique: no two proposers have one id, and none uses a counter twice. Compared by counter, then
/// proposer.</summary>
internal readonly record struct Ballot(long Counter, Guid Proposer) : IComparable<Ballot>
{
    /// <summary>Beyond it a message is garbage, so that counting up never overflows.</summary>
    public const long CounterMax = long.MaxValue / 2;

    public const int Bytes = 8 + 16;

    /// <summary>Lower than any that is used.</summary>
    public static Ballot None => default;

    public bool IsNone => Counter == 0;

    public static bool operator <(Ballot left, Ballot right) => left.CompareTo(right) < 0;

    public static bool operator >(Ballot left, Ballot right) => left.CompareTo(right) > 0;

    public static bool operator <=(Ballot left, Ballot right) => left.CompareTo(right) <= 0;

    public static bool operator >=(Ballot left, Ballot right) => left.CompareTo(right) >= 0;

    public int CompareTo(Ballot other)
    {
        int order = Counter.CompareTo(other.Counter);
        return order != 0 ? order : Proposer.CompareTo(other.Proposer);
    }

    public override string ToString() => $"{Counter}.{Proposer.ToString("N")[..4]}";
}
