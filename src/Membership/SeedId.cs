namespace OrleansCache.Membership;

/// <summary>
/// One seed. <see cref="Identity"/> is the random number of its file and is what votes: a seed that has lost its file is another seed at the same address.
/// <see cref="Address"/> only says where it is asked.
/// </summary>
public readonly record struct SeedId(SeedAddress Address, Guid Identity)
{
    /// <summary>HOST:PORT/first eight digits of the identity.</summary>
    public override string ToString() => $"{Address}/{Identity.ToString("N")[..8]}";
}
