using OrleansCache.Gateway.Buffers;
using OrleansCache.Protocol.Binary;
using OrleansCache.Protocol.Text;

namespace OrleansCache.Gateway.Sessions;

/// <summary>
/// The replies of one connection, in the order of its commands.
/// <para>
/// Algorithm. As long as no other silo owes a reply, everything goes straight to <see cref="Output"/>. A request for another silo leaves a
/// <see cref="PendingReply"/> in the queue; what later commands answer collects behind it and joins the output when it completes. A multi-get that meets
/// a key of another silo holds its hits back behind a <see cref="PendingKind.GroupBegin"/>, so that an error can still take the place of all of them.
/// </para>
/// Bounds: the session asks <see cref="IsFull"/> before it takes a further command. Non-goal: thread safety; the queue belongs to its session's loop.
/// </summary>
internal sealed class ReplyQueue(LoopContext loop, ISessionTransport transport)
{
    private PendingReply? _head;
    private PendingReply? _tail;
    private int _count;
    private long _heldBytes;
    private bool _isAborted;

    /// <summary>What may be sent now.</summary>
    public OutputList Output { get; } = new(loop.Chunks, tight: false);

    /// <summary>Where the next reply goes: the output, or behind the last reply that is awaited.</summary>
    public OutputList Current => _tail is { } tail ? tail.Tail : Output;

    /// <summary>Requests that other silos have not answered yet.</summary>
    public int Unanswered { get; private set; }

    /// <summary>No reply is awaited and nothing waits behind one.</summary>
    public bool IsEmpty => _head is null && Unanswered == 0;

    /// <summary>Bytes that wait behind a reply that is awaited.</summary>
    public long HeldBytes => _heldBytes + (_tail?.Tail.Bytes ?? 0);

    /// <summary>The GroupBegin of the multi-get that is being worked on, once it has met a key of another silo.</summary>
    public PendingReply? Group { get; private set; }

    /// <summary>As much is awaited or held back as one connection may have.</summary>
    public bool IsFull =>
        Unanswered >= Limits.RemoteRepliesPendingMax
        || _count >= Limits.RemoteRepliesPendingMax
        || Output.Bytes + HeldBytes >= Limits.OutputHighWaterBytes;

    /// <summary>Takes the next place in the order. The reply is written by <see cref="PendingReply.OnReply"/>.</summary>
    public PendingReply Enqueue(PendingKind kind, TextVerb verb)
    {
        PendingReply reply = loop.RentPending();
        reply.Queue = this;
        reply.Kind = kind;
        reply.Verb = verb;
        if (_tail is { } tail)
        {
            _heldBytes += tail.Tail.Bytes;
            tail.Next = reply;
        }
        else
        {
            _head = reply;
        }

        _tail = reply;
        _count++;
        if (kind is not (PendingKind.GroupBegin or PendingKind.GroupEnd))
            Unanswered++;
        return reply;
    }

    /// <summary>As the other, for a binary packet.</summary>
    public PendingReply Enqueue(PendingKind kind, BinaryOpcode opcode, uint opaque)
    {
        PendingReply pending = Enqueue(kind, default);
        pending.Opcode = opcode;
        pending.Opaque = opaque;
        return pending;
    }

    // ---- replies of other silos ----------------------------------------------------------------------------------------------------

    /// <summary>A reply is here. False: the connection is gone, and the reply with it.</summary>
    public bool TryAccept()
    {
        if (!_isAborted)
            return true;
        Unanswered--;
        return false;
    }

    /// <summary>Where an awaited reply goes now that it is here.</summary>
    public OutputList TargetFor(PendingReply reply) =>
        ReferenceEquals(reply, _head) && reply.Group is not { GroupDrops: true } ? Output : reply.Reply;

    public void Complete(PendingReply reply)
    {
        reply.IsCompleted = true;
        Unanswered--;
        _heldBytes += reply.Reply.Bytes;
        if (ReferenceEquals(reply, _head) || _head!.Kind is PendingKind.GroupBegin)
            Drain();
        transport.Wake();
    }

