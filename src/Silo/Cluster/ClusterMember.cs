#if CLUSTER
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Logging;
using OrleansCache.Gateway;
using OrleansCache.Grains.Hosting;
using OrleansCache.Grains.Hosting.Security;
using OrleansCache.Ownership;
using OrleansCache.Ownership.Routing;
using OrleansCache.Silo.Hosting;
using OrleansCache.Silo.Options;
using OrleansCache.Storage;

namespace OrleansCache.Silo.Cluster;

/// <summary>A silo, or a gateway alone, as the program sees it: from the options to a <see cref="ClusterNode"/> and the router over it.</summary>
internal sealed class ClusterMember : INode
{
    private readonly ServeOptions _options;
    private readonly ILoggerFactory _loggers;
    private ClusterNode? _node;
    private ClusterRouter? _router;

    public ClusterMember(ServeOptions options, ILoggerFactory loggers)
    {
        _options = options;
        _loggers = loggers;
    }

    public IPartitionRouter Router => _router ?? throw new InvalidOperationException("The node has not been started.");

    public string Description
    {
        get
        {
            string cluster = string.Create(CultureInfo.InvariantCulture, $"cluster {_options.ClusterId}, {_router?.PartitionCount} partitions");
            return _options.Verb == Verb.Gateway
                ? $"gateway of {cluster}"
                : string.Create(CultureInfo.InvariantCulture,
                    $"silo on port {_options.SiloPort} of {cluster}, {_node?.State?.Served} here, {_options.MemoryBytes >> 20} MB");
        }
    }

    public Task<NodeFailure> Failure { get; private set; } = new TaskCompletionSource<NodeFailure>().Task;

    public async Task StartAsync(CancellationToken cancellationToken)
    {
        try
        {
            _node = new ClusterNode(NodeOptions());
            MemoryFileReport? kept = _node.ReadMemoryFile(MemoryFileLines.WriteProgress);
            MemoryFileLines.Write(_options.MemoryFilePath, _node.PartitionSet?.MemoryFileRefusal, kept);
            await _node.StartAsync(cancellationToken);
            if (kept is not null)
                MemoryFileLines.WriteDecision(_options.MemoryFilePath, _node.State?.Restored ?? 0, _node.PartitionSet!.Kept!.Epochs.Count(epoch => epoch != 0));
        }
        catch (MemoryFileException exception)
        {
            throw new StartException(ExitCode.OperatingSystem, exception.Message, exception);
        }
        catch (InsufficientMemoryException exception)
        {
            throw StoreSetup.NoMemory(_options, exception);
        }
        catch (ClusterStartException exception)
        {
            int code = exception.IsUsage ? ExitCode.Usage : exception.IsOperatingSystem ? ExitCode.OperatingSystem : ExitCode.Unavailable;
            throw new StartException(code, exception.Message, exception);
        }

        _router = _node.Serve();
        Failure = ReadFailureAsync(_node);
    }

    public string? NotReady() => _node is { } node ? node.NotReady() : "starting";

    public void Publish(GatewayServer gateway)
    {
        if (_node is { PartitionSet: not null } silo)
            silo.Publish(gateway.FindAddress(_options.AdvertisedHost, silo.AdvertisedAddress), gateway.ReadNodeStatistics);
    }

    public string? BeginDraining() => _node is null ? "the silo is still starting" : _node.BeginDraining();

    public Task DrainAsync(CancellationToken cancellationToken) => _node?.DrainAsync(cancellationToken) ?? Task.CompletedTask;

    public async Task StopAsync(CancellationToken cancellationToken)
    {
        if (_node is not null)
            await _node.StopAsync(cancellationToken);
    }

    public async ValueTask DisposeAsync()
    {
        if (_node is not null)
            await _node.DisposeAsync();
    }

    private static async Task<NodeFailure> ReadFailureAsync(ClusterNode node)
    {
        ClusterFailure failure = await node.Failure;
        return new NodeFailure(failure.Reason, failure.IsEvicted ? ExitCode.Evicted : ExitCode.Unavailable);
    }

