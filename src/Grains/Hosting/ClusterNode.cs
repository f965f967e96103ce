using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging.Abstractions;
using Orleans.Configuration;
using Orleans.Runtime.GrainDirectory;
using Orleans.Runtime.Hosting;
using OrleansCache.Grains.Ownership;
using OrleansCache.Grains.Routing;
using OrleansCache.Storage;

namespace OrleansCache.Grains.Hosting;

/// <summary>
/// One member of a cluster in this process: a silo that owns its share of the partitions, or a gateway alone that owns none. Hosts Orleans inside and shows
/// nothing of it.
/// </summary>
public sealed class ClusterNode : IAsyncDisposable
{
    private static readonly TimeSpan PollInterval = TimeSpan.FromMilliseconds(20);
    private readonly ClusterNodeOptions _options;
    private readonly TimeProvider _time = TimeProvider.System;
    private IHost? _host;
    private OwnershipRuntime? _runtime;
    private ClientTableCache? _clientTable;
    private bool _stopped;

    public ClusterNode(ClusterNodeOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        _options = options;
        if (options.GatewayOnly)
            return;
        PartitionSet = new PartitionSet(options.Store);
    }

    /// <summary>This silo's partitions; null in a gateway alone.</summary>
    public PartitionSet? PartitionSet { get; }

    /// <summary>The partition table; there after the start.</summary>
    public ITableCache TableCache => (ITableCache?)_runtime ?? _clientTable ?? throw NotStarted();

    /// <summary>The way to other silos; there after the start.</summary>
    public IBatchTransport BatchTransport => _host?.Services.GetRequiredService<IBatchTransport>() ?? throw NotStarted();

    /// <summary>What is known of the cluster's silos; there after the start.</summary>
    public IClusterView View => _host?.Services.GetRequiredService<ClusterView>() ?? throw NotStarted();

    /// <summary>The way to other silos' events; there after the start.</summary>
    public IClusterWatch Watch => _host?.Services.GetRequiredService<IClusterWatch>() ?? throw NotStarted();

    /// <summary>
    /// Tells the cluster that this silo's gateway listens: where clients reach it (null: nowhere by TCP), and what it counts. A gateway alone tells nobody.
    /// </summary>
    public void Publish(GatewayAddress? gateway, Func<IReadOnlyList<StatisticValue>> statistics) => _runtime?.Publish(gateway, statistics);

    /// <summary>Ends, with the reason, if the node cannot be part of the cluster any more and the process should leave; there after the start.</summary>
    public Task<string> Failure => _runtime?.Failure ?? _clientTable?.Failure ?? throw NotStarted();

    /// <summary>The address under which other silos find this one.</summary>
    public IPAddress AdvertisedAddress => Advertised();

    /// <summary>The cluster's partition count; there after the start.</summary>
    public int PartitionCount => TableCache.Current.PartitionCount;

    /// <summary>What this silo does for ownership; null in a gateway alone.</summary>
    public NodeState? State => _runtime?.ReadState();

    /// <summary>
    /// Joins the cluster, or founds it, and returns when every partition has an owner and the seed of the key hash is known.
    /// Throws <see cref="ClusterStartException"/> with a message for the operator.
    /// </summary>
    public async Task StartAsync(CancellationToken cancellationToken)
    {
        await CheckSurroundingsAsync(cancellationToken);
        IHost host = BuildHost();
        _host = host;
        try
        {
            await StartHostAsync(host, cancellationToken);
            if (_options.GatewayOnly)
            {
                _clientTable = host.Services.GetRequiredService<ClientTableCache>();
                await _clientTable.StartAsync(_options.TableTimeout, cancellationToken);
            }
            else
            {
                _runtime = host.Services.GetRequiredService<OwnershipRuntime>();
                _runtime.Start();
                await WaitUntilServingAsync(_runtime, cancellationToken);
            }
        }
        catch
        {
            await DisposeAsync();
            throw;
        }
    }

    /// <summary>
    /// The first half of <see cref="StopAsync"/>: hands the partitions over, and still reaches every key afterwards, so that a gateway can answer what is
    /// under way before the node leaves.
    /// </summary>
    public Task DrainAsync(CancellationToken cancellationToken = default) =>
        _runtime is null || _stopped ? Task.CompletedTask : DrainAsync(_runtime, cancellationToken);

