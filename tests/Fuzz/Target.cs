namespace OrleansCache.Fuzz;

/// <summary>Makes and checks the next input; returns what is wrong, or null.</summary>
internal delegate string? FuzzStep(out byte[] input);

/// <summary>Something that is fuzzed.</summary>
internal sealed class Target(string name, FuzzStep step, Func<byte[], string?> check)
{
    public string Name { get; } = name;

    public FuzzStep Step { get; } = step;

    /// <summary>Checks one input.</summary>
    public Func<byte[], string?> Check { get; } = check;

    public long Steps { get; set; }
}
