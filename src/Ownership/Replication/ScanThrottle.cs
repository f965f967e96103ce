namespace OrleansCache.Ownership.Replication;

/// <summary>
/// A token bucket for the bytes that are read for copies. What is read is only known afterwards: so a scan may go on while there is no debt, and its bytes are
/// taken from the bucket then, which may fall below zero. Any thread.
/// </summary>
internal sealed class ScanThrottle(TimeProvider time)
{
    /// <summary>What a bucket that nobody takes from holds: the bytes of so long.</summary>
    private const double BurstSeconds = 0.1;

    private readonly Lock _lock = new();
    private long _bytesPerSecond;
    private double _tokens;
    private long _filledAt = time.GetTimestamp();

    /// <summary>0 for no limit. A new limit begins without debt.</summary>
    public long BytesPerSecond
    {
        get => Volatile.Read(ref _bytesPerSecond);
        set
        {
            lock (_lock)
            {
                Volatile.Write(ref _bytesPerSecond, value);
                _tokens = 0;
                _filledAt = time.GetTimestamp();
            }
        }
    }

    /// <summary>How long the next scan has to wait, in whole milliseconds; zero: it may go on.</summary>
    public TimeSpan ReadWait()
    {
        if (BytesPerSecond == 0)
            return TimeSpan.Zero;
        lock (_lock)
        {
            Fill();
            return _tokens >= 0 || _bytesPerSecond == 0 ? TimeSpan.Zero : TimeSpan.FromMilliseconds(Math.Ceiling(-_tokens * 1000 / _bytesPerSecond));
        }
    }

    /// <summary>So much has been read.</summary>
    public void Spend(long bytes)
    {
        if (BytesPerSecond == 0)
            return;
        lock (_lock)
        {
            Fill();
            _tokens -= bytes;
        }
    }

    private void Fill()
    {
        long now = time.GetTimestamp();
        _tokens = Math.Min(_bytesPerSecond * BurstSeconds, _tokens + (time.GetElapsedTime(_filledAt, now).TotalSeconds * _bytesPerSecond));
        _filledAt = now;
    }
}