    /// <summary>Hands all partitions over, as far as others take them within <see cref="ClusterNodeOptions.DrainTimeout"/>, and leaves the cluster.</summary>
    public async Task StopAsync(CancellationToken cancellationToken = default)
    {
        if (_stopped || _host is null)
            return;
        _stopped = true;
        if (_runtime is not null)
        {
            await DrainAsync(_runtime, cancellationToken);
            _runtime.CloseAllGates();
        }

        if (_clientTable is not null)
            await _clientTable.DisposeAsync();
        await _host.StopAsync(cancellationToken);
        if (_runtime is not null)
            await _runtime.DisposeAsync();
    }

    public async ValueTask DisposeAsync()
    {
        _stopped = true;
        if (_clientTable is not null)
            await _clientTable.DisposeAsync();
        if (_runtime is not null)
            await _runtime.DisposeAsync();
        if (_host is not null)
        {
            using CancellationTokenSource atOnce = new(TimeSpan.FromSeconds(1));
            try
            {
                await _host.StopAsync(atOnce.Token);
            }
            catch (Exception)
            {
                // It may never have started.
            }

            if (_host is IAsyncDisposable disposable)
                await disposable.DisposeAsync();
            _host = null;
        }

        PartitionSet?.Dispose();
    }

    /// <summary>For tests: ends without a word to anybody, as far as one process allows it.</summary>
    internal async Task KillAsync()
    {
        _stopped = true;
        if (_runtime is not null)
        {
            _runtime.CloseAllGates();
            await _runtime.DisposeAsync();
        }

        if (_host is not null)
            await _host.StopAsync(new CancellationToken(canceled: true));
    }

    private static InvalidOperationException NotStarted() => new("The node has not been started.");

    private int GatewayPort(int siloPort) => _options.GatewayOrleansPort ?? siloPort + ClusterNodeOptions.GatewayOrleansPortOffset;

    /// <summary>What Orleans would report late, or with many words, is tried before it starts.</summary>
    private async Task CheckSurroundingsAsync(CancellationToken cancellationToken)
    {
        if (_options.ClusteringName is not (null or "postgres"))
            throw new ClusterStartException($"Unknown clustering '{_options.ClusteringName}': 'postgres' is known.");
        if (_options.ClusteringName is not null)
        {
            if (string.IsNullOrWhiteSpace(_options.ConnectionString))
                throw new ClusterStartException("Clustering with postgres needs a connection string (--connection).");
            await PostgresMembershipStore.PrepareAsync(_options.ConnectionString, _options.StartTimeout, _time, cancellationToken);
        }
        else if (_options.Join is { } join)
        {
            IPEndPoint reached = _options.GatewayOnly ? new IPEndPoint(join.Address, GatewayPort(join.Port)) : join;
            await WaitForListenerAsync(join, reached, cancellationToken);
        }
        else if (_options.GatewayOnly)
        {
            throw new ClusterStartException("A gateway alone needs a silo to join (--join), or a membership store (--clustering).");
        }

        if (!_options.GatewayOnly)
            CheckPortIsFree(_options.SiloEndPoint);
    }

    private async Task WaitForListenerAsync(IPEndPoint join, IPEndPoint reached, CancellationToken cancellationToken)
    {
        long started = _time.GetTimestamp();
        while (true)
        {
            using Socket socket = new(reached.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
            using CancellationTokenSource attempt = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
            attempt.CancelAfter(TimeSpan.FromSeconds(2));
            string reason;
            try
            {
                await socket.ConnectAsync(reached, attempt.Token);
                return;
            }
            catch (SocketException exception)
            {
                reason = exception.Message;
            }
            catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
            {
                reason = "no answer";
            }

            if (_time.GetElapsedTime(started) >= _options.StartTimeout)
                throw new ClusterStartException($"Nothing to join at {join}: {reason} (tried {reached} for {_options.StartTimeout.TotalSeconds:0} s).");
            await Task.Delay(TimeSpan.FromMilliseconds(200), _time, cancellationToken);
        }
    }

    private static void CheckPortIsFree(IPEndPoint endPoint)
    {
        using Socket socket = new(endPoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.ReuseAddress, true);
            socket.Bind(endPoint);
        }
        catch (SocketException exception)
        {
            throw new ClusterStartException($"The silo cannot listen at {endPoint}: {exception.Message}", exception);
        }
    }

