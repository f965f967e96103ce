namespace OrleansCache.Protocol.Text;

/// <summary>The commands of the classic text protocol.</summary>
public enum TextVerb : byte
{
    None = 0,
    Get, Gets, Gat, Gats,
    Set, Add, Replace, Append, Prepend, Cas,
    Increment, Decrement, Touch, Delete,
    FlushAll, Version, Verbosity, Quit, Stats, Watch,

    /// <summary>config get cluster: the service discovery that ElastiCache's clients use.</summary>
    ConfigGetCluster,

    /// <summary>A meta command; <see cref="Meta.MetaParser"/> reads its line.</summary>
    Meta,
    Shutdown, Drain, Seeds, Moves, CacheMemlimit, DebugTime, RefreshCerts,

    /// <summary>With everything behind the name in <see cref="TextCommand.Keys"/>.</summary>
    LruCrawler, Lru, Slabs,
}

/// <summary>What <see cref="TextParser"/> found at the start of the input.</summary>
public enum TextParseStatus : byte
{
    /// <summary>No complete line yet; nothing consumed.</summary>
    NeedMore = 0,

    /// <summary>A well-formed command line; for storage commands the data block follows it and is not part of what was consumed.</summary>
    Command,

    /// <summary>A command line that memcached answers with an error; see <see cref="TextCommand.ErrorLine"/>.</summary>
    Error,

    /// <summary>memcached closes such a connection: no line end within the limit, or a line that ends in HTTP/... (silently).</summary>
    Close,
}

/// <summary>
/// One parsed command line. The spans point into the input and are valid as long as it is.
/// </summary>
public ref struct TextCommand
{
    public TextVerb Verb;

    /// <summary>The command carried noreply.</summary>
    public bool NoReply;

    /// <summary>The key of every command but the get family.</summary>
    public ReadOnlySpan<byte> Key;

    /// <summary>
    /// Get family: the rest of the line that holds the keys, already validated (at least one key, none longer than <see cref="Limits.KeyBytesMax"/>);
    /// walk it with <see cref="TextParser.TryReadKey"/>. Stats, LruCrawler, Lru, Slabs, Watch: the arguments. Meta: the whole line without its end.
    /// </summary>
    public ReadOnlySpan<byte> Keys;

    /// <summary>Storage commands: the client's flags. debugtime: 'p' stops the clock, 'r' lets it go on, 0 moves it by <see cref="Exptime"/>.
    /// moves: a <see cref="MoveOrderKind"/>.</summary>
    public uint ClientFlags;

    /// <summary>
    /// The client's expiry argument (storage commands, touch, gat, gats), or flush_all's delay, or verbosity's level; not resolved. The first two lie within 32
    /// bits. cache_memlimit: megabytes, 32 bits. debugtime: seconds. shutdown: 0 plain, 1 graceful, -1 anything else. seeds: 1 add, 0 remove, of
    /// <see cref="Key"/>. moves: the value of the <see cref="MoveOrder"/>.
    /// </summary>
    public long Exptime;

    /// <summary>Storage commands: bytes of the data block without its CRLF.</summary>
    public int ValueLength;

    /// <summary>cas: the CAS to compare with.</summary>
    public ulong Cas;

    /// <summary>incr and decr.</summary>
    public ulong Delta;

    /// <summary>
    /// With <see cref="TextParseStatus.Error"/>: the whole reply, CRLF included. Empty if the client asked for noreply where memcached then stays silent.
    /// Constant bytes that outlive the input.
    /// </summary>
    public ReadOnlySpan<byte> ErrorLine;

    /// <summary>
    /// With <see cref="TextParseStatus.Error"/>: bytes of the data block that follow and are to be swallowed (CRLF included), 0 if none. Up to 2 GiB + 2.
    /// </summary>
    public long SwallowBytes;

    /// <summary>With <see cref="TextParseStatus.Error"/>: the reply is the last thing on this connection.</summary>
    public bool CloseAfterError;

    /// <summary>
    /// With <see cref="TextParseStatus.Error"/>: the command was a storage command whose value is too large. memcached then deletes the old value
    /// under <see cref="Key"/>, so that a failed set never leaves the former value behind.
    /// </summary>
    public bool DeleteKeyOnError;

    /// <summary>With <see cref="TextParseStatus.Error"/>: a storage command whose value is too large.</summary>
    public bool IsTooLarge;
}
