using System.Net;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using OrleansCache.Grains.Hosting.Security;
using OrleansCache.Grains.Hosting.Seeds;
using OrleansCache.Membership;
using OrleansCache.Ownership;
using OrleansCache.Ownership.Rehearsing;

namespace OrleansCache.Grains.Hosting;

// The start: what Orleans would report late, or with many words, is tried before it starts; every wait is bounded.
public sealed partial class ClusterNode
{
    /// <summary>A silo that founds a cluster depends on nobody: only on how busy its machine is.</summary>
    private static readonly TimeSpan FoundingTimeout = TimeSpan.FromSeconds(60);

    internal const string ClientPort = "is a port for memcached clients: --join wants the silo port (--silo-port) of that process";

    /// <summary>A member answers within milliseconds, unless its machine is busy.</summary>
    private static readonly TimeSpan SlowAnswer = TimeSpan.FromSeconds(2);

    /// <summary>The membership is kept by the silos themselves, and this is one.</summary>
    private bool KeepsMembership => !_options.GatewayOnly && _options.ClusteringName is null;

    /// <summary>What the names and addresses to join are by now; of a gateway alone.</summary>
    private IReadOnlyList<IPEndPoint> _resolved = [];

    /// <summary>
    /// Joins the cluster, or founds it, and returns when every partition has an owner and the seed of the key hash is known. Throws
    /// <see cref="ClusterStartException"/> with a message for the operator.
    /// </summary>
    public async Task StartAsync(CancellationToken cancellationToken)
    {
        using CancellationTokenSource limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        TimeSpan timeout = _options.JoinTimeout;
        if (PartitionSet?.Kept is not null)
            timeout += TimeSpan.FromMilliseconds(Coordinator.GatherMilliseconds);
        try
        {
            if (KeepsMembership)
            {
                CheckIsAuthenticated();
                ClaimPorts();
                await StartSeedAsync(cancellationToken);
                if (_seeds!.DependsOnNobody)
                    timeout += FoundingTimeout;
            }

            limit.CancelAfter(timeout);
            if (!KeepsMembership)
                await CheckSurroundingsAsync(limit.Token);
            Task rehearsal = _options.GatewayOnly ? Task.CompletedTask : RehearseAsync(limit.Token);
            _host = BuildHost();
            await rehearsal;
            await StartHostAsync(_host, limit.Token).WaitAsync(limit.Token);
            if (_options.GatewayOnly)
            {
                _clientTable = _host.Services.GetRequiredService<ClientTableCache>();
                await _clientTable.StartAsync(limit.Token);
                _ = PassOnFailureAsync(_clientTable.Failure);
            }
            else
            {
                _runtime = _host.Services.GetRequiredService<OwnershipRuntime>();
                _runtime.Start();
                await WaitUntilServingAsync(_runtime, limit.Token);
                _seeds?.BeginKeeping();
                Freeze!.Start();
                _ = PassOnFailureAsync(_runtime.Failure);
            }

            _started = true;
        }
        catch (Exception) when (limit.IsCancellationRequested && !cancellationToken.IsCancellationRequested)
        {
            await DisposeAsync();
            throw new ClusterStartException($"{WhatIsJoined()} did not take this node in within {timeout.TotalSeconds:0} s{WhyNotTakenIn()}.");
        }
        catch
        {
            await DisposeAsync();
            throw;
        }
    }

    /// <summary>Before other silos know of this one, and count on it.</summary>
    private Task RehearseAsync(CancellationToken cancellationToken) => Task.Run(
        () =>
        {
            ILogger logger = (_options.LoggerFactory ?? NullLoggerFactory.Instance).CreateLogger<ClusterNode>();
            try
            {
                if (!Rehearsal.Run(cancellationToken))
                    LogRehearsalFailed(logger, null);
            }
            catch (Exception exception)
            {
                // It is for speed alone.
                LogRehearsalFailed(logger, exception);
            }
        },
        CancellationToken.None);

    private async Task PassOnFailureAsync(Task<string> failure) => _failure.TrySetResult(new ClusterFailure(await failure, IsEvicted: false));

    private string WhatIsJoined() =>
        _options.ClusteringName is not null ? $"The cluster {_options.ClusterId} of the membership store"
        : _options.Join.Count > 0 ? $"The cluster {_options.ClusterId} at {JoinText()}"
        : $"The cluster {_options.ClusterId}";

    private string WhyNotTakenIn() =>
        _runtime is null && _clientTable is null ? ": its silos do not answer, or cannot reach this one"
        : _runtime?.Current is { PartitionCount: > 0 } table
            ? $": {table.PartitionCount - table.AssignedCount} partitions have no owner yet, its coordinator does not answer"
        : ": its coordinator does not answer";

