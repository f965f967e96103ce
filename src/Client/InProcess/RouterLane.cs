namespace OrleansCache.Client.InProcess;

/// <summary>
/// A channel to the partitions that callers of any thread take turns with. What a gateway's I/O loop is to its sessions, the lock is here: whoever holds it is
/// on the loop. Replies of other silos are posted, and handed out on the thread pool under the same lock.
/// </summary>
internal sealed class RouterLane : ICompletionQueue, IThreadPoolWorkItem
{
    private readonly Lock _posting = new();
    private LoopWorkItem? _first, _last;
    private bool _isScheduled;

    public RouterLane(IPartitionRouter router) => Channel = router.OpenChannel(this);

    /// <summary>Used only while this is held.</summary>
    public Lock Turn { get; } = new();

    public RouterChannel Channel { get; }

    public void Post(LoopWorkItem work)
    {
        lock (_posting)
        {
            work.Next = null;
            if (_last is null)
                _first = work;
            else
                _last.Next = work;
            _last = work;
            if (_isScheduled)
                return;
            _isScheduled = true;
        }

        ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
    }

    void IThreadPoolWorkItem.Execute()
    {
        LoopWorkItem? work;
        lock (_posting)
        {
            work = _first;
            _first = _last = null;
            _isScheduled = false;
        }

        lock (Turn)
        {
            while (work is not null)
            {
                LoopWorkItem? next = work.Next;
                work.Next = null;
                work.Execute();
                work = next;
            }

            Channel.Flush();
        }
    }
}
