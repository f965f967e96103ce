namespace OrleansCache.Gateway.Tests.Fakes;

/// <summary>What code allocates each time it runs.</summary>
internal static class Allocations
{
    /// <summary>
    /// Bytes that this thread allocates in the run, once it is warm. The least of three: a collection on behalf of another test may charge this thread for what
    /// it has set aside, but what the code itself allocates shows every time.
    /// </summary>
    public static long LeastOf(Action run)
    {
        run();
        long least = long.MaxValue;
        for (int attempt = 0; attempt < 3 && least > 0; attempt++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            run();
            least = Math.Min(least, GC.GetAllocatedBytesForCurrentThread() - before);
        }

        return least;
    }
}
