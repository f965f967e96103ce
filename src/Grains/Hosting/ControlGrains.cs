using Orleans.Concurrency;
using Orleans.GrainDirectory;
using Orleans.Placement;
using OrleansCache.Grains.Hosting.Seeds;
using OrleansCache.Ownership;
using OrleansCache.Ownership.Routing;

namespace OrleansCache.Grains.Hosting;

/// <summary>Bytes in the wire form of one of the control messages (see Ownership/Messages.cs). Immutable: crosses by reference within a process.</summary>
[GenerateSerializer, Immutable, Alias("oc.ControlMessage")]
public sealed class ControlMessage(ReadOnlyMemory<byte> payload)
{
    [Id(0)]
    public ReadOnlyMemory<byte> Payload { get; } = payload;
}

/// <summary>The way to one silo's ownership runtime. Key: the silo's text form.</summary>
[Alias("oc.ISiloControlGrain")]
public interface ISiloControlGrain : IGrainWithStringKey
{
    /// <summary>Carries a <see cref="SyncRequest"/>; the answer is a <see cref="SyncReply"/>, or null for a request that was overtaken.</summary>
    [Alias("Sync")]
    ValueTask<ControlMessage?> SyncAsync(ControlMessage request);

    /// <summary>Carries a message of replication (see ReplicationFormat); the answer is its reply.</summary>
    [Alias("Replicate")]
    ValueTask<ControlMessage> ReplicateAsync(BatchRequestMessage message);

    /// <summary>More of the results that a batch's reply has left out, by its ticket.</summary>
    [Alias("Collect")]
    ValueTask<BatchReplyMessage> CollectAsync(long ticket);

    /// <summary>To the coordinator's silo: that silo has something to report.</summary>
    [Alias("Nudge")]
    ValueTask NudgeAsync(string silo);

    /// <summary>To the coordinator's silo: see <see cref="OwnershipRuntime.FlushAllAsync"/>. Null if this silo is not the coordinator's.</summary>
    [Alias("FlushAll")]
    ValueTask<FlushReport?> FlushAllAsync(long expectedNumber, uint atUnixSeconds);

    /// <summary>To the coordinator's silo: see <see cref="OwnershipRuntime.ReadMovesAsync"/>. In <see cref="MovesFormat"/>.</summary>
    [Alias("Moves")]
    ValueTask<ControlMessage?> ReadMovesAsync();

    /// <summary>To the coordinator's silo: see <see cref="OwnershipRuntime.OrderMovesAsync"/>. Kind and value of a <see cref="MoveOrder"/>.</summary>
    [Alias("OrderMoves")]
    ValueTask<string?> OrderMovesAsync(byte kind, long value);

    /// <summary>Reads on in a partition: a page in <see cref="ScanFormat"/>, or null if the partition is not served there.</summary>
    [Alias("Scan")]
    ValueTask<ControlMessage?> ScanAsync(int partition, ulong position);

    /// <summary>What the silo's gateway and store have counted.</summary>
    [Alias("Statistics")]
    ValueTask<SiloReport> ReadStatisticsAsync();

    /// <summary>
    /// Event lines for the watcher of that name, which begins to watch with its first call; waits for a while for the first line. Kind 0: it watches no more.
    /// </summary>
    [Alias("Events")]
    ValueTask<ControlMessage> ReadEventsAsync(string watcher, int kinds, int bytesMax);
}

/// <summary>Runs batches on one silo, one after the other. Key: the silo's text form, a slash, the lane.</summary>
[Alias("oc.IBatchGrain")]
public interface IBatchGrain : IGrainWithStringKey
{
    [Alias("Execute")]
    ValueTask<BatchReplyMessage> ExecuteAsync(BatchRequestMessage request);
}

/// <summary>A partition; its activation lives where it is served. Key: the partition's number.</summary>
[Alias("oc.IPartitionGrain")]
public interface IPartitionGrain : IGrainWithIntegerKey
{
    /// <summary>Does nothing but make the activation be there, and with it the gate of a partition that begins empty.</summary>
    [Alias("Activate")]
    ValueTask ActivateAsync();

    /// <summary>
    /// Runs a batch of operations on this partition: the way that is right whoever asks, and however old the asker's table is. Throws <see
    /// cref="SiloUnknownException"/>, and has done nothing, if no silo serves the partition at this moment.
    /// </summary>
    [Alias("Execute")]
    ValueTask<BatchReplyMessage> ExecuteAsync(BatchRequestMessage request);

