using System.Net.Sockets;
using Microsoft.Extensions.Logging;
using OrleansCache.Grains.Hosting.Security;
using OrleansCache.Membership;

namespace OrleansCache.Grains.Hosting.Seeds;

// While the silo runs, and when it leaves.
internal sealed partial class SeedNode
{
    private static readonly TimeSpan KeepInterval = TimeSpan.FromSeconds(1);

    private const int ChangesPerTickMax = 4;

    /// <summary>Former seeds that are knocked at, the newest ones.</summary>
    private const int KnockedFormerMax = 4;

    private int _otherFounding;
    private volatile bool _isUnavailable;

    /// <summary>A majority of the seeds did not answer when the table was read last.</summary>
    public bool IsUnavailable => _isUnavailable;

    /// <summary>The silo is active: from now on it keeps the seeds as they should be, if it is the oldest, and knocks where some are missing.</summary>
    public void BeginKeeping()
    {
        using AsyncFlowControl flow = ExecutionContext.SuppressFlow();
        _loops = Task.WhenAll(Task.Run(KnockLoopAsync), Task.Run(KeepLoopAsync));
    }

    /// <summary>
    /// The silo has handed everything over and goes for good: hands its vote to another silo's seed, or gives it up if others have one. The last silo takes
    /// the cluster with it. True: nobody counts on this seed any more, and its file goes with it.
    /// </summary>
    public async Task<bool> LeaveAsync(CancellationToken cancellationToken)
    {
        try
        {
            // Until Orleans has it leave it counts as active: whoever looks after the seeds, this silo included, would give it the vote back.
            string self = Greeting().Silo;
            await Table.ChangeAsync(content => content.WithdrawSeed(SiloAddress.FromParsableString(self)), cancellationToken);
            while (true)
            {
                MembershipTableData table = await Table.ReadAll().WaitAsync(cancellationToken);
                RegisterSnapshot snapshot = Table.Newest!;
                SeedCandidate[] others = [.. Active(Table.NewestContent!).Where(silo => silo.Seed != Self)];
                if (!snapshot.Seeds.Contains(Self.Identity) && snapshot.FormerSeeds?.Contains(Self.Identity) != true)
                    return _hasLeft = true;
                SeedChange? change = SeedPolicy.OnLeaving(Self, snapshot.Seeds, others, Table.NewestContent!.Barred);
                if (change is null)
                    return _hasLeft = !table.Members.Any(row => row.Item1.Status == SiloStatus.Active && row.Item1.SiloAddress.ToParsableString() != self);

                await ChangeAsync(snapshot, change.Value, cancellationToken);
            }
        }
        catch (Exception exception) when (exception is RegisterUnavailableException or OperationCanceledException or ArgumentException)
        {
            // The others are gone, too, or go at the same time: it stays a seed, and they wait for it.
            return false;
        }
    }

    /// <summary>Ends without a word, as if the process were killed.</summary>
    public ValueTask AbortAsync() => DisposeAsync();

    /// <summary>Changes the set; false if somebody else has changed the register meanwhile.</summary>
    internal async Task<bool> ChangeAsync(RegisterSnapshot snapshot, SeedChange change, CancellationToken cancellationToken)
    {
        WriteResult result = await Register.TryChangeSeedsAsync(snapshot.Version, change, cancellationToken);
        if (!result.Written)
            return false;
        string seeds = string.Join(", ", result.Current.Seeds.Select(seed => SiloPlace(seed.Address)));
        LogSeeds(_logger, seeds);
        SeedAddress[] removed = [.. snapshot.Seeds.Where(seed => !result.Current.Seeds.Any(now => now.Address == seed.Address)).Select(seed => seed.Address)];
        if (removed.Length > 0)
        {
            await Table.ChangeAsync(
                content => removed.Aggregate(false, (changed, address) => content.NoteFormerSeed(address.ToString()) | changed), cancellationToken);
        }

        return true;
    }

