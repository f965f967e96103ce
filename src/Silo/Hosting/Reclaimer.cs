using OrleansCache.Storage;

namespace OrleansCache.Silo.Hosting;

/// <summary>
/// Gives the memory of expired items back without being asked for: once a second a few buckets of every partition, going on where the last turn ended, so
/// that a store of a million items has been looked through within about a minute. Goal: too little work at a time to be seen in a latency.
/// </summary>
internal sealed class Reclaimer : IAsyncDisposable
{
    private const int BucketsPerPartitionAndTurn = 64;
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);

    private readonly PartitionSet _partitions;
    private readonly CancellationTokenSource _stop = new();
    private readonly Task _work;

    public Reclaimer(PartitionSet partitions)
    {
        _partitions = partitions;
        _work = RunAsync();
    }

    public async ValueTask DisposeAsync()
    {
        if (_stop.IsCancellationRequested)
            return;
        await _stop.CancelAsync();
        await _work;
        _stop.Dispose();
    }

    private async Task RunAsync()
    {
        using var timer = new PeriodicTimer(Interval);
        try
        {
            while (await timer.WaitForNextTickAsync(_stop.Token))
                _partitions.Reclaim((uint)TimeProvider.System.GetUtcNow().ToUnixTimeSeconds(), BucketsPerPartitionAndTurn);
        }
        catch (OperationCanceledException)
        {
            // Stopped.
        }
    }
}