    private ClusterNodeOptions NodeOptions() => new()
    {
        ClusterId = _options.ClusterId,
        ServiceId = _options.ClusterId,
        SiloEndPoint = new IPEndPoint(SiloAddress(), _options.SiloPort),
        AdvertisedHost = _options.AdvertisedHost,
        AllowGateways = _options.AllowGateways,
        Join = [.. _options.Join.Select(ToEndPoint)],
        SeedPort = _options.SeedPort,
        SeedCount = _options.SeedCount,
        DataDirectory = DataDirectory(),
        JoinTimeout = TimeSpan.FromSeconds(_options.JoinTimeoutSeconds),
        DrainTimeout = TimeSpan.FromSeconds(_options.DrainTimeoutSeconds),
        Secret = _options.ClusterSecretFile is { } file ? SecretFile.Read(file, "--cluster-secret-file", "secret") : default,
        Tls = _options.ClusterTlsCertificateFile is { } certificate
            ? ClusterTls.Load(certificate, _options.ClusterTlsKeyFile ?? certificate, _options.ClusterTlsAuthorityFile!) : null,
        AllowInsecure = _options.AllowInsecureCluster,
        ClusteringName = _options.ClusteringName,
        ConnectionString = _options.ConnectionString,
        Replicas = _options.Replicas,
        IsReplicationAsynchronous = _options.IsReplicationAsynchronous,
        Zone = _options.Zone,
        MoveLimitBytesPerSecond = _options.MoveLimitBytesPerSecond,
        WireVersionMax = WireVersionMax(),
        Store = StoreSetup.Options(_options),
        Events = StoreSetup.Events(_options),
        GatewayOnly = _options.Verb == Verb.Gateway,
        LoggerFactory = _loggers,
    };

    private byte WireVersionMax() => _options.WireVersionMax is not { } given ? WireVersion.Newest
        : given is >= WireVersion.Oldest and <= WireVersion.Newest ? given
        : throw StartException.Usage($"This version speaks the wire versions {WireVersion.Oldest} to {WireVersion.Newest} (--wire-version), not {given}");

    /// <summary>
    /// Silos listen where others reach them: at the advertised address, or else where clients do, on the first address of -l. Never on more than that.
    /// </summary>
    private IPAddress SiloAddress()
    {
        if (_options.SiloListenHost is { } listen)
            return ResolveHost(listen, "--silo-listen");
        if (_options.AdvertisedHost is { } advertised)
            return ResolveHost(advertised, "--advertise");
        if (_options.Listen is not null && ListenSpec.TryParse(_options.Listen, _options.Port, out List<ListenSpec> listeners, out _))
        {
            IPAddress first = listeners[0].Host is { } host ? ResolveHost(host, "-l") : IPAddress.Any;
            return first.Equals(IPAddress.Any) || first.Equals(IPAddress.IPv6Any) ? OwnAddress() : first;
        }

        return IPAddress.Loopback;
    }

    /// <summary>For one who serves clients on every address: the machine's name decides where silos find it.</summary>
    private static IPAddress OwnAddress()
    {
        try
        {
            return Dns.GetHostAddresses(Dns.GetHostName())
                .First(address => address.AddressFamily == AddressFamily.InterNetwork && !IPAddress.IsLoopback(address));
        }
        catch (Exception exception) when (exception is SocketException or InvalidOperationException)
        {
            throw StartException.Usage(
                "the silo serves clients on every address, and at which one the other silos reach it is not clear: say it with --advertise");
        }
    }

    /// <summary>Names are resolved when they are asked for, and again: they may stand for nothing yet.</summary>
    private static EndPoint ToEndPoint(string hostAndPort)
    {
        int colon = hostAndPort.LastIndexOf(':');
        int port = int.Parse(hostAndPort[(colon + 1)..], CultureInfo.InvariantCulture);
        string host = hostAndPort[..colon].Trim('[', ']');
        return IPAddress.TryParse(host, out IPAddress? address) ? new IPEndPoint(address, port) : new DnsEndPoint(host, port);
    }

    private string? DataDirectory()
    {
        if (_options.Verb == Verb.Gateway || _options.ClusteringName is not null)
            return null;
        string? directory = StateDirectory.Find(_options, Environment.GetEnvironmentVariable, out string? warning);
        if (warning is not null)
            Console.Error.WriteLine(warning);
        return directory;
    }

    private static IPAddress ResolveHost(string host, string option)
    {
        if (IPAddress.TryParse(host, out IPAddress? literal))
            return literal;
        try
        {
            IPAddress[] addresses = Dns.GetHostAddresses(host);
            return addresses.FirstOrDefault(address => address.AddressFamily == AddressFamily.InterNetwork) ?? addresses[0];
        }
        catch (Exception exception) when (exception is SocketException or ArgumentException or IndexOutOfRangeException)
        {
            throw new StartException(ExitCode.Unavailable, $"{option}: {host}: {exception.Message}", exception);
        }
    }
}
#endif
