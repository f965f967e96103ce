namespace OrleansCache.Membership;

/// <summary>What a seed says of itself. Not decided by anybody: the newest it has accepted.</summary>
/// <param name="Identity">Of its file.</param>
/// <param name="ClusterId">Empty: it belongs to no cluster yet.</param>
/// <param name="Version">-1: it holds no value yet.</param>
/// <param name="Seeds">Null: it holds no value yet.</param>
/// <param name="FormerSeeds">While the set changes.</param>
public sealed record SeedStatus(Guid Identity, string ClusterId, long Version, SeedSet? Seeds, SeedSet? FormerSeeds);

/// <summary>A seed: answers the messages of <see cref="RegisterClient"/>s. Safe for concurrent use. Opens no connection itself.</summary>
public sealed class SeedServer : IDisposable
{
    /// <param name="log">Called, once for each change, when the disk begins to fail or works again: one line.</param>
    /// <exception cref="SeedFileException">The store's record cannot be read.</exception>
    public SeedServer(ISeedStore store, TimeProvider time, Action<string> log) => throw new NotImplementedException();

    public SeedStatus Status => throw new NotImplementedException();

    /// <summary>
    /// Founds a cluster with this seed as its only one: version 0, empty content. False: it has a value already, and nothing was changed. Only for a seed that
    /// has been told to; asks nobody.
    /// </summary>
    /// <exception cref="IOException">The store could not keep it.</exception>
    public ValueTask<bool> TryFoundAsync(SeedAddress self, string clusterId) => throw new NotImplementedException();

    /// <summary>The answer to a message, whatever it is: garbage gets an answer that says so.</summary>
    public ValueTask<ReadOnlyMemory<byte>> AnswerAsync(ReadOnlyMemory<byte> request) => throw new NotImplementedException();

    public void Dispose()
    {
    }
}
