namespace OrleansCache;

/// <summary>What can be watched: memcached's words for it. Values travel between silos: never renumber, only append.</summary>
[Flags]
public enum EventKinds : ushort
{
    None = 0,
    /// <summary>Lines of commands: accepted as memcached does, which writes none either.</summary>
    RawCommands = 1 << 0,
    /// <summary>Items that had to make room.</summary>
    Evictions = 1 << 1,
    /// <summary>Every look for an item, those of writes included.</summary>
    Fetchers = 1 << 2,
    /// <summary>Every attempt to store.</summary>
    Mutations = 1 << 3,
    SystemEvents = 1 << 4,
    /// <summary>Connections that begin and end.</summary>
    Connections = 1 << 5,
    /// <summary>memcached's proxy, which we do not have: accepted, silent.</summary>
    Proxy = 1 << 6,
    /// <summary>Items that were deleted by command.</summary>
    Deletions = 1 << 7,
}

/// <summary>How a look for an item ended; memcached's numbers.</summary>
public enum ItemGetStatus : byte
{
    NotFound = 0,
    Found = 1,
    Flushed = 2,
    Expired = 3,
}

/// <summary>How an attempt to store ended; memcached's numbers.</summary>
public enum ItemStoreStatus : byte
{
    NotStored = 0,
    Stored = 1,
    Exists = 2,
    NotFound = 3,
    TooLarge = 4,
    NoMemory = 5,
}

/// <summary>What was attempted to store with; memcached's numbers.</summary>
public enum ItemStoreCommand : byte
{
    None = 0,
    Add = 1,
    Set = 2,
    Replace = 3,
    Append = 4,
    Prepend = 5,
    Cas = 6,
}

/// <summary>What deleted; memcached's numbers.</summary>
public enum ItemDeleteCommand : byte
{
    None = 0,
    Delete = 1,
    MetaDelete = 2,
}

/// <summary>What carries a connection; memcached's numbers.</summary>
public enum ConnectionTransport : byte
{
    /// <summary>A UNIX socket.</summary>
    Local = 0,
    Tcp = 1,
    Udp = 2,
}

/// <summary>Why a connection ended; memcached's numbers.</summary>
public enum ConnectionCloseReason : byte
{
    Error = 0,

    /// <summary>The client closed it, or said quit.</summary>
    Normal = 1,
    IdleTimeout = 2,
    Shutdown = 3,
}
