using OrleansCache.Protocol.Text;

namespace OrleansCache.Gateway.Sessions.Text;

/// <summary>The text protocol's commands with one key: storage, counters, touch, delete.</summary>
internal static class KeyCommands
{
    /// <summary>A storage command whose data block is here; the block ends with CRLF, or the command is refused.</summary>
    public static void Store(
        Session session, TextVerb verb, ReadOnlySpan<byte> key, uint clientFlags, long exptime, ulong cas, bool noReply, ReadOnlySpan<byte> block)
    {
        int length = block.Length - 2;
        if (block[length] != (byte)'\r' || block[length + 1] != (byte)'\n')
        {
            if (!noReply)
                session.Replies.Current.Write(TextReply.BadDataChunk);
            return;
        }

        LoopContext loop = session.Loop;
        CacheRequest request = default;
        request.Connection = session.Connection;
        request.Operation = verb switch
        {
            TextVerb.Add => CacheOperation.Add,
            TextVerb.Replace => CacheOperation.Replace,
            TextVerb.Append => CacheOperation.Append,
            TextVerb.Prepend => CacheOperation.Prepend,
            _ => CacheOperation.Set,
        };
        if (verb == TextVerb.Cas)
        {
            request.Flags = RequestFlags.CompareCas;
            request.CompareCas = cas;
        }

        request.Key = key;
        request.KeyHash = loop.Hasher.Compute(key);
        request.Value = block[..length];
        request.ClientFlags = clientFlags;
        request.ExpiresAt = Expiry.Resolve(exptime, loop.NowUnixSeconds);
        Run(session, request, verb, noReply);
    }

    /// <summary>incr, decr, touch, delete.</summary>
    public static void Change(Session session, in TextCommand command)
    {
        LoopContext loop = session.Loop;
        CacheRequest request = default;
        request.Connection = session.Connection;
        switch (command.Verb)
        {
            case TextVerb.Increment:
                request.Operation = CacheOperation.Increment;
                request.Delta = command.Delta;
                break;
            case TextVerb.Decrement:
                request.Operation = CacheOperation.Decrement;
                request.Delta = command.Delta;
                break;
            case TextVerb.Touch:
                request.Operation = CacheOperation.Touch;
                request.Flags = RequestFlags.Touch;
                request.ExpiresAt = Expiry.Resolve(command.Exptime, loop.NowUnixSeconds);
                break;
            default:
                request.Operation = CacheOperation.Delete;
                if (loop.Shared.Detail.IsEnabled)
                    loop.Shared.Detail.CountDelete(command.Key);
                break;
        }

        request.Key = command.Key;
        request.KeyHash = loop.Hasher.Compute(command.Key);
        Run(session, request, command.Verb, command.NoReply);
    }

    private static void Run(Session session, in CacheRequest request, TextVerb verb, bool noReply)
    {
        LoopContext loop = session.Loop;
        loop.Counters.Operations++;
        RouterChannel channel = loop.Channel;
        if (noReply)
        {
            if (!channel.TryExecute(request, loop.NowUnixSeconds, loop.SilentSink))
                channel.Send(request, session.Replies.Enqueue(PendingKind.Silent, verb));
            return;
        }

        ResultSink sink = loop.ResultSink;
        sink.Output = session.Replies.Current;
        sink.Verb = verb;
        if (!channel.TryExecute(request, loop.NowUnixSeconds, sink))
            channel.Send(request, session.Replies.Enqueue(PendingKind.Result, verb));
    }
}
