namespace OrleansCache.Benchmarks;

/// <summary>The loop of a router that never needs one.</summary>
internal sealed class NoQueue : ICompletionQueue
{
    public void Post(LoopWorkItem work) => throw new InvalidOperationException("Nothing may be posted on the local path.");
}
