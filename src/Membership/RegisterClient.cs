namespace OrleansCache.Membership;

/// <summary>Time-outs of a <see cref="RegisterClient"/>.</summary>
public sealed class RegisterClientOptions
{
    /// <summary>One message and its answer.</summary>
    public TimeSpan RoundTimeout { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>A whole read or change, with all its rounds.</summary>
    public TimeSpan OperationTimeout { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Longest random pause before a first further attempt; doubles up to 32 times as much.</summary>
    public TimeSpan BackoffMin { get; init; } = TimeSpan.FromMilliseconds(10);
}

/// <summary>The register as seen by a member: proposes over a transport. Any number of clients may work on one register.</summary>
public sealed class RegisterClient : IClusterRegister
{
    /// <param name="known">Addresses where seeds may be found, as the operator gave them; further ones are learned from the register.</param>
    /// <param name="clusterId">Seeds of another cluster are refused; null or empty: whichever the first that answer belong to.</param>
    public RegisterClient(ISeedTransport transport, IEnumerable<SeedAddress> known, string? clusterId, RegisterClientOptions options,
        TimeProvider time, Random random) => throw new NotImplementedException();

    /// <summary>Addresses that are known now: the given ones and those of the set that was seen last.</summary>
    public IReadOnlyList<SeedAddress> KnownSeeds => throw new NotImplementedException();

    /// <summary>Further addresses to ask, such as what a DNS name resolves to by now. They replace the given ones, not the learned ones.</summary>
    public void Know(IEnumerable<SeedAddress> addresses) => throw new NotImplementedException();

    /// <summary>Asks whoever listens at the address who it is; for joining, and for `seeds list`.</summary>
    /// <exception cref="RegisterUnavailableException">It does not answer.</exception>
    public ValueTask<SeedStatus> AskWhoAsync(SeedAddress address, CancellationToken cancellationToken = default) => throw new NotImplementedException();

    public ValueTask<RegisterSnapshot> ReadAsync(CancellationToken cancellationToken = default) => throw new NotImplementedException();

    public ValueTask<WriteResult> TryWriteAsync(long expectedVersion, ReadOnlyMemory<byte> content, CancellationToken cancellationToken = default) =>
        throw new NotImplementedException();

    public ValueTask<WriteResult> TryChangeSeedsAsync(long expectedVersion, SeedChange change, CancellationToken cancellationToken = default) =>
        throw new NotImplementedException();

    public ValueTask ReportAliveAsync(string rowKey, DateTimeOffset time, CancellationToken cancellationToken = default) =>
        throw new NotImplementedException();
}
