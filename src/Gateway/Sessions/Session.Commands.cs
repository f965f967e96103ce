using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using OrleansCache.Gateway.Buffers;
using OrleansCache.Protocol.Text;

namespace OrleansCache.Gateway.Sessions;

// The commands: from a parsed line to requests, and from replies to output.
internal sealed unsafe partial class Session
{
    // A multi-get that had to wait in its middle: where its rest lies relative to the next input byte.
    private bool _getActive;
    private TextVerb _getVerb;
    private uint _getExpiresAt;
    private byte* _getRest;
    private int _getKeysLength;
    private int _getLineLength;

    // The GroupBegin of the get that is being worked on, once it has met a remote key.
    private PendingReply? _group;

    /// <summary>
    /// Carries out a command. <paramref name="next"/> is the input behind its line and <paramref name="used"/> what was taken of it (a data block).
    /// False: a get that has to wait before its last key, or another command that has to wait altogether.
    /// </summary>
    private bool Execute(in TextCommand command, byte* next, int available, out int used)
    {
        Commands++;
        used = 0;
        switch (command.Verb)
        {
            case TextVerb.Get:
            case TextVerb.Gets:
                if (command.Keys.Length == DiscoveryKey.Length && command.Verb == TextVerb.Get && command.Keys.SequenceEqual(DiscoveryKey))
                {
                    if (RunDiscoveryGet(command.Keys))
                        return true;
                }

                return RunGet(command.Verb, 0, command.Keys);
            case TextVerb.Gat:
            case TextVerb.Gats:
                return RunGet(command.Verb, Expiry.Resolve(command.Exptime, _loop.NowUnixSeconds), command.Keys);
            case TextVerb.Set:
            case TextVerb.Add:
            case TextVerb.Replace:
            case TextVerb.Append:
            case TextVerb.Prepend:
            case TextVerb.Cas:
                if (_loop.Shared.Detail.IsEnabled)
                    _loop.Shared.Detail.CountSet(command.Key);
                int block = command.ValueLength + 2;
                if (available >= block)
                {
                    used = block;
                    Store(
                        command.Verb, command.Key, command.ClientFlags, command.Exptime, command.Cas, command.NoReply, new ReadOnlySpan<byte>(next, block));
                }
                else
                {
                    _value = _loop.RentValue(command);
                    used = _value.Append(next, available);
                }

                return true;
            case TextVerb.Increment:
            case TextVerb.Decrement:
            case TextVerb.Touch:
            case TextVerb.Delete:
                Change(command);
                return true;
            case TextVerb.Meta:
                return RunMeta(command.Keys, next, available, out used);
            default:
                Administrate(command);
                return true;
        }
    }

    // ---- the get family ------------------------------------------------------------------------------------------------------------