    private static async Task StartHostAsync(IHost host, CancellationToken cancellationToken)
    {
        try
        {
            await host.StartAsync(cancellationToken);
        }
        catch (Exception exception) when (exception is not (OperationCanceledException or ClusterStartException))
        {
            Exception innermost = exception;
            while (innermost.InnerException is { } inner)
                innermost = inner;
            throw new ClusterStartException($"The cluster node could not start: {innermost.Message}", exception);
        }
    }

    private async Task WaitUntilServingAsync(OwnershipRuntime runtime, CancellationToken cancellationToken)
    {
        long started = _time.GetTimestamp();
        while (true)
        {
            NodeState state = runtime.ReadState();
            if (state.ForeignPartitionCount != 0)
            {
                throw new ClusterStartException(
                    $"The cluster has {state.ForeignPartitionCount} partitions, this silo was started with {_options.PartitionCount}: the number (--partitions) must be the same.");
            }

            if (runtime.Current.AssignedCount == runtime.Current.PartitionCount)
                return;
            if (_time.GetElapsedTime(started) >= _options.TableTimeout)
                throw new ClusterStartException($"Not all partitions found an owner within {_options.TableTimeout.TotalSeconds:0} s; the cluster's coordinator does not answer.");
            await Task.Delay(PollInterval, _time, cancellationToken);
        }
    }

    private async Task DrainAsync(OwnershipRuntime runtime, CancellationToken cancellationToken)
    {
        runtime.BeginDraining();
        long started = _time.GetTimestamp();
        while (true)
        {
            NodeState state = runtime.ReadState();
            if (state.Held == 0 || state.NobodyTakesOver || _time.GetElapsedTime(started) >= _options.DrainTimeout || cancellationToken.IsCancellationRequested)
                return;
            await Task.Delay(PollInterval, _time, CancellationToken.None);
        }
    }

