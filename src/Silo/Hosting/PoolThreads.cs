namespace OrleansCache.Silo.Hosting;

/// <summary>
/// Starts some threads of the pool while there are descriptors and memory for them: the runtime needs both for a new thread, and ends the process if the
/// pool cannot have one.
/// The program's settings make the pool keep as many, so that timers and everything else that runs there goes on when no further thread can be had.
/// </summary>
internal static class PoolThreads
{
    /// <summary>ThreadsToKeepAlive in the project file.</summary>
    private const int Count = 8;

    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(1);

    /// <summary>Does not wait for them.</summary>
    public static void Start()
    {
        ThreadPool.GetMinThreads(out int workersMin, out int completionsMin);
        ThreadPool.SetMinThreads(Math.Max(workersMin, Count), completionsMin);
        var missing = new CountdownEvent(Count);
        for (int i = 0; i < Count; i++)
            ThreadPool.UnsafeQueueUserWorkItem(_ => Meet(), null);

        // Each item holds its thread until all have one.
        void Meet()
        {
            if (missing.Signal())
                ThreadPool.SetMinThreads(workersMin, completionsMin);
            else
                missing.Wait(s_timeout);
        }
    }
}
