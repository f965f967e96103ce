using OrleansCache.Gateway.Buffers;
using OrleansCache.Gateway.Sessions.Binary;
using OrleansCache.Gateway.Sessions.Text;
using OrleansCache.Protocol.Binary;
using OrleansCache.Protocol.Meta;
using OrleansCache.Protocol.Text;

namespace OrleansCache.Gateway.Sessions;

internal enum PendingKind : byte
{
    /// <summary>A command with one key and a one-line reply.</summary>
    Result,

    /// <summary>The deletion that goes before the error line of a value that is too large.</summary>
    TooLarge,

    /// <summary>A get of one key: the hit and END.</summary>
    SingleGet,

    /// <summary>One key of a multi-get.</summary>
    GroupKey,

    /// <summary>Stands before the first remote key of a multi-get and carries its state; waits for nothing itself.</summary>
    GroupBegin,

    /// <summary>END of a multi-get, or the error line in its place.</summary>
    GroupEnd,

    /// <summary>
    /// noreply at another silo: answers nothing, but holds its place, so that a client that reads a later reply of this connection finds the write done,
    /// through every gateway.
    /// </summary>
    Silent,

    /// <summary>A binary packet with a key; a quiet one may answer nothing.</summary>
    Binary,

    /// <summary>The deletion that goes before the error of a binary packet whose value is too large.</summary>
    BinaryTooLarge,

    /// <summary>A meta command.</summary>
    Meta,
}

/// <summary>
/// Holds the place of another silo's reply in a connection's order. <see cref="Reply"/> is what it brings, <see cref="Tail"/> collects what the
/// connection's later commands answered meanwhile. The reply at the front of the queue is written straight to the output.
/// Pooled by the loop; goes back when it has been answered and drained, or answered after the session died.
/// </summary>
internal sealed class PendingReply(LoopContext loop) : ReplySink
{
    private readonly byte[] _key = new byte[Limits.KeyBytesMax];
    private int _keyLength;

    public OutputList Reply { get; } = new(loop.Chunks, tight: true);
    public OutputList Tail { get; } = new(loop.Chunks, tight: true);
    public PendingReply? Next { get; set; }
    public ReplyQueue? Queue { get; set; }
    public PendingKind Kind { get; set; }
    public TextVerb Verb { get; set; }
    public bool IsCompleted { get; set; }

    /// <summary>Of <see cref="PendingKind.Binary"/>, as is the opaque.</summary>
    public BinaryOpcode Opcode { get; set; }
    public uint Opaque { get; set; }

    /// <summary>Of <see cref="PendingKind.GroupKey"/> and <see cref="PendingKind.GroupEnd"/>: the <see cref="PendingKind.GroupBegin"/>.</summary>
    public PendingReply? Group { get; set; }

    // State of a multi-get, kept in its GroupBegin.

    /// <summary>Keys not answered yet.</summary>
    public int GroupWaiting { get; set; }

    /// <summary>All keys have been asked for.</summary>
    public bool GroupAsked { get; set; }

    /// <summary>The response has grown too large to be held back until it is whole: hits leave as they come.</summary>
    public bool GroupStreams { get; set; }

    /// <summary>Why the command fails.</summary>
    public string? GroupFailure { get; set; }

    /// <summary>It failed before anything of it left: its hits are dropped.</summary>
    public bool GroupDrops { get; set; }

    /// <summary>Of <see cref="PendingKind.Meta"/>.</summary>
    public MetaReplyForm MetaForm { get; set; }

    public bool WithCas => Verb is TextVerb.Gets or TextVerb.Gats;

    public void SetKey(ReadOnlySpan<byte> key)
    {
        key.CopyTo(_key);
        _keyLength = key.Length;
    }

    public override void OnReply(in CacheReply reply)
    {
        ReplyQueue queue = Queue!;
        if (!queue.TryAccept())
        {
            loop.ReturnPending(this);
            return;
        }

        if (reply.Status == CacheStatus.Unavailable)
            loop.Counters.Unavailable++;
        OutputList target = queue.TargetFor(this);
        if (reply.Status == CacheStatus.Ok && Kind is (PendingKind.SingleGet or PendingKind.GroupKey) && loop.Shared.Detail.IsEnabled)
            loop.Shared.Detail.CountHit(_key.AsSpan(0, _keyLength));
        switch (Kind)
        {
            case PendingKind.Result:
                target.Commit(TextReply.WriteResult(target.Reserve(TextReply.LineBytesMax), Verb, reply));
                break;
            case PendingKind.Silent:
                break;
            case PendingKind.Meta:
                MetaSink.Write(target, MetaForm, _key.AsSpan(0, _keyLength), reply, loop.NowUnixSeconds, must: true);
                break;
            case PendingKind.TooLarge:
                var outcome = new CacheReply
                {
                    Status = reply.Status == CacheStatus.Unavailable ? CacheStatus.Unavailable : CacheStatus.TooLarge,
                    Reason = reply.Reason,
                };
                target.Commit(TextReply.WriteResult(target.Reserve(TextReply.LineBytesMax), Verb, outcome));
                break;
            case PendingKind.SingleGet when reply.Status is CacheStatus.Ok:
                GetSink.WriteHit(target, _key.AsSpan(0, _keyLength), WithCas, reply, must: true);
                target.Write(TextReply.End);
                break;
            case PendingKind.SingleGet when reply.Status is CacheStatus.NotFound:
                target.Write(TextReply.End);
                break;
            case PendingKind.SingleGet:
                target.Commit(TextReply.WriteServerError(target.Reserve(TextReply.LineBytesMax), reply.Reason ?? "temporary failure"));
                break;
            case PendingKind.Binary:
                if (loop.Shared.Detail.IsEnabled)
                    BinarySink.CountHit(loop.Shared.Detail, Opcode, _key.AsSpan(0, _keyLength), reply);
                BinarySink.Write(target, Opcode, Opaque, _key.AsSpan(0, _keyLength), reply, must: true);
                break;
            case PendingKind.BinaryTooLarge:
                BinarySink.WriteTooLarge(target, Opcode, Opaque, reply);
                break;
            default:
                Group!.GroupWaiting--;
                if (reply.Status == CacheStatus.Ok)
                    GetSink.WriteHit(target, _key.AsSpan(0, _keyLength), WithCas, reply, must: true);
                else if (reply.Status != CacheStatus.NotFound)
                    Group.GroupFailure ??= reply.Reason ?? "temporary failure";
                break;
        }

        queue.Complete(this);
    }

    public void Reset()
    {
        Reply.Clear();
        Tail.Clear();
        Queue = null;
        Group = null;
        IsCompleted = false;
        GroupWaiting = 0;
        GroupAsked = GroupStreams = GroupDrops = false;
        GroupFailure = null;
    }
}
