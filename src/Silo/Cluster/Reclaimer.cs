#if CLUSTER
using OrleansCache.Storage;

namespace OrleansCache.Silo.Cluster;

/// <summary>
/// Gives the memory of a silo's expired items back without being asked for, as LocalRouter does on a single node: once a second a slice of every partition,
/// small enough not to be seen in a latency.
/// </summary>
internal sealed class Reclaimer : IAsyncDisposable
{
    private const int TurnsPerRound = 60;
    private const int BucketsPerPartitionAndTurnMax = 256;
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
                _partitions.ReclaimSlice((uint)TimeProvider.System.GetUtcNow().ToUnixTimeSeconds(), TurnsPerRound, BucketsPerPartitionAndTurnMax);
        }
        catch (OperationCanceledException)
        {
            // Stopped.
        }
    }
}
#endif
