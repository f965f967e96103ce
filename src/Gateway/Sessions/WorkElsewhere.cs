namespace OrleansCache.Gateway.Sessions;

/// <summary>What a session waits for with <see cref="Barrier.WaitsElsewhere"/>; brings the result back to the session's loop.</summary>
internal sealed class WorkElsewhere<T> : LoopWorkItem
{
    private readonly Session _session;
    private readonly T _result;
    private readonly Action<Session, T> _finish;

    private WorkElsewhere(Session session, T result, Action<Session, T> finish)
    {
        _session = session;
        _result = result;
        _finish = finish;
    }

    public static async Task WaitAsync(Session session, Task<T> work, Action<Session, T> finish)
    {
        T result = await work.ConfigureAwait(false);
        session.Loop.Queue.Post(new WorkElsewhere<T>(session, result, finish));
    }

    public override void Execute()
    {
        if (_session.IsAborted)
            return;
        _session.Barrier = Barrier.None;
        _finish(_session, _result);
        _session.Transport.Wake();
    }
}
