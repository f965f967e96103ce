namespace OrleansCache.Membership;

/// <summary>
/// One seed. <see cref="Identity"/> is the random number of its file: a seed that has lost its file is another seed at the same address. It votes under this
/// <see cref="Address"/> only: one that has moved, file and all, is put in its own place by a change of the set.
/// </summary>
public readonly record struct SeedId(SeedAddress Address, Guid Identity)
{
    /// <summary>HOST:PORT/first eight digits of the identity.</summary>
    public override string ToString() => $"{Address}/{Identity.ToString("N")[..8]}";
}