    private bool RunGet(TextVerb verb, uint expiresAt, ReadOnlySpan<byte> keys)
    {
        RouterChannel channel = _loop.Channel;
        GetSink sink = _loop.GetSink;
        OutputList output = CurrentOutput;
        OutputList.Mark mark = output.GetMark();
        bool isFirst = true;
        sink.Output = output;
        sink.WithCas = verb is TextVerb.Gets or TextVerb.Gats;
        sink.FailureReason = null;
        sink.Detail = _loop.Shared.Detail.IsEnabled ? _loop.Shared.Detail : null;

        byte* end = (byte*)Unsafe.AsPointer(ref MemoryMarshal.GetReference(keys)) + keys.Length;
        CacheRequest request = default;
        request.Connection = _connection;
        request.Operation = CacheOperation.Get;
        request.Flags = verb is TextVerb.Get or TextVerb.Gets ? RequestFlags.ReturnValue : RequestFlags.ReturnValue | RequestFlags.Touch;
        request.ExpiresAt = expiresAt;
        ulong* hashes = stackalloc ulong[Limits.PrefetchKeysMax];
        int hashed = 0, hashesUsed = 0;
        while (TextParser.TryReadKey(ref keys, out ReadOnlySpan<byte> found))
        {
            if (hashesUsed == hashed)
            {
                hashed = HashAhead(found, keys, hashes);
                hashesUsed = 0;
            }

            _loop.Counters.Operations++;
            sink.Key = (byte*)Unsafe.AsPointer(ref MemoryMarshal.GetReference(found));
            sink.KeyLength = found.Length;
            var key = new ReadOnlySpan<byte>(sink.Key, sink.KeyLength);
            request.Key = key;
            request.KeyHash = hashes[hashesUsed++];
            sink.Detail?.CountGet(key);
            if (!channel.TryExecute(request, _loop.NowUnixSeconds, sink))
            {
                if (isFirst && keys.IsEmpty && _group is null)
                {
                    PendingReply single = Enqueue(PendingKind.SingleGet, verb);
                    single.SetKey(key);
                    channel.Send(request, single);
                    return true;
                }

                BeginGroup(output, mark, verb);
                PendingReply pending = Enqueue(PendingKind.GroupKey, verb);
                pending.SetKey(key);
                pending.Group = _group;
                _group!.GroupWaiting++;
                channel.Send(request, pending);
                sink.Output = output = CurrentOutput;
            }
            else if (sink.FailureReason is { } reason)
            {
                _loop.Counters.Unavailable++;
                BeginGroup(output, mark, verb);
                _group!.GroupFailure ??= reason;
                sink.FailureReason = null;
                sink.Output = output = CurrentOutput;
            }

            else if (sink.LacksRoom)
            {
                sink.LacksRoom = false;
                var rest = new ReadOnlySpan<byte>(sink.Key, (int)(end - sink.Key));
                if (TryWaitForRoom(rest.Length))
                {
                    LeaveGetAt(verb, expiresAt, rest);
                    return false;
                }

                BeginGroup(output, mark, verb);
                _group!.GroupFailure ??= "out of memory writing get response";
                sink.Output = output = CurrentOutput;
            }

            isFirst = false;
            if (!keys.IsEmpty && IsHeld)
            {
                LeaveGetAt(verb, expiresAt, keys);
                return false;
            }
        }

        if (_group is null)
            output.Write(TextReply.End);
        else
            EndGroup(verb);
        return true;
    }

    /// <summary>Hashes this key and the next ones of its get, announces them to the store if there are several, and returns how many.</summary>
    private int HashAhead(ReadOnlySpan<byte> key, ReadOnlySpan<byte> rest, ulong* hashes)
    {
        hashes[0] = _loop.Hasher.Compute(key);
        int count = 1;
        while (count < Limits.PrefetchKeysMax && TextParser.TryReadKey(ref rest, out ReadOnlySpan<byte> next))
            hashes[count++] = _loop.Hasher.Compute(next);
        if (count > 1)
            _loop.Channel.Prefetch(new ReadOnlySpan<ulong>(hashes, count));
        return count;
    }

    /// <summary>Everything this get has answered so far moves behind a GroupBegin, where it can still be dropped.</summary>
    private void BeginGroup(OutputList output, OutputList.Mark mark, TextVerb verb)
    {
        if (_group is not null)
            return;
        _group = Enqueue(PendingKind.GroupBegin, verb);
        output.MoveSince(mark, _group.Tail);
        if (_replyCount > 1)
        {
            // The moved bytes were counted with their former place when the begin was put behind it.
            _heldBytes -= _group.Tail.Bytes;
        }
    }

    private void EndGroup(TextVerb verb)
    {
        PendingReply group = _group!;
        _group = null;
        group.GroupAsked = true;
        if (_replyHead is null)
        {
            WriteGroupEnd(Output, group);
            _loop.ReturnPending(group);
            return;
        }

        Enqueue(PendingKind.GroupEnd, verb).Group = group;
        DrainReplies();
    }

    private static void WriteGroupEnd(OutputList output, PendingReply group)
    {
        if (group.GroupFailure is { } reason)
            output.Commit(TextReply.WriteServerError(output.Reserve(TextReply.LineBytesMax), reason));
        else
            output.Write(TextReply.End);
    }

    private void LeaveGetAt(TextVerb verb, uint expiresAt, ReadOnlySpan<byte> keys)
    {
        _getActive = true;
        _getVerb = verb;
        _getExpiresAt = expiresAt;
        _getRest = (byte*)Unsafe.AsPointer(ref MemoryMarshal.GetReference(keys));
        _getKeysLength = keys.Length;
        if (_group is { } group)
        {
            // What is held back must be able to leave, or nothing would ever make room.
            group.GroupStreams = true;
            DrainReplies();
        }
    }

