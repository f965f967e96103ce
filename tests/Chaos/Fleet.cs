using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Security.Cryptography;
using OrleansCache.Cluster.Tests;
using OrleansCache.Conformance;

namespace OrleansCache.Chaos;

/// <summary>Where a silo stands, so that a later one can take its place: its ports and its data directory.</summary>
/// <param name="Port">For memcached clients.</param>
/// <param name="SiloPort">Between silos.</param>
/// <param name="Network">Null: on 127.0.0.1.</param>
internal sealed record Place(int Port, int SiloPort, int HttpPort, string DataFolder, NetworkPlace? Network)
{
    public IPAddress ClientAddress => Network?.ClientAddress ?? IPAddress.Loopback;

    public IPAddress SiloAddress => Network?.SiloAddress ?? IPAddress.Loopback;
}

/// <summary>One silo, a process on this machine.</summary>
internal sealed class Silo(ChildProcess process, int number, Place place)
{
    public ChildProcess Process => process;

    public int Number => number;

    public Place Place => place;

    /// <summary>For memcached clients.</summary>
    public IPEndPoint Gateway { get; } = new(place.ClientAddress, place.Port);

    public int SiloPort => place.SiloPort;

    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"silo {number}");
}

/// <summary>The silos of one cluster: starts them, ends them, and says whether all is well. Only processes that it has started are ever ended.</summary>
internal sealed class Fleet(ChaosOptions options, PostgresServer? postgres, TestNetwork? network, string logFolder) : IAsyncDisposable
{
    /// <summary>See docs/options.md.</summary>
    private const int ExitEvicted = 75;

    private const int ExitUnavailable = 69;

    /// <summary>Starts that may fail in a row.</summary>
    private const int StartsMax = 5;

    private static readonly TimeSpan s_startTimeout = TimeSpan.FromSeconds(90);
    private static readonly TimeSpan s_stopTimeout = TimeSpan.FromSeconds(90);
    private static readonly TimeSpan s_askTimeout = TimeSpan.FromSeconds(15);

    /// <summary>docs/decisions/0020: for how long a silo that is cut off may answer reads.</summary>
    private static readonly TimeSpan s_lease = TimeSpan.FromSeconds(5);

    /// <summary>A coordinator that is cut off, too, may renew it for so long.</summary>
    private static readonly TimeSpan s_contact = TimeSpan.FromSeconds(1);

    /// <summary>Its clock is looked at every so often, and the last renewal may have been on its way when the link was cut.</summary>
    private static readonly TimeSpan s_leaseTolerance = TimeSpan.FromSeconds(0.5);

    /// <summary>An answer may wait for a processor, too.</summary>
    private static readonly TimeSpan s_answerMax = TimeSpan.FromSeconds(3);

    private readonly HttpClient _http = new() { Timeout = TimeSpan.FromSeconds(5) };
    private readonly string _clusterId = string.Create(CultureInfo.InvariantCulture, $"chaos-{options.Seed}-{Environment.ProcessId}");
    private readonly List<ChildProcess> _all = [];
    private volatile Silo[] _silos = [];
    private volatile Silo[] _apart = [];
    private volatile Silo[] _touched = [];
    private double _leaseUntil;
    private string? _secretFile;
    private int _lastNumber;

    /// <summary>Those that live, the oldest first. Clients choose among them.</summary>
    public IReadOnlyList<Silo> Silos => _silos;

    /// <summary>With those whose links are cut, which some clients still use.</summary>
    public IReadOnlyList<Silo> SilosAndApart => _apart is { Length: > 0 } apart ? [.. _silos, .. apart] : _silos;

    /// <summary>Silos that the others have declared dead though nobody touched them: a machine so busy that they did not answer in time.</summary>
    public int Evictions { get; private set; }

    /// <summary>Starts one more, in the place of one that has ended if that is given, and waits until it has its share.</summary>
    public Task<Silo> AddAsync(Place? former, CancellationToken cancellation) => AddAsync(former, StartsMax, cancellation);