    private IHost BuildHost()
    {
        HostApplicationBuilder builder = Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings { DisableDefaults = true });
        builder.Services.Replace(ServiceDescriptor.Singleton<IHostLifetime, SilentLifetime>());
        builder.Services.Configure<HostOptions>(host => host.ShutdownTimeout = TimeSpan.FromSeconds(10));
        builder.Services.AddSingleton(_options.LoggerFactory ?? NullLoggerFactory.Instance);
        builder.Services.AddSingleton(_time);
        builder.Services.AddSingleton<IBatchTransport, GrainBatchTransport>();
        builder.Services.AddSingleton(services => new ClusterView(
            services.GetRequiredService<IGrainFactory>(), services.GetRequiredService<ITableCache>(), services.GetService<OwnershipRuntime>()));
        builder.Services.AddSingleton<IClusterWatch, ClusterWatch>();
        if (_options.GatewayOnly)
            builder.UseOrleansClient(ConfigureClient);
        else
            builder.UseOrleans(ConfigureSilo);
        return builder.Build();
    }

    private void ConfigureClient(IClientBuilder client)
    {
        client.Configure<ClusterOptions>(ConfigureCluster);
        client.Configure<ClientMessagingOptions>(messaging => messaging.ResponseTimeout = _options.ResponseTimeout);
        client.Services.AddSingleton<ClientTableCache>();
        client.Services.AddSingleton<ITableCache>(services => services.GetRequiredService<ClientTableCache>());
        if (_options.ClusteringName is not null)
        {
            client.UseAdoNetClustering(store =>
            {
                store.Invariant = PostgresMembershipStore.Invariant;
                store.ConnectionString = _options.ConnectionString;
            });
        }
        else
        {
            client.UseStaticClustering(new IPEndPoint(_options.Join!.Address, GatewayPort(_options.Join.Port)));
        }
    }

    private void ConfigureSilo(ISiloBuilder silo)
    {
        silo.Configure<ClusterOptions>(ConfigureCluster);
        IPAddress advertised = Advertised();
        int siloPort = _options.SiloEndPoint.Port;
        int gatewayPort = GatewayPort(siloPort);
        silo.Configure<EndpointOptions>(endpoints =>
        {
            endpoints.AdvertisedIPAddress = advertised;
            endpoints.SiloPort = siloPort;
            endpoints.SiloListeningEndpoint = _options.SiloEndPoint;
            endpoints.GatewayPort = gatewayPort;
            endpoints.GatewayListeningEndpoint = gatewayPort == 0 ? null : new IPEndPoint(_options.SiloEndPoint.Address, gatewayPort);
        });
        if (_options.ClusteringName is not null)
        {
            silo.UseAdoNetClustering(store =>
            {
                store.Invariant = PostgresMembershipStore.Invariant;
                store.ConnectionString = _options.ConnectionString;
            });
        }
        else
        {
            silo.UseDevelopmentClustering(_options.Join ?? new IPEndPoint(advertised, siloPort));
        }

        // The figures are measured (docs/decisions/0007-ownership.md): a lost silo is declared dead after some 2 s, a busy one is not.
        silo.Configure<ClusterMembershipOptions>(membership =>
        {
            membership.ProbeTimeout = TimeSpan.FromSeconds(1);
            membership.MaxProbeTimeout = TimeSpan.FromSeconds(2);
            membership.NumMissedProbesLimit = 3;
            membership.NumVotesForDeathDeclaration = 2;
            membership.TableRefreshTimeout = TimeSpan.FromSeconds(2);
            membership.IAmAliveTablePublishTimeout = TimeSpan.FromSeconds(3);
            membership.EnableConnectionLivenessCheck = true;
        });
        silo.Configure<SiloMessagingOptions>(messaging =>
        {
            messaging.ResponseTimeout = _options.ResponseTimeout;
            messaging.SystemResponseTimeout = _options.ResponseTimeout;
        });
        silo.Configure<GrainCollectionOptions>(collection => collection.EnableActivationSheddingOnMemoryPressure = false);
        silo.Configure<LoadSheddingOptions>(shedding => shedding.LoadSheddingEnabled = false);

        IServiceCollection services = silo.Services;
        services.AddSingleton(PartitionSet!);
        services.AddSingleton<IBatchExecutor, BatchExecutor>();
        services.AddSingleton<OwnershipLocator>();
        services.AddSingleton<OwnershipRuntime>();
        services.AddSingleton<RemoteFeeds>();
        services.AddSingleton<ITableCache>(provider => provider.GetRequiredService<OwnershipRuntime>());
        services.AddSingleton<IGrainDirectoryCache, OwnershipDirectoryCache>();
        silo.AddGrainDirectory(
            OwnershipDirectory.Name,
            (provider, _) => new OwnershipDirectory(provider.GetRequiredService<OwnershipLocator>(), provider.GetRequiredService<ILocalSiloDetails>()));
        silo.AddPlacementDirector<SiloKeyPlacement, OwnershipPlacementDirector>();
        silo.AddPlacementDirector<PartitionPlacement, OwnershipPlacementDirector>();
    }

    private void ConfigureCluster(ClusterOptions cluster)
    {
        cluster.ClusterId = _options.ClusterId;
        cluster.ServiceId = _options.ServiceId;
    }

    /// <summary>The address under which others find this silo.</summary>
    private IPAddress Advertised()
    {
        if (_options.AdvertisedHost is { } host)
        {
            if (IPAddress.TryParse(host, out IPAddress? literal))
                return literal;
            try
            {
                IPAddress[] addresses = Dns.GetHostAddresses(host);
                return addresses.FirstOrDefault(address => address.AddressFamily == _options.SiloEndPoint.AddressFamily) ?? addresses.First();
            }
            catch (Exception exception) when (exception is SocketException or InvalidOperationException)
            {
                throw new ClusterStartException($"The name to advertise, '{host}', has no address: {exception.Message}", exception);
            }
        }

        IPAddress listening = _options.SiloEndPoint.Address;
        if (!listening.Equals(IPAddress.Any) && !listening.Equals(IPAddress.IPv6Any))
            return listening;
        try
        {
            return Dns.GetHostAddresses(Dns.GetHostName()).First(address => address.AddressFamily == listening.AddressFamily && !IPAddress.IsLoopback(address));
        }
        catch (Exception exception) when (exception is SocketException or InvalidOperationException)
        {
            throw new ClusterStartException("The silo listens on every address, and which one others reach is not clear: say it with --advertise.", exception);
        }
    }

    /// <summary>The process's signals and console belong to the program, not to Orleans's host.</summary>
    private sealed class SilentLifetime : IHostLifetime
    {
        public Task WaitForStartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }
}
