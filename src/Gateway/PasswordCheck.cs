namespace OrleansCache.Gateway;

/// <summary>
/// Says whether a user may come in. Called on I/O loops: answers from memory, in constant time for equal lengths whatever the passwords, never blocks, never throws. Whoever
/// implements it keeps what it knows current by itself (the file may change at any time).
/// </summary>
public abstract class PasswordCheck
{
    public abstract bool IsRight(ReadOnlySpan<byte> user, ReadOnlySpan<byte> password);
}
