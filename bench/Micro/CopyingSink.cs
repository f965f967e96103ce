namespace OrleansCache.Benchmarks;

/// <summary>Takes a reply as a session does: copies the value into its own buffer.</summary>
internal sealed class CopyingSink : ReplySink
{
    private readonly byte[] _buffer = new byte[64 * 1024];

    public int Replies { get; private set; }

    public long ValueBytes { get; private set; }

    public CacheStatus LastStatus { get; private set; }

    public override void OnReply(in CacheReply reply)
    {
        Replies++;
        LastStatus = reply.Status;
        if (!reply.Value.HasBytes)
            return;
        ValueBytes += reply.Value.Length;
        reply.Value.CopyTo(_buffer);
    }
}
