namespace OrleansCache.Gateway.Sessions;

/// <summary>For noreply.</summary>
internal sealed class SilentSink : SessionSink
{
    public override void OnReply(in CacheReply reply) => Status = reply.Status;
}
