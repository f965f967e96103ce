using System.Collections.Concurrent;
using OrleansCache.Grains.Ownership;
using OrleansCache.Grains.Routing;

namespace OrleansCache.Grains.Hosting;

/// <summary>Batches as grain calls. Orleans's response time-out bounds every one of them.</summary>
internal sealed class GrainBatchTransport(IGrainFactory grains, ITableCache table, TimeProvider time) : IBatchTransport
{
    private const int LanesRememberedMax = 16 * 1024;
    private static readonly TimeSpan FlushTimeout = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan FlushRetryInterval = TimeSpan.FromMilliseconds(50);
    private readonly ConcurrentDictionary<(SiloId Silo, int Lane), IBatchGrain> _lanes = [];

    public ValueTask<BatchReply> SendAsync(SiloId target, int lane, BatchRequest request, CancellationToken cancellationToken)
    {
        if (!_lanes.TryGetValue((target, lane), out IBatchGrain? grain))
        {
            if (_lanes.Count >= LanesRememberedMax)
                _lanes.Clear();
            grain = grains.GetGrain<IBatchGrain>(string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{target.Text}/{lane}"));
            _lanes[(target, lane)] = grain;
        }

        return Bounded(grain.ExecuteAsync(request), cancellationToken);
    }

    /// <summary>
    /// Asks the owners round after round until every partition was flushed once while it was active: of a partition on the move no single silo could say that it flushed it all.
    /// </summary>
    public async ValueTask FlushAllAsync(uint atUnixSeconds, CancellationToken cancellationToken)
    {
        bool[] flushed = new bool[table.Current.PartitionCount];
        long started = time.GetTimestamp();
        while (true)
        {
            Dictionary<SiloId, List<int>> byOwner = [];
            PartitionTable current = table.Current;
            for (int partition = 0; partition < flushed.Length; partition++)
            {
                SiloId owner = current.OwnerOf(new PartitionId(partition));
                if (flushed[partition] || owner.IsNone)
                    continue;
                if (!byOwner.TryGetValue(owner, out List<int>? partitions))
                    byOwner.Add(owner, partitions = []);
                partitions.Add(partition);
            }

            foreach (int[] done in await Task.WhenAll(byOwner.Select(pair => FlushAsync(pair.Key, atUnixSeconds, [.. pair.Value]))))
            {
                foreach (int partition in done)
                    flushed[partition] = true;
            }

            int missing = flushed.Count(done => !done);
            if (missing == 0)
                return;
            if (time.GetElapsedTime(started) >= FlushTimeout)
                throw new RouterException($"{missing} of {flushed.Length} partitions could not be flushed");
            table.RequestRefresh();
            await Task.Delay(FlushRetryInterval, time, cancellationToken);
        }
    }

    private async Task<int[]> FlushAsync(SiloId silo, uint atUnixSeconds, int[] partitions)
    {
        try
        {
            return await grains.GetGrain<ISiloControlGrain>(silo.Text).FlushAsync(atUnixSeconds, partitions);
        }
        catch (Exception)
        {
            // Whatever it was, these partitions are not flushed; the caller asks again or gives up.
            return [];
        }
    }

    private static ValueTask<BatchReply> Bounded(ValueTask<BatchReply> call, CancellationToken cancellationToken) =>
        !cancellationToken.CanBeCanceled || call.IsCompleted ? call : new ValueTask<BatchReply>(call.AsTask().WaitAsync(cancellationToken));
}
