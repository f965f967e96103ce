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
        Cache = new InProcessCache(defers ? new DeferringRouter(_router, Time) : _router, time: Time);
    }

    public override IBufferDistributedCache Cache { get; }

    public override ValueTask DisposeAsync()
    {
        _router.Dispose();
        return ValueTask.CompletedTask;
    }

    /// <summary>Every partition is elsewhere: replies come later, on the loop.</summary>
    private sealed class DeferringRouter(LocalRouter router, TimeProvider time) : IPartitionRouter
    {
        public int PartitionCount => router.PartitionCount;

        public EventLog Events => router.Events;

        public RouterChannel OpenChannel(ICompletionQueue loop) => new DeferringChannel(router.OpenChannel(loop), router.Hasher, loop, time);

        public ValueTask FlushAllAsync(uint atUnixSeconds, CancellationToken cancellationToken) => router.FlushAllAsync(atUnixSeconds, cancellationToken);

        public ValueTask<ItemScanPage> ScanAsync(PartitionId partition, ulong position, CancellationToken cancellationToken) =>
            router.ScanAsync(partition, position, cancellationToken);

        public StoreStatistics ReadStatistics(bool perClass) => router.ReadStatistics(perClass);

        public void ResetStatistics() => router.ResetStatistics();
    }

    private sealed class DeferringChannel(RouterChannel inner, KeyHasher hasher, ICompletionQueue loop, TimeProvider time) : RouterChannel(hasher)
    {
        public override bool TryExecute(in CacheRequest request, uint nowUnixSeconds, ReplySink sink) => false;

        public override void Send(in CacheRequest request, ReplySink sink) => loop.Post(new SentRequest(inner, in request, sink, time));

        public override void Flush() => inner.Flush();
    }

    private sealed class SentRequest(RouterChannel inner, in CacheRequest request, ReplySink sink, TimeProvider time) : LoopWorkItem
    {
        private readonly byte[] _key = request.Key.ToArray();
        private readonly byte[] _value = request.Value.ToArray();
        private readonly CacheOperation _operation = request.Operation;
        private readonly RequestFlags _flags = request.Flags;
        private readonly uint _clientFlags = request.ClientFlags;
        private readonly uint _expiresAt = request.ExpiresAt;
        private readonly ulong _keyHash = request.KeyHash;

        public override void Execute()
        {
            var request = new CacheRequest
            {
                Operation = _operation, Flags = _flags, Key = _key, Value = _value, ClientFlags = _clientFlags, ExpiresAt = _expiresAt, KeyHash = _keyHash,
            };
            Assert.True(inner.TryExecute(in request, (uint)time.GetUtcNow().ToUnixTimeSeconds(), sink));
        }
    }
}
