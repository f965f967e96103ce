namespace OrleansCache.Gateway.Sessions;

/// <summary>
/// The sessions of a loop whose reads of large values wait for room. Room comes when any connection of any loop has sent something, which nobody tells: so
/// some of them look again after a short while, in turn, as long as there are any. On the loop's thread, but for the timer.
/// </summary>
internal sealed class RoomWaiters : LoopWorkItem, IDisposable
{
    private static readonly TimeSpan s_pause = TimeSpan.FromMilliseconds(Limits.RoomCheckMilliseconds);

    private readonly LoopContext _loop;
    private readonly Queue<Session> _sessions = new();
    private ITimer? _timer;
    private bool _isRunning;
    private bool _disposed;

    public RoomWaiters(LoopContext loop) => _loop = loop;

    public void Add(Session session)
    {
        _sessions.Enqueue(session);
        if (_isRunning || _disposed)
            return;
        _isRunning = true;
        _timer ??= _loop.Shared.TimeProvider.CreateTimer(_ => _loop.Queue.Post(this), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        _timer.Change(s_pause, Timeout.InfiniteTimeSpan);
    }

    public override void Execute()
    {
        _isRunning = false;
        if (_disposed)
            return;
        for (int i = Math.Min(_sessions.Count, Limits.RoomChecksMax); i > 0; i--)
            _sessions.Dequeue().RetryRoom();
        if (_sessions.Count == 0)
            return;
        _isRunning = true;
        _timer!.Change(s_pause, Timeout.InfiniteTimeSpan);
    }

    public void Dispose()
    {
        _disposed = true;
        _timer?.Dispose();
        _sessions.Clear();
    }
}
