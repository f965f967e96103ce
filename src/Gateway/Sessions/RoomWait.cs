namespace OrleansCache.Gateway.Sessions;

/// <summary>
/// A read of a large value that waits until the buffers of all connections have room for it; nothing behind it is worked on. A read that has waited for
/// <see cref="Limits.RoomWaitSecondsMax"/> is refused. State of a session.
/// </summary>
internal struct RoomWait
{
    // Tells one such read from the next.
    private long _place;
    private uint _untilUnixSeconds;

    public bool IsWaiting { get; private set; }

    /// <summary>Begins to wait, or goes on; false if this read has waited for long enough.</summary>
    /// <param name="session">Whose state this is.</param>
    /// <param name="keysLength">Tells the keys of a get apart: what is left of its line.</param>
    public bool TryWait(Session session, int keysLength)
    {
        LoopContext loop = session.Loop;
        long place = (session.Commands * Limits.GetLineBytesMax) + keysLength + 1;
        if (place != _place)
        {
            _place = place;
            _untilUnixSeconds = loop.NowUnixSeconds + Limits.RoomWaitSecondsMax;
        }
        else if (loop.NowUnixSeconds >= _untilUnixSeconds)
        {
            loop.Counters.RepliesRefused++;
            return false;
        }

        IsWaiting = true;
        loop.WaitForRoom(session);
        return true;
    }

    /// <summary>The read may try again. False if none waits.</summary>
    public bool TryEnd()
    {
        bool waited = IsWaiting;
        IsWaiting = false;
        return waited;
    }
}
