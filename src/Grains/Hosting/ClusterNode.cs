using System.Net;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using OrleansCache.Grains.Hosting.Links;
using OrleansCache.Grains.Hosting.Security;
using OrleansCache.Grains.Hosting.Seeds;
using OrleansCache.Ownership;
using OrleansCache.Ownership.Replication;
using OrleansCache.Ownership.Routing;
using OrleansCache.Storage;

namespace OrleansCache.Grains.Hosting;

/// <summary>
/// One member of a cluster in this process: a silo that owns its share of the partitions, or a gateway alone that owns none. Hosts Orleans inside and shows
/// nothing of it.
/// </summary>
public sealed partial class ClusterNode : IAsyncDisposable
{
    /// <summary>Logger of what an operator is told by default.</summary>
    public const string JournalCategory = "OrleansCache.Cluster";

    private static readonly TimeSpan RestoreTimeMax = TimeSpan.FromMinutes(2);
    private static readonly TimeSpan SeedLeaveTimeout = TimeSpan.FromMilliseconds(1500);
    private static readonly TimeSpan LinksLeaveTimeout = TimeSpan.FromMilliseconds(500);
    private static readonly TimeSpan PollInterval = TimeSpan.FromMilliseconds(20);
    private readonly ClusterNodeOptions _options;
    private readonly TimeProvider _time = TimeProvider.System;
    private readonly ClusterHandshake _handshake;
    private readonly ClusterProbe _probe;
    private readonly List<PortClaim> _ports = [];
    private readonly TaskCompletionSource<ClusterFailure> _failure = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private IHost? _host;
    private OwnershipRuntime? _runtime;
    private SiloLinks? _links;
    private ClientTableCache? _clientTable;
    private SeedNode? _seeds;
    private StoreKeeper? _keeper;

    /// <summary>Of a gateway alone: those to join that have answered, at their port for gateways.</summary>
    private IReadOnlyList<IPEndPoint> _answering = [];

    private volatile bool _started;
    private bool _drained;
    private bool _stopped;
    private bool _abandoned;
    private bool _disposed;

    public ClusterNode(ClusterNodeOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        _options = options;
        _handshake = new ClusterHandshake(options.ClusterId, options.Secret.Span);
        _probe = new ClusterProbe(_handshake, options.Tls);
        if (options.GatewayOnly)
        {
            options.Events.Silo = "gateway";
            return;
        }

        PartitionSet = new PartitionSet(options.Store, options.Events);
        Freeze = new FreezeDetector(_time, OnGap);
    }

    /// <summary>The events of this process.</summary>
    public EventLog Events => _options.Events;

    /// <summary>This silo's partitions; null in a gateway alone.</summary>
    public PartitionSet? PartitionSet { get; }

    /// <summary>
    /// Before the start, of a silo with a memory file: reads what is in it, which takes as long as there are items. Whether any of it counts is decided by the
    /// cluster. Null if there is nothing.
    /// </summary>
    public MemoryFileReport? ReadMemoryFile(Action<double, long>? progress = null) =>
        PartitionSet?.ReadKept((uint)_time.GetUtcNow().ToUnixTimeSeconds(), RestoreTimeMax, progress);

    /// <summary>The partition table; there after the start.</summary>
    public ITableCache TableCache => (ITableCache?)_runtime ?? _clientTable ?? throw NotStarted();

    /// <summary>The way to other silos; there after the start.</summary>
    public IBatchTransport BatchTransport => _host?.Services.GetRequiredService<IBatchTransport>() ?? throw NotStarted();

    /// <summary>What is known of the cluster's silos; there after the start.</summary>
    public IClusterView View => _host?.Services.GetRequiredService<ClusterView>() ?? throw NotStarted();

    /// <summary>The way to other silos' events; there after the start.</summary>
    public IClusterWatch Watch => _host?.Services.GetRequiredService<IClusterWatch>() ?? throw NotStarted();

    /// <summary>Ends, with the reason, if the node cannot be a member of its cluster any more and the process should leave.</summary>
    public Task<ClusterFailure> Failure => _failure.Task;

