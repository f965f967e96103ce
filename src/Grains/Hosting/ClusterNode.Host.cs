using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Orleans.Configuration;
using Orleans.Messaging;
using Orleans.Runtime.GrainDirectory;
using Orleans.Runtime.Hosting;
using OrleansCache.Grains.Hosting.Links;
using OrleansCache.Grains.Hosting.Security;
using OrleansCache.Ownership;
using OrleansCache.Ownership.Routing;

namespace OrleansCache.Grains.Hosting;

// Orleans's host, as this product wants it.
public sealed partial class ClusterNode
{
    private IHost BuildHost()
    {
        HostApplicationBuilder builder = Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings { DisableDefaults = true });
        builder.Services.Replace(ServiceDescriptor.Singleton<IHostLifetime, SilentLifetime>());
        builder.Services.Configure<HostOptions>(host => host.ShutdownTimeout = TimeSpan.FromSeconds(10));
        ILoggerFactory loggers = _options.LoggerFactory ?? NullLoggerFactory.Instance;
        builder.Services.AddSingleton<ILoggerFactory>(new MutedLoggers(loggers, this));
        builder.Services.AddSingleton(_time);
        builder.Services.AddSingleton<IBatchTransport, GrainBatchTransport>();
        builder.Services.AddSingleton(services => new ClusterView(
            services.GetRequiredService<IGrainFactory>(), services.GetRequiredService<ITableCache>(), services.GetService<OwnershipRuntime>(), _seeds));
        builder.Services.AddSingleton<IClusterWatch, ClusterWatch>();
        builder.Services.AddSingleton(_handshake);
        builder.Services.AddSingleton<ConnectionGuard>();
        if (_options.GatewayOnly)
            builder.UseOrleansClient(ConfigureClient);
        else
            builder.UseOrleans(ConfigureSilo);
        IHost host = builder.Build();
        if (!_options.GatewayOnly)
        {
            ConnectionGuard guard = host.Services.GetRequiredService<ConnectionGuard>();
            _links = host.Services.GetRequiredService<SiloLinks>();
            guard.LinkAccepted = context => _links.AcceptAsync(context, host.Services.GetRequiredService<OwnershipRuntime>());
            DeathWatch deaths = host.Services.GetRequiredService<DeathWatch>();
            _links.Broken = deaths.OnClosed;
            guard.OutboundClosed = deaths.OnClosed;
        }

        _seeds?.RunsSilo(host.Services.GetRequiredService<ILocalSiloDetails>().SiloAddress);
        return host;
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
            GatewayDirectory directory = new([.. _resolved.Select(join => new IPEndPoint(join.Address, GatewayPort(join.Port)))], _answering);
            client.Services.AddSingleton(directory);
            client.Services.AddSingleton<IGatewayListProvider>(directory);
        }

        // The start's own limit ends the tries.
        client.UseConnectionRetryFilter(async (_, cancellationToken) =>
        {
            await Task.Delay(TimeSpan.FromMilliseconds(200), _time, cancellationToken);
            return true;
        });
        client.Configure<GatewayOptions>(gateways => gateways.GatewayListRefreshPeriod = GatewayDirectory.RefreshInterval);

        if (_options.Tls is { } tls)
            client.UseTls(tls.Configure);
        client.Services.AddOptions<ClientConnectionOptions>().Configure<ConnectionGuard>(
            (connections, guard) => connections.ConfigureConnection(connection => connection.Use(next => guard.Outbound(next, PeerKind.Gateway))));
    }

    private void ConfigureSilo(ISiloBuilder silo)
    {
        silo.Configure<ClusterOptions>(ConfigureCluster);
        IPAddress advertised = Advertised();
        int siloPort = _options.SiloEndPoint.Port;
        int gatewayPort = _options.AllowGateways ? GatewayPort(siloPort) : 0;
        silo.Configure<EndpointOptions>(endpoints =>
        {
            endpoints.AdvertisedIPAddress = advertised;
            endpoints.SiloPort = siloPort;
            endpoints.SiloListeningEndpoint = _options.SiloEndPoint;
            endpoints.GatewayPort = gatewayPort;
            endpoints.GatewayListeningEndpoint = gatewayPort == 0 ? null : new IPEndPoint(_options.SiloEndPoint.Address, gatewayPort);
        });
        if (_options.Tls is { } tls)
            silo.UseTls(tls.Configure);
        silo.Services.AddOptions<SiloConnectionOptions>().Configure<ConnectionGuard>((connections, guard) =>
        {
            connections.ConfigureSiloInboundConnection(connection => connection.Use(next => guard.Inbound(next, PeerKind.Silo)));
            connections.ConfigureSiloOutboundConnection(connection => connection.Use(next => guard.Outbound(next, PeerKind.Silo)));
            connections.ConfigureGatewayInboundConnection(connection => connection.Use(next => guard.Inbound(next, PeerKind.Gateway)));
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
            silo.Services.AddSingleton<IMembershipTable>(_seeds!.Table);
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

            // Joining and leaving are tried again for so long, while the store is away.
            membership.MaxJoinAttemptTime = _options.JoinTimeout;
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
        services.AddSingleton(Freeze!);
        if (_seeds is not null)
            services.AddSingleton(_seeds);
        services.Replace(ServiceDescriptor.Singleton<IFatalErrorHandler>(new FatalErrors(this)));
        services.AddSingleton<ILifecycleParticipant<ISiloLifecycle>, CompilerRest>();
        services.AddSingleton<BatchExecutor>();
        services.AddSingleton<DeathWatch>();
        services.AddSingleton(new ReplicationOptions(
            _options.Replicas, _options.IsReplicationAsynchronous, _options.Zone ?? "", _options.MoveLimitBytesPerSecond, _options.WireVersionMax));
        services.AddSingleton<OwnershipLocator>();
        services.AddSingleton<OwnershipRuntime>();
        services.AddSingleton<RemoteFeeds>();
        services.AddSingleton<ITableCache>(provider => provider.GetRequiredService<OwnershipRuntime>());
        services.AddSingleton<IGrainDirectoryCache, OwnershipDirectoryCache>();
        silo.AddGrainDirectory(
            OwnershipDirectory.Name,
            (provider, _) => new OwnershipDirectory(provider.GetRequiredService<OwnershipLocator>(), provider.GetRequiredService<ILocalSiloDetails>()));
        if (SiloTransport.IsSupported)
            SiloTransport.Register(services);
        services.AddSingleton(provider => new SiloLinks(
            provider.GetService<SiloTransport>(),
            _handshake,
            _options.Tls,
            SiloId.Parse(provider.GetRequiredService<ILocalSiloDetails>().SiloAddress.ToParsableString()),
            _options.ResponseTimeout,
            _time));
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
