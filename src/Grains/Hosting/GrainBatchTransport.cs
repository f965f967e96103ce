using System.Collections.Concurrent;
using System.Globalization;
using OrleansCache.Grains.Hosting.Links;
using OrleansCache.Ownership;
using OrleansCache.Ownership.Routing;

namespace OrleansCache.Grains.Hosting;

/// <summary>Batches over links, where there are any, else as grain calls. Orleans's response time-out bounds both.</summary>
internal sealed class GrainBatchTransport(IGrainFactory grains, TimeProvider time, SiloLinks? links = null) : IBatchTransport
{
    private const int LanesRememberedMax = 16 * 1024;
    private readonly ConcurrentDictionary<(SiloId Silo, int Lane), IBatchGrain> _lanes = [];

    public ValueTask<BatchReply> SendAsync(BatchTarget target, int lane, BatchRequest request, CancellationToken cancellationToken)
    {
        if (links is null || target.Silo.IsNone)
            return CallAsync(target, lane, request, cancellationToken);
        if (target.Partition is null && links.Find(target.Silo, lane) is { } link)
        {
            if (link.TrySendBatch(request.Payload, lane, out Task<BatchReply>? answer))
                return new ValueTask<BatchReply>(answer);
            if (link.OwesLane(lane))
                return NotExecuted($"{target.Silo} has not answered the batch before.");
        }

        return links.IsBroken(target.Silo, lane) ? NotExecuted($"The link to {target.Silo} has broken.") : CallAsync(target, lane, request, cancellationToken);
    }

    private static ValueTask<BatchReply> NotExecuted(string message) => ValueTask.FromException<BatchReply>(new BatchNotExecutedException(message));

    private async ValueTask<BatchReply> CallAsync(BatchTarget target, int lane, BatchRequest request, CancellationToken cancellationToken)
    {
        try
        {
            BatchRequestMessage message = new(request.Payload);
            ValueTask<BatchReplyMessage> call = target.Partition is { } partition
                ? GrainOf(partition).ExecuteAsync(message)
                : GrainOf(target.Silo, lane).ExecuteAsync(message);
            BatchReplyMessage reply = await Bounded(call, cancellationToken).ConfigureAwait(false);
            return new BatchReply(reply.Payload, reply.TableTerm, reply.TableNumber);
        }
        catch (SiloUnknownException e)
        {
            throw new BatchNotExecutedException(e.Message, e);
        }
    }

    public async ValueTask<BatchReply> CollectAsync(BatchTarget target, long ticket, CancellationToken cancellationToken)
    {
        ValueTask<BatchReplyMessage> call = target.Partition is { } partition
            ? GrainOf(partition).CollectAsync(ticket)
            : grains.GetGrain<ISiloControlGrain>(target.Silo.Text).CollectAsync(ticket);
        BatchReplyMessage reply = await Bounded(call, cancellationToken).ConfigureAwait(false);
        return new BatchReply(reply.Payload, reply.TableTerm, reply.TableNumber);
    }

    public async ValueTask<ItemScanPage?> ScanAsync(SiloId target, PartitionId partition, ulong position, CancellationToken cancellationToken)
    {
        ControlMessage? page = await grains.GetGrain<ISiloControlGrain>(target.Text).ScanAsync(partition.Value, position).AsTask().WaitAsync(cancellationToken);
        return page is null ? null : ScanFormat.Decode(page.Payload.Span);
    }

    public ValueTask FlushAllAsync(uint atUnixSeconds, CancellationToken cancellationToken) =>
        ClusterFlush.RunAsync(expected => grains.GetGrain<IClusterGrain>(0).FlushAllAsync(expected, atUnixSeconds), atUnixSeconds, time, cancellationToken);

    private IPartitionGrain GrainOf(PartitionId partition) => grains.GetGrain<IPartitionGrain>(partition.Value);

    private IBatchGrain GrainOf(SiloId silo, int lane)
    {
        if (_lanes.TryGetValue((silo, lane), out IBatchGrain? grain))
            return grain;
        if (_lanes.Count >= LanesRememberedMax)
            _lanes.Clear();
        return _lanes[(silo, lane)] = grains.GetGrain<IBatchGrain>(string.Create(CultureInfo.InvariantCulture, $"{silo.Text}/{lane}"));
    }

    private static ValueTask<BatchReplyMessage> Bounded(ValueTask<BatchReplyMessage> call, CancellationToken cancellationToken) =>
        !cancellationToken.CanBeCanceled || call.IsCompleted ? call : new ValueTask<BatchReplyMessage>(call.AsTask().WaitAsync(cancellationToken));
}
