using System.Collections.Concurrent;

namespace OrleansCache.Testing;

/// <summary>A loop that the test turns by hand.</summary>
internal sealed class HandLoop : ICompletionQueue
{
    private readonly BlockingCollection<LoopWorkItem> _posted = [];

    private readonly ConcurrentDictionary<LoopWorkItem, bool> _queued = [];

    /// <summary>Fails for an item that is queued already: the loops' queues are made of the items, and such a one tears them.</summary>
    public void Post(LoopWorkItem work)
    {
        Assert.True(_queued.TryAdd(work, true), $"{work.GetType().Name} is queued twice");
        _posted.Add(work);
    }

    /// <summary>Waits for the next posted item and runs it.</summary>
    public void RunOne()
    {
        Assert.True(_posted.TryTake(out LoopWorkItem? work, TimeSpan.FromSeconds(20)), "nothing was posted to the loop");
        Run(work);
    }

    /// <summary>Runs what has been posted already.</summary>
    public void RunPosted()
    {
        while (_posted.TryTake(out LoopWorkItem? work))
            Run(work);
    }

    private void Run(LoopWorkItem work)
    {
        _queued.TryRemove(work, out _);
        work.Execute();
    }
}
