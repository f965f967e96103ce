using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using OrleansCache.Gateway.Buffers;
using OrleansCache.Protocol.Text;

namespace OrleansCache.Gateway.Sessions.Text;

/// <summary>
/// get, gets, gat and gats of one connection. Keys are read one after the other; a get of many may have to wait between two of them, and then remembers
/// where its rest lies relative to the next input byte. State of a <see cref="TextProtocol"/>.
/// </summary>
internal unsafe struct GetCommand
{
    private TextVerb _verb;
    private uint _expiresAt;
    private byte* _rest;
    private int _keysLength;
    private int _lineLength;

    /// <summary>The command waits before one of its keys.</summary>
    public bool IsPaused { get; private set; }

    /// <summary>Asks for the keys. False: it waits, before a key that is not its first.</summary>
    public bool Run(Session session, TextVerb verb, uint expiresAt, ReadOnlySpan<byte> keys)
    {
        LoopContext loop = session.Loop;
        ReplyQueue replies = session.Replies;
        RouterChannel channel = loop.Channel;
        GetSink sink = loop.GetSink;
        OutputList output = replies.Current;
        OutputList.Mark mark = output.GetMark();
        bool isFirst = true;
        sink.Output = output;
        sink.WithCas = verb is TextVerb.Gets or TextVerb.Gats;
        sink.FailureReason = null;
        sink.Detail = loop.Shared.Detail.IsEnabled ? loop.Shared.Detail : null;

        byte* end = (byte*)Unsafe.AsPointer(ref MemoryMarshal.GetReference(keys)) + keys.Length;
        CacheRequest request = default;
        request.Connection = session.Connection;
        request.Operation = CacheOperation.Get;
        request.Flags = verb is TextVerb.Get or TextVerb.Gets ? RequestFlags.ReturnValue : RequestFlags.ReturnValue | RequestFlags.Touch;
        request.ExpiresAt = expiresAt;
        ulong* hashes = stackalloc ulong[Limits.PrefetchKeysMax];
        int hashed = 0, hashesUsed = 0;
        while (TextParser.TryReadKey(ref keys, out ReadOnlySpan<byte> found))
        {
            if (hashesUsed == hashed)
            {
                hashed = HashAhead(loop, found, keys, hashes);
                hashesUsed = 0;
            }

            loop.Counters.Operations++;
            sink.Key = (byte*)Unsafe.AsPointer(ref MemoryMarshal.GetReference(found));
            sink.KeyLength = found.Length;
            var key = new ReadOnlySpan<byte>(sink.Key, sink.KeyLength);
            request.Key = key;
            request.KeyHash = hashes[hashesUsed++];
            sink.Detail?.CountGet(key);
            if (!channel.TryExecute(request, loop.NowUnixSeconds, sink))
            {
                if (isFirst && keys.IsEmpty && replies.Group is null)
                {
                    PendingReply single = replies.Enqueue(PendingKind.SingleGet, verb);
                    single.SetKey(key);
                    channel.Send(request, single);
                    return true;
                }

                PendingReply group = replies.BeginGroup(output, mark, verb);
                PendingReply pending = replies.Enqueue(PendingKind.GroupKey, verb);
                pending.SetKey(key);
                pending.Group = group;
                group.GroupWaiting++;
                channel.Send(request, pending);
                sink.Output = output = replies.Current;
            }
            else if (sink.FailureReason is { } reason)
            {
                loop.Counters.Unavailable++;
                replies.FailGroup(output, mark, verb, reason);
                sink.FailureReason = null;
                sink.Output = output = replies.Current;
            }
            else if (sink.LacksRoom)
            {
                sink.LacksRoom = false;
                var rest = new ReadOnlySpan<byte>(sink.Key, (int)(end - sink.Key));
                if (session.TryWaitForRoom(rest.Length))
                {
                    PauseAt(replies, verb, expiresAt, rest);
                    return false;
                }

                replies.FailGroup(output, mark, verb, "out of memory writing get response");
                sink.Output = output = replies.Current;
            }

            isFirst = false;
            if (!keys.IsEmpty && session.IsHeld)
            {
                PauseAt(replies, verb, expiresAt, keys);
                return false;
            }
        }

        if (replies.Group is null)
            output.Write(TextReply.End);
        else
            replies.EndGroup(verb);
        return true;
    }

    /// <summary>The paused get begins at <paramref name="line"/>; returns how much of its line is done with.</summary>
    public int Leave(byte* line, int lineLength)
    {
        int done = (int)(_rest - line);
        Debug.Assert(done >= 0 && done <= lineLength);
        _lineLength = lineLength - done;
        return done;
    }

    /// <summary>Goes on with a paused get; returns how much of its line is done with.</summary>
    public int Continue(Session session, byte* rest)
    {
        IsPaused = false;
        return Run(session, _verb, _expiresAt, new ReadOnlySpan<byte>(rest, _keysLength)) ? _lineLength : Leave(rest, _lineLength);
    }

    private void PauseAt(ReplyQueue replies, TextVerb verb, uint expiresAt, ReadOnlySpan<byte> keys)
    {
        IsPaused = true;
        _verb = verb;
        _expiresAt = expiresAt;
        _rest = (byte*)Unsafe.AsPointer(ref MemoryMarshal.GetReference(keys));
        _keysLength = keys.Length;
        replies.StreamGroup();
    }

    /// <summary>Hashes this key and the next ones of its get, announces them to the store if there are several, and returns how many.</summary>
    private static int HashAhead(LoopContext loop, ReadOnlySpan<byte> key, ReadOnlySpan<byte> rest, ulong* hashes)
    {
        hashes[0] = loop.Hasher.Compute(key);
        int count = 1;
        while (count < Limits.PrefetchKeysMax && TextParser.TryReadKey(ref rest, out ReadOnlySpan<byte> next))
            hashes[count++] = loop.Hasher.Compute(next);
        if (count > 1)
            loop.Channel.Prefetch(new ReadOnlySpan<ulong>(hashes, count));
        return count;
    }
}
