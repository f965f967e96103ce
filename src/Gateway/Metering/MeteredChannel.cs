using OrleansCache.Gateway.Sessions;

namespace OrleansCache.Gateway.Metering;

/// <summary>
/// Stands before a loop's channel where commands are measured: every request of every protocol passes here, and nothing else has to know of it.
/// The hash of keys is read from the channel behind (<see cref="LoopContext.Hasher"/>), because that one replaces it.
/// </summary>
internal sealed class MeteredChannel(RouterChannel inner, CommandMeter meter) : RouterChannel(inner.Hasher)
{
    private int _untilSample = KeySampler.SampleInterval;

    public override bool TryExecute(in CacheRequest request, uint nowUnixSeconds, ReplySink sink)
    {
        if (!inner.TryExecute(in request, nowUnixSeconds, sink))
            return false;
        if (sink is SessionSink known)
            Note(in request, known.Status);
        return true;
    }

    public override void Send(in CacheRequest request, ReplySink sink)
    {
        if (sink is PendingReply pending)
            pending.Measure(CommandOf(in request), meter.TurnBegan);
        Sample(in request);
        inner.Send(in request, sink);
    }

    public override void Prefetch(ReadOnlySpan<ulong> keyHashes) => inner.Prefetch(keyHashes);

    public override void Flush()
    {
        meter.EndTurn();
        inner.Flush();
    }

    /// <summary>The deletion before the error of a value that is too large is that store's failure, not a delete.</summary>
    private static int CommandOf(in CacheRequest request) =>
        (request.Flags & RequestFlags.RefusedStore) != 0 ? (int)CacheOperation.Set : CommandMeter.CommandOf(in request);

    private void Note(in CacheRequest request, CacheStatus status)
    {
        if ((request.Flags & RequestFlags.RefusedStore) != 0)
            meter.Count((int)CacheOperation.Set, CacheStatus.TooLarge);
        else
            meter.Count(CommandMeter.CommandOf(in request), status);
        Sample(in request);
    }

    private void Sample(in CacheRequest request)
    {
        if (--_untilSample <= 0)
        {
            _untilSample = KeySampler.SampleInterval;
            meter.Keys.Sample(request.Key, request.KeyHash);
        }

        if (request.Value.Length >= KeySampler.LargeBytesMin)
            meter.Keys.NoteLarge(request.Key, request.KeyHash, request.Value.Length);
    }
}