    /// <summary>
    /// Tells the cluster that this silo's gateway listens: where clients reach it (null: nowhere by TCP), and what it counts. A gateway alone tells nobody.
    /// </summary>
    public void Publish(GatewayAddress? gateway, Func<IReadOnlyList<StatisticValue>> statistics) =>
        _runtime?.Publish(gateway, _options.AllowGateways ? GatewayPort(_options.SiloEndPoint.Port) : null,
            _seeds is null ? statistics : () => [.. statistics(), .. _seeds.ReadStatistics()]);

    /// <summary>For tests: the silos that a gateway alone could connect to.</summary>
    internal IReadOnlyList<Uri> KnownGateways => _host?.Services.GetService<GatewayDirectory>()?.Known ?? [];

    /// <summary>For tests: where this silo listens for others.</summary>
    internal IPEndPoint SiloEndPoint => _options.SiloEndPoint;

    /// <summary>The address under which other silos find this one.</summary>
    public IPAddress AdvertisedAddress => Advertised();

    /// <summary>The cluster's partition count; there after the start.</summary>
    public int PartitionCount => TableCache.Current.PartitionCount;

    /// <summary>What this silo does for ownership; null in a gateway alone.</summary>
    public NodeState? State => _runtime?.ReadState();

    /// <summary>
    /// After the start: begins to serve. Returns the way to all partitions. This silo's stores are kept in order from now on until the node stops.
    /// </summary>
    public ClusterRouter Serve()
    {
        if (PartitionSet is { } partitions)
        {
            partitions.NoteServing((uint)_time.GetUtcNow().ToUnixTimeSeconds());
            _keeper = new StoreKeeper(partitions, _time);
        }

        return new ClusterRouter(PartitionCount, PartitionSet, TableCache, BatchTransport, _time)
        {
            Events = Events,
            Stores = _keeper is null ? NoStores.Instance : _keeper,
            Cluster = View,
            Watch = Watch,
            Freeze = Freeze,
            Replicator = Replicator,
        };
    }

    internal SiloLinks? Links => _links;

    /// <summary>Keeps the copies of this silo's partitions; null in a gateway alone.</summary>
    public Replicator? Replicator => _runtime?.Replicator;

    /// <summary>
    /// Begins to hand all partitions over; the silo stays a member, reaches every key and takes none back. Returns why that cannot be, or null. Does not block.
    /// </summary>
    public string? BeginDraining()
    {
        if (_runtime is null)
            return "a gateway alone holds nothing";
        if (_runtime.ReadSilos().Silos.Count < 2)
            return "there is no other silo to hand the partitions to";
        _runtime.BeginDraining();
        return null;
    }

    /// <summary>
    /// The first half of <see cref="StopAsync"/>: hands the partitions over, and still reaches every key afterwards, so that a gateway can answer what is
    /// under way before the node leaves.
    /// </summary>
    public async Task DrainAsync(CancellationToken cancellationToken = default)
    {
        if (_runtime is null || _drained || _stopped)
            return;
        _drained = true;
        if (!_failure.Task.IsCompleted)
            await DrainAsync(_runtime, cancellationToken);
        _runtime.EndJournal();
    }

    /// <summary>
    /// Hands all partitions over, as far as others take them within <see cref="ClusterNodeOptions.DrainTimeout"/>, and leaves the cluster. What does not
    /// end in time is left to the end of the process.
    /// </summary>
    public async Task StopAsync(CancellationToken cancellationToken = default)
    {
        if (_stopped || _host is null)
            return;
        await DrainAsync(cancellationToken);
        _stopped = true;
        _keeper?.Dispose();

        // Where others live they have, or take, what was not handed over: only what nobody takes over stays in a memory file.
        _runtime?.CloseAllGates(keepInFile: _runtime.ReadState().NobodyTakesOver && !_failure.Task.IsCompleted);
        if (_links is not null)
            await _links.LeaveAsync(LinksLeaveTimeout);
        if (_seeds is not null && !_failure.Task.IsCompleted)
        {
            using CancellationTokenSource limit = new(SeedLeaveTimeout);
            await _seeds.LeaveAsync(limit.Token);
        }

        await LeaveAsync(_host, _options.LeaveTimeout);
    }

