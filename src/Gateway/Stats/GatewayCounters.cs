namespace OrleansCache.Gateway.Stats;

/// <summary>
/// What a loop of a gateway counts, or the sum over all of them, with memcached's meanings. A field here is a whole counter: it is added up over the loops and
/// set back by `stats reset`, and tests fail until `stats` and /metrics tell it. Nothing but fields of type long: <see cref="CounterSums"/>.
/// </summary>
public struct GatewayCounters
{
    public long BytesRead, BytesWritten;

    /// <summary>Connections closed because they were idle too long.</summary>
    public long ConnectionsIdleKicked;

    /// <summary>Turns that ended with input left because neighbours were waiting.</summary>
    public long ConnectionYields;

    /// <summary>flush_all commands.</summary>
    public long CmdFlush;

    /// <summary>me commands; memcached counts the other meta commands with the classic ones.</summary>
    public long CmdMeta;

    /// <summary>Keys that the gateway asked for and commands that it executed, all verbs together.</summary>
    public long Operations;

    /// <summary>Replies that said SERVER_ERROR because an owner could not be reached.</summary>
    public long Unavailable;

    /// <summary>Attempts to authenticate, and those that failed.</summary>
    public long AuthCmds, AuthErrors;

    /// <summary>
    /// Text and meta commands whose value was refused for its size before any store saw it. Like memcached, without those of the binary protocol.
    /// </summary>
    public long StoresTooLarge;

    /// <summary>Datagrams received.</summary>
    public long Datagrams;

    /// <summary>Datagrams that were no request, or came when too many were under way, or ended in the middle of a command.</summary>
    public long DatagramsDropped;

    /// <summary>Replies over UDP that were larger than allowed.</summary>
    public long DatagramsRefused;

    /// <summary>Reply datagrams that could not be sent.</summary>
    public long DatagramsUnsent;

    /// <summary>Replies and requests that were refused because the buffers of all connections held as much as they may.</summary>
    public long RepliesRefused, ReadBuffersRefused;
}