    private async Task<Silo> AddAsync(Place? former, int starts, CancellationToken cancellation)
    {
        int number = ++_lastNumber;
        Place place = former ?? new Place(
            TestPorts.Next(), TestPorts.Next(adjacent: 2), TestPorts.Next(), Path.Combine(logFolder, $"data-{Text(number)}"), network?.Add());
        string[] membership = postgres is not null ? ["--clustering", "postgres", "--connection", postgres.ConnectionString]
            : _silos.Length == 0 ? ["--data-dir", place.DataFolder]
            : ["--data-dir", place.DataFolder, "--join", string.Join(',', _silos.Select(silo => $"{silo.Place.SiloAddress}:{Text(silo.SiloPort)}"))];
        string dll = Path.GetFullPath(
            Path.Combine(AppContext.BaseDirectory, "..", "..", "OrleansCache.Silo", new DirectoryInfo(AppContext.BaseDirectory).Name, "OrleansCache.dll"));
        string[] command =
        [
            .. InNetwork(place), "dotnet", dll, "serve", "-l", place.ClientAddress.ToString(), "-p", Text(place.Port), "-m", Text(options.MemoryMegabytes),
            "--silo-port", Text(place.SiloPort), "--http", $"{place.ClientAddress}:{Text(place.HttpPort)}",
            "--cluster-id", _clusterId, "--replicas", Text(options.Replicas),
            "--join-timeout", Text((int)s_startTimeout.TotalSeconds), .. membership, .. BeyondLoopback(place),
        ];
        var process = ChildProcess.Start(command, workingFolder: logFolder);
        var silo = new Silo(process, number, place);
        lock (_all)
        {
            _all.Add(process);
        }

        var watch = Stopwatch.StartNew();
        while (!await IsReadyAsync(silo))
        {
            cancellation.ThrowIfCancellationRequested();
            if (process.HasExited && process.ExitCode == ExitUnavailable && starts > 1)
            {
                // On a busy machine whom it joins may not have answered in time. A service manager starts it again as well.
                return await AddAsync(place, starts - 1, cancellation);
            }

            if (process.HasExited || watch.Elapsed > s_startTimeout)
                throw new ChaosException($"{silo} does not become ready ({watch.Elapsed.TotalSeconds:f0} s):\n{process.Output}");
            await Task.Delay(50, cancellation);
        }

        _silos = [.. _silos, silo];
        WriteGateways();
        return silo;
    }

    /// <summary>kill -9.</summary>
    public static void Kill(IReadOnlyCollection<Silo> victims)
    {
        foreach (Silo victim in victims)
            victim.Process.Kill();
    }

    /// <summary>Clients use it no more, from their next operation on.</summary>
    public void Forget(IReadOnlyCollection<Silo> gone)
    {
        _silos = [.. _silos.Where(silo => !gone.Contains(silo))];
        WriteGateways();
    }

    /// <summary>Only clients that stay use them from their next operation on.</summary>
    /// <param name="nowMilliseconds">When their links were cut.</param>
    public void SetApart(IReadOnlyCollection<Silo> silos, double nowMilliseconds)
    {
        TimeSpan lease = s_lease + s_leaseTolerance + (silos.Contains(_silos[0]) ? s_contact : TimeSpan.Zero);
        Volatile.Write(ref _leaseUntil, nowMilliseconds + lease.TotalMilliseconds);
        _touched = [.. silos];
        _apart = [.. silos];
        Forget(silos);
    }

    /// <summary>Its links are injured, but clients go on using it: that it is declared dead is no surprise.</summary>
    public void SetTouched(IReadOnlyCollection<Silo> silos) => _touched = [.. silos];

    public bool IsApart(Silo silo) => Array.IndexOf(_apart, silo) >= 0;

    /// <summary>Whether a silo that is cut off may give what it had to a request that was sent at that moment and is answered now.</summary>
    public bool MayServeOld(Silo silo, double sentMilliseconds, double nowMilliseconds) => Array.IndexOf(_touched, silo) >= 0 && _apart.Length > 0
        && sentMilliseconds <= Volatile.Read(ref _leaseUntil) && nowMilliseconds <= Volatile.Read(ref _leaseUntil) + s_answerMax.TotalMilliseconds;

    /// <summary>Nobody uses those that have ended any more.</summary>
    public void ForgetApart(Silo silo) => _apart = [.. _apart.Where(other => other != silo)];

    /// <summary>It was only frozen, or cut off.</summary>
    public void Return(Silo silo)
    {
        ForgetApart(silo);
        _silos = [.. _silos.Append(silo).OrderBy(static silo => silo.Number)];
        WriteGateways();
    }

    /// <summary>Whether the cluster has so many members, by what one of them says.</summary>
    public async Task<bool> CountsAsync(int silos)
    {
        try
        {
            using var client = new TextClient(_silos[^1].Gateway, s_askTimeout);
            List<KeyValuePair<string, string>> statistics = await client.StatsAsync("cluster");
            return statistics.Contains(new("silos_answering", Text(silos)));
        }
        catch (ConnectionLostException)
        {
            return false;
        }
    }

    /// <summary>The gateways that clients may use, for a client that is another program.</summary>
    public string WriteGateways()
    {
        string path = Path.Combine(logFolder, "gateways");
        string next = path + ".next";
        lock (_all)
        {
            File.WriteAllLines(next, _silos.Select(static silo => silo.Gateway.ToString()));
            File.Move(next, path, overwrite: true);
        }

        return path;
    }

