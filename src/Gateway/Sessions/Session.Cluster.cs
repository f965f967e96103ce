using OrleansCache.Gateway.Stats;
using OrleansCache.Protocol.Text;

namespace OrleansCache.Gateway.Sessions;

// Questions about the whole cluster that other servers' clients ask.
internal sealed partial class Session
{
    /// <summary>The item under which clients of old ElastiCache servers look for the list of gateways.</summary>
    private static ReadOnlySpan<byte> DiscoveryKey => "AmazonElastiCache:cluster"u8;

    /// <summary>
    /// An item of that name is what the client gets; where there is none, the list. False: the item may be there, and an ordinary get must find it.
    /// </summary>
    private bool RunDiscoveryGet(ReadOnlySpan<byte> key)
    {
        CacheRequest request = default;
        request.Operation = CacheOperation.Get;
        request.Flags = RequestFlags.Peek;
        request.Key = key;
        request.KeyHash = _loop.Hasher.Compute(key);
        var probe = new DiscoveryProbe();
        if (_loop.Channel.TryExecute(request, _loop.NowUnixSeconds, probe))
        {
            if (probe.Found)
                return false;
            AnswerDiscovery(asItem: true);
            return true;
        }

        _barrier = Barrier.Collecting;
        _loop.Channel.Send(request, new RemoteDiscoveryProbe(this));
        return true;
    }

    private void SendDiscoveryGet()
    {
        CacheRequest request = default;
        request.Connection = _connection;
        request.Operation = CacheOperation.Get;
        request.Flags = RequestFlags.ReturnValue;
        request.Key = DiscoveryKey;
        request.KeyHash = _loop.Hasher.Compute(DiscoveryKey);
        PendingReply pending = Enqueue(PendingKind.SingleGet, TextVerb.Get);
        pending.SetKey(DiscoveryKey);
        _loop.Channel.Send(request, pending);
    }

    private class DiscoveryProbe : SessionSink
    {
        public bool Found => Status != CacheStatus.NotFound;

        public override void OnReply(in CacheReply reply) => Status = reply.Status;
    }

    /// <summary>The owner is elsewhere: what it says decides. Nothing behind the get is parsed meanwhile.</summary>
    private sealed class RemoteDiscoveryProbe(Session session) : DiscoveryProbe
    {
        public override void OnReply(in CacheReply reply)
        {
            base.OnReply(reply);
            if (session.IsAborted)
                return;
            session._barrier = Barrier.None;
            if (Found)
                session.SendDiscoveryGet();
            else
                session.AnswerDiscovery(asItem: true);
            session._transport.Wake();
        }
    }

    private void AnswerDiscovery(bool asItem) =>
        Collect(ClusterText.DiscoveryAsync(_loop.Shared, asItem), static (session, text) => session.CurrentOutput.Write(text));
}
