using System.Collections.Concurrent;

namespace OrleansCache.Testing;

/// <summary>A loop that the test turns by hand.</summary>
internal sealed class HandLoop : ICompletionQueue
{
    private readonly BlockingCollection<LoopWorkItem> _posted = [];

    public void Post(LoopWorkItem work) => _posted.Add(work);

    /// <summary>Waits for the next posted item and runs it.</summary>
    public void RunOne()
    {
        Assert.True(_posted.TryTake(out LoopWorkItem? work, TimeSpan.FromSeconds(20)), "nothing was posted to the loop");
        work.Execute();
    }

    /// <summary>Runs what has been posted already.</summary>
    public void RunPosted()
    {
        while (_posted.TryTake(out LoopWorkItem? work))
            work.Execute();
    }
}