    /// <summary>As <see cref="ISiloControlGrain.CollectAsync"/>, where the partition is.</summary>
    [Alias("Collect")]
    ValueTask<BatchReplyMessage> CollectAsync(long ticket);
}

/// <summary>What any silo can answer for the whole cluster.</summary>
[Alias("oc.IClusterGrain")]
public interface IClusterGrain : IGrainWithIntegerKey
{
    /// <summary>As <see cref="ISiloControlGrain.FlushAllAsync"/>, at any silo. Null if there is no coordinator at the moment.</summary>
    [Alias("FlushAll")]
    ValueTask<FlushReport?> FlushAllAsync(long expectedNumber, uint atUnixSeconds);

    /// <summary>The newest <see cref="SiloList"/> that the answering silo knows.</summary>
    [Alias("Silos")]
    ValueTask<ControlMessage> ReadSilosAsync();

    /// <summary>As <see cref="IClusterView.ReadSeedsAsync"/>, in the words of <see cref="ClusterView.ToWords"/>; null if there are no seeds.</summary>
    [Alias("Seeds")]
    ValueTask<string[]?> ReadSeedsAsync();

    /// <summary>As <see cref="IClusterView.ChangeSeedsAsync"/>.</summary>
    [Alias("ChangeSeeds")]
    ValueTask<string?> ChangeSeedsAsync(string silo, bool add);

    /// <summary>As <see cref="ISiloControlGrain.ReadMovesAsync"/>, at any silo. Null if there is no coordinator at the moment.</summary>
    [Alias("Moves")]
    ValueTask<ControlMessage?> ReadMovesAsync();

    /// <summary>As <see cref="ISiloControlGrain.OrderMovesAsync"/>, at any silo.</summary>
    [Alias("OrderMoves")]
    ValueTask<string?> OrderMovesAsync(byte kind, long value);
}

/// <summary>The newest table that the answering silo knows, for gateways that run alone.</summary>
[Alias("oc.ITableGrain")]
public interface ITableGrain : IGrainWithIntegerKey
{
    /// <summary>
    /// The table in its wire form, or null if it is not newer than the asker's. A table with another seed is newer, too: the
    /// cluster has begun anew, and its versions may have.
    /// </summary>
    [Alias("Get")]
    ValueTask<ControlMessage?> GetAsync(long term, long number, ulong hashFingerprint);
}

/// <summary>Hands what comes in to the runtime, which has its own lock and never waits: so calls need not wait for each other either.</summary>
[GrainType("oc.control"), SiloKeyPlacement, GrainDirectory(OwnershipDirectory.Name), KeepAlive, Immovable, Reentrant]
internal sealed class SiloControlGrain(OwnershipRuntime runtime, RemoteFeeds feeds, IGrainContext context) : IGrainBase, ISiloControlGrain
{
    public IGrainContext GrainContext { get; } = context;

    public ValueTask<ControlMessage?> SyncAsync(ControlMessage request)
    {
        byte[]? reply = runtime.HandleSync(request.Payload);
        return new ValueTask<ControlMessage?>(reply is null ? null : new ControlMessage(reply));
    }

    public ValueTask<ControlMessage> ReplicateAsync(BatchRequestMessage message) => new(new ControlMessage(runtime.HandleReplication(message.Payload)));

    public ValueTask<BatchReplyMessage> CollectAsync(long ticket) => runtime.CollectAsync(ticket);

    public ValueTask NudgeAsync(string silo)
    {
        if (SiloId.TryParse(silo, out SiloId id))
            runtime.HandleNudge(id);
        return ValueTask.CompletedTask;
    }

    public ValueTask<FlushReport?> FlushAllAsync(long expectedNumber, uint atUnixSeconds) =>
        runtime.FlushAllAsync(expectedNumber, atUnixSeconds, passOn: false);

    public async ValueTask<ControlMessage?> ReadMovesAsync() =>
        await runtime.ReadMovesAsync(passOn: false) is { } overview ? new ControlMessage(MovesFormat.Encode(overview)) : null;

    public ValueTask<string?> OrderMovesAsync(byte kind, long value) => runtime.OrderMovesAsync(new MoveOrder((MoveOrderKind)kind, value), passOn: false);

    public ValueTask<ControlMessage?> ScanAsync(int partition, ulong position) =>
        new(runtime.Scan(partition, position) is { } page ? new ControlMessage(ScanFormat.Encode(page)) : null);

    public ValueTask<SiloReport> ReadStatisticsAsync() => new(runtime.ReadStatistics());

