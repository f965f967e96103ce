using System.Globalization;

namespace OrleansCache.Chaos;

/// <summary>Carries faults out one after the other, each on a whole cluster, and measures what the clients notice of it.</summary>
internal sealed partial class Injector(
    ChaosOptions options, Fleet fleet, TestNetwork? network, IReadOnlyList<KeyClient> clients, ConstantItems constants, Findings findings)
{
    private static readonly TimeSpan s_wholeMax = TimeSpan.FromSeconds(120);
    private static readonly TimeSpan s_leaveMax = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan s_pollPause = TimeSpan.FromMilliseconds(20);

    private readonly Random _random = new(options.Seed ^ 0x0fa1);
    private readonly List<FaultResult> _results = [];
    private Dictionary<string, int> _owners = [];
    private (long Refusals, long Cuts, long Misses, long Old, long RefusalsApart, long CutsApart) _window;

    public IReadOnlyList<FaultResult> Results => _results;

    public bool IsPossible(FaultKind kind) => kind switch
    {
        // A membership on three silos does not outlive two of them.
        FaultKind.KillTwo => options.Replicas >= 2 && options.Silos >= 3 && options.Membership == Membership.Postgres,
        FaultKind.Kill or FaultKind.KillOldest or FaultKind.FreezeLong => options.Silos >= 3 || options.Membership == Membership.Postgres,
        FaultKind.Cut or FaultKind.CutOldest or FaultKind.OneWay or FaultKind.Split or FaultKind.Slow => network is not null && options.Silos >= 3,
        _ => true,
    };

    public async Task RunOneAsync(FaultKind kind, CancellationToken cancellation)
    {
        await Task.Delay(_random.Next(200, 1500), cancellation);
        switch (kind)
        {
            case FaultKind.Kill:
                await KillAsync(kind, [AnyVictim()], cancellation);
                break;
            case FaultKind.KillOldest:
                await KillAsync(kind, [fleet.Silos[0]], cancellation);
                break;
            case FaultKind.KillTwo:
                Silo[] two = [.. fleet.Silos];
                _random.Shuffle(two);
                await KillAsync(kind, two[..2], cancellation);
                break;
            case FaultKind.Freeze:
                await FreezeAsync(kind, TimeSpan.FromMilliseconds(_random.Next(100, 1200)), cancellation);
                break;
            case FaultKind.FreezeLong:
                await FreezeAsync(kind, TimeSpan.FromMilliseconds(_random.Next(6000, 12_000)), cancellation);
                break;
            case FaultKind.Restart:
                await RestartAsync(kind, [AnyVictim()], cancellation);
                break;
            case FaultKind.Rolling:
                await RestartAsync(kind, [.. fleet.Silos], cancellation);
                break;
            case FaultKind.Join:
                await JoinAsync(cancellation);
                break;
            default:
                await InjureLinksAsync(kind, cancellation);
                break;
        }

        await constants.CheckAllAsync(cancellation);
    }

    private Silo AnyVictim() => fleet.Silos[_random.Next(fleet.Silos.Count)];

    private async Task KillAsync(FaultKind kind, Silo[] victims, CancellationToken cancellation)
    {
        await BeginAsync();
        Fleet.Kill(victims);
        fleet.Forget(victims);
        TimeSpan repaired = await fleet.WaitUntilWholeAsync(s_wholeMax, withSeeds: false, cancellation);
        await EndAsync(kind, victims, repaired, cancellation);
        await ReplaceAsync(victims, cancellation);
    }

    private async Task FreezeAsync(FaultKind kind, TimeSpan time, CancellationToken cancellation)
    {
        Silo victim = AnyVictim();
        await BeginAsync();

        // Clients that ask a silo that does not answer turn away from it.
        fleet.Forget([victim]);
        victim.Process.Freeze();
        try
        {
            await Task.Delay(time, cancellation);
        }
        finally
        {
            victim.Process.Thaw();
        }

        bool hasLeft = await LeavesAsync(victim, kind == FaultKind.FreezeLong ? s_leaveMax : TimeSpan.FromSeconds(2), cancellation);
        if (!hasLeft)
            fleet.Return(victim);
        TimeSpan repaired = await fleet.WaitUntilWholeAsync(s_wholeMax, withSeeds: false, cancellation);
        await EndAsync(kind, [victim], repaired, cancellation, string.Create(CultureInfo.InvariantCulture, $" for {time.TotalSeconds:f1} s"));
        await ReplaceAsync(hasLeft ? [victim] : [], cancellation);
    }

    /// <summary>Whether the silo notices that the others go on without it.</summary>
    private async Task<bool> LeavesAsync(Silo silo, TimeSpan timeMax, CancellationToken cancellation)
    {
        long until = Environment.TickCount64 + (long)timeMax.TotalMilliseconds;
        while (Environment.TickCount64 < until)
        {
            if (silo.Process.HasExited)
                return true;

            // It is a member still if the others say so.
            if (await fleet.CountsAsync(fleet.Silos.Count + 1))
                return false;
            await Task.Delay(s_pollPause, cancellation);
        }

        return silo.Process.HasExited;
    }

    private async Task RestartAsync(FaultKind kind, Silo[] victims, CancellationToken cancellation)
    {
        await BeginAsync();
        TimeSpan repaired = default;
        foreach (Silo victim in victims)
        {
            await fleet.StopAsync(victim);
            await fleet.AddAsync(victim.Place, cancellation);
            repaired = await fleet.WaitUntilWholeAsync(s_wholeMax, withSeeds: true, cancellation);
        }

        await EndAsync(kind, [], repaired, cancellation);
    }

    private async Task JoinAsync(CancellationToken cancellation)
    {
        await BeginAsync();
        await fleet.AddAsync(null, cancellation);
        await fleet.WaitUntilWholeAsync(s_wholeMax, withSeeds: true, cancellation);
        await fleet.StopAsync(AnyVictim());
        TimeSpan repaired = await fleet.WaitUntilWholeAsync(s_wholeMax, withSeeds: true, cancellation);
        await EndAsync(FaultKind.Join, [], repaired, cancellation);
    }

    /// <summary>What was lost comes back in its place. That is not measured.</summary>
    private async Task ReplaceAsync(Silo[] lost, CancellationToken cancellation)
    {
        foreach (Silo silo in lost)
            await fleet.AddAsync(silo.Place, cancellation);
        while (fleet.Silos.Count < options.Silos)
            await fleet.AddAsync(null, cancellation);
        await fleet.WaitUntilWholeAsync(s_wholeMax, withSeeds: true, cancellation);
    }

    private async Task BeginAsync()
    {
        _owners = await OwnerMap.ReadAsync(fleet.Silos[_random.Next(fleet.Silos.Count)], [.. clients.Select(static client => client.Key)]);
        _window = (findings.Refusals, findings.Cuts, findings.Misses, findings.Old, findings.RefusalsApart, findings.CutsApart);
        foreach (KeyClient client in clients)
            client.BeginWindow();
    }

    private async Task EndAsync(
        FaultKind kind, Silo[] victims, TimeSpan repaired, CancellationToken cancellation, string more = "", NetworkResult? links = null)
    {
        // What was under way when all was well again belongs to it as well.
        double wholeAt = findings.NowMilliseconds;
        while (clients.FirstOrDefault(client => !client.HasPassed(wholeAt)) is { } waiting)
        {
            if (findings.NowMilliseconds - wholeAt > s_wholeMax.TotalMilliseconds)
                throw new ChaosException($"Operations on {waiting.Key} fail for {s_wholeMax.TotalSeconds:f0} s, though the cluster is whole\n{fleet.Output()}");
            await Task.Delay(s_pollPause, cancellation);
        }

        List<double> affected = [], reads = [], writes = [];
        long foreignRefusals = 0;
        foreach (KeyClient client in clients)
        {
            (double read, double write) = client.ReadWindow();
            if (!_owners.TryGetValue(client.Key, out int owner) && victims.Length > 0)
                continue;
            bool isOwned = Array.Exists(victims, victim => victim.SiloPort == owner);
            if (!isOwned)
                foreignRefusals += client.WindowRefusals;
            if (client.StaysApart && kind != FaultKind.Slow && links is not null)
                continue;
            if (isOwned)
                affected.Add(Math.Max(read, write));
            else
            {
                reads.Add(read);
                writes.Add(write);
            }
        }

        var result = new FaultResult(kind, kind.Name() + (victims.Length == 0 ? "" : $" of {string.Join<Silo>(" and ", victims)}{more}"))
        {
            Affected = affected,
            OtherReads = reads,
            OtherWrites = writes,
            Refusals = findings.Refusals - _window.Refusals,
            CutConnections = findings.Cuts - _window.Cuts,
            Misses = findings.Misses - _window.Misses,
            RepairedSeconds = repaired.TotalSeconds,
            Network = links is null ? null : links with
            {
                OldValues = findings.Old - _window.Old,
                Refusals = findings.RefusalsApart - _window.RefusalsApart,
                CutConnections = findings.CutsApart - _window.CutsApart,
                ForeignRefusals = foreignRefusals,
            },
        };
        _results.Add(result);
        Console.WriteLine(Report.LineOf(_results.Count, findings.NowMilliseconds, result));
    }
}
