using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Logging;
using OrleansCache.Grains.Hosting.Security;
using OrleansCache.Membership;

namespace OrleansCache.Grains.Hosting.Seeds;

// The start: exactly one cluster results, whoever starts when.
internal sealed partial class SeedNode
{
    private static readonly TimeSpan AskInterval = TimeSpan.FromMilliseconds(100);

    /// <summary>A silo that does not answer, and whose time of life does not move, is dead: when nobody is left who could say so by Orleans's rules.</summary>
    private static readonly TimeSpan SilenceOfDead = TimeSpan.FromSeconds(6);

    private readonly TaskCompletionSource<SeedGreeting> _heard = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private bool _founded;
    private string _told = "";

    /// <summary>
    /// Opens the port and returns when the register answers: of the cluster that lives, or goes on, or has been founded here. A seed with a vote in its file
    /// waits for a majority for as long as it takes, and says for whom. Throws <see cref="ClusterStartException"/>.
    /// </summary>
    public async Task StartAsync(CancellationToken cancellationToken)
    {
        SeedStatus status = _server.Status;
        Guid? founding = null;
        if (status.ClusterId.Length > 0)
        {
            founding = FoundingOf(status.ClusterId) ?? throw new ClusterStartException(
                $"{_directory.SeedPath} belongs to the cluster {status.ClusterId[..Math.Max(0, status.ClusterId.Length - 33)]}, and --cluster-id says "
                + $"{_options.ClusterId}: name another --data-dir, or remove the file if that cluster is no more.");
        }

        _connections.Local = (_options.Address, request => _server.AnswerAsync(request));
        _listener = new SeedListener(_options.Listen, _probe, OnGreeting, request => _server.AnswerAsync(request), _logger);
        SeedId[] set = [.. (status.Seeds ?? Enumerable.Empty<SeedId>()).Concat(status.FormerSeeds ?? Enumerable.Empty<SeedId>())];
        bool votes = founding is not null && Array.Exists(set, seed => seed.Identity == Self.Identity);
        bool isAlone = votes && set.Length == 1;
        if (votes && (!isAlone || _options.Join.Count == 0))
            await EnterAsync(founding!.Value, [.. set.Select(seed => seed.Address)], votes: true, cancellationToken);
        else
            await DecideAsync(isAlone ? founding : null, [.. _directory.ReadKnown().Concat(set.Select(seed => seed.Address))], cancellationToken);
        await DeclareDeadAsync(cancellationToken);
    }

    /// <summary>
    /// Nobody has told this silo which cluster it is in. <paramref name="own"/>: it is the only seed of this one, and has been told to join others.
    /// </summary>
    /// <param name="hints">Where seeds of this silo's cluster were when it was in one last.</param>
    private async Task DecideAsync(Guid? own, SeedAddress[] hints, CancellationToken cancellationToken)
    {
        TimeSpan waited = TimeSpan.Zero;
        using CancellationTokenSource limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        if (own is null)
            limit.CancelAfter(_options.JoinTimeout);
        List<Peer> peers = [];
        try
        {
            while (true)
            {
                long looked = _time.GetTimestamp();
                peers = await AskAllAsync(hints, limit.Token);
                if (FindCluster(peers) is { } cluster)
                {
                    await JoinAsync(cluster, cancellationToken);
                    return;
                }

                RefuseIfHopeless(peers);
                bool mayFound = own is not null || peers.Find(peer => peer.IsGiven) is not { IsSelf: false };
                bool isKnockedAt = _listener!.PendingCount > 0 && waited < _options.FoundingWaitMax;
                if (mayFound && !isKnockedAt && peers.TrueForAll(peer => peer.IsSettled(waited, _options)) && waited >= _options.FoundingWait)
                {
                    if (await TryFoundAsync(hints, own, limit.Token))
                    {
                        await EnterAsync(own ?? FoundingOf(_server.Status.ClusterId)!.Value, [_options.Address], votes: true, cancellationToken);
                        return;
                    }
                }
                else if (!mayFound && waited > TimeSpan.FromSeconds(1))
                    Tell(WaitsFor(peers));

                await Task.WhenAny(_heard.Task, Task.Delay(AskInterval, _time, limit.Token));
                limit.Token.ThrowIfCancellationRequested();

                // On a machine so busy that this runs late, the others' knocks come late, too: then a round counts for as much as it should have taken.
                TimeSpan round = _time.GetElapsedTime(looked);
                waited += round < 2 * AskInterval || peers.Exists(peer => peer.Failure is { IsRefused: false }) ? round : 2 * AskInterval;
            }
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            string reasons = string.Join("; ", peers.Where(peer => !peer.IsSelf)
                .Select(peer => $"{SiloPlace(peer.Address)}: {peer.Failure?.Message ?? Said(peer.Greeting!)}"));
            throw new ClusterStartException($"Nothing to join at {string.Join(", ", _options.Join.Select(SiloPlace))}: {reasons} "
                + $"(tried for {_options.JoinTimeout.TotalSeconds:0} s).");
        }
    }

