using System.Collections.Concurrent;
using OrleansCache.Ownership;
using OrleansCache.Ownership.Routing;

namespace OrleansCache.Grains.Hosting;

/// <summary>Batches as grain calls. Orleans's response time-out bounds every one of them.</summary>
internal sealed class GrainBatchTransport(IGrainFactory grains, TimeProvider time) : IBatchTransport
{
    private const int LanesRememberedMax = 16 * 1024;
    private readonly ConcurrentDictionary<(SiloId Silo, int Lane), IBatchGrain> _lanes = [];

    public async ValueTask<BatchReply> SendAsync(SiloId target, int lane, BatchRequest request, CancellationToken cancellationToken)
    {
        if (!_lanes.TryGetValue((target, lane), out IBatchGrain? grain))
        {
            if (_lanes.Count >= LanesRememberedMax)
                _lanes.Clear();
            grain = grains.GetGrain<IBatchGrain>(string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{target.Text}/{lane}"));
            _lanes[(target, lane)] = grain;
        }

        try
        {
            BatchReplyMessage reply = await Bounded(grain.ExecuteAsync(new BatchRequestMessage(request.Payload)), cancellationToken).ConfigureAwait(false);
            return new BatchReply(reply.Payload, reply.TableTerm, reply.TableNumber);
        }
        catch (SiloUnknownException e)
        {
            throw new BatchNotExecutedException(e.Message, e);
        }
    }

    public async ValueTask<BatchReply> CollectAsync(SiloId target, long ticket, CancellationToken cancellationToken)
    {
        BatchReplyMessage reply = await Bounded(grains.GetGrain<ISiloControlGrain>(target.Text).CollectAsync(ticket), cancellationToken).ConfigureAwait(false);
        return new BatchReply(reply.Payload, reply.TableTerm, reply.TableNumber);
    }

    public async ValueTask<ItemScanPage?> ScanAsync(SiloId target, PartitionId partition, ulong position, CancellationToken cancellationToken)
    {
        ControlMessage? page = await grains.GetGrain<ISiloControlGrain>(target.Text).ScanAsync(partition.Value, position).AsTask().WaitAsync(cancellationToken);
        return page is null ? null : ScanFormat.Decode(page.Payload.Span);
    }

    public ValueTask FlushAllAsync(uint atUnixSeconds, CancellationToken cancellationToken) =>
        ClusterFlush.RunAsync(expected => grains.GetGrain<IClusterGrain>(0).FlushAllAsync(expected, atUnixSeconds), atUnixSeconds, time, cancellationToken);

    private static ValueTask<BatchReplyMessage> Bounded(ValueTask<BatchReplyMessage> call, CancellationToken cancellationToken) =>
        !cancellationToken.CanBeCanceled || call.IsCompleted ? call : new ValueTask<BatchReplyMessage>(call.AsTask().WaitAsync(cancellationToken));
}
