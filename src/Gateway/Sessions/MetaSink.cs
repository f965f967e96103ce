using OrleansCache.Gateway.Buffers;
using OrleansCache.Protocol.Meta;

namespace OrleansCache.Gateway.Sessions;

/// <summary>Writes the reply of a meta command straight into the output, under the partition's lock. One per loop, filled in before each call.</summary>
internal sealed unsafe class MetaSink : ReplySink
{
    public OutputList Output = null!;
    public MetaReplyForm Form;
    public byte* Key;
    public int KeyLength;
    public uint NowUnixSeconds;
    public LoopCounters Counters = null!;

    public override void OnReply(in CacheReply reply)
    {
        if (reply.Status == CacheStatus.Unavailable)
            Counters.Unavailable++;
        Write(Output, Form, new ReadOnlySpan<byte>(Key, KeyLength), reply, NowUnixSeconds);
    }

    /// <summary>The line and, if it was asked for, the value and CRLF. Nothing if the command is quiet about this reply.</summary>
    public static void Write(OutputList output, in MetaReplyForm form, ReadOnlySpan<byte> key, in CacheReply reply, uint nowUnixSeconds)
    {
        int length = reply.Value.Length;
        bool isSmall = length < Limits.PinValueBytesMin;
        Span<byte> destination = output.Reserve(MetaReply.LineBytesMax + (isSmall ? length + 2 : 0));
        int line = MetaReply.WriteLine(destination, form, key, reply, nowUnixSeconds, out bool valueFollows);
        if (!valueFollows)
        {
            output.Commit(line);

            // A connection that sent only quiet commands holds no memory.
            if (line == 0 && output.IsEmpty)
                output.Clear();
        }
        else if (isSmall)
        {
            reply.Value.CopyTo(destination[line..]);
            destination[line + length] = (byte)'\r';
            destination[line + length + 1] = (byte)'\n';
            output.Commit(line + length + 2);
        }
        else
        {
            output.Commit(line);
            GetSink.WriteLargeValue(output, reply.Value);
        }
    }
}
