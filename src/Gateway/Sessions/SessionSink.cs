namespace OrleansCache.Gateway.Sessions;

/// <summary>What a session gives to its loop's channel: remembers how the request ended, for those who count.</summary>
internal abstract class SessionSink : ReplySink
{
    public CacheStatus Status;
}