    public async ValueTask DisposeAsync()
    {
        if (_disposed)
            return;
        _disposed = true;
        bool stopped = _stopped;
        _stopped = true;
        _keeper?.Dispose();
        if (_host is { } host)
        {
            _host = null;
            if (!stopped)
                await LeaveAsync(host, TimeSpan.FromSeconds(1));
            if (host is IAsyncDisposable disposable)
                await BoundedAsync(disposable.DisposeAsync().AsTask(), TimeSpan.FromSeconds(1));
        }

        if (_seeds is not null)
            await _seeds.DisposeAsync();
        foreach (PortClaim port in _ports)
            port.Dispose();
        Freeze?.Dispose();

        // Calls that are still under way may touch the stores.
        if (!_abandoned)
            PartitionSet?.Dispose();
    }

    /// <summary>For tests: ends without a word to anybody, as far as one process allows it.</summary>
    internal async Task KillAsync()
    {
        _stopped = true;
        if (_seeds is not null)
            await _seeds.DisposeAsync();
        if (_runtime is not null)
        {
            _runtime.CloseAllGates(keepInFile: true);
            _links?.Dispose();
            await _runtime.DisposeAsync();
        }

        if (_host is not null)
            await _host.StopAsync(new CancellationToken(canceled: true));
        foreach (PortClaim port in _ports)
            port.Dispose();
        _ports.Clear();
    }

    private static InvalidOperationException NotStarted() => new("The node has not been started.");

    private int SeedPort => _options.SeedPort ?? _options.SiloEndPoint.Port + ClusterNodeOptions.SeedPortOffset;

    private int GatewayPort(int siloPort) => _options.GatewayOrleansPort ?? siloPort + ClusterNodeOptions.GatewayOrleansPortOffset;

    /// <summary>Ends Orleans and what runs on it, within this time, whatever they wait for.</summary>
    private async Task LeaveAsync(IHost host, TimeSpan timeout)
    {
        await BoundedAsync(Task.Run(LeaveAsync), timeout + TimeSpan.FromMilliseconds(500));

        async Task LeaveAsync()
        {
            if (_clientTable is not null)
                await _clientTable.DisposeAsync();
            using CancellationTokenSource limit = new(timeout);
            try
            {
                await host.StopAsync(limit.Token);
            }
            catch (Exception)
            {
                // It may never have started, or what it wanted to tell is gone. It has ended.
            }

            if (_runtime is not null)
                await _runtime.DisposeAsync();
        }
    }

    private async Task BoundedAsync(Task task, TimeSpan timeout)
    {
        await Task.WhenAny(task, Task.Delay(timeout, _time));
        _abandoned |= !task.IsCompleted;
    }

    /// <summary>
    /// Until nothing is held any more, and others have fetched the results that are kept for them; or nobody takes anything, or nothing has moved for a while:
    /// then the silo that should take the rest is gone.
    /// </summary>
    private async Task DrainAsync(OwnershipRuntime runtime, CancellationToken cancellationToken)
    {
        runtime.BeginDraining(isStopping: true);
        long started = _time.GetTimestamp();
        long looked = started;
        TimeSpan still = TimeSpan.Zero;
        (int Held, int HeldReplies, long CopyBytes) last = default;
        while (true)
        {
            // A machine so busy that this does not run is no sign that the others do not: such gaps count for little.
            TimeSpan since = _time.GetElapsedTime(looked);
            still += since < 5 * PollInterval ? since : 5 * PollInterval;
            looked = _time.GetTimestamp();
            NodeState state = runtime.ReadState();
            if ((state.Held, state.HeldReplies, state.CopyBytes) != last)
            {
                last = (state.Held, state.HeldReplies, state.CopyBytes);
                still = TimeSpan.Zero;
            }

            if (state is { Held: 0, HeldReplies: 0 } || state.NobodyTakesOver || cancellationToken.IsCancellationRequested
                || _time.GetElapsedTime(started) >= _options.DrainTimeout || still >= _options.DrainStallTimeout)
                return;
            await Task.Delay(PollInterval, _time, CancellationToken.None);
        }
    }
}
