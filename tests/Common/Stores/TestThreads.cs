using System.Runtime.CompilerServices;

namespace OrleansCache.Testing;

/// <summary>
/// Tests that run an I/O loop by hand, or a simulation, keep a pool thread each. The silos of other tests live in the same process and need some too; the
/// pool would add them one by one, half a second apart, while batches run into their time-outs.
/// </summary>
internal static class TestThreads
{
    private const int WorkersMin = 32;

    [ModuleInitializer]
    internal static void AddThreads()
    {
        ThreadPool.GetMinThreads(out int workers, out int completions);
        ThreadPool.SetMinThreads(Math.Max(workers, WorkersMin), completions);
    }
}