    /// <summary>
    /// Two that are about to found each have said so before they ask the other one last time: so at least one of them hears the other, and the one with the
    /// higher address gives way. True if the cluster is this silo's now.
    /// </summary>
    private async Task<bool> TryFoundAsync(SeedAddress[] hints, Guid? own, CancellationToken cancellationToken)
    {
        SetPhase(SeedPhase.Founding);
        while (true)
        {
            List<Peer> peers = await AskAllAsync(hints, cancellationToken);
            List<SeedGreeting> rivals = [.. peers.Where(peer => !peer.IsSelf && peer.Greeting?.Phase == SeedPhase.Founding).Select(peer => peer.Greeting!)];
            if (FindCluster(peers) is not null || rivals.Exists(rival => string.CompareOrdinal(rival.Own, SeedText.Format(Self)) < 0))
            {
                SetPhase(SeedPhase.Fresh);
                return false;
            }

            if (rivals.Count == 0)
            {
                if (own is not null)
                    return true;
                if (_server.Status.ClusterId.Length > 0)
                    BeginAnew();
                _founded = await _server.TryFoundAsync(_options.Address, RegisterId(Guid.NewGuid()));
                return true;
            }

            // A rival that had asked before this one spoke up goes on; otherwise it gives way. Either is known in a moment.
            await Task.Delay(AskInterval, _time, cancellationToken);
        }
    }

    /// <summary>Another seed, which has promised nothing.</summary>
    private void BeginAnew()
    {
        SeedServer former = _server;
        _directory.BeginAnew();
        _server = new SeedServer(_directory.Store, _time, TellDisk);
        former.Dispose();
        lock (_lock)
        {
            _greeting = _greeting with { Own = SeedText.Format(Self) };
        }
    }

    /// <summary>Takes part in a cluster that lives, as one who has no vote yet.</summary>
    private async Task JoinAsync(SeedGreeting cluster, CancellationToken cancellationToken)
    {
        // It may have been the only seed of a cluster that is no more: nobody counts on its promises.
        if (_server.Status.ClusterId is { Length: > 0 } former && former != RegisterId(cluster.Founding))
            BeginAnew();
        await EnterAsync(
            cluster.Founding, [.. cluster.Seeds.Select(SeedText.Parse).OfType<SeedId>().Select(seed => seed.Address)], votes: false, cancellationToken);
    }

    /// <summary>Waits until a majority of the seeds answers.</summary>
    private async Task EnterAsync(Guid founding, SeedAddress[] seeds, bool votes, CancellationToken cancellationToken)
    {
        lock (_lock)
        {
            _greeting = _greeting with
            {
                Phase = SeedPhase.Member, Founding = founding, Seeds = [.. (_server.Status.Seeds ?? Enumerable.Empty<SeedId>()).Select(SeedText.Format)],
            };
            if (_greeting.Seeds.Count == 0)
                _greeting = _greeting with { Seeds = [.. seeds.Select(seed => $"{seed}/{Guid.Empty:N}")] };
        }

        // A seed with a vote that has moved does not stand in its own set under its new address.
        IEnumerable<SeedAddress> own = votes ? [_options.Address] : [];
        SeedAddress[] given = [.. own.Concat(seeds).Concat(_options.Join.Where(join => join != _options.Address)).Distinct()];
        _register = new RegisterClient(_connections, given, RegisterId(founding), new RegisterClientOptions(), _time, Random.Shared);
        Table = new SeedMembershipTable(_register, Self) { Read = OnTableRead };
        long started = _time.GetTimestamp();
        while (true)
        {
            try
            {
                RegisterSnapshot snapshot = await _register.ReadAsync(cancellationToken);
                OnSnapshot(snapshot);
                DependsOnNobody = votes;
                return;
            }
            catch (RegisterUnavailableException exception)
            {
                await RefuseOtherFoundingAsync(founding, given, cancellationToken);
                if (!votes && _time.GetElapsedTime(started) >= _options.JoinTimeout)
                {
                    throw new ClusterStartException(
                        $"The cluster {_options.ClusterId} has no majority of its seeds, and nobody can join it: {exception.Message}", exception);
                }

                string file = _directory.SeedPath is { } path && votes ? $" (that they are its seeds stands in {path})" : "";
                Tell($"waits for a majority of the cluster's seeds{file}: {exception.Message}");
            }

            await Task.Delay(AskInterval, _time, cancellationToken);
        }
    }

