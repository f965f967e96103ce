using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using OrleansCache.Grains.Hosting.Security;
using OrleansCache.Ownership;

namespace OrleansCache.Grains.Hosting;

// The start: what Orleans would report late, or with many words, is tried before it starts; every wait is bounded.
public sealed partial class ClusterNode
{
    /// <summary>A first silo depends on nobody: only on how busy its machine is.</summary>
    private static readonly TimeSpan FoundingTimeout = TimeSpan.FromSeconds(60);

    private const string ClientPort = "is a port for memcached clients: --join wants the silo port (--silo-port) of that process";

    /// <summary>A member answers within milliseconds, unless its machine is busy.</summary>
    private static readonly TimeSpan SlowAnswer = TimeSpan.FromSeconds(2);

    /// <summary>Also one that is told to join itself, so that all silos can be started with the same options.</summary>
    private bool IsFirstSilo => !_options.GatewayOnly && _options.ClusteringName is null
        && (_options.Join.Count == 0 || _options.Join[0].Equals(new IPEndPoint(Advertised(), _options.SiloEndPoint.Port)));

    /// <summary>
    /// Joins the cluster, or founds it, and returns when every partition has an owner and the seed of the key hash is known. Throws
    /// <see cref="ClusterStartException"/> with a message for the operator.
    /// </summary>
    public async Task StartAsync(CancellationToken cancellationToken)
    {
        using CancellationTokenSource limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        TimeSpan timeout = IsFirstSilo ? FoundingTimeout : _options.JoinTimeout;
        if (PartitionSet?.Kept is not null)
            timeout += TimeSpan.FromMilliseconds(Coordinator.GatherMilliseconds);
        limit.CancelAfter(timeout);
        try
        {
            await CheckSurroundingsAsync(limit.Token);
            _host = BuildHost();
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
                WatchFirstSilo(_host.Services);
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

    private async Task PassOnFailureAsync(Task<string> failure) => _failure.TrySetResult(new ClusterFailure(await failure, IsEvicted: false));

    private string WhatIsJoined() =>
        _options.ClusteringName is not null ? $"The cluster {_options.ClusterId} of the membership store"
        : _options.Join.Count > 0 ? $"The cluster {_options.ClusterId} at {string.Join(", ", _options.Join)}"
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
        else if (_options.Join.Count == 0 && _options.GatewayOnly)
        {
            throw new ClusterStartException("A gateway alone needs a silo to join (--join), or a membership store (--clustering).");
        }

        if (!_options.GatewayOnly)
        {
            _ports.Add(PortClaim.Take(_options.SiloEndPoint, "The silo"));
            if (_options.AllowGateways)
            {
                IPEndPoint gateways = new(_options.SiloEndPoint.Address, GatewayPort(_options.SiloEndPoint.Port));
                _ports.Add(PortClaim.Take(gateways, "The silo's port for gateways"));
            }
        }

        if (IsFirstSilo)
            await CheckIsFirstAsync(cancellationToken);
        else if (_options.Join.Count > 0)
            await FindMemberAsync(cancellationToken);
    }

    private void CheckIsAuthenticated()
    {
        if (!_options.Secret.IsEmpty || _options.Tls is not null || _options.AllowInsecure)
            return;
        IEnumerable<IPAddress> addresses = _options.GatewayOnly ? _options.Join.Select(join => join.Address) : [Advertised(), _options.SiloEndPoint.Address];
        if (addresses.FirstOrDefault(address => !IPAddress.IsLoopback(address)) is { } reached)
        {
            throw new ClusterStartException(
                $"A cluster beyond this machine ({reached}) needs a secret that all its silos and gateways know, or anyone who reaches its ports reads and "
                + "writes everything: make a file (head -c 32 /dev/urandom | base64 > cluster.secret), copy it to each, and give --cluster-secret-file; "
                + "or --cluster-tls-cert, -key and -ca. --allow-insecure-cluster starts without.") { IsUsage = true };
        }
    }

    /// <summary>A first silo that comes back while members of its former cluster live would found a second cluster beside it.</summary>
    private async Task CheckIsFirstAsync(CancellationToken cancellationToken)
    {
        using Socket listener = PortClaim.Listen(_options.SiloEndPoint);
        if (await _probe.HearsMembersAsync(listener, _options.FoundingWait, cancellationToken))
            throw new ClusterStartException(OtherClusterLives());
    }

    private string OtherClusterLives() =>
        $"The cluster {_options.ClusterId} whose first silo was at {_options.SiloEndPoint} lives without it, and its membership ended with that silo, "
        + "so nobody can join it: stop its other silos first, then start this one (or keep the membership in PostgreSQL, so that no silo is special).";

    /// <summary>
    /// Waits until a member of the cluster answers at an address to join. If those that answer are none of this cluster, the wait ends at once.
    /// </summary>
    private async Task FindMemberAsync(CancellationToken cancellationToken)
    {
        long started = _time.GetTimestamp();
        while (true)
        {
            (IPEndPoint Reached, HandshakeException? Failure)[] answers = await Task.WhenAll(
                _options.Join.Select(AskAsync));
            _answering = [.. answers.Where(answer => answer.Failure is null).Select(answer => answer.Reached)];
            if (_answering.Count > 0)
                return;
            string where = string.Join(", ", _options.Join);
            if (Array.Find(answers, answer => answer.Failure is { MayRetry: false }) is { Failure: { } refusal } refused)
                throw new ClusterStartException($"Cannot join the cluster at {where}: what listens at {refused.Reached} {refusal.Message}.");
            if (_time.GetElapsedTime(started) >= _options.StartTimeout)
            {
                string reasons = string.Join("; ", answers.Select(answer => $"{answer.Reached}: {answer.Failure!.Message}"));
                string hint = _options.GatewayOnly ? "; a silo lets gateways in with --allow-gateways" : "";
                throw new ClusterStartException($"Nothing to join at {where}: {reasons} (tried for {_options.StartTimeout.TotalSeconds:0} s{hint}).");
            }

            await Task.Delay(TimeSpan.FromMilliseconds(200), _time, cancellationToken);
        }

        async Task<(IPEndPoint Reached, HandshakeException? Failure)> AskAsync(IPEndPoint join)
        {
            if (!_options.GatewayOnly)
                return (join, await AskMemberAsync(join, cancellationToken));
            IPEndPoint reached = new(join.Address, GatewayPort(join.Port));
            HandshakeException? failure = await AskMemberAsync(reached, cancellationToken);
            if (failure is not { MayRetry: true })
                return (reached, failure);
            HandshakeException? ofSilo = await AskMemberAsync(join, cancellationToken);
            return ofSilo is null ? (join, new HandshakeException("lets no gateways in: start that silo with --allow-gateways"))
                : ofSilo.MayRetry ? (reached, failure) : (join, ofSilo);
        }
    }

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

            if (runtime.Current.AssignedCount == runtime.Current.PartitionCount)
                return;
            await Task.Delay(PollInterval, _time, cancellationToken);
        }
    }

    /// <summary>From now on this silo is a member, and says so to a process that comes up at the first silo's address.</summary>
    private void WatchFirstSilo(IServiceProvider services)
    {
        if (_options.ClusteringName is not null || IsFirstSilo)
            return;
        ClusterMembershipSnapshot members = services.GetRequiredService<IClusterMembershipService>().CurrentSnapshot;
        SiloAddress? first = members.Members.Values
            .FirstOrDefault(member => member.Status == SiloStatus.Active && member.SiloAddress.Endpoint.Equals(_options.Join[0]))?.SiloAddress;
        if (first is not null)
            _firstSiloWatch = new FirstSiloWatch(_probe, _options.Join[0], first.Generation);
    }
}
