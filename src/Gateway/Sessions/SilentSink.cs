namespace OrleansCache.Gateway.Sessions;

/// <summary>For noreply.</summary>
internal sealed class SilentSink : ReplySink
{
    public override void OnReply(in CacheReply reply)
    {
    }
}