    /// <summary>A seed of an earlier founding would wait for ever.</summary>
    private async Task RefuseOtherFoundingAsync(Guid founding, SeedAddress[] places, CancellationToken cancellationToken)
    {
        Peer[] peers = await Task.WhenAll(places.Where(place => place != _options.Address).Select(place => AskAsync(place, false, cancellationToken)));
        Peer? other = Array.Find(peers, peer => peer.Greeting is { Phase: SeedPhase.Member } theirs && theirs.Founding != founding);
        if (other is null || Array.Exists(peers, peer => peer.Greeting is { Phase: SeedPhase.Member } theirs && theirs.Founding == founding))
            return;
        throw new ClusterStartException(
            $"The cluster {_options.ClusterId} has been founded anew without this silo ({SiloPlace(other.Address)} is in it), and {_directory.SeedPath} "
            + "belongs to the former one, a majority of whose seeds does not answer: remove that file, and the silo joins.");
    }

    private SeedGreeting? FindCluster(List<Peer> peers)
    {
        SeedGreeting? newest = null;
        foreach (SeedGreeting? greeting in peers.Where(peer => !peer.IsSelf).Select(peer => peer.Greeting).Append(Heard))
        {
            if (greeting?.Phase == SeedPhase.Member && (newest is null || greeting.Version > newest.Version))
                newest = greeting;
        }

        return newest;
    }

    private SeedGreeting? Heard => _heard.Task.IsCompletedSuccessfully ? _heard.Task.Result : null;

    /// <summary>Somebody says what he is; a member of a cluster who comes by himself says that it lives.</summary>
    private SeedGreeting OnGreeting(SeedGreeting theirs)
    {
        SeedGreeting mine = Greeting();
        if (theirs.Phase != SeedPhase.Member || theirs.Own == mine.Own)
            return mine;
        if (mine.Phase != SeedPhase.Member)
            _heard.TrySetResult(theirs);
        else
            OnOtherFounding(mine, theirs);
        return mine;
    }

    private void SetPhase(SeedPhase phase)
    {
        lock (_lock)
        {
            _greeting = _greeting with { Phase = phase };
        }
    }

    private async Task<List<Peer>> AskAllAsync(SeedAddress[] hints, CancellationToken cancellationToken)
    {
        List<Task<Peer[]>> given = [.. _options.Join.Select(join => AskGivenAsync(join, cancellationToken))];
        IEnumerable<SeedAddress> known = hints.Except(_options.Join).Where(hint => hint != _options.Address);
        List<Task<Peer>> hinted = [.. known.Select(hint => AskAsync(hint, false, cancellationToken))];
        List<Peer> peers = [.. (await Task.WhenAll(given)).SelectMany(each => each)];
        return [.. peers, .. await Task.WhenAll(hinted)];
    }

    /// <summary>A name with several addresses is several silos.</summary>
    private async Task<Peer[]> AskGivenAsync(SeedAddress join, CancellationToken cancellationToken)
    {
        if (join == _options.Address)
            return [new Peer(join, true, true, null, null)];
        try
        {
            IPAddress[] addresses = await SeedConnections.ResolveAsync(join.Host, cancellationToken).WaitAsync(GreetTimeout, _time, cancellationToken);
            if (addresses.Length > 1)
            {
                addresses = [.. addresses.Where(address => address.AddressFamily == addresses[0].AddressFamily)];
                return await Task.WhenAll(addresses.Select(address => AskAsync(ToSeed(address, join.Port), true, cancellationToken)));
            }

            if (_options.Advertised.Equals(new IPEndPoint(addresses[0], join.Port)))
                return [new Peer(join, true, true, null, null)];
        }
        catch (HandshakeException exception)
        {
            return [new Peer(join, true, false, null, exception)];
        }
        catch (TimeoutException)
        {
            return [new Peer(join, true, false, null, new HandshakeException("the name has no address yet", mayRetry: true) { IsUnresolved = true })];
        }

        return [await AskAsync(join, true, cancellationToken)];
    }

