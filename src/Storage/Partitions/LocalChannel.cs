using System.Diagnostics;

namespace OrleansCache.Storage;

/// <summary>The channel of <see cref="LocalRouter"/>: every partition is here and open, so it executes at once and nothing is ever sent.</summary>
internal sealed class LocalChannel(LocalRouter router, KeyHasher hasher) : RouterChannel(hasher)
{
    public override bool TryExecute(in CacheRequest request, uint nowUnixSeconds, ReplySink sink)
    {
        if (!router.TryExecute(in request, nowUnixSeconds, sink))
            sink.OnReply(new CacheReply { Status = CacheStatus.Unavailable, Reason = "partition is not available" });
        return true;
    }

    public override void Send(in CacheRequest request, ReplySink sink) => throw new UnreachableException("TryExecute refuses nothing");

    public override void Prefetch(ReadOnlySpan<ulong> keyHashes) => router.Partitions.Prefetch(keyHashes);

    public override void Flush()
    {
    }
}
