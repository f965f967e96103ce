using OrleansCache.Protocol.Binary;
using OrleansCache.Protocol.Text;

namespace OrleansCache.Gateway.Sessions;

/// <summary>What a value has for consequences that was refused before any store saw it.</summary>
internal static class RefusedStore
{
    /// <summary>
    /// Takes the former value away. Returns false if that happens at another silo: then the reply of kind <paramref name="elsewhere"/> waits for it, so that a
    /// client that has read the error does not find the former value afterwards.
    /// </summary>
    public static bool DeleteFormer(Session session, ReadOnlySpan<byte> key, PendingKind elsewhere, BinaryOpcode opcode = default, uint opaque = 0)
    {
        LoopContext loop = session.Loop;
        CacheRequest request = default;
        request.Connection = session.Connection;
        request.Operation = CacheOperation.Delete;
        request.Flags = RequestFlags.RefusedStore;
        request.Key = key;
        request.KeyHash = loop.Hasher.Compute(key);
        loop.Counters.Operations++;
        if (loop.Channel.TryExecute(request, loop.NowUnixSeconds, loop.SilentSink))
            return true;
        PendingReply reply = session.Replies.Enqueue(elsewhere, opcode, opaque);
        reply.Verb = TextVerb.Set;
        loop.Channel.Send(request, reply);
        return false;
    }

    /// <summary>Counts a value of the text protocol that is too large, and publishes it.</summary>
    public static void Count(Session session, ReadOnlySpan<byte> key, ItemStoreCommand command)
    {
        session.Loop.Counters.StoresTooLarge++;
        Publish(session, key, command);
    }

    public static void Publish(Session session, ReadOnlySpan<byte> key, ItemStoreCommand command) =>
        session.Loop.Shared.Router.Events.ItemStore(key, ItemStoreStatus.TooLarge, command, 0, 0, session.Connection, 0);
}