    private async Task<Peer> AskAsync(SeedAddress place, bool isGiven, CancellationToken cancellationToken)
    {
        using CancellationTokenSource limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(GreetTimeout);
        try
        {
            SeedGreeting theirs = await _connections.GreetAsync(place, limit.Token);
            return new Peer(place, isGiven, theirs.Own == Greeting().Own, theirs, null);
        }
        catch (HandshakeException exception)
        {
            return new Peer(place, isGiven, false, null, isGiven ? await WhatListensAsync(place, exception, cancellationToken) : exception);
        }
        catch (Exception exception) when (exception is IOException or SocketException
            || (exception is OperationCanceledException && !cancellationToken.IsCancellationRequested))
        {
            string reason = exception is OperationCanceledException ? "does not answer" : exception.Message;
            HandshakeException failure = new(reason, mayRetry: true);
            return new Peer(place, isGiven, false, null, isGiven ? await WhatListensAsync(place, failure, cancellationToken) : failure);
        }
    }

    /// <summary>What people name by mistake is found at the silo port that they have named, where nobody answers at the seed port.</summary>
    private async Task<HandshakeException> WhatListensAsync(SeedAddress place, HandshakeException failure, CancellationToken cancellationToken)
    {
        if (!failure.MayRetry || failure.IsUnresolved || place.Port <= _options.PortOffset)
            return failure;
        using CancellationTokenSource limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(GreetTimeout);
        IPEndPoint? silo = null;
        try
        {
            IPAddress[] addresses = await SeedConnections.ResolveAsync(place.Host, limit.Token);
            silo = new IPEndPoint(addresses[0], place.Port - _options.PortOffset);
            await _probe.AskAsync(silo, limit.Token);
            return new HandshakeException("is a silo that keeps no membership: of an earlier version, or one with --clustering or another --seed-port",
                mayRetry: true);
        }
        catch (HandshakeException atSilo)
        {
            if (atSilo.IsStranger && await ClusterProbe.IsMemcachedAsync(silo!, cancellationToken))
                return new HandshakeException(ClusterNode.ClientPort);
            return atSilo.MayRetry ? failure : atSilo;
        }
        catch (Exception exception) when (exception is OperationCanceledException or IOException or SocketException)
        {
            cancellationToken.ThrowIfCancellationRequested();
            return silo is not null && await ClusterProbe.IsMemcachedAsync(silo, cancellationToken) ? new HandshakeException(ClusterNode.ClientPort) : failure;
        }
    }

    /// <summary>A place that can never be joined, and no other that may.</summary>
    private void RefuseIfHopeless(List<Peer> peers)
    {
        if (peers.Exists(peer => peer.Greeting is not null && !peer.IsSelf))
            return;
        if (peers.Find(peer => peer.IsGiven && peer.Failure is { MayRetry: false }) is { } refused)
        {
            throw new ClusterStartException(
                $"Cannot join the cluster at {string.Join(", ", _options.Join.Select(SiloPlace))}: what listens at {SiloPlace(refused.Address)} "
                + $"{refused.Failure!.Message}.");
        }
    }

    private string WaitsFor(List<Peer> peers)
    {
        Peer first = peers.Find(peer => peer.IsGiven)!;
        return $"waits for {SiloPlace(first.Address)}, the first of --join, which founds the cluster {_options.ClusterId}: "
            + $"{first.Failure?.Message ?? Said(first.Greeting!)}";
    }

    private static string Said(SeedGreeting greeting) => greeting.WaitsFor.Length > 0 ? greeting.WaitsFor
        : greeting.Phase == SeedPhase.Founding ? "it is about to found a cluster" : "it knows of no cluster either";

    /// <summary>Once for each change; whoever asks this silo is told the same.</summary>
    private void Tell(string line)
    {
        lock (_lock)
        {
            if (_told == line)
                return;
            _told = line;
            _greeting = _greeting with { WaitsFor = line.Length > 200 ? line[..200] : line };
        }

        LogWaiting(_logger, line);
    }

    /// <summary>The silo port, which is what the operator has named.</summary>
    private string SiloPlace(SeedAddress seed) => seed.Port > _options.PortOffset ? $"{seed.Host}:{seed.Port - _options.PortOffset}" : seed.ToString();

    private static SeedAddress ToSeed(IPAddress address, int port) =>
        new(address.AddressFamily == AddressFamily.InterNetworkV6 ? $"[{address}]" : address.ToString(), port);