    private async Task CheckSurroundingsAsync(CancellationToken cancellationToken)
    {
        if (_options.ClusteringName is not (null or "postgres"))
            throw new ClusterStartException($"Unknown clustering '{_options.ClusteringName}': 'postgres' is known.");
        CheckIsAuthenticated();
        if (_options.ClusteringName is not null)
        {
            if (string.IsNullOrWhiteSpace(_options.ConnectionString))
                throw new ClusterStartException("Clustering with postgres needs a connection string (--connection).");
            await PostgresMembershipStore.PrepareAsync(_options.ConnectionString, _options.StartTimeout, _time, cancellationToken);
        }
        else if (_options.Join.Count == 0)
            throw new ClusterStartException("A gateway alone needs a silo to join (--join), or a membership store (--clustering).");
        else
            await FindMemberAsync(cancellationToken);
        if (!_options.GatewayOnly)
            ClaimPorts();
    }

    private void ClaimPorts()
    {
        _ports.Add(PortClaim.Take(_options.SiloEndPoint, "The silo"));
        if (KeepsMembership)
            _ports.Add(PortClaim.Take(new IPEndPoint(_options.SiloEndPoint.Address, SeedPort), "The silo's seed port (--seed-port)"));
        if (_options.AllowGateways)
        {
            IPEndPoint gateways = new(_options.SiloEndPoint.Address, GatewayPort(_options.SiloEndPoint.Port));
            _ports.Add(PortClaim.Take(gateways, "The silo's port for gateways"));
        }
    }

    /// <summary>Finds the cluster, or founds it, before Orleans starts.</summary>
    private async Task StartSeedAsync(CancellationToken cancellationToken)
    {
        IPAddress advertised = Advertised();
        int offset = SeedPort - _options.SiloEndPoint.Port;
        try
        {
            SeedNodeOptions options = new()
            {
                ClusterId = _options.ClusterId,
                Address = SeedPlace(_options.AdvertisedHost ?? advertised.ToString(), SeedPort),
                Advertised = new IPEndPoint(advertised, SeedPort),
                Listen = new IPEndPoint(_options.SiloEndPoint.Address, SeedPort),
                Join = [.. _options.Join.Select(join => join is IPEndPoint point
                    ? SeedPlace(point.Address.ToString(), point.Port + offset) : SeedPlace(((DnsEndPoint)join).Host, ((DnsEndPoint)join).Port + offset))],
                PortOffset = offset,
                DataDirectory = _options.DataDirectory,
                Target = _options.SeedCount,
                JoinTimeout = _options.JoinTimeout,
                FoundingWait = _options.FoundingWait,
            };
            _seeds = new SeedNode(options, _probe, _time, (_options.LoggerFactory ?? NullLoggerFactory.Instance).CreateLogger(JournalCategory))
            {
                OtherClusterFound = reason => _failure.TrySetResult(new ClusterFailure(reason, IsEvicted: false)),
            };
            await _seeds.StartAsync(cancellationToken);
        }
        catch (SeedFileException exception)
        {
            throw new ClusterStartException(exception.Message, exception) { IsOperatingSystem = true };
        }
        catch (FormatException exception)
        {
            throw new ClusterStartException(exception.Message, exception) { IsUsage = true };
        }

        static SeedAddress SeedPlace(string host, int port) => new(host.Contains(':', StringComparison.Ordinal) ? $"[{host.Trim('[', ']')}]" : host, port);
    }

    private void CheckIsAuthenticated()
    {
        if (!_options.Secret.IsEmpty || _options.Tls is not null || _options.AllowInsecure)
            return;
        IEnumerable<IPAddress> addresses = _options.GatewayOnly ? _options.Join.Select(AddressOf) : [Advertised(), _options.SiloEndPoint.Address];
        if (addresses.FirstOrDefault(address => !IPAddress.IsLoopback(address)) is { } reached)
        {
            throw new ClusterStartException(
                $"A cluster beyond this machine ({reached}) needs a secret that all its silos and gateways know, or anyone who reaches its ports reads and "
                + "writes everything: make a file (head -c 32 /dev/urandom | base64 > cluster.secret), copy it to each, and give --cluster-secret-file; "
                + "or --cluster-tls-cert, -key and -ca. --allow-insecure-cluster starts without.") { IsUsage = true };
        }
    }

    /// <summary>A name stands for another machine, unless it is this one's own.</summary>
    private static IPAddress AddressOf(EndPoint join) =>
        join is IPEndPoint point ? point.Address : ((DnsEndPoint)join).Host == "localhost" ? IPAddress.Loopback : IPAddress.None;

    /// <summary>What the names to join stand for now, and why some stand for nothing.</summary>
    private async Task<List<string>> ResolveJoinAsync(CancellationToken cancellationToken)
    {
        List<IPEndPoint> resolved = [];
        List<string> failures = [];
        foreach (EndPoint join in _options.Join)
        {
            if (join is IPEndPoint point)
            {
                resolved.Add(point);
                continue;
            }

            DnsEndPoint name = (DnsEndPoint)join;
            try
            {
                IPAddress[] addresses = await SeedConnections.ResolveAsync(name.Host, cancellationToken);
                resolved.AddRange(addresses.Where(address => address.AddressFamily == addresses[0].AddressFamily)
                    .Select(address => new IPEndPoint(address, name.Port)));
            }
            catch (HandshakeException exception)
            {
                failures.Add($"{name.Host}:{name.Port}: {exception.Message}");
            }
        }

        _resolved = resolved;
        return failures;
    }

