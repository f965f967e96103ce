namespace OrleansCache.Membership;

/// <summary>
/// What is decided about: content and version, and who decides about it. A value is decided once a majority of each of its <see cref="Sets"/> has accepted
/// it in one ballot. Immutable.
/// </summary>
internal sealed class RegisterValue
{
    /// <summary>Changes of which a value knows by which write they came.</summary>
    public const int RecentMax = 64;

    private readonly SeedSet[] _sets;

    public RegisterValue(string clusterId, long version, SeedSet seeds, SeedSet? former, ReadOnlyMemory<byte> content, ulong[] recent)
    {
        ClusterId = clusterId;
        Version = version;
        Seeds = seeds;
        Former = former;
        Content = content;
        Recent = recent;
        _sets = former is null ? [seeds] : [seeds, former];
    }

    public string ClusterId { get; }

    public long Version { get; }

    public SeedSet Seeds { get; }

    /// <summary>Not null: the set changes, from this one, and both decide.</summary>
    public SeedSet? Former { get; }

    public ReadOnlyMemory<byte> Content { get; }

    /// <summary>
    /// Random numbers of the writes that made this version, the one before and so on. A proposer that was overtaken finds out by them whether its write has
    /// taken effect.
    /// </summary>
    public ulong[] Recent { get; }

    public ReadOnlySpan<SeedSet> Sets => _sets;

    public bool IsJoint => Former is not null;

    /// <summary>All who decide, each once.</summary>
    public IEnumerable<SeedId> Members => Former is null ? Seeds : Seeds.Union(Former);

    public static RegisterValue Founding(string clusterId, SeedId self, ulong write) =>
        new(clusterId, 0, new SeedSet(self), null, ReadOnlyMemory<byte>.Empty, [write]);

    public RegisterValue WithContent(ReadOnlyMemory<byte> content, ulong write) => new(ClusterId, Version + 1, Seeds, null, content, Next(write));

    public RegisterValue BeginChange(SeedSet seeds, ulong write) => new(ClusterId, Version + 1, seeds, Seeds, Content, Next(write));

    public RegisterValue FinishChange(ulong write) => new(ClusterId, Version + 1, Seeds, null, Content, Next(write));

    public RegisterSnapshot ToSnapshot(IReadOnlyDictionary<string, DateTimeOffset>? alive = null)
    {
        var snapshot = new RegisterSnapshot(Version, Content, Seeds, ClusterId) { FormerSeeds = Former };
        return alive is null ? snapshot : snapshot with { Alive = alive };
    }

    public override string ToString() => $"{Version} of {ClusterId} [{Seeds}]{(Former is null ? "" : $" from [{Former}]")}";

    private ulong[] Next(ulong write) => [write, .. Recent.AsSpan(0, Math.Min(Recent.Length, RecentMax - 1))];
}
