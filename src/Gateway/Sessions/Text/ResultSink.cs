using OrleansCache.Gateway.Buffers;
using OrleansCache.Protocol.Text;

namespace OrleansCache.Gateway.Sessions.Text;

/// <summary>Writes the line that answers a command with one key. One per loop.</summary>
internal sealed class ResultSink : SessionSink
{
    public OutputList Output = null!;
    public TextVerb Verb;
    public LoopReadings Readings = null!;

    public override void OnReply(in CacheReply reply)
    {
        Status = reply.Status;
        if (reply.Status == CacheStatus.Unavailable)
            Readings.Counters.Unavailable++;
        Output.Commit(TextReply.WriteResult(Output.Reserve(TextReply.LineBytesMax), Verb, reply));
    }
}
