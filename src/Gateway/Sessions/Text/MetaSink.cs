using OrleansCache.Gateway.Buffers;
using OrleansCache.Protocol.Meta;
using OrleansCache.Protocol.Text;

namespace OrleansCache.Gateway.Sessions.Text;

/// <summary>Writes the reply of a meta command straight into the output, under the partition's lock. One per loop, filled in before each call.</summary>
internal sealed unsafe class MetaSink : SessionSink
{
    public OutputList Output = null!;
    public MetaReplyForm Form;
    public byte* Key;
    public int KeyLength;
    public uint NowUnixSeconds;
    public LoopReadings Readings = null!;

    /// <summary>Set if there was no room for a large value: the command must be carried out again later.</summary>
    public bool LacksRoom;

    public override void OnReply(in CacheReply reply)
    {
        Status = reply.Status;
        if (reply.Status == CacheStatus.Unavailable)
            Readings.Counters.Unavailable++;
        if (Write(Output, Form, new ReadOnlySpan<byte>(Key, KeyLength), reply, NowUnixSeconds, must: false))
            return;

        // Carried out again, the command would not win a second time.
        if ((reply.ItemFlags & ItemFlags.Won) != 0)
            Output.Write(TextReply.OutOfMemoryWriting);
        else
            LacksRoom = true;
    }

    /// <summary>
    /// The line and, if it was asked for, the value and CRLF. Nothing if the command is quiet about this reply. False, and nothing written, if there is no
    /// room for a large value.
    /// </summary>
    public static bool Write(OutputList output, in MetaReplyForm form, ReadOnlySpan<byte> key, in CacheReply reply, uint nowUnixSeconds, bool must)
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
            OutputChunk? value = output.Take(reply.Value, must);
            if (value is null)
            {
                if (output.IsEmpty)
                    output.Clear();
                return false;
            }

            output.Commit(line);
            output.Write(value);
            output.Write("\r\n"u8);
        }

        return true;
    }
}
