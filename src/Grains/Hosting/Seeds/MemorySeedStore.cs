using OrleansCache.Membership;

namespace OrleansCache.Grains.Hosting.Seeds;

/// <summary>A seed without a file: its promises last as long as the process, and the next one is another seed.</summary>
internal sealed class MemorySeedStore : ISeedStore
{
    private byte[] _record = [];

    public Guid Identity { get; } = Guid.NewGuid();

    public ReadOnlyMemory<byte> Record => _record;

    public void Save(ReadOnlySpan<byte> record) => _record = record.ToArray();
}
