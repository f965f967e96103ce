using Microsoft.Extensions.Caching.Distributed;
using OrleansCache.Client.InProcess;
using OrleansCache.Storage;

namespace OrleansCache.Client.Tests.Support;

/// <summary>The cache without a socket. With <c>defers</c> its router never answers at once.</summary>
internal sealed class RouterCache : CacheUnderTest
{
    private readonly LocalRouter _router;

    public RouterCache(bool defers = false)
    {
        _router = new LocalRouter(new StoreOptions { PartitionCount = 16 }, Time);
        Cache = new InProcessCache(defers ? new DeferringRouter(_router) : _router, time: Time);
    }

    public override IBufferDistributedCache Cache { get; }

    public override ValueTask DisposeAsync()
    {
        _router.Dispose();
        return ValueTask.CompletedTask;
    }

    /// <summary>Every partition is elsewhere: replies come later, on the loop.</summary>
    private sealed class DeferringRouter(LocalRouter router) : IPartitionRouter
    {
        public int PartitionCount => router.PartitionCount;

        public EventLog Events => router.Events;

        public RouterChannel OpenChannel(ICompletionQueue loop) => new DeferringChannel(router.OpenChannel(loop), router.Hasher);

        public ValueTask FlushAllAsync(uint atUnixSeconds, CancellationToken cancellationToken) => router.FlushAllAsync(atUnixSeconds, cancellationToken);

        public ValueTask<ItemScanPage> ScanAsync(PartitionId partition, ulong position, CancellationToken cancellationToken) =>
            router.ScanAsync(partition, position, cancellationToken);

        public StoreStatistics ReadStatistics(bool perClass) => router.ReadStatistics(perClass);

        public void ResetStatistics() => router.ResetStatistics();
    }

    private sealed class DeferringChannel(RouterChannel inner, KeyHasher hasher) : RouterChannel(hasher)
    {
        public override bool TryExecute(in CacheRequest request, uint nowUnixSeconds, ReplySink sink) => false;

        public override void Send(in CacheRequest request, ReplySink sink) => inner.Send(in request, sink);

        public override void Flush() => inner.Flush();
    }
}