    /// <summary>SIGTERM, and waits for the end.</summary>
    public async Task StopAsync(Silo silo)
    {
        Forget([silo]);
        silo.Process.Terminate();
        int exitCode = await silo.Process.WaitForExitAsync(s_stopTimeout);
        if (exitCode == ExitEvicted)
            NoteEvicted(silo);
        else if (exitCode != 0)
            throw new ChaosException($"{silo} ended with exit code {exitCode} after SIGTERM:\n{silo.Process.Output}");
    }

    /// <summary>
    /// Waits until every silo is ready and knows of all others, no partition moves, and every replica is there: what an operator waits for before the next
    /// silo is touched. Returns how long that took.
    /// </summary>
    /// <param name="withSeeds">Also until the membership outlives another loss.</param>
    public async Task<TimeSpan> WaitUntilWholeAsync(TimeSpan timeMax, bool withSeeds, CancellationToken cancellation)
    {
        var watch = Stopwatch.StartNew();
        while (true)
        {
            string? lacking = await WhyNotWholeAsync(withSeeds);
            if (lacking is null)
                return watch.Elapsed;
            if (watch.Elapsed > timeMax)
                throw new ChaosException($"Not whole after {watch.Elapsed.TotalSeconds:f0} s: {lacking}\n{Output()}");
            await Task.Delay(50, cancellation);
        }
    }

    /// <summary>What all silos have printed.</summary>
    public string Output()
    {
        lock (_all)
        {
            return string.Join("\n\n", _all.TakeLast(6).Select(static process => process.Output));
        }
    }

    /// <summary>Writes what each silo has printed into the folder of logs.</summary>
    public void SaveLogs()
    {
        lock (_all)
        {
            for (int i = 0; i < _all.Count; i++)
                File.WriteAllText(Path.Combine(logFolder, string.Create(CultureInfo.InvariantCulture, $"silo-{i + 1:d3}.log")), _all[i].Output + "\n");
        }
    }

    public async ValueTask DisposeAsync()
    {
        _silos = [];
        ChildProcess[] all;
        lock (_all)
        {
            all = [.. _all];
        }

        foreach (ChildProcess process in all)
        {
            if (!process.HasExited)
                process.Kill();
        }

        foreach (ChildProcess process in all)
            process.Dispose();
        _http.Dispose();
        if (postgres is not null)
            await postgres.DisposeAsync();
    }

    private void NoteEvicted(Silo silo)
    {
        if (Array.IndexOf(_touched, silo) < 0)
            Evictions++;
        Forget([silo]);
    }

    public async Task<bool> IsReadyAsync(Silo silo)
    {
        try
        {
            using HttpResponseMessage response = await _http.GetAsync(new Uri($"http://{silo.Place.ClientAddress}:{Text(silo.Place.HttpPort)}/health/ready"));
            return response.IsSuccessStatusCode;
        }
        catch (Exception exception) when (exception is HttpRequestException or TaskCanceledException)
        {
            return false;
        }
    }

    /// <summary>Null if nothing is lacking.</summary>
    public async Task<string?> WhyNotWholeAsync(bool withSeeds)
    {
        Silo[] silos = _silos;
        foreach (Silo silo in silos)
        {
            if (silo.Process.HasExited)
            {
                if (silo.Process.ExitCode != ExitEvicted)
                    throw new ChaosException($"{silo} has ended by itself:\n{silo.Process.Output}");
                NoteEvicted(silo);
                return $"{silo} was declared dead";
            }

            if (!await IsReadyAsync(silo))
                return $"{silo} is not ready";
        }

        foreach (Silo silo in silos)
        {
            try
            {
                using var client = new TextClient(silo.Gateway, s_askTimeout);
                if (ClusterStatus.WhyNotWhole(await client.StatsAsync("cluster"), silos.Length, options.Replicas, withSeeds) is { } lacking)
                    return $"{silo}: {lacking}";
            }
            catch (ConnectionLostException exception)
            {
                return $"{silo}: {exception.Message}";
            }
        }

        return null;
    }

    /// <summary>`ip netns exec` becomes the program that it starts: the process that it is started as is the silo.</summary>
    private static string[] InNetwork(Place place) => place.Network is { } network ? ["ip", "netns", "exec", network.Namespace] : [];

    /// <summary>What a silo wants before it talks to others over a network; the secret is this run's own.</summary>
    private string[] BeyondLoopback(Place place)
    {
        if (place.Network is null)
            return [];
        if (_secretFile is null)
        {
            _secretFile = Path.Combine(logFolder, "secret");
            File.WriteAllText(_secretFile, RandomNumberGenerator.GetHexString(32));
            if (!OperatingSystem.IsWindows())
                File.SetUnixFileMode(_secretFile, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        }

        return ["--advertise", place.SiloAddress.ToString(), "--cluster-secret-file", _secretFile, "--http-token-file", _secretFile];
    }

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
}