    /// <summary>
    /// When all silos were down at once, their rows still say that they are active, and a silo that starts would wait for them in vain: those that declare
    /// others dead are dead themselves. So if not one of them shows life, this one says so of all. A former life of this very silo is dead in any case.
    /// </summary>
    private async Task DeclareDeadAsync(CancellationToken cancellationToken)
    {
        long started = _time.GetTimestamp();
        Dictionary<string, DateTime> firstAlive = [];
        while (true)
        {
            MembershipTableData table;
            try
            {
                table = await Table.ReadAll();
            }
            catch (RegisterUnavailableException exception)
            {
                Tell($"waits for a majority of the cluster's seeds: {exception.Message}");
                await Task.Delay(AskInterval, _time, cancellationToken);
                continue;
            }

            MembershipContent content = Table.NewestContent!;
            List<SiloRow> dead = [], doubtful = [];
            bool someoneLives = false;
            foreach ((MembershipEntry entry, _) in table.Members)
            {
                SiloRow row = content.Find(entry.SiloAddress) ?? new SiloRow(entry, 0, "");
                if (entry.Status == SiloStatus.Dead)
                    continue;
                string name = entry.SiloAddress.ToParsableString();
                if (IsFormerSelf(row))
                    dead.Add(row);
                else if (firstAlive.TryGetValue(name, out DateTime before) && entry.IAmAliveTime > before)
                    someoneLives = true;
                else
                {
                    firstAlive.TryAdd(name, entry.IAmAliveTime);
                    bool? lives = await LivesAsync(row, name, cancellationToken);
                    someoneLives |= lives == true;
                    (lives == false ? dead : doubtful).Add(row);
                }
            }

            if (someoneLives)
                dead.RemoveAll(row => !IsFormerSelf(row));
            else if (doubtful.Count > 0)
            {
                if (_time.GetElapsedTime(started) < SilenceOfDead)
                {
                    await Task.Delay(AskInterval, _time, cancellationToken);
                    continue;
                }

                dead.AddRange(doubtful);
            }

            if (dead.Count == 0 || await TryDeclareDeadAsync(dead, cancellationToken))
            {
                if (dead.Count > 0 && !someoneLives && dead.Exists(row => !IsFormerSelf(row)))
                    LogDeclaredDead(_logger, dead.Count);
                return;
            }

            if (_time.GetElapsedTime(started) > 2 * SilenceOfDead)
                return;
        }
    }

    /// <summary>False: look again.</summary>
    private async Task<bool> TryDeclareDeadAsync(List<SiloRow> dead, CancellationToken cancellationToken)
    {
        try
        {
            return await Table.ChangeAsync(
                current => current.DeclareDead(dead.Select(row => row.Entry.SiloAddress), _time.GetUtcNow()), cancellationToken);
        }
        catch (RegisterUnavailableException)
        {
            return false;
        }
    }

    /// <summary>This silo before it was started again, be it at another address of the same name.</summary>
    private bool IsFormerSelf(SiloRow row) =>
        (row.Entry.SiloAddress.Endpoint.Address.Equals(_options.Advertised.Address)
            && row.Entry.SiloAddress.Endpoint.Port + _options.PortOffset == _options.Advertised.Port)
        || (SeedText.Parse(row.Seed) is { } seed && (seed.Address == _options.Address || seed.Identity == Self.Identity));

    /// <summary>True: the silo of this row runs. False: its process is gone. Null: nothing can be said.</summary>
    private async Task<bool?> LivesAsync(SiloRow row, string name, CancellationToken cancellationToken)
    {
        if (SeedText.Parse(row.Seed) is not { } seed)
            return null;
        Peer peer = await AskAsync(seed.Address, false, cancellationToken);
        return peer.Greeting is { } greeting ? greeting.Silo == name : peer.Failure!.IsRefused ? false : null;
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "{Line}")]
    private static partial void LogWaiting(ILogger logger, string line);

    [LoggerMessage(Level = LogLevel.Information, Message = "The cluster was down as a whole: {Count} silos of its former life are declared dead")]
    private static partial void LogDeclaredDead(ILogger logger, int count);

    /// <summary>A place that was asked.</summary>
    /// <param name="IsGiven">By --join, not by what was known before.</param>
    private sealed record Peer(SeedAddress Address, bool IsGiven, bool IsSelf, SeedGreeting? Greeting, HandshakeException? Failure)
    {
        /// <summary>
        /// Nothing more is to be expected from here that could speak against founding a cluster: it knows of none itself, or nobody is there, or it has had its
        /// time.
        /// </summary>
        public bool IsSettled(TimeSpan waited, SeedNodeOptions options) =>
            IsSelf || Greeting is not null || waited >= options.FoundingWaitMax || (Failure!.IsRefused && (IsGiven || options.Join.Count == 0));
    }
}