    internal static SeedCandidate[] Active(MembershipContent content) =>
    [
        .. content.Rows.Where(row => row.Entry.Status == SiloStatus.Active)
            .Select(row => new SeedCandidate(SeedText.Parse(row.Seed) ?? default, row.Entry.SiloAddress.Generation)),
    ];

    private void OnTableRead(Exception? failure)
    {
        if (failure is null)
        {
            if (_isUnavailable)
                LogAvailable(_logger);
            _isUnavailable = false;
            OnSnapshot(Table.Newest!);
        }
        else if (failure is RegisterUnavailableException && !_isUnavailable && Greeting().Silo.Length > 0)
        {
            _isUnavailable = true;
            LogUnavailable(_logger, failure.Message);
        }
    }

    private void OnSnapshot(RegisterSnapshot snapshot)
    {
        lock (_lock)
        {
            if (snapshot.Version < _greeting.Version || (snapshot.Version == _greeting.Version && _greeting.Version > 0))
                return;
            _greeting = _greeting with { Version = snapshot.Version, Seeds = [.. snapshot.Seeds.Select(SeedText.Format)], WaitsFor = "" };
        }

        _directory.WriteKnown(snapshot.Seeds.Select(seed => seed.Address));
    }

    private async Task KeepLoopAsync()
    {
        SeedPolicy policy = new(_options.Target);
        using PeriodicTimer timer = new(KeepInterval, _time);
        try
        {
            while (await timer.WaitForNextTickAsync(_stop.Token).ConfigureAwait(false))
            {
                if (!IsOldest())
                {
                    policy = new SeedPolicy(_options.Target);
                    continue;
                }

                try
                {
                    // One change after the other without a pause: a set of two, on the way from one to three, bears no loss.
                    for (int changes = 0; changes < ChangesPerTickMax && await KeepAsync(policy); changes++)
                    {
                    }
                }
                catch (Exception exception) when (exception is RegisterUnavailableException or ArgumentException or InvalidDataException)
                {
                    LogNotChanged(_logger, exception.Message);
                }
            }
        }
        catch (OperationCanceledException)
        {
        }
    }

    /// <summary>Makes the change that is due; false if none is, or if somebody else has changed the register.</summary>
    private async Task<bool> KeepAsync(SeedPolicy policy)
    {
        // Orleans reads every other second. While seeds are missing, a silo that could be one should not wait for that.
        if (Table.Newest!.Seeds.Count < _options.Target || Table.Newest.FormerSeeds is not null)
            await Table.ReadAll().WaitAsync(_stop.Token);
        RegisterSnapshot snapshot = Table.Newest;
        MembershipContent content = Table.NewestContent!;
        return policy.Next(snapshot.Seeds, Active(content), content.Barred, _time.GetElapsedTime(0)) is { } change
            && await ChangeAsync(snapshot, change, _stop.Token);
    }

    /// <summary>One silo looks after the seeds: the one that has been active for longest.</summary>
    private bool IsOldest()
    {
        SiloAddress? oldest = null;
        foreach (SiloRow row in Table.NewestContent!.Rows)
        {
            SiloAddress silo = row.Entry.SiloAddress;
            if (row.Entry.Status == SiloStatus.Active
                && (oldest is null || silo.Generation < oldest.Generation || (silo.Generation == oldest.Generation && silo.CompareTo(oldest) < 0)))
            {
                oldest = silo;
            }
        }

        return oldest?.ToParsableString() == Greeting().Silo;
    }

