using OrleansCache.Gateway.Stats;
using OrleansCache.Protocol.Text;

namespace OrleansCache.Gateway.Sessions.Text;

/// <summary>ElastiCache's discovery: the list of gateways, by `config get cluster` or under the item that clients of old servers read.</summary>
internal static class DiscoveryCommands
{
    /// <summary>The item under which clients of old ElastiCache servers look for the list of gateways.</summary>
    private static ReadOnlySpan<byte> Key => "AmazonElastiCache:cluster"u8;

    public static bool IsDiscoveryGet(ReadOnlySpan<byte> keys) => keys.Length == Key.Length && keys.SequenceEqual(Key);

    /// <summary>
    /// An item of that name is what the client gets; where there is none, the list. False: the item may be there, and an ordinary get must find it.
    /// </summary>
    public static bool TryAnswerGet(Session session, ReadOnlySpan<byte> key)
    {
        LoopContext loop = session.Loop;
        CacheRequest request = default;
        request.Operation = CacheOperation.Get;
        request.Flags = RequestFlags.Peek;
        request.Key = key;
        request.KeyHash = loop.Hasher.Compute(key);
        var probe = new Probe();
        if (loop.Channel.TryExecute(request, loop.NowUnixSeconds, probe))
        {
            if (probe.Found)
                return false;
            Answer(session, asItem: true);
            return true;
        }

        session.Barrier = Barrier.WaitsElsewhere;
        loop.Channel.Send(request, new RemoteProbe(session));
        return true;
    }

    public static void Answer(Session session, bool asItem) => StatsCollection.Start(
        session, ClusterText.DiscoveryAsync(session.Loop.Shared, asItem), static (session, text) => session.Replies.Current.Write(text));

    private static void SendGet(Session session)
    {
        LoopContext loop = session.Loop;
        CacheRequest request = default;
        request.Connection = session.Connection;
        request.Operation = CacheOperation.Get;
        request.Flags = RequestFlags.ReturnValue;
        request.Key = Key;
        request.KeyHash = loop.Hasher.Compute(Key);
        PendingReply pending = session.Replies.Enqueue(PendingKind.SingleGet, TextVerb.Get);
        pending.SetKey(Key);
        loop.Channel.Send(request, pending);
    }

    private class Probe : ReplySink
    {
        public bool Found { get; private set; }

        public override void OnReply(in CacheReply reply) => Found = reply.Status != CacheStatus.NotFound;
    }

    /// <summary>The owner is elsewhere: its reply decides. Nothing behind the get is parsed meanwhile.</summary>
    private sealed class RemoteProbe(Session session) : Probe
    {
        public override void OnReply(in CacheReply reply)
        {
            base.OnReply(reply);
            if (session.IsAborted)
                return;
            session.Barrier = Barrier.None;
            if (Found)
                SendGet(session);
            else
                Answer(session, asItem: true);
            session.Transport.Wake();
        }
    }
}
