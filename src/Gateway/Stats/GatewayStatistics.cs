namespace OrleansCache.Gateway.Stats;

/// <summary>A snapshot of a gateway's counters and gauges, summed over its loops, with memcached's meanings.</summary>
public sealed record GatewayStatistics
{
    public int ConnectionsMax { get; init; }
    public long ConnectionsCurrent { get; init; }
    public long ConnectionsTotal { get; init; }
    public long ConnectionsRejected { get; init; }

    /// <summary>Connections closed because they were idle too long.</summary>
    public long ConnectionsIdleKicked { get; init; }

    /// <summary>Times that accepting paused because the process ran out of descriptors.</summary>
    public long ListenDisabled { get; init; }

    /// <summary>How long accepting paused in all.</summary>
    public long ListenDisabledMicroseconds { get; init; }

    /// <summary>Dumps of the keyspace that are being sent.</summary>
    public int Dumps { get; init; }

    /// <summary>Dumps of the keyspace that were begun.</summary>
    public long DumpsStarted { get; init; }
    public bool Accepting { get; init; }
    public long BytesRead { get; init; }
    public long BytesWritten { get; init; }

    /// <summary>Turns that ended with input left because neighbours were waiting.</summary>
    public long ConnectionYields { get; init; }

    /// <summary>flush_all commands.</summary>
    public long CmdFlush { get; init; }

    /// <summary>me commands; memcached counts the other meta commands with the classic ones.</summary>
    public long CmdMeta { get; init; }

    /// <summary>Keys that the gateway asked for and commands that it executed, all verbs together.</summary>
    public long Operations { get; init; }

    /// <summary>Replies that said SERVER_ERROR because an owner could not be reached.</summary>
    public long Unavailable { get; init; }

    /// <summary>Attempts to authenticate, and those that failed.</summary>
    public long AuthCmds { get; init; }
    public long AuthErrors { get; init; }

    /// <summary>Values that were refused for their size before any store saw them.</summary>
    public long StoresTooLarge { get; init; }

    /// <summary>Datagrams received.</summary>
    public long Datagrams { get; init; }

    /// <summary>Datagrams that were no request, or came when too many were under way, or ended in the middle of a command.</summary>
    public long DatagramsDropped { get; init; }

    /// <summary>Replies over UDP that were larger than allowed.</summary>
    public long DatagramsRefused { get; init; }

    /// <summary>Reply datagrams that could not be sent.</summary>
    public long DatagramsUnsent { get; init; }

    /// <summary>Buffers of unsent replies, without pinned values, and replies that were refused because there was no room for them.</summary>
    public long ReplyBuffers { get; init; }
    public long ReplyBufferBytes { get; init; }
    public long RepliesRefused { get; init; }

    /// <summary>
    /// Buffers of requests that have not arrived as a whole or have to wait, what is kept for the next ones, and requests that were refused because there
    /// was no room.
    /// </summary>
    public long ReadBuffers { get; init; }
    public long ReadBufferBytes { get; init; }
    public long ReadBufferBytesFree { get; init; }
    public long ReadBuffersRefused { get; init; }

    public int Threads { get; init; }
}
