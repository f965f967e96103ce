using OrleansCache.Gateway.Options;

namespace OrleansCache.Silo.Options;

/// <content>UDP, the commands for operators, and what -o tunes.</content>
internal sealed partial class ServeOptions
{
    /// <summary>-p was given: then -U does not decide on TCP.</summary>
    public bool PortGiven { get; set; }

    /// <summary>0: no UDP; -1: any free port.</summary>
    public int UdpPort { get; set; }

    public bool ShutdownEnabled { get; set; }

    public char PrefixDelimiter { get; set; } = ':';

    public bool DetailEnabled { get; set; }

    public bool DumpingEnabled { get; set; } = true;

    public bool WatchEnabled { get; set; } = true;

    public bool DebugTimeEnabled { get; set; }

    public int NapiIds { get; set; }

    public long WatcherLogBytesMax { get; set; } = 256 * 1024;

    public long WorkerLogBytesMax { get; set; } = 64 * 1024;

    public bool TrackSizes { get; set; }

    public long ReadBufferBytesMax { get; set; }

    public LruSettings Lru { get; set; } = new();
}
