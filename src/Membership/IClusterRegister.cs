namespace OrleansCache.Membership;

/// <summary>
/// One register, replicated over the seeds: bytes with a version, changed by compare-and-swap, linearizable. It holds the cluster's membership table. Safe
/// for concurrent use. All of it ends within <see cref="RegisterClientOptions.OperationTimeout"/> or by the caller's cancellation.
/// </summary>
public interface IClusterRegister
{
    /// <summary>The newest value that is decided, no older than any that was decided before the call. No disk is written, as a rule.</summary>
    /// <exception cref="RegisterUnavailableException">No majority answers.</exception>
    ValueTask<RegisterSnapshot> ReadAsync(CancellationToken cancellationToken = default);

    /// <summary>Replaces the content if the version still is <paramref name="expectedVersion"/>; the new version is one more.</summary>
    /// <param name="content">At most <see cref="Limits.RegisterContentBytesMax"/> bytes; copied before the call returns.</param>
    /// <exception cref="RegisterUnavailableException">No majority answers; see <see cref="RegisterUnavailableException.OutcomeUnknown"/>.</exception>
    ValueTask<WriteResult> TryWriteAsync(long expectedVersion, ReadOnlyMemory<byte> content, CancellationToken cancellationToken = default);

    /// <summary>
    /// Changes the set of seeds if the version still is <paramref name="expectedVersion"/>. Takes two versions: one in which the former and the new set
    /// decide together, one for the new set alone. Nothing is written unless a majority of the new set answers first.
    /// </summary>
    /// <exception cref="ArgumentException">The change makes no sense for the set that is there.</exception>
    /// <exception cref="RegisterUnavailableException">No majority of the former or of the new set answers.</exception>
    ValueTask<WriteResult> TryChangeSeedsAsync(long expectedVersion, SeedChange change, CancellationToken cancellationToken = default);

    /// <summary>
    /// Tells the seeds that a silo lives, beside the register: kept in their memory only, in no order, seen in <see cref="RegisterSnapshot.Alive"/>.
    /// </summary>
    /// <param name="rowKey">At most <see cref="Limits.AliveKeyBytesMax"/> bytes of UTF-8.</param>
    /// <exception cref="RegisterUnavailableException">Not one seed has taken it.</exception>
    ValueTask ReportAliveAsync(string rowKey, DateTimeOffset time, CancellationToken cancellationToken = default);
}

/// <summary>A decided value of the register.</summary>
/// <param name="Version">Rises by one with every change, those of the seed set included; 0 when the cluster is founded.</param>
/// <param name="Seeds">The seeds that vote; while the set changes, the new one.</param>
/// <param name="ClusterId">Given by the founder.</param>
public sealed record RegisterSnapshot(long Version, ReadOnlyMemory<byte> Content, SeedSet Seeds, string ClusterId)
{
    /// <summary>While the set changes: the former set, whose majority is needed, too.</summary>
    public SeedSet? FormerSeeds { get; init; }

    /// <summary>Row key to the newest time that the seeds which answered have heard of; what they do not know is not there.</summary>
    public IReadOnlyDictionary<string, DateTimeOffset> Alive { get; init; } = new Dictionary<string, DateTimeOffset>();
}

/// <summary>What became of a change.</summary>
/// <param name="Written">False: another version than the expected one is there, and nothing was changed.</param>
/// <param name="Current">The value after the change, or the one that is there instead.</param>
public readonly record struct WriteResult(bool Written, RegisterSnapshot Current);

/// <summary>One change of the seed set: a seed added, one removed, or one put in another's place.</summary>
/// <param name="Add">The seed that votes from now on.</param>
/// <param name="Remove">The identity of the seed that does not vote any more.</param>
public readonly record struct SeedChange(SeedId? Add, Guid? Remove)
{
    public static SeedChange Adding(SeedId seed) => new(seed, null);

    public static SeedChange Removing(Guid identity) => new(null, identity);

    /// <summary>For a seed that has lost its file, or has moved to another address.</summary>
    public static SeedChange Replacing(Guid former, SeedId seed) => new(seed, former);
}