    public async ValueTask<ControlMessage> ReadEventsAsync(string watcher, int kinds, int bytesMax) =>
        new(await feeds.ReadAsync(watcher, (EventKinds)kinds, bytesMax));
}

/// <summary>Answers on whatever silo is asked.</summary>
[GrainType("oc.cluster"), StatelessWorker, Reentrant]
internal sealed class ClusterGrain(OwnershipRuntime runtime, IGrainContext context, SeedNode? seeds = null) : IGrainBase, IClusterGrain
{
    public IGrainContext GrainContext { get; } = context;

    public ValueTask<FlushReport?> FlushAllAsync(long expectedNumber, uint atUnixSeconds) => runtime.FlushAllAsync(expectedNumber, atUnixSeconds, passOn: true);

    public ValueTask<ControlMessage> ReadSilosAsync() => new(new ControlMessage(runtime.ReadSilos().Encode()));

    public async ValueTask<string[]?> ReadSeedsAsync() => seeds is null ? null : ClusterView.ToWords(await seeds.ReadOverviewAsync(CancellationToken.None));

    public async ValueTask<string?> ChangeSeedsAsync(string silo, bool add) =>
        seeds is null ? ClusterView.NoSeeds : await seeds.ChangeVoteAsync(silo, add, CancellationToken.None);

    public async ValueTask<ControlMessage?> ReadMovesAsync() =>
        await runtime.ReadMovesAsync(passOn: true) is { } overview ? new ControlMessage(MovesFormat.Encode(overview)) : null;

    public ValueTask<string?> OrderMovesAsync(byte kind, long value) => runtime.OrderMovesAsync(new MoveOrder((MoveOrderKind)kind, value), passOn: true);
}

/// <summary>Executes synchronously; lanes are how batches for one silo run in parallel.</summary>
[GrainType("oc.batch"), SiloKeyPlacement, GrainDirectory(OwnershipDirectory.Name), KeepAlive, Immovable]
internal sealed class BatchGrain(OwnershipRuntime runtime, IGrainContext context) : IGrainBase, IBatchGrain
{
    public IGrainContext GrainContext { get; } = context;

    public ValueTask<BatchReplyMessage> ExecuteAsync(BatchRequestMessage request) => runtime.ExecuteBatchAsync(request);
}

/// <summary>
/// Opens the partition's gate when it is activated, unless it is open, and closes it before it is deactivated. It may only be activated where the silo's agent
/// has been told to serve the partition; see <see cref="OwnershipDirectory"/> for what happens elsewhere. Reentrant, because a batch waits for
/// replicas; the gate keeps order.
/// </summary>
[GrainType("oc.partition"), PartitionPlacement, GrainDirectory(OwnershipDirectory.Name), KeepAlive, Immovable, Reentrant]
internal sealed class PartitionGrain(OwnershipRuntime runtime, IGrainContext context) : IGrainBase, IPartitionGrain
{
    public IGrainContext GrainContext { get; } = context;

    private int Partition => (int)this.GetPrimaryKeyLong();

    public Task OnActivateAsync(CancellationToken token)
    {
        runtime.OpenGate(Partition, GrainContext);
        return Task.CompletedTask;
    }

    public Task OnDeactivateAsync(DeactivationReason reason, CancellationToken token)
    {
        runtime.CloseGate(Partition, GrainContext);
        return Task.CompletedTask;
    }

    public ValueTask ActivateAsync()
    {
        runtime.OpenGate(Partition, GrainContext);
        return ValueTask.CompletedTask;
    }

    public ValueTask<BatchReplyMessage> ExecuteAsync(BatchRequestMessage request) => runtime.ExecuteBatchAsync(request);

    public ValueTask<BatchReplyMessage> CollectAsync(long ticket) => runtime.CollectAsync(ticket);
}

/// <summary>Answers on whatever silo the gateway's client is connected to.</summary>
[GrainType("oc.table"), StatelessWorker(2)]
internal sealed class TableGrain(OwnershipRuntime runtime, IGrainContext context) : IGrainBase, ITableGrain
{
    public IGrainContext GrainContext { get; } = context;

    public ValueTask<ControlMessage?> GetAsync(long term, long number, ulong hashFingerprint)
    {
        PartitionTable table = runtime.Current;
        bool isNews = !table.HashSeed.IsNone && (table.Version > new PartitionTableVersion(term, number) || table.Hasher.Fingerprint != hashFingerprint);
        return new ValueTask<ControlMessage?>(isNews ? new ControlMessage(table.Encode()) : null);
    }
}