    /// <summary>The get that begins at <paramref name="line"/> waits; returns how much of its line is done with.</summary>
    private int LeaveGet(byte* line, int lineLength)
    {
        int done = (int)(_getRest - line);
        Debug.Assert(done >= 0 && done <= lineLength);
        _getLineLength = lineLength - done;
        return done;
    }

    private int ContinueGet(byte* rest)
    {
        _getActive = false;
        return RunGet(_getVerb, _getExpiresAt, new ReadOnlySpan<byte>(rest, _getKeysLength)) ? _getLineLength : LeaveGet(rest, _getLineLength);
    }

    // ---- commands with one key -----------------------------------------------------------------------------------------------------

    private void Store(
        TextVerb verb, ReadOnlySpan<byte> key, uint clientFlags, long exptime, ulong cas, bool noReply, ReadOnlySpan<byte> block)
    {
        int length = block.Length - 2;
        if (block[length] != (byte)'\r' || block[length + 1] != (byte)'\n')
        {
            if (!noReply)
                CurrentOutput.Write("CLIENT_ERROR bad data chunk\r\n"u8);
            return;
        }

        CacheRequest request = default;
        request.Connection = _connection;
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
        request.KeyHash = _loop.Hasher.Compute(key);
        request.Value = block[..length];
        request.ClientFlags = clientFlags;
        request.ExpiresAt = Expiry.Resolve(exptime, _loop.NowUnixSeconds);
        Run(request, verb, noReply);
    }

    private void CompleteValue()
    {
        IncomingValue value = _value!;
        _value = null;
        if (_wire == Wire.Binary)
            CompletePacket(value);
        else if (value.IsMeta)
            StoreMeta(value.ToRequest(_loop.Hasher), value.MetaForm, value.Block);
        else
            Store(value.Verb, value.Key, value.ClientFlags, value.Exptime, value.Cas, value.NoReply, value.Block);
        _loop.ReturnValue(value);
    }

    private void Change(in TextCommand command)
    {
        CacheRequest request = default;
        request.Connection = _connection;
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
                request.ExpiresAt = Expiry.Resolve(command.Exptime, _loop.NowUnixSeconds);
                break;
            default:
                request.Operation = CacheOperation.Delete;
                if (_loop.Shared.Detail.IsEnabled)
                    _loop.Shared.Detail.CountDelete(command.Key);
                break;
        }

        request.Key = command.Key;
        request.KeyHash = _loop.Hasher.Compute(command.Key);
        Run(request, command.Verb, command.NoReply);
    }

    /// <summary>
    /// A value that is too large takes the former one with it. Returns false if that happens at another silo: then the error line waits for it, so that whoever
    /// has read the error does not find the former value afterwards.
    /// </summary>
    private bool DeleteBeforeError(ReadOnlySpan<byte> key, bool noReply)
    {
        CacheRequest request = default;
        request.Connection = _connection;
        request.Operation = CacheOperation.Delete;
        request.Flags = RequestFlags.RefusedStore;
        request.Key = key;
        request.KeyHash = _loop.Hasher.Compute(key);
        _loop.Counters.Operations++;
        RouterChannel channel = _loop.Channel;
        if (channel.TryExecute(request, _loop.NowUnixSeconds, _loop.SilentSink))
            return true;
        channel.Send(request, Enqueue(noReply ? PendingKind.Silent : PendingKind.TooLarge, TextVerb.Set));
        return false;
    }

    private void Run(in CacheRequest request, TextVerb verb, bool noReply)
    {
        _loop.Counters.Operations++;
        RouterChannel channel = _loop.Channel;
        if (noReply)
        {
            if (!channel.TryExecute(request, _loop.NowUnixSeconds, _loop.SilentSink))
                channel.Send(request, Enqueue(PendingKind.Silent, verb));
            return;
        }

        ResultSink sink = _loop.ResultSink;
        sink.Output = CurrentOutput;
        sink.Verb = verb;
        if (!channel.TryExecute(request, _loop.NowUnixSeconds, sink))
            channel.Send(request, Enqueue(PendingKind.Result, verb));
    }
}
