using OrleansCache.Gateway.Buffers;
using OrleansCache.Gateway.Stats;
using OrleansCache.Protocol.Binary;

namespace OrleansCache.Gateway.Sessions.Binary;

/// <summary>
/// Writes the reply to a binary packet straight into the output, under the partition's lock. One per loop, filled in before each call.
/// A quiet packet that has nothing to say does not touch the output, so that an idle connection holds no memory.
/// </summary>
internal sealed unsafe class BinarySink : SessionSink
{
    public OutputList Output = null!;
    public BinaryOpcode Opcode;
    public uint Opaque;

    /// <summary>Memory that does not move.</summary>
    public byte* Key;
    public int KeyLength;

    public LoopReadings Readings = null!;

    /// <summary>Set if there was no room for a large value: the packet must be carried out again later.</summary>
    public bool LacksRoom;

    /// <summary>`stats detail`, if it is on.</summary>
    public PrefixCounters? Detail;

    public override void OnReply(in CacheReply reply)
    {
        Status = reply.Status;
        if (reply.Status == CacheStatus.Unavailable)
            Readings.Counters.Unavailable++;
        if (!Write(Output, Opcode, Opaque, new ReadOnlySpan<byte>(Key, KeyLength), reply, must: false))
            LacksRoom = true;
        else if (Detail is not null)
            CountHit(Detail, Opcode, new ReadOnlySpan<byte>(Key, KeyLength), reply);
    }

    /// <summary>memcached's `stats detail` takes a touch of the binary protocol for a get.</summary>
    public static bool CountsAsGet(BinaryOpcode opcode) => BinaryOpcodes.IsRead(opcode) || opcode == BinaryOpcode.Touch;

    public static void CountHit(PrefixCounters detail, BinaryOpcode opcode, ReadOnlySpan<byte> key, in CacheReply reply)
    {
        if (reply.Status == CacheStatus.Ok && CountsAsGet(BinaryOpcodes.WithoutQuiet(opcode)))
            detail.CountHit(key);
    }

    /// <summary>The whole reply. False, and nothing written, if there is no room for a large value.</summary>
    public static bool Write(OutputList output, BinaryOpcode opcode, uint opaque, ReadOnlySpan<byte> key, in CacheReply reply, bool must)
    {
        bool quiet = BinaryOpcodes.IsQuiet(opcode);
        BinaryOpcode verb = BinaryOpcodes.WithoutQuiet(opcode);
        if (BinaryOpcodes.IsRead(verb))
        {
            if (!BinaryOpcodes.ReturnsKey(verb))
                key = default;
            switch (reply.Status)
            {
                case CacheStatus.Ok:
                    return WriteHit(output, opcode, opaque, key, reply, must);
                case CacheStatus.NotFound when quiet:
                    return true;
                case CacheStatus.NotFound when !key.IsEmpty:
                    output.Commit(BinaryReply.WriteKeyMiss(output.Reserve(BinaryReply.ReplyBytesMax), opcode, key, opaque));
                    return true;
            }
        }
        else if (quiet && reply.Status == CacheStatus.Ok)
        {
            return true;
        }

        output.Commit(BinaryReply.WriteResult(output.Reserve(BinaryReply.ReplyBytesMax), opcode, opaque, reply));
        return true;
    }

    /// <summary>The former value under the key of one that is too large is gone, or could not be reached.</summary>
    public static void WriteTooLarge(OutputList output, BinaryOpcode opcode, uint opaque, in CacheReply reply)
    {
        Span<byte> destination = output.Reserve(BinaryReply.ReplyBytesMax);
        output.Commit(reply.Status == CacheStatus.Unavailable
            ? BinaryReply.WriteResult(destination, opcode, opaque, reply)
            : BinaryReply.WriteError(destination, opcode, BinaryStatus.TooLarge, opaque));
    }

    private static bool WriteHit(OutputList output, BinaryOpcode opcode, uint opaque, ReadOnlySpan<byte> key, in CacheReply reply, bool must)
    {
        int length = reply.Value.Length;
        bool copies = length < Limits.PinValueBytesMin;
        OutputChunk? value = copies ? null : output.Take(reply.Value, must);
        if (!copies && value is null)
            return false;
        Span<byte> destination = output.Reserve(BinaryReply.ReplyBytesMax + (copies ? length : 0));
        int head = BinaryReply.WriteHitHead(destination, opcode, key, reply.ClientFlags, length, opaque, reply.Cas);
        if (copies)
        {
            reply.Value.CopyTo(destination[head..]);
            output.Commit(head + length);
            return true;
        }

        output.Commit(head);
        output.Write(value!);
        return true;
    }
}
