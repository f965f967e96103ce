namespace OrleansCache.Membership;

/// <summary>
/// Carries one message to a seed and its answer back. May lose, repeat or delay either. An implementation bounds both by
/// <see cref="Limits.RegisterMessageBytesMax"/> and each call by the token; any exception means "no answer", and its message is told to the operator.
/// </summary>
public interface ISeedTransport
{
    ValueTask<ReadOnlyMemory<byte>> AskAsync(SeedAddress seed, ReadOnlyMemory<byte> request, CancellationToken cancellationToken);
}