    /// <summary>
    /// Waits until a member of the cluster answers at an address to join. If those that answer are none of this cluster, the wait ends at once.
    /// </summary>
    private async Task FindMemberAsync(CancellationToken cancellationToken)
    {
        long started = _time.GetTimestamp();
        while (true)
        {
            List<string> unresolved = await ResolveJoinAsync(cancellationToken);
            (IPEndPoint Reached, HandshakeException? Failure)[] answers = await Task.WhenAll(_resolved.Select(AskAsync));
            _answering = [.. answers.Where(answer => answer.Failure is null).Select(answer => answer.Reached)];
            if (_answering.Count > 0)
                return;
            string where = JoinText();
            if (Array.Find(answers, answer => answer.Failure is { MayRetry: false }) is { Failure: { } refusal } refused)
                throw new ClusterStartException($"Cannot join the cluster at {where}: what listens at {refused.Reached} {refusal.Message}.");
            if (_time.GetElapsedTime(started) >= _options.StartTimeout)
            {
                string reasons = string.Join("; ", answers.Select(answer => $"{answer.Reached}: {answer.Failure!.Message}").Concat(unresolved));
                throw new ClusterStartException($"Nothing to join at {where}: {reasons} (tried for {_options.StartTimeout.TotalSeconds:0} s; a silo lets "
                    + "gateways in with --allow-gateways).");
            }

            await Task.Delay(TimeSpan.FromMilliseconds(200), _time, cancellationToken);
        }

        async Task<(IPEndPoint Reached, HandshakeException? Failure)> AskAsync(IPEndPoint join)
        {
            IPEndPoint reached = new(join.Address, GatewayPort(join.Port));
            HandshakeException? failure = await AskMemberAsync(reached, cancellationToken);
            if (failure is not { MayRetry: true })
                return (reached, failure);
            HandshakeException? ofSilo = await AskMemberAsync(join, cancellationToken);
            return ofSilo is null ? (join, new HandshakeException("lets no gateways in: start that silo with --allow-gateways"))
                : ofSilo.MayRetry ? (reached, failure) : (join, ofSilo);
        }
    }

    private string JoinText() => string.Join(", ", _options.Join.Select(join => join is DnsEndPoint name ? $"{name.Host}:{name.Port}" : join.ToString()));

    /// <summary>Null if a member of the cluster listens there. What is slow to answer may be a memcached port, which people name by mistake.</summary>
    private async Task<HandshakeException?> AskMemberAsync(IPEndPoint endPoint, CancellationToken cancellationToken)
    {
        Task answer = _probe.AskAsync(endPoint, cancellationToken);
        bool isSlow = await Task.WhenAny(answer, Task.Delay(SlowAnswer, _time, cancellationToken)) != answer;
        if (isSlow && await ClusterProbe.IsMemcachedAsync(endPoint, cancellationToken))
        {
            _ = answer.ContinueWith(static task => task.Exception, CancellationToken.None, TaskContinuationOptions.OnlyOnFaulted, TaskScheduler.Default);
            return new HandshakeException(ClientPort);
        }

        try
        {
            await answer;
            return null;
        }
        catch (HandshakeException exception)
        {
            return exception.IsStranger && await ClusterProbe.IsMemcachedAsync(endPoint, cancellationToken) ? new HandshakeException(ClientPort) : exception;
        }
    }

    private static async Task StartHostAsync(IHost host, CancellationToken cancellationToken)
    {
        try
        {
            await Task.Run(() => host.StartAsync(cancellationToken), cancellationToken);
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
        while (true)
        {
            NodeState state = runtime.ReadState();
            if (state.ForeignPartitionCount != 0)
            {
                throw new ClusterStartException(
                    $"The cluster has {state.ForeignPartitionCount} partitions, this silo was started with {_options.PartitionCount}: the number "
                        + $"(--partitions) must be the same.");
            }

            if (state.ForeignFormat != 0)
            {
                throw new ClusterStartException(
                    $"The cluster runs another version of OrleansCache: its coordinator's messages are of wire version {state.ForeignFormat}, "
                        + $"this one reads {WireVersion.Oldest} to {WireVersion.Newest}. Upgrade by way of a version that reads both.");
            }

            if (state.ForeignReplicas is { } replicas)
            {
                throw new ClusterStartException(
                    $"The cluster keeps {replicas} replica{(replicas == 1 ? "" : "s")} of each partition, this silo was started with {_options.Replicas}: "
                        + "the number (--replicas) must be the same.");
            }

            if (runtime.Current.AssignedCount == runtime.Current.PartitionCount)
                return;
            await Task.Delay(PollInterval, _time, cancellationToken);
        }
    }
}
