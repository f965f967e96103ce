namespace OrleansCache.Gateway;

/// <summary>
/// A clock that `debugtime` stops and moves, so that tests of clients need not wait for items to expire; memcached's rule, its odd one included: while the
/// clock stands, each move goes as far as all moves so far together. Timers keep the time of the clock behind it.
/// </summary>
public sealed class DebugClock(TimeProvider clock) : TimeProvider
{
    private readonly Lock _lock = new();
    private TimeSpan _moved;
    private DateTimeOffset? _stoppedAt;

    public override DateTimeOffset GetUtcNow()
    {
        lock (_lock)
            return _stoppedAt ?? clock.GetUtcNow() + _moved;
    }

    public void Stop()
    {
        lock (_lock)
            _stoppedAt ??= clock.GetUtcNow() + _moved;
    }

    public void Continue()
    {
        lock (_lock)
            _stoppedAt = null;
    }

    /// <summary>False if the clock would leave the years that seconds in 32 bits can tell.</summary>
    public bool TryMove(long seconds)
    {
        const long SecondsMax = uint.MaxValue;
        lock (_lock)
        {
            if (Math.Abs((decimal)seconds) > SecondsMax)
                return false;
            TimeSpan moved = _moved + TimeSpan.FromSeconds(seconds);
            DateTimeOffset running = clock.GetUtcNow() + moved;
            DateTimeOffset standing = (_stoppedAt ?? clock.GetUtcNow()) + moved;
            if (running.ToUnixTimeSeconds() is < 0 or > SecondsMax || standing.ToUnixTimeSeconds() is < 0 or > SecondsMax)
                return false;
            _moved = moved;
            if (_stoppedAt is not null)
                _stoppedAt = standing;
            return true;
        }
    }

    public override long GetTimestamp() => clock.GetTimestamp();

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period) =>
        clock.CreateTimer(callback, state, dueTime, period);
}
