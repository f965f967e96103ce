using System.Buffers;
using Microsoft.Extensions.Caching.Distributed;
using OrleansCache.Client.Tests.Support;

namespace OrleansCache.Client.Tests;

/// <summary>What an operation allocates on its caller's thread: nothing. (bench/Client shows the same for the whole process.)</summary>
public sealed class AllocationTests
{
    private const int Operations = 500;

    private static readonly DistributedCacheEntryOptions s_options = new() { AbsoluteExpirationRelativeToNow = TimeSpan.FromHours(1) };

    [Fact]
    public async Task OverASocketNothingIsAllocated()
    {
        await using GatewayCache cache = await GatewayCache.StartAsync(options => options.Connections = 1);
        Assert.Equal(0, LeastOf(cache.Cache));
    }

    [Fact]
    public async Task InProcessNothingIsAllocated()
    {
        await using var cache = new RouterCache();
        Assert.Equal(0, LeastOf(cache.Cache));
    }

    /// <summary>The least of some runs: a collection on behalf of another test may charge this thread for what it has set aside.</summary>
    private static long LeastOf(IBufferDistributedCache cache)
    {
        byte[] value = new byte[1024];
        var writer = new ArrayBufferWriter<byte>(4096);
        Run(cache, value, writer);
        long least = long.MaxValue;
        for (int attempt = 0; attempt < 10 && least > 0; attempt++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            Run(cache, value, writer);
            least = Math.Min(least, GC.GetAllocatedBytesForCurrentThread() - before);
        }

        return least;
    }

    private static void Run(IBufferDistributedCache cache, byte[] value, ArrayBufferWriter<byte> writer)
    {
        for (int i = 0; i < Operations; i++)
        {
            Finish(cache.SetAsync("some key", new ReadOnlySequence<byte>(value), s_options));
            writer.ResetWrittenCount();
            ValueTask<bool> read = cache.TryGetAsync("some key", writer);
            while (!read.IsCompleted)
                Thread.Yield();
            if (!read.GetAwaiter().GetResult() || writer.WrittenCount != value.Length)
                throw new InvalidOperationException("Another value came back.");
        }
    }

    private static void Finish(ValueTask task)
    {
        // Blocking in any other way allocates.
        while (!task.IsCompleted)
            Thread.Yield();
        task.GetAwaiter().GetResult();
    }
}
