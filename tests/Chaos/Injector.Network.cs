using System.Diagnostics;
using System.Globalization;

namespace OrleansCache.Chaos;

// Faults of the links between silos.
internal sealed partial class Injector
{
    /// <summary>See docs/options.md.</summary>
    private const int ExitEvicted = 75;

    private const double SlowLostShare = 0.01;

    private static readonly TimeSpan s_verySlow = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan s_verySlowTime = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan s_askTimeout = TimeSpan.FromSeconds(15);

    private async Task InjureLinksAsync(FaultKind kind, CancellationToken cancellation)
    {
        Silo[] victims = kind switch
        {
            FaultKind.CutOldest => [fleet.Silos[0]],
            FaultKind.Split => await MinorityAsync(),
            _ => [AnyVictim()],
        };

        // One in four ends before, or just when, it is known whether the silos concerned are dead.
        bool isShort = kind != FaultKind.Slow && _random.Next(4) == 0;
        var time = TimeSpan.FromMilliseconds(isShort ? _random.Next(1000, 7000) : _random.Next(8000, 20_000));
        bool isMute = _random.Next(2) == 0;
        var slow = TimeSpan.FromMilliseconds(_random.Next(50, 200));
        NetworkPlace[] places = [.. victims.Select(static victim => victim.Place.Network!)];

        await BeginAsync();
        long droppedBefore = network!.Switch.Dropped;
        (LinkRule fromThem, LinkRule toThem) = kind switch
        {
            FaultKind.OneWay => isMute ? (LinkRule.Cut, LinkRule.Whole) : (LinkRule.Whole, LinkRule.Cut),
            FaultKind.Slow => (SlowRule(slow), SlowRule(slow)),
            _ => (LinkRule.Cut, LinkRule.Cut),
        };
        var watch = Stopwatch.StartNew();
        network.SetRule(places, fromThem, toThem);
        double cutAt = findings.NowMilliseconds;
        CutOffProbe[] probes = [];
        using var end = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        if (kind == FaultKind.Slow)
            fleet.SetTouched(victims);
        else
        {
            fleet.SetApart(victims, cutAt);
            probes = [.. victims.Select(victim => new CutOffProbe(
                victim, [.. clients.Where(client => Owns(victim, client) && !client.StaysApart)], fleet, findings, cutAt))];
        }

        Task probing = Task.WhenAll(probes.Select(probe => probe.RunAsync(end.Token)));
        double? wholeWithout = null;
        double[] lastAnswers;
        List<string> ends = [];
        try
        {
            if (kind == FaultKind.Slow)
                await SlowDownAsync(places, slow, time, cancellation);
            while (watch.Elapsed < time)
            {
                if (kind != FaultKind.Slow && wholeWithout is null && await fleet.WhyNotWholeAsync(withSeeds: false) is null)
                    wholeWithout = watch.Elapsed.TotalSeconds;
                await Task.Delay(s_pollPause, cancellation);
            }
        }
        finally
        {
            lastAnswers = [.. probes.Select(static probe => probe.LastAnswerSeconds)];
            network.Heal();
            time = watch.Elapsed;
        }

        long packets = network.Switch.Dropped - droppedBefore;
        var healed = Stopwatch.StartNew();
        await SettleAsync(victims, ends, healed, cancellation);
        await end.CancelAsync();
        await probing;
        foreach (Silo victim in victims)
        {
            if (victim.Process.HasExited)
            {
                fleet.Forget([victim]);
                fleet.ForgetApart(victim);
                await fleet.AddAsync(victim.Place, cancellation);
            }
            else if (kind != FaultKind.Slow)
                fleet.Return(victim);
        }

        await ReplaceAsync([], cancellation);
        TimeSpan repaired = healed.Elapsed;
        string more = kind switch
        {
            FaultKind.OneWay => isMute ? ", which nobody hears," : ", which hears nobody,",
            FaultKind.Slow => string.Create(CultureInfo.InvariantCulture, $" by {slow.TotalMilliseconds:f0} ms"),
            _ => "",
        };
        var result = new NetworkResult
        {
            WholeWithoutSeconds = kind == FaultKind.Slow ? null : wholeWithout,
            LastAnswerSeconds = lastAnswers.DefaultIfEmpty().Max(),
            LastOldSeconds = probes.Select(static probe => probe.LastOldSeconds).DefaultIfEmpty().Max(),
            Packets = packets,
            Ends = ends,
        };
        await EndAsync(kind, victims, repaired, cancellation, string.Create(CultureInfo.InvariantCulture, $"{more} for {time.TotalSeconds:f1} s"), result);
        fleet.SetTouched([]);
    }

