using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using OrleansCache.Gateway.Stats;
using OrleansCache.Protocol.Binary;

namespace OrleansCache.Gateway.Sessions.Binary;

/// <summary>The binary protocol's commands with a key.</summary>
internal static unsafe class PacketCommands
{
    /// <summary>get and its relatives.</summary>
    public static void Read(Session session, in BinaryCommand command)
    {
        LoopContext loop = session.Loop;
        CacheRequest request = default;
        request.Connection = session.Connection;
        request.Operation = CacheOperation.Get;
        request.Flags = RequestFlags.ReturnValue;
        if (command.Verb is BinaryOpcode.GetAndTouch or BinaryOpcode.GetKeyAndTouch)
        {
            request.Flags |= RequestFlags.Touch;
            request.ExpiresAt = Expiry.Resolve(command.Exptime, loop.NowUnixSeconds);
        }

        request.Key = command.Key;
        request.KeyHash = loop.Hasher.Compute(command.Key);
        Run(session, request, command.Opcode, command.Opaque);
    }

    /// <summary>A storage command whose value is here.</summary>
    public static void Store(
        Session session, BinaryOpcode opcode, uint opaque, ReadOnlySpan<byte> key, uint clientFlags, long exptime, ulong cas, ReadOnlySpan<byte> value)
    {
        LoopContext loop = session.Loop;
        CacheRequest request = default;
        request.Connection = session.Connection;
        BinaryOpcode verb = BinaryOpcodes.WithoutQuiet(opcode);
        if (verb is BinaryOpcode.Append or BinaryOpcode.Prepend)
        {
            request.Operation = verb == BinaryOpcode.Append ? CacheOperation.Append : CacheOperation.Prepend;
        }
        else
        {
            // With a CAS to compare, add and replace mean what set means: store if it is still that item.
            request.Operation = cas != 0 ? CacheOperation.Set : verb switch
            {
                BinaryOpcode.Add => CacheOperation.Add,
                BinaryOpcode.Replace => CacheOperation.Replace,
                _ => CacheOperation.Set,
            };
            request.ClientFlags = clientFlags;
            request.ExpiresAt = Expiry.Resolve(exptime, loop.NowUnixSeconds);
        }

        if (cas != 0)
        {
            request.Flags = RequestFlags.CompareCas;
            request.CompareCas = cas;
        }

        request.Key = key;
        request.KeyHash = loop.Hasher.Compute(key);
        request.Value = value;
        Run(session, request, opcode, opaque);
    }

    /// <summary>increment, decrement, touch, delete.</summary>
    public static void Change(Session session, in BinaryCommand command)
    {
        // Expiry of a counter that says: do not create it.
        const uint DoNotCreate = 0xffffffff;

        LoopContext loop = session.Loop;
        CacheRequest request = default;
        request.Connection = session.Connection;
        switch (command.Verb)
        {
            case BinaryOpcode.Increment:
            case BinaryOpcode.Decrement:
                request.Operation = command.Verb == BinaryOpcode.Increment ? CacheOperation.Increment : CacheOperation.Decrement;
                request.Delta = command.Delta;
                if (command.Exptime != DoNotCreate)
                {
                    request.Flags = RequestFlags.CreateOnMiss;
                    request.InitialValue = command.InitialValue;
                    request.CreateExpiresAt = Expiry.Resolve(command.Exptime, loop.NowUnixSeconds);
                }

                break;
            case BinaryOpcode.Touch:
                request.Operation = CacheOperation.Touch;
                request.Flags = RequestFlags.Touch;
                request.ExpiresAt = Expiry.Resolve(command.Exptime, loop.NowUnixSeconds);
                break;
            default:
                request.Operation = CacheOperation.Delete;
                break;
        }

        if (command.Cas != 0 && command.Verb != BinaryOpcode.Touch)
        {
            request.Flags |= RequestFlags.CompareCas;
            request.CompareCas = command.Cas;
        }

        request.Key = command.Key;
        request.KeyHash = loop.Hasher.Compute(command.Key);
        Run(session, request, command.Opcode, command.Opaque);
    }

    private static void Run(Session session, in CacheRequest request, BinaryOpcode opcode, uint opaque)
    {
        LoopContext loop = session.Loop;
        loop.Counters.Operations++;
        RouterChannel channel = loop.Channel;
        BinarySink sink = loop.BinarySink;
        sink.Output = session.Replies.Current;
        sink.Opcode = opcode;
        sink.Opaque = opaque;

        // Only reads look at it, and a read's key lies in the input, which does not move.
        sink.Key = (byte*)Unsafe.AsPointer(ref MemoryMarshal.GetReference(request.Key));
        sink.KeyLength = request.Key.Length;
        sink.Detail = loop.Shared.Detail.IsEnabled ? loop.Shared.Detail : null;
        if (sink.Detail is not null)
            CountDetail(sink.Detail, BinaryOpcodes.WithoutQuiet(opcode), request.Key);
        sink.Readings = loop.Readings;
        if (channel.TryExecute(request, loop.NowUnixSeconds, sink))
        {
            if (sink.LacksRoom)
                WaitForRoom(session, sink);
            return;
        }

        PendingReply pending = session.Replies.Enqueue(PendingKind.Binary, opcode, opaque);
        pending.SetKey(request.Key);
        channel.Send(request, pending);
    }

    private static void CountDetail(PrefixCounters detail, BinaryOpcode verb, ReadOnlySpan<byte> key)
    {
        if (BinarySink.CountsAsGet(verb))
            detail.CountGet(key);
        else if (verb == BinaryOpcode.Delete)
            detail.CountDelete(key);
        else if (verb is not (BinaryOpcode.Increment or BinaryOpcode.Decrement))
            detail.CountSet(key);
    }

    private static void WaitForRoom(Session session, BinarySink sink)
    {
        sink.LacksRoom = false;
        if (!session.TryWaitForRoomAgain())
            PacketReplies.WriteError(session.Replies.Current, sink.Opcode, BinaryStatus.OutOfMemory, sink.Opaque);
    }
}
