namespace OrleansCache.Client;

/// <summary>Why an operation of the cache failed.</summary>
public enum OrleansCacheError
{
    None = 0,

    /// <summary>No gateway can be reached, or the connection was lost before anything was sent. Nothing was done.</summary>
    Unavailable,

    /// <summary>No reply came within <see cref="OrleansCacheOptions.OperationTimeout"/>. Whether a write took effect is unknown.</summary>
    TimedOut,

    /// <summary>The connection was lost after the write was sent, before its reply came. Whether it took effect is unknown.</summary>
    OutcomeUnknown,

    /// <summary>Too many operations wait for replies: <see cref="OrleansCacheOptions.PendingOperationsMax"/>. Nothing was done.</summary>
    Busy,

    /// <summary>
    /// The value is larger than the server's item limit (-I), or than <see cref="OrleansCacheOptions.ValueBytesMax"/>. A value that the key had before may be
    /// gone.
    /// </summary>
    ValueTooLarge,

    /// <summary>The server refused the operation; the message has its words.</summary>
    Refused,

    /// <summary>The server refused the login, or wants one.</summary>
    LoginRefused,
}

/// <summary>An operation of the cache failed. A miss is none of this: that is an answer.</summary>
public sealed class OrleansCacheException : Exception
{
    public OrleansCacheException()
    {
    }

    public OrleansCacheException(string message)
        : base(message)
    {
    }

    public OrleansCacheException(string message, Exception? innerException)
        : base(message, innerException)
    {
    }

    public OrleansCacheException(OrleansCacheError error, string message, Exception? innerException = null)
        : base(message, innerException) => Error = error;

    /// <summary>What went wrong, for code that decides by it.</summary>
    public OrleansCacheError Error { get; }
}
