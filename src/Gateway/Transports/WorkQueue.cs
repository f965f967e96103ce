namespace OrleansCache.Gateway.Transports;

/// <summary>
/// Work posted to a loop by any thread. A stack that producers push to and the loop takes whole and reverses: lock-free, allocation-free,
/// first in first out per producer.
/// </summary>
internal sealed class WorkQueue
{
    private LoopWorkItem? _top;

    public bool IsEmpty => Volatile.Read(ref _top) is null;

    public void Push(LoopWorkItem item)
    {
        LoopWorkItem? top = Volatile.Read(ref _top);
        while (true)
        {
            item.Next = top;
            LoopWorkItem? seen = Interlocked.CompareExchange(ref _top, item, top);
            if (ReferenceEquals(seen, top))
                return;
            top = seen;
        }
    }

    /// <summary>Takes everything, oldest first.</summary>
    public LoopWorkItem? TakeAll()
    {
        if (_top is null)
            return null;
        LoopWorkItem? item = Interlocked.Exchange(ref _top, null);
        LoopWorkItem? first = null;
        while (item is not null)
        {
            LoopWorkItem? next = item.Next;
            item.Next = first;
            first = item;
            item = next;
        }

        return first;
    }
}
