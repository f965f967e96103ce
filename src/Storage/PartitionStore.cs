using System.Buffers;

namespace OrleansCache.Storage;

public sealed class PartitionStore : ValueOwner, IDisposable
{
    public PartitionStore(PageArena arena, PartitionId id) => (Arena, Id) = (arena, id);

    public PageArena Arena { get; }
    public PartitionId Id { get; }

    /// <summary>Items held, those expired but not yet reclaimed included.</summary>
    public long ItemCount => throw new NotImplementedException();

    /// <summary>Bytes of keys, values and headers held.</summary>
    public long ItemBytes => throw new NotImplementedException();

    /// <summary>The sequence number that the last mutation took.</summary>
    public ulong LastCas => throw new NotImplementedException();

    /// <summary>When the scheduled flush fires, or 0.</summary>
    public uint ScheduledFlushUnixSeconds => throw new NotImplementedException();

    public void Execute(in CacheRequest request, uint nowUnixSeconds, ReplySink sink) => throw new NotImplementedException();
    public void FlushAll(uint atUnixSeconds, uint nowUnixSeconds) => throw new NotImplementedException();
    public void AddStatistics(StoreStatistics total, bool perClass, uint nowUnixSeconds) => throw new NotImplementedException();
    public void ResetStatistics() => throw new NotImplementedException();
    public int Reclaim(uint nowUnixSeconds, int bucketsMax) => throw new NotImplementedException();
    public bool Export(ref ExportCursor cursor, IBufferWriter<byte> output, int bytesMax, uint nowUnixSeconds) => throw new NotImplementedException();
    public ImportStatus Import(ReadOnlySpan<byte> input, uint nowUnixSeconds, out int itemCount) => throw new NotImplementedException();
    public void CheckIntegrity() => throw new NotImplementedException();
    public void Clear() => throw new NotImplementedException();
    public void Dispose() => throw new NotImplementedException();

    protected override bool TryPin(uint handle) => throw new NotImplementedException();
    protected override void Unpin(uint handle) => throw new NotImplementedException();
    protected override void CopyTo(uint handle, int offset, Span<byte> destination) => throw new NotImplementedException();
    protected override unsafe byte* GetRun(uint handle, int offset, out int length) => throw new NotImplementedException();
}