    /// <summary>The connection is gone: releases everything; replies that still come are dropped.</summary>
    public void Abort()
    {
        _isAborted = true;
        Output.Clear();
        while (_head is { } reply)
        {
            _head = reply.Next;
            reply.Next = null;
            if (reply.IsCompleted || reply.Kind is PendingKind.GroupBegin or PendingKind.GroupEnd)
            {
                loop.ReturnPending(reply);
            }
            else
            {
                reply.Reply.Clear();
                reply.Tail.Clear();
            }
        }

        // The begin of a streaming multi-get has left the queue already; nothing refers to it any more.
        _tail = null;
        _count = 0;
        _heldBytes = 0;
        Group = null;
    }

    // ---- multi-gets ----------------------------------------------------------------------------------------------------------------

    /// <summary>Everything that the get being worked on has answered since the mark moves behind a GroupBegin, where it can still be dropped.</summary>
    public PendingReply BeginGroup(OutputList output, OutputList.Mark mark, TextVerb verb)
    {
        if (Group is { } begun)
            return begun;
        PendingReply group = Group = Enqueue(PendingKind.GroupBegin, verb);
        output.MoveSince(mark, group.Tail);
        if (_count > 1)
        {
            // The moved bytes were counted with their former place when the begin was put behind it.
            _heldBytes -= group.Tail.Bytes;
        }

        return group;
    }

    /// <summary>Fails the get being worked on, unless it has failed before.</summary>
    public void FailGroup(OutputList output, OutputList.Mark mark, TextVerb verb, string reason) => BeginGroup(output, mark, verb).GroupFailure ??= reason;

    /// <summary>What the get being worked on holds back may leave, or nothing would ever make room for the rest of it.</summary>
    public void StreamGroup()
    {
        if (Group is not { } group)
            return;
        group.GroupStreams = true;
        Drain();
    }

    public void EndGroup(TextVerb verb)
    {
        PendingReply group = Group!;
        Group = null;
        group.GroupAsked = true;
        if (_head is null)
        {
            WriteGroupEnd(Output, group);
            loop.ReturnPending(group);
            return;
        }

        Enqueue(PendingKind.GroupEnd, verb).Group = group;
        Drain();
    }

    private static void WriteGroupEnd(OutputList output, PendingReply group)
    {
        if (group.GroupFailure is { } reason)
            output.Commit(TextReply.WriteServerError(output.Reserve(TextReply.LineBytesMax), reason));
        else
            output.Write(TextReply.End);
    }

    /// <summary>Moves what is answered, up to the first reply that is still awaited, into the output.</summary>
    private void Drain()
    {
        while (_head is { } head)
        {
            PendingReply? finished = head;
            bool drop = false;
            switch (head.Kind)
            {
                case PendingKind.GroupBegin:
                    if (!(head.GroupAsked && head.GroupWaiting == 0) && !head.GroupStreams)
                    {
                        // Too much is held back: let the hits go, an error can only end them now.
                        if (HeldBytes < Limits.OutputHighWaterBytes)
                            return;
                        head.GroupStreams = true;
                    }

                    drop = head.GroupDrops = head.GroupFailure is not null;
                    finished = null;
                    break;
                case PendingKind.GroupKey:
                    if (!head.IsCompleted)
                        return;
                    drop = head.Group!.GroupDrops;
                    break;
                case PendingKind.GroupEnd:
                    WriteGroupEnd(Output, head.Group!);
                    loop.ReturnPending(head.Group!);
                    break;
                default:
                    if (!head.IsCompleted)
                        return;
                    break;
            }

            bool last = head.Next is null;
            _heldBytes -= head.Reply.Bytes + (last ? 0 : head.Tail.Bytes);
            if (drop)
            {
                head.Reply.Clear();
                head.Tail.Clear();
            }
            else
            {
                Output.TakeAll(head.Reply);
                Output.TakeAll(head.Tail);
            }

            _head = head.Next;
            head.Next = null;
            _count--;
            if (last)
                _tail = null;
            if (finished is not null)
                loop.ReturnPending(finished);
        }
    }
}
