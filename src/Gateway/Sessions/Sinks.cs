using System.Runtime.CompilerServices;
using OrleansCache.Gateway.Buffers;
using OrleansCache.Gateway.Stats;
using OrleansCache.Protocol.Text;

namespace OrleansCache.Gateway.Sessions;

/// <summary>Writes the hit of a get straight into the output, under the partition's lock. One per loop, filled in before each call.</summary>
internal sealed unsafe class GetSink : ReplySink
{
    public OutputList Output = null!;
    public byte* Key;
    public int KeyLength;
    public bool WithCas;

    /// <summary>Set if a key could not be read; the whole command then fails.</summary>
    public string? FailureReason;

    /// <summary>`stats detail`, if it is on.</summary>
    public PrefixCounters? Detail;

    public override void OnReply(in CacheReply reply)
    {
        if (reply.Status == CacheStatus.Ok)
        {
            Detail?.CountHit(new ReadOnlySpan<byte>(Key, KeyLength));
            WriteHit(Output, new ReadOnlySpan<byte>(Key, KeyLength), WithCas, reply);
        }
        else if (reply.Status != CacheStatus.NotFound)
        {
            FailureReason = reply.Reason ?? "temporary failure";
        }
    }

    /// <summary>"VALUE ...", the bytes and CRLF.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void WriteHit(OutputList output, ReadOnlySpan<byte> key, bool withCas, in CacheReply reply)
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
        }
        else
        {
            WriteLargeHit(output, key, withCas, reply);
        }
    }

    private static void WriteLargeHit(OutputList output, ReadOnlySpan<byte> key, bool withCas, in CacheReply reply)
    {
        Span<byte> destination = output.Reserve(TextReply.ValueHeaderBytesMax);
        output.Commit(TextReply.WriteValueHeader(destination, key, reply.ClientFlags, reply.Value.Length, withCas, reply.Cas));
        WriteLargeValue(output, reply.Value);
    }

    /// <summary>The value, from where it lies if it can be pinned, and CRLF.</summary>
    public static void WriteLargeValue(OutputList output, in ValueView value)
    {
        if (value.TryPin(out PinnedValue pin))
        {
            output.WritePin(pin);
        }
        else
        {
            value.CopyTo(output.Reserve(value.Length));
            output.Commit(value.Length);
        }

        output.Write("\r\n"u8);
    }
}

/// <summary>Writes the line that answers a command with one key. One per loop.</summary>
internal sealed class ResultSink : ReplySink
{
    public OutputList Output = null!;
    public TextVerb Verb;
    public LoopCounters Counters = null!;

    public override void OnReply(in CacheReply reply)
    {
        if (reply.Status == CacheStatus.Unavailable)
            Counters.Unavailable++;
        Output.Commit(TextReply.WriteResult(Output.Reserve(TextReply.LineBytesMax), Verb, reply));
    }
}

/// <summary>For noreply.</summary>
internal sealed class SilentSink : ReplySink
{
    public override void OnReply(in CacheReply reply)
    {
    }
}