    /// <summary>A third of the time, then a moment that is much slower, then the rest.</summary>
    private async Task SlowDownAsync(NetworkPlace[] places, TimeSpan slow, TimeSpan time, CancellationToken cancellation)
    {
        await Task.Delay(time / 3, cancellation);
        network!.SetRule(places, SlowRule(s_verySlow), SlowRule(s_verySlow));
        await Task.Delay(s_verySlowTime, cancellation);
        network.SetRule(places, SlowRule(slow), SlowRule(slow));
    }

    /// <summary>Waits until each silo concerned has ended, or is a member like the others, and says which.</summary>
    private async Task SettleAsync(Silo[] victims, List<string> ends, Stopwatch healed, CancellationToken cancellation)
    {
        HashSet<Silo> open = [.. victims];
        while (open.Count > 0)
        {
            foreach (Silo victim in open.ToArray())
            {
                if (!victim.Process.HasExited)
                    continue;
                open.Remove(victim);
                ends.Add(string.Create(CultureInfo.InvariantCulture, $"{victim} exit code {victim.Process.ExitCode} by {healed.Elapsed.TotalSeconds:f1} s"));
                if (victim.Process.ExitCode != ExitEvicted)
                    findings.NoteWrongEnd($"{victim} ended with exit code {victim.Process.ExitCode} after its links were injured:\n{victim.Process.Output}");
            }

            if (open.Count > 0 && await fleet.CountsAsync(fleet.Silos.Union(open).Count(static silo => !silo.Process.HasExited))
                && (await Task.WhenAll(open.Select(fleet.IsReadyAsync))).All(static isReady => isReady))
            {
                ends.AddRange(open.Select(victim => string.Create(CultureInfo.InvariantCulture, $"{victim} a member by {healed.Elapsed.TotalSeconds:f1} s")));
                return;
            }

            if (healed.Elapsed > s_leaveMax)
            {
                throw new ChaosException(
                    $"{string.Join(", ", open)}: neither ended nor a member {healed.Elapsed.TotalSeconds:f0} s after the links were whole\n{fleet.Output()}");
            }

            await Task.Delay(s_pollPause, cancellation);
        }
    }

    /// <summary>
    /// As many as the others can do without: less than half of the silos, no more than there are replicas, and with less than half of the seeds, because
    /// those who have the majority of the seeds go on.
    /// </summary>
    private async Task<Silo[]> MinorityAsync()
    {
        int count = Math.Max(1, Math.Min((fleet.Silos.Count - 1) / 2, options.Replicas));
        HashSet<int> seeds = [];
        using (var client = new TextClient(fleet.Silos[0].Gateway, s_askTimeout))
        {
            foreach ((string name, string value) in await client.StatsAsync("seeds"))
            {
                if (name.StartsWith("silo:", StringComparison.Ordinal) && value.StartsWith("seed ", StringComparison.Ordinal))
                    seeds.Add(int.Parse(name.AsSpan(name.LastIndexOf(':') + 1), CultureInfo.InvariantCulture));
            }
        }

        Silo[] all = [.. fleet.Silos];
        while (true)
        {
            _random.Shuffle(all);
            if (2 * all[..count].Count(silo => seeds.Contains(silo.SiloPort)) < seeds.Count)
                return all[..count];
        }
    }

    private bool Owns(Silo silo, KeyClient client) => _owners.TryGetValue(client.Key, out int owner) && owner == silo.SiloPort;

    private static LinkRule SlowRule(TimeSpan delay) => new(SlowLostShare, delay, delay * 1.2);
}
