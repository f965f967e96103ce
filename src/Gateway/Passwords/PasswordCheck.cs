namespace OrleansCache.Gateway.Passwords;

/// <summary>
/// Says whether a user may come in. Called on I/O loops: answers from memory, in constant time for equal lengths whatever the passwords, never blocks, never
/// throws. An implementation keeps what it knows current by itself (the file may change at any time).
/// </summary>
public abstract class PasswordCheck
{
    public abstract bool IsRight(ReadOnlySpan<byte> user, ReadOnlySpan<byte> password);

    /// <summary>
    /// Looks at once, because somebody asked for it (SIGHUP, refresh_certs). Null, or why what was known before stays in force. May block; never on an I/O
    /// loop.
    /// </summary>
    public virtual string? Reload() => null;
}
