using System.Runtime.CompilerServices;
using Microsoft.Extensions.Logging;
using OrleansCache.Gateway.Sessions;
using OrleansCache.Gateway.Transports;

namespace OrleansCache.Gateway.Pipelines;

/// <summary>
/// Serialises the sessions of some connections on the thread pool: whatever is posted runs one at a time, in order, on whichever pool thread is at hand.
/// This is what a loop is where no thread of its own waits for sockets; the contract of sessions and channels (never two threads at once) is the same.
/// </summary>
internal sealed class PipelinesLoop : ICompletionQueue, IThreadPoolWorkItem, IGatewayLoop
{
    private readonly WorkQueue _work = new();
    private readonly HashSet<PipelinesConnection> _connections = [];
    private readonly List<PipelinesConnection> _woken = [];
    private readonly TaskCompletionSource _drained = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _isScheduled;
    private int _idleCheckQueued;
    private bool _finishing;

    public PipelinesLoop(GatewayShared shared, ILogger logger)
    {
        Logger = logger;
        Context = new LoopContext(shared, this);
        Context.ReadClock();
        shared.RegisterLoop(Context.Readings);
    }

    public LoopContext Context { get; }
    public ILogger Logger { get; }

    public Task Drained => _drained.Task;

    public Task Ended => _drained.Task;

    public void Post(LoopWorkItem work)
    {
        _work.Push(work);
        if (Interlocked.Exchange(ref _isScheduled, 1) == 0)
            ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
    }

    /// <summary>
    /// As <see cref="Post(LoopWorkItem)"/>, but on this very thread if the loop is free: saves a hop when a socket's completion brings input.
    /// </summary>
    public void PostOrRun(LoopWorkItem work)
    {
        _work.Push(work);
        if (Interlocked.Exchange(ref _isScheduled, 1) == 0)
            ((IThreadPoolWorkItem)this).Execute();
    }

    public void Post(Action work) => Post(new ActionItem(work));

    /// <summary>On the loop: the connection is looked at before the turn ends.</summary>
    public void Wake(PipelinesConnection connection) => _woken.Add(connection);

    public void Add(PipelinesConnection connection)
    {
        _connections.Add(connection);
        if (_finishing)
            connection.Finish();
    }

    public void Remove(PipelinesConnection connection)
    {
        _connections.Remove(connection);
        if (_finishing && _connections.Count == 0)
            _drained.TrySetResult();
    }

    public void Finish()
    {
        _finishing = true;
        foreach (PipelinesConnection connection in _connections.ToArray())
            connection.Finish();
        if (_connections.Count == 0)
            _drained.TrySetResult();
    }

    public void Stop()
    {
        foreach (PipelinesConnection connection in _connections.ToArray())
            connection.Close(cut: true);
        _finishing = true;
        if (_connections.Count == 0)
            _drained.TrySetResult();
    }

    public void QueueIdleCheck(int idleTimeoutSeconds)
    {
        if (Interlocked.Exchange(ref _idleCheckQueued, 1) == 0)
            Post(() => CheckIdle(idleTimeoutSeconds));
    }

    private void CheckIdle(int idleTimeoutSeconds)
    {
        Volatile.Write(ref _idleCheckQueued, 0);

        // Now, not at the turn's start: it may have been asked for since then.
        Context.ReadClock();
        uint before = (uint)Math.Max(0, (long)Context.NowUnixSeconds - idleTimeoutSeconds - 1);
        foreach (PipelinesConnection connection in _connections.ToArray())
        {
            if (connection.CloseIfIdle(before))
                Context.Counters.ConnectionsIdleKicked++;
        }
    }

    void IThreadPoolWorkItem.Execute()
    {
        Context.ReadClock();
        LoopWorkItem? item = _work.TakeAll();
        while (item is not null)
        {
            LoopWorkItem? next = item.Next;
            item.Next = null;
            Guard(static work => work.Execute(), item);
            item = next;
        }

        for (int i = 0; i < _woken.Count; i++)
            Guard(static connection => connection.Pump(), _woken[i]);
        _woken.Clear();
        Guard(static channel => channel.Flush(), Context.Channel);

        Volatile.Write(ref _isScheduled, 0);
        Interlocked.MemoryBarrier();
        if (!_work.IsEmpty && Interlocked.Exchange(ref _isScheduled, 1) == 0)
            ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
    }

    private void Guard<T>(Action<T> work, T argument)
    {
        try
        {
            work(argument);
        }
        catch (Exception failure)
        {
            Log.WorkFailed(Logger, failure);
        }
    }
}

/// <summary>Awaited, continues on the loop. Reusable, one await at a time.</summary>
internal sealed class LoopSwitch(PipelinesLoop loop) : LoopWorkItem, ICriticalNotifyCompletion
{
    private Action? _continuation;

    public bool IsCompleted => false;

    public LoopSwitch GetAwaiter() => this;

    public void GetResult()
    {
    }

    public void OnCompleted(Action continuation) => UnsafeOnCompleted(continuation);

    public void UnsafeOnCompleted(Action continuation)
    {
        _continuation = continuation;
        loop.PostOrRun(this);
    }

    public override void Execute()
    {
        Action continuation = _continuation!;
        _continuation = null;
        continuation();
    }
}
