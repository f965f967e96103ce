using System.Runtime.CompilerServices;
using OrleansCache.Gateway.Buffers;
using OrleansCache.Gateway.Stats;
using OrleansCache.Protocol.Text;

namespace OrleansCache.Gateway.Sessions.Text;

/// <summary>Writes the hit of a get straight into the output, under the partition's lock. One per loop, filled in before each call.</summary>
internal sealed unsafe class GetSink : ReplySink
{
    public OutputList Output = null!;
    public byte* Key;
    public int KeyLength;
    public bool WithCas;

    /// <summary>Set if a key could not be read; the whole command then fails.</summary>
    public string? FailureReason;

    /// <summary>Set if there was no room for a large value: the key must be asked for again later.</summary>
    public bool LacksRoom;

    /// <summary>`stats detail`, if it is on.</summary>
    public PrefixCounters? Detail;

    public override void OnReply(in CacheReply reply)
    {
        if (reply.Status == CacheStatus.Ok)
        {
            if (WriteHit(Output, new ReadOnlySpan<byte>(Key, KeyLength), WithCas, reply, must: false))
                Detail?.CountHit(new ReadOnlySpan<byte>(Key, KeyLength));
            else
                LacksRoom = true;
        }
        else if (reply.Status != CacheStatus.NotFound)
        {
            FailureReason = reply.Reason ?? "temporary failure";
        }
    }

    /// <summary>"VALUE ...", the bytes and CRLF. False, and nothing written, if there is no room for a large value.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool WriteHit(OutputList output, ReadOnlySpan<byte> key, bool withCas, in CacheReply reply, bool must)
    {
        int length = reply.Value.Length;
        if (length < Limits.PinValueBytesMin)
        {
            Span<byte> destination = output.Reserve(TextReply.ValueHeaderBytesMax + length + 2);
            int header = TextReply.WriteValueHeader(destination, key, reply.ClientFlags, length, withCas, reply.Cas);
            reply.Value.CopyTo(destination[header..]);
            destination[header + length] = (byte)'\r';
            destination[header + length + 1] = (byte)'\n';
            output.Commit(header + length + 2);
            return true;
        }

        return WriteLargeHit(output, key, withCas, reply, must);
    }

    private static bool WriteLargeHit(OutputList output, ReadOnlySpan<byte> key, bool withCas, in CacheReply reply, bool must)
    {
        OutputChunk? value = output.Take(reply.Value, must);
        if (value is null)
            return false;
        Span<byte> destination = output.Reserve(TextReply.ValueHeaderBytesMax);
        output.Commit(TextReply.WriteValueHeader(destination, key, reply.ClientFlags, reply.Value.Length, withCas, reply.Cas));
        output.Write(value);
        output.Write("\r\n"u8);
        return true;
    }
}
