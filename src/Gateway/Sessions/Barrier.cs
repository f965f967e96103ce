namespace OrleansCache.Gateway.Sessions;

/// <summary>Why nothing behind the last command is parsed.</summary>
internal enum Barrier : byte
{
    None,

    /// <summary>A flush_all waits until all earlier requests of this connection have been answered.</summary>
    WaitsForReplies,

    /// <summary>
    /// Something is awaited from elsewhere that nothing may overtake: a flush, a statistic that takes long, a reload, the delay of a failed login.
    /// </summary>
    WaitsElsewhere,

    /// <summary>A dump of the keyspace is being sent.</summary>
    Dumping,

    /// <summary>The connection watches, or is about to: it takes no command any more.</summary>
    Watching,
}
