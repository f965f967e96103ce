namespace OrleansCache.Gateway.Stats;

/// <summary>A snapshot of a gateway's counters and gauges, with memcached's meanings.</summary>
public sealed record GatewayStatistics
{
    /// <summary>What the loops count, summed.</summary>
    public GatewayCounters Counters { get; init; }

    public int ConnectionsMax { get; init; }
    public long ConnectionsCurrent { get; init; }
    public long ConnectionsTotal { get; init; }
    public long ConnectionsRejected { get; init; }

    /// <summary>Times that accepting paused because the process ran out of descriptors.</summary>
    public long ListenDisabled { get; init; }

    /// <summary>How long accepting paused in all.</summary>
    public long ListenDisabledMicroseconds { get; init; }

    /// <summary>Dumps of the keyspace that are being sent.</summary>
    public int Dumps { get; init; }

    /// <summary>Dumps of the keyspace that were begun.</summary>
    public long DumpsStarted { get; init; }
    public bool Accepting { get; init; }

    /// <summary>Buffers of unsent replies, without pinned values.</summary>
    public long ReplyBuffers { get; init; }
    public long ReplyBufferBytes { get; init; }

    /// <summary>Buffers of requests that have not arrived as a whole or have to wait, and what is kept for the next ones.</summary>
    public long ReadBuffers { get; init; }
    public long ReadBufferBytes { get; init; }
    public long ReadBufferBytesFree { get; init; }

    public int Threads { get; init; }
}