    private async Task KnockLoopAsync()
    {
        Dictionary<SeedAddress, Task> underWay = [];
        using PeriodicTimer timer = new(KnockInterval, _time);
        try
        {
            while (await timer.WaitForNextTickAsync(_stop.Token).ConfigureAwait(false))
            {
                bool isWhole = true;
                foreach (SeedAddress place in Places())
                {
                    bool isConnected = _connections.IsConnected(place);
                    isWhole &= isConnected;
                    if (isConnected || (underWay.TryGetValue(place, out Task? task) && !task.IsCompleted))
                        continue;
                    underWay[place] = KnockAsync(place);
                }

                // A silo that has nothing to do should cost next to nothing.
                timer.Period = isWhole ? KnockIntervalWhenWhole : KnockInterval;
            }
        }
        catch (OperationCanceledException)
        {
        }

        await Task.WhenAll(underWay.Values);
    }

    /// <summary>Where a silo of this cluster should be found.</summary>
    private IEnumerable<SeedAddress> Places()
    {
        IEnumerable<SeedAddress> places = (Table.Newest?.Seeds ?? Enumerable.Empty<SeedId>()).Select(seed => seed.Address).Concat(_options.Join);
        if (IsOldest())
        {
            places = places.Concat(
                Table.NewestContent!.FormerSeeds.TakeLast(KnockedFormerMax)
                    .Select(text => SeedAddress.TryParse(text, out SeedAddress address) ? address : _options.Address));
        }

        return places.Where(place => place != _options.Address).Distinct();
    }

    private async Task KnockAsync(SeedAddress place)
    {
        using CancellationTokenSource limit = CancellationTokenSource.CreateLinkedTokenSource(_stop.Token);
        limit.CancelAfter(GreetTimeout);
        try
        {
            await _connections.GreetAsync(place, limit.Token);
        }
        catch (Exception exception)
            when (exception is HandshakeException or IOException or SocketException or OperationCanceledException or ObjectDisposedException)
        {
            // Nobody there, or no more; the next knock tells.
        }
    }

    /// <summary>One that this silo has asked says what it is.</summary>
    private void OnGreeted(SeedGreeting theirs)
    {
        SeedGreeting mine = Greeting();
        if (mine.Phase == SeedPhase.Member && theirs.Phase == SeedPhase.Member && theirs.Own != mine.Own)
            OnOtherFounding(mine, theirs);
    }

    /// <summary>Two members have met. Of two clusters the younger one gives way, if it was founded here, just now, beside the other.</summary>
    private void OnOtherFounding(SeedGreeting mine, SeedGreeting theirs)
    {
        if (mine.Founding == theirs.Founding || mine.Founding == default || theirs.Founding == default)
            return;
        bool isYounger = mine.Version < theirs.Version || (mine.Version == theirs.Version && string.CompareOrdinal(theirs.Own, mine.Own) < 0);
        string other = string.Join(", ", theirs.Seeds.Select(SeedText.Parse).OfType<SeedId>().Select(seed => SiloPlace(seed.Address)));
        if (Interlocked.Exchange(ref _otherFounding, 1) == 0)
            LogOtherFounding(_logger, other);
        if (!_founded || !isYounger || _stop.IsCancellationRequested)
            return;
        if (mine.Seeds.Count == 1)
            _hasLeft = true;
        OtherClusterFound?.Invoke(
            $"A cluster {_options.ClusterId} lives, whose seeds are {other}, and this silo did not find it when it started and founded a second one: start it "
            + "again, and it joins.");
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "The membership is kept at {Seeds} now")]
    private static partial void LogSeeds(ILogger logger, string seeds);

    [LoggerMessage(Level = LogLevel.Debug, Message = "The seeds could not be changed: {Reason}")]
    private static partial void LogNotChanged(ILogger logger, string reason);

    [LoggerMessage(
        Level = LogLevel.Warning,
        Message = "The membership cannot be read: {Reason}. Nobody can join, and no loss is noticed, until more seeds answer")]
    private static partial void LogUnavailable(ILogger logger, string reason);

    [LoggerMessage(Level = LogLevel.Information, Message = "The membership can be read again")]
    private static partial void LogAvailable(ILogger logger);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Another cluster of the same id lives, with the seeds {Seeds}")]
    private static partial void LogOtherFounding(ILogger logger, string seeds);
}
