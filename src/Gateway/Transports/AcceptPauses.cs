using Microsoft.Extensions.Logging;

namespace OrleansCache.Gateway.Transports;

/// <summary>
/// Counts the pauses of accepting: the process or the system is out of descriptors or memory. A pause is short and the next one follows at once as long as
/// nothing gets better, so the log has one line in <see cref="Limits.AcceptPauseLogSeconds"/>.
/// </summary>
internal sealed class AcceptPauses(ILogger logger, TimeProvider timeProvider)
{
    private readonly Lock _lock = new();
    private long _loggedAt;
    private long _unlogged;
    private bool _hasLogged;
    private long _count;
    private long _microseconds;

    public long Count => Interlocked.Read(ref _count);

    public long Microseconds => Interlocked.Read(ref _microseconds);

    /// <summary>Accepting pauses, for this reason.</summary>
    public void Begin(string reason)
    {
        Interlocked.Increment(ref _count);
        lock (_lock)
        {
            _unlogged++;
            if (_hasLogged && timeProvider.GetElapsedTime(_loggedAt) < TimeSpan.FromSeconds(Limits.AcceptPauseLogSeconds))
                return;
            _loggedAt = timeProvider.GetTimestamp();
            _hasLogged = true;
            Log.AcceptPaused(logger, _unlogged, reason);
            _unlogged = 0;
        }
    }

    /// <summary>A pause is over.</summary>
    public void End(TimeSpan length) => Interlocked.Add(ref _microseconds, (long)length.TotalMicroseconds);

    /// <summary>stats reset.</summary>
    public void Reset()
    {
        Interlocked.Exchange(ref _count, 0);
        Interlocked.Exchange(ref _microseconds, 0);
    }
}
